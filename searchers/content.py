"""What a pure function was called with, as a key, and its last few results by such keys."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

from sklearn.base import BaseEstimator


def content(value: object) -> Hashable:
    """Return a key that is equal for equal settings: the class and parameters of an estimator, of those inside it too.

    Everything else counts by its `repr`. Scikit-learn's own `repr` of an estimator takes a millisecond, and leaves out
    the middle of long ones.
    """
    if isinstance(value, BaseEstimator):
        own = sorted((name, item) for name, item in vars(value).items() if not (name[0] == "_" or name[-1] == "_"))
        return type(value), tuple((name, content(item)) for name, item in own)
    if isinstance(value, list | tuple):
        return tuple(content(item) for item in value)
    return repr(value)


class ContentCache:
    """The last few results of a pure function, by a key that holds everything they depend on."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: OrderedDict[Any, Any] = OrderedDict()

    def take(self, key: Any) -> Any:
        """Return and forget what was kept for `key`, or None."""
        return self._kept.pop(key, None)

    def get(self, key: Any) -> Any:
        """Return what was kept for `key`, or None."""
        value = self._kept.get(key)
        if value is not None:
            self._kept.move_to_end(key)
        return value

    def put(self, key: Any, value: Any) -> None:
        """Keep `value`, and forget the oldest if there are too many."""
        self._kept[key] = value
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)
