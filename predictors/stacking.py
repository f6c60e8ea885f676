"""Weighing forecasters by what they said of observations they did not see."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

Floats = NDArray[np.float64]

_LEADING_SHARE = 0.7
"""The prior weight of the candidates to rely on, evenly shared; the others share the rest."""
_PRIOR_COUNT = 20.0
"""Observations that the prior weights count for: what keeps the weights stable with a few dozen."""
_LEAST_WEIGHT = 0.05
"""A candidate that weighs less is not worth its time."""
_STEPS = (0.5, 0.2, 0.1, 0.05)
_MOST_TAU = 0.99


def pooled(weights: Floats, means: Floats, stds: Floats) -> tuple[Floats, Floats]:
    """Return mean and deviation, `(n,)`, of a mixture of Gaussians `(candidates, n)`: disagreement is doubt."""
    mean: Floats = weights @ means
    variance = weights @ (stds**2 + (means - mean) ** 2)
    return mean, np.sqrt(variance)


def log_score(target: Floats, mean: Floats, std: Floats) -> float:
    """Return the mean log density of the targets, `(n,)`; higher is better."""
    return float(-np.mean(0.5 * np.log(2 * np.pi) + np.log(std) + 0.5 * ((target - mean) / std) ** 2))


def rank_correlation(target: Floats, forecast: Floats) -> float:
    """Return Kendall's tau, 0 where one side is constant."""
    tau = float(kendalltau(target, forecast).statistic)
    return tau if np.isfinite(tau) else 0.0


def prior_weights(candidates: int, leaders: int = 1) -> Floats:
    """Return what candidates weigh before anything is left out, `(candidates,)`; the first `leaders` share 70 %."""
    others = candidates - leaders
    if others <= 0:
        return np.full(candidates, 1 / candidates)
    prior: Floats = np.r_[np.full(leaders, _LEADING_SHARE / leaders), np.full(others, (1 - _LEADING_SHARE) / others)]
    return prior


def criterion(weights: Floats, target: Floats, means: Floats, prior: Floats) -> float:
    """Return how good weights `(candidates,)` are: what `chosen_weights` maximises.

    The mean of two log likelihoods of the left-out targets and a log prior, all up to constants. The log score is that
    of a Gaussian around the weighted means whose one deviation is the best, `-n/2 log(mean squared error)`: weights
    decide about the means, and deviations are corrected later. The ranking counts as the Gaussian copula with the
    Kendall tau of the weighted means, `-n log cos(pi tau / 2)`. The prior is a Dirichlet density around `prior`.
    """
    mean = weights @ means
    tau = np.clip(rank_correlation(target, mean), 0.0, _MOST_TAU)
    ranking = -len(target) * np.log(np.cos(0.5 * np.pi * tau))
    score = -0.5 * len(target) * np.log(max(float(np.mean((target - mean) ** 2)), 1e-12))
    return float(0.5 * (ranking + score) + _PRIOR_COUNT * prior @ np.log(np.maximum(weights, _LEAST_WEIGHT)))


def chosen_weights(target: Floats, means: Floats, prior: Floats) -> Floats:
    """Return the convex weights, `(candidates,)`, by which candidates rank and score left-out targets best.

    Found by steps of decreasing size from the prior weights towards, or away from, one candidate at a time, as long as
    the `criterion` rises. Weights below 5 % become 0.

    Parameters
    ----------
    target : array `(n,)`
        Transformed targets.
    means : array `(candidates, n)`
        What each candidate said of them without having seen them.
    prior : array `(candidates,)`
        Positive, with sum 1.
    """
    weights, corners = prior, np.eye(len(means))
    best = criterion(weights, target, means, prior)
    for step in _STEPS:
        rising = True
        while rising:
            tried = [_moved(weights, corner, signed) for corner in corners for signed in (step, -step)]
            values = [criterion(one, target, means, prior) for one in tried]
            rising = max(values) > best + 1e-9
            if rising:
                weights, best = tried[int(np.argmax(values))], max(values)
    weights = np.where(weights < _LEAST_WEIGHT, 0.0, weights)
    result: Floats = weights / weights.sum()
    return result


def _moved(weights: Floats, corner: Floats, step: float) -> Floats:
    """Return weights moved towards one candidate, or away from it; none becomes negative."""
    moved = np.maximum(weights + step * (corner - weights), 0.0)
    result: Floats = moved / moved.sum()
    return result
