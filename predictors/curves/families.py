"""The parametric families of learning curves, as shapes between the first epoch and the last.

The families are those of Domhan, Springenberg and Hutter ("Speeding Up Automatic Hyperparameter Optimization of Deep
Neural Networks by Extrapolation of Learning Curves", IJCAI 2015), each with a coefficient for where the curve ends and
one for how far it is from there, in which it is linear; where the paper fixes one of the two, it is free here. What is
left is a shape, of at most two parameters. As shapes several families are one: exp4, Janoschek and Weibull are
`exp(-(t / tau)^d)`, and Hill, MMF and log power are `1 / (1 + (t / tau)^d)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Shape: TypeAlias = Callable[[Floats, float], list[Floats]]
"""Epochs `(l,)` and the last of them to the values of the members of a family, `(l,)` each, up to linear maps."""

_EXPONENTS = (0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
_SCALES = (0.01, 0.03, 0.1, 0.25, 0.6, 1.5)
"""Time constants, as shares of the whole training."""


def _pow3(t: Floats, last: float) -> list[Floats]:
    return [t**-d for d in _EXPONENTS]


def _pow4(t: Floats, last: float) -> list[Floats]:
    return [(t + shift * last) ** -d for shift, d in product((0.02, 0.1, 0.4), (0.5, 1.0, 2.0, 4.0))]


def _weibull(t: Floats, last: float) -> list[Floats]:
    return [np.exp(-((t / (scale * last)) ** d)) for scale, d in product(_SCALES, (0.5, 1.0, 1.5))]


def _hill(t: Floats, last: float) -> list[Floats]:
    return [1 / (1 + (t / (scale * last)) ** d) for scale, d in product(_SCALES, (0.5, 1.0, 2.0, 3.0))]


def _vapor_pressure(t: Floats, last: float) -> list[Floats]:
    return [np.exp(b / t) * t**c for b, c in product((-3.0, -1.0, 1.0, 3.0), (-1.0, -0.4, -0.1, 0.1))]


def _log_log_linear(t: Floats, last: float) -> list[Floats]:
    return [np.log1p(a * np.log(t)) for a in (0.3, 1.0, 3.0, 10.0)]


def _ilog2(t: Floats, last: float) -> list[Floats]:
    return [1 / np.log(t + 1)]


FAMILIES: Mapping[str, Shape] = {
    "pow3": _pow3,
    "pow4": _pow4,
    "weibull": _weibull,
    "hill": _hill,
    "vapor_pressure": _vapor_pressure,
    "log_log_linear": _log_log_linear,
    "ilog2": _ilog2,
}


def shape_grid(families: Sequence[str], epochs: Sequence[int]) -> tuple[Floats, Floats]:
    """Return all shapes `(g, l)`, 1 at the first epoch and 0 at the last, and their log prior weights `(g,)`.

    Families weigh the same, and so do the members of each. Members that do not tell the first epoch from the last are
    left out.
    """
    t = np.asarray(epochs, dtype=np.float64)
    shapes, weights = [], []
    for name in families:
        values = np.stack(FAMILIES[name](t, float(t[-1])))
        span = values[:, :1] - values[:, -1:]
        usable = np.abs(span[:, 0]) > 1e-6 * np.abs(values).max(axis=1)
        shape = (values[usable] - values[usable, -1:]) / span[usable]
        shape = shape[np.abs(shape).max(axis=1) < 10]
        shapes.append(shape)
        weights += [-np.log(len(families) * max(len(shape), 1))] * len(shape)
    return np.concatenate(shapes), np.array(weights)
