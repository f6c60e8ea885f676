"""How noisy each label is: standard errors from few seeds, and the noise to expect of architectures without any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import digamma, polygamma

from ..errors import InvalidDataError
from .targets import RankGaussian

Floats = NDArray[np.float64]

_ENOUGH = 10
"""Variances from which on their trend over the level is looked at; a constant before."""
_LEAST_SHARE = 1e-3
"""The smallest variance that counts, as a share of the median: equal outcomes of few seeds are chance or rounding."""
_PRIOR_DEGREES = (0.1, 1e4)


def standard_errors(values: ArrayLike) -> Floats:
    """Return the standard error of the mean over seeds of each architecture, `(n,)`.

    The variance of two or three seeds says little by itself. It is averaged with what architectures of such a mean
    have, which counts as many degrees of freedom as the spread of the variances around this trend suggests: the
    moderated variances of Smyth (2004), whose prior is a scaled inverse chi-squared distribution, here with a
    log-quadratic trend over the normal scores of the means. An architecture with one seed has that of the trend.

    Parameters
    ----------
    values : float array `(n, seeds)`
        One outcome a seed, NaN where there is none.

    Returns
    -------
    float64 array `(n,)`
        NaN for architectures without any outcome.

    Raises
    ------
    InvalidDataError
        If it is no such array, a value is infinite, or no architecture has different outcomes.

    Notes
    -----
    Smyth, "Linear Models and Empirical Bayes Methods for Assessing Differential Expression in Microarray Experiments",
    Statistical Applications in Genetics and Molecular Biology 3, 2004, sections 6.2 and 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> outcomes = np.random.default_rng(0).normal(90, 0.5, size=(200, 3))
    >>> errors = standard_errors(outcomes)
    >>> bool(np.abs(errors - 0.5 / np.sqrt(3)).max() < 0.1)
    True
    """
    outcomes = np.asarray(values, dtype=np.float64)
    if outcomes.ndim != 2:
        raise InvalidDataError(f"expected outcomes of shape (architectures, seeds), got shape {outcomes.shape}")
    if np.isinf(outcomes).any():
        row, seed = np.argwhere(np.isinf(outcomes))[0]
        raise InvalidDataError(f"outcomes must be finite or NaN, got {outcomes[row, seed]} for architecture {row}")
    known = np.isfinite(outcomes)
    count = known.sum(axis=1)
    mean = np.where(known, outcomes, 0.0).sum(axis=1) / np.maximum(count, 1)
    degrees = np.maximum(count - 1, 0)
    variance = np.where(known, (outcomes - mean[:, None]) ** 2, 0.0).sum(axis=1) / np.maximum(degrees, 1)
    several = degrees > 0
    if not (variance[several] > 0).any():
        raise InvalidDataError(
            f"expected different outcomes of at least one architecture, got {int(several.sum())} of {len(outcomes)} "
            "with more than one, and all of these equal"
        )
    scores = np.zeros(len(outcomes))
    measured = mean[count > 0]
    if np.ptp(measured) > 0:
        scores[count > 0] = RankGaussian().fit(measured).transform(measured)
    pooled = _moderated(scores, variance, degrees)
    errors: Floats = np.where(count > 0, np.sqrt(pooled / np.maximum(count, 1)), np.nan)
    return errors


def _moderated(scores: Floats, variance: Floats, degrees: NDArray[np.intp]) -> Floats:
    """Return each variance averaged with the prior one at its score, `(n,)`."""
    several = degrees > 0
    half = degrees[several] / 2
    raised = np.maximum(variance[several], _LEAST_SHARE * np.median(variance[several & (variance > 0)]))
    # The logarithm of a chi-squared mean square has this expectation and the variance polygamma(1, half).
    logs = np.log(raised) - digamma(half) + np.log(half)
    curve = _curve(scores[several], logs)
    residual = logs - np.polyval(curve, scores[several])
    free = max(len(logs) - len(curve), 1)
    excess = float((residual**2).sum() / free - polygamma(1, half).mean())
    prior = _prior_degrees(excess)
    level = np.exp(np.polyval(curve, _within(scores, scores[several])) + digamma(prior / 2) - np.log(prior / 2))
    mean: Floats = (prior * level + degrees * variance) / (prior + degrees)
    return mean


def _prior_degrees(excess: float) -> float:
    """Return the degrees of freedom at which log variances scatter by `excess`: many where they do not."""
    low, high = _PRIOR_DEGREES
    if excess <= polygamma(1, high / 2):
        return high
    if excess >= polygamma(1, low / 2):
        return low
    return float(brentq(lambda degrees: float(polygamma(1, degrees / 2)) - excess, low, high))


def _curve(at: Floats, logs: Floats) -> Floats:
    """Return the coefficients of a parabola through logarithms, or a constant where there are few or all is level."""
    degree = 2 if len(logs) >= _ENOUGH and len(np.unique(at)) > 2 else 0
    return np.asarray(np.polyfit(at, logs, degree))


def _within(at: Floats, known: Floats) -> Floats:
    """Return values no farther out than known ones: parabolas are not for extrapolation."""
    return np.clip(at, known.min(), known.max())


class NoiseTrend(NamedTuple):
    """The variance of the noise as a function of the level: its logarithm is a parabola between known levels.

    Parameters
    ----------
    coefficients : float64 array `(3,)`
        Highest power first.
    limits : float64 array `(2,)`
        The levels between which it was learned; beyond them it stays as it is there.
    """

    coefficients: Floats
    limits: Floats

    @classmethod
    def learn(cls, level: Floats, variance: Floats) -> Self:
        """Return the trend of variances `(n,)`, NaN where unknown, whose mean over the known ones is theirs."""
        known = np.isfinite(variance)
        at, given = level[known], variance[known]
        if not (given > 0).any():
            return cls(np.zeros(3), np.zeros(2))  # nothing is known: 1 everywhere
        curve = _curve(at, np.log(np.maximum(given, _LEAST_SHARE * np.median(given[given > 0]))))
        curve[-1] += np.log(given.mean() / np.exp(np.polyval(curve, at)).mean())
        return cls(np.concatenate([np.zeros(3 - len(curve)), curve]), np.array([at.min(), at.max()]))

    def __call__(self, level: Floats) -> Floats:
        """Return the variance at levels, any shape."""
        return np.exp(np.polyval(self.coefficients, np.clip(level, *self.limits)))

    @classmethod
    def restored(cls, arrays: Mapping[str, Any]) -> Self:
        """Return the trend that `_asdict` described."""
        trend = cls(**arrays)
        if trend.coefficients.shape != (3,) or trend.limits.shape != (2,):
            raise ValueError(
                f"a noise trend of {trend.coefficients.shape} coefficients and {trend.limits.shape} limits"
            )
        return trend
