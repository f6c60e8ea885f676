"""Covariance functions over feature rows, with analytic gradients; they combine by `+` and `*`."""

from __future__ import annotations

from .base import Kernel, Product, Sum
from .columns import OnColumns, WeightedDot
from .coregionalisation import Coregionalised
from .grouped import GroupedLinear, OnUnitGroups
from .similarity import Linear, Tanimoto
from .stationary import Hamming, Stationary
from .trend import Trend

__all__ = [
    "Coregionalised",
    "GroupedLinear",
    "Hamming",
    "Kernel",
    "Linear",
    "OnColumns",
    "OnUnitGroups",
    "Product",
    "Stationary",
    "Sum",
    "Tanimoto",
    "Trend",
    "WeightedDot",
]
