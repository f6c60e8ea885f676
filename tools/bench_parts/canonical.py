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
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from ...spaces import Architectures, get_space
from ...spaces.nasbench101 import CLASSES_BY_NODES, NASBench101Space

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


@dataclass(frozen=True)
class Row:
    """One measurement: seconds for `size` cells, ours and the loop's."""

    size: int
    seconds: float
    reference_seconds: float
    note: str

    @property
    def ratio(self) -> float:
        """How many times faster than the reference."""
        return self.reference_seconds / self.seconds

    def __str__(self) -> str:
        return (
            f"canonical keys {self.size:>8,} cells   {self.seconds:8.3f} s  networkx {self.reference_seconds:9.1f} s  "
            f"{self.ratio:7.0f}x  ({self.note})"
        )


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


def measure(sizes: Sequence[int] = SIZES, subset: int = SUBSET, seed: int = 0, repeats: int = 3) -> Iterator[Row]:
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
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            space.canonical(batch)
            times.append(time.perf_counter() - start)
        measured = f"{len(native):,} cells timed, scaled" if size > len(native) else f"{len(native):,} cells timed"
        yield Row(size, min(times), each * size, f"networkx: {measured}")


def main() -> bool:
    """Print all measurements; return whether every count is exact and the largest batch reaches the target."""
    counts = list(count_classes())
    for count in counts:
        print(count)
    total = sum(count.found for count in counts)
    print(f"classes in all      {total:>8,}  published {sum(CLASSES_BY_NODES.values()):,}")
    rows = []
    for row in measure():
        print(row)
        rows.append(row)
    return all(count.exact for count in counts) and rows[-1].ratio >= TARGET


if __name__ == "__main__":
    raise SystemExit(0 if main() else 1)
