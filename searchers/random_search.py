"""Random search."""

from __future__ import annotations

import numpy as np

from ..spaces import Architectures
from .base import Searcher
from .candidates import random_new
from .history import History


class RandomSearch(Searcher):
    """Proposes random architectures: the baseline of every comparison.

    Notes
    -----
    Li and Talwalkar, "Random Search and Reproducibility for Neural Architecture Search", UAI 2019.
    """

    multi_objective = True

    def _propose(self, history: History, n: int, rng: np.random.Generator) -> Architectures:
        return random_new(history, n, rng)
