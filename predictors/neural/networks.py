"""Networks that forecast: feature vectors or graphs in, one number out, in each member of an ensemble."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...encoders.neural.network import GraphNetwork
from ...encoders.neural.stacked import StackedLinear


class VectorNetwork(nn.Module):
    """A perceptron with residual layers, beside a linear map of the same features; each member is one.

    Nothing is normalised on the way, so that small weights are a nearly linear function.

    Parameters
    ----------
    members, inputs, width, depth : int
    generator : torch.Generator
    """

    def __init__(self, members: int, inputs: int, width: int, depth: int, generator: torch.Generator) -> None:
        super().__init__()
        self.first = StackedLinear(members, inputs, width, generator)
        self.layers = nn.ModuleList(StackedLinear(members, width, width, generator) for _ in range(depth - 1))
        self.last = StackedLinear(members, width, 1, generator)
        self.linear = StackedLinear(members, inputs, 1, generator)

    def forward(self, features: Tensor) -> Tensor:
        """Return forecasts, `(members, n)`, from features `(members, n, inputs)`."""
        state = self.first(features).relu()
        for layer in self.layers:
            state = state + layer(state).relu()
        forecast: Tensor = (self.last(state) + self.linear(features))[..., 0]
        return forecast


class GraphRegressor(nn.Module):
    """A graph network, `trunk`, whose embedding a perceptron reads together with features of the whole architecture.

    Parameters
    ----------
    trunk : GraphNetwork
    members, embedding, features, width : int
    generator : torch.Generator
    """

    def __init__(
        self, trunk: GraphNetwork, members: int, embedding: int, features: int, width: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = VectorNetwork(members, embedding + features, width, 1, generator)

    def forward(self, nodes: Tensor, edges: Tensor, mask: Tensor, features: Tensor) -> Tensor:
        """Return forecasts, `(members, n)`."""
        embedding = self.trunk(nodes, edges, mask)
        forecast: Tensor = self.head(torch.cat([embedding, features], dim=-1))
        return forecast
