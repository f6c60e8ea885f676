"""Sizes of a network: parameters, multiply-accumulates, and the norm of its initial weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .base import Loss, called_with_hook, to_float, weighted_layers, weights_of

if TYPE_CHECKING:
    from torch import Tensor, nn


def parameters(network: nn.Module, inputs: Tensor, targets: Tensor, loss: Loss) -> float:
    """Return how many numbers are learned."""
    return float(sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad))


def flops(network: nn.Module, inputs: Tensor, targets: Tensor, loss: Loss) -> float:
    """Return the multiply-accumulate operations of convolutions and linear layers, biases apart, for one example."""
    import torch

    total = 0

    def count(layer: Any, _inputs: Any, output: Tensor) -> None:
        nonlocal total
        if hasattr(layer, "kernel_size"):
            each = layer.in_channels // layer.groups * math.prod(layer.kernel_size)
        else:
            each = layer.in_features
        total += output.numel() // len(output) * each

    with torch.no_grad():
        called_with_hook(weighted_layers(network), count, lambda: network.eval()(inputs[:1]))
    return float(total)


def l2_norm(network: nn.Module, inputs: Tensor, targets: Tensor, loss: Loss) -> float:
    r"""Return :math:`\sum_l \lVert \theta_l \rVert_2` over the layers, at initialisation (Abdelfattah et al. 2021)."""
    return sum(to_float(weight.norm()) for weight in weights_of(network))
