"""The contract of an encoder: architectures in, a float32 matrix with named columns out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import NotFittedError

from ..errors import InvalidDataError
from ..spaces import Architecture, Architectures, SearchSpace


@dataclass(frozen=True)
class Columns:
    """What the `d` columns of an encoding are.

    Parameters
    ----------
    names : tuple of str
        Human-readable and distinct, e.g. `"0->1 = nor_conv_3x3"`.
    groups : tuple of str
        The kind of feature each column belongs to, e.g. `"operation"`, `"path"`; kernels may scale each kind apart.
    indicator : bool array `(d,)`
        Columns that are used as they are: flags of 0 or 1, and small counts of them. All others are quantities, to be
        standardised by models that look at distances.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    indicator: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.groups) == len(self.indicator):
            raise InvalidDataError(
                f"columns need as many names as groups and indicators, got {len(self.names)}, {len(self.groups)} "
                f"and {len(self.indicator)}"
            )

    def __len__(self) -> int:
        return len(self.names)

    def take(self, chosen: NDArray[np.intp]) -> Columns:
        """Return some of the columns, by position, in the order given."""
        names, groups = np.array(self.names, dtype=object), np.array(self.groups, dtype=object)
        return Columns(tuple(names[chosen]), tuple(groups[chosen]), self.indicator[chosen])

    @classmethod
    def of(cls, names: Iterable[str], group: str, *, indicator: bool) -> Columns:
        """Return columns that are all of one group and kind."""
        listed = tuple(names)
        return cls(listed, (group,) * len(listed), np.full(len(listed), indicator))

    @classmethod
    def of_matrix(cls, X: NDArray[Any]) -> Columns:
        """Return columns for a plain feature matrix: named `x0`, `x1` ..., indicators where all values are 0 or 1."""
        indicator = ((X == 0) | (X == 1)).all(axis=0)
        return cls(tuple(f"x{i}" for i in range(X.shape[1])), ("x",) * X.shape[1], indicator)

    @classmethod
    def concatenate(cls, parts: Sequence[Columns]) -> Columns:
        """Join columns side by side."""
        return cls(
            tuple(name for part in parts for name in part.names),
            tuple(group for part in parts for group in part.groups),
            np.concatenate([part.indicator for part in parts]) if parts else np.zeros(0, dtype=np.bool_),
        )


class Encoder(TransformerMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """Turns architectures into a feature matrix; a scikit-learn transformer.

    The columns depend on the search space alone, so that a stateless encoder needs no `fit`: `fit` only remembers
    the space, for `get_feature_names_out`. An encoder with `stateless = False` learns its columns from the
    architectures it is fitted on.

    Subclasses implement `columns` and `_transform`.
    """

    stateless: bool = True
    counts_substructures: bool = False
    """Whether the columns count parts of the graph, so that inner products of rows are a graph kernel."""

    def fit(self, architectures: Architectures | Sequence[Architecture], y: object = None) -> Self:
        """Remember the space, and learn the columns if the encoder is not stateless.

        Parameters
        ----------
        architectures : Architectures, or a sequence of Architecture
        y : ignored
        """
        batch = as_batch(architectures)
        self.space_: SearchSpace = batch.space
        self._fit(batch)
        return self

    def transform(self, architectures: Architectures | Sequence[Architecture]) -> NDArray[np.float32]:
        """Return the encoding, float32 `(n, d)`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the encoder learns its columns and was not fitted.
        InvalidDataError
            If the encoder was fitted on another space.
        """
        batch = as_batch(architectures)
        fitted: SearchSpace | None = getattr(self, "space_", None)
        if fitted is None and not self.stateless:
            raise NotFittedError(f"{type(self).__name__} learns its columns: call fit before transform")
        if fitted is not None and fitted != batch.space:
            raise InvalidDataError(
                f"this encoder was fitted on space {fitted.name!r}, got architectures of space {batch.space.name!r}"
            )
        return np.ascontiguousarray(self._transform(batch), dtype=np.float32)

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        """Return the column names of the space that the encoder was fitted on, `(d,)`."""
        if getattr(self, "space_", None) is None:
            raise NotFittedError(f"{type(self).__name__} has seen no space: call fit, or columns(space)")
        return np.array(self.columns(self.space_).names, dtype=object)

    def feature_names_out(self, space: SearchSpace) -> list[str]:
        """Return the column names for a space."""
        return list(self.columns(space).names)

    @abstractmethod
    def columns(self, space: SearchSpace) -> Columns:
        """Return what the columns of the encoding are for a space."""

    @abstractmethod
    def _transform(self, architectures: Architectures) -> NDArray[Any]:
        """Return the encoding of a batch, `(n, d)`."""

    def leaves(self, label: str) -> list[tuple[str, Encoder]]:
        """Return the encoders that stand side by side, in the order of their columns, with their names.

        Parameters
        ----------
        label : str
            The name of this one, where it is one alone.
        """
        return [(label, self)]

    def _fit(self, architectures: Architectures) -> None:
        """Learn what `columns` needs; stateless encoders have nothing to learn."""

    def _get_state(self) -> dict[str, NDArray[Any]]:
        """Return all that `_fit` learned, as arrays; override together with `_fit`."""
        return {}

    def _set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take back what `_get_state` returned; `space_` is in place already."""


def as_batch(architectures: Architectures | Sequence[Architecture]) -> Architectures:
    """Return a batch from a batch, one architecture or a sequence of architectures.

    Raises
    ------
    InvalidDataError
        If it is anything else: native strings carry no space, `space.parse` turns them into architectures.
    """
    if isinstance(architectures, Architectures):
        return architectures
    if isinstance(architectures, Architecture):
        return architectures.batch()
    items = list(architectures)
    if items and all(isinstance(item, Architecture) for item in items):
        return Architectures.concatenate(item.batch() for item in items)
    found = type(items[0]).__name__ if items else "nothing"
    raise InvalidDataError(f"expected Architectures (space.parse makes them from native strings), got {found}")
