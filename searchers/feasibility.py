"""How likely a training is to fail, judged by the failures so far."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from ..spaces import Architectures
from .history import History

_REACH = 0.15
"""Share of genes in which a neighbour may differ and still count for about a third."""


def log_success(history: History, candidates: Architectures) -> NDArray[np.float64]:
    """Return the logarithm of the probability that a training of each candidate succeeds, `(m,)`.

    A Beta-Bernoulli estimate in which each trial counts by its similarity, `exp(-share of differing genes / 0.15)`,
    with one success assumed beforehand. Without a failure it is 0 everywhere.
    """
    if not len(history.failed):
        return np.zeros(len(candidates))
    weights = [
        np.exp(-cdist(candidates.genotypes, history.architectures.genotypes[rows], "hamming") / _REACH).sum(axis=1)
        if len(rows)
        else np.zeros(len(candidates))
        for rows in (history.finished, history.failed)
    ]
    return np.asarray(np.log1p(weights[0]) - np.log(1 + weights[0] + weights[1]))
