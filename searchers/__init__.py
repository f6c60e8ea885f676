"""Searchers: ask/tell, each a pure function of its history."""

from __future__ import annotations

from typing import Any

from ..errors import InvalidDataError
from ..registry import Entry, Registry
from .base import Searcher
from .history import History, Status

SEARCHERS = Registry(
    "searcher",
    {
        "random": Entry(".searchers.random_search:RandomSearch", "random architectures, the baseline"),
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
    },
)
register_searcher = SEARCHERS.register


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


__all__ = ["SEARCHERS", "History", "Searcher", "Status", "make_searcher", "register_searcher"]
