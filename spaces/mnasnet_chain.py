"""MnasNet-like chains of inverted residual blocks: the space of Accel-NASBench (Ahmad et al., DAC 2024)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from .chain import ChainSpace

BLOCKS = 7
EXPANSIONS = (1, 4, 6)
KERNELS = (3, 5)
LAYERS = ((1, 2, 3), (1, 2, 3), (1, 2, 3), (1, 2, 3), (1, 2, 3), (1, 2, 3, 4), (1, 2, 3))


class MnasNetChainSpace(ChainSpace):
    """Seven blocks with expansion `e`, kernel `k`, layers `l` and squeeze-excite `se`: 104,485,552,128 networks.

    The native notation is the published one: a mapping or JSON object with the keys `block0_e`, `block0_k`,
    `block0_l`, `block0_se`, `block1_e` ... The sixth block has up to four layers, all others up to three.

    Examples
    --------
    >>> MnasNetChainSpace().size
    104485552128
    """

    feature_labels: ClassVar[Mapping[str, str]] = {
        "e": "expansion",
        "k": "kernel",
        "l": "layers",
        "se": "squeeze_excite",
    }

    def __init__(self) -> None:
        blocks = [{"e": EXPANSIONS, "k": KERNELS, "l": layers, "se": (False, True)} for layers in LAYERS]
        super().__init__(blocks, name="mnasnet_chain")
