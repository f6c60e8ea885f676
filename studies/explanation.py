"""Why a candidate was picked: what was forecast for it, what the acquisition said, and what it resembles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ArchcastError
from ..predictors.targets import TargetTransforms
from ..searchers import History, Searcher
from ..searchers.bayesian_optimization import acquisition_of, surrogate_of
from ..searchers.feasibility import log_success
from ..searchers.features import SpaceEncoder
from ..searchers.surrogate import is_informative, new_predictor
from ..spaces import Architectures

LEAST = 4
"""So many finished trainings are needed for a forecast."""

_NEIGHBORS = 3
_JOINT = ("thompson", "independent_thompson", "mes")
"""Acquisitions that depend on chance or on all candidates, and mean nothing for a single one."""


def explain(
    searcher: Searcher, history: History, architectures: Architectures, numbers: Sequence[int]
) -> dict[str, Any]:
    """Return what is known of one architecture at the moment it is picked.

    Parameters
    ----------
    searcher : Searcher
        Its own predictor makes the forecast if it has one, else a Gaussian process.
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
    if len(history.finished) < LEAST or not is_informative(history):
        return about
    try:
        about |= _forecast(searcher, history, architectures, about["initial"])
        about["neighbors"] = [numbers[row] for row in _nearest(history, architectures)]
    except (ArchcastError, ValueError, ArithmeticError, TypeError):
        pass
    return about


def _is_initial(searcher: Searcher, history: History) -> bool:
    least = searcher.get_params(deep=False).get("initial")
    return isinstance(least, int) and len(history) < least


def _forecast(searcher: Searcher, history: History, architectures: Architectures, initial: bool) -> dict[str, float]:
    parameters = searcher.get_params(deep=False)
    transform = parameters.get("target_transform", "rank_gaussian")
    predictor = new_predictor(parameters.get("predictor", "gp"))
    surrogate = surrogate_of(predictor, history, architectures, transform, refit=float(parameters.get("refit", 0.1)))
    said = surrogate.forecast()
    transforms = TargetTransforms(transform, 1)
    raw = transforms.fit_transform(history.utilities[history.finished][:, None])
    mean, std = said.mean[:, None] * raw.std() + raw.mean(), said.std[:, None] * raw.std()
    sign = 1.0 if history.higher_is_better else -1.0
    about = {
        "forecast_mean": sign * float(transforms.inverse(mean)[0, 0]),
        "forecast_std": float(transforms.spread(mean, std)[0, 0]),
    }
    acquisition = parameters.get("acquisition")
    if acquisition is not None and acquisition not in _JOINT and not initial:
        function = acquisition_of(acquisition, parameters.get("acquisition_options"))
        score = function(said, np.random.default_rng(0)) + log_success(history, architectures)
        about["acquisition"] = float(score[0])
    return {name: value for name, value in about.items() if np.isfinite(value)}


def _nearest(history: History, architectures: Architectures) -> list[int]:
    encoder = SpaceEncoder("semantic", scaled=True)
    features = encoder.transform(history.architectures[history.finished])
    distances = np.linalg.norm(features - encoder.transform(architectures), axis=1)
    rows: list[int] = history.finished[np.argsort(distances, kind="stable")[:_NEIGHBORS]].tolist()
    return rows
