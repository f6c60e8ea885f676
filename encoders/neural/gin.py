"""Message passing forwards and backwards along the edges of directed acyclic graphs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .stacked import StackedLinear, normalised


class IsomorphismBody(nn.Module):
    """A graph isomorphism network in both directions, in each member.

    In every round a node adds up what its predecessors hold and, apart from that, what its successors hold, and puts
    both and its own state through a network of two layers:
    `h_j <- norm(h_j + W2 relu(W1 [h_j, sum_{i->j} h_i, sum_{j->k} h_k]))`.

    References
    ----------
    Xu, Hu, Leskovec and Jegelka, "How powerful are graph neural networks?", ICLR 2019. Both directions: Wen et al.,
    "Neural predictor for neural architecture search", ECCV 2020.
    """

    def __init__(self, members: int, inputs: int, width: int, depth: int, generator: torch.Generator) -> None:
        super().__init__()
        self.first = StackedLinear(members, inputs, width, generator)
        self.wide = nn.ModuleList(StackedLinear(members, 3 * width, width, generator) for _ in range(depth))
        self.narrow = nn.ModuleList(StackedLinear(members, width, width, generator) for _ in range(depth))

    def forward(self, nodes: Tensor, edges: Tensor, mask: Tensor) -> Tensor:
        """Return the state of each node, `(members, n, v, width)`, 0 where a slot is not used."""
        v = nodes.shape[-2]
        both = torch.cat([edges.transpose(-1, -2), edges], dim=-2)
        state: Tensor = self.first(nodes).relu() * mask
        for wide, narrow in zip(self.wide, self.narrow, strict=True):
            around = both @ state
            joint = torch.cat([state, around[..., :v, :], around[..., v:, :]], dim=-1)
            state = normalised(state + narrow(wide(joint).relu())) * mask
        return state
