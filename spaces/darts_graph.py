"""The graphs of DARTS cells: which node slots there are, and how they are joined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .graphs import GraphBatch, GraphSchema
from .operations import Operation, as_operation

OPERATIONS = (
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
CELLS = ("normal", "reduce")
CELL_INPUTS = 2
NODES = 4

_SKIP = OPERATIONS.index("skip_connect")
_ENDS = (
    *(Operation(f"{cell} c_{{k-{CELL_INPUTS - i}}}", "input") for cell in CELLS for i in range(CELL_INPUTS)),
    *(Operation(f"{cell} output", "output") for cell in CELLS),
)
# A skip connection with stride 2 is made of two 1x1 convolutions: it is no identity.
_REDUCING_SKIP = Operation("factorized_reduce", traits={"conv": 1.0, "kernel": 1.0})
VOCABULARY = (*_ENDS, *(as_operation(name) for name in OPERATIONS), _REDUCING_SKIP)
_FIRST_OPERATION = len(_ENDS)
_REDUCING_SKIP_INDEX = _FIRST_OPERATION + len(OPERATIONS)
_SUM_INDEX = _REDUCING_SKIP_INDEX + 1


@dataclass(frozen=True)
class _Layout:
    """The node slots of cell number `cell`, with or without a slot for the sum at each intermediate node."""

    cell: int
    sums: bool

    @property
    def size(self) -> int:
        return CELL_INPUTS + NODES * (2 + self.sums) + 1

    @property
    def start(self) -> int:
        return self.cell * self.size

    @property
    def output(self) -> int:
        return self.start + self.size - 1

    def operation(self, k: int, a: int) -> int:
        """Return the slot of operation `a` of intermediate node `k`."""
        return self.start + CELL_INPUTS + k * (2 + self.sums) + a

    def total(self, k: int) -> int:
        """Return the slot of the sum at intermediate node `k`, if there are such slots."""
        return self.operation(k, 2)

    def emitters(self, source: int) -> list[int]:
        """Return the slots that together are the signal of cell node `source`, inputs counted first."""
        if source < CELL_INPUTS:
            return [self.start + source]
        k = source - CELL_INPUTS
        return [self.total(k)] if self.sums else [self.operation(k, 0), self.operation(k, 1)]


def _sources_of(k: int, a: int) -> range:
    """Return what intermediate node `k` can read from by its lower (`a` 0) or its higher (`a` 1) input."""
    return range(a, CELL_INPUTS + k - 1 + a)


def build_schema(*, sums: bool) -> GraphSchema:
    """Return the schema of two disjoint cells, with or without explicit sum nodes."""
    words = (*VOCABULARY, Operation("sum")) if sums else VOCABULARY
    layouts = [_Layout(c, sums) for c in range(len(CELLS))]
    size = sum(layout.size for layout in layouts)
    names = [""] * size
    allowed = np.zeros((size, len(words)), dtype=np.bool_)
    possible = np.zeros((size, size), dtype=np.bool_)
    for c, (cell, layout) in enumerate(zip(CELLS, layouts, strict=True)):
        for i in range(CELL_INPUTS):
            index = c * CELL_INPUTS + i
            names[layout.start + i] = words[index].name
            allowed[layout.start + i, index] = True
        for k in range(NODES):
            for a, which in enumerate(("first", "second")):
                slot, sources = layout.operation(k, a), _sources_of(k, a)
                names[slot] = f"{cell} node {CELL_INPUTS + k} {which}"
                allowed[slot, _FIRST_OPERATION:_REDUCING_SKIP_INDEX] = True
                if cell == "reduce":
                    allowed[slot, _REDUCING_SKIP_INDEX] = True
                    allowed[slot, _FIRST_OPERATION + _SKIP] = max(sources) >= CELL_INPUTS
                for source in sources:
                    possible[layout.emitters(source), slot] = True
                if sums:
                    possible[slot, layout.total(k)] = True
            if sums:
                names[layout.total(k)] = f"{cell} node {CELL_INPUTS + k} sum"
                allowed[layout.total(k), _SUM_INDEX] = True
            possible[layout.emitters(CELL_INPUTS + k), layout.output] = True
        names[layout.output] = f"{cell} output"
        allowed[layout.output, len(CELLS) * CELL_INPUTS + c] = True
    return GraphSchema(words, allowed, possible, tuple(names))


def build_graphs(schema: GraphSchema, sources: NDArray[Any], operations: NDArray[Any], *, sums: bool) -> GraphBatch:
    """Return the graphs of cells given by what each operation reads from and which it is, both `(n, cell, node, 2)`."""
    n = len(sources)
    adjacency = np.zeros((n, schema.num_nodes, schema.num_nodes), dtype=np.bool_)
    # Slots other than operations have one entry of the vocabulary each.
    words = np.broadcast_to(schema.node_operations.argmax(axis=1).astype(np.int8), (n, schema.num_nodes)).copy()
    reduces = np.array([cell == "reduce" for cell in CELLS])[None, :, None, None]
    strided = (operations == _SKIP) & (sources < CELL_INPUTS) & reduces
    chosen = np.where(strided, _REDUCING_SKIP_INDEX, operations + _FIRST_OPERATION)
    for c in range(len(CELLS)):
        layout = _Layout(c, sums)
        for k in range(NODES):
            for a in range(2):
                slot = layout.operation(k, a)
                words[:, slot] = chosen[:, c, k, a]
                for source in _sources_of(k, a):
                    adjacency[:, layout.emitters(source), slot] |= (sources[:, c, k, a] == source)[:, None]
                if sums:
                    adjacency[:, slot, layout.total(k)] = True
            adjacency[:, layout.emitters(CELL_INPUTS + k), layout.output] = True
    return GraphBatch.build(schema, adjacency, words)
