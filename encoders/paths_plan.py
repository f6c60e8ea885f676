"""Which operation sequences the graphs of a schema can have, and how a dynamic programme finds them.

Sequences grow backwards, from the output, so that a sequence that is cut after a number of operations keeps its end.
Everything here depends on the schema alone and runs once a space.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError
from ..spaces import GraphSchema

_MAX_STATES = 1 << 18
"""Pairs of node and sequence that the search for the longest fitting sequences may visit on one level."""


@dataclass(frozen=True)
class NodePlan:
    """What the dynamic programme does at one node; the states of a node are the sequences that may begin there.

    Parameters
    ----------
    arriving : int
        Number of distinct sequences that may begin at a successor.
    sources : tuple of (int, integer array, integer array)
        For each possible successor: its index, which of its states are read, and which arriving rows they add to.
    extended : integer array
        Arriving rows short enough to be extended by this node's operation.
    passing : tuple of int
        Operations this node can have that continue a path; the states are the extended rows for the first of these,
        then for the second, and so on.
    outputs : tuple of int
        Operations of the output role that this node can have; if any, one last state is the empty sequence.
    inputs : tuple of int
        Operations of the input role that this node can have.
    completed : integer array
        The column that each arriving row completes if the node is an input; empty if it never is.
    tails : (integer array, integer array)
        States that are as long as sequences may get, and their columns for paths that go on.
    """

    arriving: int
    sources: tuple[tuple[int, NDArray[np.intp], NDArray[np.intp]], ...]
    extended: NDArray[np.intp]
    passing: tuple[int, ...]
    outputs: tuple[int, ...]
    inputs: tuple[int, ...]
    completed: NDArray[np.intp]
    tails: tuple[NDArray[np.intp], NDArray[np.intp]]

    @property
    def states(self) -> int:
        """The number of states of the node."""
        return len(self.extended) * len(self.passing) + bool(self.outputs)


@dataclass(frozen=True)
class PathPlan:
    """The dynamic programme of a schema: a `NodePlan` per node, and the names and lengths of the columns."""

    schema: GraphSchema
    nodes: tuple[NodePlan, ...]
    names: tuple[str, ...]
    lengths: NDArray[np.int64]
    max_paths: float

    @property
    def states(self) -> int:
        """Rows of memory that the programme holds for each graph."""
        return sum(node.states + node.arriving for node in self.nodes) + len(self.names)

    @property
    def has_tails(self) -> bool:
        """Whether some columns stand for paths that go on."""
        return any(len(node.tails[0]) for node in self.nodes)


@dataclass
class _Search:
    """Sequences by their identifier: a tree whose roots are outputs and whose edges prepend an operation."""

    schema: GraphSchema
    include_zero: bool
    words: list[tuple[int, ...]] = field(default_factory=list)
    """Of each sequence, its operations, the last one first, after the number of its output label."""
    children: dict[tuple[int, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        roles, allowed = self.schema.roles, self.schema.node_operations
        continuing = np.isin(roles, ["identity", "compute", "zero"] if self.include_zero else ["identity", "compute"])
        self.passing = [tuple(np.flatnonzero(row & continuing).tolist()) for row in allowed]
        self.inputs = [tuple(np.flatnonzero(row & (roles == "input")).tolist()) for row in allowed]
        self.outputs = [tuple(np.flatnonzero(row & (roles == "output")).tolist()) for row in allowed]
        self.input_labels = self._labels("input", self.inputs)
        self.output_labels = self._labels("output", self.outputs)
        self.successors = [np.flatnonzero(row).tolist() for row in self.schema.possible_edges]
        self.preceded = self._preceded()
        self.levels: list[list[set[int]]] = [[self._roots(j) for j in range(self.schema.num_nodes)]]

    def _labels(self, role: str, operations: list[tuple[int, ...]]) -> list[str]:
        """Name the ends of paths: by slot if several slots are inputs (outputs) by nature, otherwise just `role`."""
        dedicated = [bool(ops) and self.schema.node_operations[j].sum() == len(ops) for j, ops in enumerate(operations)]
        several = sum(dedicated) > 1
        names = self.schema.node_names
        return [names[j] if several and fixed else role for j, fixed in enumerate(dedicated)]

    def _roots(self, node: int) -> set[int]:
        if not self.outputs[node]:
            return set()
        return {self._prepend(-1, self._output_numbers()[self.output_labels[node]])}

    def _output_numbers(self) -> dict[str, int]:
        used = [label for label, ops in zip(self.output_labels, self.outputs, strict=True) if ops]
        return {label: number for number, label in enumerate(dict.fromkeys(used))}

    def _prepend(self, sequence: int, operation: int) -> int:
        found = self.children.setdefault((sequence, operation), len(self.words))
        if found == len(self.words):
            self.words.append((*(self.words[sequence] if sequence >= 0 else ()), operation))
        return found

    def _preceded(self) -> list[bool]:
        """Say of each node whether an operation may come before it on a path from an input."""
        fed = [False] * self.schema.num_nodes
        preceded = [False] * self.schema.num_nodes
        for j in range(self.schema.num_nodes):
            before = np.flatnonzero(self.schema.possible_edges[:, j]).tolist()
            fed[j] = any(self.inputs[i] or (fed[i] and self.passing[i]) for i in before)
            preceded[j] = any(fed[i] and self.passing[i] for i in before)
        return preceded

    def deepen(self) -> bool:
        """Add the sequences with one operation more; return whether there are any, and not too many."""
        last = self.levels[-1]
        arriving = [set().union(*(last[k] for k in successors)) for successors in self.successors]
        if sum(len(a) * len(ops) for a, ops in zip(arriving, self.passing, strict=True)) > _MAX_STATES:
            return False
        self.levels.append(
            [
                {self._prepend(sequence, operation) for operation in operations for sequence in sequences}
                for sequences, operations in zip(arriving, self.passing, strict=True)
            ]
        )
        return any(self.levels[-1])

    def completed(self, level: int) -> set[tuple[str, int]]:
        """Return the paths with `level` operations, as pairs of input label and sequence."""
        return {
            (self.input_labels[j], sequence)
            for j, operations in enumerate(self.inputs)
            if operations
            for k in self.successors[j]
            for sequence in self.levels[level][k]
        }

    def tails(self, level: int) -> set[int]:
        """Return the sequences with `level` operations that further operations may precede."""
        return {sequence for j, at in enumerate(self.levels[level]) if self.preceded[j] for sequence in at}


def plan_paths(
    schema: GraphSchema, *, length: int | None, max_columns: int, keep_tails: bool, include_zero: bool
) -> PathPlan:
    """Choose the columns and prepare the dynamic programme.

    Parameters
    ----------
    schema : GraphSchema
    length : int, optional
        The most operations a sequence may have; None for as many as `max_columns` allows.
    max_columns : int
        Longer sequences are left out until this many columns remain.
    keep_tails : bool
        Whether paths that are too long count by their last operations. They do in any case if there are no others.
    include_zero : bool
        Whether operations that block the signal are operations like any other.

    Raises
    ------
    InvalidDataError
        If not even the ends of the paths fit into `max_columns`.
    """
    search = _Search(schema, include_zero)
    bound = schema.num_nodes if length is None else length
    levels: list[set[tuple[str, int]]] = []
    total = 0
    best_full, best_tails = -1, -1
    exhausted = False
    while True:
        level = len(levels)
        levels.append(search.completed(level))
        total += len(levels[level])
        if total <= max_columns:
            best_full = level
            best_tails = level if total + len(search.tails(level)) <= max_columns else best_tails
        if total > max_columns or level >= bound or not search.deepen():
            exhausted = total <= max_columns and not search.tails(level)
            break
    fitting = any(levels[: best_full + 1])
    with_tails = not exhausted and ((keep_tails and best_tails >= 0) or not fitting)
    if with_tails and best_tails < 0:
        raise InvalidDataError(f"max_columns is too small for the paths of this space, got {max_columns}")
    limit = best_tails if with_tails else best_full
    columns: list[tuple[str | None, int]] = [(a, s) for level in levels[: limit + 1] for a, s in level]
    if with_tails:
        columns += [(None, sequence) for sequence in search.tails(limit)]
    return _assemble(search, _sorted(search, columns), limit)


def _sorted(search: _Search, columns: list[tuple[str | None, int]]) -> list[tuple[str | None, int]]:
    """Shortest sequences first, then by the operations in the order of the vocabulary."""
    order = {label: number for number, label in enumerate(dict.fromkeys(search.input_labels))}

    def rank(column: tuple[str | None, int]) -> tuple[object, ...]:
        label, sequence = column
        output, *operations = search.words[sequence]
        return len(operations), label is None, order.get(label or "", 0), operations[::-1], output

    return sorted(columns, key=rank)


def _assemble(search: _Search, columns: list[tuple[str | None, int]], limit: int) -> PathPlan:
    schema, words = search.schema, search.words
    number = {column: k for k, column in enumerate(columns)}
    states: list[list[int]] = [[] for _ in range(schema.num_nodes)]
    nodes: list[NodePlan | None] = [None] * schema.num_nodes
    for j in reversed(range(schema.num_nodes)):
        position: dict[int, int] = {}
        sources = []
        for k in search.successors[j]:
            if states[k]:
                rows = [position.setdefault(sequence, len(position)) for sequence in states[k]]
                sources.append((k, np.arange(len(rows)), np.array(rows, dtype=np.intp)))
        arriving = list(position)
        extended = [row for row, sequence in enumerate(arriving) if len(words[sequence]) <= limit]
        passing = search.passing[j]
        states[j] = [search.children[arriving[row], operation] for operation in passing for row in extended]
        if search.outputs[j]:
            states[j] += search.levels[0][j]
        tails = [
            (row, number[None, sequence])
            for row, sequence in enumerate(states[j])
            if (None, sequence) in number and search.preceded[j]
        ]
        completed = [number[search.input_labels[j], sequence] for sequence in arriving] if search.inputs[j] else []
        nodes[j] = NodePlan(
            arriving=len(arriving),
            sources=tuple(sources),
            extended=np.array(extended, dtype=np.intp),
            passing=passing,
            outputs=search.outputs[j],
            inputs=search.inputs[j],
            completed=np.array(completed, dtype=np.intp),
            tails=(np.array([t[0] for t in tails], dtype=np.intp), np.array([t[1] for t in tails], dtype=np.intp)),
        )
    outputs = {number: label for label, number in search._output_numbers().items()}
    names, lengths = [], []
    for label, sequence in columns:
        output, *operations = words[sequence]
        inner = [schema.vocabulary[operation].name for operation in reversed(operations)]
        names.append(" > ".join(["..." if label is None else label, *inner, outputs[output]]))
        lengths.append(len(operations))
    return PathPlan(
        schema=schema,
        nodes=tuple(node for node in nodes if node is not None),
        names=tuple(names),
        lengths=np.array(lengths, dtype=np.int64),
        max_paths=_most_paths(search),
    )


def _most_paths(search: _Search) -> float:
    """Return a bound on the number of input-output paths of one graph."""
    ways: dict[int, float] = defaultdict(float)
    total = 0.0
    for j in reversed(range(search.schema.num_nodes)):
        onwards = sum(ways[k] for k in search.successors[j])
        ways[j] = bool(search.outputs[j]) + (onwards if search.passing[j] else 0.0)
        total += onwards if search.inputs[j] else 0.0
    return total
