"""The size search space of NATS-Bench: channels per layer of a fixed cell network (Dong et al., TPAMI 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidArchitectureError
from .base import ArchitecturesLike
from .chain import ChainSpace
from .cost import NetworkCost

LAYERS = 5
CHANNELS = tuple(range(8, 65, 8))
CLASSES = 10
RESOLUTIONS = (32, 16, 16, 8, 8)
REDUCTIONS = (False, True, False, True, False)
CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"


class NATSSizeSpace(ChainSpace):
    """Five layers with 8, 16 ... 64 channels each: 32,768 networks.

    The native notation is `"8:16:24:64:40"`. Layers 1, 3 and 5 are NAS-Bench-201 cells, always
    `|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|`; layers 2 and
    4 are residual blocks that halve the resolution.

    Examples
    --------
    >>> NATSSizeSpace().parse("8:16:24:64:40").genotypes.tolist()
    [[0, 1, 2, 7, 4]]
    """

    network = ".spaces.networks.sizes:nats_size_network"

    def __init__(self) -> None:
        super().__init__({"channels": CHANNELS}, LAYERS, name="nats_size")

    def _parse_text(self, text: str) -> Sequence[int]:
        if text.startswith("{"):
            return super()._parse_text(text)
        parts = text.split(":")
        if len(parts) != LAYERS:
            raise InvalidArchitectureError(f"expected {LAYERS} channel counts joined by ':', got {len(parts)}")
        known = {str(channels): k for k, channels in enumerate(CHANNELS)}
        for layer, part in enumerate(parts, start=1):
            if part not in known:
                raise InvalidArchitectureError(f"layer {layer} must have {', '.join(known)} channels, got {part!r}")
        return [known[part] for part in parts]

    def _format_row(self, genotype: Sequence[int]) -> str:
        return ":".join(str(CHANNELS[value]) for value in genotype)

    def complexity(self, architectures: ArchitecturesLike) -> dict[str, NDArray[np.float64]]:
        """Return parameters and multiply-accumulates of the published CIFAR-10 network.

        The parameters are exact: 11,714 for `8:8:8:8:8`, 107,826 for `8:8:16:40:40`, 713,674 for `64:64:64:64:64`.
        """
        channels = np.array(CHANNELS)[self.architectures(architectures).genotypes].astype(np.float64)
        cost = NetworkCost(len(channels))
        cost.conv(3, channels[:, 0], 3, RESOLUTIONS[0])
        before = channels[:, 0]
        for layer, (resolution, reduces) in enumerate(zip(RESOLUTIONS, REDUCTIONS, strict=True)):
            after = channels[:, layer]
            if reduces:
                cost.conv(before, after, 3, resolution)
                cost.conv(after, after, 3, resolution)
                cost.params += before * after  # the shortcut: pooling and a 1x1 convolution without normalisation
                cost.macs += before * after * resolution**2
            else:
                cost.conv(before, after, 3, resolution, when=2)
                cost.conv(after, after, 3, resolution, when=3)
                cost.conv(before, after, 1, resolution, when=before != after)  # a skip between unequal widths
            before = after
        cost.norm(before, RESOLUTIONS[-1])
        cost.linear(before, CLASSES)
        return cost.as_dict()
