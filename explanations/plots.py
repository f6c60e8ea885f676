"""Pictures of explanations.

As in `archcast.evaluation.plots`, every function returns a figure that belongs to no window.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError
from ..evaluation.plots import PALETTE, new_figure, styled
from .attribution import Attribution
from .dependence import PartialDependence
from .edits import Edits, GeneEffects
from .words import choice_text, gene_title, native_spans

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

_WIDTH, _BAR = 7.4, 0.27
"""Inches of a figure, and of a bar."""
_LINE = 98
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
    figure = _empty([_attribution_height(attribution, row, n)])
    _draw_attribution(figure, attribution, row, n, unit)
    return figure


def plot_gene_effects(effects: GeneEffects, *, unit: str = "") -> Figure:
    """Draw what each gene is worth beside its alternatives: on the native notation, and as bars.

    The shade of a piece of the notation, and the bar, is the effect: blue adds to the forecast, red takes from it.
    Lines go to the best and the worst alternative.

    Raises
    ------
    InvalidDataError
        If no gene can be replaced.
    """
    if np.isnan(effects.effect).all():
        raise InvalidDataError(f"no gene of {effects.architecture.strings()[0]} can be replaced")
    figure = _empty([_genes_height(effects)])
    _draw_genes(figure, effects, unit)
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
    figure = _empty([_edits_height(edits)])
    _draw_edits(figure, edits, unit)
    return figure


def plot_explanation(
    attribution: Attribution, effects: GeneEffects, edits: Edits, *, row: int = 0, n: int = 12, unit: str = ""
) -> Figure:
    """Draw all there is to say of one forecast, one below the other: genes, contributions, best edits.

    What does not exist (an architecture without neighbours has no edits) is left out.
    """
    heights = [_attribution_height(attribution, row, n)]
    heights += [] if np.isnan(effects.effect).all() else [_genes_height(effects)]
    heights += [_edits_height(edits)] if len(edits) else []
    figure = _empty(heights)
    parts = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0].tolist()
    _draw_attribution(parts.pop(0), attribution, row, n, unit)
    if not np.isnan(effects.effect).all():
        _draw_genes(parts.pop(0), effects, unit)
    if len(edits):
        _draw_edits(parts.pop(0), edits, unit)
    return figure


def _empty(heights: Sequence[float]) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(_WIDTH, sum(heights)), dpi=150, layout="constrained")


def _attribution_height(attribution: Attribution, row: int, n: int) -> float:
    return 1.6 + _BAR * (1 + len(attribution.top(row, n)))


def _draw_attribution(host: Figure | SubFigure, attribution: Attribution, row: int, n: int, unit: str) -> None:
    records = attribution.top(row, n)
    labels = [record["feature"] for record in records]
    values = np.array([record["contribution"] for record in records])
    errors = np.array([record["error"] for record in records])
    others = int((attribution.values[row] != 0).sum()) - len(records)
    if others > 0:
        labels.append(f"{others} others")
        values, errors = np.append(values, attribution.values[row].sum() - values.sum()), np.append(errors, np.nan)
    axes = styled(host.subplots())
    _bars(axes, labels, values, errors)
    axes.set_xlabel(f"contribution to the forecast{_in(unit)}")
    kind = "exact" if attribution.method == "exact" else "sampled, lines: 2 standard errors"
    axes.set_title(
        f"Forecast {attribution.forecast[row]:.4g} = base {attribution.base:.4g} + contributions\n"
        f"of {len(attribution.names)} {attribution.by} ({kind})",
        loc="left",
        fontsize=10,
    )


def _genes_height(effects: GeneEffects) -> float:
    return sum(_genes_heights(effects))


def _genes_heights(effects: GeneEffects) -> tuple[float, float]:
    lines = -(-len(effects.architecture.strings()[0]) // _LINE)
    return 0.45 + 0.25 * lines, 1.0 + _BAR * int((~np.isnan(effects.effect)).sum())


def _draw_genes(host: Figure | SubFigure, effects: GeneEffects, unit: str) -> None:
    known = np.flatnonzero(~np.isnan(effects.effect))
    upper, lower = host.subfigures(2, 1, squeeze=False, height_ratios=_genes_heights(effects))[:, 0]
    title = f"What each gene is worth: forecast {effects.forecast:.4g}"
    upper.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="normal")
    spans = native_spans(effects.architecture)
    _draw_notation(upper.subplots(), effects.architecture.strings()[0], spans, effects.effect)
    axes = styled(lower.subplots())
    ends = effects.forecast - np.stack([effects.highest, effects.lowest])[:, known]
    _bars(axes, [effects.names[i] for i in known], effects.effect[known], ends=ends)
    axes.set_xlabel(f"forecast minus the mean of the alternatives{_in(unit)}; lines: best and worst alternative")


def _edits_height(edits: Edits) -> float:
    return 1.4 + _BAR * len(edits)


def _draw_edits(host: Figure | SubFigure, edits: Edits, unit: str) -> None:
    chances = [
        f"{100 * p:.0f} %" if 0.005 <= p <= 0.995 else "> 99 %" if p > 0.5 else "< 1 %" for p in edits.probability
    ]
    labels = [f"{words}  ({chance})" for words, chance in zip(edits.words(), chances, strict=True)]
    axes = styled(host.subplots())
    _bars(axes, labels, edits.gain, edits.deviation, factor=1.0)
    axes.set_xlabel(f"forecast improvement{_in(unit)}; in brackets the probability of one")
    axes.set_title(f"Best edits: forecast {edits.forecast:.4g} without any", loc="left", fontsize=10)


def _in(unit: str) -> str:
    return f" ({unit})" if unit else ""


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
    figure.colorbar(drawn, ax=axes, label=f"above the mean of all{_in(unit)}", pad=0.02, extend="both")
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


def _draw_notation(axes: Axes, text: str, spans: Sequence[tuple[int, int] | None], effect: NDArray[np.float64]) -> None:
    """Write the native notation, shaded by effect; the unit of the axes is one character of a line."""
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    axes.set_axis_off()
    axes.set_xlim(0, _LINE)
    axes.set_ylim(-(-len(text) // _LINE), 0)
    limit = float(np.nanmax(np.abs(effect))) or 1.0
    for gene, span in enumerate(spans):
        if span is None or np.isnan(effect[gene]):
            continue
        colour = colormaps[_MAP](0.5 + 0.4 * float(effect[gene]) / limit)
        for place in range(*span):
            axes.add_patch(Rectangle((place % _LINE, place // _LINE + 0.08), 1, 0.84, facecolor=colour, linewidth=0))
    for place, character in enumerate(text):
        axes.text(
            place % _LINE + 0.5,
            place // _LINE + 0.55,
            character,
            ha="center",
            va="center",
            family="monospace",
            fontsize=8,
            parse_math=False,
        )
