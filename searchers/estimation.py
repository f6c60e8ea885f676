"""Estimation of distribution: searchers that learn which genes good architectures have, and sample from that."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from ..spaces import Architectures
from .base import Searcher, check_number
from .candidates import candidate_set, first_new, is_whole, random_new
from .gene_models import GeneModel, Independent, Tree
from .history import History
from .moves import ranked

_ROUNDS = 8


class DistributionSearcher(Searcher):
    """Samples architectures from a distribution over genotypes that is learned from the best trials.

    Small spaces and pools are sampled exactly, without replacement among what is new; in large spaces samples that
    are invalid or known are drawn again.
    """

    initial: int

    @abstractmethod
    def _model(self, history: History) -> GeneModel:
        """Return the distribution, given at least one finished trial."""

    @abstractmethod
    def _check(self) -> None:
        """Check the parameters."""

    def _propose(self, history: History, n: int, rng: np.random.Generator) -> Architectures:
        self._check()
        if len(history) < self.initial or not len(history.finished):
            return random_new(history, n, rng)
        model = self._model(history)
        if is_whole(history):
            candidates = candidate_set(history)
            rows = candidates.unseen(history)
            chances = model.log_probability(candidates.architectures.genotypes[rows])
            # The Gumbel-max trick samples without replacement: Kool, van Hoof and Welling, ICML 2019.
            order = rows[np.argsort(-(chances + rng.gumbel(size=len(rows))), kind="stable")]
            return first_new(candidates.architectures[order], candidates.keys[order], history, n)
        found = history.architectures[:0]
        for _ in range(_ROUNDS):
            samples = model.sample(max(8 * n, 256), rng)
            drawn = Architectures(history.space, samples[history.space.is_valid(samples)])
            joined = Architectures.concatenate([found, drawn])
            found = first_new(joined, joined.keys(), history, n)
            if len(found) == n:
                return found
        return Architectures.concatenate([found, random_new(history.ask(found), n - len(found), rng)])


class UMDA(DistributionSearcher):
    """Univariate marginal distribution algorithm: each gene by itself, by its frequencies among the best trials.

    Parameters
    ----------
    initial : int
        Random architectures to begin with.
    best : float
        Share of the finished trials that is learned from; at least two.
    smoothing : float
        Pseudo-counts, shared by the choices of a gene: none ever becomes impossible.

    Notes
    -----
    Muehlenbein and Paass, "From Recombination of Genes to the Estimation of Distributions", PPSN 1996.
    """

    def __init__(self, initial: int = 20, *, best: float = 0.3, smoothing: float = 1.0) -> None:
        self.initial = initial
        self.best = best
        self.smoothing = smoothing

    def _check(self) -> None:
        check_number("initial", self.initial, 1, integer=True)
        check_number("best", self.best, 0, 1)
        check_number("smoothing", self.smoothing, 1e-6)

    def _selected(self, history: History) -> NDArray[np.int16]:
        order = ranked(history)
        return history.architectures.genotypes[order[: max(2, round(self.best * len(order)))]]

    def _model(self, history: History) -> GeneModel:
        return Independent.learn(self._selected(history), history.space.cardinalities, self.smoothing)


class TreeEDA(UMDA):
    """Learns pairwise dependencies: each gene given one other, along the most informative tree.

    Takes the parameters of `UMDA`.

    Notes
    -----
    Chow and Liu, "Approximating Discrete Probability Distributions with Dependence Trees", IEEE Transactions on
    Information Theory 1968. Baluja and Davies, "Using Optimal Dependency-Trees for Combinatorial Optimization",
    ICML 1997.
    """

    def _model(self, history: History) -> GeneModel:
        return Tree.learn(self._selected(history), history.space.cardinalities, self.smoothing)


class PBIL(DistributionSearcher):
    """Population-based incremental learning: after each generation the probabilities move towards its best.

    Parameters
    ----------
    initial : int
        Random architectures to begin with: the first generation.
    generation : int
        Finished trials per later generation, in the order in which they were asked for.
    best : int
        How many of a generation the probabilities move towards.
    rate : float
        How far they move, as a share of the distance.

    Notes
    -----
    Baluja, "Population-Based Incremental Learning", technical report CMU-CS-94-163, 1994. The distribution is
    computed from the history in every call. Probabilities never fall below a hundredth of an even share.
    """

    def __init__(self, initial: int = 20, *, generation: int = 10, best: int = 3, rate: float = 0.3) -> None:
        self.initial = initial
        self.generation = generation
        self.best = best
        self.rate = rate

    def _check(self) -> None:
        check_number("initial", self.initial, 1, integer=True)
        check_number("generation", self.generation, 1, integer=True)
        check_number("best", self.best, 1, integer=True)
        check_number("rate", self.rate, 0, 1)

    def _model(self, history: History) -> GeneModel:
        model = Independent.uniform(history.space.cardinalities)
        edges = np.arange(self.initial, len(history.finished), self.generation)
        for generation in np.split(history.finished, edges):
            # The last generation may be incomplete: it counts by its share.
            size = self.initial if generation[0] == history.finished[0] else self.generation
            order = generation[np.argsort(-history.utilities[generation], kind="stable")[: self.best]]
            share = min(1.0, len(generation) / size)
            model = model.moved(history.architectures.genotypes[order], self.rate * share)
        return model
