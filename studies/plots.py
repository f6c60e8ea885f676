"""Pictures of a study: the best outcome over time, forecasts beside outcomes, learning curves.

As in `archcast.evaluation.plots`, every function returns a figure that belongs to no window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError
from ..evaluation.plots import PALETTE, new_figure
from .trials import incumbents

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .study import Study

_CURVES = 60


def plot_anytime(study: Study, *, over: Literal["trainings", "seconds"] = "trainings") -> Figure:
    """Draw each outcome and the best so far, over trainings in the order of picking, or over seconds of training.

    Raises
    ------
    InvalidDataError
        If no training has finished, or `over` is neither.
    """
    if over not in ("trainings", "seconds"):
        raise InvalidDataError(f"over must be 'trainings' or 'seconds', got {over!r}")
    found = study.candidates()
    best = incumbents(found, study.settings.higher_is_better)
    if not np.isfinite(best).any():
        raise InvalidDataError(f"study {study.name!r} has no finished training to draw")
    positions: NDArray[np.float64] = np.arange(1, len(found) + 1, dtype=np.float64)
    if over == "seconds":
        positions = np.cumsum([float(candidate.last.about.get("seconds") or 0.0) for candidate in found])
    figure, axes = new_figure((7.4, 4.2))
    for label, colour, initial in (("to begin with", PALETTE[5], True), ("searched", PALETTE[0], False)):
        chosen = [
            (x, candidate.last.value)
            for x, candidate in zip(positions, found, strict=True)
            if candidate.state == "finished" and bool(candidate.first.about.get("initial")) == initial
        ]
        if chosen:
            axes.plot(*zip(*chosen, strict=True), "o", color=colour, markersize=4.5, alpha=0.8, label=label)
    axes.step(positions, best, where="post", color=PALETTE[1], linewidth=1.8, label="best so far")
    bad = [x for x, candidate in zip(positions, found, strict=True) if candidate.state in ("failed", "pruned")]
    if bad:
        low = axes.get_ylim()[0]
        axes.plot(bad, np.full(len(bad), low), "x", color="0.4", markersize=5, label="failed or stopped early")
    axes.set_xlabel("trainings" if over == "trainings" else "seconds of training")
    axes.set_ylabel(study.settings.metric)
    axes.set_title(f"{study.name}: {study.settings.metric} of {study.space.name}", loc="left", fontsize=10)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure


def plot_forecasts(study: Study) -> Figure:
    """Draw what was forecast for each architecture when it was picked, with its central 90 %, beside the outcome.

    Raises
    ------
    InvalidDataError
        If no outcome was forecast yet.
    """
    rows = [
        (candidate.last.value, about["forecast_mean"], about["forecast_std"])
        for candidate in study.candidates()
        if candidate.state == "finished" and {"forecast_mean", "forecast_std"} <= set(about := candidate.first.about)
    ]
    if not rows:
        raise InvalidDataError(f"study {study.name!r} has no outcome that was forecast")
    value, mean, std = np.array(rows, dtype=np.float64).T
    figure, axes = new_figure((5.6, 5.0))
    axes.errorbar(
        value, mean, yerr=1.645 * std, fmt="o", color=PALETTE[0], elinewidth=0.8, markersize=4, alpha=0.7,
        label="when picked, with the central 90 %",
    )  # fmt: skip
    low, high = min(value.min(), mean.min()), max(value.max(), mean.max())
    margin = 0.06 * (high - low) or 0.05
    ends = [low - margin, high + margin]
    axes.plot(ends, ends, color=PALETTE[1], linestyle="--", linewidth=1.2, label="forecast = outcome")
    axes.set_xlim(*ends)
    axes.set_ylim(*ends)
    axes.set_aspect("equal")
    axes.set_xlabel(f"outcome: {study.settings.metric}")
    axes.set_ylabel("forecast")
    axes.set_title(f"{study.name}: {len(rows)} forecasts", loc="left", fontsize=10)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def plot_curves(study: Study) -> Figure:
    """Draw the learning curves of the metric: those of the last sixty trainings, and the best one on top.

    Raises
    ------
    InvalidDataError
        If no training has reported more than one epoch.
    """
    best = study.best()
    trials = [trial for trial in study.trials() if len(trial.epochs) > 1]
    if not trials:
        raise InvalidDataError(f"study {study.name!r} has no learning curve of more than one epoch to draw")
    figure, axes = new_figure((7.4, 4.2))
    for trial in trials[-_CURVES:]:
        _curve(axes, trial.epochs, PALETTE[6] if trial.state == "pruned" else PALETTE[5], 0.5, 1.0)
    if best is not None and len(best.epochs) > 1:
        _curve(axes, best.epochs, PALETTE[1], 1.0, 2.2)
    from matplotlib.lines import Line2D
    from matplotlib.ticker import MaxNLocator

    handles = [
        Line2D([], [], color=PALETTE[5], label="trained to the end"),
        Line2D([], [], color=PALETTE[6], label="stopped early"),
        Line2D([], [], color=PALETTE[1], linewidth=2.2, label="the best"),
    ]
    shown = [handles[0], *(handles[1:2] if any(trial.state == "pruned" for trial in trials) else []), handles[2]]
    figure.legend(handles=shown, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel(study.settings.metric)
    axes.set_title(f"{study.name}: learning curves", loc="left", fontsize=10)
    return figure


def figures(study: Study) -> dict[str, Figure]:
    """Return all pictures for which the study has data, by name."""
    found = {}
    for name, draw in (("anytime", plot_anytime), ("forecasts", plot_forecasts), ("curves", plot_curves)):
        try:
            found[name] = draw(study)
        except InvalidDataError:  # nothing to show yet
            continue
    return found


def _curve(axes: Axes, epochs: dict[int, float], colour: str, alpha: float, width: float) -> None:
    axes.plot(list(epochs), list(epochs.values()), color=colour, alpha=alpha, linewidth=width)
