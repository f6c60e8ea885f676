"""A graph network from arrays of graphs to an embedding of each."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .gin import IsomorphismBody
from .stacked import StackedLinear, normalised
from .transformer import TransformerBody

BODIES: Mapping[str, type[IsomorphismBody] | type[TransformerBody]] = {
    "gin": IsomorphismBody,
    "transformer": TransformerBody,
}


class GraphNetwork(nn.Module):
    """Embeds graphs, in each member: a body gives each node a state, which sum and maximum over the nodes pool.

    Parameters
    ----------
    kind : {"gin", "transformer"}
    members : int
    inputs : int
        Columns that describe a node.
    width : int
        Of the states and of the embedding; a multiple of 4.
    depth : int
        Rounds of message passing or attention.
    generator : torch.Generator
        Draws the weights.
    """

    def __init__(
        self, kind: str, members: int, inputs: int, width: int, depth: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.body = BODIES[kind](members, inputs, width, depth, generator)
        self.embed = StackedLinear(members, 2 * width, width, generator)

    def nodes(self, nodes: Tensor, edges: Tensor, mask: Tensor) -> Tensor:
        """Return the state of each node, `(members, n, v, width)`."""
        state: Tensor = self.body(nodes, edges, mask[..., None])
        return state

    def pool(self, state: Tensor, mask: Tensor) -> Tensor:
        """Return the embedding of graphs, `(members, n, width)`, from the states of their nodes."""
        used = mask[..., None]
        highest = (state + (used - 1) * 1e4).amax(dim=-2) * used.amax(dim=-2)
        total = state.sum(dim=-2) / state.shape[-2] ** 0.5
        embedding: Tensor = self.embed(torch.cat([total, highest], dim=-1))
        return normalised(embedding)

    def forward(self, nodes: Tensor, edges: Tensor, mask: Tensor) -> Tensor:
        """Return the embedding of graphs, `(members, n, width)`.

        Parameters
        ----------
        nodes, edges, mask : tensors `(members, n, v, k)`, `(members, n, v, v)`, `(members, n, v)`
            See `GraphArrays`; each member may see other graphs.
        """
        return self.pool(self.nodes(nodes, edges, mask), mask)
