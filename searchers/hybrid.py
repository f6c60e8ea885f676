"""Evolution proposes, a model selects."""

from __future__ import annotations

import numpy as np

from ..designs import Design, as_design
from ..predictors import Predictor
from ..predictors.targets import TRANSFORMS
from ..spaces import Architectures
from .acquisition import Acquisition, Forecast
from .base import Searcher, check_choice, check_number
from .bayesian_optimization import acquisition_of, select, surrogate_of
from .evolution import crossed, tournament
from .feasibility import log_success
from .history import History
from .initial_design import beginning
from .moves import offspring, ranked
from .surrogate import is_informative, new_predictor


class HybridEvolution(Searcher):
    """Breeds many children of the best trials by crossover and mutation, and trains those a surrogate values most.

    In contrast to Bayesian optimisation only what is close to good trials is considered: the surrogate is asked where
    it knows something, and the cost of a step depends neither on the size of the space nor on its kind.

    Parameters
    ----------
    predictor : str or Predictor
        The surrogate.
    acquisition : str or callable
        See `BayesianOptimization`.
    initial : int
        Architectures to begin with.
    initial_design : str or Design
        What chooses them, such as `"kmeans"` (`archcast.designs`): `"random"` draws one after another.
    population : int
        How many of the best trials may have children.
    sample : int
        Tournament size.
    children : int
        How many are bred for each that is trained.
    crossover, mutation : float
        See `GeneticAlgorithm`.
    target_transform : {"rank_gaussian", "standardize", "none"}
        The scale on which the surrogate and the acquisition work.
    """

    def __init__(
        self,
        predictor: str | Predictor = "gp",
        acquisition: str | Acquisition[Forecast] = "log_ei",
        *,
        initial: int = 10,
        initial_design: str | Design = "random",
        population: int = 20,
        sample: int = 3,
        children: int = 200,
        crossover: float = 0.5,
        mutation: float = 0.5,
        target_transform: str = "rank_gaussian",
    ) -> None:
        self.predictor = predictor
        self.acquisition = acquisition
        self.initial = initial
        self.initial_design = initial_design
        self.population = population
        self.sample = sample
        self.children = children
        self.crossover = crossover
        self.mutation = mutation
        self.target_transform = target_transform

    def _propose(self, history: History, n: int, rng: np.random.Generator) -> Architectures:
        for name in ("initial", "population", "sample", "children"):
            check_number(name, getattr(self, name), 1, integer=True)
        as_design(self.initial_design)
        check_number("crossover", self.crossover, 0, 1)
        check_number("mutation", self.mutation, 0, 1)
        check_choice("target_transform", self.target_transform, tuple(TRANSFORMS))
        predictor, acquisition = new_predictor(self.predictor), acquisition_of(self.acquisition)
        if len(history) < self.initial or not is_informative(history):
            return beginning(self.initial_design, self.initial, history, n, rng)
        living = ranked(history)[: self.population]

        def breed(count: int, attempt: int) -> Architectures:
            first, second = (
                history.architectures[tournament(living, history, count, self.sample, rng)] for _ in range(2)
            )
            return crossed(first, second, self.crossover, self.mutation, rng, attempt)

        pool = offspring(history, max(self.children, n), rng, breed)
        if not len(pool):
            return pool
        surrogate = surrogate_of(predictor, history, pool, self.target_transform)
        free = np.ones(len(pool), dtype=np.bool_)
        return pool[select(surrogate, acquisition, log_success(history, pool), free, n, rng)]
