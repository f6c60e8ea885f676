"""Cells with operations on nodes, in the manner of NAS-Bench-101."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ArchcastError, InvalidArchitectureError, InvalidDataError
from .architectures import GENOTYPE_DTYPE, Architectures
from .base import ENUMERABLE, Gene
from .cell import CellSpace, OperationLike, cell_nodes, cell_operations
from .graphs import GraphBatch, GraphSchema
from .operations import vocabulary
from .topology import topological_order

ABSENT = "absent"
_LARGEST_ENUMERATION = 21
_MATRIX_KEYS = ("matrix", "module_adjacency", "adjacency")
_OPERATION_KEYS = ("ops", "module_operations", "operations")


class NodeCellSpace(CellSpace):
    """Cells whose nodes each do one operation on the sum of their inputs, joined by any acyclic set of edges.

    The first node is the input of the cell, the last its output. The genotype holds a bit for each pair of nodes
    `i < j`, row by row of the upper triangle, then the operation of each interior node. A cell with fewer than
    `nodes` nodes has `"absent"` as the operation of its last interior nodes, which then have no edges.

    A row is an architecture of the space if, as in the interface of NAS-Bench-101 (Ying et al., ICML 2019), its output
    depends on its input and at most `max_edges` edges are left after pruning: dead nodes and edges may be there and
    do not count. `canonical` ignores them, and the numbering of the nodes. A space that is too large to enumerate is
    sampled by drawing every bit and every operation alike until the cell is valid, as the benchmark's own random
    search does: all nodes are there, and some may be dead.

    The native notation is JSON, `{"matrix": [[0, 1], [0, 0]], "ops": ["input", "output"]}`, one row and column of
    the adjacency matrix for each node that is not absent. `parse` also takes such a dict, a pair `(matrix, ops)`,
    the dicts of the NAS-Bench-101 interface (`module_adjacency`, `module_operations`) and its `ModelSpec`;
    matrices may be nested lists or arrays, and nodes in any order that has no cycle: they are sorted, keeping the
    given order where possible.

    Parameters
    ----------
    nodes : int
        Nodes of the largest cell, input and output included; at least 2.
    operations : sequence of str, Operation or operation spec
        What an interior node can do.
    max_edges : int, optional
        The most edges that a pruned cell may have; default: any number.
    name : str
        The registered name.

    Raises
    ------
    InvalidDataError
        If there are fewer than two nodes or no operation, a name is taken twice or reserved, or `max_edges` is
        less than 1.

    Examples
    --------
    >>> space = NodeCellSpace(4, ["conv3x3-bn-relu", "maxpool3x3"], max_edges=4)
    >>> archs = space.parse('{"matrix": [[0, 1, 1], [0, 0, 1], [0, 0, 0]], "ops": ["input", "maxpool3x3", "output"]}')
    >>> archs.genotypes.tolist()
    [[1, 0, 1, 0, 1, 0, 1, 2]]
    """

    network = ".spaces.networks.node_cells:node_cell_network"

    def __init__(
        self, nodes: int, operations: Sequence[OperationLike], max_edges: int | None = None, *, name: str = "cell"
    ) -> None:
        self.nodes = cell_nodes(nodes)
        self.max_edges = max_edges
        self.operations = cell_operations(operations, reserved=(ABSENT, "input", "output"))
        if max_edges is not None and (not isinstance(max_edges, int) or max_edges < 1):
            raise InvalidDataError(f"max_edges must be an integer of at least 1, got {max_edges!r}")
        self.edges = tuple((i, j) for i in range(self.nodes) for j in range(i + 1, self.nodes))
        names = tuple(operation.name for operation in self.operations)
        genes = [Gene(f"{i}->{j}", (0, 1)) for i, j in self.edges]
        genes += [Gene(f"node {k}", (*names, ABSENT)) for k in range(1, self.nodes - 1)]
        parameters = {
            "operations_on": "nodes",
            "nodes": self.nodes,
            "operations": [operation.to_spec() for operation in self.operations],
            "max_edges": max_edges,
        }
        super().__init__(name, genes, parameters if name == "cell" else {})

    # ---- native notation ----------------------------------------------------------------------------------------

    def _parse_text(self, text: str) -> list[int]:
        try:
            item = json.loads(text)
        except (ValueError, RecursionError):
            raise InvalidArchitectureError('expected JSON like {"matrix": [[0, 1], [0, 0]], "ops": [...]}') from None
        if not isinstance(item, dict):
            raise InvalidArchitectureError(f"expected a JSON object with 'matrix' and 'ops', got {type(item).__name__}")
        return self._parse_object(item)

    def _parse_object(self, item: Any) -> list[int]:
        return self._from_matrix(*_matrix_and_operations(item))

    def _from_matrix(self, matrix: Any, names: Any) -> list[int]:
        names = _operation_names(names)
        edges = _checked_matrix(matrix, len(names))
        size = len(names)
        if not 2 <= size <= self.nodes:
            raise InvalidArchitectureError(f"expected 2 to {self.nodes} nodes, got {size}")
        first, last = _only(names, "input"), _only(names, "output")
        if edges[:, first].any():
            source = int(np.argmax(edges[:, first]))
            raise InvalidArchitectureError(f"expected no edge into the input, got one from node {source}")
        if edges[last].any():
            raise InvalidArchitectureError(
                f"expected no edge out of the output, got one to node {int(np.argmax(edges[last]))}"
            )
        inner = [k for k in topological_order(edges) if k not in (first, last)]
        index = {operation.name: k for k, operation in enumerate(self.operations)}
        for k in sorted(inner):
            if names[k] not in index:
                raise InvalidArchitectureError(
                    f"unknown operation {names[k]!r} at node {k}, expected one of {', '.join(index)}"
                )
        slots = np.array([first, *inner, last])
        full = np.zeros((self.nodes, self.nodes), dtype=np.int64)
        places = np.array([*range(size - 1), self.nodes - 1])
        full[np.ix_(places, places)] = edges[np.ix_(slots, slots)]
        bits = full[np.triu_indices(self.nodes, 1)].tolist()
        missing = [len(self.operations)] * (self.nodes - size)
        return [*bits, *(index[names[k]] for k in inner), *missing]

    def _format_row(self, genotype: Sequence[int]) -> str:
        matrix = np.zeros((self.nodes, self.nodes), dtype=np.int64)
        matrix[np.triu_indices(self.nodes, 1)] = genotype[: len(self.edges)]
        present = [op for op in genotype[len(self.edges) :] if op < len(self.operations)]
        kept = [*range(len(present) + 1), self.nodes - 1]
        names = ["input", *(self.operations[op].name for op in present), "output"]
        return json.dumps({"matrix": matrix[np.ix_(kept, kept)].tolist(), "ops": names})

    # ---- validity -----------------------------------------------------------------------------------------------

    def _valid_in_range(self, genotypes: NDArray[Any]) -> NDArray[np.bool_]:
        graphs = self._graphs(genotypes)
        absent = ~graphs.mask[:, 1:-1]
        misplaced = absent[:, :-1] & ~absent[:, 1:]
        used = np.logical_or(graphs.adjacency.any(axis=1), graphs.adjacency.any(axis=2))[:, 1:-1] & absent
        pruned = graphs.prune()
        valid: NDArray[np.bool_] = pruned.mask[:, -1] & ~misplaced.any(axis=1) & ~used.any(axis=1)
        if self.max_edges is not None:
            valid &= pruned.adjacency.sum(axis=(1, 2)) <= self.max_edges
        return valid

    def _reason_invalid(self, genotype: NDArray[Any]) -> str | None:
        row = genotype.tolist()
        absent = [k for k, op in enumerate(row[len(self.edges) :], start=1) if op == len(self.operations)]
        if absent and len(absent) != self.nodes - 1 - absent[0]:
            return f"node {absent[0]} is absent and a later one is not, expected absent nodes to be the last"
        for (i, j), bit in zip(self.edges, row, strict=False):
            if bit and (i in absent or j in absent):
                return f"node {i if i in absent else j} is absent, but there is an edge {i}->{j}"
        pruned = self._graphs(genotype[None]).prune()
        if not pruned.mask[0, -1]:
            return "no path leads from the input to the output"
        edges = int(pruned.adjacency.sum())
        if self.max_edges is not None and edges > self.max_edges:
            return f"expected at most {self.max_edges} edges on paths from the input to the output, got {edges}"
        return None

    @property
    def size(self) -> int | None:
        """The number of valid genotypes if they can be enumerated, else None."""
        return len(self._all_genotypes) if self._is_enumerable else None

    def _draw(self, n: int, rng: np.random.Generator) -> NDArray[Any]:
        # As the benchmark's own random search: every bit and every operation alike, no node absent.
        limits = np.where(np.arange(self.dimension) < len(self.edges), 2, len(self.operations))
        return rng.integers(0, limits, size=(n, self.dimension), dtype=GENOTYPE_DTYPE)

    # ---- graphs -------------------------------------------------------------------------------------------------

    @cached_property
    def graph_schema(self) -> GraphSchema:
        """The cell as it is: the input, the interior nodes, the output."""
        allowed = np.zeros((self.nodes, len(self.operations) + 2), dtype=np.bool_)
        allowed[0, 0] = allowed[-1, 1] = True
        allowed[1:-1, 2:] = True
        return GraphSchema(
            vocabulary=vocabulary(self.operations),
            node_operations=allowed,
            possible_edges=np.triu(np.ones((self.nodes, self.nodes), dtype=np.bool_), 1),
            node_names=("input", *(f"node {k}" for k in range(1, self.nodes - 1)), "output"),
        )

    def _graphs(self, genotypes: NDArray[Any]) -> GraphBatch:
        n = len(genotypes)
        adjacency = np.zeros((n, self.nodes, self.nodes), dtype=np.bool_)
        rows, columns = np.triu_indices(self.nodes, 1)
        adjacency[:, rows, columns] = genotypes[:, : len(self.edges)] != 0
        chosen = genotypes[:, len(self.edges) :]
        mask = np.ones((n, self.nodes), dtype=np.bool_)
        mask[:, 1:-1] = chosen < len(self.operations)
        operations = np.ones((n, self.nodes), dtype=np.int8)
        operations[:, 0] = 0
        operations[:, 1:-1] = np.where(mask[:, 1:-1], chosen + 2, 0)
        return GraphBatch.build(self.graph_schema, adjacency, operations, mask=mask)

    # ---- enumeration --------------------------------------------------------------------------------------------

    def enumerate_canonical(self, node_count: int | None = None) -> Architectures:
        """Return one architecture of each canonical class, without dead nodes, in lexicographic order.

        Parameters
        ----------
        node_count : int, optional
            Only cells with this many nodes after pruning, input and output included; default: all from 2 up.

        Raises
        ------
        InvalidDataError
            If `node_count` is not between 2 and `nodes`.
        ArchcastError
            If the cells have more than 7 nodes: there are too many graphs to go through.

        Notes
        -----
        The graphs without labels come first: every set of edges that leaves no node dead, less isomorphic ones. Each
        is then given all labels. Since isomorphic cells have isomorphic edges, no class is missed.
        """
        if node_count is not None and not 2 <= node_count <= self.nodes:
            raise InvalidDataError(f"node_count must be in 2..{self.nodes}, got {node_count}")
        counts = range(2, self.nodes + 1) if node_count is None else [node_count]
        rows = np.concatenate([self._representatives(count) for count in counts])
        return Architectures(self, rows[np.lexsort(rows.T[::-1])])

    def _representatives(self, count: int) -> NDArray[np.int16]:
        bits = self._live_edge_sets(count)
        inner = count - 2
        rows = np.full((len(bits), self.dimension), len(self.operations), dtype=GENOTYPE_DTYPE)
        places = np.array([*range(count - 1), self.nodes - 1])
        column = {edge: k for k, edge in enumerate(self.edges)}
        i, j = np.triu_indices(count, 1)
        rows[:, : len(self.edges)] = 0
        rows[:, [column[places[a], places[b]] for a, b in zip(i, j, strict=True)]] = bits
        computing = next((k for k, operation in enumerate(self.operations) if operation.role != "zero"), 0)
        first_label = len(self.edges)
        rows[:, first_label : first_label + inner] = computing
        rows = rows[np.unique(self._keys(rows), return_index=True)[1]]
        labels = np.array([*product(range(len(self.operations)), repeat=inner)], dtype=GENOTYPE_DTYPE)
        if len(rows) * len(labels) > 4 * ENUMERABLE:
            raise ArchcastError(f"space {self.name!r} has too many cells of {count} nodes to enumerate")
        labelled = np.repeat(rows, len(labels), axis=0)
        labelled[:, first_label : first_label + inner] = np.tile(labels, (len(rows), 1))
        pruned = self._graphs(labelled).prune()
        alive = pruned.mask.sum(axis=1) == count
        first = np.unique(pruned.keys(), return_index=True)[1]
        representatives: NDArray[np.int16] = labelled[first[alive[first]]]
        return representatives

    def _live_edge_sets(self, count: int) -> NDArray[np.uint8]:
        """Return all sets of edges among `count` nodes, of an allowed size, that leave no node dead; `(m, pairs)`."""
        sources, targets = np.triu_indices(count, 1)
        pairs = len(sources)
        if pairs > _LARGEST_ENUMERATION:
            raise ArchcastError(f"cells of more than 7 nodes are too many to enumerate, got {count} nodes")
        sets = np.arange(1 << pairs, dtype=np.uint32)
        weights = np.uint32(1) << np.arange(pairs - 1, -1, -1, dtype=np.uint32)
        # In an acyclic graph with one source and one sink every node is on a path from one to the other.
        for k in range(count - 1):
            sets = sets[(sets & weights[sources == k].sum(dtype=np.uint32)) != 0]
            sets = sets[(sets & weights[targets == k + 1].sum(dtype=np.uint32)) != 0]
        bits: NDArray[np.uint8] = (sets[:, None] & weights != 0).astype(np.uint8)
        return bits if self.max_edges is None else bits[bits.sum(axis=1) <= self.max_edges]


def inner_channels(edges: NDArray[np.bool_], channels: int) -> NDArray[np.int64]:
    """Return the channels of the interior nodes of pruned cells, `(n, v - 2)`; 0 for absent nodes.

    The nodes that feed the output share its channels, the first ones getting those that are left over; any other has
    the most channels of the nodes it feeds.

    Parameters
    ----------
    edges : bool array `(n, v, v)`
    channels : int
        Of the output.
    """
    feeding = edges[:, 1:-1, -1]
    share, rest = np.divmod(channels, np.maximum(feeding.sum(axis=1, keepdims=True), 1))
    result: NDArray[np.int64] = np.where(feeding, share + (feeding.cumsum(axis=1) <= rest), 0)
    for k in range(result.shape[1] - 2, -1, -1):
        widest: NDArray[Any] = (result[:, k + 1 :] * edges[:, k + 1, k + 2 : -1]).max(axis=1)
        result[:, k] = np.where(feeding[:, k], result[:, k], widest)
    return result


def _matrix_and_operations(item: Any) -> tuple[Any, Any]:
    if isinstance(item, Mapping):
        found = [next((item[key] for key in keys if key in item), None) for keys in (_MATRIX_KEYS, _OPERATION_KEYS)]
    elif isinstance(item, (tuple, list)):
        if len(item) != 2:
            raise InvalidArchitectureError(f"expected a pair (matrix, ops), got {len(item)} items")
        found = list(item)
    else:
        found = [getattr(item, "matrix", None), getattr(item, "ops", None)]
    for name, value in zip(("matrix", "ops"), found, strict=True):
        if value is None:
            raise InvalidArchitectureError(
                f"expected a cell with 'matrix' and 'ops', got {type(item).__name__} without {name!r}"
            )
    return found[0], found[1]


def _operation_names(names: Any) -> list[str]:
    if not isinstance(names, (list, tuple, np.ndarray)):
        raise InvalidArchitectureError(f"expected a list of operation names, got {type(names).__name__}")
    for k, name in enumerate(names):
        if not isinstance(name, str):
            raise InvalidArchitectureError(f"expected the name of an operation at node {k}, got {name!r}")
    return [str(name) for name in names]


def _checked_matrix(matrix: Any, size: int) -> NDArray[np.bool_]:
    try:
        array = np.array([[*row] for row in matrix])
    except (TypeError, ValueError):
        raise InvalidArchitectureError("expected a square adjacency matrix of zeros and ones") from None
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        raise InvalidArchitectureError(f"expected a square adjacency matrix, got shape {array.shape}")
    if len(array) != size:
        raise InvalidArchitectureError(
            f"expected as many operations as the {len(array)} rows of the matrix, got {size}"
        )
    wrong = np.argwhere((array != 0) & (array != 1)) if array.dtype.kind in "biuf" else np.zeros((1, 2), dtype=np.intp)
    if len(wrong):
        i, j = wrong[0].tolist()
        raise InvalidArchitectureError(f"expected 0 or 1 in row {i}, column {j} of the matrix, got {array[i, j]}")
    edges: NDArray[np.bool_] = array != 0
    return edges


def _only(names: list[str], name: str) -> int:
    if names.count(name) != 1:
        raise InvalidArchitectureError(f"expected exactly one {name!r} among the operations, got {names.count(name)}")
    return names.index(name)
