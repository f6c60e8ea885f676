"""Whether a forecast knows how sure it may be: coverage, likelihood, CRPS, sharpness, calibration curve."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from ..errors import InvalidDataError
from ._checks import deviations, pair, require_finite, require_length

LEVELS: NDArray[np.float64] = np.r_[0.025, np.round(np.arange(1, 20) * 0.05, 2), 0.975]
"""Levels 0.025, 0.05, 0.10 ... 0.95, 0.975: symmetric, so that central intervals of 10, 20 ... 90 and of 95 % can be
read from them."""
LEVELS.setflags(write=False)


def gaussian_nll(truth: ArrayLike, mean: ArrayLike, std: ArrayLike) -> float:
    """Return the mean negative log likelihood of a Gaussian forecast, in nats.

    `mean(log(2 pi s^2) / 2 + (y - m)^2 / (2 s^2))`. NaN, because undefined, where a deviation is zero.

    Raises
    ------
    InvalidDataError
        If lengths differ, a value is not finite, or a deviation is negative.
    """
    true, centre = pair(truth, mean, least=1)
    spread = deviations(std, len(true))
    if (spread == 0).any():
        return float("nan")
    score = (true - centre) / spread
    return float(np.mean(0.5 * np.log(2 * np.pi) + np.log(spread) + 0.5 * score**2))


def gaussian_crps(truth: ArrayLike, mean: ArrayLike, std: ArrayLike) -> float:
    """Return the mean continuous ranked probability score of a Gaussian forecast, in the units of the metric.

    With `w = (y - m) / s`: `s (w (2 Phi(w) - 1) + 2 phi(w) - 1 / sqrt(pi))`; where `s` is zero its limit, the absolute
    error. Lower is better.

    References
    ----------
    T. Gneiting and A. E. Raftery, Strictly proper scoring rules, prediction, and estimation, JASA 102 (2007), eq. 21.

    Raises
    ------
    InvalidDataError
        If lengths differ, a value is not finite, or a deviation is negative.
    """
    true, centre = pair(truth, mean, least=1)
    spread = deviations(std, len(true))
    error = true - centre
    score = np.divide(error, spread, out=np.zeros_like(error), where=spread > 0)
    density = np.exp(-0.5 * score**2) / np.sqrt(2 * np.pi)
    crps = spread * (score * (2 * ndtr(score) - 1) + 2 * density - 1 / np.sqrt(np.pi))
    return float(np.mean(np.where(spread > 0, crps, np.abs(error))))


def sharpness(std: ArrayLike) -> float:
    """Return the root mean squared deviation of the forecasts, in the units of the metric; lower is sharper.

    References
    ----------
    V. Kuleshov, N. Fenner, S. Ermon, Accurate uncertainties for deep learning using calibrated regression, ICML 2018.
    """
    spread = deviations(std, len(np.atleast_1d(np.asarray(std))))
    if not len(spread):
        raise InvalidDataError("expected at least 1 standard deviation, got none")
    return float(np.sqrt(np.mean(spread**2)))


def coverage(truth: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> float:
    """Return the share of true values that lie in `[lower, upper]`, 0 to 1.

    Raises
    ------
    InvalidDataError
        If lengths differ, a value is not finite, or a lower end lies above its upper end.
    """
    true, low = pair(truth, lower, least=1)
    _, high = pair(truth, upper, least=1)
    crossed = low > high
    if crossed.any():
        position = int(np.argmax(crossed))
        raise InvalidDataError(
            f"an interval must not end below its start, got [{low[position]}, {high[position]}] at position {position}"
        )
    return float(np.mean((low <= true) & (true <= high)))


def gaussian_quantiles(mean: ArrayLike, std: ArrayLike, levels: ArrayLike = LEVELS) -> NDArray[np.float64]:
    """Return the quantiles of Gaussian forecasts, `(n, q)`, in the units of the metric."""
    centre = np.asarray(mean, dtype=np.float64)
    grid: NDArray[np.float64] = centre[:, None] + deviations(std, len(centre))[:, None] * ndtri(check_levels(levels))
    return grid


def check_levels(levels: ArrayLike | None) -> NDArray[np.float64]:
    """Return quantile levels `(q,)`; `LEVELS` for None.

    Raises
    ------
    InvalidDataError
        If they are not strictly increasing, or not strictly between 0 and 1.
    """
    if levels is None:
        return LEVELS
    array = np.asarray(levels, dtype=np.float64)
    inside = array.ndim == 1 and len(array) > 0 and bool(((array > 0) & (array < 1)).all())
    if not inside or (np.diff(array) <= 0).any():
        raise InvalidDataError(f"levels must increase strictly between 0 and 1, got {array.tolist()}")
    return array


def quantile_matrix(quantiles: ArrayLike, levels: ArrayLike | None, length: int) -> NDArray[np.float64]:
    """Return quantiles as a finite matrix `(length, q)` with one column for each level.

    Raises
    ------
    InvalidDataError
        If the shape does not fit, a value is not finite, or the levels are unusable.
    """
    grid, listed = np.asarray(quantiles, dtype=np.float64), check_levels(levels)
    if grid.ndim != 2 or grid.shape[1] != len(listed):
        raise InvalidDataError(f"quantiles must have shape (n, {len(listed)}), got {grid.shape}")
    require_length("quantiles", grid, length)
    require_finite("quantiles", grid)
    return grid


def calibration_curve(
    truth: ArrayLike, quantiles: ArrayLike, levels: ArrayLike | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return levels and the observed share of true values at or below the forecast's quantile of each, both `(q,)`.

    A calibrated forecast has both equal: the diagonal of the reliability diagram.

    References
    ----------
    V. Kuleshov, N. Fenner, S. Ermon, Accurate uncertainties for deep learning using calibrated regression, ICML 2018.

    Raises
    ------
    InvalidDataError
        If shapes do not fit, a value is not finite, or the levels are unusable.
    """
    listed = check_levels(levels)
    grid = np.asarray(quantiles, dtype=np.float64)
    true, _ = pair(truth, truth, least=1)
    grid = quantile_matrix(grid, listed, len(true))
    return listed, np.mean(true[:, None] <= grid, axis=0)


def calibration_error(truth: ArrayLike, quantiles: ArrayLike, levels: ArrayLike | None = None) -> float:
    """Return the expected calibration error: mean over the levels of |observed share - level|, 0 to 1, lower is better.

    The arguments, errors and the source are those of `calibration_curve`.
    """
    listed, observed = calibration_curve(truth, quantiles, levels)
    return float(np.mean(np.abs(observed - listed)))


def summarize(
    truth: NDArray[np.float64],
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
    quantiles: NDArray[np.float64] | None = None,
    levels: ArrayLike | None = None,
) -> dict[str, float]:
    """Return all calibration measures of one forecast; without quantiles it is taken as Gaussian.

    The central intervals of 50, 80, 90 and 95 % are interpolated between the given levels (exact for `LEVELS`), and NaN
    where the levels do not reach so far out.
    """
    listed = check_levels(levels)
    grid = gaussian_quantiles(mean, std, listed) if quantiles is None else quantiles
    result: dict[str, float] = {}
    for percent in (50, 80, 90, 95):
        low, high = (quantile_at(grid, listed, level) for level in (0.5 - percent / 200, 0.5 + percent / 200))
        reachable = low is not None and high is not None
        result[f"coverage_{percent}"] = coverage(truth, low, high) if reachable else float("nan")  # type: ignore[arg-type]
        if percent == 90:
            result["interval_width_90"] = float(np.mean(high - low)) if reachable else float("nan")  # type: ignore[operator]
    result["nll"] = gaussian_nll(truth, mean, std)
    result["crps"] = gaussian_crps(truth, mean, std)
    result["sharpness"] = sharpness(std)
    result["calibration_error"] = calibration_error(truth, grid, listed)
    return result


def quantile_at(grid: NDArray[np.float64], levels: NDArray[np.float64], level: float) -> NDArray[np.float64] | None:
    """Return the quantiles at one level `(n,)` from those at `levels`: linear between neighbours, None outside."""
    near = int(np.argmin(np.abs(levels - level)))
    if abs(levels[near] - level) < 1e-9:
        return grid[:, near]
    right = int(np.searchsorted(levels, level))
    if right in (0, len(levels)):
        return None
    weight = (level - levels[right - 1]) / (levels[right] - levels[right - 1])
    between: NDArray[np.float64] = (1 - weight) * grid[:, right - 1] + weight * grid[:, right]
    return between
