"""What any extrapolator has to beat: the last value seen, and the best."""

from __future__ import annotations

import numpy as np

from ...spaces import Architectures
from .base import Extrapolator, Floats


class LastValue(Extrapolator):
    """Forecasts that a curve stays where it is; the deviation is the error of that for the complete curves."""

    def _fit(self, curves: Floats, architectures: Architectures | None) -> None:
        errors = self.finals_[:, None] - self._values(curves)[:, :-1]
        self.deviation_ = np.sqrt((errors**2).mean(axis=0))

    def _predict(self, curves: Floats, architectures: Architectures | None) -> tuple[Floats, Floats]:
        seen = curves.shape[1]
        return self._values(curves)[:, -1], np.full(len(curves), self.deviation_[seen - 1])

    def _values(self, curves: Floats) -> Floats:
        """Return what is forecast after each epoch, `(m, k)`."""
        return curves


class BestValue(LastValue):
    """Forecasts the best value so far."""

    def _values(self, curves: Floats) -> Floats:
        running = np.maximum if self.higher_is_better_ else np.minimum
        best: Floats = running.accumulate(curves, axis=1)
        return best
