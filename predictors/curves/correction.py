"""Forecasts of a curve model, corrected by the errors that it makes for the complete curves."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...spaces import Architectures
from .base import Extrapolator, Floats, typical_distance

_ENOUGH = 5
"""With fewer complete curves a model is believed as it is."""
_DOUBT = 4.0
"""How many complete curves the model's own word counts as much as."""
_MOST = 300
"""Complete curves by which a model is corrected."""
_FAR = 4.0
"""Errors of more deviations, in units of what they typically are, count as so many: that training has diverged."""


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
        reach = std * _FAR * max(1.0, typical_distance((final - mean) / std))
        errors = np.clip(final - mean, -reach, reach)
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
    complete curves. Where the model comes in variants, that with the best log score of these forecasts is taken.
    Subclasses implement `_learn` and `_extrapolate`, which stand for `_fit` and `_predict`.
    """

    variants: ClassVar[tuple[float, ...]] = (0.0,)
    """What `_extrapolate` is given to choose from; the first while there are few complete curves."""

    @abstractmethod
    def _learn(self, curves: Floats) -> None:
        """Learn from complete curves `(n, l)`."""

    @abstractmethod
    def _extrapolate(self, curves: Floats, variant: float) -> tuple[Floats, Floats]:
        """Return the model's mean and deviation of the last value for curves `(m, k)`, `(m,)` each."""

    def _fit(self, curves: Floats, architectures: Architectures | None) -> None:
        self._learn(curves)
        # Evenly among all, and no more than it takes to know a mean and a deviation well.
        rows = np.unique(np.linspace(0, max(len(curves) - 1, 0), min(len(curves), _MOST)).astype(np.intp))
        self._complete = curves[rows]
        self._choices: dict[int, tuple[float, Correction]] = {}

    def _predict(self, curves: Floats, architectures: Architectures | None) -> tuple[Floats, Floats]:
        variant, correction = self._choice(curves.shape[1])
        mean, std = self._extrapolate(curves, variant)
        return correction.apply(curves[:, -1], mean, std)

    def _choice(self, seen: int) -> tuple[float, Correction]:
        """Return the variant and the correction for curves of which so many values are seen."""
        if len(self._complete) < _ENOUGH:
            return self.variants[0], Correction()
        if seen not in self._choices:
            last, final = self._complete[:, seen - 1], self._complete[:, -1]
            best, self._choices[seen] = -np.inf, (self.variants[0], Correction())
            for variant in self.variants:
                mean, std = self._extrapolate(self._complete[:, :seen], variant)
                correction = Correction.learn(last, mean, std, final)
                mean, std = correction.apply(last, mean, std)
                error = np.minimum(np.abs(final - mean) / std, _FAR)
                score = float(-(np.log(std) + error**2 / 2).mean())
                if score > best:
                    best, self._choices[seen] = score, (variant, correction)
        return self._choices[seen]
