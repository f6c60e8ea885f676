"""Pictures of a leaderboard: Kendall tau over n for each board, with what others have published and the noise."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from .boards import PUBLISHED
from .leaderboard_report import Leaderboard
from .plots import plot_measure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GREY = "0.35"
_MARKS = "x+1234"
_MARGIN = 0.05
"""How far the axis goes beyond all lines; bands of few seeds would reach beyond what a tau can be."""


def plot_board(leaderboard: Leaderboard, board: str) -> Figure | None:
    """Draw Kendall tau over the number of training architectures, one line a predictor.

    References of the board are grey, at those n that were run; horizontal lines are the agreement between twins and
    between seeds. Bands are cut where they would squeeze the lines.

    Parameters
    ----------
    leaderboard : Leaderboard
    board : str
        The name of one of its boards.

    Returns
    -------
    Figure or None
        None if no predictor has a Kendall tau there.

    Raises
    ------
    UnknownNameError
        If there is no such board.
    """
    comparison = leaderboard.comparison(board)
    if all(math.isnan(record["kendall_tau"]) for record in comparison.records):
        return None
    figure = plot_measure(comparison)
    axes = figure.axes[0]
    handles = []
    chosen = next(item for item in leaderboard.boards if item.name == board)
    for place, reference in enumerate(chosen.references):
        sizes = [n for n in comparison.sizes if n in reference.kendall_tau]
        if sizes:
            handles += axes.plot(
                sizes,
                [reference.kendall_tau[n] for n in sizes],
                color=_GREY,
                marker=_MARKS[place % len(_MARKS)],
                linestyle=":" if reference.status == PUBLISHED else "--",
                linewidth=1.2,
                label=f"{reference.system}\n({reference.status})",
            )
    ceiling = leaderboard.ceilings[board]
    for value, style, text in ((ceiling.twins, "-", "isomorphic twins"), (ceiling.seeds, "-.", "two seeds")):
        if value is not None:
            line = axes.axhline(value, color=_GREY, linewidth=0.9, linestyle=style, zorder=0)
            line.set_label(f"{text} agree: {value:.3f}")
            handles.append(line)
    shown = np.concatenate([np.asarray(line.get_ydata(), dtype=np.float64) for line in axes.lines])
    axes.set_ylim(max(float(np.nanmin(shown)) - _MARGIN, -1.0), min(float(np.nanmax(shown)) + _MARGIN, 1.0))
    if handles:
        figure.legend(handles=handles, loc="outside right lower", frameon=False, fontsize=8)
    return figure
