"""`History`: everything a searcher may know, as one immutable value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ArchcastError, InvalidArchitectureError, InvalidDataError
from ..spaces import Architectures, SearchSpace
from ..spaces.base import ArchitecturesLike
from ..spaces.hashing import row_keys
from .pareto import nondominated
from .quantities import Quantity, check_quantities

_FORMAT = 1
_FORMAT_OF_SEVERAL = 2


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
    values : float64 array `(t,)`, or `(t, q)` with quantities
        The metric of each finished trial, NaN for all others.
    status : int8 array `(t,)`
        A `Status` each.
    higher_is_better : bool
        The direction of the metric; quantities bring their own.
    pool : Architectures, optional
        Where only these may be proposed, e.g. because a table holds no others.
    quantities : sequence of Quantity
        The columns of `values` where a training tells several numbers: objectives, of which one at least, and what is
        only to stay within bounds. Searchers that are not `multi_objective` do not take such a history.

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
    quantities: tuple[Quantity, ...] = ()

    def __post_init__(self) -> None:
        self.space.architectures(self.architectures)
        if self.pool is not None:
            self.space.architectures(self.pool)
        for name, dtype in (("values", np.float64), ("status", np.int8)):
            array = np.array(getattr(self, name), dtype=dtype)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        if self.quantities:
            object.__setattr__(self, "quantities", check_quantities(self.quantities))
        trials = len(self.architectures)
        if self.values.shape != self._shape(trials) or self.status.shape != (trials,):
            of = f" of {len(self.quantities)} quantities" if self.quantities else ""
            raise InvalidDataError(
                f"a history of {trials} architectures needs as many values{of} and statuses, "
                f"got shapes {self.values.shape} and {self.status.shape}"
            )
        known = np.isin(self.status, [int(status) for status in Status])
        if not known.all():
            trial = int(np.argmin(known))
            raise InvalidDataError(f"the status of trial {trial} must be 0, 1 or 2, got {int(self.status[trial])}")
        rows = self.matrix
        fits = np.where(self.status == Status.FINISHED, np.isfinite(rows).all(axis=1), np.isnan(rows).all(axis=1))
        if not fits.all():
            trial = int(np.argmin(fits))
            raise InvalidDataError(
                f"trial {trial} is {Status(int(self.status[trial])).name.lower()} and has value {self.values[trial]}: "
                "expected a finite value for a finished trial, and NaN for any other"
            )

    def _shape(self, trials: int) -> tuple[int, ...]:
        return (trials, len(self.quantities)) if self.quantities else (trials,)

    @staticmethod
    def start(
        space: SearchSpace,
        *,
        higher_is_better: bool = True,
        pool: ArchitecturesLike | None = None,
        quantities: Sequence[Quantity] = (),
    ) -> History:
        """Return a history without trials.

        Raises
        ------
        InvalidArchitectureError
            If the pool belongs to another space.
        InvalidDataError
            If the pool is empty, or there are quantities and no objective.
        """
        allowed = None if pool is None else space.architectures(pool)
        if allowed is not None and not len(allowed):
            raise InvalidDataError("a pool must hold at least one architecture, got none")
        none = Architectures(space, np.zeros((0, space.dimension), dtype=np.int64))
        told = tuple(quantities)
        values = np.zeros((0, len(told))) if told else np.zeros(0)
        return History(space, none, values, np.zeros(0, dtype=np.int8), higher_is_better, allowed, told)

    # ---- growing ------------------------------------------------------------------------------------------------

    def ask(self, architectures: ArchitecturesLike) -> History:
        """Return this history with more trials at its end, all pending.

        Raises
        ------
        InvalidArchitectureError
            If an architecture is malformed or belongs to another space.
        """
        batch = self.space.architectures(architectures)
        pending = np.full(len(batch), Status.PENDING, dtype=np.int8)
        return self._extended(batch, np.full(self._shape(len(batch)), np.nan), pending)

    def tell(self, architectures: ArchitecturesLike, values: ArrayLike) -> History:
        """Return this history with the outcomes of trials.

        Each architecture answers the first pending trial of the same genotype. One that was never asked for joins at
        the end: earlier trainings, made by whatever means, are told in the same way.

        Parameters
        ----------
        architectures : Architectures, or anything that describes them, `(n,)`
        values : array `(n,)`, or `(n, q)` with quantities
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
        if outcomes.shape != self._shape(len(batch)):
            wanted = f"{len(self.quantities)} values" if self.quantities else "one value"
            raise InvalidDataError(
                f"expected {wanted} for each of {len(batch)} architectures, got shape {outcomes.shape}"
            )
        rows = outcomes if self.quantities else outcomes[:, None]
        if np.isinf(rows).any():
            position = int(np.argmax(np.isinf(rows).any(axis=1)))
            raise InvalidDataError(
                f"the value of architecture {position} must be finite, or NaN for a failed training, "
                f"got {outcomes[position]}"
            )
        lost = np.isnan(rows).any(axis=1)
        outcomes[lost] = np.nan
        told = np.where(lost, np.int8(Status.FAILED), np.int8(Status.FINISHED)).astype(np.int8)
        waiting: dict[int, list[int]] = {}
        for trial in np.flatnonzero(self.status == Status.PENDING)[::-1].tolist():
            waiting.setdefault(int(self._row_keys[trial]), []).append(trial)
        target = [queue.pop() if (queue := waiting.get(key)) else -1 for key in row_keys(batch.genotypes).tolist()]
        row = np.array(target, dtype=np.intp)
        matched = row >= 0
        new_values, new_status = self.values.copy(), self.status.copy()
        new_values[row[matched]], new_status[row[matched]] = outcomes[matched], told[matched]
        updated = replace(self, values=new_values, status=new_status)._with_keys(self)
        if matched.all():
            return updated
        return updated._extended(batch[~matched], outcomes[~matched], told[~matched])

    def _extended(self, batch: Architectures, values: NDArray[np.float64], status: NDArray[np.int8]) -> History:
        longer = replace(
            self,
            architectures=Architectures.concatenate([self.architectures, batch]),
            values=np.concatenate([self.values, values]),
            status=np.concatenate([self.status, status]),
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
        return hash((self.architectures, self.status.tobytes(), self.higher_is_better, self.quantities))

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
        return replace(self, architectures=self.architectures[rows], values=self.values[rows], status=self.status[rows])

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
        """The values, signed so that higher is better, `(t,)`; NaN where there is none.

        With quantities, those of the objectives: `(t, m)`.
        """
        if self.quantities:
            return self.objectives
        return self.values if self.higher_is_better else -self.values

    def best(self) -> int | None:
        """Return the index of the best finished trial, the earliest of equals, or None if none is finished.

        Raises
        ------
        InvalidDataError
            If the history has quantities: then there is a `front`, and no best.
        """
        if self.quantities:
            raise InvalidDataError("a history of several quantities has a front, and no best trial")
        if not len(self.finished):
            return None
        return int(self.finished[np.argmax(self.utilities[self.finished])])

    # ---- several quantities -------------------------------------------------------------------------------------

    @cached_property
    def schema(self) -> tuple[Quantity, ...]:
        """What each column of `matrix` means; the single metric is an objective."""
        return self.quantities or (Quantity("value", self.higher_is_better),)

    @cached_property
    def matrix(self) -> NDArray[np.float64]:
        """The values as `(t, q)`, with one column of a single metric."""
        return np.asarray(self.values if self.quantities else self.values[:, None])

    @cached_property
    def objectives(self) -> NDArray[np.float64]:
        """The values of the objectives, signed so that higher is better, `(t, m)`; NaN where there is none."""
        columns = [j for j, quantity in enumerate(self.schema) if quantity.objective]
        return np.asarray(self.matrix[:, columns] * np.array([self.schema[j].sign for j in columns]))

    @cached_property
    def feasible(self) -> NDArray[np.bool_]:
        """Which trials are finished and within all bounds, `(t,)`."""
        within = [quantity.allows(column) for quantity, column in zip(self.schema, self.matrix.T, strict=True)]
        return np.asarray(np.all(within, axis=0) & (self.status == Status.FINISHED))

    def front(self) -> NDArray[np.intp]:
        """Return the indices of the feasible trials that no other one dominates, the earliest of equals, in order."""
        rows = np.flatnonzero(self.feasible)
        return rows[nondominated(self.objectives[rows])]

    def column(self, j: int) -> History:
        """Return the history of one quantity alone, as a single metric."""
        higher = self.schema[j].higher_is_better
        return replace(self, values=self.matrix[:, j], higher_is_better=higher, quantities=())._with_keys(self)

    # ---- storing ------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description from which `from_dict` makes an equal history."""
        described = {
            "format": _FORMAT,
            "space": self.space.spec,
            "higher_is_better": self.higher_is_better,
            "genotypes": self.architectures.genotypes.tolist(),
            "values": _plain(self.values.tolist()),
            "status": self.status.tolist(),
            "pool": None if self.pool is None else self.pool.genotypes.tolist(),
        }
        if self.quantities:
            several = [quantity.to_dict() for quantity in self.quantities]
            described |= {"format": _FORMAT_OF_SEVERAL, "quantities": several}
        return described

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

        if not isinstance(data, Mapping) or data.get("format") not in (_FORMAT, _FORMAT_OF_SEVERAL):
            shown = data.get("format") if isinstance(data, Mapping) else type(data).__name__
            raise InvalidDataError(f"expected the description of a history in format {_FORMAT}, got {shown!r}")
        try:
            if space is None:
                space = space_from_spec(data["space"])
            elif space.spec != data["space"]:
                raise InvalidDataError(f"expected a history of space {space.spec}, got one of {data['space']}")
            pool = data["pool"]
            several = data["quantities"] if data["format"] == _FORMAT_OF_SEVERAL else []
            quantities = tuple(Quantity.from_dict(described) for described in several)
            values = np.array(data["values"], dtype=object).astype(np.float64)  # None becomes NaN
            return History(
                space,
                batch_of(space, data["genotypes"]),
                values.reshape(-1, len(quantities)) if quantities else values,
                np.array(data["status"], dtype=np.int8),
                bool(data["higher_is_better"]),
                None if pool is None else batch_of(space, pool),
                quantities,
            )
        except KeyError as error:
            raise InvalidDataError(f"the description of a history lacks {error.args[0]!r}") from None
        except ArchcastError:
            raise
        except (TypeError, ValueError, OverflowError) as error:
            raise InvalidDataError(f"the description of a history is malformed: {error}") from None


def _plain(values: list[Any]) -> list[Any]:
    """Return numbers, or lists of numbers, with None for NaN."""
    return [_plain(v) if isinstance(v, list) else None if np.isnan(v) else v for v in values]


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
        return np.atleast_1d(np.array(values, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise InvalidDataError(f"values must be numbers: {error}") from None
