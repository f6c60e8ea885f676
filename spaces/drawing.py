"""Pictures of architectures, of any space: Graphviz source and a matplotlib drawing."""

from __future__ import annotations

import colorsys
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError
from .architectures import Architecture, Architectures
from .chain import BLOCK
from .graphs import GraphBatch
from .layout import Layout, layered_layout

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FONT_POINTS = 9.0
_CHARACTER = 0.078  # inches a character of that size takes, on average
_LINE = 0.155
_PADDING = 0.14
_MARGIN = 0.15
_TITLE_WIDTH = 88
_NARROW_TITLE = 40
_PARAGRAPH_LINES = 3
_TERMINAL = "#f4f4f4"
_DEAD = "#e9e9e9"
_DEAD_INK = "#9a9a9a"
_INK = "#202020"
_EDGE = "#606060"


@dataclass(frozen=True)
class _Picture:
    """What is drawn, before anybody decides where."""

    title: list[str]
    labels: list[list[str]]  # the lines of each node
    colors: list[str]
    used: NDArray[np.bool_]
    alive: NDArray[np.bool_]
    adjacency: NDArray[np.bool_]


def to_dot(architecture: Architecture | Architectures) -> str:
    """Return the architecture as Graphviz source, to be rendered with `dot -Tsvg`.

    Nodes are coloured by operation; what cannot reach the output, or is not reached from the input, is grey.

    Parameters
    ----------
    architecture : Architecture, or Architectures of length 1

    Raises
    ------
    InvalidDataError
        If a batch holds other than one architecture.
    """
    picture = _describe(architecture)
    title = "\n".join(_wrap(picture.title, _TITLE_WIDTH))
    lines = [
        "digraph architecture {",
        f"  graph [rankdir=TB, labelloc=t, fontname=Helvetica, label={_quote(title)}];",
        '  node [shape=box, style="rounded,filled", fontname=Helvetica, fontsize=11];',
        f'  edge [color="{_EDGE}"];',
    ]
    for node in np.flatnonzero(picture.used).tolist():
        extra = (
            ""
            if picture.alive[node]
            else f', style="rounded,filled,dashed", color="{_DEAD_INK}", fontcolor="{_DEAD_INK}"'
        )
        label = _quote("\n".join(picture.labels[node]))
        lines.append(f'  n{node} [label={label}, fillcolor="{picture.colors[node]}"{extra}];')
    for i, j in np.argwhere(picture.adjacency).tolist():
        extra = "" if picture.alive[i] and picture.alive[j] else f' [style=dashed, color="{_DEAD_INK}"]'
        lines.append(f"  n{i} -> n{j}{extra};")
    return "\n".join([*lines, "}", ""])


def draw(architecture: Architecture | Architectures, ax: Axes | None = None) -> Axes:
    """Draw the architecture with matplotlib, in layers from the input down to the output.

    Nodes are coloured by operation and carry their hyperparameters; what cannot reach the output, or is not reached
    from the input, is grey. Without `ax` the figure is as large as the graph needs; with it, the drawing is scaled.

    Parameters
    ----------
    architecture : Architecture, or Architectures of length 1
    ax : matplotlib Axes, optional
        Where to draw; by default a new figure.

    Returns
    -------
    matplotlib Axes
        `draw(...).figure.savefig("cell.png")` writes the picture.

    Raises
    ------
    InvalidDataError
        If a batch holds other than one architecture.
    """
    picture = _describe(architecture)
    sizes = np.array([_box_size(lines) for lines in picture.labels]).reshape(-1, 2)
    layout = layered_layout(picture.adjacency, picture.used, sizes)
    least = _TITLE_WIDTH if ax is None else _NARROW_TITLE  # a given space is for the graph
    title = _wrap(picture.title, max(least, int(layout.width / _CHARACTER)))
    width = max(layout.width, max(len(line) for line in title) * _CHARACTER) + 2 * _MARGIN
    height = layout.height + (len(title) + 0.6) * 1.1 * _LINE + 2 * _MARGIN
    if ax is None:
        from matplotlib import pyplot as plt

        figure = plt.figure(figsize=(width, height))
        ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        scale = 1.0
    else:
        figure = ax.get_figure()  # type: ignore[assignment]
        extent = ax.get_window_extent()
        scale = min(extent.width / figure.dpi / width, extent.height / figure.dpi / height)
    ax.set_aspect("equal")
    ax.set_axis_off()
    middle = layout.width / 2
    ax.set_xlim(middle - width / 2, middle + width / 2)
    ax.set_ylim(layout.height + _MARGIN, layout.height + _MARGIN - height)
    ax.text(
        middle,
        -_LINE,
        "\n".join(title),
        ha="center",
        va="bottom",
        fontsize=_FONT_POINTS * scale,
        color=_INK,
        linespacing=1.1,
        parse_math=False,
    )
    _draw_edges(ax, picture, layout, sizes, scale)
    _draw_boxes(ax, picture, layout, sizes, scale)
    return ax


def _draw_boxes(ax: Axes, picture: _Picture, layout: Layout, sizes: NDArray[np.float64], scale: float) -> None:
    from matplotlib.patches import FancyBboxPatch

    for node in np.flatnonzero(picture.used).tolist():
        (x, y), (w, h) = layout.centers[node], sizes[node]
        alive = bool(picture.alive[node])
        ax.add_patch(
            FancyBboxPatch(
                (x - w / 2, y - h / 2),
                w,
                h,
                boxstyle="round,pad=0,rounding_size=0.07",
                facecolor=picture.colors[node],
                edgecolor=_EDGE if alive else _DEAD_INK,
                linestyle="-" if alive else "--",
                linewidth=0.8 * scale,
                zorder=2,
            )
        )
        ax.text(
            x,
            y,
            "\n".join(picture.labels[node]),
            ha="center",
            va="center",
            fontsize=_FONT_POINTS * scale,
            color=_INK if alive else _DEAD_INK,
            linespacing=1.2,
            zorder=3,
            parse_math=False,
        )


def _draw_edges(ax: Axes, picture: _Picture, layout: Layout, sizes: NDArray[np.float64], scale: float) -> None:
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    for (i, j), route in layout.routes.items():
        start = layout.centers[i] + (0.0, sizes[i, 1] / 2)
        stop = layout.centers[j] - (0.0, sizes[j, 1] / 2)
        points, codes = [start], [Path.MOVETO]
        for k, point in enumerate([*route, stop]):
            if k % 2:  # straight down through a layer, so as not to run behind its boxes
                points.append(point)
                codes.append(Path.LINETO)
            else:
                bend = (points[-1][1] + point[1]) / 2
                points += [np.array([points[-1][0], bend]), np.array([point[0], bend]), point]
                codes += [Path.CURVE4] * 3
        alive = bool(picture.alive[i] and picture.alive[j])
        ax.add_patch(
            FancyArrowPatch(
                path=Path(np.array(points), codes),
                arrowstyle="-|>",
                mutation_scale=9 * scale,
                color=_EDGE if alive else _DEAD_INK,
                linestyle="-" if alive else "--",
                linewidth=(1.0 if alive else 0.7) * scale,
                zorder=1,
            )
        )


def _describe(architecture: Architecture | Architectures) -> _Picture:
    batch = architecture.batch() if isinstance(architecture, Architecture) else architecture
    if len(batch) != 1:
        raise InvalidDataError(f"expected one architecture to draw, got {len(batch)}")
    graph = batch.space.to_graphs(batch)
    schema = graph.schema
    used, alive = graph.mask[0], graph.prune().mask[0]
    colors = []
    for node, index in enumerate(graph.operations[0].tolist()):
        role = schema.vocabulary[index].role
        terminal = role in ("input", "output")
        colors.append(_TERMINAL if terminal else _color(index - 2, role == "identity") if alive[node] else _DEAD)
    extra = [
        f"{name} {value:g}" for name, value in zip(schema.graph_feature_names, graph.graph_features[0], strict=True)
    ]
    return _Picture(
        title=[batch.space.name, batch.space.format(batch)[0], ", ".join(extra)],
        labels=[_label(graph, node) for node in range(schema.num_nodes)],
        colors=colors,
        used=used,
        alive=alive,
        adjacency=graph.adjacency[0] & used[:, None] & used[None, :],
    )


def _label(graph: GraphBatch, node: int) -> list[str]:
    """Return the lines of one node: its operation unless the name says it all, its name, its features."""
    schema = graph.schema
    operation, name = schema.vocabulary[graph.operations[0, node]], schema.node_names[node]
    lines = [name] if operation == BLOCK or operation.role in ("input", "output") else [operation.name, name]
    features = []
    for feature, value in zip(schema.feature_names, graph.features[0, node].tolist(), strict=True):
        if "=" not in feature and operation.role == "compute":
            features.append(f"{feature} {value:g}")
        elif value:
            features.append(feature)
    return [*lines, *("   ".join(features[k : k + 2]) for k in range(0, len(features), 2))]


def _box_size(lines: list[str]) -> tuple[float, float]:
    return max(len(line) for line in lines) * _CHARACTER + 2 * _PADDING, len(lines) * _LINE * 1.05 + _PADDING


def _wrap(paragraphs: list[str], width: int) -> list[str]:
    """Return the paragraphs in lines; what does not fit into a few of them is left out with dots."""
    result = []
    for paragraph in paragraphs:
        lines = textwrap.wrap(paragraph, width, break_on_hyphens=False)
        if len(lines) > _PARAGRAPH_LINES:
            lines = [*lines[: _PARAGRAPH_LINES - 1], lines[_PARAGRAPH_LINES - 1][: width - 4] + " ..."]
        result += lines
    return result


def _color(index: int, pale: bool) -> str:
    """Return a light colour: hues by the golden ratio are far apart however many there are."""
    red, green, blue = colorsys.hls_to_rgb((0.58 + index * 0.61803398875) % 1.0, 0.90 if pale else 0.80, 0.75)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
