"""Pictures of explanations.

As in `archcast.evaluation.plots`, every function returns a figure that belongs to no window.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError
from ..evaluation.plots import PALETTE, new_figure
from .attribution import Attribution
from .dependence import PartialDependence
from .edits import Edits, GeneEffects
from .words import choice_text, gene_title, native_spans

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINE = 78
"""Characters of native notation in a line."""
_CELLS = 14
"""Cells of a heat map are labelled up to so many choices."""
_MAP = "RdBu"


def plot_attribution(attribution: Attribution, row: int = 0, *, n: int = 12, unit: str = "") -> Figure:
    """Draw the largest contributions to one forecast as bars, all others together as the last one.

    Thin lines are two standard errors to each side, where contributions are sampled.

    Parameters
    ----------
    attribution : Attribution
    row : int
        Which of its forecasts.
    n : int
        How many contributions get a bar of their own.
    unit : str
        Of the forecast.
    """
    records = attribution.top(row, n)
    labels = [record["feature"] for record in records]
    values = np.array([record["contribution"] for record in records])
    errors = np.array([record["error"] for record in records])
    rest = float(attribution.values[row].sum() - values.sum())
    others = int((attribution.values[row] != 0).sum()) - len(records)
    if others > 0:
        labels.append(f"{others} others")
        values, errors = np.append(values, rest), np.append(errors, 0.0)
    figure, axes = new_figure((7.4, 1.7 + 0.27 * max(len(labels), 1)))
    _bars(axes, labels, values, errors)
    axes.set_xlabel(f"contribution to the forecast{f' ({unit})' if unit else ''}")
    kind = "exact" if attribution.method == "exact" else "sampled"
    axes.set_title(
        f"forecast {attribution.forecast[row]:.4g} = base {attribution.base:.4g} + contributions of "
        f"{len(attribution.names)} {attribution.by} ({kind})",
        loc="left",
        fontsize=10,
    )
    return figure


def plot_gene_effects(effects: GeneEffects, *, unit: str = "") -> Figure:
    """Draw what each gene is worth beside its alternatives: on the native notation, and as bars.

    The shade of a piece of the notation, and the bar, is the effect: blue adds to the forecast, red takes from it.
    Whiskers go to the best and the worst alternative.
    """
    known = np.flatnonzero(~np.isnan(effects.effect))
    if not len(known):
        raise InvalidDataError(f"no gene of {effects.architecture.strings()[0]} can be replaced")
    labels = [effects.names[i] for i in known]
    text = effects.architecture.strings()[0]
    lines = -(-len(text) // _LINE)
    figure, axes = new_figure((7.4, 1.9 + 0.27 * len(known) + 0.25 * lines))
    ends = effects.forecast - np.stack([effects.highest, effects.lowest])[:, known]
    _bars(axes, labels, effects.effect[known], ends=ends)
    suffix = f" ({unit})" if unit else ""
    axes.set_xlabel(f"forecast minus the mean of the alternatives{suffix}; lines: best and worst alternative")
    axes.set_title(
        f"what each gene is worth: forecast {effects.forecast:.4g}\n" + "\n" * lines, loc="left", fontsize=10
    )
    _draw_notation(axes, text, native_spans(effects.architecture), effects.effect, lines)
    return figure


def plot_edits(edits: Edits, *, unit: str = "") -> Figure:
    """Draw the forecast improvement of edits, with one deviation to each side and the probability of improvement.

    Raises
    ------
    InvalidDataError
        If there is no edit.
    """
    if not len(edits):
        raise InvalidDataError(f"there is no edit of {edits.origin.strings()[0]} to draw")
    figure, axes = new_figure((7.4, 1.7 + 0.27 * len(edits)))
    labels = [f"{words}  ({100 * p:.0f} %)" for words, p in zip(edits.words(), edits.probability, strict=True)]
    _bars(axes, labels, edits.gain, edits.deviation, factor=1.0)
    suffix = f" ({unit})" if unit else ""
    axes.set_xlabel(f"forecast improvement{suffix}; in brackets the probability of one")
    axes.set_title(f"best edits: forecast {edits.forecast:.4g} without any", loc="left", fontsize=10)
    return figure


def plot_partial_dependence(dependence: PartialDependence, *, unit: str = "") -> Figure:
    """Draw the mean forecast by gene and choice as a heat map: blue above the mean of all, red below it.

    Where genes have different choices, columns are their numbers and cells name them.
    """
    space = dependence.space
    listed = [[choice_text(gene, i) for i in range(len(gene.choices))] for gene in space.genes]
    common = max(listed, key=len)
    same = all(choices == common[: len(choices)] for choices in listed)
    differences = dependence.mean - dependence.overall
    rows, columns = differences.shape
    figure, axes = new_figure((2.4 + max(0.85 * columns, 3.4), 1.7 + 0.34 * rows))
    axes.grid(False)
    # one extreme choice must not make all others look alike
    limit = float(np.nanquantile(np.abs(differences), 0.95)) or 1.0
    drawn = axes.imshow(differences, cmap=_MAP, vmin=-limit, vmax=limit, aspect="auto")
    axes.set_yticks(range(rows), [gene_title(gene.name) for gene in space.genes], fontsize=8)
    axes.set_xticks(range(columns), common if same else [str(i) for i in range(columns)], fontsize=8)
    if same and max(map(len, common)) * columns > 60:
        axes.tick_params(axis="x", labelrotation=30)
    if columns <= _CELLS:
        for i, j in np.argwhere(dependence.counts > 0).tolist():
            number = f"{differences[i, j]:+.3g}"
            shown = number if same else f"{listed[i][j][:14]}\n{number}"
            dark = abs(differences[i, j]) > 0.65 * limit
            axes.text(
                j, i, shown, ha="center", va="center", fontsize=7 if same else 5.5, color="white" if dark else "black"
            )
    suffix = f" ({unit})" if unit else ""
    figure.colorbar(drawn, ax=axes, label=f"above the mean of all{suffix}", pad=0.02, extend="both")
    axes.set_title(
        f"Partial dependence: mean forecast by choice, minus that of all ({dependence.overall:.4g})",
        loc="left",
        fontsize=10,
    )
    return figure


def plot_relevance(records: Sequence[dict[str, Any]], *, n: int = 20) -> Figure:
    """Draw what a Gaussian process found relevant, as `relevance` returns it: shares of the squared distance."""
    shown = list(records)[:n]
    if not shown:
        raise InvalidDataError("expected at least one lengthscale to draw, got none")
    figure, axes = new_figure((7.0, 1.6 + 0.27 * len(shown)))
    labels = [f"{record['feature']}  (lengthscale {record['lengthscale']:.3g})" for record in shown]
    _bars(axes, labels, 100 * np.array([record["share"] for record in shown]))
    axes.set_xlabel("share of the mean squared distance between two architectures (%)")
    axes.set_title("What the Gaussian process found relevant", loc="left", fontsize=10)
    return figure


def _bars(
    axes: Axes,
    labels: Sequence[str],
    values: NDArray[np.float64],
    errors: NDArray[np.float64] | None = None,
    *,
    ends: NDArray[np.float64] | None = None,
    factor: float = 2.0,
) -> None:
    """Draw horizontal bars from the top down, with symmetric errors or lines between ends, `(2, n)`."""
    places = np.arange(len(labels))
    axes.barh(places, values, color=[PALETTE[0] if value >= 0 else PALETTE[1] for value in values], height=0.68)
    if errors is not None and np.nanmax(errors, initial=0.0) > 0:
        axes.errorbar(values, places, xerr=factor * errors, fmt="none", ecolor="0.25", elinewidth=0.9, capsize=2)
    if ends is not None:
        axes.hlines(places, *ends, color="0.25", linewidth=0.9)
    axes.axvline(0, color="0.3", linewidth=0.8)
    axes.set_yticks(places, [label if len(label) <= 58 else label[:55] + "..." for label in labels], fontsize=8)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.grid(False, axis="y")


def _draw_notation(
    axes: Axes, text: str, spans: Sequence[tuple[int, int] | None], effect: NDArray[np.float64], lines: int
) -> None:
    """Write the native notation above the axes, shaded by effect."""
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    limit = float(np.nanmax(np.abs(effect))) or 1.0
    # a box of its own, as wide as the figure, whose unit is one character of a line
    box = axes.figure.add_axes((0.02, 1 - 0.3 / axes.figure.get_figheight() - 0.25 * lines / axes.figure.get_figheight(), 0.96, 0.25 * lines / axes.figure.get_figheight()))  # type: ignore[union-attr]  # fmt: skip
    box.set_in_layout(False)
    box.set_axis_off()
    box.set_xlim(0, _LINE)
    box.set_ylim(lines, 0)
    for gene, span in enumerate(spans):
        if span is None or np.isnan(effect[gene]):
            continue
        colour = colormaps[_MAP](0.5 + 0.42 * float(effect[gene]) / limit)
        for place in range(*span):
            box.add_patch(Rectangle((place % _LINE, place // _LINE + 0.08), 1, 0.84, facecolor=colour, linewidth=0))
    for place, character in enumerate(text):
        box.text(
            place % _LINE + 0.5,
            place // _LINE + 0.55,
            character,
            ha="center",
            va="center",
            family="monospace",
            fontsize=8,
            parse_math=False,
        )
