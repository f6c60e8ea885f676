"""The deviation of a surrogate that has none of its own: refit it to resamples, and look at what was left out.

Two schemes. *Folds* (the default): each of K members leaves out one fold; the spread of the members around the full
fit, times K - 1, is the delete-a-group jackknife estimate of the variance of the full fit (Kott, 2001). *Bootstrap*:
each member sees n draws with replacement (Breiman, 1996) and the plain spread is the estimate. Errors on left-out
observations hold both this variance and the noise; what the variance does not explain of them is the noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SCHEMES = ("folds", "bootstrap")
_LEAST_OBSERVATIONS = 5
"""With fewer there is nothing to be learned from leaving some out; the deviation is that of the targets."""
_LEAST_SHARE = 0.25
"""The least share of the left-out error that counts as noise."""


def resample(scheme: str, n: int, members: int, seed: int) -> NDArray[np.int64]:
    """Return how often each member sees each observation, `(members', n)`; `members'` may be less for small `n`."""
    rng = np.random.default_rng(seed)
    if n < _LEAST_OBSERVATIONS:
        return np.zeros((0, n), dtype=np.int64)
    if scheme == "bootstrap":
        return np.stack([np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(members)])
    folds = min(members, n)
    fold = rng.permutation(n) % folds
    counts: NDArray[np.int64] = (fold != np.arange(folds)[:, None]).astype(np.int64)
    return counts


def model_variance(scheme: str, full: NDArray[np.float64], members: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the variance of the fit at each point, `(n,)`, from forecasts of the full fit and of the members."""
    if not len(members):
        return np.zeros_like(full)
    if scheme == "bootstrap":
        return np.asarray(members.var(axis=0, ddof=1))
    return np.asarray(((members - full) ** 2).sum(axis=0) * (len(members) - 1) / len(members))


def noise_factor(
    scheme: str,
    target: NDArray[np.float64],
    full: NDArray[np.float64],
    members: NDArray[np.float64],
    counts: NDArray[np.int64],
    shape: NDArray[np.float64],
) -> float:
    """Return `c` such that the noise at a point has deviation `c * shape`.

    Parameters
    ----------
    scheme : {"folds", "bootstrap"}
    target, full : arrays `(n,)`
        What was observed at the training points, and the full fit's forecast there.
    members : array `(members, n)`
        The members' forecasts at the training points.
    counts : integer array `(members, n)`
        How often each member saw each.
    shape : array `(n,)`
        The shape of the noise deviation; ones where it is the same everywhere.
    """
    outside = counts == 0
    votes = outside.sum(axis=0)
    seen = votes > 0
    if not seen.any():
        return float(target.std() / shape.mean())
    left_out = (members * outside).sum(axis=0)[seen] / votes[seen]
    errors = (target[seen] - left_out) ** 2 / shape[seen] ** 2
    explained = model_variance(scheme, full, members)[seen] / shape[seen] ** 2
    return float(np.sqrt(max((errors - explained).mean(), _LEAST_SHARE * errors.mean(), 1e-6 * target.var())))
