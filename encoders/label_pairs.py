"""Pairs of labels and how far apart: shortest-path and random-walk graph kernels as explicit features."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError

from ..errors import InvalidDataError
from ..spaces import GraphBatch, GraphSchema
from .base import Columns
from .graph import LearnedGraphEncoder, check_view, view

_OPERATION = -1
"""The kind of a label that is an operation; others are the number of a node feature, and the label is its value."""


class LabelPairEncoder(LearnedGraphEncoder):
    """Counts of (label of the first node, label of the last, steps between them), over the pairs of nodes of a graph.

    The labels of a node are its operation and, where nodes have features, each of their values: `block` and
    `kernel=5` and `expansion=6`. What nodes have in common is then found out one property at a time; as many
    trainings as there are combinations of properties are hardly ever at hand. At 0 steps the first node is the last:
    operations, and pairs of labels that meet in one node.

    With one-hot labels `L`, `(v, k)`, and `R_t`, `(v, v)`, what leads from node to node in `t` steps, the counts are
    `L' R_t L`. The columns are the triples that occur in the architectures the encoder is fitted on; others are
    ignored. Isomorphic architectures have the same encoding. Hyperparameters of the whole graph do not enter.

    Parameters
    ----------
    length : int, optional
        The most steps; None for as many as there are.
    graph : {"reduced", "pruned", "full"}
        Drop dead code and contract identities first; only drop dead code; or neither.
    max_labels : int
        Keep the labels that occur in the most training architectures.
    max_columns : int
        Keep the triples that occur in the most training architectures, those of few steps first among equals.

    Attributes
    ----------
    kinds_, values_ : int64 and float32 arrays `(k,)`
        The labels: an operation of the vocabulary where the kind is -1, else a value of that node feature.
    triples_ : int64 array `(d, 3)`
        Steps, first label and last label of each column.
    """

    counts_substructures = True
    steps_name: str

    def __init__(
        self, length: int | None = None, graph: str = "reduced", max_labels: int = 64, max_columns: int = 2048
    ) -> None:
        self.length = length
        self.graph = graph
        self.max_labels = max_labels
        self.max_columns = max_columns

    @abstractmethod
    def _further(self, adjacency: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        """Yield what leads from node to node in 1, 2, ... steps, `(n, v, v)`."""

    def _relations(self, graphs: GraphBatch) -> Iterator[NDArray[np.float32]]:
        """Yield what leads from node to node in 0, 1, ... steps, up to the first number of steps that leads nowhere."""
        v = graphs.schema.num_nodes
        yield np.broadcast_to(np.eye(v, dtype=np.float32), (len(graphs), v, v))
        for relation in islice(self._further(graphs.adjacency.astype(np.float32)), self.length):
            if not relation.any():
                return
            yield relation

    def _check(self) -> None:
        check_view(self.graph)
        if self.length is not None and self.length < 0:
            raise InvalidDataError(f"length must be None or at least 0, got {self.length!r}")
        for name in ("max_labels", "max_columns"):
            if getattr(self, name) < 1:
                raise InvalidDataError(f"{name} must be at least 1, got {getattr(self, name)!r}")

    # ---- learning the columns ---------------------------------------------------------------------------------------

    def fit_graphs(self, graphs: GraphBatch) -> Self:
        """Learn the columns from graphs that need not come from a space.

        Raises
        ------
        InvalidDataError
            If a parameter is out of its range, or no graph has a node left.
        """
        self._check()
        graphs = view(graphs, self.graph)
        if not graphs.mask.any():
            raise InvalidDataError(f"none of the {len(graphs)} architectures has a node on an input-output path")
        self.kinds_, self.values_ = _frequent_labels(graphs, self.max_labels)
        frequency: list[NDArray[np.int64]] = []
        rows = self._chunk(graphs.schema)
        for start in range(0, len(graphs), rows):
            for steps, counts in enumerate(self._counts(graphs[start : start + rows])):
                found = (counts > 0).sum(axis=0)
                if steps == 0:  # both orders of a pair say the same
                    found = np.triu(found)
                if steps == len(frequency):
                    frequency.append(found)
                else:
                    frequency[steps] += found
        total = np.stack(frequency)
        triples = np.argwhere(total > 0)
        often = total[total > 0]
        kept = np.lexsort((*triples.T[::-1], -often))[: self.max_columns]
        self.triples_: NDArray[np.int64] = triples[kept][np.lexsort((-often[kept], triples[kept, 0]))]
        self._name_labels(graphs.schema)
        return self

    def _name_labels(self, schema: GraphSchema) -> None:
        """Remember how the labels are called."""
        self._labels = [
            schema.vocabulary[int(value)].name
            if kind == _OPERATION
            else f"{schema.feature_names[kind]}={float(np.float32(value)):.9g}"
            for kind, value in zip(self.kinds_.tolist(), self.values_.tolist(), strict=True)
        ]

    def _graph_columns(self, schema: GraphSchema) -> Columns:
        if not hasattr(self, "triples_"):
            raise NotFittedError(f"{type(self).__name__} learns its columns: call fit first")
        names = [self._column_name(*triple) for triple in self.triples_.tolist()]
        groups = tuple(f"{self.steps_name} {steps}" for steps in self.triples_[:, 0].tolist())
        return Columns(tuple(names), groups, np.zeros(len(groups), dtype=np.bool_))

    def _column_name(self, steps: int, first: int, last: int) -> str:
        one, other = self._labels[first], self._labels[last]
        if steps == 0:
            return one if first == last else f"{one} with {other}"
        return f"{one} > {other} at {self.steps_name} {steps}"

    # ---- counting ---------------------------------------------------------------------------------------------------

    def _counts(self, graphs: GraphBatch) -> Iterator[NDArray[np.float32]]:
        """Yield how often each label leads to each other in 0, 1, ... steps, `(n, k, k)`."""
        labels = self._one_hot(graphs)
        for relation in self._relations(graphs):
            counts: NDArray[np.float32] = np.matmul(np.matmul(labels, relation), labels.swapaxes(1, 2))
            yield counts

    def _one_hot(self, graphs: GraphBatch) -> NDArray[np.float32]:
        """Return which node has which label, `(n, k, v)`."""
        n, v = graphs.operations.shape
        labels = np.empty((n, len(self.kinds_), v), dtype=np.float32)
        inner = graphs.mask & ~graphs.has_role("input") & ~graphs.has_role("output")
        for k, (kind, value) in enumerate(zip(self.kinds_.tolist(), self.values_, strict=True)):
            if kind == _OPERATION:
                labels[:, k] = graphs.mask & (graphs.operations == value)
            else:
                labels[:, k] = inner & (graphs.features[:, :, kind] == value)
        return labels

    def _encode(self, graphs: GraphBatch, out: NDArray[np.float32]) -> None:
        out[:] = 0
        last = int(self.triples_[:, 0].max())
        for steps, counts in enumerate(islice(self._counts(view(graphs, self.graph)), last + 1)):
            columns = np.flatnonzero(self.triples_[:, 0] == steps)
            out[:, columns] = counts[:, self.triples_[columns, 1], self.triples_[columns, 2]]

    def _bytes_per_graph(self, schema: GraphSchema) -> int:
        k, v = len(self.kinds_), schema.num_nodes
        return 4 * (2 * k * k + 3 * k * v + 6 * v * v)

    # ---- saving -----------------------------------------------------------------------------------------------------

    def _get_state(self) -> dict[str, NDArray[Any]]:
        return {"kinds": self.kinds_, "values": self.values_, "triples": self.triples_}

    def _set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        self.kinds_ = state["kinds"].astype(np.int64)
        self.values_ = state["values"].astype(np.float32)
        self.triples_ = state["triples"].astype(np.int64)
        pairs = self.triples_[:, 1:]
        if len(self.kinds_) != len(self.values_) or pairs.min() < 0 or pairs.max() >= len(self.kinds_):
            raise InvalidDataError(f"expected triples of {len(self.kinds_)} labels, got {pairs.max()} among them")
        self._name_labels(self.space_.graph_schema)


class ShortestPathEncoder(LabelPairEncoder):
    """Counts of (label of the source, label of the target, length of the shortest directed path between them).

    Inner products of these counts are the shortest-path graph kernel with equality of labels and of lengths.

    Parameters
    ----------
    length, graph, max_labels, max_columns
        As in `LabelPairEncoder`, which says what labels are.

    References
    ----------
    Borgwardt and Kriegel, "Shortest-path kernels on graphs", ICDM 2005.

    Examples
    --------
    >>> from archcast import get_space
    >>> space = get_space("nasbench201")
    >>> batch = space.parse("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|avg_pool_3x3~1|none~2|")
    >>> ShortestPathEncoder().fit(batch).get_feature_names_out()[-1]
    'input > output at distance 3'
    """

    steps_name = "distance"

    def _further(self, adjacency: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        frontier, reached = adjacency, adjacency > 0
        while True:
            yield frontier
            new = (frontier @ adjacency > 0) & ~reached
            reached |= new
            frontier = new.astype(np.float32)


class RandomWalkEncoder(LabelPairEncoder):
    """Numbers of directed walks by (label of their first node, label of their last, length).

    Inner products of these numbers, summed over lengths with a decay, are the walk kernel of label pairs; here each
    length is a group of columns, so that a kernel with a weight per group learns the decay. In a directed acyclic
    graph walks are paths, and there are finitely many.

    Parameters
    ----------
    length, graph, max_labels, max_columns
        As in `LabelPairEncoder`, which says what labels are.

    References
    ----------
    Gaertner, Flach and Wrobel, "On graph kernels: hardness results and efficient alternatives", COLT 2003;
    Vishwanathan, Schraudolph, Kondor and Borgwardt, "Graph kernels", JMLR 2010.

    Examples
    --------
    >>> from archcast import get_space
    >>> space = get_space("nasbench201")
    >>> batch = space.sample(50, seed=0)
    >>> sorted(set(RandomWalkEncoder(length=2).fit(batch).columns(space).groups))
    ['walk length 0', 'walk length 1', 'walk length 2']
    """

    steps_name = "walk length"

    def _further(self, adjacency: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
        walks = adjacency
        while True:
            yield walks
            walks = walks @ adjacency


def _frequent_labels(graphs: GraphBatch, most: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return kinds and values of the labels in most graphs: operations first, then features, by value."""
    inner = graphs.mask & ~graphs.has_role("input") & ~graphs.has_role("output")
    found = [(_OPERATION, graphs.operations.astype(np.float32), graphs.mask)]
    found += [(kind, graphs.features[:, :, kind], inner) for kind in range(graphs.features.shape[2])]
    kinds, values, often = [], [], []
    for kind, labels, used in found:
        row, slot = np.nonzero(used)
        distinct, which = np.unique(labels[row, slot], return_inverse=True)
        pairs = np.unique(np.stack([which, row]), axis=1)
        kinds.append(np.full(len(distinct), kind, dtype=np.int64))
        values.append(distinct)
        often.append(np.bincount(pairs[0], minlength=len(distinct)))
    order = np.argsort(-np.concatenate(often), kind="stable")[:most]
    kept = np.sort(order)
    return np.concatenate(kinds)[kept], np.concatenate(values)[kept].astype(np.float32)
