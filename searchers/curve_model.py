"""A forecast of the end of a learning curve from its beginning, with a deviation, in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

_EXPONENTS = np.array([0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0])
_SPREAD = 2.0
"""Prior deviation of the remaining change, and of the whole change of a curve, in units of `scale`."""
_NOISE = 0.05
"""Prior deviation of a report from the curve, in units of `scale`."""


def forecast_final(epochs: Sequence[int], curves: Floats, last: int, scale: float) -> tuple[Floats, Floats]:
    """Forecast what learning curves that have all been reported at the same epochs will be at the last.

    A curve is a power law, `y(t) = f + b (t^-d - last^-d)` and noise, with `f` the value at the last epoch. For each of
    nine exponents `d` the posterior of `f`, `b` and the noise is conjugate; the forecast is the mixture of their
    Student-t distributions, weighted by evidence. Before much is known the last report is expected to stay. Power laws
    as curve models with uncertainty: Domhan, Springenberg and Hutter, "Speeding Up Automatic Hyperparameter
    Optimization of Deep Neural Networks by Extrapolation of Learning Curves", IJCAI 2015.

    Parameters
    ----------
    epochs : sequence of int `(l,)`
        Of the reports, at least one, all before `last`.
    curves : float64 array `(c, l)`
    last : int
    scale : float
        How far the values of trainings typically are from each other; positive.

    Returns
    -------
    mean, std : float64 arrays `(c,)`
        Of the value that will be reported at the last epoch.
    """
    times = np.asarray(epochs, dtype=np.float64) / last
    powers = times ** -_EXPONENTS[:, None] - 1
    slopes = powers / powers[:, :1]  # (g, l): 1 at the first report, 0 at the last epoch
    X = np.stack([np.ones_like(slopes), slopes], axis=2)
    offset = curves[:, -1]
    y = (curves - offset[:, None]) / scale
    precision = np.einsum("gli,glj->gij", X, X) + np.eye(2) * (_NOISE / _SPREAD) ** 2
    covariance = np.linalg.inv(precision)
    center = np.einsum("gij,glj,cl->gci", covariance, X, y)
    shape = 1 + len(times) / 2
    rest = (y**2).sum(axis=1) - np.einsum("gci,gij,gcj->gc", center, precision, center)
    rate = _NOISE**2 + 0.5 * np.maximum(rest, 0.0)
    evidence = 0.5 * np.linalg.slogdet(covariance)[1][:, None] - shape * np.log(rate)
    weights = np.exp(evidence - evidence.max(axis=0))
    weights /= weights.sum(axis=0)
    final = center[:, :, 0]
    variance = rate / (shape - 1) * (covariance[:, 0, 0] + 1)[:, None]
    mean = (weights * final).sum(axis=0)
    spread = (weights * (variance + final**2)).sum(axis=0) - mean**2
    return offset + scale * mean, scale * np.sqrt(np.maximum(spread, 0.0))


def typical_distance(values: Floats) -> float:
    """Return the interquartile range of values as a standard deviation would be, 0 if most are equal."""
    low, high = np.quantile(values, [0.25, 0.75])
    return float(high - low) / 1.349
