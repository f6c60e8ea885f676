"""What is done to a batch of training examples, by the name that recipes use.

Each function takes inputs `(n, channels, length)` or `(n, channels, height, width)` and a generator, and returns new
inputs. All that is random comes from the generator, which belongs to one seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch import Generator, Tensor

Augmentation: TypeAlias = "Callable[[Tensor, Generator], Tensor]"


def flip(inputs: Tensor, generator: Generator) -> Tensor:
    """Mirror examples along their last axis, each with probability a half."""
    import torch

    chosen = torch.rand(len(inputs), generator=generator, device=generator.device) < 0.5
    return torch.where(_shaped(chosen.to(inputs.device), inputs), inputs.flip(-1), inputs)


def shift(inputs: Tensor, generator: Generator) -> Tensor:
    """Move each example by up to an eighth of each axis; zeros move in."""
    import torch

    for axis in range(2, inputs.ndim):
        size = inputs.shape[axis]
        most = max(1, size // 8)
        moves = torch.randint(-most, most + 1, (len(inputs), 1), generator=generator, device=generator.device)
        places = torch.arange(size, device=inputs.device) - moves.to(inputs.device)
        shape = [len(inputs)] + [1] * (inputs.ndim - 1)
        shape[axis] = size
        index = places.clamp(0, size - 1).view(shape).expand(inputs.shape)
        inside = ((places >= 0) & (places < size)).view(shape)
        inputs = torch.where(
            inside, inputs.gather(axis, index), torch.zeros((), dtype=inputs.dtype, device=inputs.device)
        )
    return inputs


def scale(inputs: Tensor, generator: Generator) -> Tensor:
    """Multiply each example by a number between 0.8 and 1.2."""
    import torch

    factor = 0.8 + 0.4 * torch.rand(len(inputs), generator=generator, device=generator.device)
    return inputs * _shaped(factor.to(inputs), inputs)


def noise(inputs: Tensor, generator: Generator) -> Tensor:
    """Add Gaussian noise of a twentieth of the batch's standard deviation."""
    import torch

    drawn = torch.randn(inputs.shape, generator=generator, device=generator.device).to(inputs)
    return inputs + 0.05 * inputs.std(correction=0) * drawn


def cutout(inputs: Tensor, generator: Generator) -> Tensor:
    """Put a window of a quarter of each axis to zero (DeVries and Taylor, 2017)."""
    import torch

    hidden = torch.ones((len(inputs), *[1] * (inputs.ndim - 1)), dtype=torch.bool, device=inputs.device)
    for axis in range(2, inputs.ndim):
        size = inputs.shape[axis]
        window = max(1, size // 4)
        start = torch.randint(size - window + 1, (len(inputs), 1), generator=generator, device=generator.device)
        places = torch.arange(size, device=inputs.device) - start.to(inputs.device)
        shape = [len(inputs)] + [1] * (inputs.ndim - 1)
        shape[axis] = size
        hidden = hidden & ((places >= 0) & (places < window)).view(shape)
    return inputs.masked_fill(hidden, 0.0)


AUGMENTATIONS: Mapping[str, Augmentation] = {
    "flip": flip,
    "shift": shift,
    "scale": scale,
    "noise": noise,
    "cutout": cutout,
}


def mixup_share(generator: Generator) -> float:
    """Return the weight of the first of two mixed examples: Beta(0.2, 0.2), at least a half (Zhang et al., 2018)."""
    import numpy as np
    import torch

    drawn = torch.randint(2**31 - 1, (), generator=generator, device=generator.device)
    share = float(np.random.default_rng(int(drawn)).beta(0.2, 0.2))
    return max(share, 1 - share)


def _shaped(values: Tensor, inputs: Tensor) -> Tensor:
    return values.view(-1, *[1] * (inputs.ndim - 1))
