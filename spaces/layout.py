"""Where the nodes of a directed acyclic graph go on paper: layers by longest path, few crossings, no overlaps.

The steps are those of Sugiyama, Tagawa and Toda (IEEE SMC 1981): layers, dummy nodes where an edge passes a layer,
barycentric ordering, then horizontal positions by alternating least squares under a minimal distance.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

GAP = 0.25
"""Between neighbours in a layer, in the unit of the sizes."""
LAYER_GAP = 0.45
DUMMY_WIDTH = 0.08
_SWEEPS = 12
_ALIGNMENTS = 40


@dataclass(frozen=True)
class Layout:
    """Positions of nodes and routes of edges; x grows to the right, y grows downwards.

    Parameters
    ----------
    centers : float array `(v, 2)`
        Of each node; NaN where the node is not drawn.
    routes : mapping of (int, int) to float array `(k, 2)`
        Per edge the points it runs through between its two nodes: for each layer that it passes one where it enters
        and one below, where it leaves; empty for an edge to the next layer.
    width, height : float
        Of the whole picture.
    """

    centers: NDArray[np.float64]
    routes: dict[tuple[int, int], NDArray[np.float64]]
    width: float
    height: float


def layered_layout(adjacency: NDArray[np.bool_], used: NDArray[np.bool_], sizes: NDArray[np.float64]) -> Layout:
    """Return a top-to-bottom layout; parts that are not connected stand side by side.

    Parameters
    ----------
    adjacency : bool array `(v, v)`
        Upper triangular.
    used : bool array `(v,)`
        Which nodes to draw.
    sizes : float array `(v, 2)`
        Width and height of each node's box.
    """
    edges = [(int(i), int(j)) for i, j in np.argwhere(adjacency & used[:, None] & used[None, :])]
    layer = _longest_paths(edges, used)
    heights = [0.0] * (max(layer.values(), default=0) + 1)
    for node, depth in layer.items():
        heights[depth] = max(heights[depth], float(sizes[node, 1]))
    tops = np.concatenate([[0.0], np.cumsum(np.array(heights) + LAYER_GAP)])
    bottoms = tops[:-1] + np.array(heights)
    levels = (tops[:-1] + bottoms) / 2

    centers = np.full((len(used), 2), np.nan)
    routes: dict[tuple[int, int], NDArray[np.float64]] = {}
    left = 0.0
    for part in _components(edges, used):
        inside = [edge for edge in edges if edge[0] in part]
        x, width, dummies = _place({node: layer[node] for node in part}, inside, sizes)
        for node in part:
            centers[node] = left + x[node], levels[layer[node]]
        for edge, chain in dummies.items():
            first = layer[edge[0]] + 1
            points = [(left + x[key], side[first + k]) for k, key in enumerate(chain) for side in (tops, bottoms)]
            routes[edge] = np.array(points, dtype=np.float64).reshape(-1, 2)
        left += width + 2 * GAP
    return Layout(centers, routes, max(left - 2 * GAP, 0.0), float(tops[-1] - LAYER_GAP))


def _longest_paths(edges: list[tuple[int, int]], used: NDArray[np.bool_]) -> dict[int, int]:
    layer = {int(node): 0 for node in np.flatnonzero(used)}
    for i, j in edges:  # sorted by source, and sources are in topological order
        layer[j] = max(layer[j], layer[i] + 1)
    # A node without predecessors belongs just above its first reader, not at the top of the page.
    reads = {j for _, j in edges}
    for node in reversed(list(layer)):
        readers = [layer[j] for i, j in edges if i == node]
        if node not in reads and readers:
            layer[node] = min(readers) - 1
    return layer


def _components(edges: list[tuple[int, int]], used: NDArray[np.bool_]) -> list[list[int]]:
    root = {int(node): int(node) for node in np.flatnonzero(used)}

    def find(node: int) -> int:
        while root[node] != node:
            node = root[node]
        return node

    for i, j in edges:
        low, high = sorted((find(i), find(j)))
        root[high] = low
    parts: dict[int, list[int]] = {}
    for node in root:
        parts.setdefault(find(node), []).append(node)
    return list(parts.values())


def _place(
    layer: dict[int, int], edges: list[tuple[int, int]], sizes: NDArray[np.float64]
) -> tuple[dict[int, float], float, dict[tuple[int, int], list[int]]]:
    """Return the x of each node and dummy of one connected part, its width, and the dummies of each edge."""
    depth = dict(layer)
    widths = {node: float(sizes[node, 0]) for node in layer}
    links: list[tuple[int, int]] = []
    dummies: dict[tuple[int, int], list[int]] = {}
    fresh = len(sizes)
    for i, j in edges:
        chain = list(range(fresh, fresh + layer[j] - layer[i] - 1))
        fresh += len(chain)
        for k, key in enumerate(chain):
            depth[key], widths[key] = layer[i] + 1 + k, DUMMY_WIDTH
        stops = [i, *chain, j]
        links += list(pairwise(stops))
        dummies[i, j] = chain
    first = min(depth.values())
    rows: list[list[int]] = [[] for _ in range(max(depth.values()) - first + 1)]
    for key, level in depth.items():
        rows[level - first].append(key)
    near: dict[int, list[int]] = {key: [] for key in depth}
    for a, b in links:
        near[a].append(b)
        near[b].append(a)
    rows = _order(rows, near, depth)
    x = _align(rows, near, widths)
    leftmost = min(x[key] - widths[key] / 2 for key in x)
    rightmost = max(x[key] + widths[key] / 2 for key in x)
    return {key: value - leftmost for key, value in x.items()}, rightmost - leftmost, dummies


def _order(rows: list[list[int]], near: dict[int, list[int]], depth: dict[int, int]) -> list[list[int]]:
    """Return the rows reordered by barycentres, the best of several sweeps."""
    best, fewest = rows, _crossings(rows, near, depth)
    current = [list(row) for row in rows]
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        levels = range(1, len(current)) if down else range(len(current) - 2, -1, -1)
        for level in levels:
            place = {key: k for k, key in enumerate(current[level - 1 if down else level + 1])}

            def barycentre(key: int, place: dict[int, int] = place, row: list[int] = current[level]) -> float:
                seen = [place[other] for other in near[key] if other in place]
                return sum(seen) / len(seen) if seen else float(row.index(key))

            weights = {key: barycentre(key) for key in current[level]}
            current[level] = sorted(current[level], key=weights.__getitem__)
        count = _crossings(current, near, depth)
        if count < fewest:
            best, fewest = [list(row) for row in current], count
    return best


def _crossings(rows: list[list[int]], near: dict[int, list[int]], depth: dict[int, int]) -> int:
    total = 0
    for upper, lower in pairwise(rows):
        place = {key: k for k, key in enumerate(lower)}
        ends = [[place[other] for other in near[key] if depth[other] > depth[key]] for key in upper]
        for a in range(len(ends)):
            for b in range(a + 1, len(ends)):
                total += sum(p > q for p in ends[a] for q in ends[b])
    return total


def _align(rows: list[list[int]], near: dict[int, list[int]], widths: dict[int, float]) -> dict[int, float]:
    """Return the x of each key: near the mean of its neighbours, in order, and apart."""
    x: dict[int, float] = {}
    offsets: list[NDArray[np.float64]] = []
    for row in rows:
        w = np.array([widths[key] for key in row])
        steps = (w[1:] + w[:-1]) / 2 + GAP
        offsets.append(np.concatenate([[0.0], np.cumsum(steps)]))
        x.update(zip(row, (offsets[-1] - offsets[-1][-1] / 2).tolist(), strict=True))
    for sweep in range(_ALIGNMENTS):
        order = range(len(rows)) if sweep % 2 == 0 else range(len(rows) - 1, -1, -1)
        for level in order:
            wanted = np.array(
                [np.mean([x[other] for other in near[key]]) if near[key] else x[key] for key in rows[level]]
            )
            placed = _isotonic(wanted - offsets[level]) + offsets[level]
            x.update(zip(rows[level], placed.tolist(), strict=True))
    return x


def _isotonic(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the nearest non-decreasing sequence in least squares (pool adjacent violators)."""
    pools: list[tuple[float, int]] = []
    for value in values.tolist():
        mean, count = value, 1
        while pools and pools[-1][0] > mean:
            before, size = pools.pop()
            mean, count = (before * size + mean * count) / (size + count), size + count
        pools.append((mean, count))
    return np.repeat([mean for mean, _ in pools], [count for _, count in pools])
