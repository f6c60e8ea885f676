"""The semantic encoding: what an architecture computes, read off its graph after removing what cannot matter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import combinations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError
from ..spaces import GraphBatch, GraphSchema
from .base import Columns
from .flow import Flow, direct_ways, distances, most_paths, over_paths, path_sequences
from .graph import GraphEncoder

_MAX_DEPTH = 8
"""Distances beyond this are not told apart."""


class SemanticEncoder(GraphEncoder):
    """Describes the computation that is left after dropping dead code and looking through identities.

    Operations that block the signal go, with everything that lies on no input-output path; identities are passed
    through. What remains is described by groups of columns, each of which a kernel may scale apart:

    ===================  ======================================================================================
    `position`           which operation survives at each node (identities included)
    `paths`              multiset of operation sequences along input-output paths, or of their last steps
    `pairs`              multiset of (parent, child) operations, inputs and outputs among them
    `depths`             multiset of operations by longest distance from the input, and to the output
    `counts`             number of surviving nodes per operation
    `path <quantity>`    max, min, mean and sum over paths: per operation, per trait, and of the length
    `topology`           number of paths, distinct paths, identity paths, edges, leaves and roots
    `node`, `products`,  features of each surviving node (kernel, expansion, layers ...), their pairwise products,
    `log products`       and the logarithms of these
    `totals`             their sums over the nodes
    `graph`              hyperparameters of the whole architecture
    ===================  ======================================================================================

    Multisets are small counts that are used as they are (numbers of paths grow exponentially with depth: counts
    enter as `log2(1 + count)`, which keeps 0 and 1); all else is to be standardised. Cells that are not connected
    to each other are described one by one.

    Parameters
    ----------
    max_sequences : int
        Operation sequences are told apart up to the length at which there are at most so many.

    Examples
    --------
    >>> from archcast import get_space
    >>> space = get_space("nasbench201")
    >>> SemanticEncoder().transform(space.sample(10, seed=0)).dtype
    dtype('float32')
    """

    def __init__(self, max_sequences: int = 256) -> None:
        self.max_sequences = max_sequences

    def _graph_columns(self, schema: GraphSchema) -> Columns:
        if self.max_sequences < 2:
            raise InvalidDataError(f"max_sequences must be at least 2, got {self.max_sequences!r}")
        return _columns(_Hashable(schema), self.max_sequences)

    def _encode(self, graphs: GraphBatch, out: NDArray[np.float32]) -> None:
        start = 0
        for part in _parts(graphs.schema, self.max_sequences):
            for block in _blocks(part.of(graphs), part):
                stop = start + len(block.values)
                out[:, start:stop] = block.values.T
                start = stop

    def _bytes_per_graph(self, schema: GraphSchema) -> int:
        return 4 * schema.num_nodes * (self.max_sequences + 8 * schema.num_nodes)


@dataclass(frozen=True)
class _Block:
    """Columns of one group: what they are called, and their values, `(k, n)`; `as_is` ones are not standardised."""

    group: str
    names: Callable[[], Sequence[str]]
    values: NDArray[Any]
    as_is: bool = False


@dataclass(frozen=True, eq=False)
class _Part:
    """A connected component of a space's graphs, and what fixes its columns."""

    nodes: NDArray[np.intp]
    schema: GraphSchema
    prefix: str
    length: int
    depth: int
    slots: NDArray[np.intp]
    is_chain: bool
    most_paths: int

    def of(self, graphs: GraphBatch) -> GraphBatch:
        """Return this component of each graph, pruned."""
        if len(self.nodes) == graphs.schema.num_nodes:
            return graphs.prune()
        return GraphBatch(
            schema=self.schema,
            adjacency=graphs.adjacency[:, self.nodes[:, None], self.nodes],
            operations=graphs.operations[:, self.nodes],
            mask=graphs.mask[:, self.nodes],
            features=graphs.features[:, self.nodes],
            graph_features=graphs.graph_features[:, : len(self.schema.graph_feature_names)],
        ).prune()


class _Hashable:
    """A schema that compares by content, so that equal spaces share what is derived from it."""

    def __init__(self, schema: GraphSchema) -> None:
        self.schema = schema
        words = tuple((op.name, op.role, tuple(sorted(op.traits.items()))) for op in schema.vocabulary)
        arrays = schema.possible_edges.tobytes(), schema.node_operations.tobytes()
        self._content = (words, schema.node_names, schema.feature_names, schema.graph_feature_names, arrays)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Hashable) and self._content == other._content

    def __hash__(self) -> int:
        return hash(self._content)


def _parts(schema: GraphSchema, max_sequences: int) -> tuple[_Part, ...]:
    return _cached_parts(_Hashable(schema), max_sequences)


@lru_cache(maxsize=64)
def _cached_parts(key: _Hashable, max_sequences: int) -> tuple[_Part, ...]:
    components = _components(key.schema)
    return tuple(
        _plan(key.schema, nodes, f"part {k}: " if len(components) > 1 else "", max_sequences, first=k == 0)
        for k, nodes in enumerate(components)
    )


@lru_cache(maxsize=64)
def _columns(key: _Hashable, max_sequences: int) -> Columns:
    schema = key.schema
    empty = GraphBatch.build(
        schema,
        np.zeros((1, schema.num_nodes, schema.num_nodes), dtype=np.bool_),
        np.zeros((1, schema.num_nodes), dtype=np.int8),
        np.zeros((1, schema.num_nodes), dtype=np.bool_),
        np.zeros((1, schema.num_nodes, len(schema.feature_names))),
        np.zeros((1, len(schema.graph_feature_names))),
    )
    listed = []
    for part in _parts(schema, max_sequences):
        for block in _blocks(part.of(empty), part):
            names = (part.prefix + name for name in block.names())
            listed.append(Columns.of(names, part.prefix + block.group, indicator=block.as_is))
    return Columns.concatenate(listed)


def _components(schema: GraphSchema) -> list[NDArray[np.intp]]:
    """Return the connected components of the space's graphs as node indices, without single nodes."""
    label = np.arange(schema.num_nodes)
    for i, j in np.argwhere(schema.possible_edges):
        label[label == max(label[i], label[j])] = min(label[i], label[j])
    found = [np.flatnonzero(label == value) for value in np.unique(label)]
    large = [nodes for nodes in found if len(nodes) > 1]
    return large or [np.arange(schema.num_nodes)]


def _plan(schema: GraphSchema, nodes: NDArray[np.intp], prefix: str, max_sequences: int, *, first: bool) -> _Part:
    own = replace(
        schema,
        node_operations=schema.node_operations[nodes],
        possible_edges=schema.possible_edges[nodes[:, None], nodes],
        node_names=tuple(schema.node_names[i] for i in nodes),
        graph_feature_names=schema.graph_feature_names if first else (),
    )
    computes = (own.node_operations & (own.roles == "compute")).any(axis=1)
    depth = max(1, _depth(own, computes))
    kinds = len(_operations(own, "compute"))
    fitting = [size for size in range(1, depth + 1) if sum(kinds**i for i in range(size + 1)) <= max_sequences]
    return _Part(
        nodes=nodes,
        schema=own,
        prefix=prefix,
        length=max(fitting, default=1),
        depth=min(depth, _MAX_DEPTH),
        slots=np.flatnonzero(computes),
        most_paths=most_paths(own),
        is_chain=bool((own.possible_edges.sum(axis=0) <= 1).all() and (own.possible_edges.sum(axis=1) <= 1).all()),
    )


def _operations(schema: GraphSchema, *roles: str) -> NDArray[np.intp]:
    """Return the indices of the operations with one of the roles that some node can have."""
    return np.flatnonzero(schema.node_operations.any(axis=0) & np.isin(schema.roles, roles))


def _depth(schema: GraphSchema, computes: NDArray[np.bool_]) -> int:
    """Return the most nodes on one path that can compute."""
    depth = computes.astype(int)
    for j in range(schema.num_nodes):
        depth[j] += depth[schema.possible_edges[:, j]].max(initial=0)
    return int(depth.max(initial=0))


_TAMED = np.log2(1 + np.arange(2**16)).astype(np.float32)


def _tame(counts: NDArray[Any]) -> NDArray[Any]:
    """Return `log2(1 + |x|)` with the sign of x: keeps 0 and 1, and bounds what grows exponentially with depth."""
    if counts.dtype.kind == "u":
        small: NDArray[Any] = _TAMED[counts]
        return small
    tamed: NDArray[Any] = np.sign(counts) * np.log2(1 + np.abs(counts))
    return tamed


def _blocks(graphs: GraphBatch, part: _Part) -> Iterator[_Block]:
    """Yield the columns of pruned graphs, block by block, always in the same order."""
    schema, flow = graphs.schema, Flow(graphs)
    kinds, kept = _operations(schema, "compute"), _operations(schema, "compute", "identity")
    names = [schema.vocabulary[i].name for i in kinds]
    is_kind = (flow.operations[:, None] == kinds[:, None]) & flow.computes[:, None]  # (v, kinds, n)
    is_kept = (flow.operations[:, None] == kept[:, None]) & flow.mask[:, None]
    steps = np.where(flow.computes, is_kind.argmax(axis=1) if len(kinds) else 0, -1)

    # Multisets of operations: where, after what, how deep.
    at, which = np.nonzero(schema.node_operations[:, kept])
    yield _Block("position", partial(_position_names, schema, at, kept[which]), is_kept[at, which], as_is=True)
    sequences = path_sequences(flow, steps, len(kinds), part.length, part.most_paths)
    yield _Block("paths", partial(_path_names, names, part.length), _tame(sequences), as_is=True)
    direct = direct_ways(flow)
    yield _Block("pairs", partial(_pair_names, names), _tame(_pairs(flow, direct, steps, len(kinds))), as_is=True)
    for side in ("input", "output"):
        level = np.minimum(distances(flow, backwards=side == "output"), part.depth)
        found = flow.zeros(part.depth * len(kinds))
        _count(found, (level - 1) * len(kinds) + steps, flow.computes)
        yield _Block("depths", partial(_depth_names, names, part.depth, side), _tame(found), as_is=True)

    # Statistics of the graph and over its paths.
    labels = [f"count {schema.vocabulary[i].name}" for i in kept]
    yield _Block("counts", partial(list, labels), is_kept.sum(axis=0))
    summary_labels, weights = _path_weights(graphs, part, flow, is_kind, names)
    summary = over_paths(flow, weights)
    for k, label in enumerate(summary_labels):
        statistics = {"sum": _tame(summary.total[k])}
        if not part.is_chain:
            statistics |= {"max": summary.highest[k], "min": summary.lowest[k], "mean": summary.mean[k]}
        titles = [f"{statistic} of {label} over paths" for statistic in statistics]
        yield _Block(f"path {label}", partial(list, titles), np.stack(list(statistics.values())))
    topology = {
        "paths": _tame(summary.paths),
        "identity paths": _tame(sequences[0]),
        "distinct paths": (sequences > 0).sum(axis=0),
        "edges": sum(direct.values(), flow.zeros()),
        "leaves": sum((w * flow.computes[i] * flow.outputs[j] for (i, j), w in direct.items()), flow.zeros()),
        "roots": sum((w * flow.inputs[i] * flow.computes[j] for (i, j), w in direct.items()), flow.zeros()),
    }
    yield _Block("topology", partial(list, topology), np.stack(list(topology.values())))
    yield from _node_features(graphs, part, flow)
    yield _Block("graph", partial(list, schema.graph_feature_names), graphs.graph_features.T)


def _count(totals: NDArray[np.float32], rows: NDArray[np.integer], where: NDArray[Any]) -> None:
    """Add `where`, `(v, n)`, to the row of `totals`, `(k, n)`, that each node of each graph belongs to."""
    column = np.arange(totals.shape[1])
    for row, amount in zip(rows, where, strict=True):
        if amount.any():
            totals[np.where(amount > 0, row, 0), column] += amount


def _pairs(
    flow: Flow, direct: dict[tuple[int, int], NDArray[np.float32]], steps: NDArray[np.intp], kinds: int
) -> NDArray[np.float32]:
    """Return how often each (parent, child) occurs, `((1 + kinds) ** 2, n)`: inputs first, outputs last."""
    found = flow.zeros((1 + kinds) ** 2)
    for (i, j), ways in direct.items():
        parent = np.where(flow.inputs[i], 0, 1 + steps[i])
        child = np.where(flow.outputs[j], kinds, steps[j])
        _count(found, (parent * (1 + kinds) + child)[None], ways[None])
    return found


def _path_weights(
    graphs: GraphBatch, part: _Part, flow: Flow, is_kind: NDArray[np.bool_], names: list[str]
) -> tuple[list[str], NDArray[np.float32]]:
    """Return the quantities that add up along paths, and how much each node adds, `(v, m, n)`."""
    schema = graphs.schema
    traits = sorted({trait for i in _operations(schema, "compute") for trait in schema.vocabulary[i].traits})
    of_operation = np.array(
        [[operation.traits.get(trait, 0.0) for operation in schema.vocabulary] for trait in traits], dtype=np.float32
    ).reshape(len(traits), len(schema.vocabulary))
    labels = [*names, "length", *(f"trait {trait}" for trait in traits)]
    counted = flow.computes[:, None]
    weights = [is_kind, counted, of_operation[:, flow.operations].swapaxes(0, 1) * counted]
    if not part.is_chain:  # a chain has one path: the totals over its nodes say the same
        weights.append(graphs.features.transpose(1, 2, 0) * counted)
        labels += schema.feature_names
    return labels, np.concatenate(weights, axis=1, dtype=np.float32)


def _node_features(graphs: GraphBatch, part: _Part, flow: Flow) -> Iterator[_Block]:
    """Yield node features, their pairwise products, the logarithms of these, and the totals over the nodes."""
    single = graphs.schema.feature_names
    if not single:
        return
    node = (graphs.features.transpose(1, 2, 0) * flow.computes[:, None])[part.slots]
    couples = list(combinations(range(len(single)), 2))
    joint = np.stack([node[:, a] * node[:, b] for a, b in couples], axis=1) if couples else node[:, :0]
    double = [f"{single[a]} x {single[b]}" for a, b in couples]
    slots = [graphs.schema.node_names[j] for j in part.slots]
    logarithms, n = _tame(joint), len(graphs)
    yield _Block("node", lambda: [f"{slot} {name}" for slot in slots for name in single], node.reshape(-1, n))
    yield _Block("products", lambda: [f"{slot} {name}" for slot in slots for name in double], joint.reshape(-1, n))
    yield _Block(
        "log products", lambda: [f"log {slot} {name}" for slot in slots for name in double], logarithms.reshape(-1, n)
    )
    both = [*single, *double]
    totals = np.concatenate([node.sum(axis=0), joint.sum(axis=0)])
    yield _Block("totals", lambda: [f"total {name}" for name in both], totals)
    logarithms = np.concatenate([_tame(node).sum(axis=0), logarithms.sum(axis=0)])
    yield _Block("totals", lambda: [f"total log {name}" for name in both], logarithms)


# ---- names, made only when they are asked for ---------------------------------------------------------------------


def _position_names(schema: GraphSchema, nodes: NDArray[np.intp], operations: NDArray[np.intp]) -> list[str]:
    pairs = zip(nodes, operations, strict=True)
    return [f"{schema.node_names[j]} = {schema.vocabulary[o].name}" for j, o in pairs]


def _path_names(names: list[str], length: int) -> list[str]:
    sequences = (sequence for size in range(length + 1) for sequence in product(names, repeat=size))
    return ["path " + " > ".join(["input", *sequence, "output"]) for sequence in sequences]


def _pair_names(names: list[str]) -> list[str]:
    return [f"pair {a} > {b}" for a in ["input", *names] for b in [*names, "output"]]


def _depth_names(names: list[str], depth: int, side: str) -> list[str]:
    return [f"{name} {d} from {side}" for d in range(1, depth + 1) for name in names]
