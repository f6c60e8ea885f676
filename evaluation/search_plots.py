"""Pictures of searches: regret over queries or simulated time, and critical-difference diagrams.

As in `plots`, every function returns a figure that belongs to no window: `figure.savefig(path)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError
from .labels import unit_name
from .plots import DASHES, PALETTE, new_figure
from .search_report import SearchComparison
from .significance import ALPHA, RankTest

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TIMES = 400
_UNITS = ((86_400.0, "days"), (3_600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


def plot_regret(
    comparison: SearchComparison, problem: str | None = None, *, over: Literal["queries", "time"] = "queries"
) -> Figure:
    """Draw the median regret over queries or simulated time on a log scale, with the band from 25 % to 75 % of seeds.

    No regret at all has no logarithm: it is drawn on the lowest line, which is marked 0.

    Parameters
    ----------
    comparison : SearchComparison
    problem : str, optional
        The label of a problem; the first by default.
    over : {"queries", "time"}
        `"time"` is simulated time: lines begin when the first training of every seed has ended, and end with the run
        that ended first.

    Raises
    ------
    UnknownNameError
        If there is no such problem.
    InvalidDataError
        If `over` is neither.
    """
    name = comparison.problems[0] if problem is None else problem
    if over not in ("queries", "time"):
        raise InvalidDataError(f"over must be 'queries' or 'time', got {over!r}")
    first = comparison.runs(comparison.searchers[0], name)[0]
    time_name, scale = _time_unit(comparison, name, first["time_unit"])
    lines = {}
    for searcher in comparison.searchers:
        if over == "queries":
            regrets = comparison.regrets(searcher, name)
            lines[searcher] = np.arange(1, regrets.shape[1] + 1, dtype=np.float64), regrets
        else:
            times = _common_times(comparison, searcher, name)
            lines[searcher] = times / scale, comparison.regrets_at_times(searcher, times, name)
    figure, axes = new_figure((7.4, 4.6))
    floor = _floor([regrets for _, regrets in lines.values()])
    for place, (searcher, (positions, regrets)) in enumerate(lines.items()):
        low, middle, high = np.maximum(np.quantile(regrets, [0.25, 0.5, 0.75], axis=0), floor)
        colour, dash = PALETTE[place % len(PALETTE)], DASHES[place // len(PALETTE) % len(DASHES)]
        steps: dict[str, Any] = {} if over == "queries" else {"drawstyle": "steps-post"}
        axes.plot(positions, middle, color=colour, linestyle=dash, linewidth=1.8, label=searcher, **steps)
        step: Literal["post"] | None = None if over == "queries" else "post"
        axes.fill_between(positions, low, high, color=colour, alpha=0.13, linewidth=0, step=step)
    _regret_axis(axes, floor)
    unit = f" ({unit_name(first['unit'])})" if first["unit"] else ""
    counted = "epochs spent (in full trainings)" if "max_epochs" in first else "queries"
    axes.set_xlabel(counted if over == "queries" else f"simulated time ({time_name})")
    axes.set_ylabel(f"regret{unit}")
    axes.set_xlim(left=0)
    seeds = len(comparison.runs(comparison.searchers[0], name))
    band = f"median of {seeds} seeds, bands: 25 % to 75 %" if seeds > 1 else "one seed"
    axes.set_title(f"{name}\n{band}", loc="left", fontsize=10)
    order = sorted(range(len(lines)), key=lambda i: tuple(np.median(list(lines.values())[i][1], axis=0)[::-1]))
    handles, labels = axes.get_legend_handles_labels()
    # Lines that end lowest stand last, in the order in which they are seen.
    shown = order[::-1]
    figure.legend(
        [handles[i] for i in shown], [labels[i] for i in shown], loc="outside right upper", frameon=False, fontsize=9
    )
    return figure


def plot_ranks(test: RankTest, *, title: str = "", blocks: str = "blocks") -> Figure:
    """Draw a critical-difference diagram: average ranks on a line, the best at the right.

    A bar joins methods that Nemenyi's test does not tell apart at 0.05 (J. Demsar, JMLR 7, 2006, figure 1).

    Parameters
    ----------
    test : RankTest
        E.g. from `SearchComparison.ranks`.
    title : str
        Stands above the diagram.
    blocks : str
        What was ranked in: `"seeds"`, `"tables"`.
    """
    count = len(test.methods)
    right = (count + 1) // 2  # the better half is named on the right, from the top down
    cliques = test.cliques() if np.isfinite(test.critical_difference) else []
    rows = max(right, count - right)
    bars = 0.32 * len(cliques)
    figure, axes = new_figure((7.4, 1.5 + 0.30 * rows + 0.25 * len(cliques)))
    axes.set_axis_off()
    axes.set_xlim(count + 0.9, 0.1)  # rank 1 at the right
    lowest = -(0.6 + bars + 0.62 * rows)
    axes.set_ylim(lowest, 1.9)
    axes.plot([1, count], [0, 0], color="black", linewidth=1.3)
    for tick in range(1, count + 1):
        axes.plot([tick, tick], [0, 0.16], color="black", linewidth=1.3)
        axes.text(tick, 0.26, str(tick), ha="center", va="bottom", fontsize=9)
    for place, (method, rank) in enumerate(zip(test.methods, test.ranks, strict=True)):
        best_half = place < right
        line = place if best_half else count - 1 - place
        height = -(0.5 + bars + 0.62 * line)
        end, align = (0.75, "left") if best_half else (count + 0.25, "right")
        axes.plot([rank, rank, end], [0, height, height], color=PALETTE[0], linewidth=1.1)
        label = f"{method} ({rank:.2f})" if best_half else f"({rank:.2f}) {method}"
        axes.annotate(
            label,
            (end, height),
            xytext=(4 if best_half else -4, 0),
            textcoords="offset points",
            ha=align,
            va="center",
            fontsize=9,
            annotation_clip=False,
        )
    for number, (start, stop) in enumerate(cliques):
        height = -(0.25 + 0.32 * number)
        reach = [test.ranks[start] - 0.04, test.ranks[stop] + 0.04]
        axes.plot(reach, [height, height], color=PALETTE[1], linewidth=4, solid_capstyle="round")
    if np.isfinite(test.critical_difference):
        length = min(test.critical_difference, float(count) - 0.5)
        broken = "" if length == test.critical_difference else " (longer than the axis)"
        axes.plot([count, count - length], [1.15, 1.15], color="black", linewidth=1.3, marker="|", markersize=8)
        axes.text(
            count - length / 2,
            1.28,
            f"critical difference {test.critical_difference:.2f}{broken}",
            ha="center",
            va="bottom",
            fontsize=9,
        )
    axes.set_title(
        f"{title}\n" * bool(title) + f"average ranks over {test.blocks} {blocks}, Nemenyi at {ALPHA:g}",
        loc="left",
        fontsize=10,
    )
    return figure


def _common_times(comparison: SearchComparison, searcher: str, problem: str) -> NDArray[np.float64]:
    """Return times at which every run of a searcher has a regret: up to 400 of those at which a training ended."""
    ends = [np.asarray(record["finished"], dtype=np.float64) for record in comparison.runs(searcher, problem)]
    start, stop = max(end[0] for end in ends), min(end[-1] for end in ends)
    every = np.unique(np.concatenate(ends))
    inside: NDArray[np.float64] = every[(every >= start) & (every <= stop)]
    if not len(inside):  # the first training of one run takes longer than all of another
        return np.array([start])
    if len(inside) <= _TIMES:
        return inside
    chosen: NDArray[np.float64] = inside[np.unique(np.linspace(0, len(inside) - 1, _TIMES).round().astype(np.intp))]
    return chosen


def _time_unit(comparison: SearchComparison, problem: str, unit: str) -> tuple[str, float]:
    if unit != "s":
        return unit, 1.0
    longest = max(record["finished"][-1] for record in comparison.records if record["problem"] == problem)
    scale, name = next(((scale, name) for scale, name in _UNITS if longest >= 2 * scale), _UNITS[-1])
    return name, scale


def _floor(regrets: list[NDArray[np.float64]]) -> float:
    """Return where a regret of 0 is drawn: half of the smallest positive one."""
    positive = [array[array > 0].min() for array in regrets if (array > 0).any()]
    return float(min(positive)) / 2 if positive else 1e-3


def _regret_axis(axes: Axes, floor: float) -> None:
    from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter

    axes.set_yscale("log")
    top = max(axes.get_ylim()[1], floor * 10)
    axes.set_ylim(floor / 1.15, top)
    ticks = [tick for tick in LogLocator(subs=(1.0, 2.0, 5.0)).tick_values(floor, top) if 1.3 * floor < tick <= top]
    if len(ticks) > 9:
        ticks = [tick for tick in LogLocator().tick_values(floor, top) if 1.3 * floor < tick <= top]
    axes.yaxis.set_major_locator(FixedLocator([floor, *ticks]))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(lambda value, _: "0" if value <= 1.01 * floor else f"{value:g}")
