"""SynFlow: how much flows through the network when every weight is positive."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import Loss, gradients, to_float, weights_of, without_normalization

if TYPE_CHECKING:
    from torch import Tensor, nn


def synflow(network: nn.Module, inputs: Tensor, targets: Tensor, loss: Loss) -> float:
    r"""Return :math:`\sum_i |\theta_i \, \partial R / \partial \theta_i|` (Tanaka et al. 2020).

    R is the sum of the outputs. Every parameter is replaced by its absolute value, normalisations by identities, and
    the input is one example of ones; data and loss play no part. Computed in double precision, because R grows
    exponentially with depth.
    """
    import torch

    network = network.double().eval()
    without_normalization(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.abs_()
    weights = weights_of(network)
    ones = torch.ones((1, *inputs.shape[1:]), dtype=torch.float64, device=inputs.device)
    found = gradients(network(ones).sum(), weights)
    return sum(to_float((weight * gradient).abs().sum()) for weight, gradient in zip(weights, found, strict=True))
