"""`GraphBatch`: a batch of architectures as directed acyclic graphs, in dense arrays.

Encoders and graph networks read this and never ask which space it came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError
from .hashing import mix
from .operations import Operation

_IN = np.uint64(0xA24BAED4963EE407)
_OUT = np.uint64(0x9FB21C651E98DF25)
_LABEL_FACTORS = np.array([1, 0xD6E8FEB86659FD93, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], dtype=np.uint64)
_BLOCK = 4096


@dataclass(frozen=True)
class GraphSchema:
    """What all graphs of one space have in common; it fixes the columns of the graph encoders.

    Parameters
    ----------
    vocabulary : tuple of Operation
        What the integers of `GraphBatch.operations` mean.
    node_operations : bool array `(v, len(vocabulary))`
        Which operations each node can have in some architecture of the space.
    possible_edges : bool array `(v, v)`
        Which edges exist in some architecture of the space; upper triangular, since nodes are in topological order.
    node_names : tuple of str
        One a node, e.g. `"0->1"` or `"block3"`.
    feature_names : tuple of str
        Columns of `GraphBatch.features`, e.g. `("expansion", "kernel")`; empty if nodes have none.
    graph_feature_names : tuple of str
        Columns of `GraphBatch.graph_features`.
    """

    vocabulary: tuple[Operation, ...]
    node_operations: NDArray[np.bool_]
    possible_edges: NDArray[np.bool_]
    node_names: tuple[str, ...]
    feature_names: tuple[str, ...] = ()
    graph_feature_names: tuple[str, ...] = ()

    @property
    def num_nodes(self) -> int:
        """`v`, the number of node slots."""
        return len(self.node_names)

    @cached_property
    def roles(self) -> NDArray[np.str_]:
        """The role of each operation of the vocabulary, `(len(vocabulary),)`."""
        return np.array([operation.role for operation in self.vocabulary])


@dataclass(frozen=True)
class GraphBatch:
    """A batch of `n` directed acyclic graphs with `v` node slots each.

    Nodes are in topological order: an edge leads from a lower to a higher index. Spaces with operations on edges
    appear as their line graph; several cells become one disjoint graph with several inputs and outputs.

    Parameters
    ----------
    schema : GraphSchema
        What the graphs have in common.
    adjacency : bool array `(n, v, v)`
        `[k, i, j]` says that graph `k` has the edge from node `i` to node `j`.
    operations : int8 array `(n, v)`
        Index into `schema.vocabulary`; meaningless where `mask` is false.
    mask : bool array `(n, v)`
        Which node slots are in use.
    features : float32 array `(n, v, f)`
        Node features (hyperparameters of a block); 0 where `mask` is false.
    graph_features : float32 array `(n, g)`
        Hyperparameters of the whole architecture.
    """

    schema: GraphSchema
    adjacency: NDArray[np.bool_]
    operations: NDArray[np.int8]
    mask: NDArray[np.bool_]
    features: NDArray[np.float32]
    graph_features: NDArray[np.float32]

    @classmethod
    def build(
        cls,
        schema: GraphSchema,
        adjacency: NDArray[Any],
        operations: NDArray[Any],
        mask: NDArray[Any] | None = None,
        features: NDArray[Any] | None = None,
        graph_features: NDArray[Any] | None = None,
    ) -> GraphBatch:
        """Return a batch with the documented dtypes; missing arrays are filled in (all nodes used, no features).

        Raises
        ------
        InvalidDataError
            If a shape contradicts the schema.
        """
        n, v = operations.shape
        batch = cls(
            schema=schema,
            adjacency=np.ascontiguousarray(adjacency, dtype=np.bool_),
            operations=np.ascontiguousarray(operations, dtype=np.int8),
            mask=np.ones((n, v), dtype=np.bool_) if mask is None else np.ascontiguousarray(mask, dtype=np.bool_),
            features=np.zeros((n, v, 0), np.float32) if features is None else np.asarray(features, dtype=np.float32),
            graph_features=(
                np.zeros((n, 0), np.float32) if graph_features is None else np.asarray(graph_features, dtype=np.float32)
            ),
        )
        expected = {
            "adjacency": (n, schema.num_nodes, schema.num_nodes),
            "operations": (n, schema.num_nodes),
            "mask": (n, schema.num_nodes),
            "features": (n, schema.num_nodes, len(schema.feature_names)),
            "graph_features": (n, len(schema.graph_feature_names)),
        }
        for name, shape in expected.items():
            if getattr(batch, name).shape != shape:
                raise InvalidDataError(f"graph {name} must have shape {shape}, got {getattr(batch, name).shape}")
        return batch

    def __len__(self) -> int:
        return len(self.operations)

    def __getitem__(self, key: slice | NDArray[Any]) -> GraphBatch:
        return replace(
            self,
            adjacency=self.adjacency[key],
            operations=self.operations[key],
            mask=self.mask[key],
            features=self.features[key],
            graph_features=self.graph_features[key],
        )

    def has_role(self, role: str) -> NDArray[np.bool_]:
        """Return a bool array `(n, v)`: the used nodes whose operation has this role."""
        result: NDArray[np.bool_] = (self.schema.roles == role)[self.operations] & self.mask
        return result

    def keep(self, mask: NDArray[np.bool_]) -> GraphBatch:
        """Return the subgraphs induced by the nodes in `mask`, `(n, v)`."""
        mask = mask & self.mask
        return replace(
            self,
            adjacency=self.adjacency & mask[:, :, None] & mask[:, None, :],
            mask=mask,
            features=self.features * mask[:, :, None],
        )

    def prune(self) -> GraphBatch:
        """Drop what cannot matter: nodes that block the signal, then all that is on no input-output path.

        Inputs and outputs stay only if they are connected. An architecture whose output depends on nothing becomes
        the empty graph.
        """
        alive = self.keep(self.mask & ~self.has_role("zero"))
        edges = alive.adjacency
        forward = alive.has_role("input")
        backward = alive.has_role("output")
        for j in range(1, self.schema.num_nodes):
            forward[:, j] |= (forward[:, :j] & edges[:, :j, j]).any(axis=1)
        for i in range(self.schema.num_nodes - 2, -1, -1):
            backward[:, i] |= (backward[:, i + 1 :] & edges[:, i, i + 1 :]).any(axis=1)
        return alive.keep(forward & backward)

    def contract_identities(self) -> GraphBatch:
        """Replace each identity node by edges from its predecessors to its successors."""
        identity = self.has_role("identity")
        edges = self.adjacency.copy()
        for k in np.flatnonzero(identity.any(axis=0)):
            through = edges[:, :, k] & identity[:, k, None]
            edges |= through[:, :, None] & edges[:, k, None, :]
        return replace(self, adjacency=edges).keep(self.mask & ~identity)

    def reduce(self) -> GraphBatch:
        """Return the graph that computes: pruned, with identities contracted."""
        return self.prune().contract_identities()

    def refine(self, colors: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Return the next Weisfeiler-Lehman colours.

        The colour of a node is hashed with the multisets of its predecessors' and of its successors' colours.

        Parameters
        ----------
        colors : uint64 array `(n, v)`
        """
        edges: list[_Edge] = [(i, j, _select(self.adjacency[:, i, j]), None) for i, j in self._used_edges]
        refined = _refine(np.ascontiguousarray(colors.T), edges, _select(self.mask.T))
        return np.ascontiguousarray(refined.T)

    @cached_property
    def _used_edges(self) -> list[tuple[int, int]]:
        """The edges that some graph of the batch has."""
        return [(int(i), int(j)) for i, j in np.argwhere(self.adjacency.any(axis=0))]

    def initial_colors(self) -> NDArray[np.uint64]:
        """Return the colours before any refinement, `(n, v)`: the operation and the features of each node."""
        colors = mix(self.operations + 1)
        for k in range(self.features.shape[2]):
            colors = mix(colors ^ mix(self.features[:, :, k].astype(np.float32).view(np.uint32)))
        return colors * self.mask

    def keys(self, rounds: int | None = None, *, edge_labels: NDArray[Any] | None = None) -> NDArray[np.uint64]:
        """Return one key a graph that does not depend on the numbering of its nodes, `(n,)` uint64.

        The multiset of Weisfeiler-Lehman colours after `rounds` refinements (default: the number of nodes less one)
        with the graph features, hashed to 64 bits.

        Parameters
        ----------
        rounds : int, optional
            How often the colours are refined.
        edge_labels : integer array `(n, v, v)`, optional
            What an edge means to its target where that differs from edge to edge, e.g. the position among the
            operands of an operation that does not commute: 1, 2 or 3, and 0 for plain edges.

        Notes
        -----
        Rows are worked off in blocks that stay in the processor's cache, nodes along the first axis: time and memory
        grow linearly with the batch.
        """
        rounds = self.schema.num_nodes - 1 if rounds is None else rounds
        keys = np.empty(len(self), dtype=np.uint64)
        for start in range(0, len(self), _BLOCK):
            block = slice(start, start + _BLOCK)
            labels = None if edge_labels is None else edge_labels[block]
            keys[block] = self[block]._block_keys(rounds, labels)
        return keys

    def _block_keys(self, rounds: int, labels: NDArray[Any] | None) -> NDArray[np.uint64]:
        colors = np.ascontiguousarray(self.initial_colors().T)
        present = _select(self.mask.T)
        edges: list[_Edge] = []
        for i, j in self._used_edges:
            plain = labels is None or not labels[:, i, j].any()
            factor = None if plain else _LABEL_FACTORS[labels[:, i, j]]  # type: ignore[index]
            edges.append((i, j, _select(self.adjacency[:, i, j]), factor))
        for _ in range(rounds):
            colors = _refine(colors, edges, present)
        keys = mix((mix(colors) & present).sum(axis=0, dtype=np.uint64))
        for column in self.graph_features.T:
            keys = mix(keys ^ mix(column.astype(np.float32).view(np.uint32)))
        return keys


_Edge: TypeAlias = tuple[int, int, NDArray[np.uint64], NDArray[np.uint64] | None]
"""Source, target, a bit mask of the graphs that have the edge, and what the colours seen along it are multiplied by."""


def _select(condition: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Return all bits set where the condition holds, none elsewhere: a mask to `&` colours with."""
    return -np.ascontiguousarray(condition).astype(np.uint64)


def _refine(colors: NDArray[np.uint64], edges: Sequence[_Edge], present: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Refine colours `(v, n)` once."""
    incoming = np.zeros_like(colors)
    outgoing = np.zeros_like(colors)
    seen = mix(colors)
    for i, j, chosen, factor in edges:
        incoming[j] += (seen[i] if factor is None else seen[i] * factor) & chosen
        outgoing[i] += (seen[j] if factor is None else seen[j] * factor) & chosen
    refined: NDArray[np.uint64] = mix(colors ^ mix(incoming ^ _IN) ^ mix(outgoing ^ _OUT) * np.uint64(3)) & present
    return refined
