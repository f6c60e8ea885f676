"""Search moves on a history: what evolution, local search and large spaces need, and never a twin of a trial."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from ..spaces import Architectures
from .base import integer_seed
from .candidates import candidate_set, first_new, random_new
from .history import History
from .pareto import crowding, front_numbers

Breed: TypeAlias = Callable[[int, int], Architectures]
"""Makes so many children, in the given round of trying; they may be twins of each other or of trials."""

_ROUNDS = 12
_ELITE = 20


def offspring(history: History, n: int, rng: np.random.Generator, breed: Breed) -> Architectures:
    """Return `n` new, canonically distinct architectures that `breed` makes.

    Where a pool limits what may be proposed, each child is replaced by the nearest free member of the pool. Children
    that were trained already are made again; after a dozen rounds random architectures stand in.
    """
    found = history.architectures[:0]
    for attempt in range(_ROUNDS):
        children = breed(n - len(found), attempt)
        if history.pool is not None:
            children = nearest_in_pool(history.ask(found), children, rng)
        joined = Architectures.concatenate([found, children])
        found = first_new(joined, joined.keys(), history, n)
        if len(found) == n:
            return found
    return Architectures.concatenate([found, random_new(history.ask(found), n - len(found), rng)])


def nearest_in_pool(history: History, wanted: Architectures, rng: np.random.Generator) -> Architectures:
    """Return for each architecture the free member of the pool that differs in the fewest genes, ties by chance."""
    candidates = candidate_set(history)
    rows = rng.permutation(candidates.unseen(history))
    if not len(rows) or not len(wanted):
        return wanted[:0]
    members = candidates.architectures[rows]
    nearest = [int(np.argmin(cdist(genotype[None], members.genotypes, "hamming")[0])) for genotype in wanted.genotypes]
    return members[nearest]


def mutants(parents: Architectures, rng: np.random.Generator, attempt: int = 0) -> Architectures:
    """Return one mutant of each parent; more genes change, the more rounds of trying failed before."""
    free = int((parents.space.cardinalities > 1).sum())
    return parents.space.mutate(parents, integer_seed(rng), n_genes=min(1 + attempt // 3, free))


def ranked(history: History) -> NDArray[np.intp]:
    """Return the finished trials, best first, the earlier of equals first.

    With several quantities: the feasible ones first, front by front, and in each the lonelier first.
    """
    if history.quantities:
        points, feasible = history.objectives[history.finished], history.feasible[history.finished]
        order = np.lexsort((-crowding(points), front_numbers(points), ~feasible))
        best_first: NDArray[np.intp] = history.finished[order]
        return best_first
    return history.finished[np.argsort(-history.utilities[history.finished], kind="stable")]


def promising_pool(history: History, size: int, rng: np.random.Generator) -> Architectures:
    """Return new architectures of a large space, `size` random ones and about as many bred from the best trials."""
    space = history.space
    parts = [space.sample(size, integer_seed(rng), distinct=False)]
    elite = history.architectures[ranked(history)[:_ELITE]]
    if len(elite):
        # Better trials have more children: the rank of a parent falls off linearly.
        def parents(count: int) -> Architectures:
            return elite[np.minimum(rng.integers(0, len(elite), count), rng.integers(0, len(elite), count))]

        for changes in range(3):
            parts.append(mutants(parents(size // 4), rng, attempt=3 * changes))
        parts.append(space.crossover(parents(size // 4), parents(size // 4), integer_seed(rng)))
    joined = Architectures.concatenate(parts)
    return first_new(joined, joined.keys(), history, len(joined))
