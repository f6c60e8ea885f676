"""MnasNet-like chains of inverted residual blocks: the space of Accel-NASBench (Ahmad et al., DAC 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .base import ArchitecturesLike
from .chain import ChainSpace
from .cost import NetworkCost

BLOCKS = 7
EXPANSIONS = (1, 4, 6)
KERNELS = (3, 5)
LAYERS = ((1, 2, 3), (1, 2, 3), (1, 2, 3), (1, 2, 3), (1, 2, 3), (1, 2, 3, 4), (1, 2, 3))

STEM_CHANNELS = 32
CHANNELS = (16, 24, 40, 80, 112, 192, 320)
STRIDES = (1, 2, 2, 2, 1, 2, 1)
HEAD_CHANNELS = 1280
CLASSES = 1000
RESOLUTION = 224

_NORM_MACS = 4.0
"""What the published counts charge per output of a batch normalisation."""


class MnasNetChainSpace(ChainSpace):
    """Seven blocks with expansion `e`, kernel `k`, layers `l` and squeeze-excite `se`: 104,485,552,128 networks.

    The native notation is the published one: a mapping or JSON object with the keys `block0_e`, `block0_k`,
    `block0_l`, `block0_se`, `block1_e` ... The sixth block has up to four layers, all others up to three.

    Examples
    --------
    >>> MnasNetChainSpace().size
    104485552128
    """

    network = ".spaces.networks.mobile:mnasnet_chain_network"

    feature_labels: ClassVar[Mapping[str, str]] = {
        "e": "expansion",
        "k": "kernel",
        "l": "layers",
        "se": "squeeze_excite",
    }

    def __init__(self) -> None:
        blocks = [{"e": EXPANSIONS, "k": KERNELS, "l": layers, "se": (False, True)} for layers in LAYERS]
        super().__init__(blocks, name="mnasnet_chain")

    def complexity(self, architectures: ArchitecturesLike) -> dict[str, NDArray[np.float64]]:
        """Return parameters and multiply-accumulates of the published ImageNet network at 224 pixels.

        Both equal the published `params` and `macs` of every one of the 5,138 networks. Those count, besides
        convolutions and linear layers, 4 operations per output of a batch normalisation and one per input and
        output of an average pooling.
        """
        genotypes = self.architectures(architectures).genotypes
        cost = NetworkCost(len(genotypes), norm_macs=_NORM_MACS)
        resolution = RESOLUTION // 2
        cost.conv(3, STEM_CHANNELS, 3, resolution)
        before = STEM_CHANNELS
        for block, (channels, stride) in enumerate(zip(CHANNELS, STRIDES, strict=True)):
            columns = range(4 * block, 4 * block + 4)
            expansion, kernel, layers, excite = (
                np.array(self.genes[column].choices, dtype=np.float64)[genotypes[:, column]] for column in columns
            )
            after = resolution // stride
            cost.inverted_residual(before, channels, expansion, kernel, resolution, stride=stride)
            cost.inverted_residual(channels, channels, expansion, kernel, after, when=layers - 1)
            _add_squeeze_excite(cost, before, expansion, after, excite)
            _add_squeeze_excite(cost, channels, expansion, after, excite * (layers - 1))
            before, resolution = channels, after
        cost.conv(before, HEAD_CHANNELS, 1, resolution)
        cost.macs += HEAD_CHANNELS * (resolution**2 + 1)
        cost.linear(HEAD_CHANNELS, CLASSES)
        return cost.as_dict()


def _add_squeeze_excite(
    cost: NetworkCost, inputs: int, expansion: NDArray[Any], resolution: int, when: NDArray[Any]
) -> None:
    """Add a pooling and two linear layers with bias around a quarter of the block's input channels."""
    hidden, squeezed = inputs * expansion, inputs // 4
    cost.params += when * (2 * squeezed * hidden + squeezed + hidden)
    cost.macs += when * (2 * squeezed * hidden + hidden * (resolution**2 + 1))
