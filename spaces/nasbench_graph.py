"""NAS-Bench-Graph: graph neural networks as a tree of four operations (Qin et al., NeurIPS 2022)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidArchitectureError
from .base import ArchitecturesLike, Gene, SearchSpace
from .graphs import GraphBatch, GraphSchema
from .hashing import row_keys
from .operations import Operation, vocabulary

LINKS = (
    (0, 0, 0, 0),
    (0, 0, 0, 1),
    (0, 0, 1, 1),
    (0, 0, 1, 2),
    (0, 0, 1, 3),
    (0, 1, 1, 1),
    (0, 1, 1, 2),
    (0, 1, 2, 2),
    (0, 1, 2, 3),
)
"""What each of the four nodes reads (0 is the input, i is node i), one tree per isomorphism class."""

OPERATIONS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")
"""In the order of the published identifiers."""

PROTEINS_OPERATIONS = ("gcn", "sage", "arma", "fc", "skip")
"""What the `proteins` data set was measured with; the published hashes keep the identifiers of `OPERATIONS`."""

_SKIP = "skip"
_KINDS = {
    "gat": Operation("gat", traits={"message": 1.0, "attention": 1.0}),
    "gcn": Operation("gcn", traits={"message": 1.0, "normalised": 1.0}),
    "gin": Operation("gin", traits={"message": 1.0, "mlp": 1.0}),
    "cheb": Operation("cheb", traits={"message": 1.0, "spectral": 1.0}),
    "sage": Operation("sage", traits={"message": 1.0, "root": 1.0}),
    "arma": Operation("arma", traits={"message": 1.0, "spectral": 1.0, "root": 1.0}),
    "graph": Operation("graph", traits={"message": 1.0, "root": 1.0}),
    "fc": Operation("fc", traits={"linear": 1.0}),
    _SKIP: Operation(_SKIP, "identity"),
}
_TEXT = re.compile(r"([0-3]{4}):([^:]*)")


class NASBenchGraphSpace(SearchSpace):
    """A tree of four nodes, each an operation on the output of one earlier node or the input; leaves are concatenated.

    The genotype holds the index of the tree in the nine `LINKS`, then the operations of the four nodes. Every
    combination is valid except four `skip`, which compute nothing: 59,040 genotypes that stand for 26,206 distinct
    architectures (2,021 of 5,616 with the operations of `proteins`), the rows of the published tables. `canonical`
    tells these apart; `normal_form` gives the member of each class that the benchmark trained.

    Native notations, all of which `parse` reads:

    - text: the tree, a colon, and the operations: `"0012:gat-gcn-skip-fc"`; this is what `format` writes;
    - `{"link": [0, 0, 1, 2], "ops": ["gat", "gcn", "skip", "fc"]}`, a pair `(link, ops)`, or an object with these
      attributes; any of the 24 trees is relabelled to its representative in `LINKS`;
    - the published hash, an integer or its digits: the index of the tree, then one digit per operation.

    Graphs are those of the normal form: the input, one node per operation, the output, which every leaf feeds.

    Parameters
    ----------
    proteins : bool
        The five operations of the `proteins` data set instead of all nine.

    Examples
    --------
    >>> space = NASBenchGraphSpace()
    >>> space.format([30178, {"link": [0, 0, 2, 1], "ops": ["gcn", "gat", "skip", "fc"]}])
    ['0012:gat-gcn-fc-skip', '0012:gcn-gat-fc-skip']
    """

    def __init__(self, *, proteins: bool = False) -> None:
        self.operations = tuple(_KINDS[name] for name in (PROTEINS_OPERATIONS if proteins else OPERATIONS))
        names = tuple(operation.name for operation in self.operations)
        trees = tuple("".join(map(str, link)) for link in LINKS)
        genes = [Gene("link", trees), *(Gene(f"node{i}", names) for i in range(1, 5))]
        super().__init__("nasbench_graph_proteins" if proteins else "nasbench_graph", genes)

    @property
    def size(self) -> int:
        """The number of valid genotypes."""
        return len(LINKS) * (len(self.operations) ** 4 - 1)

    def _valid_in_range(self, genotypes: NDArray[Any]) -> NDArray[np.bool_]:
        valid: NDArray[np.bool_] = (genotypes[:, 1:] != len(self.operations) - 1).any(axis=1)
        return valid

    def _reason_invalid(self, genotype: NDArray[Any]) -> str | None:
        if self._valid_in_range(genotype[None])[0]:
            return None
        return "expected at least one operation other than 'skip', got four"

    # ---- notation -----------------------------------------------------------------------------------------------

    def _parse_text(self, text: str) -> Sequence[int]:
        if text.isascii() and text.isdigit():
            return self._parse_hash(int(text))
        match = _TEXT.fullmatch(text)
        if match is None:
            raise InvalidArchitectureError(
                f"expected text like '0012:gat-gcn-skip-fc' or a published hash of at most 5 digits, got {text!r}"
            )
        return self._parse_parts([int(digit) for digit in match[1]], match[2].split("-"))

    def _parse_object(self, item: Any) -> Sequence[int]:
        if isinstance(item, (int, np.integer)) and not isinstance(item, bool):
            return self._parse_hash(int(item))
        if isinstance(item, Mapping):
            if set(item) != {"link", "ops"}:
                raise InvalidArchitectureError(f"expected the keys 'link' and 'ops', got {list(item)}")
            return self._parse_parts(item["link"], item["ops"])
        if isinstance(item, (tuple, list)) and len(item) == 2:
            return self._parse_parts(item[0], item[1])
        if hasattr(item, "link") and hasattr(item, "ops"):
            return self._parse_parts(item.link, item.ops)
        raise InvalidArchitectureError(
            f"expected text, a published hash, a mapping with 'link' and 'ops', a pair of these, or 5 integers, "
            f"got {type(item).__name__}"
        )

    def _parse_hash(self, number: int) -> Sequence[int]:
        if not 0 <= number < 100_000:
            raise InvalidArchitectureError(f"a published hash has at most 5 digits, got {number}")
        tree, *digits = (int(digit) for digit in f"{number:05d}")
        if tree >= len(LINKS):
            raise InvalidArchitectureError(f"the hash must begin with a tree in 0..{len(LINKS) - 1}, got {tree}")
        for position, digit in enumerate(digits, start=1):
            if digit >= len(OPERATIONS):
                raise InvalidArchitectureError(
                    f"operation {position} of the hash must be in 0..{len(OPERATIONS) - 1}, got {digit}"
                )
        return self._parse_parts(LINKS[tree], [OPERATIONS[digit] for digit in digits])

    def _parse_parts(self, link: Any, ops: Any) -> Sequence[int]:
        try:
            tree = tuple(int(source) for source in link)
            names = [str(name) for name in ops]
        except (TypeError, ValueError):
            raise InvalidArchitectureError(
                f"expected a list of 4 inputs and 4 operations, got {link!r}, {ops!r}"
            ) from None
        if tree not in _RELABEL:
            raise InvalidArchitectureError(
                f"link must hold 4 inputs, each 0 or the number of an earlier node, got {list(tree)}"
            )
        if len(names) != 4:
            raise InvalidArchitectureError(f"expected 4 operations, got {len(names)}")
        known = {operation.name: k for k, operation in enumerate(self.operations)}
        for position, name in enumerate(names, start=1):
            if name not in known:
                raise InvalidArchitectureError(
                    f"unknown operation {name!r} of node {position}, expected one of {', '.join(known)}"
                )
        index, order = _RELABEL[tree]
        return [index, *(known[names[old]] for old in order)]

    def _format_row(self, genotype: Sequence[int]) -> str:
        tree = "".join(map(str, LINKS[genotype[0]]))
        return f"{tree}:{'-'.join(self.operations[op].name for op in genotype[1:])}"

    def hashes(self, architectures: ArchitecturesLike) -> NDArray[np.int64]:
        """Return the hash under which the published tables hold each architecture, `(n,)`: that of its normal form."""
        rows = self._normalise(self.architectures(architectures).genotypes).astype(np.int64)
        identifier = np.array([OPERATIONS.index(operation.name) for operation in self.operations])
        digits = np.column_stack([rows[:, 0], identifier[rows[:, 1:]]])
        hashes: NDArray[np.int64] = digits @ (10 ** np.arange(4, -1, -1))
        return hashes

    # ---- normal form --------------------------------------------------------------------------------------------

    def normal_form(self, architectures: ArchitecturesLike) -> NDArray[np.int16]:
        """Return for each architecture the genotype of the twin that the benchmark trained, `(n, 5)`.

        Every `skip` that only passes a signal on moves to the front of the tree, and branches that could change
        places are sorted, as the benchmark's authors do.
        """
        return self._normalise(self.architectures(architectures).genotypes)

    def _normalise(self, genotypes: NDArray[np.int16]) -> NDArray[np.int16]:
        skip = genotypes[:, 1:] == len(self.operations) - 1
        pattern = skip @ np.array([1, 2, 4, 8])
        moved = _MOVED[genotypes[:, 0], pattern]
        tree = moved[:, 0]
        ops = np.take_along_axis(genotypes[:, 1:], moved[:, 1:], axis=1)
        for index, places in _INTERCHANGEABLE.items():
            rows = np.ix_(tree == index, places)
            ops[rows] = np.sort(ops[rows], axis=1)
        two_chains = np.flatnonzero(tree == LINKS.index((0, 0, 1, 2)))
        left, right = ops[two_chains, 0::2], ops[two_chains, 1::2]
        swap = (left[:, 0] > right[:, 0]) | ((left[:, 0] == right[:, 0]) & (left[:, 1] > right[:, 1]))
        ops[two_chains[swap]] = ops[two_chains[swap]][:, [1, 0, 3, 2]]
        return np.column_stack([tree, ops]).astype(np.int16)

    def _keys(self, genotypes: NDArray[np.int16]) -> NDArray[np.uint64]:
        return row_keys(self._normalise(genotypes))

    # ---- graphs -------------------------------------------------------------------------------------------------

    @cached_property
    def graph_schema(self) -> GraphSchema:
        """The input, four operations, the output."""
        words = vocabulary(self.operations)
        allowed = np.zeros((6, len(words)), dtype=np.bool_)
        allowed[0, 0] = allowed[-1, 1] = True
        allowed[1:5, 2:] = True
        return GraphSchema(
            vocabulary=words,
            node_operations=allowed,
            possible_edges=np.asarray(_TREES.any(axis=0)),
            node_names=("input", *(gene.name for gene in self.genes[1:]), "output"),
        )

    def _graphs(self, genotypes: NDArray[np.int16]) -> GraphBatch:
        rows = self._normalise(genotypes)
        operations = np.ones((len(rows), 6), dtype=np.int8)
        operations[:, 0] = 0
        operations[:, 1:5] = rows[:, 1:] + 2
        return GraphBatch.build(self.graph_schema, _TREES[rows[:, 0]], operations)


def _relabellings() -> dict[tuple[int, ...], tuple[int, tuple[int, ...]]]:
    """Return for each of the 24 trees its representative, and which old node each new node is (counted from 0)."""
    result: dict[tuple[int, ...], tuple[int, tuple[int, ...]]] = {}
    for index, link in enumerate(LINKS):
        for order in permutations(range(4)):
            place = {0: 0, **{new + 1: old + 1 for new, old in enumerate(order)}}  # canonical -> relabelled node
            relabelled = [0] * 4
            for new, old in enumerate(order):
                relabelled[old] = place[link[new]]
            if all(source <= node for node, source in enumerate(relabelled)):
                result.setdefault(tuple(relabelled), (index, order))
    return result


def _move_skips(link: tuple[int, ...], skips: Sequence[bool]) -> tuple[tuple[int, ...], list[int]]:
    """Return the tree with removable skips moved to the front, and which old node each new one is.

    A skip is removable if it has successors, or no siblings; or if it hands the raw input to the output, which the
    benchmark's networks leave out. Its successors read what it read, and all that read the input read it.
    """
    sources, order = list(link), [0, 1, 2, 3]
    for i in range(4):
        if not skips[order[i]]:
            continue
        has_successors = i + 1 in sources
        has_siblings = sources.count(sources[i]) > 1
        node = i + 1
        while node and skips[order[node - 1]]:
            node = sources[node - 1]
        if not (has_successors or not has_siblings or node == 0):
            continue
        above = sources[i]
        rest = [above if source == i + 1 else source for k, source in enumerate(sources) if k != i]
        # Nodes before the skip, and the input, move one place up.
        sources = [0, *(source + 1 if source <= i else source for source in rest)]
        order = [order[i], *order[:i], *order[i + 1 :]]
    return tuple(sources), order


def _moves() -> NDArray[np.intp]:
    """Return `(9, 16, 5)`: by tree and set of skip nodes, the tree of the normal form and the order of its nodes."""
    table = np.zeros((len(LINKS), 16, 5), dtype=np.intp)
    for index, link in enumerate(LINKS):
        for pattern in range(16):
            sources, order = _move_skips(link, [bool(pattern >> k & 1) for k in range(4)])
            tree, relabelling = _RELABEL[sources]
            table[index, pattern] = [tree, *(order[k] for k in relabelling)]
    return table


def _trees() -> NDArray[np.bool_]:
    """Return the adjacency of each tree with input and output, `(9, 6, 6)`."""
    edges = np.zeros((len(LINKS), 6, 6), dtype=np.bool_)
    for index, link in enumerate(LINKS):
        for node, source in enumerate(link, start=1):
            edges[index, source, node] = True
            edges[index, node, 5] = node not in link
    return edges


_RELABEL = _relabellings()
_MOVED = _moves()
_TREES = _trees()
_INTERCHANGEABLE = {
    LINKS.index((0, 0, 0, 0)): [0, 1, 2, 3],
    LINKS.index((0, 0, 0, 1)): [1, 2],
    LINKS.index((0, 0, 1, 1)): [2, 3],
    LINKS.index((0, 1, 1, 1)): [1, 2, 3],
    LINKS.index((0, 1, 2, 2)): [2, 3],
}
"""By tree, the leaves that read the same node and so can change places."""
