"""Networks of cells with operations on edges: NAS-Bench-201 and its relatives (Dong and Yang, ICLR 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from ..architectures import Architecture
from ..skeleton import Skeleton
from .layers import Layers
from .operations import Zero, operation_module

if TYPE_CHECKING:
    from ..cell import EdgeCellSpace

CHANNELS, STAGES, CELLS = 16, 3, 5


class EdgeCell(nn.Module):
    """One cell: every node is the sum of what the operations on its incoming edges make of earlier nodes.

    All operations of the architecture are there, so that parameters count as published; edges that the output does not
    depend on are not computed. An output that depends on nothing is zero.

    Parameters
    ----------
    architecture : Architecture
    channels : int
        Of the output.
    layers : Layers
    inputs : int, optional
        Channels of the input, by default those of the output. Edges from the input change them.
    stride : int
        Of the edges from the input.
    """

    def __init__(
        self, architecture: Architecture, channels: int, layers: Layers, *, inputs: int | None = None, stride: int = 1
    ) -> None:
        super().__init__()
        space: EdgeCellSpace = architecture.space  # type: ignore[assignment]
        self.nodes = space.nodes
        alive = space.to_graphs(architecture.batch()).prune().mask[0, 1:-1]
        self.live: list[tuple[int, int, str]] = []
        self.edges = nn.ModuleDict()
        self.operations: dict[str, str] = {}
        for (source, target), gene, lives in zip(space.edges, architecture.genotype, alive.tolist(), strict=True):
            operation = space.operations[gene]
            if operation.role == "zero":
                continue
            name = f"{source}->{target}"
            entered = channels if source or inputs is None else inputs
            self.edges[name] = operation_module(operation, layers, entered, channels, 1 if source else stride)
            self.operations[name] = operation.name
            if lives:
                self.live.append((source, target, name))
        self.nothing = Zero(layers, channels, stride)

    def forward(self, features: Tensor) -> Tensor:
        """Map features to features, of the same shape unless the cell was told to change it."""
        nodes: list[Tensor | None] = [features] + [None] * (self.nodes - 1)
        for source, target, name in self.live:
            value = nodes[source]
            assert value is not None  # edges are in order of their targets, and live ones start at live nodes
            result: Tensor = self.edges[name](value)
            current = nodes[target]
            nodes[target] = result if current is None else current + result
        output = nodes[-1]
        return self.nothing(features) if output is None else output


class ResidualReduction(nn.Module):
    """A residual block that halves the resolution, between two stages."""

    def __init__(self, inputs: int, outputs: int, layers: Layers) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.ReLU(), layers.conv(inputs, outputs, 3, stride=2), layers.norm(outputs))
        self.second = nn.Sequential(nn.ReLU(), layers.conv(outputs, outputs, 3), layers.norm(outputs))
        self.shortcut = nn.Sequential(layers.avg_pool(2, stride=2), layers.conv(inputs, outputs, 1))

    def forward(self, features: Tensor) -> Tensor:
        """Reduce features to half the resolution, rounded up."""
        result: Tensor = self.shortcut(features) + self.second(self.first(features))
        return result


def edge_cell_network(architecture: Architecture, skeleton: Skeleton, layers: Layers) -> nn.Module:
    """Return stages of equal cells between a convolution and a linear classifier."""
    shape = skeleton.with_defaults(CHANNELS, STAGES, CELLS)
    assert shape.channels is not None and shape.stages is not None and shape.cells is not None
    shape.check_halvings(shape.stages - 1)
    channels = shape.channels
    body: list[nn.Module] = [layers.conv(shape.inputs[0], channels, 3), layers.norm(channels)]
    for stage in range(shape.stages):
        if stage:
            body.append(ResidualReduction(channels, 2 * channels, layers))
            channels *= 2
        body += [EdgeCell(architecture, channels, layers) for _ in range(shape.cells)]
    body += [layers.norm(channels), nn.ReLU(), layers.global_pool(), layers.linear(channels, shape.outputs)]
    return nn.Sequential(*body, layers.to_outputs())
