"""NSGA-II, through pymoo."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ..optional import requiring
from ..spaces import Architectures
from .base import Searcher, check_number, integer_seed
from .candidates import random_new
from .history import History
from .moves import offspring


class NSGA2(Searcher):
    """pymoo's NSGA-II, with one categorical variable per gene.

    The finished trials are told to a fresh run in every call, one generation after another as they were asked for; the
    population that survives has the children that are proposed. Bounds are told as constraints. Children that are
    invalid, or were trained already, are made again; in a pool each is replaced by the nearest free member.

    Needs the extra `pymoo`: `pip install archcast[pymoo]`.

    Parameters
    ----------
    population : int
        Size of the population and of each generation; as many random architectures come first.
    crossover : float
        Probability that two parents are crossed, uniformly in their genes.
    mutation : float, optional
        Probability that a gene is drawn anew; one gene of each child on average by default.

    Notes
    -----
    Deb, Pratap, Agarwal and Meyarivan, "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", IEEE
    Transactions on Evolutionary Computation 2002. Blank and Deb, "pymoo: Multi-Objective Optimization in Python", IEEE
    Access 2020.
    """

    multi_objective = True

    def __init__(self, population: int = 20, *, crossover: float = 0.9, mutation: float | None = None) -> None:
        self.population = population
        self.crossover = crossover
        self.mutation = mutation

    def _propose(self, history: History, n: int, rng: np.random.Generator) -> Architectures:
        check_number("population", self.population, 2, integer=True)
        check_number("crossover", self.crossover, 0, 1)
        if self.mutation is not None:
            check_number("mutation", self.mutation, 0, 1)
        modules = _import_pymoo()
        if len(history) < self.population or len(history.finished) < 2:
            return random_new(history, n, rng)
        run = self._run(modules, history, integer_seed(rng))
        space = history.space

        def breed(count: int, attempt: int) -> Architectures:
            rows = np.array(run.ask().get("X"), dtype=np.int64)
            valid = Architectures(space, rows[space.is_valid(rows)])
            if attempt < 3 or not len(valid):
                return valid
            near = space.neighbors(valid)[0]
            return near[rng.permutation(len(near))[: 4 * count]]

        return offspring(history, n, rng, breed)

    def _run(self, pymoo: _Pymoo, history: History, seed: int) -> Any:
        """Return pymoo's algorithm after all generations that are complete, or the first as far as it is known."""
        bounded = [j for j, quantity in enumerate(history.schema) if quantity.bounded]
        rows = history.finished
        told = -history.objectives[rows]
        excess = [history.schema[j].violations(history.matrix[rows, j]) for j in bounded]
        constraints = np.stack(excess, axis=1) if bounded else np.zeros((len(rows), 0))
        choices = {
            f"gene{j}": pymoo.Choice(options=list(range(cardinality)))
            for j, cardinality in enumerate(history.space.cardinalities.tolist())
        }
        problem = pymoo.Problem(vars=choices, n_obj=told.shape[1], n_ieq_constr=len(bounded))
        rate = 1 / history.space.dimension if self.mutation is None else self.mutation
        run = pymoo.NSGA2(
            pop_size=self.population,
            crossover=pymoo.UniformCrossover(prob=self.crossover),
            mutation=pymoo.ChoiceRandomMutation(prob=1.0, prob_var=rate),
            eliminate_duplicates=False,
            seed=seed,
        )
        run.setup(problem, termination=pymoo.NoTermination())
        complete = max(len(rows) - len(rows) % self.population, min(len(rows), self.population))
        genotypes = history.architectures.genotypes[rows].astype(object)
        for start in range(0, complete, self.population):
            part = slice(start, min(start + self.population, complete))
            run.tell(infills=pymoo.Population.new("X", genotypes[part], "F", told[part], "G", constraints[part]))
        return run


class _Pymoo:
    """What is needed of pymoo."""

    def __init__(self) -> None:
        import pymoo.algorithms.moo.nsga2 as algorithms
        from pymoo.core.population import Population
        from pymoo.core.problem import Problem
        from pymoo.core.termination import NoTermination
        from pymoo.core.variable import Choice
        from pymoo.operators.crossover.ux import UniformCrossover
        from pymoo.operators.mutation.rm import ChoiceRandomMutation

        self.NSGA2, self.Population, self.Problem, self.NoTermination = (
            algorithms.NSGA2,
            Population,
            Problem,
            NoTermination,
        )
        self.Choice, self.UniformCrossover, self.ChoiceRandomMutation = Choice, UniformCrossover, ChoiceRandomMutation


def _import_pymoo() -> _Pymoo:
    with requiring("pymoo", "the searcher 'nsga2'", "pymoo"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _Pymoo()
