"""Bayesian optimisation: the candidate with the largest acquisition on a surrogate is trained next."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..designs import Design, as_design
from ..errors import InvalidDataError
from ..predictors import Predictor
from ..predictors.targets import TRANSFORMS
from ..spaces import Architectures
from .acquisition import ACQUISITIONS, Acquisition, Forecast, ForecastT
from .base import Searcher, check_choice, check_number
from .candidates import candidate_set, first_new, is_whole
from .feasibility import log_success
from .gaussian import GaussianSurrogate, suits
from .history import History
from .moves import promising_pool
from .surrogate import PredictorSurrogate, Surrogate, is_informative, new_predictor, remembering
from .warm_start import opening

_WHOLE = 50_000
_CLIMBS = 3
_CLIMBERS = 10


class BayesianOptimization(Searcher):
    """Trains what a surrogate finds most worth it.

    Small spaces and pools are scored whole, one architecture of each canonical class; for large spaces the acquisition
    is maximised over random architectures and mutants of the best, then by local search. Batches, and trials that
    are still running, are believed at their forecast.

    Parameters
    ----------
    predictor : str or Predictor
        The surrogate; a Gaussian process on semantic features by default. One with sources, such as
        `make_predictor("gp_transfer", sources=[...])`, warm-starts the search: see `archcast.searchers.warm_start`.
    acquisition : str or callable
        One of `archcast.searchers.acquisition.ACQUISITIONS`, or a function of a `Forecast` and a random generator
        that returns one score per candidate, the larger the better.
    acquisition_options : mapping, optional
        Further arguments of the acquisition function, such as `{"beta": 2.0}`.
    initial : int
        Architectures to begin with: those of `initial_design`, and with sources every other one what these think best.
    initial_design : str or Design
        What chooses them, such as `"kmeans"` (`archcast.designs`): `"random"` draws one after another.
    target_transform : {"rank_gaussian", "standardize", "none"}
        The scale on which the surrogate and the acquisition work. On the ranks' normal scores an improvement near
        the top counts however little it is in the metric's units, and outliers at the bottom count for nothing.
    refit : float
        The hyperparameters of a Gaussian process are learned anew whenever the trials have grown by this share.
    pool : int
        Architectures drawn at once from a space too large to be scored whole.

    Notes
    -----
    Jones, Schonlau and Welch, "Efficient Global Optimization of Expensive Black-Box Functions", 1998. Snoek,
    Larochelle and Adams, "Practical Bayesian Optimization of Machine Learning Algorithms", NeurIPS 2012.
    """

    def __init__(
        self,
        predictor: str | Predictor = "gp",
        acquisition: str | Acquisition[Forecast] = "log_ei",
        *,
        acquisition_options: Mapping[str, Any] | None = None,
        initial: int = 5,
        initial_design: str | Design = "random",
        target_transform: str = "rank_gaussian",
        refit: float = 0.1,
        pool: int = 1000,
    ) -> None:
        self.predictor = predictor
        self.acquisition = acquisition
        self.acquisition_options = acquisition_options
        self.initial = initial
        self.initial_design = initial_design
        self.target_transform = target_transform
        self.refit = refit
        self.pool = pool

    def _check(self) -> tuple[Predictor, Acquisition[Any]]:
        self._check_model()
        return new_predictor(self.predictor), acquisition_of(self.acquisition, self.acquisition_options)

    def _check_model(self) -> None:
        check_number("initial", self.initial, 1, integer=True)
        as_design(self.initial_design)
        check_number("refit", self.refit, 0)
        check_number("pool", self.pool, 1, integer=True)
        check_choice("target_transform", self.target_transform, tuple(TRANSFORMS))

    def _propose(self, history: History, n: int, rng: np.random.Generator) -> Architectures:
        predictor, acquisition = self._check()
        if len(history) < self.initial or not is_informative(history):
            return opening(predictor, history, n, rng, design=self.initial_design, initial=self.initial)
        if not is_whole(history):
            return self._from_large_space(predictor, acquisition, history, n, rng)
        candidates = candidate_set(history)
        free = np.flatnonzero(candidates.unseen_classes(history))
        shown = candidates.representatives
        if len(free) <= _WHOLE:
            rows = np.arange(len(shown))  # the seen ones too, so that their posterior can be kept from call to call
        else:
            rows = free = np.sort(rng.permutation(free)[:_WHOLE])
            shown = shown[rows]
        surrogate = self._surrogate(predictor, history, shown, keep=len(rows) == len(candidates.representatives))
        allowed = np.isin(rows, free)
        chosen = select(surrogate, acquisition, self._log_feasible(history, shown), allowed, n, rng)
        return candidates.members(rows[chosen], rng)

    def _from_large_space(
        self, predictor: Predictor, acquisition: Acquisition[Any], history: History, n: int, rng: np.random.Generator
    ) -> Architectures:
        """Maximise the acquisition over samples and mutants, then also over the neighbours of the best found."""
        pool = promising_pool(history, max(self.pool, 2 * n), rng)
        for _ in range(_CLIMBS):
            if not len(pool):
                return pool
            surrogate = self._surrogate(predictor, history, pool)
            scores = acquisition(surrogate.forecast(), rng) + self._log_feasible(history, pool)
            best = np.argsort(-scores, kind="stable")[:_CLIMBERS]
            near = history.space.neighbors(pool[best])[0]
            joined = Architectures.concatenate([pool, near[rng.permutation(len(near))[: self.pool]]])
            pool = first_new(joined, joined.keys(), history, len(joined))
        surrogate = self._surrogate(predictor, history, pool)
        everything = np.ones(len(pool), dtype=np.bool_)
        return pool[select(surrogate, acquisition, self._log_feasible(history, pool), everything, n, rng)]

    def _log_feasible(self, history: History, candidates: Architectures) -> NDArray[np.float64]:
        """Return the logarithm of the probability that each candidate can be used at all, `(m,)`."""
        return log_success(history, candidates)

    def _surrogate(
        self, predictor: Predictor, history: History, candidates: Architectures, *, keep: bool = False
    ) -> Surrogate[Any]:
        return surrogate_of(predictor, history, candidates, self.target_transform, refit=self.refit, keep=keep)


def surrogate_of(
    predictor: Predictor,
    history: History,
    candidates: Architectures,
    transform: str,
    *,
    refit: float = 0.1,
    keep: bool = False,
) -> Surrogate[Forecast]:
    """Return the predictor as a surrogate: a Gaussian process in closed form, any other by training it."""
    if suits(predictor):
        return GaussianSurrogate(predictor, history, candidates, transform, refit=refit, keep=keep)
    return PredictorSurrogate(remembering(predictor), history, candidates, transform)


def select(
    surrogate: Surrogate[ForecastT],
    acquisition: Acquisition[ForecastT],
    log_feasible: NDArray[np.float64],
    allowed: NDArray[np.bool_],
    n: int,
    rng: np.random.Generator,
) -> NDArray[np.intp]:
    """Return up to `n` allowed candidates by largest acquisition, each one believed before the next is chosen.

    The logarithm of the probability of success is added to the score: exact for log-EI and the log of the
    probability of improvement, and a penalty in units of the posterior deviation for the others.
    """
    free, chosen = allowed.copy(), list[int]()
    while len(chosen) < n and free.any():
        if chosen:
            surrogate.believe(chosen[-1])
        scores = np.where(free, acquisition(surrogate.forecast(), rng) + log_feasible, -np.inf)
        best = np.flatnonzero((scores == scores.max()) & free)
        chosen.append(int(rng.choice(best)))
        free[chosen[-1]] = False
    return np.array(chosen, dtype=np.intp)


def acquisition_of(
    acquisition: str | Acquisition[Forecast], options: Mapping[str, Any] | None = None
) -> Acquisition[Forecast]:
    """Return an acquisition function by name, or the given one, with further arguments bound.

    Raises
    ------
    InvalidDataError
        If there is none of that name, or it does not take one of the options.
    """
    if isinstance(acquisition, str):
        check_choice("acquisition", acquisition, tuple(ACQUISITIONS))
        acquisition = ACQUISITIONS[acquisition]
    if not callable(acquisition):
        raise InvalidDataError(f"acquisition must be a name or a function, got {type(acquisition).__name__}")
    known = [*inspect.signature(acquisition).parameters][2:]
    for option in options or {}:
        if option not in known:
            raise InvalidDataError(f"the acquisition function takes {', '.join(known) or 'no options'}, got {option!r}")
    return partial(acquisition, **options) if options else acquisition
