"""Successive halving: many begin, the best share goes on; in brackets (synchronous) or one by one (asynchronous)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .base import Searcher, check_number
from .curve_history import CurveHistory, Ending
from .scheduler import Assignment, Scheduler, best_first, ladder, top_share

if TYPE_CHECKING:
    from ..predictors import Predictor

_LIFT = "bayesian_linear@operations"


class Halving(Scheduler):
    """What all forms of successive halving share: rungs at epochs that grow by a factor.

    Parameters
    ----------
    searcher, min_epochs, enough, lift
        See `Scheduler`; `min_epochs` is the first rung.
    eta : float
        Of each rung the best `1 / eta` go on, to about `eta` times as many epochs.
    """

    def __init__(
        self,
        searcher: str | Searcher = "random",
        *,
        min_epochs: int | None = None,
        eta: float = 3,
        enough: int = 6,
        lift: str | Predictor | None = _LIFT,
    ) -> None:
        super().__init__(searcher, min_epochs=min_epochs, enough=enough, lift=lift)
        self.eta = eta

    def _check(self, history: CurveHistory) -> None:
        super()._check(history)
        check_number("eta", self.eta, 2)

    def _levels(self, history: CurveHistory) -> list[int]:
        return ladder(history.epochs, self.min_epochs, self.eta)


class Brackets(Halving):
    """Synchronous successive halving in brackets, one after another.

    A bracket is full once it has its number of trials; the members of a rung go on together when the last of them has
    reported. A worker that would have to wait for others begins the next bracket. Which trials belong to which bracket
    follows from the order in which they began.
    """

    @abstractmethod
    def _shapes(self, rungs: int) -> Iterator[tuple[int, int]]:
        """Yield the size and the first rung of each bracket, without end."""

    def _propose(self, history: CurveHistory, epoch: int, seed: int) -> Assignment | None:
        return self._begin(history, epoch, seed, self.searcher)

    def _next(self, history: CurveHistory, seed: int) -> Assignment | None:
        levels = self._levels(history)
        offset = 0
        for size, first in self._shapes(len(levels)):
            members = np.arange(offset, min(offset + size, len(history)))
            if len(members) < size:
                begun = self._propose(history, history.epochs[levels[first]], seed)
                if begun is not None or not len(members):
                    return begun
            promoted = self._promoted(history, members, levels[first:])
            if promoted is not None or len(members) < size:
                return promoted
            offset += size
        raise AssertionError("brackets never end")

    def _promoted(self, history: CurveHistory, members: NDArray[np.intp], levels: list[int]) -> Assignment | None:
        """Return the next of a full bracket to go on, or None while a rung is incomplete, and in the end."""
        alive = members
        for rung, level in enumerate(levels):
            epoch = history.epochs[level]
            open_ = history.endings[alive] == Ending.OPEN
            for trial in alive[open_ & (history.granted[alive] < epoch)].tolist():
                return Assignment(history.architectures[trial : trial + 1], epoch, trial)
            if (open_ & (history.reached[alive] < epoch)).any():
                return None
            keep = max(1, top_share(len(members), self.eta ** (rung + 1)))
            alive = best_first(history.utilities[:, level], alive)[:keep]
        return None


class SuccessiveHalving(Brackets):
    """Synchronous successive halving: a bracket from the first rung to the last, again and again.

    Parameters
    ----------
    searcher, min_epochs, eta, enough, lift
        See `Halving`.
    size : int, optional
        Trials that begin each bracket; `eta^k` for `k` promotions by default, so that one reaches the last epoch.

    Notes
    -----
    Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and Hyperparameter Optimization", AISTATS 2016.
    """

    def __init__(
        self,
        searcher: str | Searcher = "random",
        *,
        size: int | None = None,
        min_epochs: int | None = None,
        eta: float = 3,
        enough: int = 6,
        lift: str | Predictor | None = _LIFT,
    ) -> None:
        super().__init__(searcher, min_epochs=min_epochs, eta=eta, enough=enough, lift=lift)
        self.size = size

    def _check(self, history: CurveHistory) -> None:
        super()._check(history)
        if self.size is not None:
            check_number("size", self.size, 1, integer=True)

    def _shapes(self, rungs: int) -> Iterator[tuple[int, int]]:
        size = round(self.eta ** (rungs - 1)) if self.size is None else self.size
        while True:
            yield size, 0


class Hyperband(Brackets):
    """Successive halving in brackets that trade the number of trials for epochs: from many short to few full ones.

    With `k` promotions from the first rung to the last, bracket `s = k ... 0` begins `ceil((k + 1) / (s + 1) eta^s)`
    trials on the rung from which `s` promotions lead to the last.

    Notes
    -----
    Li, Jamieson, DeSalvo, Rostamizadeh and Talwalkar, "Hyperband: A Novel Bandit-Based Approach to Hyperparameter
    Optimization", JMLR 18, 2018, algorithm 1.
    """

    def _shapes(self, rungs: int) -> Iterator[tuple[int, int]]:
        return hyperband_brackets(rungs, self.eta)


class BOHB(Hyperband):
    """Hyperband whose trials a model proposes, but for a share of random ones.

    Parameters
    ----------
    searcher : str or Searcher
        The model; here a Gaussian process by default, in place of kernel density estimators.
    min_epochs, eta, enough, lift
        See `Halving`.
    random_share : float
        Of so many trials the architecture is random whatever the model says.

    Notes
    -----
    Falkner, Klein and Hutter, "BOHB: Robust and Efficient Hyperparameter Optimization at Scale", ICML 2018. The model
    is fitted to the highest epoch with enough trials; unlike there, lesser trained ones join with forecasts.
    """

    def __init__(
        self,
        searcher: str | Searcher = "bo",
        *,
        min_epochs: int | None = None,
        eta: float = 3,
        random_share: float = 1 / 3,
        enough: int = 6,
        lift: str | Predictor | None = _LIFT,
    ) -> None:
        super().__init__(searcher, min_epochs=min_epochs, eta=eta, enough=enough, lift=lift)
        self.random_share = random_share

    def _check(self, history: CurveHistory) -> None:
        super()._check(history)
        check_number("random_share", self.random_share, 0, 1)

    def _propose(self, history: CurveHistory, epoch: int, seed: int) -> Assignment | None:
        chance = np.random.default_rng((seed, len(history), 1)).random()
        return self._begin(history, epoch, seed, "random" if chance < self.random_share else self.searcher)


class ASHA(Halving):
    """Asynchronous successive halving: whoever is among the best `1 / eta` of a rung so far goes on at once.

    Promotions from the highest rung come first; where there is none, a new trial begins. Failed trials count as the
    worst of the rung that they were to reach. When no architecture is left to begin, the best of each rung goes on.

    Notes
    -----
    Li, Jamieson, Rostamizadeh, Gonina, Ben-tzur, Hardt, Recht and Talwalkar, "A System for Massively Parallel
    Hyperparameter Tuning", MLSys 2020, algorithm 2.
    """

    def _next(self, history: CurveHistory, seed: int) -> Assignment | None:
        levels = self._levels(history)
        step = self._promoted(history, levels, least=0)
        if step is None:
            step = self._begin(history, history.epochs[levels[0]], seed, self.searcher)
        if step is None and not len(history.running):
            step = self._promoted(history, levels, least=1)
        return step

    def _promoted(self, history: CurveHistory, levels: list[int], least: int) -> Assignment | None:
        """Return the promotion from the highest rung, of which at least so many may go on."""
        everyone = np.arange(len(history))
        failed = history.endings == Ending.FAILED
        for level, following in reversed(list(pairwise(levels))):
            epoch, further = history.epochs[level], history.epochs[following]
            here = np.isfinite(history.curves[:, level]) | (failed & (history.granted >= epoch))
            allowed = max(least, top_share(int(here.sum()), self.eta))
            top = best_first(history.utilities[:, level], everyone)[:allowed]
            idle = (history.endings[top] == Ending.OPEN) & (history.granted[top] < further)
            for trial in top[idle & (history.reached[top] >= history.granted[top])].tolist():
                return Assignment(history.architectures[trial : trial + 1], further, trial)
        return None


class StoppingASHA(Halving):
    """Asynchronous successive halving of trainings that cannot be paused: they stop at rungs, or go on to the end.

    A training that comes to a rung stops there unless it is among the best `1 / eta` of all that have come to it so
    far, itself included; the best so far always goes on.

    Notes
    -----
    The stopping form of Li et al., MLSys 2020, as tuners offer it that cannot resume trainings.
    """

    watches = True

    def _next(self, history: CurveHistory, seed: int) -> Assignment | None:
        return self._begin(history, history.epochs[-1], seed, self.searcher)

    def _stops(self, history: CurveHistory, trial: int, level: int) -> bool:
        if level not in self._levels(history):
            return False
        ordered = best_first(history.utilities[:, level], np.arange(len(history)))
        return trial not in ordered[: max(1, top_share(len(ordered), self.eta))]


def hyperband_brackets(rungs: int, eta: float) -> Iterator[tuple[int, int]]:
    """Yield the size and the first rung of each bracket of Hyperband, from the most aggressive on, again and again.

    >>> from itertools import islice
    >>> list(islice(hyperband_brackets(5, 3), 6))
    [(81, 0), (34, 1), (15, 2), (8, 3), (5, 4), (81, 0)]
    """
    while True:
        for s in reversed(range(rungs)):
            yield int(np.ceil(rungs / (s + 1) * eta**s - 1e-9)), rungs - 1 - s
