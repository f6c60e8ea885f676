"""Weighing forecasters by what they said of observations they did not see."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import kendalltau

Floats = NDArray[np.float64]

_PRIOR_COUNT = 4.0
"""Observations that the prior weights count for: what keeps the weights stable with a few dozen."""
_LEAST_WEIGHT = 0.05
"""A candidate that weighs less is not worth its time."""
_MOST_RANKED = 2000


def pooled(weights: Floats, means: Floats, stds: Floats) -> tuple[Floats, Floats]:
    """Return mean and deviation, `(n,)`, of a mixture of Gaussians `(candidates, n)`: disagreement is doubt."""
    mean: Floats = weights @ means
    variance = weights @ (stds**2 + (means - mean) ** 2)
    return mean, np.sqrt(variance)


def log_score(target: Floats, mean: Floats, std: Floats) -> float:
    """Return the mean log density of the targets, `(n,)`; higher is better."""
    return float(-np.mean(0.5 * np.log(2 * np.pi) + np.log(std) + 0.5 * ((target - mean) / std) ** 2))


def stacked_weights(target: Floats, means: Floats, stds: Floats) -> Floats:
    """Return convex weights `(candidates,)` by which the pooled forecast gives left-out targets the best log score.

    Stacking of predictive distributions (Yao, Vehtari, Simpson and Gelman, Bayesian Analysis 2018), here of the pooled
    Gaussian, which is what will be forecast. A Dirichlet prior around equal weights, worth four observations, is part
    of the objective: with few observations the weights stay near equal, and with many it is forgotten.

    Parameters
    ----------
    target : array `(n,)`
        Transformed targets.
    means, stds : arrays `(candidates, n)`
        What each candidate said of them without having seen them.
    """
    prior = np.full(len(means), _PRIOR_COUNT / len(means))
    squares = stds**2 + means**2

    def negative(logits: Floats) -> tuple[float, Floats]:
        weights = np.exp(logits - logits.max())
        weights /= weights.sum()
        mean = weights @ means
        variance = weights @ squares - mean**2
        error = target - mean
        value = 0.5 * float((np.log(variance) + error**2 / variance).sum()) - float(prior @ np.log(weights))
        by_mean, by_variance = -error / variance, 0.5 * (1 - error**2 / variance) / variance
        slope = means @ by_mean + (squares - 2 * mean * means) @ by_variance
        return value, weights * (slope - weights @ slope) - prior + _PRIOR_COUNT * weights

    found = minimize(negative, np.zeros(len(means)), jac=True, method="L-BFGS-B", bounds=[(-15, 15)] * len(means))
    weights = np.exp(found.x - found.x.max())
    weights = np.where(weights < _LEAST_WEIGHT * weights.sum(), 0.0, weights)
    result: Floats = weights / weights.sum()
    return result


def ranks_clearly_better(target: Floats, first: Floats, second: Floats) -> bool:
    """Return whether `first` ranks the targets better than `second` by more than one standard error.

    Kendall's tau is a mean over pairs; its difference between two forecasts, `(n,)`, has twice the standard error of
    the mean over observations of their own share in it (Hajek's projection of a U-statistic). With more than 2,000
    observations the first 2,000 are looked at.
    """
    target, first, second = target[:_MOST_RANKED], first[:_MOST_RANKED], second[:_MOST_RANKED]
    truth = np.sign(target[:, None] - target)
    gain = truth * (np.sign(first[:, None] - first) - np.sign(second[:, None] - second))
    shares = gain.sum(axis=1) / (len(target) - 1)
    return bool(shares.mean() > 2 * shares.std() / np.sqrt(len(target)))


def rank_correlation(target: Floats, forecast: Floats) -> float:
    """Return Kendall's tau, 0 where one side is constant."""
    tau = float(kendalltau(target, forecast).statistic)
    return tau if np.isfinite(tau) else 0.0
