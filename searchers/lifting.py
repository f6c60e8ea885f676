"""What a searcher learns from curves of many lengths: values at one epoch, measured or forecast from a lower one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .base import Searcher
from .curve_history import CurveHistory, Ending
from .grid import GridSearch
from .history import History, Status
from .random_search import RandomSearch

if TYPE_CHECKING:
    from ..predictors import Predictor

_BLIND = (RandomSearch, GridSearch)
"""Searchers that read no values."""


def lifted(
    history: CurveHistory, levels: Sequence[int], searcher: Searcher, lift: str | Predictor | None, enough: int
) -> History:
    """Return the trials with one value each, at the highest level that `enough` have reached.

    Models of the highest fidelity with enough observations are those of Falkner, Klein and Hutter, "BOHB", ICML 2018.
    What has been trained less joins with a forecast of its value there, from a predictor that is fitted to the trials
    that have both values, with the lower one as `info`. Before there are enough anywhere, the level that most trials
    have reached is told.

    Parameters
    ----------
    history : CurveHistory
    levels : sequence of int
        The levels to choose from, and to forecast from, increasing.
    searcher : Searcher
        The one that asks; those that read no values are told without forecasts.
    lift : str, Predictor or None
        The predictor; None leaves trials without a value pending.
    enough : int
    """
    failed = history.endings == Ending.FAILED
    known = np.isfinite(history.curves[:, levels]) & ~failed[:, None]
    counts = known.sum(axis=0)
    deep = np.flatnonzero(counts >= enough)
    target = int(deep[-1]) if len(deep) else int(np.argmax(counts))
    values = np.where(failed, np.nan, history.curves[:, levels[target]])
    if lift is not None and len(deep) and not isinstance(searcher, _BLIND):
        _forecast(history, levels, known, values, target, lift)
    status = np.where(np.isfinite(values), int(Status.FINISHED), int(Status.PENDING))
    status[failed] = Status.FAILED
    return history.as_history(values, status)


def _forecast(
    history: CurveHistory,
    levels: Sequence[int],
    known: NDArray[np.bool_],
    values: NDArray[np.float64],
    target: int,
    lift: str | Predictor,
) -> None:
    """Fill in the forecasts of trials whose last known level is below `target`."""
    from .surrogate import new_predictor

    both = np.flatnonzero(known[:, target])
    if np.ptp(values[both]) == 0:
        return
    last = known[:, :target].sum(axis=1) - 1
    for level in range(target):
        rows = np.flatnonzero(~known[:, target] & (last == level))
        if len(rows):
            lower = history.curves[:, levels[level]]
            fitted = new_predictor(lift).fit(history.architectures[both], values[both], info={"lower": lower[both]})
            values[rows] = fitted.predict(history.architectures[rows], info={"lower": lower[rows]})
