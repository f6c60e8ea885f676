"""Networks of NATS-Bench's size space (Dong et al., TPAMI 2021): one cell, channels by layer."""

from __future__ import annotations

from torch import nn

from .. import nats_size
from ..architectures import Architecture
from ..nasbench201 import NASBench201Space
from ..skeleton import Skeleton, round_channels
from .blocks import classifier
from .edge_cells import EdgeCell, ResidualReduction
from .layers import Layers


def nats_size_network(architecture: Architecture, skeleton: Skeleton, layers: Layers) -> nn.Module:
    """Return three cells with residual reductions between them; `channels` of the skeleton is the largest choice."""
    skeleton.refuse(architecture.space.name, "stages", "cells")
    skeleton.check_halvings(sum(nats_size.REDUCTIONS))
    scale = skeleton.scaled(max(nats_size.CHANNELS))
    widths = [round_channels(nats_size.CHANNELS[gene] * scale) for gene in architecture.genotype]
    cell = NASBench201Space().parse(nats_size.CELL)[0]
    before = widths[0]
    body: list[nn.Module] = [layers.conv(skeleton.inputs[0], before, 3), layers.norm(before)]
    for width, reduces in zip(widths, nats_size.REDUCTIONS, strict=True):
        if reduces:
            body.append(ResidualReduction(before, width, layers))
        else:
            body.append(EdgeCell(cell, width, layers, inputs=before))
        before = width
    return nn.Sequential(*body, layers.norm(before), nn.ReLU(), *classifier(layers, before, skeleton.outputs))
