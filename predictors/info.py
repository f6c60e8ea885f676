"""Optional extras of an architecture as further feature columns: low-fidelity results, zero-cost scores, costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..encoders import Columns
from ..errors import InvalidDataError

Info = Mapping[str, ArrayLike]
"""Optional extras by name: one value `(n,)`, or one row `(n, k)`, per architecture; NaN where it is missing."""


class InfoColumns:
    """Turns extras into columns; a missing value becomes the training median, flagged by a column of its own.

    Parameters
    ----------
    medians : mapping of str to array `(k,)`
        Per name the median of each column over the training architectures that have it.
    """

    def __init__(self, medians: Mapping[str, NDArray[np.float64]] | None = None) -> None:
        self.medians = {name: (medians or {})[name] for name in sorted(medians or {})}

    @classmethod
    def learn(cls, info: Info | None, n: int) -> Self:
        """Learn names, widths and medians from the extras of `n` training architectures."""
        medians = {}
        for name in info or {}:
            values = _values(name, (info or {})[name], n)
            known = [column[~np.isnan(column)] for column in values.T]
            medians[name] = np.array([np.median(column) if len(column) else 0.0 for column in known])
        return cls(medians)

    @property
    def names(self) -> list[str]:
        """The names of the extras, sorted."""
        return list(self.medians)

    @property
    def columns(self) -> Columns:
        """What the columns of `matrix` are."""
        parts = []
        for name, medians in self.medians.items():
            labels = [f"info {name}[{i}]" for i in range(len(medians))]
            parts.append(Columns.of(labels, "info", indicator=False))
            parts.append(Columns.of([f"{label} missing" for label in labels], "info missing", indicator=True))
        return Columns.concatenate(parts)

    def matrix(self, info: Info | None, n: int) -> NDArray[np.float64]:
        """Return the extras of `n` architectures as columns, `(n, 2 k summed over names)`.

        Raises
        ------
        InvalidDataError
            If the names or the widths differ from those learned, a length is not `n`, or a value is infinite.
        """
        given = sorted(info or {})
        if given != self.names:
            raise InvalidDataError(f"expected info {self.names or 'none'} as in fit, got {given or 'none'}")
        parts = [np.zeros((n, 0))]
        for name, medians in self.medians.items():
            values = _values(name, (info or {})[name], n)
            if values.shape[1] != len(medians):
                raise InvalidDataError(f"info {name!r} must have {len(medians)} columns, got {values.shape[1]}")
            missing = np.isnan(values)
            parts += [np.where(missing, medians, values), missing.astype(np.float64)]
        return np.concatenate(parts, axis=1)


def _values(name: Any, given: ArrayLike, n: int) -> NDArray[np.float64]:
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidDataError(f"info {name!r} must hold numbers: {error}") from None
    if values.ndim not in (1, 2) or len(values) != n:
        raise InvalidDataError(f"info {name!r} must have {n} rows, one an architecture, got shape {values.shape}")
    infinite = np.isinf(values.reshape(n, -1)).any(axis=1)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise InvalidDataError(
            f"info {name!r} must be finite or NaN, got {values[row].tolist()} for architecture {row}"
        )
    return values.reshape(n, -1)
