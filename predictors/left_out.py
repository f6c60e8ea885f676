"""Forecasts of training observations by fits that did not see them: the basis of stacking and of recalibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .nested import adopt

if TYPE_CHECKING:
    from .base import Predictor

Floats = NDArray[np.float64]

LEAST_OBSERVATIONS = 10
"""With fewer observations what was left out says too little to choose or correct by."""


def draw_folds(n: int, folds: int, seed: int) -> NDArray[np.intp]:
    """Return the fold of each of `n` observations, `(n,)`, drawn at random; sizes differ by at most one."""
    return np.random.default_rng(seed).permutation(n) % min(folds, n)


def refit_left_out(predictor: Predictor, features: Floats, z: Floats, folds: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Return mean and deviation of each observation, `(n, m)`, from a copy fitted to all folds but its own.

    Where the other folds hold one value alone there is nothing to fit: the forecast is this value, and the deviation
    that of all targets.
    """
    mean, std = np.empty_like(z), np.empty_like(z)
    everything = np.arange(features.shape[1])
    for fold in np.unique(folds):
        inside = folds == fold
        rest = z[~inside]
        if (rest == rest[0]).all(axis=0).any():
            mean[inside], std[inside] = rest.mean(axis=0), z.std(axis=0)
            continue
        member = adopt(predictor, predictor, everything, predictor.encoder_)
        member._fit(features[~inside], rest)
        mean[inside], std[inside] = member._predict(features[inside])
    return mean, std
