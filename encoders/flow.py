"""What flows along the paths of directed acyclic graphs: vectorised dynamic programmes over nodes.

All functions take pruned graphs (see `GraphBatch.prune`). Graphs lie along the last axis of every array, so that each
step is one long operation, and loops run over nodes and the edges that occur, never over architectures.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..spaces import GraphBatch, GraphSchema

Floats = NDArray[np.float32]
Flags = NDArray[np.bool_]


class Flow:
    """Pruned graphs with the graphs along the last axis: `(v, n)` flags, and the edges into each node."""

    def __init__(self, graphs: GraphBatch) -> None:
        self.n = len(graphs)
        self.mask = np.ascontiguousarray(graphs.mask.T)
        self.operations = np.ascontiguousarray(graphs.operations.T)
        self.inputs, self.outputs, self.identities, self.computes = (
            (graphs.schema.roles == role)[self.operations] & self.mask
            for role in ("input", "output", "identity", "compute")
        )
        self.edges = [(i, j, np.ascontiguousarray(graphs.adjacency[:, i, j])) for i, j in _pairs(graphs.adjacency)]
        self.into: list[list[tuple[int, Flags]]] = [[] for _ in range(len(self.mask))]
        for i, j, edge in self.edges:
            self.into[j].append((i, edge))

    def zeros(self, *shape: int) -> Floats:
        """Return zeros `(*shape, n)`."""
        return np.zeros((*shape, self.n), dtype=np.float32)


def _pairs(adjacency: Flags) -> list[tuple[int, int]]:
    return [(int(i), int(j)) for i, j in np.argwhere(adjacency.any(axis=0))]


class PathSummary(NamedTuple):
    """Sums of node weights along input-output paths, summarised over the paths of each graph.

    `highest`, `lowest`, `mean` and `total` are `(m, n)` for `m` weights, and 0 for a graph without a path; `paths` is
    the number of paths, `(n,)`.
    """

    highest: Floats
    lowest: Floats
    mean: Floats
    total: Floats
    paths: Floats


def over_paths(flow: Flow, weights: Floats) -> PathSummary:
    """Summarise over all input-output paths the sum of `weights`, `(v, m, n)`, along each."""
    v, m, _ = weights.shape
    total, paths = flow.zeros(v, m), flow.inputs.astype(np.float32)
    closed = np.where(flow.inputs, np.float32(0), np.float32(np.inf))  # before any path has reached the node
    highest, lowest = (sign * np.repeat(closed[:, None], m, axis=1) for sign in (np.float32(-1), np.float32(1)))
    spare = flow.zeros(m)
    for j in range(v):
        for i, edge in flow.into[j]:
            shut = np.where(edge, np.float32(0), np.float32(np.inf))
            paths[j] += paths[i] * edge
            total[j] += np.multiply(total[i], edge, out=spare)
            np.maximum(highest[j], np.subtract(highest[i], shut, out=spare), out=highest[j])
            np.minimum(lowest[j], np.add(lowest[i], shut, out=spare), out=lowest[j])
        total[j] += weights[j] * paths[j]
        highest[j] += weights[j]
        lowest[j] += weights[j]
    number, summed = flow.zeros(), flow.zeros(m)
    above, below = np.full_like(spare, -np.inf), np.full_like(spare, np.inf)
    for end in np.flatnonzero(flow.outputs.any(axis=1)):
        ends = flow.outputs[end]
        number += paths[end] * ends
        summed += total[end] * ends
        above = np.maximum(above, np.where(ends, highest[end], -np.inf))
        below = np.minimum(below, np.where(ends, lowest[end], np.inf))
    connected = number > 0
    return PathSummary(
        highest=np.where(connected, above, 0),
        lowest=np.where(connected, below, 0),
        mean=np.divide(summed, np.maximum(number, 1), dtype=np.float32),
        total=summed,
        paths=number,
    )


def most_paths(schema: GraphSchema) -> int:
    """Return how many input-output paths a graph with this schema can have at most."""
    starts, ends = (schema.node_operations[:, schema.roles == role].any(axis=1) for role in ("input", "output"))
    paths: list[int] = starts.astype(int).tolist()
    for j in range(schema.num_nodes):
        paths[j] += sum(paths[i] for i in np.flatnonzero(schema.possible_edges[:, j]))
    return sum(paths[j] for j in np.flatnonzero(ends))


def path_sequences(flow: Flow, steps: NDArray[np.intp], kinds: int, length: int, most: int) -> NDArray[Any]:
    """Return how many input-output paths have each sequence of steps; of longer ones the last `length` count.

    Parameters
    ----------
    flow : Flow
    steps : integer array `(v, n)`
        The step that each node makes, in `range(kinds)`, or -1 if it makes none.
    kinds, length : int
    most : int
        No graph has more paths than this; decides the type of the result.

    Returns
    -------
    unsigned integer or float array `(sum_l kinds ** l, n)`
        Sequences of up to `length` steps, by length, then lexicographically.
    """
    dtype: Any = np.uint8 if most < 2**8 else np.uint16 if most < 2**16 else np.float32
    first = np.cumsum([0, *(kinds**size for size in range(length + 1))]).tolist()
    result = np.zeros((first[-1], flow.n), dtype=dtype)
    states: list[NDArray[Any]] = []  # of each node, only the lengths that can have reached it
    for j, sources in enumerate(flow.into):
        arriving = np.zeros((max((len(states[i]) for i, _ in sources), default=1), flow.n), dtype=dtype)
        arriving[0] += flow.inputs[j]
        for i, edge in sources:
            arriving[: len(states[i])] += states[i] * edge
        states.append(_extended(arriving, steps[j], kinds, length, first))
        if flow.outputs[j].any():
            result[: len(states[j])] += states[j] * flow.outputs[j]
    return result


def _extended(
    arriving: NDArray[Any], step: NDArray[np.intp], kinds: int, length: int, first: list[int]
) -> NDArray[Any]:
    """Append the node's own step to each sequence that arrives, forgetting the oldest step of the longest."""
    if (step < 0).all():
        return arriving
    reached = first.index(len(arriving))  # lengths below this one have arrived
    after = np.zeros((first[min(reached, length) + 1], len(step)), dtype=arriving.dtype)
    after[: len(arriving)] += arriving * (step < 0)
    for kind in range(kinds):
        chosen = step == kind
        for size in range(min(reached, length)):
            after[first[size + 1] + kind : first[size + 2] : kinds] += arriving[first[size] : first[size + 1]] * chosen
        if reached > length:
            longest = arriving[first[length] :].reshape(kinds, kinds ** (length - 1), -1)
            after[first[length] + kind :: kinds] += longest.sum(axis=0, dtype=arriving.dtype) * chosen
    return after


def direct_ways(flow: Flow) -> dict[tuple[int, int], Floats]:
    """Return in how many ways a node feeds another one through identities only, `(n,)` for each pair that occurs."""
    emits = flow.mask & ~flow.identities
    origin: list[dict[int, Floats]] = []  # of each node: in how many ways it passes on what another one emitted
    ways: dict[tuple[int, int], Floats] = {}
    for j, sources in enumerate(flow.into):
        arriving: dict[int, Floats] = {}
        for i, edge in sources:
            for k, number in origin[i].items():
                arriving[k] = arriving[k] + number * edge if k in arriving else number * edge
        for k, number in arriving.items():
            direct = number * emits[j]
            if direct.any():
                ways[k, j] = direct
        passed = {}
        if flow.identities[j].any():
            passed = {k: number * flow.identities[j] for k, number in arriving.items()}
        origin.append(passed | {j: emits[j].astype(np.float32)})
    return ways


def distances(flow: Flow, *, backwards: bool = False) -> NDArray[np.int16]:
    """Return the number of computing nodes on the longest way from an input to each node, or from it to an output.

    The node itself counts. `(v, n)`.
    """
    distance: NDArray[np.int16] = flow.computes.astype(np.int16)
    order = reversed(flow.edges) if backwards else iter(sorted(flow.edges, key=lambda e: e[1]))
    for i, j, edge in order:
        target, source = (i, j) if backwards else (j, i)
        longer = distance[source] * edge + flow.computes[target]
        np.maximum(distance[target], longer, out=distance[target])
    return distance
