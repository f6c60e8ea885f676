"""What the proxies share: which weights count, the loss, and gradients that may be missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Loss: TypeAlias = "Callable[[Tensor, Tensor], Tensor]"
Proxy: TypeAlias = "Callable[[nn.Module, Tensor, Tensor, Loss], float]"
"""`proxy(network, inputs, targets, loss) -> float`; it may change the network, which is a copy."""


def weighted_layers(network: nn.Module) -> list[nn.Module]:
    """Return the convolutions and linear layers, whose weights are what the pruning literature scores."""
    from torch import nn

    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
    return [layer for layer in network.modules() if isinstance(layer, kinds)]


def weights_of(network: nn.Module) -> list[Tensor]:
    """Return the weights of these layers, without biases, each once."""
    found = {id(layer.weight): layer.weight for layer in weighted_layers(network)}
    return [weight for weight in found.values() if weight.requires_grad]  # type: ignore[misc]


def gradients(value: Tensor, of: Sequence[Tensor], *, create_graph: bool = False) -> list[Tensor]:
    """Return the gradient with respect to each tensor, zeros where `value` does not depend on it."""
    import torch

    if not value.requires_grad:
        return [torch.zeros_like(tensor) for tensor in of]
    found = torch.autograd.grad(value, list(of), create_graph=create_graph, allow_unused=True)
    return [torch.zeros_like(a) if g is None else g for a, g in zip(of, found, strict=True)]


def without_normalization(network: nn.Module) -> None:
    """Replace batch normalisations by identities, in place."""
    from torch import nn

    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)):
                setattr(module, name, nn.Identity())


def called_with_hook(layers: Sequence[nn.Module], hook: Callable[..., object], call: Callable[[], Tensor]) -> Tensor:
    """Return `call()` while each layer calls `hook(layer, inputs, output)`."""
    handles = [layer.register_forward_hook(hook) for layer in layers]
    try:
        return call()
    finally:
        for handle in handles:
            handle.remove()


def to_float(value: torch.Tensor) -> float:
    """Return the number that a tensor of one element holds."""
    return float(value.detach().double())
