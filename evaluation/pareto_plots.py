"""Pictures of searches for several objectives: hypervolume over queries, and the fronts that were found.

As in `plots`, every function returns a figure that belongs to no window: `figure.savefig(path)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError
from .plots import DASHES, PALETTE, new_figure
from .search_report import SearchComparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_hypervolume(comparison: SearchComparison, problem: str | None = None) -> Figure:
    """Draw the median share of the table's hypervolume over queries, with the band from 25 % to 75 % of seeds.

    Parameters
    ----------
    comparison : SearchComparison
        Of searches for several objectives.
    problem : str, optional
        The label of a problem; the first by default.

    Raises
    ------
    UnknownNameError
        If there is no such problem.
    InvalidDataError
        If the searches had a single metric.
    """
    name = comparison.problems[0] if problem is None else problem
    curves = {searcher: comparison.hypervolumes(searcher, name) for searcher in comparison.searchers}
    figure, axes = new_figure((7.4, 4.6))
    for place, (searcher, curve) in enumerate(curves.items()):
        low, middle, high = np.quantile(curve, [0.25, 0.5, 0.75], axis=0)
        colour, dash = PALETTE[place % len(PALETTE)], DASHES[place // len(PALETTE) % len(DASHES)]
        positions = np.arange(1, curve.shape[1] + 1)
        axes.plot(positions, middle, color=colour, linestyle=dash, linewidth=1.8, label=searcher)
        axes.fill_between(positions, low, high, color=colour, alpha=0.13, linewidth=0)
    axes.set_xlabel("queries")
    axes.set_ylabel("hypervolume (share of the table's)")
    axes.set_xlim(left=0)
    # What matters happens near the top, however low the first queries are.
    start = min(float(np.median(curve, axis=0)[min(9, curve.shape[1] - 1)]) for curve in curves.values())
    axes.set_ylim(max(0.0, start - 0.05), 1.005)
    axes.set_title(f"{name}\n{_band(comparison, name)}", loc="left", fontsize=10)
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda i: -float(np.median(curves[labels[i]][:, -1])))
    figure.legend(
        [handles[i] for i in order], [labels[i] for i in order], loc="outside right upper", frameon=False, fontsize=9
    )
    return figure


def plot_front(comparison: SearchComparison, problem: str | None = None) -> Figure:
    """Draw what half of the seeds attained of two objectives, and the front of the table.

    At a value of the first objective, a line is at the median over seeds of the best second objective among what is at
    least as good in the first (Grunert da Fonseca, Fonseca and Hall, "Inferential Performance Assessment of Stochastic
    Optimisers and the Attainment Function", EMO 2001). It begins where half of the seeds have found anything.

    Parameters
    ----------
    comparison : SearchComparison
        Of searches for two objectives.
    problem : str, optional
        The label of a problem; the first by default.

    Raises
    ------
    UnknownNameError
        If there is no such problem.
    InvalidDataError
        If the searches did not have two objectives.
    """
    name = comparison.problems[0] if problem is None else problem
    first = comparison.runs(comparison.searchers[0], name)[0]
    objectives = first.get("objectives", [])
    if len(objectives) != 2:
        raise InvalidDataError(f"a front is drawn of two objectives, got {len(objectives)} of problem {name!r}")
    signs = np.array([1.0 if direction == "higher" else -1.0 for direction in first["directions"]])
    figure, axes = new_figure((7.4, 4.6))
    for place, searcher in enumerate(comparison.searchers):
        fronts = [np.array(run["front_values"]).reshape(-1, 2) * signs for run in comparison.runs(searcher, name)]
        line = _median_attainment(fronts) * signs
        colour, dash = PALETTE[place % len(PALETTE)], DASHES[place // len(PALETTE) % len(DASHES)]
        axes.plot(*line.T, color=colour, linestyle=dash, linewidth=1.6, drawstyle="steps-pre", label=searcher)
    table = np.array(first["front_of_table"])
    axes.plot(*table.T, color="black", linestyle="none", marker=".", markersize=5, label="front of the table")
    axes.plot(*np.array(first["reference"]), color="black", marker="x", linestyle="none", label="reference")
    bounds = np.concatenate([table, np.array([first["reference"]])])
    for axis, column in ((axes.set_xlim, bounds[:, 0]), (axes.set_ylim, bounds[:, 1])):
        margin = 0.03 * float(np.ptp(column))
        axis(float(column.min()) - margin, float(column.max()) + margin)
    axes.set_xlabel(f"{objectives[0]} ({first['directions'][0]} is better)")
    axes.set_ylabel(f"{objectives[1]} ({first['directions'][1]} is better)")
    seeds = len(comparison.runs(comparison.searchers[0], name))
    attained = f"attained by half of {seeds} seeds" if seeds > 1 else "one seed"
    axes.set_title(f"{name}\nafter {comparison.budget} queries, {attained}", loc="left", fontsize=10)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    return figure


def _median_attainment(fronts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the corners `(p, 2)` of what half of the fronts attain, higher being better, by increasing first value."""
    levels = np.unique(np.concatenate([front[:, 0] for front in fronts]))
    best = np.full((len(fronts), len(levels)), -np.inf)
    for place, front in enumerate(fronts):
        for x, y in front:
            reached = levels <= x
            best[place, reached] = np.maximum(best[place, reached], y)
    # Of an even number of seeds the lower of the middle two: what half of them attained, and no average of two.
    median = np.sort(best, axis=0)[(len(fronts) - 1) // 2]
    there = np.isfinite(median)
    return np.column_stack([levels[there], median[there]])


def _band(comparison: SearchComparison, problem: str) -> str:
    seeds = len(comparison.runs(comparison.searchers[0], problem))
    return f"median of {seeds} seeds, bands: 25 % to 75 %" if seeds > 1 else "one seed"
