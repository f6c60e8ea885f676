"""Covariance functions over feature rows, with analytic gradients; they combine by `+` and `*`."""

from __future__ import annotations

from .base import Kernel, Product, Sum
from .columns import OnColumns, WeightedDot
from .coregionalisation import Coregionalised
from .similarity import Linear, Tanimoto
from .stationary import Hamming, Stationary
from .trend import Trend

__all__ = [
    "Coregionalised",
    "Hamming",
    "Kernel",
    "Linear",
    "OnColumns",
    "Product",
    "Stationary",
    "Sum",
    "Tanimoto",
    "Trend",
    "WeightedDot",
]
