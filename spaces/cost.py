"""Parameters and multiply-accumulates of a batch of convolutional networks, counted layer by layer."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Amount: TypeAlias = float | NDArray[Any]


class NetworkCost:
    """Adds up layers; every quantity is a number for all networks or an array `(n,)` with one a network.

    Parameters
    ----------
    n : int
        How many networks.
    norm_macs : float
        Multiply-accumulates that the source counts per output of a batch normalisation; most count none.
    """

    def __init__(self, n: int, *, norm_macs: float = 0.0) -> None:
        self.params = np.zeros(n)
        self.macs = np.zeros(n)
        self._norm_macs = norm_macs

    def conv(
        self,
        inputs: Amount,
        outputs: Amount,
        kernel: Amount,
        resolution: Amount,
        *,
        when: Amount = 1.0,
        depthwise: bool = False,
    ) -> None:
        """Add a convolution without bias and its batch normalisation.

        Parameters
        ----------
        inputs, outputs : channels
        kernel : side of the kernel in pixels
        resolution : side of the output in pixels
        when : how many such layers each network has; 0 where it has none
        depthwise : each output reads one input channel only
        """
        weights = np.square(kernel) * (1 if depthwise else inputs) * outputs
        pixels = np.square(resolution)
        self.params += when * (weights + 2 * outputs)
        self.macs += when * pixels * (weights + self._norm_macs * outputs)

    def norm(self, channels: Amount, resolution: Amount) -> None:
        """Add a batch normalisation that follows no convolution."""
        self.params += 2 * channels
        self.macs += self._norm_macs * np.square(resolution) * channels

    def linear(self, inputs: Amount, outputs: Amount) -> None:
        """Add a fully connected layer with bias."""
        self.params += inputs * outputs + outputs
        self.macs += inputs * outputs

    def inverted_residual(
        self,
        inputs: Amount,
        outputs: Amount,
        expansion: Amount,
        kernel: Amount,
        resolution: int,
        *,
        stride: int = 1,
        when: Amount = 1.0,
    ) -> None:
        """Add an MBConv block (Sandler et al., CVPR 2018); without the first convolution where the expansion is 1.

        `resolution` is that of the block's input, `stride` that of its depthwise convolution.
        """
        hidden = inputs * expansion
        expands = when * (np.asarray(expansion) > 1)
        self.conv(inputs, hidden, 1, resolution, when=expands)
        self.conv(hidden, hidden, kernel, resolution // stride, when=when, depthwise=True)
        self.conv(hidden, outputs, 1, resolution // stride, when=when)

    def as_dict(self) -> dict[str, NDArray[np.float64]]:
        """Return `{"params": (n,), "flops": (n,)}`."""
        return {"params": self.params, "flops": self.macs}
