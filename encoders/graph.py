"""The base of the encoders that read graphs: chunks bound the memory, whatever the batch."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError
from ..spaces import Architectures, GraphBatch, GraphSchema, SearchSpace
from .base import Columns, Encoder

CHUNK_BYTES = 1 << 23
"""Working memory that one chunk may take; small enough to stay near the processor's caches."""

_MIN_CHUNK, _MAX_CHUNK = 256, 4096
_GRAPHS = ("full", "pruned", "reduced")


class GraphEncoder(Encoder):
    """Encodes the `GraphBatch` of architectures, and never asks which space it came from.

    Subclasses implement `_graph_columns` and `_encode`, and may say how much memory a graph takes.
    """

    def columns(self, space: SearchSpace) -> Columns:
        """Return what the columns are for the graphs of a space."""
        return self._graph_columns(space.graph_schema)

    def encode(self, graphs: GraphBatch) -> NDArray[np.float32]:
        """Return the encoding of graphs that need not come from a space, float32 `(n, d)`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the encoder learns its columns and was not fitted.
        InvalidDataError
            If a parameter of the encoder is out of its range.
        """
        rows = self._chunk(graphs.schema)
        result = np.empty((len(graphs), len(self._graph_columns(graphs.schema))), dtype=np.float32)
        for start in range(0, len(graphs), rows):
            part = slice(start, start + rows)
            self._encode(graphs if len(graphs) <= rows else graphs[part], result[part])
        return result

    @abstractmethod
    def _graph_columns(self, schema: GraphSchema) -> Columns:
        """Return what the columns are for graphs with this schema."""

    @abstractmethod
    def _encode(self, graphs: GraphBatch, out: NDArray[np.float32]) -> None:
        """Write the encoding of a chunk of graphs into `out`, `(n, d)`, whose content is undefined before."""

    def _bytes_per_graph(self, schema: GraphSchema) -> int:
        """Return roughly how many bytes of working memory `_encode` takes for each graph."""
        return 64 * schema.num_nodes**2

    def _chunk(self, schema: GraphSchema) -> int:
        return int(np.clip(CHUNK_BYTES // max(self._bytes_per_graph(schema), 1), _MIN_CHUNK, _MAX_CHUNK))

    def _transform(self, architectures: Architectures) -> NDArray[Any]:
        space = architectures.space
        rows = self._chunk(space.graph_schema)
        result = np.empty((len(architectures), len(self.columns(space))), dtype=np.float32)
        for start in range(0, len(architectures), rows):
            part = slice(start, start + rows)
            self._encode(space.to_graphs(architectures[part]), result[part])
        return result


class LearnedGraphEncoder(GraphEncoder):
    """A graph encoder whose columns are what occurs in the architectures it is fitted on.

    Subclasses implement `fit_graphs`, and have no columns before.
    """

    stateless = False

    def columns(self, space: SearchSpace) -> Columns:
        """Return the columns that were learned.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the encoder was not fitted.
        InvalidDataError
            If it was fitted on another space.
        """
        fitted: SearchSpace | None = getattr(self, "space_", None)
        if fitted is not None and fitted != space:
            raise InvalidDataError(f"this encoder was fitted on space {fitted.name!r}, got space {space.name!r}")
        return super().columns(space)

    @abstractmethod
    def fit_graphs(self, graphs: GraphBatch) -> Self:
        """Learn the columns from graphs that need not come from a space."""

    def _fit(self, architectures: Architectures) -> None:
        self.fit_graphs(architectures.space.to_graphs(architectures))


def check_view(graph: str) -> None:
    """Refuse a name that `view` does not know.

    Raises
    ------
    InvalidDataError
        Naming it.
    """
    if graph not in _GRAPHS:
        raise InvalidDataError(f"graph must be one of {', '.join(_GRAPHS)}, got {graph!r}")


def view(graphs: GraphBatch, graph: str) -> GraphBatch:
    """Return the graphs as they are ("full"), without dead code ("pruned"), or also without identities ("reduced").

    Raises
    ------
    InvalidDataError
        If it is none of these.
    """
    check_view(graph)
    if graph == "full":
        return graphs
    return graphs.prune() if graph == "pruned" else graphs.reduce()


def feature_slots(schema: GraphSchema) -> NDArray[np.intp]:
    """Return the node slots that can hold an operation other than an input or an output."""
    inner = ~np.isin(schema.roles, ["input", "output"])
    return np.flatnonzero((schema.node_operations & inner).any(axis=1))


def inner_operations(schema: GraphSchema, graph: str = "full") -> NDArray[np.intp]:
    """Return the operations, other than inputs and outputs, that some node can have, as indices of the vocabulary.

    Parameters
    ----------
    schema : GraphSchema
    graph : {"full", "pruned", "reduced"}
        Leave out those that cannot remain in this view of the graph.
    """
    gone = {"full": [], "pruned": ["zero"], "reduced": ["zero", "identity"]}[graph]
    inner = ~np.isin(schema.roles, ["input", "output", *gone])
    return np.flatnonzero(schema.node_operations.any(axis=0) & inner)
