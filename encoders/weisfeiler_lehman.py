"""Weisfeiler-Lehman subtree counts (Shervashidze et al., JMLR 2011), as used for cells by NAS-BOWL (ICLR 2021)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import NotFittedError

from ..errors import InvalidDataError
from ..spaces import GraphBatch, GraphSchema
from ..spaces.hashing import mix
from .base import Columns
from .graph import GraphEncoder, LearnedGraphEncoder, check_view, view

_DIRECTIONS = ("both", "forward", "backward")
_FORWARD = np.uint64(0xD6E8FEB86659FD93)
_BACKWARD = np.uint64(0xC2B2AE3D27D4EB4F)


class _SubtreeEncoder(GraphEncoder):
    """What learned and hashed subtree counts share: the colours of all nodes after each refinement."""

    counts_substructures = True
    iterations: int
    direction: str
    graph: str

    def _check(self) -> None:
        check_view(self.graph)
        if self.iterations < 0:
            raise InvalidDataError(f"iterations must be at least 0, got {self.iterations!r}")
        if self.direction not in _DIRECTIONS:
            raise InvalidDataError(f"direction must be one of {', '.join(_DIRECTIONS)}, got {self.direction!r}")

    def _bytes_per_graph(self, schema: GraphSchema) -> int:
        return schema.num_nodes * (schema.num_nodes + 80) + 4 * len(self._graph_columns(schema))

    def _rounds(self, graphs: GraphBatch) -> Iterator[NDArray[np.uint64]]:
        """Yield the colours after 0, 1, ... refinements, `(v, n)`, 0 where a slot is not used."""
        colors = np.ascontiguousarray(graphs.initial_colors().T)
        yield colors
        used = np.ascontiguousarray(graphs.mask.T)
        edges = [
            (i, j, np.ascontiguousarray(graphs.adjacency[:, i, j]))
            for i, j in np.argwhere(graphs.adjacency.any(axis=0)).tolist()
        ]
        for _ in range(self.iterations):
            seen = mix(colors)
            forward = np.full_like(colors, _FORWARD)
            backward = np.full_like(colors, _BACKWARD)
            for i, j, edge in edges:
                if self.direction != "backward":
                    forward[j] += seen[i] * edge
                if self.direction != "forward":
                    backward[i] += seen[j] * edge
            if self.direction != "backward":
                colors = mix(colors ^ mix(forward))
            if self.direction != "forward":
                colors = mix(colors ^ mix(backward))
            colors = colors * used
            yield colors


class WeisfeilerLehmanEncoder(_SubtreeEncoder, LearnedGraphEncoder):
    """Counts, for each subtree pattern seen in training, the nodes that are its root.

    The colour of a node is its operation with its features; each iteration hashes it to 64 bits with the multiset of
    its predecessors' and successors' colours. The columns are the colours that occur in the architectures the encoder
    is fitted on; colours never seen there are ignored. Isomorphic architectures have the same encoding.

    Parameters
    ----------
    iterations : int
        Refinements, the `h` of the literature: how far a pattern reaches.
    direction : {"both", "forward", "backward"}
        Whether a pattern covers predecessors and successors, only predecessors (what the signal went through), or
        only successors.
    graph : {"pruned", "reduced", "full"}
        Drop dead code first; also contract identities; or neither.
    max_columns : int
        Keep the colours that occur in the most training architectures, the simplest first among equals.

    Attributes
    ----------
    colors_ : uint64 array `(d,)`
        The colour that each column counts.
    rounds_ : int64 array `(d,)`
        After how many iterations it appears.
    names_ : tuple of str
        A description of each, e.g. `"conv3x3 <- {input} -> {output}"`.

    References
    ----------
    Shervashidze et al., "Weisfeiler-Lehman graph kernels", JMLR 2011. Ru et al., "Interpretable neural architecture
    search via Bayesian optimisation with Weisfeiler-Lehman kernels", ICLR 2021.
    """

    def __init__(
        self, iterations: int = 2, direction: str = "both", graph: str = "pruned", max_columns: int = 2048
    ) -> None:
        self.iterations = iterations
        self.direction = direction
        self.graph = graph
        self.max_columns = max_columns

    def _graph_columns(self, schema: GraphSchema) -> Columns:
        if not hasattr(self, "colors_"):
            raise NotFittedError("WeisfeilerLehmanEncoder learns its columns: call fit first")
        groups = tuple(f"wl round {number}" for number in self.rounds_.tolist())
        return Columns(self.names_, groups, np.zeros(len(groups), dtype=np.bool_))

    def fit_graphs(self, graphs: GraphBatch) -> Self:
        """Learn the columns from graphs that need not come from a space.

        Raises
        ------
        InvalidDataError
            If a parameter is out of its range, or no graph has a node left.
        """
        self._check()
        if self.max_columns < 1:
            raise InvalidDataError(f"max_columns must be at least 1, got {self.max_columns!r}")
        graphs = view(graphs, self.graph)
        found = [_frequencies(colors, graphs.mask.T) for colors in self._rounds(graphs)]
        colors = np.concatenate([part[0] for part in found])
        if not len(colors):
            raise InvalidDataError(f"none of the {len(graphs)} architectures has a node on an input-output path")
        frequency = np.concatenate([part[1] for part in found])
        where = np.concatenate([part[2] for part in found])
        rounds = np.repeat(np.arange(len(found)), [len(part[0]) for part in found])
        kept = np.lexsort((colors, rounds, -frequency))[: self.max_columns]
        kept = kept[np.lexsort((colors[kept], -frequency[kept], rounds[kept]))]
        self.colors_: NDArray[np.uint64] = colors[kept]
        self.rounds_: NDArray[np.int64] = rounds[kept]
        slots, rows = np.divmod(where[kept], len(graphs))
        self.names_: tuple[str, ...] = tuple(
            self._describe(graphs, row, slot, number, color)
            for row, slot, number, color in zip(
                rows.tolist(), slots.tolist(), self.rounds_.tolist(), self.colors_.tolist(), strict=True
            )
        )
        self._index()
        return self

    def _index(self) -> None:
        self._order = np.argsort(self.colors_)
        self._sorted = self.colors_[self._order]

    def _describe(self, graphs: GraphBatch, row: int, slot: int, number: int, color: int) -> str:
        """Describe the pattern around a node: in full up to one iteration, then told apart by the colour."""
        text = _describe_node(graphs, row, slot)
        if number == 0:
            return text
        if self.direction != "backward":
            text += f" <- {_describe_nodes(graphs, row, np.flatnonzero(graphs.adjacency[row, :, slot]))}"
        if self.direction != "forward":
            text += f" -> {_describe_nodes(graphs, row, np.flatnonzero(graphs.adjacency[row, slot]))}"
        return text if number == 1 else f"{text} (iteration {number}: {color:016x})"

    def _encode(self, graphs: GraphBatch, out: NDArray[np.float32]) -> None:
        out[:] = 0
        last = len(self._sorted) - 1
        for colors in self._rounds(view(graphs, self.graph)):
            places = np.minimum(np.searchsorted(self._sorted, colors), last)
            known = self._sorted[places] == colors
            targets = self._order[places]
            for slot in range(len(colors)):  # within a slot no row appears twice, so that += counts
                rows = np.flatnonzero(known[slot])
                out[rows, targets[slot, rows]] += 1

    def _get_state(self) -> dict[str, NDArray[Any]]:
        names = np.frombuffer(json.dumps(self.names_).encode(), dtype=np.uint8)
        return {"colors": self.colors_, "rounds": self.rounds_, "names": names}

    def _set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        self.colors_ = state["colors"].astype(np.uint64)
        self.rounds_ = state["rounds"].astype(np.int64)
        self.names_ = tuple(json.loads(state["names"].astype(np.uint8).tobytes()))
        self._index()


class HashedWeisfeilerLehmanEncoder(_SubtreeEncoder):
    """Weisfeiler-Lehman subtree counts in a fixed number of columns: each colour counts in the column of its hash.

    Needs no training architectures, and counts patterns that these do not have; different patterns may share a
    column. Isomorphic architectures have the same encoding.

    Parameters
    ----------
    iterations, direction, graph
        As in `WeisfeilerLehmanEncoder`.
    n_columns : int
        Twice the columns halve the collisions.
    """

    def __init__(
        self, iterations: int = 2, direction: str = "both", graph: str = "pruned", n_columns: int = 512
    ) -> None:
        self.iterations = iterations
        self.direction = direction
        self.graph = graph
        self.n_columns = n_columns

    def _graph_columns(self, schema: GraphSchema) -> Columns:
        self._check()
        if self.n_columns < 1:
            raise InvalidDataError(f"n_columns must be at least 1, got {self.n_columns!r}")
        return Columns.of((f"subtree bucket {i}" for i in range(self.n_columns)), "wl hashed", indicator=False)

    def _encode(self, graphs: GraphBatch, out: NDArray[np.float32]) -> None:
        out[:] = 0
        graphs = view(graphs, self.graph)
        used = [np.flatnonzero(column) for column in graphs.mask.T]
        for colors in self._rounds(graphs):
            targets = (colors % np.uint64(self.n_columns)).astype(np.intp)
            for slot, rows in enumerate(used):
                out[rows, targets[slot, rows]] += 1


def _frequencies(
    colors: NDArray[np.uint64], used: NDArray[np.bool_]
) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.intp]]:
    """Return the distinct colours of used slots, the number of graphs that have each, and one place of each."""
    places = np.flatnonzero(used)
    distinct, first, kind = np.unique(colors.ravel()[places], return_index=True, return_inverse=True)
    pairs = np.unique(np.stack([kind.ravel(), places % colors.shape[1]]), axis=1)
    return distinct, np.bincount(pairs[0], minlength=len(distinct)), places[first]


def _describe_node(graphs: GraphBatch, row: int, slot: int) -> str:
    schema = graphs.schema
    operation = schema.vocabulary[int(graphs.operations[row, slot])]
    if not schema.feature_names or (operation.role in {"input", "output"} and not graphs.features[row, slot].any()):
        return operation.name
    values = zip(schema.feature_names, graphs.features[row, slot].tolist(), strict=True)
    return f"{operation.name}({', '.join(f'{feature}={value:.9g}' for feature, value in values)})"


def _describe_nodes(graphs: GraphBatch, row: int, slots: NDArray[np.intp]) -> str:
    return "{" + ", ".join(sorted(_describe_node(graphs, row, slot) for slot in slots.tolist())) + "}"
