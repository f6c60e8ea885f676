"""64-bit hashing of integer arrays, the basis of canonical keys and of row lookups.

The mixing function is the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014). Keys depend on the numbers
alone, never on the process, so they can be stored.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def mix(values: NDArray[Any]) -> NDArray[np.uint64]:
    """Return a well-spread 64-bit image of each value; equal values have equal images.

    Parameters
    ----------
    values : integer array of any shape

    Returns
    -------
    uint64 array of the same shape
    """
    z = values.astype(np.uint64) + _GOLDEN
    z ^= z >> np.uint64(30)
    z *= _FIRST
    z ^= z >> np.uint64(27)
    z *= _SECOND
    z ^= z >> np.uint64(31)
    return z


def row_keys(rows: NDArray[Any]) -> NDArray[np.uint64]:
    """Return one key per row of an `(n, d)` integer array, sensitive to the order of the columns.

    Returns
    -------
    uint64 array `(n,)`
    """
    keys = np.full(len(rows), rows.shape[1], dtype=np.uint64)
    for column in np.ascontiguousarray(rows.T):
        keys = mix(keys ^ mix(column))
    return keys
