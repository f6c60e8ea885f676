"""The contract of a curve extrapolator: beginnings of learning curves in, the value at the last epoch out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ...errors import InvalidDataError
from ...spaces import Architectures

Floats: TypeAlias = NDArray[np.float64]


class Extrapolator(BaseEstimator, ABC):  # type: ignore[misc]
    """Forecasts where learning curves end, with a standard deviation, from as much of them as has been seen.

    A sibling of `Predictor`: it needs curves rather than architectures, may know nothing but one curve that has just
    begun, and answers anew after every epoch. Architectures are an optional extra. `CurvePredictor` makes a `Predictor`
    of one.

    Subclasses store their parameters untouched, and implement `_fit` and `_predict`.

    Attributes
    ----------
    epochs_ : tuple of int `(l,)`
        The epochs of the columns of a curve; the last is what is forecast.
    finals_ : float64 array
        The last values of the complete curves.
    """

    least_complete: ClassVar[int] = 2
    """The number of complete curves without which there is nothing to be learned."""

    # ---- what a subclass says -----------------------------------------------------------------------------------

    @abstractmethod
    def _fit(self, curves: Floats, architectures: Architectures | None) -> None:
        """Learn from complete curves `(n, l)`, at least `least_complete`."""

    @abstractmethod
    def _predict(self, curves: Floats, architectures: Architectures | None) -> tuple[Floats, Floats]:
        """Return mean and deviation of the last value, `(m,)` each, for curves `(m, k)` seen to the same epoch.

        `k` is at least 1 and less than `l`.
        """

    # ---- fitting and forecasting --------------------------------------------------------------------------------

    def fit(
        self,
        curves: ArrayLike,
        epochs: Sequence[int] | None = None,
        *,
        architectures: Architectures | None = None,
        higher_is_better: bool = True,
    ) -> Self:
        """Learn from the curves of earlier trainings.

        Parameters
        ----------
        curves : array `(n, l)`
            NaN where there is no value; curves without the last are left out. There may be none, `(0, l)`, for
            extrapolators that need none.
        epochs : sequence of int `(l,)`, optional
            Increasing; 1 to l by default.
        architectures : Architectures `(n,)`, optional
            What was trained.
        higher_is_better : bool
            The direction of the metric.

        Raises
        ------
        InvalidDataError
            If shapes differ, a value is infinite, epochs do not increase, or there are too few complete curves.
        """
        values = _matrix(curves)
        self.epochs_ = _checked_epochs(epochs, values.shape[1])
        self.higher_is_better_ = bool(higher_is_better)
        _check_batch(architectures, len(values))
        complete = np.isfinite(values[:, -1]) & np.isfinite(values[:, 0])
        if complete.sum() < self.least_complete:
            raise InvalidDataError(
                f"{type(self).__name__} learns from at least {self.least_complete} complete curves, got "
                f"{int(complete.sum())} of {len(values)} that have a first and a last value"
            )
        known = bridged(values[complete])
        self.finals_ = known[:, -1]
        self._fit(known, None if architectures is None else architectures[np.flatnonzero(complete)])
        return self

    def predict(
        self, curves: ArrayLike, *, architectures: Architectures | None = None, return_std: bool = False
    ) -> Any:
        """Forecast the value at the last epoch.

        Parameters
        ----------
        curves : array `(m, k)`
            The beginnings, with `k` up to `l`: NaN after what has been seen, which may differ from row to row. Gaps are
            bridged by straight lines. A row without any value is forecast to end as the complete curves did.
        architectures : Architectures `(m,)`, optional
            Needed if there were any in `fit` and the extrapolator looks at them.
        return_std : bool
            Also return the standard deviation of the value that will be reported; 0 where it has been.

        Returns
        -------
        mean : float64 array `(m,)`
        std : float64 array `(m,)`, only with `return_std`

        Raises
        ------
        InvalidDataError
            If there are more epochs than in `fit`, a value is infinite, or nothing is known of a curve nor of others.
        """
        check_is_fitted(self, "epochs_")
        values = _matrix(curves)
        last = len(self.epochs_)
        if values.shape[1] > last:
            raise InvalidDataError(f"expected curves of up to {last} epochs as in fit, got {values.shape[1]}")
        _check_batch(architectures, len(values))
        there = np.isfinite(values)
        seen = np.where(there.any(axis=1), values.shape[1] - np.argmax(there[:, ::-1], axis=1), 0)
        mean, std = np.empty(len(values)), np.zeros(len(values))
        for k in np.unique(seen).tolist():
            rows = np.flatnonzero(seen == k)
            own = None if architectures is None else architectures[rows]
            if k == 0:
                mean[rows], std[rows] = self._before(int(rows[0]))
            elif k == last:
                mean[rows] = values[rows, -1]
            else:
                mean[rows], std[rows] = self._predict(bridged(values[rows, :k]), own)
        return (mean, std) if return_std else mean

    def _before(self, row: int) -> tuple[float, float]:
        """Return the forecast of a curve of which nothing is known."""
        if len(self.finals_) < 2:
            raise InvalidDataError(f"curve {row} has no value, and there are no complete curves to learn from")
        return float(self.finals_.mean()), float(self.finals_.std(ddof=1))


def typical_distance(values: Floats) -> float:
    """Return the interquartile range of values as a standard deviation would be, 0 if most are equal."""
    low, high = np.quantile(values, [0.25, 0.75])
    return float(high - low) / 1.349


def _matrix(curves: ArrayLike) -> Floats:
    try:
        values = np.asarray(curves, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidDataError(f"curves must be numbers, one row a training: {error}") from None
    if values.ndim != 2 or values.shape[1] < 1:
        raise InvalidDataError(f"curves must have one row a training and one column an epoch, got shape {values.shape}")
    infinite = np.isinf(values)
    if infinite.any():
        row, column = np.argwhere(infinite)[0].tolist()
        raise InvalidDataError(f"curve {row} must be finite, or NaN where it is not known, got {values[row, column]}")
    return values


def _checked_epochs(epochs: Sequence[int] | None, columns: int) -> tuple[int, ...]:
    labels = tuple(range(1, columns + 1)) if epochs is None else tuple(int(epoch) for epoch in epochs)
    if len(labels) != columns:
        raise InvalidDataError(f"expected one epoch for each of {columns} columns, got {len(labels)}")
    if labels[0] < 1 or any(a >= b for a, b in pairwise(labels)):
        raise InvalidDataError(f"epochs must be increasing positive integers, got {labels!r}")
    return labels


def _check_batch(architectures: Architectures | None, rows: int) -> None:
    if architectures is not None and len(architectures) != rows:
        raise InvalidDataError(f"expected one architecture for each of {rows} curves, got {len(architectures)}")


def bridged(values: Floats) -> Floats:
    """Return curves whose gaps are filled by straight lines, and whose start is that of their first value."""
    gaps = np.isnan(values)
    broken = np.flatnonzero(gaps.any(axis=1))
    if not len(broken):
        return values
    filled, columns = values.copy(), np.arange(values.shape[1])
    for row in broken.tolist():
        known = ~gaps[row]
        filled[row] = np.interp(columns, columns[known], values[row, known])
    return filled
