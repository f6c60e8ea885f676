"""The embedding and the kernel of a deep kernel Gaussian process, and the climb of their marginal likelihood."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...encoders.neural.network import GraphNetwork
from ...encoders.neural.pretraining import one_cycle
from ...encoders.neural.stacked import StackedLinear
from .training import Inputs

NOISE_FLOOR = 1e-3
_START = (-1.0, 0.0, 0.0, -1.0)
"""Logarithms of the weights of the linear and the smooth kernel, of the squared length, and of the noise variance."""
_KERNEL_RATE, _TRUNK_RATE, _MANY = 0.1, 0.3, 300
"""The rates of network and layer reach their height at so many observations; with fewer both move less."""


class DeepKernel(nn.Module):
    """Embeds what a predictor reads, and compares embeddings.

    Parameters
    ----------
    trunk : GraphNetwork or None
        With one member; None where there is no graph.
    features, width : int
    generator : torch.Generator
    """

    def __init__(self, trunk: GraphNetwork | None, features: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.trunk = trunk
        self.last = StackedLinear(1, features, width, generator)
        if trunk is not None:  # starts by adding other features to the embedding as it is
            self.last.weight = nn.Parameter(torch.cat([torch.eye(width)[None], self.last.weight.detach()], dim=1))
        self.logs = nn.Parameter(torch.tensor(_START))

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return embeddings, `(n, width)`, of nodes, edges, masks and features, or of features alone."""
        *graphs, features = (part[None] for part in inputs)
        state = features if self.trunk is None else torch.cat([self.trunk(*graphs), features], dim=-1)
        embedding: Tensor = self.last(state)[0]
        return embedding

    def negative_likelihood(self, embedding: Tensor, target: Tensor) -> Tensor:
        """Return the negative log marginal likelihood of targets `(n,)`, with a standard normal prior on `logs`."""
        x, width = embedding.double(), embedding.shape[1]
        linear, smooth, length, noise = self.logs.double().exp()
        inner = x @ x.T
        squares = inner.diagonal()
        distance = (squares[:, None] + squares - 2 * inner).clamp(min=0)
        covariance = linear * inner / width + smooth * torch.exp(-0.5 * distance / (length * width))
        covariance = covariance + (noise + NOISE_FLOOR) * torch.eye(len(x), dtype=x.dtype, device=x.device)
        factor = torch.linalg.cholesky(covariance)
        solved = torch.linalg.solve_triangular(factor, target[:, None].double(), upper=False)
        prior = 0.5 * (self.logs - self.logs.new_tensor(_START)).square().sum()
        total: Tensor = 0.5 * solved.square().sum() + factor.diagonal().log().sum() + prior
        return total


def climb(
    model: DeepKernel,
    inputs: Inputs,
    target: NDArray[np.float64],
    steps: int,
    subset: int,
    learning_rate: float,
    rng: np.random.Generator,
    device: torch.device,
) -> None:
    """Fit `model` in place by the marginal likelihood of `subset` observations, drawn anew for each step."""
    model.to(device).train()
    data = [torch.from_numpy(part).to(device) for part in inputs]
    truth = torch.from_numpy(target).to(device)
    trunk = [] if model.trunk is None else list(model.trunk.parameters())
    share = min(1.0, len(target) / _MANY)
    groups: list[dict[str, Any]] = [
        {"params": trunk, "lr": share * _TRUNK_RATE * learning_rate},
        {"params": list(model.last.parameters()), "lr": share * learning_rate},
        {"params": [model.logs], "lr": _KERNEL_RATE},
    ]
    optimizer = torch.optim.Adam([group for group in groups if group["params"]])
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: one_cycle(step, steps))
    size = min(subset, len(target))
    for _ in range(steps):
        rows = torch.from_numpy(rng.permutation(len(target))[:size]).to(device)
        loss = model.negative_likelihood(model(*(part[rows] for part in data)), truth[rows]) / size
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
