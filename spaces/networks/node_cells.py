"""Networks of cells with operations on nodes: NAS-Bench-101 and its relatives (Ying et al., ICML 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...errors import InvalidDataError
from ..architectures import Architecture
from ..node_cell import inner_channels
from ..skeleton import Skeleton
from .layers import Layers
from .operations import conv_norm_relu, operation_module

CHANNELS, STAGES, CELLS = 128, 3, 3


class NodeCell(nn.Module):
    """One cell: nodes compute on the sum of their inputs; those that feed the output are concatenated.

    Edges from the input are 1x1 convolutions, that to the output is added to the concatenation. Nodes that the output
    does not depend on are left out. Where a node has a channel more than the one it feeds, the last is dropped.
    """

    def __init__(self, architecture: Architecture, inputs: int, outputs: int, layers: Layers) -> None:
        super().__init__()
        graph = architecture.space.to_graphs(architecture.batch()).prune()
        edges = graph.adjacency[0]
        last = len(edges) - 1
        words = [graph.schema.vocabulary[word] for word in graph.operations[0].tolist()]
        widths = [inputs, *inner_channels(graph.adjacency, outputs)[0].tolist(), outputs]
        self.sources: list[tuple[int, list[int], int]] = []  # node, nodes it reads from but for the input, channels
        self.projections = nn.ModuleDict()
        self.nodes = nn.ModuleDict()
        for node in range(1, last + 1):
            if not graph.mask[0, node]:
                continue
            if edges[0, node]:
                self.projections[f"{node}"] = conv_norm_relu(layers, inputs, widths[node], 1)
            if node < last:
                before = [source for source in range(1, node) if edges[source, node]]
                self.sources.append((node, before, widths[node]))
                self.nodes[f"{node}"] = operation_module(words[node], layers, widths[node], widths[node])
        self.feeding = [node for node in range(1, last) if edges[node, last]]
        self.skip = f"{last}" if edges[0, last] else None

    def forward(self, features: Tensor) -> Tensor:
        """Map features to features of the same resolution."""
        values: dict[int, Tensor] = {}
        for node, sources, width in self.sources:
            terms = [values[source].narrow(1, 0, width) for source in sources]
            if f"{node}" in self.projections:
                terms.append(self.projections[f"{node}"](features))
            values[node] = self.nodes[f"{node}"](_sum(terms))
        ends = [values[node] for node in self.feeding]
        parts = [ends[0] if len(ends) == 1 else torch.cat(ends, dim=1)] if ends else []
        if self.skip is not None:
            parts.append(self.projections[self.skip](features))
        return _sum(parts)


def _sum(terms: list[Tensor]) -> Tensor:
    result = terms[0]
    for term in terms[1:]:
        result = result + term
    return result


def node_cell_network(architecture: Architecture, skeleton: Skeleton, layers: Layers) -> nn.Module:
    """Return stages of equal cells, with max-pooling between them, and a linear classifier."""
    shape = skeleton.with_defaults(CHANNELS, STAGES, CELLS)
    assert shape.channels is not None and shape.stages is not None and shape.cells is not None
    shape.check_halvings(shape.stages - 1)
    pruned = architecture.space.to_graphs(architecture.batch()).prune()
    feeding = int(pruned.adjacency[0, 1:-1, -1].sum())
    if shape.channels < feeding:
        raise InvalidDataError(
            f"the output of {architecture} has {feeding} inputs that share its channels, "
            f"so the skeleton needs at least {feeding} channels, got {shape.channels}"
        )
    channels = shape.channels
    body: list[nn.Module] = [conv_norm_relu(layers, shape.inputs[0], channels, 3)]
    before = channels
    for stage in range(shape.stages):
        if stage:
            body.append(layers.max_pool(2, stride=2))
            channels *= 2
        for _ in range(shape.cells):
            body.append(NodeCell(architecture, before, channels, layers))
            before = channels
    return nn.Sequential(*body, layers.global_pool(), layers.linear(channels, shape.outputs), layers.to_outputs())
