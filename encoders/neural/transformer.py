"""Attention along the paths of directed acyclic graphs."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .stacked import StackedLinear, normalised

HEADS = 4
_RELATIONS = 5
_NEVER = -1e4


class TransformerBody(nn.Module):
    """A transformer whose nodes see only what lies on a path with them, in each member.

    A node attends to itself, its ancestors and its descendants. Each head learns how much it looks at each of the five
    relations (itself, parent, child, further ancestor, further descendant), and the depth of a node is part of what
    is known of it, in place of a position.

    References
    ----------
    Luo, Thost and Shi, "Transformers over directed acyclic graphs", NeurIPS 2023. Transformers as predictors of
    architectures: Lu, Li, Tan, Yang and Liu, "TNASP", NeurIPS 2021; Lu et al., "PINAT", AAAI 2023.
    """

    def __init__(self, members: int, inputs: int, width: int, depth: int, generator: torch.Generator) -> None:
        super().__init__()
        self.first = StackedLinear(members, inputs, width, generator)
        self.attend = nn.ModuleList(StackedLinear(members, width, 3 * width, generator) for _ in range(depth))
        self.mix = nn.ModuleList(StackedLinear(members, width, width, generator) for _ in range(depth))
        self.wide = nn.ModuleList(StackedLinear(members, width, 2 * width, generator) for _ in range(depth))
        self.narrow = nn.ModuleList(StackedLinear(members, 2 * width, width, generator) for _ in range(depth))
        self.relation = nn.Parameter(torch.zeros(members, _RELATIONS, depth * HEADS))

    def forward(self, nodes: Tensor, edges: Tensor, mask: Tensor) -> Tensor:
        """Return the state of each node, `(members, n, v, width)`, 0 where a slot is not used."""
        members, n, v, _ = nodes.shape
        relations = _relations(edges)
        seen = relations.reshape(members, -1, _RELATIONS) @ self.relation
        biases = seen.view(members, n, v, v, -1, HEADS).permute(4, 0, 1, 5, 2, 3)
        closed = (relations.sum(dim=-1) - 1).mul(-_NEVER)[:, :, None]
        state = self.first(nodes)
        for bias, attend, mix, wide, narrow in zip(biases, self.attend, self.mix, self.wide, self.narrow, strict=True):
            parts = attend(normalised(state)).view(members, n, v, 3, HEADS, -1).permute(3, 0, 1, 4, 2, 5)
            query, key, value = parts.unbind(0)
            scores = query @ key.transpose(-1, -2) / math.sqrt(key.shape[-1])
            taken = torch.softmax(scores + bias + closed, dim=-1) @ value
            state = state + mix(taken.transpose(2, 3).reshape(members, n, v, -1))
            state = state + narrow(wide(normalised(state)).relu())
        return normalised(state) * mask


def _relations(edges: Tensor) -> Tensor:
    """Return what the second node is to the first, one-hot `(members, n, v, v, 5)`; all 0 if no path has both."""
    reach = edges
    for _ in range(max(1, math.ceil(math.log2(edges.shape[-1])))):
        reach = (reach + reach @ reach).clamp(max=1.0)
    child, descendant = edges, reach - edges
    itself = torch.eye(edges.shape[-1], dtype=edges.dtype, device=edges.device).expand_as(edges)
    return torch.stack([itself, child.mT, child, descendant.mT, descendant], dim=-1)
