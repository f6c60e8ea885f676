"""Correcting how sure a surrogate is, by how far it was off on observations it did not see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from .checks import check_choice

Floats = NDArray[np.float64]

_PRIOR_WEIGHT = 20.0
"""How many observations the assumption counts for that the deviation is right as it is."""
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(63)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def shrunk_scale(residuals: Floats) -> float:
    """Return the root mean square of standardised residuals, `(n,)`, shrunk to 1 where they are few."""
    return float(np.sqrt(((residuals**2).sum() + _PRIOR_WEIGHT) / (len(residuals) + _PRIOR_WEIGHT)))


def _scale_knots(residuals: Floats) -> Floats:
    """Return no knots: a single factor says all."""
    return np.zeros((0, 2))


def _conformal_knots(residuals: Floats) -> Floats:
    """Return half-widths that hold k of n + 1 residuals, for k = 1 ... n, at both of their levels, `(2 n, 2)`.

    The k-th smallest `|r|` is the half-width of the split-conformal interval of coverage `k / (n + 1)`.
    """
    widths = np.sort(np.abs(residuals))
    upper = 0.5 + 0.5 * np.arange(1, len(widths) + 1) / (len(widths) + 1)
    return np.concatenate([np.stack([1 - upper, -widths], axis=1)[::-1], np.stack([upper, widths], axis=1)])


def _isotonic_knots(residuals: Floats) -> Floats:
    """Return the isotonic regression of residuals on their levels that passes through (1/2, 0), `(n, 2)`.

    Sorted residuals rise with their levels already, so that only the constraint at the median is left to meet.
    """
    levels = np.arange(1, len(residuals) + 1) / (len(residuals) + 1)
    ordered = np.sort(residuals)
    sided = np.where(levels < 0.5, np.minimum(ordered, 0), np.maximum(ordered, 0))
    return np.stack([levels, np.where(levels == 0.5, 0.0, sided)], axis=1)


METHODS: Mapping[str, Callable[[Floats], Floats]] = {
    "scale": _scale_knots,
    "conformal": _conformal_knots,
    "isotonic": _isotonic_knots,
}
"""How levels and the standardised residuals at them follow from residuals."""


class Recalibration:
    """A monotone map from the quantiles of a standard Gaussian to those of standardised residuals.

    - `"scale"`: one factor on the deviation.
    - `"conformal"`: intervals as wide as held-out residuals say, symmetric (Lei et al., JASA 2018, with residuals
      normalised by the deviation; over folds as in CV+, Barber et al., Annals of Statistics 2021).
    - `"isotonic"`: each level on its own, so that intervals may be lopsided (Kuleshov, Fenner and Ermon, ICML 2018).

    The median stays where it was, so that the forecast ranks as before. Beyond the outermost residual quantiles go on
    as a Gaussian's do. Few residuals say little: the map is averaged with that of a Gaussian whose factor is itself
    shrunk to 1, and which counts for twenty observations.

    Parameters
    ----------
    knots : array `(k, 2)`
        Gaussian quantiles and those of standardised residuals, both increasing.
    scale : float
        The factor on the Gaussian.
    share : float
        The weight of the knots against the Gaussian.
    """

    def __init__(self, knots: Floats, scale: float, share: float) -> None:
        self.knots, self.scale, self.share = knots, scale, share

    @classmethod
    def learn(cls, method: str, residuals: Floats) -> Self:
        """Learn from standardised residuals of held-out observations, `(n,)`; none change nothing.

        Raises
        ------
        InvalidDataError
            If there is no such method.
        """
        check_choice("calibration", method, METHODS)
        knots = METHODS[method](residuals) if len(residuals) else np.zeros((0, 2))
        knots[:, 0] = ndtri(knots[:, 0])
        share = len(residuals) / (len(residuals) + _PRIOR_WEIGHT) if len(knots) else 0.0
        return cls(knots, shrunk_scale(residuals), share)

    def __call__(self, gaussian: Floats) -> Floats:
        """Return what to take in place of quantiles of a standard Gaussian, any shape; rises strictly with them."""
        scaled: Floats = self.scale * gaussian
        if not len(self.knots):
            return scaled
        low, high = self.knots[0], self.knots[-1]
        before = int(np.searchsorted(self.knots[:, 0], 0.0))
        found = np.interp(gaussian, *np.insert(self.knots, before, 0.0, axis=0).T)
        found = np.where(gaussian < low[0], low[1] * gaussian / low[0], found)
        found = np.where(gaussian > high[0], high[1] * gaussian / high[0], found)
        return self.share * found + (1 - self.share) * scaled

    @property
    def deviation(self) -> float:
        """The standard deviation of a standardised residual: what the deviation of a forecast is multiplied by."""
        return float(np.sqrt(self(_NODES) ** 2 @ _WEIGHTS))

    def distribution(self, mean: Floats, std: Floats, levels: Floats) -> tuple[Floats, Floats, Floats]:
        """Return the mean `(n, m)`, its deviation corrected, and corrected quantiles at the levels, `(n, m, q)`."""
        return mean, std * self.deviation, mean[..., None] + std[..., None] * self(ndtri(levels))

    def arrays(self) -> dict[str, Floats]:
        """Return what was learned, for saving."""
        return {"knots": self.knots, "factors": np.array([self.scale, self.share])}

    @classmethod
    def restored(cls, arrays: Mapping[str, Floats]) -> Self:
        """Take back what `arrays` returned, or raise ValueError if it does not fit together."""
        knots, factors = arrays["knots"], arrays["factors"]
        if knots.ndim != 2 or knots.shape[1] != 2 or (np.diff(knots, axis=0) < 0).any():
            raise ValueError("the knots of a recalibration must rise")
        scale, share = factors.tolist()
        return cls(knots, scale, share)
