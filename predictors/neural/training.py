"""Trains the members of an ensemble at once, each on its own part of the observations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...encoders.neural.pretraining import one_cycle
from ...encoders.neural.stacked import StackedLinear
from .losses import LOSSES, squared_error

_QUERY_BATCH = 256

Inputs = tuple[NDArray[np.float32], ...]


@dataclass(frozen=True)
class Recipe:
    """How networks are trained: AdamW with a rising and falling learning rate, for a fixed number of steps.

    Parameters
    ----------
    steps, batch_size : int
    learning_rate, weight_decay : float
    penalties : tuple of float
        In each member, what the penalty on its weights is multiplied by, see `_penalty`.
    loss : str
        One of `LOSSES`.
    ranking_weight : float
        Of the ranking loss beside the squared error.
    pretrained_rate : float or None
        The learning rate of the parameters named `trunk`, relative to that of all others, if they were pre-trained;
        they are then not drawn towards 0.
    """

    steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    penalties: tuple[float, ...]
    loss: str
    ranking_weight: float
    pretrained_rate: float | None = None


def train(
    network: nn.Module,
    inputs: Inputs,
    target: NDArray[np.float64],
    parts: Sequence[NDArray[np.intp]],
    recipe: Recipe,
    rng: np.random.Generator,
    device: torch.device,
) -> None:
    """Train `network` in place; member m sees the rows `parts[m]` only.

    The network maps tensors `(members, n, ...)`, one for each of `inputs`, to forecasts `(members, n)`.
    """
    network.to(device).train()
    data = [torch.from_numpy(part).to(device) for part in inputs]
    truth = torch.from_numpy(target.astype(np.float32)).to(device)
    trunk = [p for name, p in network.named_parameters() if name.startswith("trunk.")]
    others = [p for name, p in network.named_parameters() if not name.startswith("trunk.")]
    groups: list[dict[str, Any]] = [{"params": others}, {"params": trunk}]
    if recipe.pretrained_rate is not None:
        groups[1] |= {"lr": recipe.learning_rate * recipe.pretrained_rate, "weight_decay": 0.0}
    used = [group for group in groups if group["params"]]
    optimizer = torch.optim.AdamW(used, recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: one_cycle(step, recipe.steps))
    penalties = torch.tensor(recipe.penalties, device=device) / len(target)
    layers = [layer for layer in network.modules() if isinstance(layer, StackedLinear)]
    ranking, batches = LOSSES[recipe.loss], _Batches(parts, recipe.batch_size, rng)
    for _ in range(recipe.steps):
        rows = torch.from_numpy(batches.draw()).to(device)
        forecast = network(*(part[rows] for part in data))
        loss = squared_error(forecast, truth[rows])
        if ranking is not None:
            loss = loss + recipe.ranking_weight * ranking(forecast, truth[rows])
        if any(recipe.penalties):
            loss = loss + penalties * _penalty(layers)
        optimizer.zero_grad(set_to_none=True)
        loss.sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()


def _penalty(layers: Sequence[StackedLinear]) -> Tensor:
    """Return the squares of the weights of each member, each in units of the variance that it was drawn with."""
    each = [layer.weight.square().sum(dim=(1, 2)) * layer.weight.shape[1] for layer in layers]
    return torch.stack(each).sum(dim=0)


class _Batches:
    """Draws a batch for each member from its own rows, without repetition until all were seen."""

    def __init__(self, parts: Sequence[NDArray[np.intp]], size: int, rng: np.random.Generator) -> None:
        self.parts, self.rng = parts, rng
        self.size = min(size, *(len(part) for part in parts))
        self.left = [np.zeros(0, dtype=np.intp) for _ in parts]

    def draw(self) -> NDArray[np.int64]:
        """Return rows, `(members, size)`."""
        for m, part in enumerate(self.parts):
            if len(self.left[m]) < self.size:
                self.left[m] = self.rng.permutation(part)
        drawn = np.stack([left[: self.size] for left in self.left])
        self.left = [left[self.size :] for left in self.left]
        return drawn.astype(np.int64)


def forecasts(network: nn.Module, inputs: Inputs, members: int, device: torch.device) -> NDArray[np.float64]:
    """Return the forecasts of all members, `(members, n)`, in double precision, so that batches do not matter."""
    network = network.to(device=device, dtype=torch.float64).eval()
    parts: list[Tensor] = []
    with torch.inference_mode():
        for start in range(0, len(inputs[0]), _QUERY_BATCH):
            chunk = [torch.from_numpy(part[start : start + _QUERY_BATCH]).to(device, torch.float64) for part in inputs]
            parts.append(network(*(part.expand(members, *part.shape) for part in chunk)))
    if not parts:
        return np.zeros((members, 0))
    result: NDArray[np.float64] = torch.cat(parts, dim=1).cpu().numpy()
    return result
