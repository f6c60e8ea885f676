"""NASWOT: how well the pattern of active rectifiers tells examples apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import Loss, called_with_hook

if TYPE_CHECKING:
    from torch import Tensor, nn


def naswot(network: nn.Module, inputs: Tensor, targets: Tensor, loss: Loss) -> float:
    r"""Return :math:`\log |\det K|` with :math:`K_{ij}` the number of ReLUs that agree on i and j (Mellor et al. 2021).

    :math:`K_{ij} = N_A - d_H(c_i, c_j)`, the number of rectified units less the Hamming distance of the binary codes
    (unit active or not) of examples i and j. Counted are the `torch.nn.ReLU` modules; -inf if the codes of two examples
    are the same, or there is none.
    """
    import torch

    n = len(inputs)
    kernel = torch.zeros((n, n), dtype=torch.float64, device=inputs.device)

    def count(_layer: nn.Module, _inputs: Any, output: Tensor) -> None:
        active = (output.detach().reshape(n, -1) > 0).to(torch.float32)  # counts below 2^24 are exact
        kernel.add_(active @ active.T + (1 - active) @ (1 - active).T)

    rectifiers = [layer for layer in network.modules() if isinstance(layer, torch.nn.ReLU)]
    with torch.no_grad():
        called_with_hook(rectifiers, count, lambda: network(inputs))
    return float(torch.linalg.slogdet(kernel).logabsdet)
