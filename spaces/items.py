"""Tell apart what users pass as architectures, and quote it in errors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np


def is_one_item(items: Any) -> bool:
    """Whether this is a single notation: text, a mapping, a named tuple, or an object that is no collection."""
    return isinstance(items, (str, Mapping)) or hasattr(items, "_fields") or not isinstance(items, Iterable)


def is_integer_row(item: Any) -> bool:
    """Whether this is a genotype: a row of integers."""
    if isinstance(item, np.ndarray):
        return item.ndim == 1 and item.dtype.kind in "iu"
    return (
        isinstance(item, (list, tuple))
        and len(item) > 0
        and all(isinstance(value, (int, np.integer)) and not isinstance(value, bool) for value in item)
    )


def shorten(item: Any, limit: int = 120) -> str:
    """Return the item as one line of at most `limit` characters, for an error message."""
    item = item.tolist() if isinstance(item, np.ndarray) and item.ndim == 1 else item
    text = repr(item) if not isinstance(item, Iterable) or isinstance(item, (str, list, tuple, dict)) else str(item)
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 3] + "..."
