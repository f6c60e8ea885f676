"""What a forecast is worth for ranking: who beats whom, who is among the best, and how far the order can be trusted.

All functions take means and standard deviations of Gaussian forecasts, both `(n,)`; `Predictor.predict_latent` gives
them on the scale where forecasts are Gaussian. A metric's direction is said by `higher_is_better`. Forecasts are taken
as independent: errors that neighbours share make the true probabilities more extreme than those given here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from ..errors import InvalidDataError
from .checks import check_integer

Floats = NDArray[np.float64]

_BLOCK_ELEMENTS = 1 << 22


def probability_better(
    mean: ArrayLike,
    std: ArrayLike,
    other_mean: ArrayLike | None = None,
    other_std: ArrayLike | None = None,
    *,
    higher_is_better: bool = True,
) -> Floats:
    """Return the probability that each architecture beats each other one, `(n, m)`.

    `Phi((m_a - m_b) / sqrt(s_a^2 + s_b^2))`, of one training of each, because the deviations hold the noise of a
    training.

    Parameters
    ----------
    mean, std : arrays `(n,)`
    other_mean, other_std : arrays `(m,)`, optional
        The opponents; the same architectures by default, and then the diagonal is 1/2.
    higher_is_better : bool

    Raises
    ------
    InvalidDataError
        If lengths differ, a value is not finite, or a deviation is not positive.

    Examples
    --------
    >>> probability_better([1.0, 0.0], [1.0, 1.0]).round(2).tolist()
    [[0.5, 0.76], [0.24, 0.5]]
    """
    centre, spread = _forecast("mean", "std", mean, std)
    if (other_mean is None) != (other_std is None):
        raise InvalidDataError("expected both other_mean and other_std, or neither, got one of them")
    if other_mean is None or other_std is None:
        other_centre, other_spread = centre, spread
    else:
        other_centre, other_spread = _forecast("other_mean", "other_std", other_mean, other_std)
    gap = centre[:, None] - other_centre
    score = gap / np.hypot(spread[:, None], other_spread)
    result: Floats = ndtr(score if higher_is_better else -score)
    return result


def expected_kendall_tau(mean: ArrayLike, std: ArrayLike, *, pairs: int = 1_000_000, seed: int = 0) -> float:
    """Return the Kendall tau that the order of the forecasts is expected to have with trainings of all, 0 to 1.

    The mean over pairs of `2 Phi(|m_a - m_b| / sqrt(s_a^2 + s_b^2)) - 1`; exact, or over so many pairs drawn by the
    seed where there are more. It is the forecast's own opinion: as good as its deviations are calibrated.

    Raises
    ------
    InvalidDataError
        If there are fewer than two forecasts, lengths differ, a value is not finite, or a deviation is not positive.
    """
    centre, spread = _forecast("mean", "std", mean, std)
    check_integer("pairs", pairs, 1)
    check_integer("seed", seed, 0)
    n = len(centre)
    if n < 2:
        raise InvalidDataError(f"expected at least 2 forecasts to rank, got {n}")
    if n * (n - 1) // 2 <= pairs:
        first, second = np.triu_indices(n, 1)
    else:
        rng = np.random.default_rng(seed)
        first = rng.integers(0, n, pairs)
        second = (first + rng.integers(1, n, pairs)) % n
    score = np.abs(centre[first] - centre[second]) / np.hypot(spread[first], spread[second])
    return float(np.mean(2 * ndtr(score) - 1))


def top_k_probability(
    mean: ArrayLike, std: ArrayLike, k: int, *, higher_is_better: bool = True, draws: int = 2000, seed: int = 0
) -> Floats:
    """Return the probability that each architecture is among the best k of all given, `(n,)`; they sum to k.

    By Monte Carlo: `draws` times a training of each is drawn from its forecast.

    Raises
    ------
    InvalidDataError
        If k is not in 1..n, lengths differ, a value is not finite, or a deviation is not positive.
    """
    centre, spread = _forecast("mean", "std", mean, std)
    check_integer("draws", draws, 1)
    check_integer("seed", seed, 0)
    n = len(centre)
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 1 <= k <= n:
        raise InvalidDataError(f"k must be a whole number in 1..{n}, got {k!r}")
    oriented = centre if higher_is_better else -centre
    rng, counts = np.random.default_rng(seed), np.zeros(n)
    block = max(1, _BLOCK_ELEMENTS // n)
    for start in range(0, draws, block):
        size = min(block, draws - start)
        drawn = oriented + spread * rng.standard_normal((size, n))
        best = np.argpartition(-drawn, k - 1, axis=1)[:, :k]
        counts += np.bincount(best.ravel(), minlength=n)
    probability: Floats = counts / draws
    return probability


def _forecast(mean_name: str, std_name: str, mean: ArrayLike, std: ArrayLike) -> tuple[Floats, Floats]:
    centre, spread = np.asarray(mean, dtype=np.float64), np.asarray(std, dtype=np.float64)
    if centre.ndim != 1 or centre.shape != spread.shape:
        raise InvalidDataError(
            f"{mean_name} and {std_name} must be vectors of one length, got shapes {centre.shape} and {spread.shape}"
        )
    for name, values, usable in (
        (mean_name, centre, np.isfinite(centre)),
        (std_name, spread, np.isfinite(spread) & (spread > 0)),
    ):
        if not usable.all():
            position = int(np.argmin(usable))
            expected = "finite" if name == mean_name else "finite and positive"
            raise InvalidDataError(f"{name} must be {expected}, got {values[position]} at position {position}")
    return centre, spread
