"""Grid search: an even walk through the space, the same for every seed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..spaces import Architectures, SearchSpace
from .base import Searcher
from .candidates import candidate_set, first_new, is_whole, random_new
from .history import History

_ROUNDS = 6


class GridSearch(Searcher):
    """Walks through the space evenly, whatever the outcomes and the seed.

    Small spaces and pools are walked in steps of the golden section of their size, which visits every architecture
    once and covers the whole evenly at any time. In large spaces the genes follow an additive recurrence.

    Notes
    -----
    Roberts, "The Unreasonable Effectiveness of Quasirandom Sequences", 2018: the generalised golden ratio.
    """

    multi_objective = True

    def _propose(self, history: History, n: int, rng: np.random.Generator) -> Architectures:
        if is_whole(history):
            candidates = candidate_set(history)
            order = golden_walk(len(candidates.architectures))
            return first_new(candidates.architectures[order], candidates.keys[order], history, n)
        length = 4 * (len(history) + n)
        for _ in range(_ROUNDS):
            rows = recurrence(history.space, length)
            walk = Architectures(history.space, rows[history.space.is_valid(rows)])
            found = first_new(walk, walk.keys(), history, n)
            if len(found) == n:
                return found
            length *= 4
        # Hardly any row of the grid is valid: a fixed random order does instead.
        fixed = np.random.default_rng(len(history))
        return Architectures.concatenate([found, random_new(history.ask(found), n - len(found), fixed)])


def golden_walk(size: int) -> NDArray[np.int64]:
    """Return a permutation of `range(size)` in equal steps, each about 0.618 of the size.

    >>> golden_walk(8).tolist()
    [0, 5, 2, 7, 4, 1, 6, 3]
    """
    step = max(1, round(size * (math.sqrt(5) - 1) / 2))
    while math.gcd(step, size) != 1:
        step += 1
    return (np.arange(size) * step) % size


def recurrence(space: SearchSpace, length: int) -> NDArray[np.int64]:
    """Return genotypes `(length, d)` spread evenly over all combinations of genes, valid or not."""
    d = space.dimension
    ratio = 2.0
    for _ in range(64):  # the positive root of x^(d + 1) = x + 1
        ratio = (1 + ratio) ** (1 / (d + 1))
    steps = ratio ** -np.arange(1.0, d + 1)
    fractions = (0.5 + np.arange(length)[:, None] * steps) % 1.0
    return np.floor(fractions * space.cardinalities).astype(np.int64)
