"""What may be proposed: all unseen architectures of a small space or pool, or fresh samples of a large space."""

from __future__ import annotations

import math
from collections import OrderedDict
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..spaces import Architectures, SearchSpace
from ..spaces.base import ENUMERABLE
from ..spaces.hashing import row_keys
from .history import History

WHOLE = 100_000
"""Spaces of at most so many architectures, and all pools, are looked at whole."""

_KEPT = 4
_SAMPLE_ROUNDS = 20


class CandidateSet:
    """All architectures that a finite search may propose, in the order of the space or pool.

    Parameters
    ----------
    architectures : Architectures, `(m,)`
    """

    def __init__(self, architectures: Architectures) -> None:
        self.architectures = architectures

    @cached_property
    def keys(self) -> NDArray[np.uint64]:
        """The canonical keys, `(m,)`."""
        return self.architectures.keys()

    @cached_property
    def _sorted_rows(self) -> tuple[NDArray[np.uint64], NDArray[np.intp]]:
        keys = row_keys(self.architectures.genotypes)
        order = np.argsort(keys, kind="stable")
        return keys[order], order

    def locate(self, architectures: Architectures) -> NDArray[np.intp]:
        """Return the row of each architecture by its genotype, -1 where it is none of these."""
        ordered, order = self._sorted_rows
        keys = row_keys(architectures.genotypes)
        slot = np.minimum(np.searchsorted(ordered, keys), len(ordered) - 1)
        return np.where(ordered[slot] == keys, order[slot], -1)

    @cached_property
    def _classes(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Return the first row of each class, the class of each row, rows sorted by class, and class sizes."""
        _, first, inverse, counts = np.unique(self.keys, return_index=True, return_inverse=True, return_counts=True)
        return first, inverse.astype(np.intp), np.argsort(inverse, kind="stable"), counts

    @cached_property
    def representatives(self) -> Architectures:
        """One architecture of each canonical class, `(c,)`."""
        first: NDArray[np.intp] = self._classes[0]
        return self.architectures[first]

    def unseen_classes(self, history: History) -> NDArray[np.bool_]:
        """Return which classes, in the order of `representatives`, hold no trial."""
        return ~np.isin(self.keys[self._classes[0]], history.keys)

    def members(self, classes: NDArray[np.intp], rng: np.random.Generator) -> Architectures:
        """Return a random member of each class: isomorphic twins are told apart by chance alone."""
        _, _, order, counts = self._classes
        starts = np.cumsum(counts) - counts
        rows = order[starts[classes] + rng.integers(0, counts[classes])]
        return Architectures(self.architectures.space, self.architectures.genotypes[rows])

    def unseen(self, history: History) -> NDArray[np.intp]:
        """Return the rows that are canonically equal to no trial."""
        return np.flatnonzero(~np.isin(self.keys, history.keys))


_CACHE: OrderedDict[tuple[SearchSpace, Architectures | None], CandidateSet] = OrderedDict()


def is_whole(history: History) -> bool:
    """Return whether all candidates of a search are looked at, rather than a sample of them."""
    return history.pool is not None or is_small(history.space)


def is_small(space: SearchSpace) -> bool:
    """Return whether a space can be enumerated and looked at whole."""
    combinations = math.prod(space.cardinalities.tolist())
    return space.size is not None and space.size <= WHOLE and combinations <= ENUMERABLE


def candidate_set(history: History) -> CandidateSet:
    """Return all candidates of a search for which `is_whole`; those of the last few spaces are kept."""
    name = (history.space, history.pool)
    if name not in _CACHE:
        _CACHE[name] = CandidateSet(history.space.enumerate() if history.pool is None else history.pool)
    _CACHE.move_to_end(name)
    while len(_CACHE) > _KEPT:
        _CACHE.popitem(last=False)
    return _CACHE[name]


def first_new(batch: Architectures, keys: NDArray[np.uint64], history: History, n: int) -> Architectures:
    """Return the first `n` of a batch that are canonically distinct and new to the history."""
    look = max(64, 4 * n)
    while True:  # mostly the beginning of the batch is enough
        first = np.sort(np.unique(keys[:look], return_index=True)[1])
        new = first[~np.isin(keys[first], history.keys)]
        if len(new) >= n or look >= len(keys):
            return batch[new[:n]]
        look *= 8


def random_new(history: History, n: int, rng: np.random.Generator) -> Architectures:
    """Return up to `n` random architectures, canonically distinct and new; fewer only where no more are found.

    Genotypes are drawn uniformly from a small space or pool, and with the space's own distribution from a large one.
    """
    if is_whole(history):
        candidates = candidate_set(history)
        rows = rng.permutation(candidates.unseen(history))
        return first_new(candidates.architectures[rows], candidates.keys[rows], history, n)
    found = history.architectures[:0]
    keys = np.zeros(0, dtype=np.uint64)
    for _ in range(_SAMPLE_ROUNDS):
        drawn = history.space.sample(max(2 * n, 16), int(rng.integers(2**31)), distinct=False)
        found = Architectures.concatenate([found, drawn])
        keys = np.concatenate([keys, drawn.keys()])
        new = first_new(found, keys, history, n)
        if len(new) == n:
            break
    return new
