"""Networks of DARTS cells (Liu et al., ICLR 2019), which are also those of NAS-Bench-301 (Zela et al., ICLR 2022)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..architectures import Architecture
from ..darts_graph import CELL_INPUTS, CELLS, NODES, OPERATIONS
from ..operations import as_operation
from ..skeleton import Skeleton
from .layers import Layers
from .operations import FactorizedReduction, operation_module, relu_conv_norm

if TYPE_CHECKING:
    from ..darts import DARTSSpace

STAGES = 3
DEFAULTS = {"darts": (36, 6), "nasbench301": (32, 2)}
"""Channels, and normal cells per stage: 20 cells with the reductions between stages, and 8."""

STEM_MULTIPLIER = 3


class DARTSCell(nn.Module):
    """One cell on the outputs of the two cells before it.

    Parameters
    ----------
    architecture : Architecture
    inputs : (int, int)
        Channels of the cell before the previous one, and of the previous one.
    channels : int
        Of each intermediate node; the output has four times as many.
    layers : Layers
    reduces : bool
        Whether this is the reduction cell.
    after_reduction : bool
        Whether the previous cell reduced, so that the first input has twice the resolution of the second.
    """

    def __init__(
        self,
        architecture: Architecture,
        inputs: tuple[int, int],
        channels: int,
        layers: Layers,
        *,
        reduces: bool,
        after_reduction: bool,
    ) -> None:
        super().__init__()
        if after_reduction:
            self.first: nn.Module = FactorizedReduction(layers, inputs[0], channels)
        else:
            self.first = relu_conv_norm(layers, inputs[0], channels, 1)
        self.second = relu_conv_norm(layers, inputs[1], channels, 1)
        space: DARTSSpace = architecture.space  # type: ignore[assignment]
        sources, operations = space.sources_and_operations(architecture.batch().genotypes)
        kind = CELLS.index("reduce" if reduces else "normal")
        self.sources: list[list[int]] = sources[0, kind].tolist()
        self.operations = nn.ModuleList()
        for node in range(NODES):
            for source, word in zip(self.sources[node], operations[0, kind, node].tolist(), strict=True):
                stride = 2 if reduces and source < CELL_INPUTS else 1
                operation = as_operation(OPERATIONS[word])
                self.operations.append(operation_module(operation, layers, channels, channels, stride))

    def forward(self, before: Tensor, previous: Tensor) -> Tensor:
        """Return the concatenated intermediate nodes."""
        states = [self.first(before), self.second(previous)]
        operations = iter(self.operations)
        for low, high in self.sources:
            states.append(next(operations)(states[low]) + next(operations)(states[high]))
        return torch.cat(states[CELL_INPUTS:], dim=1)


class _DARTSNetwork(nn.Module):
    def __init__(self, architecture: Architecture, shape: Skeleton, layers: Layers) -> None:
        super().__init__()
        assert shape.channels is not None and shape.stages is not None and shape.cells is not None
        channels = shape.channels
        stem = STEM_MULTIPLIER * channels
        self.stem = nn.Sequential(layers.conv(shape.inputs[0], stem, 3), layers.norm(stem))
        self.cells = nn.ModuleList()
        inputs = (stem, stem)
        plan = [stage > 0 and cell == 0 for stage in range(shape.stages) for cell in range(shape.cells + (stage > 0))]
        for reduces, after_reduction in zip(plan, [False, *plan], strict=False):
            channels *= 2 if reduces else 1
            cell = DARTSCell(architecture, inputs, channels, layers, reduces=reduces, after_reduction=after_reduction)
            self.cells.append(cell)
            inputs = (inputs[1], NODES * channels)
        self.head = nn.Sequential(layers.global_pool(), layers.linear(inputs[1], shape.outputs), layers.to_outputs())

    def forward(self, inputs: Tensor) -> Tensor:
        before = previous = self.stem(inputs)
        for cell in self.cells:
            before, previous = previous, cell(before, previous)
        outputs: Tensor = self.head(previous)
        return outputs


def darts_network(architecture: Architecture, skeleton: Skeleton, layers: Layers) -> nn.Module:
    """Return stages of normal cells with a reduction cell before each but the first, and a linear classifier.

    There is neither an auxiliary classifier nor drop-path: both are parts of a training.
    """
    channels, cells = DEFAULTS.get(architecture.space.name, DEFAULTS["darts"])
    shape = skeleton.with_defaults(channels, STAGES, cells)
    assert shape.stages is not None
    shape.check_halvings(shape.stages - 1)
    return _DARTSNetwork(architecture, shape, layers)
