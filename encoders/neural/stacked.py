"""Layers of several networks at once: parameters carry a leading axis of members, and members never mix.

An ensemble of small networks then costs a few large batched matrix products instead of many tiny ones.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class StackedLinear(nn.Module):
    """A fully connected layer in each member, `(members, ..., inputs)` to `(members, ..., outputs)`.

    Parameters
    ----------
    members, inputs, outputs : int
    generator : torch.Generator
        Draws the weights: normal, with variance `1 / inputs`.
    """

    def __init__(self, members: int, inputs: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        drawn = torch.randn(members, inputs, outputs, generator=generator)
        self.weight = nn.Parameter(drawn / math.sqrt(max(inputs, 1)))
        self.bias = nn.Parameter(torch.zeros(members, 1, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer of each member to its own input."""
        flat = x.reshape(len(self.weight), -1, x.shape[-1])
        return torch.baddbmm(self.bias, flat, self.weight).view(*x.shape[:-1], -1)


def normalised(x: Tensor) -> Tensor:
    """Return `x` with mean 0 and variance 1 along its last axis (Ba, Kiros and Hinton, 2016); the next layer scales."""
    return functional.layer_norm(x, x.shape[-1:])
