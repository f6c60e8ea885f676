"""Covariance functions over feature rows, with analytic gradients; they combine by `+` and `*`."""

from __future__ import annotations

from .base import Kernel, Product, Sum
from .similarity import Linear, Tanimoto
from .stationary import Hamming, Stationary

__all__ = ["Hamming", "Kernel", "Linear", "Product", "Stationary", "Sum", "Tanimoto"]
