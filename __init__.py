"""archcast forecasts how well a neural architecture will do before anyone trains it."""

from __future__ import annotations

from ._version import __version__
from .spaces import Architecture, Architectures, GraphBatch, SearchSpace, get_space, register_space

__all__ = [
    "Architecture",
    "Architectures",
    "GraphBatch",
    "SearchSpace",
    "__version__",
    "get_space",
    "register_space",
]
