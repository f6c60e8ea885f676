"""The NAS-Bench-101 cell: 7 nodes, 9 edges, 3 operations; 423,624 distinct cells (Ying et al., ICML 2019)."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .architectures import Architectures
from .base import ArchitecturesLike
from .node_cell import NodeCellSpace, inner_channels

OPERATIONS = ("conv1x1-bn-relu", "conv3x3-bn-relu", "maxpool3x3")
CLASSES_BY_NODES = {2: 1, 3: 6, 4: 84, 5: 2_441, 6: 62_010, 7: 359_082}
"""How many canonical classes have how many nodes after pruning, as published with the benchmark."""

STEM_CHANNELS = 128
STACK_CHANNELS = (128, 256, 512)
CELLS_PER_STACK = 3
CLASSES = 10
RESOLUTION = 32


class NASBench101Space(NodeCellSpace):
    """The cell space of NAS-Bench-101.

    The benchmark counts cells up to isomorphism, and so do `size` and `enumerate`: each class is there once, by a
    cell without dead nodes. The first `enumerate` takes a few seconds. All other methods take and return any
    valid cell, with dead nodes or without.

    Examples
    --------
    >>> space = NASBench101Space()
    >>> cell = {"matrix": [[0, 1, 0], [0, 0, 1], [0, 0, 0]], "ops": ["input", "conv3x3-bn-relu", "output"]}
    >>> int(space.complexity([cell])["params"][0])
    10177674
    """

    def __init__(self) -> None:
        super().__init__(7, OPERATIONS, 9, name="nasbench101")

    @property
    def size(self) -> int:
        """The number of canonical classes."""
        return sum(CLASSES_BY_NODES.values())

    def enumerate(self) -> Architectures:
        """Return one cell of each of the 423,624 canonical classes, in lexicographic order of the genotypes."""
        return self._canonical_cells

    @cached_property
    def _canonical_cells(self) -> Architectures:
        return self.enumerate_canonical()

    def complexity(self, architectures: ArchitecturesLike) -> dict[str, NDArray[np.float64]]:
        """Return parameters and multiply-accumulates of the published CIFAR-10 network.

        A stem of 128 channels, three stacks of three cells with 128, 256 and 512 channels, 2x2 max-pooling between
        stacks. Inside a cell the nodes that feed the output share its channels, a node before them has the most
        channels of those it feeds, and each edge from the input is a 1x1 convolution of its own. `params` are the
        benchmark's `trainable_parameters`, e.g. 2,694,282 for its Inception-like example.

        Notes
        -----
        Where the channels do not divide evenly, the first nodes get one more. Isomorphic twins with different node
        orders can therefore differ by a few parameters, in the benchmark as here.
        """
        graphs = self.to_graphs(architectures).prune()
        edges = graphs.adjacency
        areas = np.array(
            [
                operation.traits.get("conv", 0) * operation.traits.get("kernel", 0) ** 2
                for operation in graphs.schema.vocabulary
            ]
        )
        kernel_areas = (areas[graphs.operations] * graphs.mask)[:, 1:-1]
        params = np.full(len(graphs), float(27 * STEM_CHANNELS + 2 * STEM_CHANNELS))
        flops = np.full(len(graphs), 27.0 * STEM_CHANNELS * RESOLUTION**2)
        before = STEM_CHANNELS
        for stack, channels in enumerate(STACK_CHANNELS):
            inner = inner_channels(edges, channels)
            projected = np.concatenate([inner * edges[:, 0, 1:-1], channels * edges[:, 0, -1:]], axis=1).sum(axis=1)
            convolutions = (kernel_areas * inner**2).sum(axis=1)
            normalised = 2 * ((kernel_areas > 0) * inner).sum(axis=1) + 2 * projected
            pixels = (RESOLUTION >> stack) ** 2
            for _ in range(CELLS_PER_STACK):
                weights = convolutions + before * projected
                params += weights + normalised
                flops += weights * pixels
                before = channels
        params += before * CLASSES + CLASSES
        flops += before * CLASSES
        return {"params": params, "flops": flops}
