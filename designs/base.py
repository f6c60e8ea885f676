"""The contract of a design: a seeded choice of canonically distinct architectures, made without any outcome."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from ..encoders import Encoder
from ..encoders.base import as_batch
from ..errors import InvalidDataError
from ..spaces import Architecture, Architectures, SearchSpace

_WHOLE = 100_000
"""Spaces of at most so many architectures are looked at whole, larger ones by a sample."""

_CHOICE = 4
"""However many are wanted, a design that weighs them chooses among so many times more, if there are as many."""


class Design(BaseEstimator, ABC):  # type: ignore[misc]
    """Chooses what to train first.

    A design holds its parameters and nothing else, untouched, like a scikit-learn estimator. In contrast to a searcher
    it knows no outcome, and all of its choices are made at once. The same seed chooses the same architectures, process
    to process. Of isomorphic twins one is chosen at most, by
    chance; designs that look for what is typical give a class the weight of all its members.

    Subclasses implement `_select`, and check their parameters there.
    """

    def choose(
        self, among: SearchSpace | Architectures | Sequence[Architecture], n: int, seed: int = 0
    ) -> Architectures:
        """Return `n` canonically distinct architectures of a space, or of those given.

        Parameters
        ----------
        among : SearchSpace, Architectures or sequence of Architecture
            A space of up to 100,000 architectures is looked at whole, a larger one by a seeded sample.
        n : int
        seed : int

        Returns
        -------
        Architectures, `(n,)`

        Raises
        ------
        InvalidDataError
            If there are fewer than `n` distinct ones, or a number or parameter is out of range.
        """
        self._check(n, seed)
        pool = self._pool(among, int(n), int(seed)) if isinstance(among, SearchSpace) else as_batch(among)
        return pool[self.rows(pool, n, seed)]

    def rows(self, architectures: Architectures | Sequence[Architecture], n: int, seed: int = 0) -> NDArray[np.intp]:
        """Return the rows of `n` canonically distinct architectures of a batch, in the order chosen, `(n,)`.

        Raises
        ------
        InvalidDataError
            As for `choose`.
        """
        self._check(n, seed)
        batch = as_batch(architectures)
        rng = np.random.default_rng(seed)
        shuffled = rng.permutation(len(batch))
        _, first, of = np.unique(batch.keys()[shuffled], return_index=True, return_inverse=True)
        if n > len(first):
            raise InvalidDataError(
                f"a design of {n} architectures needs as many that are canonically distinct, got {len(first)} among "
                f"{len(batch)} of space {batch.space.name!r}"
            )
        order, most = np.argsort(first), self._wanted(int(n))
        looked_at = first[order[most]] if most < len(first) else len(batch)
        weights = np.bincount(of[:looked_at], minlength=len(first))[order[:most]].astype(np.float64)
        distinct: NDArray[np.intp] = shuffled[first[order[:most]]]
        return distinct[self._select(batch[distinct], weights, int(n), rng)]

    @staticmethod
    def _check(n: int, seed: int) -> None:
        for name, value, least in (("n", n, 1), ("seed", seed, 0)):
            check_count(name, value, least)

    def _wanted(self, n: int) -> int:
        """Return among how many a design of `n` is chosen, at most."""
        return n

    def _pool(self, space: SearchSpace, n: int, seed: int) -> Architectures:
        """Return all architectures of a space, or a sample of a large one that holds `n` distinct ones."""
        if space._is_enumerable and space.size is not None and space.size <= _WHOLE:
            return space.enumerate()
        other_seed = int(np.random.default_rng((seed, 1)).integers(2**31))
        pool = space.sample(2 * self._wanted(n), other_seed, distinct=False)
        if len(np.unique(pool.keys())) < n:
            pool = space.sample(n, other_seed, canonical=True)
        return pool

    @abstractmethod
    def _select(
        self, candidates: Architectures, weights: NDArray[np.float64], n: int, rng: np.random.Generator
    ) -> NDArray[np.intp]:
        """Return `n` distinct positions among canonically distinct candidates, which come in random order.

        Parameters
        ----------
        candidates : Architectures, `(m,)`
        weights : float64 array `(m,)`
            How many architectures each of them stands for: itself and its twins.
        n : int
            At most `m`.
        rng : numpy Generator
        """


class EncodedDesign(Design):
    """A design that looks at encodings.

    Parameters
    ----------
    encoder : str or Encoder
        What it looks at.
    candidates : int
        Among how many architectures it chooses, at most; those of a larger space or pool are drawn at random.
    """

    def __init__(self, encoder: str | Encoder = "semantic", *, candidates: int = 5000) -> None:
        self.encoder = encoder
        self.candidates = candidates

    def _wanted(self, n: int) -> int:
        check_count("candidates", self.candidates, 1)
        return max(int(self.candidates), _CHOICE * n)


def check_count(name: str, value: object, least: int) -> None:
    """Raise InvalidDataError unless `value` is an integer of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InvalidDataError(f"{name} must be an integer of at least {least}, got {value!r}")
