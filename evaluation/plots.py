"""Pictures of comparisons and forecasts.

Every function returns a `matplotlib.figure.Figure` that belongs to no window and no global state: save it with
`figure.savefig(path)`, or leave it as the last line of a notebook cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError
from .calibration import calibration_curve, calibration_error, quantile_at
from .labels import measure_label
from .metrics import kendall_tau
from .reports import Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .forecasts import Forecast

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""The colours of Okabe and Ito, which people with any colour vision tell apart; yellow is left out as too pale."""

_MARKERS = "osD^vP*X"
DASHES: tuple[Any, ...] = ("-", "--", "-.", ":")
"""Line styles, for more lines than colours."""

_MOST_BANDS = 8
"""Of more lines than this the bands would hide each other: the tables beside tell the intervals."""

_FEW = 400
"""Up to so many architectures each gets an error bar; above, the density of points is drawn."""


def plot_measure(comparison: Comparison, measure: str = "kendall_tau") -> Figure:
    """Draw a measure over the number of training architectures, one line a predictor.

    Points are means over the seeds, bands their 95 % t-intervals, of up to eight predictors. Predictors for which the
    measure does not exist (Kendall tau of a constant forecast) are left out.

    Parameters
    ----------
    comparison : Comparison
    measure : str
        The name of a measure in the records.

    Raises
    ------
    UnknownNameError
        If there is no such measure.
    InvalidDataError
        If it exists for no predictor.
    """
    first = comparison.records[0]
    figure, axes = new_figure((7.0, 4.6))
    lines = []
    for predictor in comparison.predictors:
        own = [n for n in comparison.sizes if _has(comparison, predictor, n)]
        intervals = [comparison.interval(measure, predictor, n) for n in own]
        means = np.array([interval.mean for interval in intervals])
        if not np.isnan(means).all():
            bands = np.array([[interval.low, interval.high] for interval in intervals])
            lines.append((predictor, np.array(own), means, bands))
    if not lines:
        raise InvalidDataError(f"measure {measure!r} exists for none of {', '.join(comparison.predictors)}")
    banded = len(lines) <= _MOST_BANDS
    # Lines that end highest stand first in the legend, in the order in which they are seen.
    order = sorted(range(len(lines)), key=lambda place: -np.nan_to_num(lines[place][2][-1]))
    for place, (predictor, sizes, means, bands) in enumerate(lines):
        colour = PALETTE[place % len(PALETTE)]
        axes.plot(
            sizes,
            means,
            color=colour,
            marker=_MARKERS[place % len(_MARKERS)],
            linestyle=DASHES[place // len(PALETTE) % len(DASHES)],
            label=predictor,
            linewidth=1.8,
            markersize=5.5,
        )
        if banded:
            axes.fill_between(sizes, bands[:, 0], bands[:, 1], color=colour, alpha=0.15, linewidth=0)
    _size_axis(axes, comparison.sizes)
    axes.set_xlabel("training architectures")
    axes.set_ylabel(measure_label(measure, first["unit"]))
    seeds = len({record["seed"] for record in comparison.records})
    band = f"mean of {seeds} seeds{', bands: 95 % confidence' if banded else ''}" if seeds > 1 else "one seed"
    axes.set_title(f"{_subject(first)}\n{band}", loc="left", fontsize=10)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        [handles[i] for i in order],
        [labels[i] for i in order],
        loc="outside right upper",
        frameon=False,
        fontsize=9,
    )
    return figure


def plot_forecast(forecast: Forecast) -> Figure:
    """Draw forecasts against the truth: with error bars for up to 400 architectures, as a density for more.

    Error bars span the central 70 % of the forecast, about one standard deviation to each side. Values much worse than
    the worst quartile (by more than three interquartile ranges) lie outside the axes, so that a few failed trainings do
    not squeeze all others into a corner; how many do is said in the picture.

    Raises
    ------
    InvalidDataError
        If fewer than two true values are known.
    """
    truth, mean, quantiles = _known(forecast)
    low, high = _window(truth, mean, forecast.higher_is_better)
    outside = int(((truth < low) | (truth > high) | (mean < low) | (mean > high)).sum())
    figure, axes = new_figure((5.8, 5.2))
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_aspect("equal")
    if len(truth) <= _FEW:
        lower, upper = (quantile_at(quantiles, forecast.levels, level) for level in (0.15, 0.85))
        bars = None if lower is None or upper is None else np.maximum([mean - lower, upper - mean], 0.0)
        axes.errorbar(
            truth,
            mean,
            yerr=bars,
            fmt="o",
            color=PALETTE[0],
            elinewidth=0.7,
            markersize=3.5,
            alpha=0.5,
            label="forecast, bars: central 70 %",
        )
    else:
        drawn = axes.hexbin(
            truth,
            mean,
            gridsize=55,
            extent=(low, high, low, high),
            mincnt=1,
            bins="log",
            cmap="viridis",
            linewidths=0.1,
        )
        figure.colorbar(drawn, ax=axes, label="architectures in a cell", shrink=0.85, pad=0.02)
    axes.plot([low, high], [low, high], color=PALETTE[1], linewidth=1.2, linestyle="--", label="forecast = truth")
    suffix = f" ({forecast.unit})" if forecast.unit else ""
    axes.set_xlabel(f"true {forecast.metric}{suffix}")
    axes.set_ylabel(f"forecast{suffix}")
    tau = kendall_tau(truth, mean)
    axes.set_title(
        f"{forecast.predictor}, {forecast.n} training architectures (seed {forecast.seed})\n"
        f"Kendall tau {'undefined' if np.isnan(tau) else f'{tau:.3f}'} over {len(truth):,} others"
        + (f"\n({outside:,} far worse ones lie outside the axes)" if outside else ""),
        loc="left",
        fontsize=10,
    )
    figure.legend(loc="outside lower center", frameon=False, fontsize=9, ncols=2)
    return figure


def plot_reliability(forecasts: Forecast | Sequence[Forecast]) -> Figure:
    """Draw the reliability diagram: which share of true values lies below the forecast's quantile of each level.

    A calibrated forecast follows the diagonal; one that is too sure of itself is flatter than it in the middle, one
    that is too timid is steeper.

    Parameters
    ----------
    forecasts : Forecast or sequence of Forecast

    Raises
    ------
    InvalidDataError
        If there is none, or fewer than two true values of one are known.
    """
    listed = list(forecasts) if isinstance(forecasts, Sequence) else [forecasts]
    if not listed:
        raise InvalidDataError("expected at least one forecast to draw, got none")
    figure, axes = new_figure((5.4, 5.0))
    axes.plot([0, 100], [0, 100], color="0.45", linewidth=1.2, linestyle="--", label="calibrated")
    for place, forecast in enumerate(listed):
        known = ~np.isnan(forecast.truth)
        _known(forecast)
        levels, observed = calibration_curve(forecast.truth[known], forecast.quantiles[known], forecast.levels)
        error = calibration_error(forecast.truth[known], forecast.quantiles[known], forecast.levels)
        axes.plot(
            100 * levels,
            100 * observed,
            color=PALETTE[place % len(PALETTE)],
            marker=_MARKERS[place % len(_MARKERS)],
            linestyle=DASHES[place // len(PALETTE) % len(DASHES)],
            markersize=4,
            linewidth=1.5,
            label=f"{forecast.predictor}, n = {forecast.n} (mean distance {100 * error:.1f} %)",
        )
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    axes.set_aspect("equal")
    axes.set_xlabel("level of the forecast's quantile (%)")
    axes.set_ylabel("true values at or below it (%)")
    axes.set_title(f"Reliability of forecasts of {listed[0].metric}", loc="left", fontsize=10)
    figure.legend(loc="outside lower center", frameon=False, fontsize=8, ncols=1)
    return figure


def new_figure(size: tuple[float, float]) -> tuple[Figure, Axes]:
    """Return an empty figure of `size` inches, and its axes in the common style."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=150, layout="constrained")
    return figure, styled(figure.subplots())


def styled(axes: Axes) -> Axes:
    """Return the axes in the common style."""
    axes.grid(True, color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _size_axis(axes: Axes, sizes: Sequence[int]) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    if len(sizes) > 1:
        axes.set_xscale("log")
        axes.set_xlim(sizes[0] / 1.08, sizes[-1] * 1.08)
    axes.xaxis.set_major_locator(FixedLocator(list(sizes)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: f"{round(value):,}")


def _subject(record: dict[str, Any]) -> str:
    epoch = "" if record["test_epoch"] is None else f", epoch {record['test_epoch']}"
    return f"{record['table']}: {record['test_metric']}{epoch}"


def _has(comparison: Comparison, predictor: str, n: int) -> bool:
    return any(record["predictor"] == predictor and record["n"] == n for record in comparison.records)


def _known(forecast: Forecast) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    known = ~np.isnan(forecast.truth)
    if known.sum() < 2:
        raise InvalidDataError(f"expected at least 2 known true values to draw, got {int(known.sum())}")
    return forecast.truth[known], forecast.mean[known], forecast.quantiles[known]


def _window(truth: NDArray[np.float64], mean: NDArray[np.float64], higher_is_better: bool) -> tuple[float, float]:
    """Return the range of both axes: all but what is far worse than the worst quartile."""
    sign = 1.0 if higher_is_better else -1.0
    gains = [sign * truth, sign * mean]
    quartiles = [np.quantile(gain, [0.25, 0.75]) for gain in gains]
    fence = min(max(q[0] - 3 * (q[1] - q[0]), gain.min()) for gain, q in zip(gains, quartiles, strict=True))
    ends = sorted([sign * fence, sign * max(gain.max() for gain in gains)])
    margin = 0.04 * (ends[1] - ends[0]) or 1.0
    return float(ends[0] - margin), float(ends[1] + margin)
