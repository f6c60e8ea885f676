"""What networks read: scaled columns, in single precision; and checks of the parameters that all networks have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...encoders import Columns
from ...errors import InvalidDataError
from ..checks import check_integer
from ..scaling import column_scaling

_LIMIT = 1e4
"""No input is larger, so that a far outlier cannot overflow."""


def learned_scaling(features: NDArray[np.float64], columns: Columns) -> NDArray[np.float64]:
    """Return shift and scale of each column, `(2, d)`."""
    return np.stack(column_scaling(features, columns))


def scaled(features: NDArray[np.float64], scaling: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return `(features - shift) / scale`, float32."""
    rows: NDArray[np.float32] = np.clip((features - scaling[0]) / scaling[1], -_LIMIT, _LIMIT).astype(np.float32)
    return rows


def check_network(width: int, depth: int, n_jobs: int) -> None:
    """Refuse sizes that no network has.

    Raises
    ------
    InvalidDataError
        Naming the parameter.
    """
    check_integer("width", width, 4)
    if width % 4:
        raise InvalidDataError(f"width must be a multiple of 4, got {width}")
    check_integer("depth", depth, 1)
    check_integer("n_jobs", n_jobs, 1)
