"""Proxies from the gradient of the loss on one batch: grad_norm, SNIP, GraSP and Fisher."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import Loss, called_with_hook, gradients, to_float, weighted_layers, weights_of

if TYPE_CHECKING:
    from torch import Tensor, nn


def grad_norm(network: nn.Module, inputs: Tensor, targets: Tensor, loss: Loss) -> float:
    r"""Return :math:`\sum_l \lVert \partial L / \partial \theta_l \rVert_2` over layers (Abdelfattah et al. 2021)."""
    weights = weights_of(network)
    return sum(to_float(gradient.norm()) for gradient in gradients(loss(network(inputs), targets), weights))


def snip(network: nn.Module, inputs: Tensor, targets: Tensor, loss: Loss) -> float:
    r"""Return :math:`\sum_i | \theta_i \, \partial L / \partial \theta_i |` (Lee, Ajanthan and Torr 2019)."""
    weights = weights_of(network)
    found = gradients(loss(network(inputs), targets), weights)
    return sum(to_float((weight * gradient).abs().sum()) for weight, gradient in zip(weights, found, strict=True))


def grasp(network: nn.Module, inputs: Tensor, targets: Tensor, loss: Loss) -> float:
    r"""Return :math:`-\sum_i \theta_i \, (H g)_i` with the Hessian H and gradient g of the loss (Wang et al. 2020).

    The loss is taken at temperature 1.
    """
    weights = weights_of(network)
    first = gradients(loss(network(inputs), targets), weights, create_graph=True)
    # g' stop(g) has the gradient H g
    product = sum(((gradient * gradient.detach()).sum() for gradient in first), inputs.new_zeros(()))
    second = gradients(product, weights)
    return -sum(to_float((weight * curvature).sum()) for weight, curvature in zip(weights, second, strict=True))


def fisher(network: nn.Module, inputs: Tensor, targets: Tensor, loss: Loss) -> float:
    r"""Return :math:`\sum_c \frac{1}{2N} \sum_n (\sum_s a_{ncs} g_{ncs})^2` (Theis et al. 2018, Turner et al. 2020).

    Sums run over the output channels c of all convolutions and linear layers, examples n and positions s; a are
    activations and g the gradient of the loss with respect to them.
    """
    activations: list[tuple[Any, Tensor]] = []

    def keep(layer: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        activations.append((layer, output))
        return output.clone()  # what comes next may work in place

    outputs = called_with_hook(weighted_layers(network), keep, lambda: network(inputs))
    found = gradients(loss(outputs, targets), [output for _, output in activations])
    total = 0.0
    for (layer, activation), gradient in zip(activations, found, strict=True):
        product = (activation * gradient).detach()
        if hasattr(layer, "kernel_size"):  # (n, channels, positions ...)
            product = product.flatten(2).sum(2) if product.ndim > 2 else product
        else:  # (n, ..., channels)
            product = product.flatten(1, -2).sum(1) if product.ndim > 2 else product
        total += to_float(product.square().mean(0).sum() / 2)
    return total
