"""Architectures as PyTorch networks, written once against `Layers` and built from plain or replicated layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import ArchcastError, InvalidDataError
from ...torch_runtime import require_torch
from ..architectures import Architecture
from ..skeleton import Skeleton

if TYPE_CHECKING:
    from torch import nn

    from .layers import Layers


def build_network(
    architecture: Architecture, skeleton: Skeleton, layers: Layers | None = None, *, seed: int | None = None
) -> nn.Module:
    """Return the untrained network of an architecture; what `SearchSpace.build` does.

    Parameters
    ----------
    architecture : Architecture
    skeleton : Skeleton
    layers : Layers, optional
        What the network is made of, by default the layers of `torch.nn`.
    seed : int, optional
        Of the initial weights; None draws them from PyTorch's global generator.

    Raises
    ------
    ArchcastError
        If there are no networks for this space.
    InvalidDataError
        If the inputs are too small, an operation has no network, or the skeleton has a knob that architectures of this
        space fix.
    MissingDependencyError
        If PyTorch is not installed.
    """
    torch = require_torch("a network", "train")
    from .layers import PlainLayers

    factory = architecture.space.network_factory()
    if factory is None:
        raise ArchcastError(f"there are no networks for architectures of space {architecture.space.name!r}")
    chosen = layers if layers is not None else PlainLayers(skeleton.dimension)
    if seed is None:
        network = factory(architecture, skeleton, chosen)
    else:
        if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
            raise InvalidDataError(f"the seed of initial weights must be an integer from 0 on, got {seed!r}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = factory(architecture, skeleton, chosen)
    return network


__all__ = ["build_network"]
