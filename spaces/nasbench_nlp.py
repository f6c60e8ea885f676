"""The recurrent cells of NAS-Bench-NLP (Klyuchnikov et al., 2020, arXiv:2006.07116)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .architectures import GENOTYPE_DTYPE, Architectures
from .base import ArchitecturesLike, Gene, SearchSpace
from .graphs import GraphBatch, GraphSchema
from .nlp_cells import (
    ABSENT,
    BLEND,
    FIRST_ACTIVATION,
    FIRST_NODE,
    FIRST_STATE,
    INPUTS,
    NODES,
    OPERATIONS,
    STATES,
    Cells,
    X,
    draw,
)
from .nlp_recipe import genes_of, read_text, recipe_of
from .operations import Operation

_INPUTS = ("x", *(f"h_prev_{i}" for i in range(STATES)))
_OUTPUTS = tuple(f"h_new_{i}" for i in range(STATES))
_TRAITS: tuple[dict[str, float], ...] = (
    {"linear": 1.0},
    {"elementwise": 1.0, "gate": 1.0},
    {"elementwise": 1.0, "product": 1.0},
    {"elementwise": 1.0, "sum": 1.0},
    {"activation": 1.0, "saturating": 1.0},
    {"activation": 1.0, "saturating": 1.0, "positive": 1.0},
    {"activation": 1.0},
)
_FIRST_OPERATION = len(_INPUTS) + len(_OUTPUTS)
_FIRST_SLOT = FIRST_NODE - 1
_NUMBERED = np.array([2, 3, len(_INPUTS) + 1, len(_INPUTS) + 2])
"""The words of the vocabulary that stand for the hidden states 1 and 2, old and new."""
_STRUCTURAL_SHARE = 0.25


class NASBenchNLPSpace(SearchSpace):
    """Recurrent cells: graphs of linear maps, gates, products, sums and activations that update hidden states.

    The limits are those of the paper: at most 24 nodes, hidden states included, at most 3 hidden states, and at most
    3 inputs of a linear node (1 is allowed as well). A `blend` has three inputs, the gate first: `z * a + (1 - z) * b`;
    products and sums have two, activations one. The inputs of a node are different signals.

    The genotype holds, for each of the 24 nodes, its operation and up to three inputs, and then which nodes are
    `h_new_0` to `h_new_2`. Nodes read earlier ones; absent nodes come last and have no inputs. The cell is valid if
    `h_new_0`, its output, depends on `x`, be it through several time steps; nodes without use may be there.

    The native notation is the recipe of the benchmark in JSON, `{"f": {"op": "linear", "input": ["x", "h_prev_0"]},
    "h_new_0": {"op": "activation_tanh", "input": ["f"]}}`; `parse` takes the dict as well. Nodes may have any names
    and any order without a cycle. `format` writes them in the order of the genotype, which is the order they were
    given in, sorted where one reads a later one, and calls them `node_0`, `node_1` ... where they are not `h_new_i`.

    `canonical` ignores the numbering of nodes and of the hidden states 1 and 2, nodes and hidden states that never
    reach the output, and the order of inputs except those of `blend`.

    Graphs have an input for `x` and each old hidden state, a slot per node, and an output for each new hidden state.
    They do not tell the operands of `blend` apart; canonical keys do.

    `neighbors` and `mutate` change one gene, or grow the cell by an activation put on a new hidden state, or shrink it
    by taking one off: an absent node cannot come to be by one gene alone. Children of `crossover` take whole nodes.

    Examples
    --------
    >>> space = NASBenchNLPSpace()
    >>> arch = space.parse('{"f": {"op": "linear", "input": ["x", "h_prev_0"]}, '
    ...                    '"h_new_0": {"op": "activation_tanh", "input": ["f"]}}')[0]
    >>> str(arch)[:50]
    '{"node_0": {"op": "linear", "input": ["x", "h_prev'
    """

    def __init__(self) -> None:
        genes = []
        for k in range(NODES):
            signals = ("none", *_INPUTS, *(f"node {j}" for j in range(k)))
            genes.append(Gene(f"node {k} operation", (*OPERATIONS, "absent")))
            genes += [Gene(f"node {k} input {a}", signals) for a in range(INPUTS)]
        genes += [Gene(name, ("none", *(f"node {k}" for k in range(NODES)))) for name in _OUTPUTS]
        super().__init__("nasbench_nlp", genes)

    @property
    def size(self) -> None:
        """Not known: about 10^53 by the paper's estimate."""
        return None

    # ---- native notation and validity ---------------------------------------------------------------------------

    def _parse_text(self, text: str) -> list[int]:
        return genes_of(read_text(text))

    def _parse_object(self, item: Any) -> list[int]:
        return genes_of(item)

    def _format_row(self, genotype: Sequence[int]) -> str:
        return json.dumps(recipe_of(genotype))

    def _valid_in_range(self, genotypes: NDArray[Any]) -> NDArray[np.bool_]:
        broken = np.zeros(len(genotypes), dtype=np.bool_)
        for _, where in Cells.of(genotypes).problems():
            broken |= where if where.ndim == 1 else where.any(axis=1)
        valid: NDArray[np.bool_] = ~broken
        return valid

    def _reason_invalid(self, genotype: NDArray[Any]) -> str | None:
        for rule, where in Cells.of(genotype[None]).problems():
            if where.any() and where.ndim == 1:
                return rule
            if where.any():
                place = int(np.argmax(where[0]))
                return f"{f'node {place}' if where.shape[1] == NODES else _OUTPUTS[place]} {rule}"
        return None

    # ---- graphs -------------------------------------------------------------------------------------------------

    @cached_property
    def graph_schema(self) -> GraphSchema:
        """`x`, the old hidden states, the 24 nodes, and an output for each new hidden state."""
        words = (
            *(Operation(name, "input") for name in _INPUTS),
            *(Operation(name, "output") for name in _OUTPUTS),
            *(Operation(name, traits=traits) for name, traits in zip(OPERATIONS, _TRAITS, strict=True)),
        )
        size = _FIRST_SLOT + NODES + STATES
        allowed = np.zeros((size, len(words)), dtype=np.bool_)
        possible = np.zeros((size, size), dtype=np.bool_)
        nodes = slice(_FIRST_SLOT, _FIRST_SLOT + NODES)
        allowed[range(len(_INPUTS)), range(len(_INPUTS))] = True
        allowed[range(size - STATES, size), range(len(_INPUTS), _FIRST_OPERATION)] = True
        allowed[nodes, _FIRST_OPERATION:] = True
        possible[: _FIRST_SLOT + NODES, nodes] = np.triu(np.ones((size - STATES, size - STATES)), 1)[:, _FIRST_SLOT:]
        possible[nodes, size - STATES :] = True
        names = (*_INPUTS, *(f"node {k}" for k in range(NODES)), *_OUTPUTS)
        return GraphSchema(words, allowed, possible, names)

    def _graphs(self, genotypes: NDArray[Any]) -> GraphBatch:
        cells = Cells.of(genotypes)
        n, schema = len(genotypes), self.graph_schema
        mask = np.ones((n, schema.num_nodes), dtype=np.bool_)
        mask[:, X : X + STATES] = mask[:, -STATES:] = cells.outputs > 0
        mask[:, _FIRST_SLOT:-STATES] = cells.present
        words = np.tile(schema.node_operations.argmax(axis=1).astype(np.int8), (n, 1))
        words[:, _FIRST_SLOT:-STATES] = np.where(cells.present, cells.operations + _FIRST_OPERATION, 0)
        adjacency = self._edges(cells, np.ones((NODES, INPUTS), dtype=np.int8)).astype(np.bool_)
        for i in range(STATES):
            line = np.flatnonzero(cells.outputs[:, i])
            adjacency[line, _FIRST_SLOT - 1 + cells.outputs[line, i], schema.num_nodes - STATES + i] = True
        return GraphBatch.build(schema, adjacency, words, mask=mask)

    def _edges(self, cells: Cells, values: NDArray[np.int8]) -> NDArray[np.int8]:
        """Return an `(n, v, v)` array with a value at the edge of each input: `values` is `([n,] 24, 3)`."""
        size = self.graph_schema.num_nodes
        edges = np.zeros((len(cells.inputs), size, size), dtype=np.int8)
        line, node, a = np.nonzero(cells.inputs)
        edges[line, cells.inputs[line, node, a] - 1, _FIRST_SLOT + node] = np.broadcast_to(values, cells.inputs.shape)[
            line, node, a
        ]
        return edges

    def _keys(self, genotypes: NDArray[Any]) -> NDArray[np.uint64]:
        cells = Cells.of(genotypes)
        needed = cells.needed(through_time=True)
        states = needed[:, FIRST_STATE:FIRST_NODE].copy()
        states[:, 0] = True
        graphs = self._graphs(genotypes)
        graphs = graphs.keep(np.concatenate([needed[:, 1:], states], axis=1))
        gates = (cells.operations == BLEND)[:, :, None]
        labels = self._edges(cells, np.where(gates, np.arange(1, INPUTS + 1), 0).astype(np.int8))
        # Hidden states 1 and 2 can change places: a key for either numbering, the lower one counts.
        swapped = np.arange(len(graphs.schema.vocabulary), dtype=np.int8)
        swapped[_NUMBERED] = swapped[_NUMBERED[[1, 0, 3, 2]]]
        other = replace(graphs, operations=swapped[graphs.operations])
        return np.minimum(graphs.keys(edge_labels=labels), other.keys(edge_labels=labels))

    # ---- search moves -------------------------------------------------------------------------------------------

    def _draw(self, n: int, rng: np.random.Generator) -> NDArray[Any]:
        return draw(n, rng).genotypes()

    def neighbors(self, architectures: ArchitecturesLike) -> tuple[Architectures, NDArray[np.intp]]:
        """Return all valid architectures that differ in one gene, or by one activation on a new hidden state.

        Returns
        -------
        neighbors : Architectures
        origin : integer array `(len(neighbors),)`
            The row of `architectures` that each is a neighbour of.
        """
        rows = self.architectures(architectures).genotypes
        near, origin = super().neighbors(rows)
        found, origins = [near.genotypes], [origin]
        for move in range(_MOVES):
            changed, possible = _restructured(rows, np.full(len(rows), move))
            found.append(changed[possible])
            origins.append(np.flatnonzero(possible))
        origin = np.concatenate(origins)
        order = np.argsort(origin, kind="stable")
        return Architectures(self, np.concatenate(found)[order]), origin[order]

    def mutate(self, architectures: ArchitecturesLike, seed: int, *, n_genes: int = 1) -> Architectures:
        """Return one mutant of each architecture: some grow or shrink by an activation, the others change genes.

        A random way to grow or shrink is taken for a quarter of the architectures, where it is possible.

        Raises
        ------
        InvalidDataError
            If `n_genes` is not between 1 and the number of genes.
        """
        mutants = super().mutate(architectures, seed, n_genes=n_genes).genotypes.copy()
        rows = self.architectures(architectures).genotypes
        rng = np.random.default_rng([seed, 1])
        changed, possible = _restructured(rows, rng.integers(_MOVES, size=len(rows)))
        chosen = possible & (rng.random(len(rows)) < _STRUCTURAL_SHARE)
        mutants[chosen] = changed[chosen]
        return Architectures(self, mutants)

    def _mutable(self, rows: NDArray[np.int16]) -> NDArray[np.bool_]:
        """Return the genes of the nodes that are there, and those of the outputs."""
        nodes = np.repeat(Cells.of(rows).present, 1 + INPUTS, axis=1)
        return np.concatenate([nodes, np.ones((len(rows), STATES), dtype=np.bool_)], axis=1)

    def _inheritance(
        self, mother: NDArray[np.int16], father: NDArray[np.int16], rng: np.random.Generator
    ) -> NDArray[np.bool_]:
        """Take nodes that both parents have whole from either, the others and the outputs from the same parent."""
        n = len(mother)
        both = Cells.of(mother).present & Cells.of(father).present
        rest = rng.random((n, 1)) < 0.5
        nodes = np.where(both, rng.random((n, NODES)) < 0.5, rest)
        return np.concatenate([np.repeat(nodes, 1 + INPUTS, axis=1), np.repeat(rest, STATES, axis=1)], axis=1)


_ACTIVATIONS = ABSENT - FIRST_ACTIVATION
_MOVES = STATES * (_ACTIVATIONS + 1)


def _restructured(rows: NDArray[np.int16], moves: NDArray[Any]) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """Return each row after a move that adds or removes an activation at the end, and where that is possible.

    Move `4 * i + a` makes a new last node with activation `a` on the old `h_new_i` the new `h_new_i`; with `a` = 3 it
    takes such a node off again.
    """
    cells = Cells.of(rows)
    operations, inputs, outputs = cells.operations.copy(), cells.inputs.copy(), cells.outputs.copy()
    lines = np.arange(len(rows))
    state, activation = np.divmod(moves, _ACTIVATIONS + 1)
    count = cells.present.sum(axis=1)
    node = outputs[lines, state]
    grows = (activation < _ACTIVATIONS) & (node > 0) & (count < NODES)
    last = count - 1
    source = inputs[lines, last, 0]
    taken = (outputs == (source - FIRST_NODE + 1)[:, None]).any(axis=1)
    shrinks = (activation == _ACTIVATIONS) & (node == count) & (operations[lines, last] >= FIRST_ACTIVATION)
    shrinks &= (source >= FIRST_NODE) & ~taken
    g, s = np.flatnonzero(grows), np.flatnonzero(shrinks)
    operations[g, count[g]] = FIRST_ACTIVATION + activation[g]
    inputs[g, count[g], 0] = FIRST_NODE - 1 + node[g]
    outputs[g, state[g]] = count[g] + 1
    operations[s, last[s]] = ABSENT
    inputs[s, last[s]] = 0
    outputs[s, state[s]] = source[s] - FIRST_NODE + 1
    return Cells(operations, inputs, outputs).genotypes().astype(GENOTYPE_DTYPE), grows | shrinks
