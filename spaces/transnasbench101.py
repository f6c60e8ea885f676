"""TransNAS-Bench-101: the cell-level and the macro-level space (Duan et al., CVPR 2021)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidArchitectureError
from .base import ArchitecturesLike, Gene, SearchSpace
from .cell import EdgeCellSpace
from .cost import NetworkCost
from .graphs import GraphBatch, GraphSchema
from .operations import Operation, vocabulary

BASE_CHANNELS = 64
RESOLUTION = 256
STEM_RESOLUTION = RESOLUTION // 4

MICRO_OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3")
MICRO_MODULES = "41414"

MODULES = ("normal", "double", "halve", "double_halve")
"""What a module does to the channels (doubles) and the resolution (halves); published as 1, 2, 3 and 4."""

DOUBLES = np.array([False, True, False, True])
HALVES = np.array([False, False, True, True])
MIN_MODULES, MAX_MODULES = 4, 6
MAX_DOUBLINGS, MAX_HALVINGS = 3, 4

_CELL = re.compile(r"(?:64-41414-)?([0-9]*)_([0-9]*)_([0-9]*)")
_MACRO = re.compile(r"(?:64-)?([0-9]+)(?:-basic)?")


class TransNASBench101MicroSpace(EdgeCellSpace):
    """The cell-level space: a cell of 4 nodes whose 6 edges carry one of 4 operations, 4,096 architectures.

    The native notation is the published one, `"64-41414-1_02_333"`: base channels and modules, which are the same
    for all, then for nodes 1, 2 and 3 the operations on the edges from nodes 0, 1 ...: 0 none, 1 skip-connect, 2 and
    3 convolutions of that order, 1x1 and 3x3. `parse` also reads the cell alone, `"1_02_333"`, and the notation of
    NAS-Bench-201.

    A skip-connect that enters a cell with stride 2 is a factorised reduction there, so the canonical form drops what
    is on no path from input to output and otherwise keeps all operations, identities included.

    Examples
    --------
    >>> TransNASBench101MicroSpace().parse("64-41414-1_02_333").genotypes.tolist()
    [[1, 0, 2, 3, 3, 3]]
    """

    network = ".spaces.networks.transnasbench101:micro_network"

    def __init__(self) -> None:
        super().__init__(4, MICRO_OPERATIONS, name="transnasbench101_micro")

    def _parse_text(self, text: str) -> list[int]:
        if text.startswith("|"):
            return super()._parse_text(text)
        match = _CELL.fullmatch(text)
        if match is None:
            raise InvalidArchitectureError(f"expected text like '64-41414-1_02_333', got {text!r}")
        for node, digits in enumerate(match.groups(), start=1):
            if len(digits) != node:
                raise InvalidArchitectureError(f"node {node} needs {node} operations, got {digits!r}")
            for source, digit in enumerate(digits):
                if int(digit) >= len(MICRO_OPERATIONS):
                    raise InvalidArchitectureError(f"operation on edge {source}->{node} must be in 0..3, got {digit}")
        return [int(digit) for digit in "".join(match.groups())]

    def _format_row(self, genotype: Sequence[int]) -> str:
        first, second, third, *last = genotype
        return f"64-{MICRO_MODULES}-{first}_{second}{third}_{''.join(map(str, last))}"

    def complexity(self, architectures: ArchitecturesLike) -> dict[str, NDArray[np.float64]]:
        """Return parameters and multiply-accumulates of the backbone for one image of 256 pixels.

        The backbone is what all seven tasks share: the stem, and five modules of two cells.
        """
        genotypes = self.architectures(architectures).genotypes
        skip, small, large = (genotypes == MICRO_OPERATIONS.index(name) for name in MICRO_OPERATIONS[1:])
        enters = np.array([source == 0 for source, _ in self.edges])
        cost = NetworkCost(len(genotypes))
        channels, resolution = _add_stem(cost)
        for module in MICRO_MODULES:
            kind = int(module) - 1
            before, changes = channels, bool(DOUBLES[kind] or HALVES[kind])
            channels, resolution = channels * (1 + int(DOUBLES[kind])), resolution >> int(HALVES[kind])
            for cell_input in (before, channels):
                for edges, inputs in ((enters, cell_input), (~enters, channels)):
                    cost.conv(inputs, channels, 1, resolution, when=small[:, edges].sum(axis=1))
                    cost.conv(inputs, channels, 3, resolution, when=large[:, edges].sum(axis=1))
            if changes:  # a factorised reduction has as many weights as a 1x1 convolution
                cost.conv(before, channels, 1, resolution, when=skip[:, enters].sum(axis=1))
        return cost.as_dict()


class TransNASBench101MacroSpace(SearchSpace):
    """The macro-level space: 4 to 6 modules of residual blocks, 3,256 architectures.

    Each module is normal (1), doubles the channels (2), halves the resolution (3) or both (4); there are 1 to 3
    doublings and 1 to 4 halvings. The native notation is the published one, `"64-1234-basic"`; `parse` also reads
    the digits alone. The genotype has one gene per module; the last two can be absent, the sixth only after the
    fifth.

    Graphs are paths. Node features are the channels and the resolution (for images of 256 pixels) that leave each
    module.

    Examples
    --------
    >>> TransNASBench101MacroSpace().size
    3256
    """

    network = ".spaces.networks.transnasbench101:macro_network"

    def __init__(self) -> None:
        optional = ("absent", *MODULES)
        genes = [Gene(f"module{i}", MODULES if i <= MIN_MODULES else optional) for i in range(1, MAX_MODULES + 1)]
        super().__init__("transnasbench101_macro", genes)

    @cached_property
    def size(self) -> int:
        """The number of valid genotypes."""
        return len(self._all_genotypes)

    def module_kinds(self, genotypes: NDArray[Any]) -> NDArray[np.int64]:
        """Return the index into `MODULES` of each module, `(n, 6)`, -1 where there is none."""
        kinds = genotypes.astype(np.int64)
        kinds[:, MIN_MODULES:] -= 1
        return kinds

    def _valid_in_range(self, genotypes: NDArray[Any]) -> NDArray[np.bool_]:
        kinds = self.module_kinds(genotypes)
        present = kinds >= 0
        doublings = (DOUBLES[kinds] & present).sum(axis=1)
        halvings = (HALVES[kinds] & present).sum(axis=1)
        valid: NDArray[np.bool_] = (
            (present[:, -2] | ~present[:, -1])
            & (doublings >= 1)
            & (doublings <= MAX_DOUBLINGS)
            & (halvings >= 1)
            & (halvings <= MAX_HALVINGS)
        )
        return valid

    def _reason_invalid(self, genotype: NDArray[Any]) -> str | None:
        kinds = self.module_kinds(genotype[None])[0]
        present = kinds >= 0
        doublings, halvings = int((DOUBLES[kinds] & present).sum()), int((HALVES[kinds] & present).sum())
        if present[-1] and not present[-2]:
            return "module 6 needs module 5, which is absent"
        if not 1 <= doublings <= MAX_DOUBLINGS:
            return f"expected 1 to {MAX_DOUBLINGS} modules that double the channels (2 or 4), got {doublings}"
        if not 1 <= halvings <= MAX_HALVINGS:
            return f"expected 1 to {MAX_HALVINGS} modules that halve the resolution (3 or 4), got {halvings}"
        return None

    def _parse_text(self, text: str) -> list[int]:
        match = _MACRO.fullmatch(text)
        if match is None:
            raise InvalidArchitectureError(f"expected text like '64-1234-basic', got {text!r}")
        digits = match[1]
        if not MIN_MODULES <= len(digits) <= MAX_MODULES:
            raise InvalidArchitectureError(f"expected {MIN_MODULES} to {MAX_MODULES} modules, got {len(digits)}")
        for position, digit in enumerate(digits, start=1):
            if digit not in "1234":
                raise InvalidArchitectureError(f"module {position} must be 1, 2, 3 or 4, got {digit}")
        head = [int(digit) - 1 for digit in digits[:MIN_MODULES]]
        tail = [int(digit) for digit in digits[MIN_MODULES:]]
        return [*head, *tail, *([0] * (MAX_MODULES - len(digits)))]

    def _format_row(self, genotype: Sequence[int]) -> str:
        head, tail = genotype[:MIN_MODULES], genotype[MIN_MODULES:]
        return f"64-{''.join(str(kind + 1) for kind in head)}{''.join(str(kind) for kind in tail if kind)}-basic"

    def _shapes(self, kinds: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return channels and resolution after each module, both `(n, 6)`."""
        present = kinds >= 0
        doublings = np.cumsum(DOUBLES[kinds] & present, axis=1)
        halvings = np.cumsum(HALVES[kinds] & present, axis=1)
        return BASE_CHANNELS << doublings, STEM_RESOLUTION >> halvings

    @cached_property
    def graph_schema(self) -> GraphSchema:
        """The input, six modules, the output."""
        words = vocabulary([Operation(name, traits={"conv": 1.0, "kernel": 3.0}) for name in MODULES])
        v = MAX_MODULES + 2
        allowed = np.zeros((v, len(words)), dtype=np.bool_)
        allowed[0, 0] = allowed[-1, 1] = True
        allowed[1:-1, 2:] = True
        edges = np.eye(v, k=1, dtype=np.bool_)
        edges[MIN_MODULES:-1, -1] = True
        return GraphSchema(
            vocabulary=words,
            node_operations=allowed,
            possible_edges=edges,
            node_names=("input", *(gene.name for gene in self.genes), "output"),
            feature_names=("channels", "resolution"),
        )

    def _graphs(self, genotypes: NDArray[np.int16]) -> GraphBatch:
        kinds = self.module_kinds(genotypes)
        n, v = len(kinds), MAX_MODULES + 2
        mask = np.ones((n, v), dtype=np.bool_)
        mask[:, 1:-1] = kinds >= 0
        operations = np.ones((n, v), dtype=np.int8)
        operations[:, 0] = 0
        operations[:, 1:-1] = np.maximum(kinds, 0) + 2
        features = np.zeros((n, v, 2), dtype=np.float32)
        features[:, 1:-1] = np.stack(self._shapes(kinds), axis=-1)
        adjacency = np.broadcast_to(self.graph_schema.possible_edges, (n, v, v)).copy()
        length = (kinds >= 0).sum(axis=1)
        adjacency[:, MIN_MODULES:-1, -1] = length[:, None] == np.arange(MIN_MODULES, MAX_MODULES + 1)
        adjacency &= mask[:, :, None] & mask[:, None, :]
        return GraphBatch.build(self.graph_schema, adjacency, operations, mask, features * mask[:, :, None])

    def complexity(self, architectures: ArchitecturesLike) -> dict[str, NDArray[np.float64]]:
        """Return parameters and multiply-accumulates of the backbone for one image of 256 pixels.

        The backbone is what all seven tasks share: the stem, and modules of two residual blocks each.
        """
        kinds = self.module_kinds(self.architectures(architectures).genotypes)
        cost = NetworkCost(len(kinds))
        base, _ = _add_stem(cost)
        channels, resolution = self._shapes(kinds)
        before = np.column_stack([np.full(len(kinds), base), channels[:, :-1]])
        for module in range(MAX_MODULES):
            present = kinds[:, module] >= 0
            changes = present & (kinds[:, module] > 0)
            inputs, outputs, side = before[:, module], channels[:, module], resolution[:, module]
            cost.conv(inputs, outputs, 3, side, when=present)
            cost.conv(outputs, outputs, 3, side, when=3 * present)
            cost.conv(inputs, outputs, 1, side, when=changes)
        return cost.as_dict()


def _add_stem(cost: NetworkCost) -> tuple[int, int]:
    """Add the stem and return the channels and the resolution that leave it."""
    cost.conv(3, BASE_CHANNELS // 2, 3, RESOLUTION // 2)
    cost.conv(BASE_CHANNELS // 2, BASE_CHANNELS, 3, STEM_RESOLUTION)
    return BASE_CHANNELS, STEM_RESOLUTION
