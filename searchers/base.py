"""The contract of a searcher: a pure function from a history to the next architectures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator

from ..errors import ExhaustedSpaceError, InvalidDataError
from ..spaces import Architectures
from .history import History

if TYPE_CHECKING:
    from ..predictors import Predictor


class Searcher(BaseEstimator, ABC):  # type: ignore[misc]
    """Proposes what to train next, from what was trained before.

    A searcher holds its parameters and nothing else, untouched, like a scikit-learn estimator (`get_params`, `clone`,
    `repr`). All it knows about a search is in the `History`, so the same call gives the same answer in any process,
    and a search resumes exactly from a stored history.

    Subclasses implement `_propose`, and check their parameters there.

    Attributes
    ----------
    multi_objective : bool
        Whether the searcher takes a history of several quantities: objectives, and bounds that are to be kept.
    """

    multi_objective: ClassVar[bool] = False

    def ask(self, history: History, n: int = 1, seed: int = 0) -> Architectures:
        """Return the next architectures to train.

        Parameters
        ----------
        history : History
            All trials so far, pending ones included.
        n : int
            How many are wanted at once.
        seed : int
            Of the search, the same in every call: the number of trials so far is mixed in.

        Returns
        -------
        Architectures, `(n,)`
            Canonically distinct, and none canonically equal to any trial of the history. Fewer than `n` where the
            space (or the pool) holds no more.

        Raises
        ------
        ExhaustedSpaceError
            If there is none left at all.
        InvalidDataError
            If `n` is not a positive integer, `seed` is negative, a parameter of the searcher is out of range, or the
            history has several quantities and the searcher is not `multi_objective`.
        """
        for name, value, least in (("n", n, 1), ("seed", seed, 0)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
                raise InvalidDataError(f"{name} must be an integer of at least {least}, got {value!r}")
        if history.quantities and not self.multi_objective:
            raise InvalidDataError(
                f"searcher {type(self).__name__} takes one metric without bounds, got a history of "
                f"{', '.join(quantity.name for quantity in history.quantities)}; expected a multi-objective searcher"
            )
        proposed = self._propose(history, int(n), np.random.default_rng((int(seed), len(history))))
        if not len(proposed):
            what = "pool" if history.pool is not None else "space"
            raise ExhaustedSpaceError(
                f"no architecture is left to propose: all of the {what} of {history.space.name!r} that can be found "
                f"were among the {len(history)} trials before"
            )
        return proposed

    def inner(self) -> Searcher:
        """Return the searcher that proposes once a warm start is over: this one, unless it begins for another."""
        return self

    def reader(self) -> Predictor | None:
        """Return the unfitted predictor through which it learns from sources, with those it has; None if it cannot."""
        from ..predictors.sources import takes_sources
        from .surrogate import new_predictor

        surrogate = self.get_params(deep=False).get("predictor")
        if surrogate is None:
            return None
        predictor = new_predictor(surrogate)
        return predictor if takes_sources(predictor) else None

    @abstractmethod
    def _propose(self, history: History, n: int, rng: np.random.Generator) -> Architectures:
        """Return up to `n` architectures, canonically new and distinct; none if there is none."""


def integer_seed(rng: np.random.Generator) -> int:
    """Return a seed for functions that take one."""
    return int(rng.integers(2**31))


def generator_at(rng: np.random.Generator, trials: int) -> np.random.Generator:
    """Return the generator that `_propose` of the same search was given when its history held so many trials."""
    sequence: Any = rng.bit_generator.seed_seq
    seed, _ = sequence.entropy
    return np.random.default_rng((seed, trials))


def check_choice(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    """Raise InvalidDataError unless `value` is one of `allowed`."""
    if value not in allowed:
        raise InvalidDataError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")


def check_number(name: str, value: float, low: float, high: float = np.inf, *, integer: bool = False) -> None:
    """Raise InvalidDataError unless `value` is a number in `[low, high]`."""
    kinds: tuple[type, ...] = (int, np.integer) if integer else (int, float, np.integer, np.floating)
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= float(value) <= high:
        kind = "an integer" if integer else "a number"
        limit = f"of at least {low}" if high == np.inf else f"between {low} and {high}"
        raise InvalidDataError(f"{name} must be {kind} {limit}, got {value!r}")
