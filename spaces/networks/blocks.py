"""Blocks of chains: inverted residuals with squeeze-excite, and plain residual blocks."""

from __future__ import annotations

from torch import Tensor, nn

from ..skeleton import round_channels
from .layers import Layers
from .operations import conv_norm_relu, relu_conv_norm


class SqueezeExcite(nn.Module):
    """Scales each channel by a gate between 0 and 1 that reads the means of all (Hu et al., CVPR 2018)."""

    def __init__(self, layers: Layers, channels: int, squeezed: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            layers.global_pool(),
            layers.linear(channels, squeezed),
            nn.ReLU(),
            layers.linear(squeezed, channels),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Map features to features of the same shape."""
        scaled: Tensor = features * self.gate(features)
        return scaled


class InvertedResidual(nn.Module):
    """MBConv (Sandler et al., CVPR 2018): expand, convolve each channel alone, project; added to the input if it fits.

    Parameters
    ----------
    layers : Layers
    inputs, outputs : int
        Channels.
    expansion : float
        How many times as many channels are convolved; 1 leaves the first convolution out.
    kernel : int
    stride : int
    excite : bool
        Whether the convolved channels pass a squeeze-excite with a quarter of `inputs` in between.
    """

    def __init__(
        self,
        layers: Layers,
        inputs: int,
        outputs: int,
        *,
        expansion: float = 6,
        kernel: int = 3,
        stride: int = 1,
        excite: bool = False,
    ) -> None:
        super().__init__()
        hidden = round_channels(inputs * expansion)
        steps: list[nn.Module] = [conv_norm_relu(layers, inputs, hidden, 1)] if expansion != 1 else []
        steps += [layers.conv(hidden, hidden, kernel, stride=stride, groups=hidden), layers.norm(hidden), nn.ReLU()]
        if excite:
            steps.append(SqueezeExcite(layers, hidden, max(1, inputs // 4)))
        self.steps = nn.Sequential(*steps, layers.conv(hidden, outputs, 1), layers.norm(outputs))
        self.adds = stride == 1 and inputs == outputs

    def forward(self, features: Tensor) -> Tensor:
        """Map features to features."""
        result: Tensor = self.steps(features)
        return features + result if self.adds else result


class BasicResidual(nn.Module):
    """Two 3x3 convolutions beside the identity, or beside a 1x1 convolution where the shape changes."""

    def __init__(self, layers: Layers, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = relu_conv_norm(layers, inputs, outputs, 3, stride=stride)
        self.second = relu_conv_norm(layers, outputs, outputs, 3)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(layers.conv(inputs, outputs, 1, stride=stride), layers.norm(outputs))

    def forward(self, features: Tensor) -> Tensor:
        """Map features to features."""
        result: Tensor = self.shortcut(features) + self.second(self.first(features))
        return result


def classifier(layers: Layers, channels: int, outputs: int) -> list[nn.Module]:
    """Return the mean over all positions and a linear layer: the end of most networks."""
    return [layers.global_pool(), layers.linear(channels, outputs), layers.to_outputs()]
