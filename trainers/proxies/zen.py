"""Zen-score: how much the features of a Gaussian network answer to a small change of a Gaussian input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import Loss, called_with_hook

if TYPE_CHECKING:
    from torch import Tensor, nn

_STEP = 0.01
_REPEATS = 32


def zen(network: nn.Module, inputs: Tensor, targets: Tensor, loss: Loss) -> float:
    r"""Return the Zen-score (Lin et al. 2021, algorithm 1).

    :math:`\log E \lVert f(x) - f(x + \alpha \epsilon) \rVert_F + \sum_i \log \bar\sigma_i`, with f the feature map
    before global pooling, weights, x and epsilon standard normal, alpha = 0.01, and
    :math:`\bar\sigma_i^2` the mean over channels of the variances by which batch normalisation i divides. The
    expectation is over a batch of the given size, the logarithm is averaged over 32 draws of weights and inputs. f is
    the output of the last module whose output has more than one position; a network without positions is taken whole.
    Data and loss play no part.
    """
    import torch

    network = network.train()
    total = 0.0
    for _ in range(_REPEATS):
        with torch.no_grad():
            _draw_weights(network)
            x = torch.randn_like(inputs)
            first, scale = _features(network, x)
            second, _unused = _features(network, x + _STEP * torch.randn_like(inputs))
            difference = (first - second).flatten(1).double().norm(dim=1).mean()
            total += float(difference.log() + scale)
    return total / _REPEATS


def _draw_weights(network: nn.Module) -> None:
    """Draw weights from the standard normal distribution; biases are 0, normalisations neither scale nor shift."""
    from torch import nn

    for module in network.modules():
        if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)):
            module.weight.normal_()
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)) and module.affine:
            module.weight.fill_(1.0)
            module.bias.zero_()


def _features(network: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return the last feature map, and the sum of the logarithms of the scales that normalisations took out."""
    import torch
    from torch import nn

    found: list[Tensor] = []
    scale = inputs.new_zeros((), dtype=torch.float64)

    def look(layer: nn.Module, given: Any, output: Any) -> None:
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)):
            variance = given[0].double().transpose(0, 1).flatten(1).var(dim=1, unbiased=False)
            scale.add_(variance.mean().sqrt().log())
        if isinstance(output, torch.Tensor) and output.ndim > 2 and output[0, 0].numel() > 1:
            found[:] = [output.clone()]  # what comes next may work in place

    whole = called_with_hook(list(network.modules()), look, lambda: network(inputs))
    return (found[0] if found else whole), scale
