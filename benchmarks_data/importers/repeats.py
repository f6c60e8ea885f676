"""Several trainings of one architecture become several seeds of one row."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...spaces.hashing import row_keys


def group_repeats(genotypes: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Group equal rows.

    Parameters
    ----------
    genotypes : integer array `(m, d)`

    Returns
    -------
    first : integer array `(n,)`
        The first row of each distinct genotype, ascending.
    group : integer array `(m,)`
        Which of these each row equals.
    occurrence : integer array `(m,)`
        How many equal rows come before it.
    """
    _, start, inverse = np.unique(row_keys(genotypes), return_index=True, return_inverse=True)
    order = np.argsort(start)
    rank = np.empty(len(start), dtype=np.intp)
    rank[order] = np.arange(len(start))
    group = rank[inverse]
    by_group = np.argsort(group, kind="stable")
    counts = np.bincount(group, minlength=len(start))
    occurrence = np.empty(len(group), dtype=np.intp)
    occurrence[by_group] = np.arange(len(group)) - np.repeat(np.cumsum(counts) - counts, counts)
    return start[order], group, occurrence
