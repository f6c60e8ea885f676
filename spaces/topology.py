"""Order the nodes of small graphs that users wrote in any order."""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidArchitectureError


def topological_order(edges: NDArray[Any], names: list[str] | None = None) -> list[int]:
    """Return the nodes so that every edge leads onwards, in the given order where the edges allow it.

    Parameters
    ----------
    edges : bool array `(v, v)`
        `[i, j]` is the edge from node `i` to node `j`.
    names : list of str, optional
        What to call the nodes in the error; default: `node 0`, `node 1` ...

    Raises
    ------
    InvalidArchitectureError
        If there is a cycle; the message lists its nodes.
    """
    waiting = edges.sum(axis=0).astype(int).tolist()
    ready = [k for k, count in enumerate(waiting) if count == 0]
    order: list[int] = []
    while ready:
        node = heapq.heappop(ready)
        order.append(node)
        for target in np.flatnonzero(edges[node]).tolist():
            waiting[target] -= 1
            if waiting[target] == 0:
                heapq.heappush(ready, target)
    if len(order) < len(edges):
        cycle = _cycle(edges, [k for k, count in enumerate(waiting) if count > 0])
        shown = [names[k] if names is not None else f"node {k}" for k in [*cycle, cycle[0]]]
        raise InvalidArchitectureError(f"the graph has a cycle: {' -> '.join(shown)}")
    return order


def _cycle(edges: NDArray[Any], stuck: list[int]) -> list[int]:
    """Walk backwards among nodes that each have a predecessor among themselves, until one comes again."""
    remaining = np.zeros(len(edges), dtype=np.bool_)
    remaining[stuck] = True
    walk = [stuck[0]]
    while True:
        before = int(np.flatnonzero(edges[:, walk[-1]] & remaining)[0])
        if before in walk:
            return walk[walk.index(before) :][::-1]
        walk.append(before)
