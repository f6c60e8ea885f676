"""Graphs as flat rows: what graph networks read, in the form of any other encoding.

A row holds which edges are there, which operation each node has, and the features of nodes and graph, in columns that
the graph schema fixes. `GraphLayout` writes rows and reads them back into dense arrays, so that a network that sees a
feature matrix sees graphs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from ..spaces import GraphBatch, GraphSchema, SearchSpace
from .base import Columns, Encoder
from .graph import GraphEncoder, check_view, view

_MOST_DEPTHS = 10
"""Depths that are told apart; all beyond share the last."""
_SCALING_SAMPLE = 256

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class GraphArrays:
    """Graphs as a network reads them.

    Parameters
    ----------
    nodes : float32 array `(n, v, k)`
        What is known of each node, see `GraphLayout.unpack`; 0 where a slot is not used.
    edges : float32 array `(n, v, v)`
        `[g, i, j]` is 1 where graph `g` has the edge from node `i` to node `j`.
    mask : float32 array `(n, v)`
        1 where a slot is used.
    """

    nodes: Floats
    edges: Floats
    mask: Floats


@dataclass(frozen=True)
class GraphLayout:
    """Where in a row the parts of a graph are.

    Parameters
    ----------
    schema : GraphSchema
    graph : {"reduced", "pruned", "full"}
        Which view of the graphs the rows hold, see `encoders.graph.view`.
    """

    schema: GraphSchema
    graph: str

    @cached_property
    def edges(self) -> NDArray[np.intp]:
        """The edges that a row has a column for, `(e, 2)`: all possible ones, or ways where identities go."""
        possible = self.schema.possible_edges
        if self.graph == "reduced":
            for k in range(self.schema.num_nodes):
                possible = possible | (possible[:, k, None] & possible[None, k])
        return np.argwhere(possible)

    @cached_property
    def operations(self) -> NDArray[np.intp]:
        """The node slots and the operations that they can have, `(o, 2)`."""
        return np.argwhere(self.schema.node_operations)

    @property
    def vocabulary(self) -> int:
        """The number of operations."""
        return len(self.schema.vocabulary)

    @cached_property
    def columns(self) -> Columns:
        """What the columns of a row are."""
        names, words = self.schema.node_names, [operation.name for operation in self.schema.vocabulary]
        slots = range(self.schema.num_nodes)
        features = [f"{names[j]}: {feature}" for j in slots for feature in self.schema.feature_names]
        return Columns.concatenate(
            [
                Columns.of((f"{names[i]} -> {names[j]}" for i, j in self.edges), "edge", indicator=True),
                Columns.of((f"{names[j]} = {words[w]}" for j, w in self.operations), "node operation", indicator=True),
                Columns.of(features, "node feature", indicator=False),
            ]
        )

    def pack(self, graphs: GraphBatch, out: NDArray[np.float32]) -> None:
        """Write graphs of this view as rows into `out`, `(n, d)`."""
        edges, operations = self.edges, self.operations
        shown = np.where(graphs.mask, graphs.operations, -1)
        middle = len(edges) + len(operations)
        out[:, : len(edges)] = graphs.adjacency[:, edges[:, 0], edges[:, 1]]
        out[:, len(edges) : middle] = shown[:, operations[:, 0]] == operations[:, 1]
        out[:, middle:] = graphs.features.reshape(len(graphs), -1)

    @cached_property
    def node_width(self) -> int:
        """`k`, the number of columns that describe a node."""
        places = int(self._places.shape[1])
        return self.vocabulary + 1 + 2 * self._depths + places + len(self.schema.feature_names)

    @property
    def _depths(self) -> int:
        return min(self.schema.num_nodes, _MOST_DEPTHS)

    @cached_property
    def _places(self) -> Floats:
        """What is known of a slot whatever the architecture, `(v, p)`.

        Its connected part of the graph, if there are several (the cells of an architecture); and the slot itself, if
        nodes follow each other in a fixed chain, where the position means a stage of the network.
        """
        v, possible = self.schema.num_nodes, self.schema.possible_edges
        parts, part = connected_components(possible, directed=False)
        ends = self.schema.node_operations[:, self.schema.roles == "output"].any(axis=1)
        chain = (possible.sum(axis=0)[~ends] <= 1).all()
        shown = np.zeros((v, 0), dtype=np.float32) if parts == 1 else np.eye(parts, dtype=np.float32)[part]
        return np.concatenate([shown, np.eye(v, dtype=np.float32)], axis=1) if chain else shown

    def scaling(self, space: SearchSpace) -> NDArray[np.float64]:
        """Return shift and scale of the node features, `(2, f)`, from a fixed sample of the space."""
        width = len(self.schema.feature_names)
        if not width:
            return np.zeros((2, 0))
        graphs = view(space.to_graphs(space.sample(_SCALING_SAMPLE, seed=0, distinct=False)), self.graph)
        used = graphs.features[graphs.mask].astype(np.float64)
        if not len(used):
            return np.stack([np.zeros(width), np.ones(width)])
        spread = used.std(axis=0)
        return np.stack([used.mean(axis=0), np.where(spread < 1e-9, 1.0, spread)])

    def unpack(self, rows: NDArray[Any], scaling: NDArray[np.float64]) -> GraphArrays:
        """Read rows, `(n, d)`, back into arrays.

        A node is described by its operation (one-hot, and one more column that stays 0: whether it is hidden), its
        longest distance from the sources and to the sinks (one-hot), its place where that says something, and its
        features, standardised by `scaling`.
        """
        n, v, f = len(rows), self.schema.num_nodes, len(self.schema.feature_names)
        middle = len(self.edges) + len(self.operations)
        edges = np.zeros((n, v, v), dtype=np.float32)
        edges[:, self.edges[:, 0], self.edges[:, 1]] = rows[:, : len(self.edges)]
        nodes = np.zeros((n, v, self.node_width), dtype=np.float32)
        nodes[:, self.operations[:, 0], self.operations[:, 1]] = rows[:, len(self.edges) : middle]
        mask = nodes[:, :, : self.vocabulary].max(axis=2)
        start = self.vocabulary + 1
        levels = np.eye(self._depths, dtype=np.float32)
        for arriving in (edges, edges[:, ::-1, ::-1].transpose(0, 2, 1)):
            depth = np.minimum(_longest(arriving), self._depths - 1)
            nodes[:, :, start : start + self._depths] = levels[depth if arriving is edges else depth[:, ::-1]]
            start += self._depths
        nodes[:, :, start : start + self._places.shape[1]] = self._places
        if f:
            features = rows[:, middle : middle + v * f].reshape(n, v, f)
            nodes[:, :, -f:] = (features - scaling[0]) / scaling[1]
        return GraphArrays(nodes * mask[:, :, None], edges, mask)


def _longest(edges: Floats) -> NDArray[np.intp]:
    """Return the number of edges on the longest way to each node, `(n, v)`, whose order is topological."""
    n, v, _ = edges.shape
    depth = np.zeros((n, v), dtype=np.intp)
    for j in range(1, v):
        depth[:, j] = ((depth[:, :j] + 1) * (edges[:, :j, j] > 0)).max(axis=1)
    return depth


class GraphTensorEncoder(GraphEncoder):
    """The graph itself: one column for each edge, for each operation of each node, and for each feature.

    Graph networks (`gin`, `graph_transformer`) read it back as a graph; for all others it is an encoding of adjacency
    and operations that depends on the numbering of the nodes.

    Parameters
    ----------
    graph : {"reduced", "pruned", "full"}
        What is computed: without dead code and with identities contracted; without dead code; or as it is written.
    """

    def __init__(self, graph: str = "reduced") -> None:
        self.graph = graph

    def layout(self, space: SearchSpace) -> GraphLayout:
        """Return where in a row the parts of the graph are, for a space."""
        return self._layout(space.graph_schema)

    def _layout(self, schema: GraphSchema) -> GraphLayout:
        check_view(self.graph)
        return GraphLayout(schema, self.graph)

    def _graph_columns(self, schema: GraphSchema) -> Columns:
        names = schema.graph_feature_names
        return Columns.concatenate([self._layout(schema).columns, Columns.of(names, "graph feature", indicator=False)])

    def _encode(self, graphs: GraphBatch, out: NDArray[np.float32]) -> None:
        layout = self._layout(graphs.schema)
        width = len(layout.columns)
        layout.pack(view(graphs, self.graph), out[:, :width])
        out[:, width:] = graphs.graph_features


def graph_part(encoder: Encoder | None, space: SearchSpace | None) -> tuple[GraphTensorEncoder, int] | None:
    """Return the first part of an encoder that holds graphs, and the column at which it begins; None without any."""
    if space is None or encoder is None:
        return None
    start = 0
    for part in getattr(encoder, "encoders", [encoder]):
        if isinstance(part, GraphTensorEncoder):
            return part, start
        start += len(part.columns(space))
    return None
