"""Growing a tensor of weights: more channels (Chen et al., Net2Net, ICLR 2016) and larger kernels, outputs unchanged.

A channel becomes several equal ones, in place: of `C` channels grown to `D`, the new channel `j` is the old channel
`floor(j C / D)`. The rule depends on the two numbers alone, so that features which are added stay aligned, and where
`D` is a multiple of `C` so do features that are concatenated. What reads a channel reads all its copies, with weights
that add up to the old one. They are divided unevenly, else copies would get equal gradients and stay equal for ever.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def can_grow(old: Sequence[int], new: Sequence[int]) -> bool:
    """Say whether weights of one shape can become weights of another: no axis shrinks, kernels stay centred."""
    return (
        len(old) == len(new)
        and all(a <= b for a, b in zip(old, new, strict=True))
        and all((b - a) % 2 == 0 for a, b in zip(old[2:], new[2:], strict=True))
    )


def grow(weights: Tensor, shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Return weights `(outputs, inputs, ...)`, `(channels,)` or a scalar, grown to a shape.

    Parameters
    ----------
    weights : Tensor
    shape : sequence of int
        One that `can_grow` allows.
    generator : torch.Generator
        Of the shares by which weights on copied inputs are divided.
    """
    if tuple(weights.shape) == tuple(shape):
        return weights.clone()
    grown = weights[_origins(weights.shape[0], shape[0])]
    if grown.ndim == 1:
        return grown
    origins = _origins(weights.shape[1], shape[1])
    shares = 0.5 + torch.rand(shape[0], shape[1], generator=generator, dtype=weights.dtype)
    sums = torch.zeros(shape[0], weights.shape[1], dtype=weights.dtype).index_add_(1, origins, shares)
    shares = (shares / sums[:, origins]).view(*shape[:2], *[1] * (grown.ndim - 2))
    grown = grown[:, origins] * shares
    for axis in range(2, grown.ndim):
        margin = (shape[axis] - grown.shape[axis]) // 2
        padded = grown.new_zeros(*grown.shape[:axis], shape[axis], *grown.shape[axis + 1 :])
        padded.narrow(axis, margin, grown.shape[axis]).copy_(grown)
        grown = padded
    return grown


def _origins(old: int, new: int) -> Tensor:
    return torch.arange(new) * old // new
