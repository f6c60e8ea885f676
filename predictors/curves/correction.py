"""Forecasts of a curve model, corrected by the errors that it makes for the complete curves."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from ...spaces import Architectures
from .base import Extrapolator, Floats

_ENOUGH = 5
"""With fewer complete curves a model is believed as it is."""
_DOUBT = 4.0
"""How many complete curves the model's own word counts as much as."""
_MOST = 300


@dataclass(frozen=True)
class Correction:
    """The share of a model's change that is believed, what to add to it, and by what to multiply the deviation."""

    share: float = 1.0
    shift: float = 0.0
    factor: float = 1.0

    def apply(self, last: Floats, mean: Floats, std: Floats) -> tuple[Floats, Floats]:
        """Return the corrected forecast of curves whose last values are known."""
        return last + self.share * (mean - last) + self.shift, std * self.factor

    @classmethod
    def learn(cls, last: Floats, mean: Floats, std: Floats, final: Floats) -> Correction:
        """Return the correction under which forecasts of ends that are known are most probable, shrunk to none."""
        n, weights = len(final), 1 / std**2
        weights /= weights.mean()
        X = np.stack([mean - last, np.ones(n)], axis=1)
        errors = final - mean
        noise = float((weights * errors**2).sum()) / n
        # A prior of deviation 1 for the share, and of that of the errors for the shift.
        prior = np.diag([noise, _DOUBT])
        change = np.linalg.solve((X * weights[:, None]).T @ X + prior, (X * weights[:, None]).T @ errors)
        share = float(np.clip(1 + change[0], 0.0, 1.5))
        rest = errors - (share - 1) * X[:, 0]
        shift = float((weights * rest).sum() / (weights.sum() + _DOUBT))
        square = float((((rest - shift) / std) ** 2).sum())
        return cls(share, shift, float(np.sqrt((square + _DOUBT) / (n + _DOUBT))))


class CorrectedExtrapolator(Extrapolator):
    """A curve model that is told how it would have done for the complete curves, had they been seen as far.

    That says how much of the change that it forecasts is to be believed (the rest is the last value seen), what to add,
    and how wide the deviation has to be. All is shrunk towards the model's own word, which counts as much as four
    complete curves. Subclasses implement `_learn` and `_extrapolate`, which stand for `_fit` and `_predict`.
    """

    @abstractmethod
    def _learn(self, curves: Floats) -> None:
        """Learn from complete curves `(n, l)`."""

    @abstractmethod
    def _extrapolate(self, curves: Floats) -> tuple[Floats, Floats]:
        """Return the model's mean and deviation of the last value for curves `(m, k)`, `(m,)` each."""

    def _fit(self, curves: Floats, architectures: Architectures | None) -> None:
        self._learn(curves)
        # Evenly among all, and no more than it takes to know a mean and a deviation well.
        rows = np.unique(np.linspace(0, max(len(curves) - 1, 0), min(len(curves), _MOST)).astype(np.intp))
        self._complete = curves[rows]
        self._corrections: dict[int, Correction] = {}

    def _predict(self, curves: Floats, architectures: Architectures | None) -> tuple[Floats, Floats]:
        mean, std = self._extrapolate(curves)
        return self._correction(curves.shape[1]).apply(curves[:, -1], mean, std)

    def _correction(self, seen: int) -> Correction:
        """Return the correction of forecasts of curves of which so many values are seen."""
        if len(self._complete) < _ENOUGH:
            return Correction()
        if seen not in self._corrections:
            mean, std = self._extrapolate(self._complete[:, :seen])
            last, final = self._complete[:, seen - 1], self._complete[:, -1]
            self._corrections[seen] = Correction.learn(last, mean, std, final)
        return self._corrections[seen]
