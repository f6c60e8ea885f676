"""`Problem`: the little that a search has to know of what it is replayed on, be it a table or a surrogate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeGuard, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..benchmarks_data import Table
from ..errors import InvalidDataError
from ..searchers import History
from ..spaces import Architectures, SearchSpace

if TYPE_CHECKING:
    from .trajectories import Trajectory


class Lookup(Protocol):
    """Answers the queries of one search: rows by architecture, and arrays by row."""

    @property
    def selected(self) -> NDArray[np.float64]:
        """What the searcher is told, NaN where a query fails."""

    @property
    def values(self) -> NDArray[np.float64]:
        """What the search is judged by."""

    @property
    def costs(self) -> NDArray[np.float64]:
        """The simulated time of each query."""

    @property
    def gaps(self) -> NDArray[np.float64]:
        """How much worse each row is than the best that is known, in units of the metric."""

    def rows(self, architectures: Architectures) -> NDArray[np.intp]:
        """Return the row that answers for each architecture, -1 if none does."""

    def trajectory(self, rows: NDArray[np.intp], **conditions: Any) -> Trajectory:
        """Return what a search found that queried these rows, in this order."""


@runtime_checkable
class Benchmark(Protocol):
    """Whatever gives a problem: a problem itself, and a surrogate."""

    def problem(
        self,
        metric: str | None = None,
        *,
        epoch: int | None = None,
        select_metric: str | None = None,
        select_epoch: int | None = None,
    ) -> Problem:
        """Return a metric as a problem."""


class Problem(Benchmark, Protocol):
    """What is searched for, where, and who answers."""

    @property
    def table(self) -> str:
        """The name of the table or surrogate."""

    @property
    def label(self) -> str:
        """`TABLE:METRIC[@EPOCH]`."""

    @property
    def space(self) -> SearchSpace:
        """Where architectures come from."""

    @property
    def metric(self) -> str:
        """What a search is judged by."""

    @property
    def epoch(self) -> int | None:
        """Its epoch, the last for None."""

    @property
    def select_metric(self) -> str:
        """What the searcher is told, and by which the incumbent is chosen."""

    @property
    def select_epoch(self) -> int | None:
        """Its epoch."""

    @property
    def unit(self) -> str:
        """Of the metric."""

    @property
    def higher_is_better(self) -> bool:
        """The direction of the metric."""

    @property
    def best(self) -> float:
        """The best value that is known."""

    @property
    def digest(self) -> str:
        """The content of the problem, whatever its name."""

    def start(self) -> History:
        """Return the history of a search that has not begun."""

    def open(self, seed: int) -> Lookup:
        """Return what one search with this seed asks."""


Source: TypeAlias = Table | str | Path | Benchmark
"""A table, the name of a shipped one, the path of a table or surrogate, a surrogate, or a problem."""


def as_problem(source: Source, metric: str | None = None, **options: Any) -> Problem:
    """Return a problem as it is, that of a surrogate, or that of a table and a metric.

    Raises
    ------
    InvalidDataError
        If a table comes without a metric, or a problem with one.
    UnknownNameError
        If a table, a metric or an epoch does not exist.
    """
    from .search_problem import SearchProblem
    from .surrogate_file import is_surrogate, load_surrogate_table

    given = load_surrogate_table(source) if isinstance(source, (str, Path)) and is_surrogate(source) else source
    if isinstance(given, Benchmark):
        return given.problem(metric, **options)
    if metric is None:
        raise InvalidDataError(f"expected the metric of table {str(given)!r} to search for, got none")
    return SearchProblem.of(given, metric, **options)


def is_problem(source: Source) -> TypeGuard[Problem]:
    """Return whether this is a problem already, which has its metrics."""
    return isinstance(source, Benchmark) and hasattr(source, "start")


def label_of(table: str, metric: str, epoch: int | None) -> str:
    """Return `TABLE:METRIC[@EPOCH]`."""
    return f"{table}:{metric}" + ("" if epoch is None else f"@{epoch}")
