"""The DARTS cell space, which is also that of NAS-Bench-301: a normal and a reduction cell, 7 operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidArchitectureError
from .base import Gene, SearchSpace
from .darts_graph import CELL_INPUTS, CELLS, NODES, OPERATIONS, build_graphs, build_schema
from .darts_notation import read_genotype
from .graphs import GraphBatch, GraphSchema

_GENES_A_NODE = 3
_CONCAT = list(range(CELL_INPUTS, CELL_INPUTS + NODES))


class DARTSSpace(SearchSpace):
    """Pairs of cells as in DARTS (Liu et al., ICLR 2019) and NAS-Bench-301 (Zela et al., ICLR 2022).

    Each cell has two inputs (0 and 1: the outputs of the two cells before) and four intermediate nodes (2 to 5), each
    the sum of two operations on two different earlier nodes; all four, concatenated, are the output. The genotype
    holds, per cell and node, the pair of inputs and the operation on either, that of the lower input first. Every
    combination of genes is valid, about 1.08e18 in all, and two notations that differ in the order of a node's
    inputs are the same architecture.

    The native notation is that of the DARTS code,
    `Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1), ...], normal_concat=range(2, 6), reduce=[...],
    reduce_concat=range(2, 6))`: two entries a node. `format` writes the lower input first. `parse` also takes any
    object or mapping with these fields, lists for tuples, and `[2, 3, 4, 5]` for the range. Text is read as data,
    never run.

    Graphs have one node per operation: it reads from an input of its cell, or from both operations of an
    intermediate node, and the output reads from all. In the reduction cell a `skip_connect` on an input of the cell
    appears as `factorized_reduce`, the strided convolution that it is. Canonical keys tell apart which operations
    are summed together, and do not depend on the order of the intermediate nodes.

    Examples
    --------
    >>> space = DARTSSpace()
    >>> arch = space.sample(1, seed=0)[0]
    >>> str(arch).startswith("Genotype(normal=[('")
    True
    """

    network = ".spaces.networks.darts:darts_network"

    def __init__(self, *, name: str = "darts") -> None:
        self.pairs = tuple(tuple(combinations(range(CELL_INPUTS + k), 2)) for k in range(NODES))
        genes = []
        for cell in CELLS:
            for k, pairs in enumerate(self.pairs):
                node = f"{cell} node {CELL_INPUTS + k}"
                genes.append(Gene(f"{node} inputs", pairs))
                genes += [Gene(f"{node} {which} operation", OPERATIONS) for which in ("first", "second")]
        super().__init__(name, genes)

    # ---- native notation ----------------------------------------------------------------------------------------

    def _parse_text(self, text: str) -> list[int]:
        return self._parse_object(read_genotype(text))

    def _parse_object(self, item: Any) -> list[int]:
        genotype = []
        for cell in CELLS:
            entries = _field(item, cell)
            if not isinstance(entries, (list, tuple)) or len(entries) != 2 * NODES:
                got = f"{len(entries)} entries" if isinstance(entries, (list, tuple)) else type(entries).__name__
                raise InvalidArchitectureError(
                    f"expected {2 * NODES} (operation, input) entries in {cell!r}, got {got}"
                )
            for k in range(NODES):
                genotype += self._parse_node(cell, k, entries[2 * k : 2 * k + 2])
            _check_concat(cell, _field(item, f"{cell}_concat"))
        return genotype

    def _parse_node(self, cell: str, k: int, entries: Sequence[Any]) -> list[int]:
        chosen = []
        for position, entry in enumerate(entries, start=2 * k):
            where = f"entry {position} of {cell!r}"
            if not isinstance(entry, (list, tuple)) or len(entry) != 2:
                raise InvalidArchitectureError(f"expected (operation, input) as {where}, got {entry!r}")
            operation, source = entry
            if not isinstance(operation, str) or operation not in OPERATIONS:
                raise InvalidArchitectureError(
                    f"unknown operation {operation!r} in {where}, expected one of {', '.join(OPERATIONS)}"
                )
            last = CELL_INPUTS + k - 1
            if isinstance(source, bool) or not isinstance(source, (int, np.integer)) or not 0 <= source <= last:
                raise InvalidArchitectureError(f"expected {where} to read from a node in 0..{last}, got {source!r}")
            chosen.append((int(source), OPERATIONS.index(operation)))
        (low, first), (high, second) = sorted(chosen)
        if low == high:
            raise InvalidArchitectureError(
                f"node {CELL_INPUTS + k} of {cell!r} reads twice from node {low}, expected two different inputs"
            )
        return [self.pairs[k].index((low, high)), first, second]

    def _format_row(self, genotype: Sequence[int]) -> str:
        genes = iter(genotype)
        fields = []
        for cell in CELLS:
            entries = []
            for pairs in self.pairs:
                sources = pairs[next(genes)]
                entries += [(OPERATIONS[next(genes)], source) for source in sources]
            fields.append(f"{cell}={entries!r}, {cell}_concat=range(2, 6)")
        return f"Genotype({', '.join(fields)})"

    # ---- graphs -------------------------------------------------------------------------------------------------

    @cached_property
    def graph_schema(self) -> GraphSchema:
        """Two disjoint cells of 11 nodes: two inputs, the eight operations in order, the output."""
        return build_schema(sums=False)

    @cached_property
    def _schema_with_sums(self) -> GraphSchema:
        return build_schema(sums=True)

    def _graphs(self, genotypes: NDArray[Any]) -> GraphBatch:
        return build_graphs(self.graph_schema, *self.sources_and_operations(genotypes), sums=False)

    def _keys(self, genotypes: NDArray[Any]) -> NDArray[np.uint64]:
        # Everything reaches the output, so that there is nothing to prune; the two cells do not meet, so that as many
        # refinements as one of them has nodes are enough.
        graphs = build_graphs(self._schema_with_sums, *self.sources_and_operations(genotypes), sums=True)
        return graphs.keys(rounds=graphs.schema.num_nodes // len(CELLS) - 1)

    def sources_and_operations(self, genotypes: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return what each operation of valid rows `(n, d)` reads from, and which it is; both `(n, cell, node, 2)`."""
        genes = genotypes.reshape(len(genotypes), len(CELLS), NODES, _GENES_A_NODE).astype(np.int64)
        sources = np.stack([np.array(pairs)[genes[:, :, k, 0]] for k, pairs in enumerate(self.pairs)], axis=2)
        return sources, genes[:, :, :, 1:]


def _field(item: Any, name: str) -> Any:
    value = item.get(name) if isinstance(item, Mapping) else getattr(item, name, None)
    if value is None:
        raise InvalidArchitectureError(f"expected a Genotype with {name!r}, got {type(item).__name__} without it")
    return value


def _check_concat(cell: str, value: Any) -> None:
    listed = list(value) if isinstance(value, (list, tuple, range, set, frozenset)) else None
    if listed is None or sorted(map(repr, listed)) != [str(k) for k in _CONCAT]:
        raise InvalidArchitectureError(f"expected '{cell}_concat' to be range(2, 6), got {value!r}")
