"""The contract of a scheduler: a pure function from learning curves to who trains next, how far, and who stops."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, clone

from ..errors import ExhaustedSpaceError, InvalidDataError
from ..spaces import Architectures
from .base import Searcher, check_number
from .curve_history import CurveHistory
from .lifting import lifted

if TYPE_CHECKING:
    from ..predictors import Predictor


@dataclass(frozen=True)
class Assignment:
    """What a free worker does next.

    Parameters
    ----------
    architecture : Architectures, `(1,)`
    epoch : int
        Up to which it trains.
    trial : int, optional
        The paused trial that trains on; None for an architecture that begins.
    """

    architecture: Architectures
    epoch: int
    trial: int | None = None


class Scheduler(BaseEstimator, ABC):  # type: ignore[misc]
    """Decides which architecture trains to which epoch next, and which running training stops.

    Like a `Searcher` it holds its parameters and nothing else, and all it knows about a search is in the
    `CurveHistory`: the same history gives the same decision in any process. New architectures come from a searcher.

    Subclasses implement `_next`, and `_stops` if they `watch` running trainings.

    Parameters
    ----------
    searcher : str or Searcher
        What proposes new architectures, from the values at the highest epoch that enough trials have reached.
    min_epochs : int, optional
        No training is judged before this epoch; the first that is reported by default.
    enough : int
        How many trials must have reached an epoch for the searcher to learn from it.
    lift : str, Predictor or None
        Forecasts the value at that epoch of trials that ended or paused earlier, from their architecture and their
        value so far (as `info`), so that the searcher learns from them too; None leaves them out. Searchers that
        read no values do without.
    """

    watches: bool = False
    """Whether running trainings may be stopped: a training that cannot be paused and continued needs no more."""

    def __init__(
        self,
        searcher: str | Searcher = "random",
        *,
        min_epochs: int | None = None,
        enough: int = 6,
        lift: str | Predictor | None = "bayesian_linear@operations",
    ) -> None:
        self.searcher = searcher
        self.min_epochs = min_epochs
        self.enough = enough
        self.lift = lift

    def next(self, history: CurveHistory, seed: int = 0) -> Assignment | None:
        """Return what a free worker does next.

        Parameters
        ----------
        history : CurveHistory
            All trials so far, running ones included.
        seed : int
            Of the search, the same in every call.

        Returns
        -------
        Assignment or None
            None while nothing can be decided before a running training has reported; if none is running, the search
            is over: no architecture is left.

        Raises
        ------
        InvalidDataError
            If the seed or a parameter is out of range, or `min_epochs` is beyond the last epoch.
        """
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
            raise InvalidDataError(f"seed must be an integer of at least 0, got {seed!r}")
        self._check(history)
        return self._next(history, int(seed))

    def stops(self, history: CurveHistory, trial: int) -> bool:
        """Return whether a trial that has just reported should train no further.

        Raises
        ------
        InvalidDataError
            If there is no such trial, or a parameter is out of range.
        """
        self._check(history)
        if not 0 <= trial < len(history):
            raise InvalidDataError(f"expected a trial between 0 and {len(history) - 1}, got {trial!r}")
        reached = int(history.reached[trial])
        if not self.watches or reached < (self.min_epochs or 1) or reached in (0, history.epochs[-1]):
            return False
        return self._stops(history, int(trial), history.level(reached))

    def _check(self, history: CurveHistory) -> None:
        check_number("enough", self.enough, 2, integer=True)
        if self.min_epochs is not None:
            check_number("min_epochs", self.min_epochs, 1, history.epochs[-1], integer=True)

    @abstractmethod
    def _next(self, history: CurveHistory, seed: int) -> Assignment | None:
        """Return what a free worker does next."""

    def _stops(self, history: CurveHistory, trial: int, level: int) -> bool:
        """Return whether a trial that has reached `level`, before the last, stops there."""
        return False

    def _levels(self, history: CurveHistory) -> list[int]:
        """Return the levels at which trials are judged, the last included."""
        return [len(history.epochs) - 1]

    def _begin(self, history: CurveHistory, epoch: int, seed: int, searcher: str | Searcher) -> Assignment | None:
        """Return a new architecture to train to `epoch`, or None if there is none."""
        from . import make_searcher

        chosen = make_searcher(searcher) if isinstance(searcher, str) else searcher
        if not isinstance(chosen, Searcher):
            raise InvalidDataError(f"searcher must be a name or a Searcher, got {type(chosen).__name__}")
        known = lifted(history, self._levels(history), chosen, self.lift, self.enough)
        try:
            return Assignment(clone(chosen).ask(known, 1, seed), epoch)
        except ExhaustedSpaceError:
            return None


class FullFidelity(Scheduler):
    """Trains every architecture that the searcher proposes to the end: what all others are measured against."""

    def _next(self, history: CurveHistory, seed: int) -> Assignment | None:
        return self._begin(history, history.epochs[-1], seed, self.searcher)


def ladder(epochs: Sequence[int], min_epochs: int | None, eta: float) -> list[int]:
    """Return the levels of the rungs of successive halving: `min_epochs eta^k`, and the last epoch.

    The number of steps is `log(max / min) / log(eta)`, rounded; where an epoch is not reported, the next one is.

    >>> epochs = range(1, 82)
    >>> [epochs[level] for level in ladder(epochs, 1, 3)]
    [1, 3, 9, 27, 81]
    >>> [epochs[level] for level in ladder(epochs[:50], 3, 3)]
    [3, 9, 27, 50]
    """
    first, last = min_epochs or epochs[0], epochs[-1]
    steps = round(np.log(last / first) / np.log(eta))
    wanted = [first * eta**k for k in range(steps)]
    levels = np.searchsorted(np.asarray(epochs), np.asarray(wanted) - 1e-9)
    return sorted({*levels.tolist(), len(epochs) - 1})


def best_first(utilities: NDArray[np.float64], trials: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return those of the trials that have a value, best first, the earlier of equals first."""
    known = trials[np.isfinite(utilities[trials])]
    ordered: NDArray[np.intp] = known[np.argsort(-utilities[known], kind="stable")]
    return ordered


def top_share(count: int, eta: float) -> int:
    """Return how many of `count` are the best `1 / eta`, rounded down."""
    return int(np.floor(count / eta + 1e-9))
