"""Path encodings: which operation sequences lead from input to output (White et al., AAAI 2021)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError
from ..spaces import GraphBatch, GraphSchema
from .base import Columns
from .graph import GraphEncoder
from .paths_plan import PathPlan, plan_paths

_LONGER = ("drop", "tail")
_BLOCK = 256  # a multiple of 8: indicators are packed


class PathEncoder(GraphEncoder):
    """One column per operation sequence that an input-output path of the space can have.

    Identities are operations like any other, as published. Columns are ordered by length, which is also the order of
    their probability in random cells. NAS-Bench-101 has 364 columns. NAS-Bench-201 has 84, as `none` blocks a path;
    with `include_zero` it has the 155 of the publication, where `none` is a fifth operation. Where several nodes are
    inputs or outputs by nature (two cells, two previous cells), sequences that differ in them are kept apart.

    Node features and graph features do not enter; `"path+statistics"` adds them.

    Parameters
    ----------
    counts : bool
        Count the paths of each sequence (the path multiset), instead of indicating whether there is one.
    length : int, optional
        The most operations of a sequence. By default as many as `max_columns` allows.
    max_columns : int
        If the sequences of the space are more than this, the longest are left out.
    longer : {"tail", "drop"}
        Paths that are too long count by their last operations (`"... > conv3x3 > output"`), or not at all, as in the
        truncated encoding of the publication. If all paths of the space are too long (chains), it is always `"tail"`.
    include_zero : bool
        Treat operations that block the signal as operations, as the publication does.

    References
    ----------
    White, Neiswanger and Savani, "BANANAS: Bayesian optimization with neural architectures for neural architecture
    search", AAAI 2021.

    Examples
    --------
    >>> from archcast import get_space
    >>> space = get_space("nasbench201")
    >>> encoder = PathEncoder()
    >>> encoder.feature_names_out(space)[:2]
    ['input > skip_connect > output', 'input > nor_conv_1x1 > output']
    >>> encoder.transform(space.sample(10, seed=0)).shape
    (10, 84)
    """

    def __init__(
        self,
        counts: bool = False,
        length: int | None = None,
        max_columns: int = 4096,
        longer: str = "tail",
        include_zero: bool = False,
    ) -> None:
        self.counts = counts
        self.length = length
        self.max_columns = max_columns
        self.longer = longer
        self.include_zero = include_zero

    @property
    def counts_substructures(self) -> bool:  # type: ignore[override]
        """Whether paths are counted."""
        return self.counts

    def _graph_columns(self, schema: GraphSchema) -> Columns:
        plan = self._plan(schema)
        return Columns.of(plan.names, "path count" if self.counts else "path", indicator=not self.counts)

    def _plan(self, schema: GraphSchema) -> PathPlan:
        if self.length is not None and self.length < 0:
            raise InvalidDataError(f"length must be None or at least 0, got {self.length!r}")
        if self.max_columns < 1:
            raise InvalidDataError(f"max_columns must be at least 1, got {self.max_columns!r}")
        if self.longer not in _LONGER:
            raise InvalidDataError(f"longer must be one of {', '.join(_LONGER)}, got {self.longer!r}")
        key = _SchemaKey.of(schema)
        return _cached_plan(key, self.length, self.max_columns, self.longer == "tail", bool(self.include_zero))

    def _bytes_per_graph(self, schema: GraphSchema) -> int:
        plan = self._plan(schema)
        each = 4 * len(plan.names) + 2 * schema.num_nodes**2
        return each + (plan.states * _count_dtype(plan).itemsize if self.counts else plan.states // 8 + 1)

    def _encode(self, graphs: GraphBatch, out: NDArray[np.float32]) -> None:
        plan = self._plan(graphs.schema)
        found = _Programme(graphs, plan, _count_dtype(plan) if self.counts else None).run()
        for start in range(0, len(out), _BLOCK):  # blocks that stay in the cache while they are turned
            rows = out[start : start + _BLOCK]
            if self.counts:
                rows[:] = found[:, start : start + _BLOCK].copy().T
            else:
                packed = found[:, start // 8 : (start + _BLOCK) // 8]
                rows[:] = np.unpackbits(packed, axis=1, count=len(rows)).T


class _Programme:
    """One run of the dynamic programme; graphs lie along the last axis, so that every step is one long operation.

    Indicators are computed on 8 graphs a byte with "or" and "and", counts on one number a graph with sum and product.
    """

    def __init__(self, graphs: GraphBatch, plan: PathPlan, counts: np.dtype[Any] | None) -> None:
        self.plan = plan
        self.counts = counts
        self.dtype = np.dtype(np.uint8) if counts is None else counts
        self.join: np.ufunc = np.bitwise_or if counts is None else np.add
        self.gate: np.ufunc = np.bitwise_and if counts is None else np.multiply
        self.edges = self._signal(graphs.adjacency.transpose(1, 2, 0))
        labels = np.where(graphs.mask, graphs.operations, -1).T
        self.operation = [
            {o: self._signal(labels[j] == o) for o in {*node.passing, *node.outputs, *node.inputs}}
            for j, node in enumerate(plan.nodes)
        ]
        self.width = self.edges.shape[2]

    def _signal(self, flags: NDArray[np.bool_]) -> NDArray[Any]:
        return np.packbits(flags, axis=-1) if self.counts is None else np.ascontiguousarray(flags, dtype=self.counts)

    def _zeros(self, rows: int) -> NDArray[Any]:
        return np.zeros((rows, self.width), dtype=self.dtype)

    def run(self) -> NDArray[Any]:
        """Return the columns as rows, `(d, n)`, or `(d, ceil(n / 8))` with the graphs as bits."""
        result = self._zeros(len(self.plan.names))
        ahead = self._paths_before() if self.plan.has_tails else None
        states: dict[int, NDArray[Any]] = {}
        for j in reversed(range(len(self.plan.nodes))):
            node = self.plan.nodes[j]
            arriving = self._zeros(node.arriving)
            for k, rows, targets in node.sources:
                arriving[targets] = self.join(arriving[targets], self.gate(states[k][rows], self.edges[j, k]))
            for operation in node.inputs:
                found = self.gate(arriving, self.operation[j][operation])
                result[node.completed] = self.join(result[node.completed], found)
            state = np.empty((node.states, self.width), dtype=self.dtype)
            size = len(node.extended)
            short = arriving if size == node.arriving else arriving[node.extended]
            for position, operation in enumerate(node.passing):
                here = state[position * size : (position + 1) * size]
                self.gate(short, self.operation[j][operation], out=here)
            if node.outputs:
                state[-1] = self.join.reduce([self.operation[j][operation] for operation in node.outputs])
            if ahead is not None and len(node.tails[0]):
                rows, numbers = node.tails
                result[numbers] = self.join(result[numbers], self.gate(state[rows], ahead[j]))
            states[j] = state
        return result

    def _paths_before(self) -> NDArray[Any]:
        """Return the paths from an input that reach each node through at least one operation, `(v, n)`."""
        v = len(self.plan.nodes)
        starts, through, onwards = self._zeros(v), self._zeros(v), self._zeros(v)
        possible = self.plan.schema.possible_edges
        for j, node in enumerate(self.plan.nodes):
            directly = self._zeros(1)[0]
            for i in np.flatnonzero(possible[:, j]):
                through[j] = self.join(through[j], self.gate(onwards[i], self.edges[i, j]))
                directly = self.join(directly, self.gate(starts[i], self.edges[i, j]))
            for operation in node.inputs:
                starts[j] = self.join(starts[j], self.operation[j][operation])
            for operation in node.passing:
                arrived = self.join(through[j], directly)
                onwards[j] = self.join(onwards[j], self.gate(arrived, self.operation[j][operation]))
        return through


def _count_dtype(plan: PathPlan) -> np.dtype[Any]:
    """Return the smallest type that holds the number of paths of any graph of the schema."""
    return np.dtype(np.uint8 if plan.max_paths < 2**8 else np.uint16 if plan.max_paths < 2**16 else np.float32)


@dataclass(frozen=True)
class _SchemaKey:
    """A schema that compares by its content, so that equal spaces share a plan."""

    content: tuple[object, ...]
    schema: GraphSchema = field(compare=False)

    @classmethod
    def of(cls, schema: GraphSchema) -> _SchemaKey:
        words = tuple((operation.name, operation.role) for operation in schema.vocabulary)
        edges, allowed = schema.possible_edges.tobytes(), schema.node_operations.tobytes()
        return cls((words, schema.node_names, edges, allowed), schema)


@lru_cache(maxsize=64)
def _cached_plan(
    key: _SchemaKey, length: int | None, max_columns: int, keep_tails: bool, include_zero: bool
) -> PathPlan:
    return plan_paths(
        key.schema, length=length, max_columns=max_columns, keep_tails=keep_tails, include_zero=include_zero
    )
