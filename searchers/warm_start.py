"""The first trainings of a search whose surrogate has sources: half of them what the sources think best."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..designs import Design
from ..predictors import Predictor
from ..spaces import Architectures
from .candidates import candidate_set, is_whole
from .history import History
from .initial_design import RANDOM, beginning
from .moves import promising_pool
from .surrogate import remembering

_POOL = 1000


def opening(
    predictor: Predictor,
    history: History,
    n: int,
    rng: np.random.Generator,
    *,
    design: str | Design = RANDOM,
    initial: int = 5,
) -> Architectures:
    """Return up to `n` new architectures to begin with: by a design, or every other one by what the sources say.

    Those that the sources do not choose tell the surrogate how far the sources can be trusted.

    Parameters
    ----------
    predictor : Predictor
        The surrogate, not fitted.
    history : History
    n : int
    rng : numpy Generator
    design, initial
        What chooses the others, and for how many: see `archcast.searchers.initial_design.beginning`.
    """
    if not predictor.get_params(deep=False).get("sources"):
        return beginning(design, initial, history, n, rng)
    return every_other(predictor, history, n, rng, lambda so_far: beginning(design, initial, so_far, 1, rng))


def every_other(
    predictor: Predictor,
    history: History,
    n: int,
    rng: np.random.Generator,
    another: Callable[[History], Architectures],
) -> Architectures:
    """Return up to `n` new architectures, at even numbers of trials the best by what the sources forecast.

    Parameters
    ----------
    predictor : Predictor
        Has sources, and need not be fitted.
    history : History
    n : int
    rng : numpy Generator
    another : callable
        Returns one new architecture at odd numbers of trials, given all that is chosen before, or none if none is left.
    """
    found = history.architectures[:0]
    for position in range(len(history), len(history) + n):
        so_far = history.ask(found)
        new = best_by_sources(predictor, so_far, rng) if position % 2 == 0 else another(so_far)
        if not len(new):
            break
        found = Architectures.concatenate([found, new])
    return found


def best_by_sources(predictor: Predictor, history: History, rng: np.random.Generator) -> Architectures:
    """Return the new architecture with the best mean of the sources' standardised forecasts, if there is any left."""
    if is_whole(history):
        candidates = candidate_set(history)
        free = np.flatnonzero(candidates.unseen_classes(history))
        if not len(free):
            return history.architectures[:0]
        scores = source_scores(predictor, candidates.representatives)[free]
        return candidates.members(free[[int(np.argmax(scores))]], rng)
    pool = promising_pool(history, _POOL, rng)
    if not len(pool):
        return pool
    return pool[[int(np.argmax(source_scores(predictor, pool)))]]


def source_scores(predictor: Predictor, architectures: Architectures) -> NDArray[np.float64]:
    """Return the mean of the sources' standardised forecasts of each architecture, `(n,)`."""
    forecasts = remembering(predictor).forecast_sources(architectures)
    spread = forecasts.std(axis=0)
    scores: NDArray[np.float64] = ((forecasts - forecasts.mean(axis=0)) / np.where(spread > 0, spread, 1)).mean(axis=1)
    return scores
