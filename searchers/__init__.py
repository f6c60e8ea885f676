"""Searchers and schedulers: what to train next, and how far; each a pure function of its history."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import InvalidDataError
from ..predictors import make_predictor
from ..registry import Entry, Registry
from .base import Searcher
from .curve_history import CurveHistory
from .history import History, Status
from .quantities import Quantity
from .scheduler import Scheduler

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
        "bo_transfer": Entry(
            ".searchers.bayesian_optimization:BayesianOptimization",
            "Gaussian process that also learns from sources, log expected improvement",
            {"predictor": "gp_transfer"},
        ),
        "bananas": Entry(".searchers.guided:Bananas", "mutants by independent Thompson sampling on path features"),
        "npenas": Entry(".searchers.guided:Npenas", "evolution whose mutants are screened by a predictor"),
        "brp": Entry(".searchers.guided:SuccessiveTopK", "the top of a ranking that is renewed every round"),
        "hybrid": Entry(".searchers.hybrid:HybridEvolution", "evolution proposes, a Gaussian process selects"),
        "tpe": Entry(".searchers.tpe:TPE", "tree-structured Parzen estimator of Optuna (extra: optuna)"),
        "smac": Entry(".searchers.smac:SMAC", "random forest and expected improvement of SMAC3 (extra: smac)"),
        "ehvi": Entry(
            ".searchers.hypervolume_search:HypervolumeSearch",
            "several objectives: Gaussian processes, expected hypervolume improvement",
        ),
        "parego": Entry(".searchers.parego:ParEGO", "several objectives: Gaussian process on random scalarisations"),
        "nsga2": Entry(".searchers.nsga2:NSGA2", "several objectives: evolution by pymoo's NSGA-II (extra: pymoo)"),
        "warm": Entry(".searchers.warm:WarmStart", "another searcher that begins with what sources think best"),
        "auto": Entry(
            ".searchers.bayesian_optimization:BayesianOptimization",
            "the best overall by measurement: Gaussian process on semantic features and counts of walks",
            {"predictor": "gp_graph@semantic+random_walk"},
        ),
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
        E.g. `"auto"`, `"bo"` or `"regularized_evolution"`; `archcast list searchers` shows them all. What follows a
        colon is the searcher around which it is built, as in `"warm:tpe"`, or else its predictor:
        `"bo:gp_random_walk"`, `"npenas:gp@path"`.
    **parameters
        Constructor arguments that override the defaults of the name.

    Raises
    ------
    UnknownNameError
        If there is no such searcher, or predictor.
    InvalidDataError
        If the searcher does not take one of the parameters, or what follows the colon.

    Examples
    --------
    >>> import archcast as ac
    >>> ac.make_searcher("regularized_evolution", population=20)
    RegularizedEvolution(population=20)
    """
    base, colon, inner = name.partition(":")
    if colon:
        accepted = inspect.signature(SEARCHERS.factory(base)).parameters
        makers: Mapping[str, Callable[[str], Any]] = {"searcher": make_searcher, "predictor": make_predictor}
        around = next((parameter for parameter in makers if parameter in accepted), None)
        if around is None:
            raise InvalidDataError(f"searcher {base!r} takes neither a searcher nor a predictor, got {name!r}")
        makers[around](inner)  # a misspelt inner name is reported now
        parameters.setdefault(around, inner)
    return SEARCHERS.make(Searcher, base, **parameters)


SCHEDULERS = Registry(
    "scheduler",
    {
        "full": Entry(".searchers.scheduler:FullFidelity", "every architecture is trained to the end, the baseline"),
        "successive_halving": Entry(".searchers.halving:SuccessiveHalving", "the best share of each rung goes on"),
        "asha": Entry(".searchers.halving:ASHA", "successive halving without waiting: promotions one by one"),
        "asha_stopping": Entry(".searchers.halving:StoppingASHA", "the same of trainings that cannot be paused"),
        "hyperband": Entry(".searchers.halving:Hyperband", "successive halving in brackets from short to full"),
        "bohb": Entry(".searchers.halving:BOHB", "Hyperband whose architectures a Gaussian process proposes"),
        "median": Entry(".searchers.stopping:MedianStopping", "stops what is worse than the median of the others"),
        "forecast": Entry(".searchers.stopping:ForecastStopping", "stops what will hardly beat the best, by its curve"),
    },
)
register_scheduler = SCHEDULERS.register


def make_scheduler(name: str, **parameters: Any) -> Scheduler:
    """Return a scheduler by name: `scheduler[@searcher]`.

    Parameters
    ----------
    name : str
        E.g. `"asha"`, `"bohb"` or `"hyperband@regularized_evolution"`; `archcast list schedulers` shows them all.
    **parameters
        Constructor arguments that override the defaults of the name.

    Raises
    ------
    UnknownNameError
        If there is no such scheduler or searcher.
    InvalidDataError
        If the scheduler does not take one of the parameters, or a searcher is given twice.

    Examples
    --------
    >>> import archcast as ac
    >>> ac.make_scheduler("asha@regularized_evolution", eta=4)
    ASHA(eta=4, searcher='regularized_evolution')
    """
    base, at, searcher = name.partition("@")
    if at:
        if "searcher" in parameters:
            raise InvalidDataError(f"scheduler {name!r} names its searcher, got also {parameters['searcher']!r}")
        SEARCHERS.factory(searcher)
        parameters = {"searcher": searcher, **parameters}
    return SCHEDULERS.make(Scheduler, base, **parameters)


__all__ = [
    "SCHEDULERS",
    "SEARCHERS",
    "CurveHistory",
    "History",
    "Quantity",
    "Scheduler",
    "Searcher",
    "Status",
    "make_scheduler",
    "make_searcher",
    "register_scheduler",
    "register_searcher",
    "takes_several",
]
