"""How well a forecast ranks, how far it is off, and what one would win by trusting it.

All functions take true and predicted values of the same metric, both `(n,)` and in the metric's units. Correlations
and errors do not depend on the metric's direction, because truth and forecast share it; everything that speaks of
"the best" takes `higher_is_better`. Ties are never broken by the order of the rows: a measure of the predicted top k is
its expectation over all orders of the architectures that share the k-th place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ..errors import InvalidDataError
from . import calibration
from ._checks import deviations, finite_vector, pair, require_length, vector

DEFAULT_KS = (1, 10, 50)
"""The k of precision@k, regret@k and n@k that `evaluate` reports."""


# ---- ranking ------------------------------------------------------------------------------------------------------


def kendall_tau(truth: ArrayLike, prediction: ArrayLike) -> float:
    """Return Kendall's rank correlation tau-b, in O(n log n).

    `(C - D) / sqrt((P - T) (P - U))` with C concordant, D discordant of P pairs, T pairs tied in the truth and U in the
    prediction. NaN, because undefined, where all values of one side are equal.

    References
    ----------
    M. G. Kendall, The treatment of ties in ranking problems, Biometrika 33 (1945).

    Raises
    ------
    InvalidDataError
        If the lengths differ, there are fewer than two values, or a value is not finite.
    """
    true, predicted = pair(truth, prediction)
    if _constant(true) or _constant(predicted):
        return float("nan")
    return float(stats.kendalltau(true, predicted, variant="b").statistic)


def sparse_kendall_tau(truth: ArrayLike, prediction: ArrayLike, *, resolution: float = 0.1) -> float:
    """Return Kendall's tau-b after rounding both sides to multiples of `resolution`.

    Differences below the resolution are noise of the training rather than an order; the literature takes 0.1 points
    of accuracy.

    Parameters
    ----------
    resolution : float
        In the units of the metric: 0.1 for accuracies in percent, 0.001 for fractions.

    References
    ----------
    K. Yu et al., Evaluating the search phase of neural architecture search, ICLR 2020; A. Zela et al., Surrogate NAS
    benchmarks, ICLR 2022.

    Raises
    ------
    InvalidDataError
        As `kendall_tau`, or if the resolution is not positive.
    """
    if not (np.isfinite(resolution) and resolution > 0):
        raise InvalidDataError(f"resolution must be a positive number, got {resolution}")
    true, predicted = pair(truth, prediction)
    return kendall_tau(np.round(true / resolution), np.round(predicted / resolution))


def spearman(truth: ArrayLike, prediction: ArrayLike) -> float:
    """Return Spearman's rank correlation: Pearson's on mean ranks; NaN where all values of one side are equal."""
    true, predicted = pair(truth, prediction)
    return pearson(stats.rankdata(true), stats.rankdata(predicted))


def pearson(truth: ArrayLike, prediction: ArrayLike) -> float:
    """Return Pearson's linear correlation; NaN where all values of one side are equal."""
    true, predicted = pair(truth, prediction)
    if _constant(true) or _constant(predicted):
        return float("nan")
    # Scaled to unit range first, so that neither tiny nor huge values under- or overflow when squared.
    a, b = _unit_range(true), _unit_range(predicted)
    a, b = a - a.mean(), b - b.mean()
    # Sums rather than dot products: BLAS rounds differently with other numbers of threads.
    return float(np.clip(np.sum(a * b) / np.sqrt(np.sum(a * a) * np.sum(b * b)), -1.0, 1.0))


# ---- errors -------------------------------------------------------------------------------------------------------


def r2(truth: ArrayLike, prediction: ArrayLike) -> float:
    """Return the coefficient of determination `1 - sum (y - f)^2 / sum (y - mean y)^2`; NaN for a constant truth."""
    true, predicted = pair(truth, prediction)
    if _constant(true):
        return float("nan")
    return float(1.0 - np.sum((true - predicted) ** 2) / np.sum((true - true.mean()) ** 2))


def rmse(truth: ArrayLike, prediction: ArrayLike) -> float:
    """Return the root mean squared error, in the units of the metric."""
    true, predicted = pair(truth, prediction, least=1)
    return float(np.sqrt(np.mean((true - predicted) ** 2)))


def mae(truth: ArrayLike, prediction: ArrayLike) -> float:
    """Return the mean absolute error, in the units of the metric."""
    true, predicted = pair(truth, prediction, least=1)
    return float(np.mean(np.abs(true - predicted)))


# ---- what one wins by trusting the forecast -----------------------------------------------------------------------


def precision_at_k(truth: ArrayLike, prediction: ArrayLike, k: int, *, higher_is_better: bool = True) -> float:
    """Return which share of the predicted top k belongs to the true top k, 0 to 1.

    An architecture belongs to the true top k if fewer than k are strictly better, so that ties with the k-th count.

    References
    ----------
    X. Ning et al., A generic graph-based neural architecture encoding scheme for predictor-based NAS, ECCV 2020.

    Raises
    ------
    InvalidDataError
        As `kendall_tau`, or if k is not in 1..n.
    """
    gain, score = _oriented(truth, prediction, k, higher_is_better)
    hit = gain >= np.partition(gain, -k)[-k]
    sure, tied = _top(score, k)
    share_of_tied = (k - sure.sum()) / tied.sum()
    return float((hit[sure].sum() + share_of_tied * hit[tied].sum()) / k)


def regret_at_k(truth: ArrayLike, prediction: ArrayLike, k: int, *, higher_is_better: bool = True) -> float:
    """Return how far the best of the predicted top k stays behind the best of all, in the metric's units, at least 0.

    That is what is lost by training only the k architectures that the forecast likes best.

    Raises
    ------
    InvalidDataError
        As `kendall_tau`, or if k is not in 1..n.
    """
    gain, score = _oriented(truth, prediction, k, higher_is_better)
    return float(_expected_best(gain.max() - gain, score, k))


def n_at_k(truth: ArrayLike, prediction: ArrayLike, k: int, *, higher_is_better: bool = True) -> float:
    """Return the best true rank within the predicted top k, 1 is best; for k = 1 the true rank of the best predicted.

    The true rank is one plus the number of architectures that are strictly better.

    References
    ----------
    X. Ning et al., A generic graph-based neural architecture encoding scheme for predictor-based NAS, ECCV 2020.

    Raises
    ------
    InvalidDataError
        As `kendall_tau`, or if k is not in 1..n.
    """
    gain, score = _oriented(truth, prediction, k, higher_is_better)
    return float(_expected_best(stats.rankdata(-gain, method="min").astype(np.float64), score, k))


def _oriented(
    truth: ArrayLike, prediction: ArrayLike, k: int, higher_is_better: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    true, predicted = pair(truth, prediction, least=1)
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or not 1 <= k <= len(true):
        raise InvalidDataError(f"k must be an integer in 1..{len(true)}, got {k!r}")
    return (true, predicted) if higher_is_better else (-true, -predicted)


def _top(score: NDArray[np.float64], k: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return who is surely in the top k (fewer than k of them), and who shares the k-th place."""
    threshold = np.partition(score, -k)[-k]
    return score > threshold, score == threshold


def _expected_best(cost: NDArray[np.float64], score: NDArray[np.float64], k: int) -> float:
    """Return the expected smallest cost in the top k, when those who share the k-th place are drawn at random."""
    sure, tied = _top(score, k)
    bound = cost[sure].min() if sure.any() else np.inf
    places = k - int(sure.sum())
    candidates = np.sort(cost[tied])
    count = len(candidates)
    # P(the j cheapest of the tied are all left out), for j = 0, 1, ...: a product of shrinking shares.
    remaining = np.arange(count, 0, -1)
    left_out = np.concatenate([[1.0], np.cumprod(np.maximum(remaining - places, 0) / remaining)])
    is_best = left_out[:-1] - left_out[1:]
    return float(np.sum(is_best * np.minimum(candidates, bound)))


def _constant(values: NDArray[np.float64]) -> bool:
    return bool((values == values[0]).all())


def _unit_range(values: NDArray[np.float64]) -> NDArray[np.float64]:
    # By a power of two, which is exact, so that distinct values stay distinct and none overflows.
    values = np.ldexp(values, -np.frexp(np.abs(values).max())[1])
    scaled: NDArray[np.float64] = (values - values.min()) / (values.max() - values.min())
    return scaled


# ---- all at once --------------------------------------------------------------------------------------------------


def evaluate(
    truth: ArrayLike,
    mean: ArrayLike,
    std: ArrayLike | None = None,
    quantiles: ArrayLike | None = None,
    levels: ArrayLike | None = None,
    *,
    higher_is_better: bool,
    ks: Sequence[int] = DEFAULT_KS,
    resolution: float | None = None,
) -> dict[str, float]:
    """Return all measures of one forecast.

    Parameters
    ----------
    truth : array `(n,)`
        True values; rows where it is NaN were never measured: they are left out, and counted in `n_missing`.
    mean : array `(n,)`
        The forecast, in the units of the truth.
    std : array `(n,)`, optional
        Its standard deviation, same units. Without it the result has no calibration measures.
    quantiles : array `(n, q)`, optional
        Quantiles of the forecast; without them those of a Gaussian with `mean` and `std` are used.
    levels : array `(q,)`, optional
        The levels of `quantiles`, increasing, strictly between 0 and 1; `calibration.LEVELS` by default.
    higher_is_better : bool
        The direction of the metric.
    ks : sequence of int
        Which precision@k, regret@k and n@k to report; NaN for k larger than the number of architectures.
    resolution : float, optional
        Rounding of `sparse_kendall_tau`, NaN without it.

    Returns
    -------
    dict of str to float
        `n_test`, `n_missing`, `kendall_tau`, `sparse_kendall_tau`, `spearman`, `pearson`, `r2`, `rmse`, `mae`;
        `precision_at_K`, `regret_at_K`, `n_at_K` for each k; and, given `std`, `coverage_50`, `coverage_80`,
        `coverage_90`, `coverage_95`, `interval_width_90`, `nll`, `crps`, `sharpness`, `calibration_error`. A measure
        that does not exist for this input (a correlation with constant forecasts) is NaN.

    Raises
    ------
    InvalidDataError
        If lengths differ, a forecast is not finite, the truth is infinite, or fewer than two true values are known.
    """
    true, predicted = vector("truth", truth), finite_vector("mean", mean)
    require_length("mean", predicted, len(true))
    spread = None if std is None else deviations(std, len(true))
    grid = None
    if quantiles is not None:
        grid = calibration.quantile_matrix(quantiles, levels, len(true))
    elif levels is not None:
        raise InvalidDataError("levels were given without the quantiles they belong to")
    known = ~np.isnan(true)
    true, predicted = pair(true[known], predicted[known])
    result: dict[str, float] = {
        "n_test": len(true),
        "n_missing": int((~known).sum()),
        "kendall_tau": kendall_tau(true, predicted),
        "sparse_kendall_tau": float("nan")
        if resolution is None
        else sparse_kendall_tau(true, predicted, resolution=resolution),
        "spearman": spearman(true, predicted),
        "pearson": pearson(true, predicted),
        "r2": r2(true, predicted),
        "rmse": rmse(true, predicted),
        "mae": mae(true, predicted),
    }
    for k in ks:
        for name, measure in (("precision", precision_at_k), ("regret", regret_at_k), ("n", n_at_k)):
            enough = k <= len(true)
            result[f"{name}_at_{k}"] = (
                measure(true, predicted, k, higher_is_better=higher_is_better) if enough else float("nan")
            )
    if spread is not None:
        result |= calibration.summarize(true, predicted, spread[known], None if grid is None else grid[known], levels)
    return result
