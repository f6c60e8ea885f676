"""Networks of inverted residual blocks: NAS-Bench-Macro and Accel-NASBench."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from .. import mnasnet_chain, nasbench_macro
from ..architectures import Architecture
from ..skeleton import Skeleton, round_channels
from .blocks import InvertedResidual, classifier
from .layers import Layers
from .operations import conv_norm_relu

if TYPE_CHECKING:
    from ..chain import ChainSpace

_MACRO_BLOCKS = {1: (3, 3), 2: (6, 5)}
"""Expansion and kernel of the blocks with these digits."""


def nasbench_macro_network(architecture: Architecture, skeleton: Skeleton, layers: Layers) -> nn.Module:
    """Return three stages of 2, 3 and 3 blocks, the first of each with stride 2 and twice the channels."""
    skeleton.refuse(architecture.space.name, "stages", "cells")
    skeleton.check_halvings(len(nasbench_macro.STAGES))
    scale = skeleton.scaled(nasbench_macro.STEM_CHANNELS)
    channels = round_channels(nasbench_macro.STEM_CHANNELS * scale)
    body: list[nn.Module] = [conv_norm_relu(layers, skeleton.inputs[0], channels, 3)]
    digits = iter(architecture.genotype)
    for count in nasbench_macro.STAGES:
        for layer in range(count):
            before, digit, stride = channels, next(digits), 2 if layer == 0 else 1
            channels = before * stride
            if digit:
                expansion, kernel = _MACRO_BLOCKS[digit]
                body.append(
                    InvertedResidual(layers, before, channels, expansion=expansion, kernel=kernel, stride=stride)
                )
            elif stride == 2:
                body.append(nn.Sequential(layers.conv(before, channels, 1, stride=2), layers.norm(channels)))
    head = round_channels(nasbench_macro.HEAD_CHANNELS * scale)
    body.append(conv_norm_relu(layers, channels, head, 1))
    return nn.Sequential(*body, *classifier(layers, head, skeleton.outputs))


def mnasnet_chain_network(architecture: Architecture, skeleton: Skeleton, layers: Layers) -> nn.Module:
    """Return seven blocks of one to four layers each, between a strided convolution and one with 1,280 channels."""
    skeleton.refuse(architecture.space.name, "stages", "cells")
    skeleton.check_halvings(1 + sum(stride == 2 for stride in mnasnet_chain.STRIDES))
    scale = skeleton.scaled(mnasnet_chain.STEM_CHANNELS)
    before = round_channels(mnasnet_chain.STEM_CHANNELS * scale)
    body: list[nn.Module] = [conv_norm_relu(layers, skeleton.inputs[0], before, 3, stride=2)]
    space: ChainSpace = architecture.space  # type: ignore[assignment]
    blocks = space.block_choices(architecture.genotype)
    for block, width, first_stride in zip(blocks, mnasnet_chain.CHANNELS, mnasnet_chain.STRIDES, strict=True):
        channels = round_channels(width * scale)
        for layer in range(int(block["l"])):
            body.append(
                InvertedResidual(
                    layers,
                    before,
                    channels,
                    expansion=float(block["e"]),
                    kernel=int(block["k"]),
                    stride=first_stride if layer == 0 else 1,
                    excite=bool(block["se"]),
                )
            )
            before = channels
    head = round_channels(mnasnet_chain.HEAD_CHANNELS * scale)
    body.append(conv_norm_relu(layers, before, head, 1))
    return nn.Sequential(*body, *classifier(layers, head, skeleton.outputs))
