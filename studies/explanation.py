"""Why a candidate was picked: its forecast and the genes behind it, the acquisition, and what it resembles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArchcastError
from ..explanations import best_edits, gene_attribution
from ..predictors.targets import TargetTransforms
from ..searchers import History, Searcher
from ..searchers.acquisition import Forecast
from ..searchers.bayesian_optimization import acquisition_of, surrogate_of
from ..searchers.feasibility import log_success
from ..searchers.features import SpaceEncoder
from ..searchers.surrogate import Floats, Surrogate, is_informative, new_predictor
from ..spaces import Architecture, Architectures

LEAST = 4
"""So many finished trainings are needed for a forecast."""

_NEIGHBORS = 3
_CONTRIBUTIONS = 5
_BACKGROUND = (5, 25)
_STEPS = 500
_JOINT = ("thompson", "independent_thompson", "mes")
"""Acquisitions that depend on chance or on all candidates, and mean nothing for a single one."""


def explain(
    searcher: Searcher, history: History, architectures: Architectures, numbers: Sequence[int]
) -> dict[str, Any]:
    """Return what is known of one architecture at the moment it is picked.

    Parameters
    ----------
    searcher : Searcher
        Its own predictor makes the forecast if it has one, else a Gaussian process; of a warm start that of the
        searcher that is begun for.
    history : History
        Before the architecture was asked for.
    architectures : Architectures, `(1,)`
    numbers : sequence of int
        The numbers of the trials of the history.

    Returns
    -------
    dict
        `known`, how many trainings were finished, and `initial`, whether it is of those that the searcher begins with
        whatever they may be worth. With enough finished trainings also `forecast_mean` and `forecast_std` in the
        units of the metric (of the outcome without its noise), `acquisition` if the searcher has one that tells (on its
        own scale), and `neighbors`, the numbers of the most similar finished trials, the nearest first. A forecast that
        fails is left out: it must not end the search.
    """
    about: dict[str, Any] = {"known": len(history.finished), "initial": _is_initial(searcher, history)}
    searcher = searcher.inner()
    if len(history.finished) < LEAST or not is_informative(history):
        return about
    try:
        about |= _forecast(searcher, history, architectures, about["initial"])
        about["contributions"] = _contributions(searcher, history, architectures)
        about["neighbors"] = [numbers[row] for row in _nearest(history, architectures)]
    except (ArchcastError, ValueError, ArithmeticError, TypeError):
        pass
    return about


def _is_initial(searcher: Searcher, history: History) -> bool:
    for beginner in (searcher, searcher.inner()):
        least = beginner.get_params(deep=False).get("initial")
        if isinstance(least, int) and len(history) < least:
            return True
    return False


def _surrogate(searcher: Searcher, history: History, architectures: Architectures) -> Surrogate[Forecast]:
    parameters = searcher.get_params(deep=False)
    predictor = new_predictor(parameters.get("predictor", "gp"))
    refit = float(parameters.get("refit", 0.1))
    return surrogate_of(predictor, history, architectures, _transform(searcher), refit=refit)


def _transform(searcher: Searcher) -> str:
    return str(searcher.get_params(deep=False).get("target_transform", "rank_gaussian"))


def _in_units(searcher: Searcher, history: History, said: Forecast) -> tuple[Floats, Floats]:
    """Return mean and deviation of forecasts in the units of the metric, both `(m,)`."""
    transforms = TargetTransforms(_transform(searcher), 1)
    raw = transforms.fit_transform(history.utilities[history.finished][:, None])
    mean, std = said.mean[:, None] * raw.std() + raw.mean(), said.std[:, None] * raw.std()
    sign = 1.0 if history.higher_is_better else -1.0
    return sign * transforms.inverse(mean)[:, 0], transforms.spread(mean, std)[:, 0]


def _forecast(searcher: Searcher, history: History, architectures: Architectures, initial: bool) -> dict[str, float]:
    said = _surrogate(searcher, history, architectures).forecast()
    mean, std = _in_units(searcher, history, said)
    about = {"forecast_mean": float(mean[0]), "forecast_std": float(std[0])}
    parameters = searcher.get_params(deep=False)
    acquisition = parameters.get("acquisition")
    if acquisition is not None and acquisition not in _JOINT and not initial:
        function = acquisition_of(acquisition, parameters.get("acquisition_options"))
        score = function(said, np.random.default_rng(0)) + log_success(history, architectures)
        about["acquisition"] = float(score[0])
    return {name: value for name, value in about.items() if np.isfinite(value)}


def _contributions(
    searcher: Searcher, history: History, architectures: Architectures, n: int | None = _CONTRIBUTIONS
) -> list[tuple[str, float]]:
    """Return what the genes add to the forecast beside finished trials, the most important first."""

    def forecast(batch: Architectures) -> Floats:
        return _in_units(searcher, history, _surrogate(searcher, history, batch).forecast())[0]

    # A walk from each of these trials has as many steps as there are genes: so many trials that it stays quick.
    least, most = _BACKGROUND
    size = min(max(_STEPS // architectures.space.dimension, least), most, len(history.finished))
    drawn = np.random.default_rng(len(history)).permutation(history.finished)[:size]
    found = gene_attribution(forecast, architectures, history.architectures[np.sort(drawn)], seed=len(history))
    return [(record["feature"], record["contribution"]) for record in found.top(0, n)]


def next_edits(searcher: Searcher, history: History, architecture: Architecture, n: int) -> list[dict[str, Any]]:
    """Return the edits of an architecture that are forecast to help most, of those that were not tried.

    The searcher's own predictor, or a Gaussian process if it has none, is fitted to all finished trials. Nothing is
    returned where there are too few of them or the forecast fails.

    Returns
    -------
    list of dict
        As `archcast.explanations.Edits.records`.
    """
    if len(history.finished) < LEAST or not is_informative(history):
        return []
    parameters = searcher.inner().get_params(deep=False)
    try:
        predictor = new_predictor(parameters.get("predictor", "gp"))
        predictor.fit(history.architectures[history.finished], history.values[history.finished])
        direction = "higher" if history.higher_is_better else "lower"
        return best_edits(predictor, architecture, n, direction=direction, exclude=history.architectures).records()
    except (ArchcastError, ValueError, ArithmeticError, TypeError):
        return []


def _nearest(history: History, architectures: Architectures) -> list[int]:
    encoder = SpaceEncoder("semantic", scaled=True)
    features = encoder.transform(history.architectures[history.finished])
    distances = np.linalg.norm(features - encoder.transform(architectures), axis=1)
    rows: list[int] = history.finished[np.argsort(distances, kind="stable")[:_NEIGHBORS]].tolist()
    return rows
