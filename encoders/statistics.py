"""Operation counts and graph statistics: few columns that say much, whatever the space."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..spaces import GraphBatch, GraphSchema
from .base import Columns
from .graph import GraphEncoder, feature_slots, inner_operations

_STATISTICS = (
    "nodes",
    "dead nodes",
    "edges",
    "paths",
    "log paths",
    "longest path",
    "shortest path",
    "mean path",
    "width",
    "input out-degree",
    "output in-degree",
    "largest in-degree",
    "largest out-degree",
    "mean degree",
)
_REDUCED = ("computing nodes", "computing edges", "computing depth", "computing shortest path", "computing paths")


class OperationsEncoder(GraphEncoder):
    """How often each operation occurs: among all nodes, and among those that lie on an input-output path.

    Where operations sit on edges they are counted there. Does not depend on the numbering of the nodes.
    """

    def _graph_columns(self, schema: GraphSchema) -> Columns:
        return Columns.concatenate([_count_columns(schema, surviving) for surviving in (False, True)])

    def _encode(self, graphs: GraphBatch, out: NDArray[np.float32]) -> None:
        pruned = graphs.prune()
        all_words, words = inner_operations(graphs.schema), inner_operations(graphs.schema, "pruned")
        out[:] = np.concatenate([_counts(graphs, all_words), _counts(pruned, words)], axis=0).T


class StatisticsEncoder(GraphEncoder):
    """Sizes, paths, degrees and operation counts of the graph without dead code; node and graph features.

    - The graph that remains after dropping operations that block the signal, and all that lies on no input-output
      path: nodes (inputs and outputs not counted), nodes dropped as dead, edges, paths (and the natural logarithm of
      one plus their number), nodes on the longest, the shortest and the mean path, width (most nodes at the same
      longest distance from an input), edges out of inputs, edges into outputs, largest in- and out-degree, and mean
      degree (edges per node, inputs and outputs counted).
    - The same graph with identities contracted: computing nodes, edges, nodes on the longest and shortest path,
      distinct chains of nodes.
    - The number of nodes with each operation.
    - Node features at each position, and in total over the remaining nodes; graph features as they are.

    All but the features at positions are independent of the numbering of the nodes. A graph without any path has
    zeros, but for the dead nodes.
    """

    def _graph_columns(self, schema: GraphSchema) -> Columns:
        slots, names = feature_slots(schema), schema.feature_names
        parts = [
            Columns.of((*_STATISTICS, *_REDUCED), "statistic", indicator=False),
            _count_columns(schema, surviving=True),
            Columns.of((f"total {name}" for name in names), "feature total", indicator=False),
            Columns.of((f"{schema.node_names[j]} {name}" for j in slots for name in names), "feature", indicator=False),
            Columns.of(schema.graph_feature_names, "graph feature", indicator=False),
        ]
        return Columns.concatenate(parts)

    def _encode(self, graphs: GraphBatch, out: NDArray[np.float32]) -> None:
        schema = graphs.schema
        pruned = graphs.prune()
        flow, reduced = _Flow(pruned), _Flow(pruned.contract_identities())
        inner = flow.inner.sum(axis=0)
        used = flow.used.sum(axis=0)
        arriving, leaving = flow.degrees()
        edges = arriving.sum(axis=0)
        paths = flow.sums(paths=True)
        rows = [
            inner,
            (graphs.mask & ~graphs.has_role("input") & ~graphs.has_role("output")).sum(axis=1) - inner,
            edges,
            paths,
            np.log1p(paths),
            flow.extreme(np.maximum),
            flow.extreme(np.minimum),
            flow.sums(paths=False) / np.maximum(paths, 1),
            flow.width(),
            (leaving * flow.inputs).sum(axis=0),
            (arriving * flow.outputs).sum(axis=0),
            arriving.max(axis=0, initial=0),
            leaving.max(axis=0, initial=0),
            edges / np.maximum(used, 1),
            reduced.inner.sum(axis=0),
            reduced.degrees()[0].sum(axis=0),
            reduced.extreme(np.maximum),
            reduced.extreme(np.minimum),
            reduced.sums(paths=True),
            *_counts(pruned, inner_operations(schema, "pruned")),
            *pruned.features.sum(axis=1).T,
        ]
        for k, row in enumerate(rows):
            out[:, k] = row
        at = graphs.features * graphs.mask[:, :, None]
        positions = at[:, feature_slots(schema)].reshape(len(graphs), -1)
        out[:, len(rows) : len(rows) + positions.shape[1]] = positions
        out[:, len(rows) + positions.shape[1] :] = graphs.graph_features


class _Flow:
    """Path quantities of pruned graphs; graphs lie along the last axis, loops run over nodes and edges.

    A node counts for the length of a path unless it is an input or an output.
    """

    def __init__(self, graphs: GraphBatch) -> None:
        self.used = np.ascontiguousarray(graphs.mask.T)
        self.inputs = np.ascontiguousarray(graphs.has_role("input").T)
        self.outputs = np.ascontiguousarray(graphs.has_role("output").T)
        self.inner = self.used & ~self.inputs & ~self.outputs
        edges = np.ascontiguousarray(graphs.adjacency.transpose(1, 2, 0))
        self.into: list[list[tuple[int, NDArray[np.bool_]]]] = [[] for _ in range(len(edges))]
        for i, j in np.argwhere(graphs.adjacency.any(axis=0)).tolist():
            self.into[j].append((i, edges[i, j]))

    def degrees(self) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        """Return in-degrees and out-degrees, `(v, n)`."""
        arriving = np.zeros(self.used.shape, dtype=np.int16)
        leaving = np.zeros(self.used.shape, dtype=np.int16)
        for j, sources in enumerate(self.into):
            for i, edge in sources:
                arriving[j] += edge
                leaving[i] += edge
        return arriving, leaving

    def sums(self, *, paths: bool) -> NDArray[np.float64]:
        """Return the number of input-output paths, or the sum of their lengths, `(n,)`."""
        number = self.inputs.astype(np.float64)
        length = np.zeros_like(number)
        for j, sources in enumerate(self.into):
            for i, edge in sources:
                number[j] += number[i] * edge
                if not paths:
                    length[j] += length[i] * edge
            length[j] += number[j] * self.inner[j]
        total: NDArray[np.float64] = ((number if paths else length) * self.outputs).sum(axis=0)
        return total

    def extreme(self, best: np.ufunc) -> NDArray[np.int16]:
        """Return the length of the longest (`np.maximum`) or shortest (`np.minimum`) path, 0 without any, `(n,)`."""
        none = np.int16(-(2**14) if best is np.maximum else 2**14)
        found = self._lengths(best, none)
        ends = best.reduce(np.where(self.outputs, found, none), axis=0)
        return np.where(np.abs(ends) >= 2**13, 0, ends).astype(np.int16)

    def _lengths(self, best: np.ufunc, none: np.int16) -> NDArray[np.int16]:
        lengths = np.where(self.inputs, np.int16(0), none)
        for j, sources in enumerate(self.into):
            for i, edge in sources:
                best(lengths[j], np.where(edge, lengths[i], none), out=lengths[j])
            lengths[j] += self.inner[j]
        return lengths

    def width(self) -> NDArray[Any]:
        """Return the most nodes whose longest distance from an input is the same, `(n,)`."""
        depths = np.where(self.inner, self._lengths(np.maximum, np.int16(-(2**14))), 0)
        widest = np.zeros(depths.shape[1], dtype=np.int64)
        for depth in range(1, int(depths.max(initial=0)) + 1):
            np.maximum(widest, (depths == depth).sum(axis=0), out=widest)
        return widest


def _count_columns(schema: GraphSchema, surviving: bool) -> Columns:
    prefix = "surviving " if surviving else ""
    names = (
        f"{prefix}{schema.vocabulary[word].name}"
        for word in inner_operations(schema, "pruned" if surviving else "full")
    )
    return Columns.of(names, f"{prefix}operation count", indicator=False)


def _counts(graphs: GraphBatch, words: NDArray[np.intp]) -> NDArray[np.int64]:
    """Return how many used nodes have each operation, `(len(words), n)`."""
    shown = np.where(graphs.mask, graphs.operations, -1)
    return np.array([(shown == word).sum(axis=1) for word in words]).reshape(len(words), len(graphs))
