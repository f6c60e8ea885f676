"""Local search: climb to an architecture that no neighbour beats, then start again elsewhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from ..spaces import Architectures
from .base import Searcher, check_number
from .candidates import candidate_set, first_new, random_new
from .history import History, Status


class LocalSearch(Searcher):
    """Trains neighbours of the incumbent in random order, moves to the first that is better, restarts at the top.

    Neighbours differ in one gene. In a pool, where hardly any two architectures may be that close, they are as many
    of the nearest members as the space has neighbours at most.

    Which climb is under way is read from the history: a trial next to the incumbent belongs to its climb, any other
    begins a new one, and of several beginnings in a row the best counts.

    Parameters
    ----------
    initial : int
        Random architectures before each climb.

    Notes
    -----
    White, Nolen and Savani, "Exploring the Loss Landscape in Neural Architecture Search", UAI 2021 (the variant that
    moves as soon as it finds a better neighbour).
    """

    def __init__(self, initial: int = 10) -> None:
        self.initial = initial

    def _propose(self, history: History, n: int, rng: np.random.Generator) -> Architectures:
        check_number("initial", self.initial, 1, integer=True)
        incumbent, beginnings = self._climb(history)
        if incumbent is None or 0 < beginnings < self.initial:
            return random_new(history, n, rng)
        near = self._neighbors(history, history.architectures[incumbent : incumbent + 1])
        near = near[rng.permutation(len(near))]
        found = first_new(near, near.keys(), history, n)
        if len(found) == n:
            return found
        return Architectures.concatenate([found, random_new(history.ask(found), n - len(found), rng)])

    def _climb(self, history: History) -> tuple[int | None, int]:
        """Return the incumbent, and how many beginnings in a row the history ends with (0 during a climb)."""
        incumbent: int | None = None
        beginnings = 0
        reach = self._reach(history)
        distances = _differing_genes(history.architectures, history.architectures)
        for trial, status in enumerate(history.status.tolist()):
            if incumbent is not None and distances[incumbent, trial] <= reach[incumbent]:
                beginnings = 0
                if status == Status.FINISHED and history.utilities[trial] > history.utilities[incumbent]:
                    incumbent = trial
                continue
            beginnings += 1
            if status != Status.FINISHED:
                continue
            better = incumbent is None or history.utilities[trial] > history.utilities[incumbent]
            if better or beginnings == 1:
                incumbent = trial
        return incumbent, beginnings

    @staticmethod
    def _reach(history: History) -> NDArray[np.float64]:
        """Return how many genes a neighbour of each trial may differ in, `(t,)`."""
        if history.pool is None:
            return np.ones(len(history))
        members = candidate_set(history).architectures
        k = min(_degree(history), len(members) - 1)
        distances = _differing_genes(history.architectures, members)
        return np.asarray(np.partition(distances, k, axis=1)[:, k])

    @staticmethod
    def _neighbors(history: History, center: Architectures) -> Architectures:
        if history.pool is None:
            return history.space.neighbors(center)[0]
        members = candidate_set(history).architectures
        order = np.argsort(_differing_genes(center, members)[0], kind="stable")
        return members[order[: _degree(history) + 1]]


def _degree(history: History) -> int:
    """Return the largest number of neighbours in the space."""
    return int((history.space.cardinalities - 1).sum())


def _differing_genes(first: Architectures, second: Architectures) -> NDArray[np.float64]:
    return np.asarray(np.rint(cdist(first.genotypes, second.genotypes, "hamming") * first.space.dimension))
