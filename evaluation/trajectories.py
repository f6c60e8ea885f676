"""`Trajectory`: what one search found, query by query and on simulated time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidDataError
from ..spaces import Architectures


@dataclass(frozen=True, eq=False)
class Trajectory:
    """One search, replayed on a table.

    All arrays of length `q` have one entry a query (a simulated training), in the order in which they finished; the
    state after `i` queries is entry `i - 1`. A failed query changes nothing but takes its time.

    Parameters
    ----------
    searcher : str
        The label of the searcher.
    seed : int
        The seed it was asked with.
    rows : integer array `(q,)`
        The row of the table that each query was answered from; on a surrogate, which has no rows, the number of the
        query by order of asking.
    selected : float64 array `(q,)`
        What the searcher was told, NaN for a failed query.
    values : float64 array `(q,)`
        The metric that the search is judged by, NaN for a failed query.
    incumbents : integer array `(q,)`
        The row with the best told value so far (the earliest of equals), -1 while every query has failed.
    regret : float64 array `(q,)`
        How much worse the judged metric of the incumbent is than the best of the table, in units of the metric, never
        negative; while every query has failed, that of the worst architecture of the table. On a surrogate the best
        is the best known, and a regret below zero says that a better one was found.
    optimal : bool array `(q,)`
        Whether the incumbent is canonically equal to a best architecture of the table.
    started, finished : float64 arrays `(q,)`
        Simulated time at which the training began and ended, from 0 on, in `time_unit`.
    time_unit : str
        `"s"` where the table knows what trainings cost, else `"trainings"`, all of which take 1.
    ask_seconds : float64 array `(a,)`
        Real wall-clock seconds of each call of the searcher, on one thread.
    exhausted : bool
        Whether the search ended before its budget because no architecture was left.
    architectures : Architectures `(q,)`
        What was asked for.
    """

    searcher: str
    seed: int
    rows: NDArray[np.intp]
    selected: NDArray[np.float64]
    values: NDArray[np.float64]
    incumbents: NDArray[np.intp]
    regret: NDArray[np.float64]
    optimal: NDArray[np.bool_]
    started: NDArray[np.float64]
    finished: NDArray[np.float64]
    time_unit: str
    ask_seconds: NDArray[np.float64]
    exhausted: bool
    architectures: Architectures = field(kw_only=True)

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self.rows)

    def __repr__(self) -> str:
        return f"<Trajectory of {self.searcher!r}: {len(self)} queries, regret {self.regret[-1]:.4g}>"

    @property
    def best(self) -> str:
        """The incumbent at the end in native notation, empty if every query has failed."""
        last = self.incumbents[-1]
        return "" if last < 0 else str(self.architectures[int(np.argmax(self.rows == last))])

    @property
    def failed(self) -> int:
        """The number of failed queries."""
        return int(np.isnan(self.selected).sum())

    @property
    def overhead_seconds(self) -> float:
        """Real seconds that the searcher took in all."""
        return float(self.ask_seconds.sum())

    def details(self) -> dict[str, Any]:
        """Return what a record of this search holds beyond that of any other; nothing for a single metric."""
        return {}

    def queries_to(self, tolerance: float) -> int | None:
        """Return after how many queries the regret was first at most `tolerance`, or None if it never was.

        Raises
        ------
        InvalidDataError
            If the tolerance is negative or NaN.
        """
        if math.isnan(tolerance) or tolerance < 0:
            raise InvalidDataError(f"tolerance must be a number of at least 0, got {tolerance}")
        return first_true(self.regret <= tolerance)

    def queries_to_optimum(self) -> int | None:
        """Return after how many queries the incumbent was first canonically equal to a best architecture, or None.

        An isomorphic twin of the best row counts, although its own measurement may be worse.
        """
        return first_true(self.optimal)

    def regret_at_time(self, times: ArrayLike) -> NDArray[np.float64]:
        """Return the regret at simulated times `(m,)`; NaN before the first training has ended."""
        return at_times(self.finished, self.regret, times)


def first_true(mask: NDArray[np.bool_]) -> int | None:
    """Return the position of the first true entry, counted from 1, or None."""
    return int(np.argmax(mask)) + 1 if mask.any() else None


def at_times(finished: ArrayLike, regret: ArrayLike, times: ArrayLike) -> NDArray[np.float64]:
    """Return the regret at simulated times `(m,)`, NaN before the first of the increasing times of `finished`."""
    ends, values = np.asarray(finished, dtype=np.float64), np.asarray(regret, dtype=np.float64)
    place = np.searchsorted(ends, np.asarray(times, dtype=np.float64), side="right") - 1
    return np.where(place >= 0, values[place], np.nan)
