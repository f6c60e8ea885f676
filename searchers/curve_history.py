"""`CurveHistory`: everything a scheduler may know, as one immutable value: learning curves that grow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ArchcastError, InvalidDataError
from ..spaces import Architectures, SearchSpace
from ..spaces.base import ArchitecturesLike
from .history import History, Status, batch_of

_FORMAT = 1


class Ending(IntEnum):
    """Why a trial will never train again, short of its last epoch."""

    OPEN = 0
    """It was not ended: it runs, is paused where it was asked to train to, or has trained to the last epoch."""
    FAILED = 1
    """Its curve became NaN: the training diverged or crashed."""
    STOPPED = 2
    """It was stopped early, because it did not look worth more."""


@dataclass(frozen=True, eq=False)
class CurveHistory:
    """All trials of a multi-fidelity search so far, in the order in which they began.

    Every trial trains towards the epoch that it was `granted`; its curve tells the metric at each of the search's
    epochs that it has reached. Having got there it is paused, and may be granted more. Like `History` this value never
    changes: `begin`, `grant`, `tell` and `stop` return a new one.

    Parameters
    ----------
    space : SearchSpace
        Where architectures come from.
    epochs : tuple of int `(l,)`
        Increasing: after which epochs a training reports; the last is the full training.
    architectures : Architectures, `(t,)`
        One a trial.
    curves : float64 array `(t, l)`
        The metric at each epoch, NaN from the first on that the trial has not reached.
    granted : int64 array `(t,)`
        The epoch that each trial was asked to train to.
    endings : int8 array `(t,)`
        An `Ending` each.
    higher_is_better : bool
        The direction of the metric.
    pool : Architectures, optional
        Where only these may be proposed.

    Raises
    ------
    InvalidArchitectureError
        If the architectures or the pool belong to another space.
    InvalidDataError
        If shapes differ, epochs do not increase, a curve has gaps or goes beyond what was granted.

    Examples
    --------
    >>> import archcast as ac
    >>> space = ac.get_space("nasbench201")
    >>> history = ac.CurveHistory.start(space, epochs=[1, 3, 9])
    >>> history = history.begin(space.sample(1, seed=0), 3).tell(0, 1, 61.0).tell(0, 3, 70.5)
    >>> history.reached.tolist(), history.running.tolist(), history.grant(0, 9).running.tolist()
    ([3], [], [0])
    """

    space: SearchSpace
    epochs: tuple[int, ...]
    architectures: Architectures
    curves: NDArray[np.float64]
    granted: NDArray[np.int64]
    endings: NDArray[np.int8]
    higher_is_better: bool = True
    pool: Architectures | None = None

    def __post_init__(self) -> None:
        self.space.architectures(self.architectures)
        if self.pool is not None:
            self.space.architectures(self.pool)
        object.__setattr__(self, "epochs", _checked_epochs(self.epochs))
        for name, dtype in (("curves", np.float64), ("granted", np.int64), ("endings", np.int8)):
            array = np.array(getattr(self, name), dtype=dtype)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        trials = len(self.architectures)
        shapes = self.curves.shape, self.granted.shape, self.endings.shape
        if shapes != ((trials, len(self.epochs)), (trials,), (trials,)):
            raise InvalidDataError(
                f"a history of {trials} trials and {len(self.epochs)} epochs needs curves, granted epochs and endings "
                f"of these numbers, got shapes {', '.join(map(str, shapes))}"
            )
        known = np.isin(self.endings, [int(ending) for ending in Ending])
        if not known.all():
            trial = int(np.argmin(known))
            raise InvalidDataError(f"the ending of trial {trial} must be 0, 1 or 2, got {int(self.endings[trial])}")
        if np.isinf(self.curves).any():
            trial = int(np.argmax(np.isinf(self.curves).any(axis=1)))
            raise InvalidDataError(f"the curve of trial {trial} must be finite, or NaN where it was not reached")
        there = np.isfinite(self.curves)
        gaps = (there[:, 1:] & ~there[:, :-1]).any(axis=1)
        if gaps.any():
            raise InvalidDataError(f"the curve of trial {int(np.argmax(gaps))} has a gap: NaN is followed by a number")
        fits = np.isin(self.granted, self.epochs) & (self.reached <= self.granted)
        if not fits.all():
            trial = int(np.argmin(fits))
            raise InvalidDataError(
                f"trial {trial} has reached epoch {int(self.reached[trial])} and was granted "
                f"{int(self.granted[trial])}: expected one of the epochs of the search that is not less"
            )

    @staticmethod
    def start(
        space: SearchSpace,
        epochs: Iterable[int],
        *,
        higher_is_better: bool = True,
        pool: ArchitecturesLike | None = None,
    ) -> CurveHistory:
        """Return a history without trials.

        Raises
        ------
        InvalidArchitectureError
            If the pool belongs to another space.
        InvalidDataError
            If the pool is empty, or the epochs are not increasing positive integers.
        """
        allowed = History.start(space, pool=pool).pool
        none = Architectures(space, np.zeros((0, space.dimension), dtype=np.int64))
        labels = _checked_epochs(tuple(epochs))
        return CurveHistory(
            space,
            labels,
            none,
            np.zeros((0, len(labels))),
            np.zeros(0, dtype=np.int64),
            np.zeros(0, dtype=np.int8),
            higher_is_better,
            allowed,
        )

    # ---- growing ------------------------------------------------------------------------------------------------

    def begin(self, architectures: ArchitecturesLike, epoch: int) -> CurveHistory:
        """Return this history with more trials at its end, all running towards `epoch`.

        Raises
        ------
        InvalidArchitectureError
            If an architecture is malformed or belongs to another space.
        InvalidDataError
            If `epoch` is none of the search.
        """
        batch = self.space.architectures(architectures)
        self.level(epoch)
        n = len(batch)
        longer = CurveHistory(
            self.space,
            self.epochs,
            Architectures.concatenate([self.architectures, batch]),
            np.concatenate([self.curves, np.full((n, len(self.epochs)), np.nan)]),
            np.concatenate([self.granted, np.full(n, epoch)]),
            np.concatenate([self.endings, np.zeros(n, dtype=np.int8)]),
            self.higher_is_better,
            self.pool,
        )
        longer.__dict__["keys"] = np.concatenate([self.keys, batch.keys()])
        return longer

    def grant(self, trial: int, epoch: int) -> CurveHistory:
        """Return this history with a paused trial training on towards `epoch`.

        Raises
        ------
        InvalidDataError
            If there is no such trial, it is running or ended, or `epoch` is none of the search or reached already.
        """
        self._check_open(trial)
        self.level(epoch)
        if self.reached[trial] < self.granted[trial]:
            raise InvalidDataError(f"trial {trial} is still training to epoch {int(self.granted[trial])}")
        if epoch <= self.reached[trial]:
            raise InvalidDataError(
                f"trial {trial} has reached epoch {int(self.reached[trial])}, got {epoch} as its next"
            )
        granted = self.granted.copy()
        granted[trial] = epoch
        return self._with(self.curves, granted, self.endings)

    def tell(self, trial: int, epoch: int, value: float) -> CurveHistory:
        """Return this history with the curve of a running trial longer by one epoch; NaN says that it failed.

        Raises
        ------
        InvalidDataError
            If there is no such trial, it does not run, `epoch` is not the next of its curve, or the value is infinite.
        """
        self._check_open(trial)
        if self.reached[trial] >= self.granted[trial]:
            raise InvalidDataError(f"trial {trial} was not asked to train beyond epoch {int(self.granted[trial])}")
        level = int(np.isfinite(self.curves[trial]).sum())
        if epoch != self.epochs[level]:
            raise InvalidDataError(
                f"the curve of trial {trial} goes on with epoch {self.epochs[level]}, got a value of epoch {epoch}"
            )
        if np.isinf(value):
            raise InvalidDataError(f"the value of trial {trial} at epoch {epoch} must be finite or NaN, got {value}")
        if np.isnan(value):
            return self._ended(trial, Ending.FAILED)
        curves = self.curves.copy()
        curves[trial, level] = value
        return self._with(curves, self.granted, self.endings)

    def stop(self, trial: int) -> CurveHistory:
        """Return this history with a trial that will train no further.

        Raises
        ------
        InvalidDataError
            If there is no such trial, or it has ended.
        """
        self._check_open(trial)
        return self._ended(trial, Ending.STOPPED)

    def _ended(self, trial: int, ending: Ending) -> CurveHistory:
        endings = self.endings.copy()
        endings[trial] = ending
        return self._with(self.curves, self.granted, endings)

    def _with(self, curves: NDArray[np.float64], granted: NDArray[np.int64], endings: NDArray[np.int8]) -> CurveHistory:
        other = CurveHistory(
            self.space, self.epochs, self.architectures, curves, granted, endings, self.higher_is_better, self.pool
        )
        other.__dict__["keys"] = self.keys
        return other

    def _check_open(self, trial: int) -> None:
        if isinstance(trial, bool) or not isinstance(trial, (int, np.integer)) or not 0 <= trial < len(self):
            raise InvalidDataError(f"expected a trial between 0 and {len(self) - 1}, got {trial!r}")
        if self.endings[trial]:
            raise InvalidDataError(f"trial {trial} has {Ending(int(self.endings[trial])).name.lower()}")

    # ---- reading ------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Return the number of trials."""
        return len(self.architectures)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CurveHistory):
            return NotImplemented
        return self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.architectures, self.curves.tobytes(), self.granted.tobytes(), self.endings.tobytes()))

    def __repr__(self) -> str:
        complete = int((self.reached == self.epochs[-1]).sum())
        return (
            f"<CurveHistory of {self.space.name!r}: {len(self)} trials, {len(self.running)} running, "
            f"{complete} trained to epoch {self.epochs[-1]}>"
        )

    @cached_property
    def keys(self) -> NDArray[np.uint64]:
        """The canonical key of each trial, `(t,)`."""
        return self.architectures.keys()

    @cached_property
    def utilities(self) -> NDArray[np.float64]:
        """The curves, signed so that higher is better, `(t, l)`; NaN where they were not reached."""
        return self.curves if self.higher_is_better else -self.curves

    @cached_property
    def reached(self) -> NDArray[np.int64]:
        """The epoch that each trial has reached, `(t,)`; 0 before its first report."""
        labels = np.array((0, *self.epochs), dtype=np.int64)
        reached: NDArray[np.int64] = labels[np.isfinite(self.curves).sum(axis=1)]
        return reached

    @cached_property
    def running(self) -> NDArray[np.intp]:
        """The trials that are training, in order."""
        return np.flatnonzero((self.endings == Ending.OPEN) & (self.reached < self.granted))

    def level(self, epoch: int) -> int:
        """Return the position of an epoch among those of the search, or raise InvalidDataError."""
        if epoch not in self.epochs:
            raise InvalidDataError(f"expected one of the epochs {', '.join(map(str, self.epochs))}, got {epoch!r}")
        return self.epochs.index(epoch)

    def best(self) -> int | None:
        """Return the trial with the best value at the deepest epoch that any has reached, or None before a report."""
        deepest = int(np.isfinite(self.curves).any(axis=0).sum()) - 1
        return None if deepest < 0 else int(np.nanargmax(self.utilities[:, deepest]))

    def at(self, epoch: int) -> History:
        """Return what the trials amount to at one epoch, as searchers know it.

        Trials that have reached it are finished, failed ones failed, and all others pending.
        """
        values = np.where(self.endings == Ending.FAILED, np.nan, self.curves[:, self.level(epoch)])
        status = np.where(np.isfinite(values), Status.FINISHED, Status.PENDING)
        status[self.endings == Ending.FAILED] = Status.FAILED
        return self.as_history(values, status)

    def as_history(self, values: NDArray[np.float64], status: NDArray[np.int_]) -> History:
        """Return a history of the same trials with one value and status each."""
        history = History(
            self.space, self.architectures, values, status.astype(np.int8), self.higher_is_better, self.pool
        )
        history.__dict__["keys"] = self.keys
        return history

    # ---- storing ------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description from which `from_dict` makes an equal history."""
        return {
            "format": _FORMAT,
            "space": self.space.spec,
            "epochs": list(self.epochs),
            "higher_is_better": self.higher_is_better,
            "genotypes": self.architectures.genotypes.tolist(),
            "curves": [[value for value in curve if not np.isnan(value)] for curve in self.curves.tolist()],
            "granted": self.granted.tolist(),
            "endings": self.endings.tolist(),
            "pool": None if self.pool is None else self.pool.genotypes.tolist(),
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any], *, space: SearchSpace | None = None) -> CurveHistory:
        """Return the history that `to_dict` described, of the given space if it is not registered.

        Raises
        ------
        InvalidDataError
            If the description is of another format or malformed, or is of another space than expected.
        InvalidArchitectureError
            If a genotype is none of the space.
        """
        from ..spaces import space_from_spec

        if not isinstance(data, Mapping) or data.get("format") != _FORMAT:
            shown = data.get("format") if isinstance(data, Mapping) else type(data).__name__
            raise InvalidDataError(f"expected the description of curves in format {_FORMAT}, got {shown!r}")
        try:
            if space is None:
                space = space_from_spec(data["space"])
            elif space.spec != data["space"]:
                raise InvalidDataError(f"expected a history of space {space.spec}, got one of {data['space']}")
            pool, epochs = data["pool"], tuple(data["epochs"])
            curves = np.full((len(data["curves"]), len(epochs)), np.nan)
            for trial, curve in enumerate(data["curves"]):
                curves[trial, : len(curve)] = curve
            return CurveHistory(
                space,
                epochs,
                batch_of(space, data["genotypes"]),
                curves,
                np.array(data["granted"], dtype=np.int64),
                np.array(data["endings"], dtype=np.int8),
                bool(data["higher_is_better"]),
                None if pool is None else batch_of(space, pool),
            )
        except KeyError as error:
            raise InvalidDataError(f"the description of curves lacks {error.args[0]!r}") from None
        except ArchcastError:
            raise
        except (TypeError, ValueError, OverflowError) as error:
            raise InvalidDataError(f"the description of curves is malformed: {error}") from None


def _checked_epochs(epochs: tuple[int, ...]) -> tuple[int, ...]:
    whole = all(isinstance(epoch, (int, np.integer)) and not isinstance(epoch, bool) for epoch in epochs)
    if not epochs or not whole or epochs[0] < 1 or any(a >= b for a, b in pairwise(epochs)):
        raise InvalidDataError(f"epochs must be increasing positive integers, at least one, got {epochs!r}")
    return tuple(int(epoch) for epoch in epochs)
