"""Networks of both spaces of TransNAS-Bench-101 (Duan et al., CVPR 2021), as a backbone with a linear classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from .. import transnasbench101
from ..architectures import Architecture
from ..skeleton import Skeleton, round_channels
from .blocks import BasicResidual, classifier
from .edge_cells import EdgeCell
from .layers import Layers
from .operations import relu_conv_norm

if TYPE_CHECKING:
    from ..transnasbench101 import TransNASBench101MacroSpace

CELLS = 2
"""Cells or blocks per module."""

_STEM_HALVINGS = 2


def micro_network(architecture: Architecture, skeleton: Skeleton, layers: Layers) -> nn.Module:
    """Return five modules of cells, every other of which doubles the channels and halves the resolution."""
    skeleton.refuse(architecture.space.name, "stages")
    kinds = [int(module) - 1 for module in transnasbench101.MICRO_MODULES]
    _check_halvings(kinds, skeleton)
    body, before = _stem(skeleton, layers)
    for kind in kinds:
        channels, stride = _shape(kind, before)
        for cell in range(_cells(skeleton)):
            body.append(EdgeCell(architecture, channels, layers, inputs=before, stride=1 if cell else stride))
            before = channels
    return nn.Sequential(*body, *classifier(layers, before, skeleton.outputs))


def macro_network(architecture: Architecture, skeleton: Skeleton, layers: Layers) -> nn.Module:
    """Return the modules that the architecture names, of residual blocks."""
    skeleton.refuse(architecture.space.name, "stages")
    space: TransNASBench101MacroSpace = architecture.space  # type: ignore[assignment]
    kinds = [kind for kind in space.module_kinds(architecture.batch().genotypes)[0].tolist() if kind >= 0]
    _check_halvings(kinds, skeleton)
    body, before = _stem(skeleton, layers)
    for kind in kinds:
        channels, stride = _shape(kind, before)
        for block in range(_cells(skeleton)):
            body.append(BasicResidual(layers, before, channels, 1 if block else stride))
            before = channels
    return nn.Sequential(*body, *classifier(layers, before, skeleton.outputs))


def _check_halvings(kinds: list[int], skeleton: Skeleton) -> None:
    skeleton.check_halvings(_STEM_HALVINGS + sum(bool(transnasbench101.HALVES[kind]) for kind in kinds))


def _stem(skeleton: Skeleton, layers: Layers) -> tuple[list[nn.Module], int]:
    """Return two strided convolutions, and the channels that leave them."""
    scale = skeleton.scaled(transnasbench101.BASE_CHANNELS)
    half, whole = (round_channels(transnasbench101.BASE_CHANNELS * scale * share) for share in (0.5, 1))
    first: list[nn.Module] = [layers.conv(skeleton.inputs[0], half, 3, stride=2), layers.norm(half)]
    return [*first, relu_conv_norm(layers, half, whole, 3, stride=2)], whole


def _shape(kind: int, channels: int) -> tuple[int, int]:
    """Return the channels and the stride of a module that gets so many channels."""
    return channels * (1 + int(transnasbench101.DOUBLES[kind])), 1 + int(transnasbench101.HALVES[kind])


def _cells(skeleton: Skeleton) -> int:
    return CELLS if skeleton.cells is None else skeleton.cells
