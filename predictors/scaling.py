"""Column scaling that respects what a column is: indicators stay 0 and 1, quantities are standardised."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..encoders import Columns


def column_scaling(features: NDArray[np.float64], columns: Columns) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return shift and scale of each column, both `(d,)`, for `(features - shift) / scale`.

    Indicators keep shift 0 and scale 1: standardised, a rare indicator would outweigh everything else. Quantities get
    mean 0 and standard deviation 1; one that is constant is only shifted.
    """
    shift, deviation = features.mean(axis=0), features.std(axis=0)
    # what is left of a constant column is rounding, which must not be blown up to 1
    constant = deviation <= 1e-12 * np.maximum(np.abs(features).max(axis=0), np.finfo(np.float64).tiny)
    scale = np.where(constant, 1.0, deviation)
    return np.where(columns.indicator, 0.0, shift), np.where(columns.indicator, 1.0, scale)
