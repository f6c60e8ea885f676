"""Evolution: regularised (ageing) evolution, and a genetic algorithm with crossover."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..spaces import Architectures
from .base import Searcher, check_number, integer_seed
from .candidates import random_new
from .history import History
from .moves import mutants, offspring, ranked


class RegularizedEvolution(Searcher):
    """Mutates the best of a random few among the youngest trials; the oldest die, however good.

    Parameters
    ----------
    population : int
        How many of the last finished trials may have children; as many random architectures come first.
    sample : int
        Tournament size: how many of them compete for each child.

    Notes
    -----
    Real, Aggarwal, Huang and Le, "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019. Each
    child is a mutant in one gene.
    """

    def __init__(self, population: int = 20, sample: int = 10) -> None:
        self.population = population
        self.sample = sample

    def _propose(self, history: History, n: int, rng: np.random.Generator) -> Architectures:
        check_number("population", self.population, 1, integer=True)
        check_number("sample", self.sample, 1, self.population, integer=True)
        if len(history) < self.population or not len(history.finished):
            return random_new(history, n, rng)
        living = history.finished[-self.population :]

        def breed(count: int, attempt: int) -> Architectures:
            parents = tournament(living, history, count, self.sample, rng)
            return mutants(history.architectures[parents], rng, attempt)

        return offspring(history, n, rng, breed)


class GeneticAlgorithm(Searcher):
    """Crosses and mutates tournament winners among the best trials so far.

    Parameters
    ----------
    population : int
        How many of the best finished trials may have children; as many random architectures come first.
    sample : int
        Tournament size.
    crossover : float
        Probability that a child has two parents and takes each gene from either; otherwise it is a mutant of one.
    mutation : float
        Probability that a child of two parents is mutated as well.

    Notes
    -----
    A steady-state algorithm with elitist replacement and uniform crossover: Syswerda, "A Study of Reproduction in
    Generational and Steady-State Genetic Algorithms", FOGA 1991.
    """

    def __init__(self, population: int = 20, sample: int = 3, *, crossover: float = 0.5, mutation: float = 0.5) -> None:
        self.population = population
        self.sample = sample
        self.crossover = crossover
        self.mutation = mutation

    def _propose(self, history: History, n: int, rng: np.random.Generator) -> Architectures:
        check_number("population", self.population, 1, integer=True)
        check_number("sample", self.sample, 1, self.population, integer=True)
        check_number("crossover", self.crossover, 0, 1)
        check_number("mutation", self.mutation, 0, 1)
        if len(history) < self.population or not len(history.finished):
            return random_new(history, n, rng)
        living = ranked(history)[: self.population]

        def breed(count: int, attempt: int) -> Architectures:
            first = tournament(living, history, count, self.sample, rng)
            second = tournament(living, history, count, self.sample, rng)
            return crossed(
                history.architectures[first], history.architectures[second], self.crossover, self.mutation, rng, attempt
            )

        return offspring(history, n, rng, breed)


def tournament(
    living: NDArray[np.intp], history: History, count: int, size: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return the winners of `count` tournaments, each among `size` different trials (or all, if there are fewer)."""
    size = min(size, len(living))
    entrants = rng.random((count, len(living))).argsort(axis=1)[:, :size]
    best = history.utilities[living][entrants].argmax(axis=1)
    winners: NDArray[np.intp] = living[entrants[np.arange(count), best]]
    return winners


def crossed(
    first: Architectures,
    second: Architectures,
    crossover: float,
    mutation: float,
    rng: np.random.Generator,
    attempt: int = 0,
) -> Architectures:
    """Return one child per pair, by crossover, mutation or both; always mutated once trying has failed before."""
    mixed = rng.random(len(first)) < crossover
    children = first.space.crossover(first, second, integer_seed(rng)).genotypes
    children = np.where(mixed[:, None], children, first.genotypes)
    changed = ~mixed | (rng.random(len(first)) < mutation) | (attempt > 1)
    mutated = mutants(Architectures(first.space, children), rng, attempt).genotypes
    return Architectures(first.space, np.where(changed[:, None], mutated, children))
