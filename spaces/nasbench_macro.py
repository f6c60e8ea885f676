"""NAS-Bench-Macro: eight layers with one of three blocks each (Su et al., CVPR 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidArchitectureError
from .base import ArchitecturesLike
from .chain import OPERATION, ChainSpace
from .cost import NetworkCost
from .operations import Operation

STAGES = (2, 3, 3)
LAYERS = sum(STAGES)
STEM_CHANNELS = 32
HEAD_CHANNELS = 1280
CLASSES = 10
RESOLUTION = 32

_KERNELS = (1, 3, 5)
_EXPANSIONS = (1, 3, 6)
_BLOCKS = (
    Operation("mbconv_k3_e3", traits={"conv": 1.0, "separable": 1.0, "kernel": 3.0, "expansion": 3.0}),
    Operation("mbconv_k5_e6", traits={"conv": 1.0, "separable": 1.0, "kernel": 5.0, "expansion": 6.0}),
)
_IDENTITY = Operation("identity", "identity")
_DOWNSAMPLE = Operation("downsample", traits={"conv": 1.0, "kernel": 1.0})
_STARTS = tuple(sum(STAGES[:stage]) for stage in range(len(STAGES)))


class NASBenchMacroSpace(ChainSpace):
    """Eight layers in three stages: 6,561 networks, 3,969 of them distinct.

    The native notation is a string of eight digits: 0 identity, 1 MBConv with kernel 3 and expansion 3, 2 MBConv
    with kernel 5 and expansion 6. The first layer of each stage (layers 1, 3 and 6) doubles the channels and halves
    the resolution; there the identity is a strided 1x1 convolution. Elsewhere it does nothing, so where in its stage
    it stands does not count in the canonical form.

    Examples
    --------
    >>> space = NASBenchMacroSpace()
    >>> space.size, len(np.unique(space.canonical(["00100100", "00010100", "00000110"])))
    (6561, 3)
    >>> len(np.unique(space.canonical(["00010100", "00001100"])))
    1
    """

    network = ".spaces.networks.mobile:nasbench_macro_network"

    block_constants: ClassVar[Mapping[str, Sequence[float]]] = {
        "channels": [STEM_CHANNELS * 2.0 ** (stage + 1) for stage, layers in enumerate(STAGES) for _ in range(layers)]
    }

    def __init__(self) -> None:
        blocks = [{OPERATION: (_DOWNSAMPLE if layer in _STARTS else _IDENTITY, *_BLOCKS)} for layer in range(LAYERS)]
        super().__init__(blocks, name="nasbench_macro")

    def _parse_text(self, text: str) -> Sequence[int]:
        if text.startswith("{"):
            return super()._parse_text(text)
        if len(text) != LAYERS:
            raise InvalidArchitectureError(f"expected {LAYERS} digits, got {len(text)} characters")
        for layer, digit in enumerate(text, start=1):
            if digit not in ("0", "1", "2"):
                raise InvalidArchitectureError(f"layer {layer} must be 0, 1 or 2, got {digit!r}")
        return [int(digit) for digit in text]

    def _format_row(self, genotype: Sequence[int]) -> str:
        return "".join(map(str, genotype))

    def _without_dead_genes(self, genotypes: NDArray[np.int16]) -> NDArray[np.int64]:
        """Return the rows with the identities of each stage moved to its end."""
        rows = genotypes.astype(np.int64)
        for start, layers in zip(_STARTS, STAGES, strict=True):
            rest = rows[:, start + 1 : start + layers]
            order = np.argsort(rest == 0, axis=1, kind="stable")
            rows[:, start + 1 : start + layers] = np.take_along_axis(rest, order, axis=1)
        return rows

    def complexity(self, architectures: ArchitecturesLike) -> dict[str, NDArray[np.float64]]:
        """Return the exact parameters and multiply-accumulates of the published CIFAR-10 network."""
        genotypes = self.architectures(architectures).genotypes
        kernel, expansion = np.array(_KERNELS)[genotypes], np.array(_EXPANSIONS)[genotypes]
        cost = NetworkCost(len(genotypes))
        cost.conv(3, STEM_CHANNELS, 3, RESOLUTION)
        channels, resolution = STEM_CHANNELS, RESOLUTION
        for layer in range(LAYERS):
            works = genotypes[:, layer] > 0
            starts = layer in _STARTS
            before, channels = channels, 2 * channels if starts else channels
            stride = 2 if starts else 1
            cost.inverted_residual(
                before, channels, expansion[:, layer], kernel[:, layer], resolution, stride=stride, when=works
            )
            resolution //= stride
            if starts:
                cost.conv(before, channels, 1, resolution, when=~works)
        cost.conv(channels, HEAD_CHANNELS, 1, resolution)
        cost.linear(HEAD_CHANNELS, CLASSES)
        return cost.as_dict()
