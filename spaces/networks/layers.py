"""`Layers`: the vocabulary in which networks are written, and `PlainLayers`, which says it in `torch.nn`.

Channels are the second axis of every tensor that passes between layers, whatever the layout, so that sums,
concatenations (`torch.cat(..., dim=1)`) and activations need no layer.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn


class Layers(Protocol):
    """Makes layers; each maps a tensor of features to one, and halves the resolution where `stride` is 2."""

    dimension: int
    """1 for signals, 2 for images."""

    def conv(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, dilation: int = 1, groups: int = 1
    ) -> nn.Module:
        """Convolution without bias, padded so that stride 1 keeps the resolution; `groups` is 1 or `inputs`."""

    def norm(self, channels: int, *, affine: bool = True) -> nn.Module:
        """Batch normalisation."""

    def avg_pool(self, kernel: int, *, stride: int = 1) -> nn.Module:
        """Mean over a padded window, of what is inside the input."""

    def max_pool(self, kernel: int, *, stride: int = 1) -> nn.Module:
        """Maximum over a padded window."""

    def linear(self, inputs: int, outputs: int) -> nn.Module:
        """Fully connected layer with bias, from features to features of resolution 1."""

    def global_pool(self) -> nn.Module:
        """Mean over all positions: features of resolution 1."""

    def subsample(self, stride: int) -> nn.Module:
        """Every `stride`-th position."""

    def to_outputs(self) -> nn.Module:
        """From features of resolution 1 to what the network returns: `(batch, channels)` for each network."""


class PlainLayers:
    """Layers of `torch.nn`: tensors are `(batch, channels, length)` or `(batch, channels, height, width)`."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        two = dimension == 2
        self._conv: type[nn.Conv1d | nn.Conv2d] = nn.Conv2d if two else nn.Conv1d
        self._norm: type[nn.BatchNorm1d | nn.BatchNorm2d] = nn.BatchNorm2d if two else nn.BatchNorm1d
        self._avg_pool: type[nn.Module] = nn.AvgPool2d if two else nn.AvgPool1d
        self._max_pool: type[nn.Module] = nn.MaxPool2d if two else nn.MaxPool1d

    def conv(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, dilation: int = 1, groups: int = 1
    ) -> nn.Module:
        """Return `nn.Conv1d` or `nn.Conv2d`."""
        padding = dilation * (kernel - 1) // 2
        layer: nn.Conv1d | nn.Conv2d = self._conv(
            inputs, outputs, kernel, stride=stride, padding=padding, dilation=dilation, groups=groups, bias=False
        )
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        return layer

    def norm(self, channels: int, *, affine: bool = True) -> nn.Module:
        """Return `nn.BatchNorm1d` or `nn.BatchNorm2d`."""
        layer: nn.Module = self._norm(channels, affine=affine)
        return layer

    def avg_pool(self, kernel: int, *, stride: int = 1) -> nn.Module:
        """Return `nn.AvgPool1d` or `nn.AvgPool2d`."""
        return self._avg_pool(
            kernel, stride=stride, padding=(kernel - 1) // 2, ceil_mode=kernel % 2 == 0, count_include_pad=False
        )

    def max_pool(self, kernel: int, *, stride: int = 1) -> nn.Module:
        """Return `nn.MaxPool1d` or `nn.MaxPool2d`."""
        return self._max_pool(kernel, stride=stride, padding=(kernel - 1) // 2, ceil_mode=kernel % 2 == 0)

    def linear(self, inputs: int, outputs: int) -> nn.Module:
        """Return `nn.Linear` on the channels of features of resolution 1."""
        return _Linear(inputs, outputs, self.dimension)

    def global_pool(self) -> nn.Module:
        """Return `nn.AdaptiveAvgPool1d(1)` or `nn.AdaptiveAvgPool2d(1)`."""
        return nn.AdaptiveAvgPool1d(1) if self.dimension == 1 else nn.AdaptiveAvgPool2d(1)

    def subsample(self, stride: int) -> nn.Module:
        """Return a module that takes every `stride`-th position of each axis."""
        return _Subsample(stride, self.dimension)

    def to_outputs(self) -> nn.Module:
        """Return `nn.Flatten`."""
        return nn.Flatten()


class _Linear(nn.Linear):
    """A linear layer whose input and output have axes of size 1 behind the channels."""

    def __init__(self, inputs: int, outputs: int, dimension: int) -> None:
        super().__init__(inputs, outputs)
        self.dimension = dimension

    def forward(self, features: Tensor) -> Tensor:
        outputs = super().forward(features.flatten(1))
        return outputs[(..., *[None] * self.dimension)]


class _Subsample(nn.Module):
    def __init__(self, stride: int, dimension: int) -> None:
        super().__init__()
        self.window = (slice(None), slice(None), *[slice(None, None, stride)] * dimension)

    def forward(self, features: Tensor) -> Tensor:
        return features[self.window]
