"""Searchers: ask/tell, each a pure function of its history."""

from __future__ import annotations

from typing import Any

from ..errors import InvalidDataError
from ..registry import Entry, Registry
from .base import Searcher
from .history import History, Status
from .quantities import Quantity

SEARCHERS = Registry(
    "searcher",
    {
        "random": Entry(".searchers.random_search:RandomSearch", "random architectures, the baseline"),
        "grid": Entry(".searchers.grid:GridSearch", "an even walk through the space"),
        "local_search": Entry(".searchers.local_search:LocalSearch", "climbs by single genes, with restarts"),
        "regularized_evolution": Entry(
            ".searchers.evolution:RegularizedEvolution", "ageing evolution: mutants of tournament winners"
        ),
        "genetic": Entry(".searchers.evolution:GeneticAlgorithm", "crossover and mutation of tournament winners"),
        "umda": Entry(".searchers.estimation:UMDA", "samples genes by their frequency among the best"),
        "pbil": Entry(".searchers.estimation:PBIL", "probabilities of genes, moved towards each generation's best"),
        "tree_eda": Entry(".searchers.estimation:TreeEDA", "samples genes along a tree of dependencies among the best"),
        "bo": Entry(
            ".searchers.bayesian_optimization:BayesianOptimization", "Gaussian process, log expected improvement"
        ),
        "bo_ucb": Entry(
            ".searchers.bayesian_optimization:BayesianOptimization",
            "Gaussian process, upper confidence bound",
            {"acquisition": "ucb"},
        ),
        "bo_thompson": Entry(
            ".searchers.bayesian_optimization:BayesianOptimization",
            "Gaussian process, Thompson sampling from the joint posterior",
            {"acquisition": "thompson"},
        ),
        "bo_pi": Entry(
            ".searchers.bayesian_optimization:BayesianOptimization",
            "Gaussian process, probability of improvement",
            {"acquisition": "pi"},
        ),
        "bo_mes": Entry(
            ".searchers.bayesian_optimization:BayesianOptimization",
            "Gaussian process, max-value entropy search",
            {"acquisition": "mes"},
        ),
        "bananas": Entry(".searchers.guided:Bananas", "mutants by independent Thompson sampling on path features"),
        "npenas": Entry(".searchers.guided:Npenas", "evolution whose mutants are screened by a predictor"),
        "brp": Entry(".searchers.guided:SuccessiveTopK", "the top of a ranking that is renewed every round"),
        "hybrid": Entry(".searchers.hybrid:HybridEvolution", "evolution proposes, a Gaussian process selects"),
        "tpe": Entry(".searchers.tpe:TPE", "tree-structured Parzen estimator of Optuna (extra: optuna)"),
        "ehvi": Entry(
            ".searchers.hypervolume_search:HypervolumeSearch",
            "several objectives: Gaussian processes, expected hypervolume improvement",
        ),
        "parego": Entry(".searchers.parego:ParEGO", "several objectives: Gaussian process on random scalarisations"),
        "nsga2": Entry(".searchers.nsga2:NSGA2", "several objectives: evolution by pymoo's NSGA-II (extra: pymoo)"),
        "auto": Entry(".searchers.bayesian_optimization:BayesianOptimization", "the best overall by measurement"),
    },
)
register_searcher = SEARCHERS.register


def takes_several(name: str) -> bool:
    """Return whether the searcher of a name takes a history of several objectives and of bounds.

    Raises
    ------
    UnknownNameError
        If there is no such searcher.
    """
    return bool(getattr(SEARCHERS.factory(name), "multi_objective", False))


def make_searcher(name: str, **parameters: Any) -> Searcher:
    """Return a searcher by name.

    Parameters
    ----------
    name : str
        E.g. `"auto"`, `"bo"` or `"regularized_evolution"`; `archcast list searchers` shows them all.
    **parameters
        Constructor arguments that override the defaults of the name.

    Raises
    ------
    UnknownNameError
        If there is no such searcher.
    InvalidDataError
        If the searcher does not take one of the parameters.

    Examples
    --------
    >>> import archcast as ac
    >>> ac.make_searcher("regularized_evolution", population=20)
    RegularizedEvolution(population=20)
    """
    searcher = SEARCHERS.create(name, **parameters)
    if not isinstance(searcher, Searcher):
        raise InvalidDataError(f"searcher {name!r} is registered with a {type(searcher).__name__}, expected a Searcher")
    return searcher


__all__ = [
    "SEARCHERS",
    "History",
    "Quantity",
    "Searcher",
    "Status",
    "make_searcher",
    "register_searcher",
    "takes_several",
]
