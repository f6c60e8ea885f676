"""`CellSpace`: cells that users configure for their own space, with operations on edges or on nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidArchitectureError, InvalidDataError
from .base import Gene, SearchSpace
from .graphs import GraphBatch, GraphSchema
from .operations import Operation, as_operation, vocabulary

if TYPE_CHECKING:
    from .node_cell import NodeCellSpace

OperationLike: TypeAlias = str | Operation | Mapping[str, object]
"""An operation by its name, as an `Operation`, or as the description that `Operation.to_spec` returns."""


_MOST_OPERATIONS = 100


class CellSpace(SearchSpace):
    """A small directed acyclic graph that is stacked into a network: the base of the cell spaces.

    Build one with `CellSpace.on_edges` or `CellSpace.on_nodes`; the registered name `"cell"` does the same from
    parameters alone.
    """

    operations: tuple[Operation, ...]

    @staticmethod
    def on_edges(nodes: int, operations: Sequence[OperationLike]) -> EdgeCellSpace:
        """Return the space of complete cells: every pair of nodes `i < j` is joined by one of `operations`.

        Parameters
        ----------
        nodes : int
            Nodes of the cell, the first its input and the last its output; at least 2.
        operations : sequence of str or Operation
            E.g. `["none", "skip_connect", "nor_conv_3x3"]`.
        """
        return EdgeCellSpace(nodes, operations)

    @staticmethod
    def on_nodes(nodes: int, operations: Sequence[OperationLike], max_edges: int | None = None) -> NodeCellSpace:
        """Return the space of cells whose interior nodes each do one of `operations`, with any acyclic edges.

        Parameters
        ----------
        nodes : int
            Nodes of the largest cell, input and output included; at least 2.
        operations : sequence of str or Operation
            E.g. `["conv3x3-bn-relu", "maxpool3x3"]`.
        max_edges : int, optional
            The most edges that a pruned cell may have.
        """
        from .node_cell import NodeCellSpace

        return NodeCellSpace(nodes, operations, max_edges)


def cell_nodes(nodes: int) -> int:
    """Return the number of nodes of a cell, checked.

    Raises
    ------
    InvalidDataError
        If it is not an integer of at least 2.
    """
    if isinstance(nodes, bool) or not isinstance(nodes, (int, np.integer)) or nodes < 2:
        raise InvalidDataError(f"a cell needs at least 2 nodes, got {nodes!r}")
    return int(nodes)


def cell_operations(operations: Sequence[OperationLike], reserved: Sequence[str] = ()) -> tuple[Operation, ...]:
    """Return the operations of a cell, checked.

    Raises
    ------
    InvalidDataError
        If there is none, or one is malformed, named twice, or named like something in `reserved`.
    """
    if isinstance(operations, str) or not isinstance(operations, Sequence):
        raise InvalidDataError(f"expected a list of operations, got {operations!r}")
    if len(operations) > _MOST_OPERATIONS:
        raise InvalidDataError(f"expected at most {_MOST_OPERATIONS} operations, got {len(operations)}")
    for position, item in enumerate(operations):
        if not isinstance(item, (str, Operation)) and not (isinstance(item, Mapping) and "name" in item):
            raise InvalidDataError(f"expected a name or an Operation as operation {position}, got {item!r}")
    found = tuple(as_operation(operation) for operation in operations)
    names = [operation.name for operation in found]
    if not names or len(set(names)) != len(names):
        raise InvalidDataError(f"a cell needs operations with distinct names, got {names}")
    for name in names:
        if name in reserved:
            raise InvalidDataError(f"an operation of this cell must not be named {name!r}")
    return found


def cell_space(
    operations_on: str = "edges",
    nodes: int = 4,
    operations: Sequence[OperationLike] = ("none", "skip_connect", "nor_conv_3x3"),
    max_edges: int | None = None,
) -> CellSpace:
    """Return a cell space from parameters alone; registered as `"cell"`.

    Parameters
    ----------
    operations_on : {"edges", "nodes"}
        Where the operations are.
    nodes : int
        Nodes of the cell, input and output included; at least 2.
    operations : sequence of str, Operation or operation spec
        What an edge can carry or an interior node can do.
    max_edges : int, optional
        The most edges that a pruned cell may have; with operations on nodes alone.

    Raises
    ------
    InvalidDataError
        If a parameter is out of range.
    """
    if operations_on == "nodes":
        return CellSpace.on_nodes(nodes, operations, max_edges)
    if operations_on != "edges":
        raise InvalidDataError(f"operations_on must be 'edges' or 'nodes', got {operations_on!r}")
    if max_edges is not None:
        raise InvalidDataError(f"max_edges is for operations on nodes, got {max_edges} with operations on edges")
    return CellSpace.on_edges(nodes, operations)


class EdgeCellSpace(CellSpace):
    """Cells whose nodes sum their inputs and whose every edge carries an operation.

    The genotype holds one operation index per edge, ordered by target, then by source. The native notation is that
    of NAS-Bench-201 (Dong and Yang, ICLR 2020): `|op~0|+|op~0|op~1|+...`, one group per target node.

    Parameters
    ----------
    nodes : int
        Nodes of the cell, input and output included; at least 2.
    operations : sequence of str, Operation or operation spec
        What an edge can carry; names without `|`, `~` and `+`.
    name : str
        The registered name.
    """

    network = ".spaces.networks.edge_cells:edge_cell_network"

    def __init__(self, nodes: int, operations: Sequence[OperationLike], *, name: str = "cell") -> None:
        self.nodes = cell_nodes(nodes)
        self.operations = cell_operations(operations)
        names = [operation.name for operation in self.operations]
        if any(c in n for n in names for c in "|~+"):
            raise InvalidDataError(f"operations on edges must be names without '|', '~' and '+', got {names}")
        self.edges = tuple((i, j) for j in range(1, self.nodes) for i in range(j))
        parameters = {
            "operations_on": "edges",
            "nodes": self.nodes,
            "operations": [operation.to_spec() for operation in self.operations],
        }
        genes = [Gene(f"{i}->{j}", tuple(names)) for i, j in self.edges]
        super().__init__(name, genes, parameters if name == "cell" else {})

    def _parse_text(self, text: str) -> list[int]:
        groups = text.split("+")
        if len(groups) != self.nodes - 1:
            raise InvalidArchitectureError(
                f"expected {self.nodes - 1} groups like |op~0| joined by '+', got {len(groups)}"
            )
        index = {operation.name: k for k, operation in enumerate(self.operations)}
        genotype = []
        for target, group in enumerate(groups, start=1):
            items = group.split("|")
            if len(items) != target + 2 or items[0] or items[-1]:
                raise InvalidArchitectureError(
                    f"expected {target} operations as |op~0|...| for node {target}, got {group!r}"
                )
            for source, item in enumerate(items[1:-1]):
                name, _, read = item.partition("~")
                if read != str(source):
                    raise InvalidArchitectureError(
                        f"expected operation {source} of node {target} to read node {source}, got {item!r}"
                    )
                if name not in index:
                    raise InvalidArchitectureError(
                        f"unknown operation {name!r} on edge {source}->{target}, expected one of {', '.join(index)}"
                    )
                genotype.append(index[name])
        return genotype

    def _format_row(self, genotype: Sequence[int]) -> str:
        bounds = [0, *np.cumsum(range(1, self.nodes)).tolist()]
        return "+".join(
            "|" + "".join(f"{self.operations[op].name}~{i}|" for i, op in enumerate(genotype[start:stop]))
            for start, stop in pairwise(bounds)
        )

    @cached_property
    def graph_schema(self) -> GraphSchema:
        """The line graph: the input, one node per edge of the cell, the output."""
        size = len(self.edges) + 2
        edges = np.zeros((size, size), dtype=np.bool_)
        for a, (source, target) in enumerate(self.edges, start=1):
            edges[0, a] = source == 0
            edges[a, -1] = target == self.nodes - 1
            for b, (other_source, _) in enumerate(self.edges, start=1):
                edges[a, b] = target == other_source
        allowed = np.zeros((size, len(self.operations) + 2), dtype=np.bool_)
        allowed[0, 0] = allowed[-1, 1] = True
        allowed[1:-1, 2:] = True
        return GraphSchema(
            vocabulary=vocabulary(self.operations),
            node_operations=allowed,
            possible_edges=edges,
            node_names=("input", *(gene.name for gene in self.genes), "output"),
        )

    def _graphs(self, genotypes: NDArray[Any]) -> GraphBatch:
        schema = self.graph_schema
        operations = np.ones((len(genotypes), schema.num_nodes), dtype=np.int8)
        operations[:, 0] = 0
        operations[:, 1:-1] = genotypes + 2
        adjacency = np.broadcast_to(schema.possible_edges, (len(genotypes), *schema.possible_edges.shape))
        return GraphBatch.build(schema, adjacency, operations)
