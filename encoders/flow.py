"""What flows along the paths of directed acyclic graphs: vectorised dynamic programmes over nodes.

All functions take pruned graphs (see `GraphBatch.prune`) and loop over nodes, never over architectures.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..spaces import GraphBatch

Floats = NDArray[np.floating]


class PathSummary(NamedTuple):
    """Sums of node weights along input-output paths, summarised over the paths of each graph.

    `highest`, `lowest`, `mean` and `total` are `(n, m)` for `m` weights, and 0 for a graph without a path; `paths` is
    the number of paths, `(n,)`.
    """

    highest: Floats
    lowest: Floats
    mean: Floats
    total: Floats
    paths: Floats


def over_paths(graphs: GraphBatch, weights: Floats) -> PathSummary:
    """Summarise over all input-output paths the sum of `weights`, `(n, v, m)`, along each."""
    n, v, m = weights.shape
    inputs, outputs = graphs.has_role("input"), graphs.has_role("output")[:, :, None]
    highest, lowest = np.full((n, v, m), -np.inf), np.full((n, v, m), np.inf)
    total, paths = np.zeros((n, v, m)), np.zeros((n, v, 1))
    for j in range(v):
        edge, start = graphs.adjacency[:, :j, j, None], inputs[:, j, None]
        paths[:, j] = (paths[:, :j] * edge).sum(axis=1) + start
        total[:, j] = (total[:, :j] * edge).sum(axis=1) + weights[:, j] * paths[:, j]
        above = np.where(edge, highest[:, :j], -np.inf).max(axis=1, initial=-np.inf)
        below = np.where(edge, lowest[:, :j], np.inf).min(axis=1, initial=np.inf)
        highest[:, j] = np.where(start, 0, above) + weights[:, j]
        lowest[:, j] = np.where(start, 0, below) + weights[:, j]
    number, summed = (paths * outputs).sum(axis=1), (total * outputs).sum(axis=1)
    connected = number > 0
    return PathSummary(
        highest=np.where(connected, np.where(outputs, highest, -np.inf).max(axis=1), 0),
        lowest=np.where(connected, np.where(outputs, lowest, np.inf).min(axis=1), 0),
        mean=summed / np.maximum(number, 1),
        total=summed,
        paths=number[:, 0],
    )


def path_sequences(graphs: GraphBatch, steps: NDArray[np.intp], kinds: int, length: int) -> NDArray[np.float32]:
    """Return how many input-output paths have each sequence of steps; of longer ones the last `length` count.

    Parameters
    ----------
    graphs : GraphBatch
    steps : integer array `(n, v)`
        The step that each node makes, in `range(kinds)`, or -1 if it makes none.
    kinds, length : int

    Returns
    -------
    float32 array `(n, sum_l kinds ** l)`
        Sequences of up to `length` steps, by length, then lexicographically.
    """
    first = np.cumsum([0, *(kinds**size for size in range(length + 1))])
    n, v = steps.shape
    inputs, outputs = graphs.has_role("input"), graphs.has_role("output")
    state = np.zeros((n, v, int(first[-1])), dtype=np.float32)
    for j in range(v):
        edge = graphs.adjacency[:, None, :j, j].astype(np.float32)
        arriving = (edge @ state[:, :j])[:, 0]
        arriving[:, 0] += inputs[:, j]
        silent = steps[:, j] < 0
        state[silent, j] = arriving[silent]
        for kind in range(kinds):
            rows = np.flatnonzero(steps[:, j] == kind)
            before = arriving[rows]
            after = np.zeros_like(before)
            for size in range(length):
                after[:, first[size + 1] + kind : first[size + 2] : kinds] = before[:, first[size] : first[size + 1]]
            longest = before[:, first[length] :].reshape(
                len(rows), kinds, kinds ** (length - 1)
            )  # its oldest step is forgotten
            after[:, first[length] + kind :: kinds] += longest.sum(axis=1)
            state[rows, j] = after
    ends: NDArray[np.float32] = (outputs[:, None].astype(np.float32) @ state)[:, 0]
    return ends


def direct_ways(graphs: GraphBatch) -> NDArray[np.float32]:
    """Return in how many ways each node feeds each other one through identities only, `(n, v, v)`; identities are 0."""
    identity = graphs.has_role("identity")
    emits = graphs.mask & ~identity
    origin = np.zeros(graphs.adjacency.shape, dtype=np.float32)  # [:, i, j]: ways in which j passes on what i emitted
    direct = np.zeros(graphs.adjacency.shape, dtype=np.float32)
    for j in range(emits.shape[1]):
        arriving = (origin[:, :, :j] @ graphs.adjacency[:, :j, j, None].astype(np.float32))[:, :, 0]
        direct[:, :, j] = arriving * emits[:, j, None]
        origin[:, :, j] = arriving * identity[:, j, None]
        origin[:, j, j] = emits[:, j]
    return direct


def distances(adjacency: NDArray[np.bool_], counted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the number of counted nodes on the longest way to each node, itself included, `(n, v)`."""
    distance = np.zeros(counted.shape, dtype=np.int64)
    for j in range(counted.shape[1]):
        distance[:, j] = (adjacency[:, :j, j] * distance[:, :j]).max(axis=1, initial=0) + counted[:, j]
    return distance
