"""The NAS-Bench-201 cell: 6 edges, 5 operations, 15,625 architectures (Dong and Yang, ICLR 2020)."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .base import ArchitecturesLike
from .cell import EdgeCellSpace
from .hashing import mix

OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
STAGE_CHANNELS = (16, 32, 64)
CELLS_PER_STAGE = 5
CLASSES = 10
RESOLUTION = 32


class NASBench201Space(EdgeCellSpace):
    """The cell space of NAS-Bench-201, also known as the topology search space of NATS-Bench.

    `canonical` follows the published definition of isomorphism, which gives exactly 6,466 classes. It is finer than
    functional equivalence: it keeps nodes apart whose inputs are all `none`. The reduced graph
    (`to_graphs(...).reduce()`) has none of these.

    Examples
    --------
    >>> space = NASBench201Space()
    >>> archs = space.parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|")
    >>> archs.genotypes.tolist()
    [[3, 0, 1, 0, 0, 4]]
    """

    def __init__(self) -> None:
        super().__init__(4, OPERATIONS, name="nasbench201")

    @cached_property
    def _class_of(self) -> NDArray[np.uint64]:
        """The canonical key of every genotype, in lexicographic order."""
        numbers: dict[str, int] = {}
        rows = self._all_genotypes.tolist()
        classes = [numbers.setdefault(self._expression(row), len(numbers)) for row in rows]
        return mix(np.array(classes))

    def _expression(self, genotype: list[int]) -> str:
        """Return the cell as a nested sum of operations, with identities written out and zeros marked.

        The definition of equality that the benchmark's authors used to count 6,466 distinct cells: text, so that a
        sum inside a sum is not flattened, and a sum of zeros is not itself a zero.
        """
        nodes = ["0"]
        genes = iter(genotype)
        for target in range(1, self.nodes):
            terms = []
            for source in range(target):
                operation = self.operations[next(genes)]
                if operation.role == "zero" or nodes[source] == "#":
                    terms.append("#")
                elif operation.role == "identity":
                    terms.append(nodes[source])
                else:
                    terms.append(f"({nodes[source]})@{operation.name}")
            nodes.append("+".join(sorted(terms)))
        return nodes[-1]

    def _keys(self, genotypes: NDArray[Any]) -> NDArray[np.uint64]:
        numbers = np.ravel_multi_index(tuple(genotypes.T), tuple(self.cardinalities.tolist()))
        keys: NDArray[np.uint64] = self._class_of[numbers]
        return keys

    def complexity(self, architectures: ArchitecturesLike) -> dict[str, NDArray[np.float64]]:
        """Return parameters and multiply-accumulates of the published CIFAR-10 network.

        Three stages of 5 cells with 16, 32 and 64 channels, joined by residual blocks that halve the resolution;
        exact, e.g. 1,531,546 parameters and 220.1 million multiply-accumulates if every edge is `nor_conv_3x3`.
        """
        genotypes = self.architectures(architectures).genotypes
        traits = [operation.traits for operation in self.operations]
        kernel_area = np.array([trait.get("conv", 0.0) * trait.get("kernel", 0.0) ** 2 for trait in traits])
        areas = kernel_area[genotypes].sum(axis=1)
        convolutions = (kernel_area > 0)[genotypes].sum(axis=1)
        first = STAGE_CHANNELS[0]
        params = np.full(len(genotypes), 3.0 * 9 * first + 2 * first)
        flops = np.full(len(genotypes), 3.0 * 9 * first * RESOLUTION**2)
        for stage, channels in enumerate(STAGE_CHANNELS):
            pixels = (RESOLUTION >> stage) ** 2
            params += CELLS_PER_STAGE * (areas * channels**2 + convolutions * 2 * channels)
            flops += CELLS_PER_STAGE * areas * channels**2 * pixels
            if stage:
                before = STAGE_CHANNELS[stage - 1]
                weights = 9 * before * channels + 9 * channels**2 + before * channels
                params += weights + 4 * channels
                flops += weights * pixels
        last = STAGE_CHANNELS[-1]
        params += 2 * last + last * CLASSES + CLASSES
        flops += last * CLASSES
        return {"params": params, "flops": flops}
