"""Canonical keys of NAS-Bench-101 cells: exact class counts, and speed against networkx.

archcast is timed on all cells, from genotype rows to keys, pruning included. The loop prunes the same directed graphs
with networkx and hashes each with `weisfeiler_lehman_graph_hash` (its default of 3 iterations, of which the hash of
directed graphs sees one direction of the edges alone: less work than ours). It is timed on a part of the cells, from
adjacency matrices and operation lists to hashes, and scaled to all; each row says so.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from ...spaces import Architectures, get_space
from ...spaces.nasbench101 import CLASSES_BY_NODES, NASBench101Space
from .measurement import Measurement, best_of

SIZES = (1_000, 10_000, 100_000)
SUBSET = 2_000
"""Cells that the loop is timed on."""
TARGET = 50
"""How many times faster than the loop the keys are to be."""


@dataclass(frozen=True)
class Count:
    """How many canonical classes there are of cells with so many nodes, and how many were published."""

    nodes: int
    found: int
    published: int
    seconds: float

    @property
    def exact(self) -> bool:
        """Whether the count is the published one."""
        return self.found == self.published

    def __str__(self) -> str:
        verdict = "exact" if self.exact else f"WRONG, published are {self.published:,}"
        return f"classes of {self.nodes} nodes  {self.found:>8,}  {verdict}  {self.seconds:8.3f} s"


def count_classes(nodes: Sequence[int] = tuple(CLASSES_BY_NODES)) -> Iterator[Count]:
    """Yield the number of canonical classes of NAS-Bench-101 cells by their number of nodes after pruning.

    The keys of all classes found are compared with each other: equal keys would count once.
    """
    space = NASBench101Space()
    for number in nodes:
        start = time.perf_counter()
        cells = space.enumerate_canonical(number)
        seconds = time.perf_counter() - start
        yield Count(number, len(np.unique(cells.keys())), CLASSES_BY_NODES[number], seconds)


def _matrices(cells: Architectures) -> list[tuple[NDArray[np.bool_], list[str]]]:
    graphs = cells.space.to_graphs(cells)
    words = [operation.name for operation in graphs.schema.vocabulary]
    return [
        (matrix, [words[word] for word in row])
        for matrix, row in zip(graphs.adjacency, graphs.operations.tolist(), strict=True)
    ]


def _networkx_hash(matrix: NDArray[np.bool_], operations: Sequence[str]) -> str:
    graph: Any = nx.from_numpy_array(matrix, create_using=nx.DiGraph)
    last = len(operations) - 1
    alive = (nx.descendants(graph, 0) | {0}) & (nx.ancestors(graph, last) | {last})
    pruned = graph.subgraph(alive)
    nx.set_node_attributes(pruned, {node: operations[node] for node in pruned}, "operation")
    return str(nx.weisfeiler_lehman_graph_hash(pruned, node_attr="operation"))


def measure(
    sizes: Sequence[int] = SIZES, subset: int = SUBSET, seed: int = 0, repeats: int = 3
) -> Iterator[Measurement]:
    """Yield one row a size; ours is the best of `repeats` runs.

    Raises
    ------
    AssertionError
        If two cells of the part that both saw have equal keys but different networkx hashes.
    """
    space = get_space("nasbench101")
    cells = space.sample(max(sizes), seed=seed, distinct=False)
    native = _matrices(cells[:subset])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # networkx tells of hashes that differ from those of old versions
        start = time.perf_counter()
        hashes = [_networkx_hash(matrix, operations) for matrix, operations in native]
        each = (time.perf_counter() - start) / len(native)
    hash_of: dict[int, str] = {}
    for key, text in zip(cells[:subset].keys().tolist(), hashes, strict=True):
        assert hash_of.setdefault(key, text) == text, "isomorphic by our keys, not by networkx"
    for size in sizes:
        batch = cells[:size]
        measured = f"networkx ({len(native):,} cells timed{', scaled' if size > len(native) else ''})"
        seconds = best_of(partial(space.canonical, batch), repeats)
        target = TARGET if size == max(sizes) else None
        yield Measurement("canonical keys", size, seconds, measured, each * size, target)


def report() -> Iterator[tuple[str, bool]]:
    """Yield all lines, and whether each count is exact and each target met."""
    total = 0
    for count in count_classes():
        total += count.found
        yield str(count), count.exact
    published = sum(CLASSES_BY_NODES.values())
    yield f"classes in all      {total:>8,}  published {published:,}", total == published
    for measurement in measure():
        yield str(measurement), measurement.met
