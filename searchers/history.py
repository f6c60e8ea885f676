"""`History`: everything a searcher may know, as one immutable value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ArchcastError, InvalidArchitectureError, InvalidDataError
from ..spaces import Architectures, SearchSpace
from ..spaces.base import ArchitecturesLike
from ..spaces.hashing import row_keys

_FORMAT = 1


class Status(IntEnum):
    """What became of a trial."""

    PENDING = 0
    """Asked for, and not told yet: it is being trained."""
    FINISHED = 1
    """Told with a finite value."""
    FAILED = 2
    """Told without one: the training diverged, crashed or ran out of memory."""


@dataclass(frozen=True, eq=False)
class History:
    """All trials of a search so far, in the order they were asked for.

    A history never changes: `ask` and `tell` return a new one. A searcher is a pure function of it, so a search is
    resumed by reading its history back, and continues on several machines as long as they share it.

    Parameters
    ----------
    space : SearchSpace
        Where architectures come from.
    architectures : Architectures, `(t,)`
        One a trial.
    values : float64 array `(t,)`
        The metric of each finished trial, NaN for all others.
    status : int8 array `(t,)`
        A `Status` each.
    higher_is_better : bool
        The direction of the metric.
    pool : Architectures, optional
        Where only these may be proposed, e.g. because a table holds no others.

    Raises
    ------
    InvalidArchitectureError
        If the architectures or the pool belong to another space.
    InvalidDataError
        If lengths differ, a status is unknown, or a value does not fit its status.

    Examples
    --------
    >>> import archcast as ac
    >>> space = ac.get_space("nasbench201")
    >>> history = ac.History.start(space)
    >>> asked = ac.make_searcher("random").ask(history, n=2, seed=0)
    >>> history = history.ask(asked).tell(asked, [91.2, 93.8])
    >>> history.best()
    1
    """

    space: SearchSpace
    architectures: Architectures
    values: NDArray[np.float64]
    status: NDArray[np.int8]
    higher_is_better: bool = True
    pool: Architectures | None = None

    def __post_init__(self) -> None:
        self.space.architectures(self.architectures)
        if self.pool is not None:
            self.space.architectures(self.pool)
        for name, dtype in (("values", np.float64), ("status", np.int8)):
            array = np.array(getattr(self, name), dtype=dtype)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        trials = len(self.architectures)
        if self.values.shape != (trials,) or self.status.shape != (trials,):
            raise InvalidDataError(
                f"a history of {trials} architectures needs as many values and statuses, "
                f"got shapes {self.values.shape} and {self.status.shape}"
            )
        known = np.isin(self.status, [int(status) for status in Status])
        if not known.all():
            trial = int(np.argmin(known))
            raise InvalidDataError(f"the status of trial {trial} must be 0, 1 or 2, got {int(self.status[trial])}")
        fits = np.where(self.status == Status.FINISHED, np.isfinite(self.values), np.isnan(self.values))
        if not fits.all():
            trial = int(np.argmin(fits))
            raise InvalidDataError(
                f"trial {trial} is {Status(int(self.status[trial])).name.lower()} and has value {self.values[trial]}: "
                "expected a finite value for a finished trial, and NaN for any other"
            )

    @staticmethod
    def start(space: SearchSpace, *, higher_is_better: bool = True, pool: ArchitecturesLike | None = None) -> History:
        """Return a history without trials.

        Raises
        ------
        InvalidArchitectureError
            If the pool belongs to another space.
        InvalidDataError
            If the pool is empty.
        """
        allowed = None if pool is None else space.architectures(pool)
        if allowed is not None and not len(allowed):
            raise InvalidDataError("a pool must hold at least one architecture, got none")
        none = Architectures(space, np.zeros((0, space.dimension), dtype=np.int64))
        return History(space, none, np.zeros(0), np.zeros(0, dtype=np.int8), higher_is_better, allowed)

    # ---- growing ------------------------------------------------------------------------------------------------

    def ask(self, architectures: ArchitecturesLike) -> History:
        """Return this history with more trials at its end, all pending.

        Raises
        ------
        InvalidArchitectureError
            If an architecture is malformed or belongs to another space.
        """
        batch = self.space.architectures(architectures)
        return self._extended(batch, np.full(len(batch), np.nan), np.full(len(batch), Status.PENDING, dtype=np.int8))

    def tell(self, architectures: ArchitecturesLike, values: ArrayLike) -> History:
        """Return this history with the outcomes of trials.

        Each architecture answers the first pending trial of the same genotype. One that was never asked for joins at
        the end: earlier trainings, made by whatever means, are told in the same way.

        Parameters
        ----------
        architectures : Architectures, or anything that describes them, `(n,)`
        values : array `(n,)`
            The metric; NaN says that a training failed.

        Raises
        ------
        InvalidArchitectureError
            If an architecture is malformed or belongs to another space.
        InvalidDataError
            If there are not as many values as architectures, or one is infinite.
        """
        batch = self.space.architectures(architectures)
        outcomes = _numbers(values)
        if outcomes.shape != (len(batch),):
            raise InvalidDataError(
                f"expected one value for each of {len(batch)} architectures, got shape {outcomes.shape}"
            )
        if np.isinf(outcomes).any():
            position = int(np.argmax(np.isinf(outcomes)))
            raise InvalidDataError(
                f"the value of architecture {position} must be finite, or NaN for a failed training, "
                f"got {outcomes[position]}"
            )
        told = np.where(np.isnan(outcomes), np.int8(Status.FAILED), np.int8(Status.FINISHED)).astype(np.int8)
        waiting: dict[int, list[int]] = {}
        for trial in np.flatnonzero(self.status == Status.PENDING)[::-1].tolist():
            waiting.setdefault(int(self._row_keys[trial]), []).append(trial)
        target = [queue.pop() if (queue := waiting.get(key)) else -1 for key in row_keys(batch.genotypes).tolist()]
        row = np.array(target, dtype=np.intp)
        matched = row >= 0
        new_values, new_status = self.values.copy(), self.status.copy()
        new_values[row[matched]], new_status[row[matched]] = outcomes[matched], told[matched]
        updated = History(
            self.space, self.architectures, new_values, new_status, self.higher_is_better, self.pool
        )._with_keys(self)
        if matched.all():
            return updated
        return updated._extended(batch[~matched], outcomes[~matched], told[~matched])

    def _extended(self, batch: Architectures, values: NDArray[np.float64], status: NDArray[np.int8]) -> History:
        longer = History(
            self.space,
            Architectures.concatenate([self.architectures, batch]),
            np.concatenate([self.values, values]),
            np.concatenate([self.status, status]),
            self.higher_is_better,
            self.pool,
        )
        longer.__dict__["keys"] = np.concatenate([self.keys, batch.keys()])
        return longer

    def _with_keys(self, other: History) -> History:
        """Take over the canonical keys of a history of the same architectures."""
        if "keys" in other.__dict__:
            self.__dict__["keys"] = other.__dict__["keys"]
        return self

    # ---- reading ------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Return the number of trials, pending and failed ones included."""
        return len(self.architectures)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, History):
            return NotImplemented
        return self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash((self.architectures, self.status.tobytes(), self.higher_is_better))

    def __repr__(self) -> str:
        counts = [f"{int((self.status == status).sum())} {status.name.lower()}" for status in Status]
        return f"<History of {self.space.name!r}: {len(self)} trials, {', '.join(counts)}>"

    @cached_property
    def keys(self) -> NDArray[np.uint64]:
        """The canonical key of each trial, `(t,)`, whatever its status."""
        return self.architectures.keys()

    @cached_property
    def _row_keys(self) -> NDArray[np.uint64]:
        return row_keys(self.architectures.genotypes)

    def seen(self, architectures: ArchitecturesLike) -> NDArray[np.bool_]:
        """Return which architectures are canonically equal to one that was asked for, bool `(n,)`."""
        return np.isin(self.space.canonical(architectures), self.keys)

    @cached_property
    def finished(self) -> NDArray[np.intp]:
        """The indices of the finished trials, in order."""
        return np.flatnonzero(self.status == Status.FINISHED)

    def first(self, finished: int) -> History:
        """Return the history of the first so many finished trials, without all others."""
        rows = self.finished[:finished]
        return History(
            self.space,
            self.architectures[rows],
            self.values[rows],
            self.status[rows],
            self.higher_is_better,
            self.pool,
        )

    @cached_property
    def pending(self) -> NDArray[np.intp]:
        """The indices of the trials that were asked for and not told yet, in order."""
        return np.flatnonzero(self.status == Status.PENDING)

    @cached_property
    def failed(self) -> NDArray[np.intp]:
        """The indices of the failed trials, in order."""
        return np.flatnonzero(self.status == Status.FAILED)

    @cached_property
    def utilities(self) -> NDArray[np.float64]:
        """The values, signed so that higher is better, `(t,)`; NaN where there is none."""
        return self.values if self.higher_is_better else -self.values

    def best(self) -> int | None:
        """Return the index of the best finished trial, the earliest of equals, or None if none is finished."""
        if not len(self.finished):
            return None
        return int(self.finished[np.argmax(self.utilities[self.finished])])

    # ---- storing ------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description from which `from_dict` makes an equal history."""
        return {
            "format": _FORMAT,
            "space": self.space.spec,
            "higher_is_better": self.higher_is_better,
            "genotypes": self.architectures.genotypes.tolist(),
            "values": [None if np.isnan(value) else value for value in self.values.tolist()],
            "status": self.status.tolist(),
            "pool": None if self.pool is None else self.pool.genotypes.tolist(),
        }

    @staticmethod
    def from_dict(data: Mapping[str, Any], *, space: SearchSpace | None = None) -> History:
        """Return the history that `to_dict` described.

        Parameters
        ----------
        data : mapping
        space : SearchSpace, optional
            The space that is expected, or one that is not registered.

        Raises
        ------
        InvalidDataError
            If the description is of another format or lacks something, or is of another space than expected.
        InvalidArchitectureError
            If a genotype is none of the space.
        """
        from ..spaces import space_from_spec

        if not isinstance(data, Mapping) or data.get("format") != _FORMAT:
            shown = data.get("format") if isinstance(data, Mapping) else type(data).__name__
            raise InvalidDataError(f"expected the description of a history in format {_FORMAT}, got {shown!r}")
        try:
            if space is None:
                space = space_from_spec(data["space"])
            elif space.spec != data["space"]:
                raise InvalidDataError(f"expected a history of space {space.spec}, got one of {data['space']}")
            pool = data["pool"]
            return History(
                space,
                batch_of(space, data["genotypes"]),
                np.array([np.nan if value is None else value for value in data["values"]], dtype=np.float64),
                np.array(data["status"], dtype=np.int8),
                bool(data["higher_is_better"]),
                None if pool is None else batch_of(space, pool),
            )
        except KeyError as error:
            raise InvalidDataError(f"the description of a history lacks {error.args[0]!r}") from None
        except ArchcastError:
            raise
        except (TypeError, ValueError, OverflowError) as error:
            raise InvalidDataError(f"the description of a history is malformed: {error}") from None


def batch_of(space: SearchSpace, rows: Any) -> Architectures:
    """Return the batch of stored genotypes."""
    genotypes = np.array(rows)
    if not len(genotypes):
        genotypes = np.zeros((0, space.dimension), dtype=np.int64)
    if genotypes.dtype.kind != "i":
        raise InvalidArchitectureError(f"genotypes of space {space.name!r} must be integers, got {genotypes.dtype}")
    return space.parse(genotypes)


def _numbers(values: ArrayLike) -> NDArray[np.float64]:
    try:
        return np.atleast_1d(np.asarray(values, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise InvalidDataError(f"values must be numbers: {error}") from None
