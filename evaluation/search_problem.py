"""What a search is replayed on: a column of a table, with what is told, what is judged, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..benchmarks_data import Table, load_table
from ..benchmarks_data.lookup import RowIndex, first_rows
from ..errors import InvalidDataError
from ..searchers import History
from ..spaces import Architectures, SearchSpace
from .cache import content_digest
from .problems import label_of
from .trajectories import Trajectory

_WHOLE = 200_000
"""Larger spaces are not enumerated to see whether a table holds all of one."""

TRAININGS = "trainings"
"""The unit of simulated time on a table that does not know what a training costs."""


@dataclass(frozen=True, eq=False)
class SearchProblem:
    """A column of a table to be searched: what is told, what is judged, and what it costs.

    Make one with `SearchProblem.of`.

    Parameters
    ----------
    table : str
        The name of the table.
    metric : str
        What a search is judged by.
    epoch : int or None
        Its epoch, the last for None.
    select_metric, select_epoch
        What the searcher is told, and by which the incumbent is chosen.
    unit : str
        Of `metric`.
    higher_is_better, select_higher : bool
        The directions of `metric` and `select_metric`.
    architectures : Architectures, `(n,)`
        The rows of the table.
    keys : uint64 array `(n,)`
        Their canonical keys.
    selected, values : float64 arrays `(n,)`
        `select_metric` and `metric`. A row that lacks either has both NaN: querying it fails.
    costs : float64 array `(n,)`
        The simulated time of each query.
    time_unit : str
        `"s"` or `"trainings"`.
    pooled : bool
        Whether the table holds a sample of its space only, so that nothing else may be proposed.
    """

    table: str
    metric: str
    epoch: int | None
    select_metric: str
    select_epoch: int | None
    unit: str
    higher_is_better: bool
    select_higher: bool
    architectures: Architectures
    keys: NDArray[np.uint64]
    selected: NDArray[np.float64]
    values: NDArray[np.float64]
    costs: NDArray[np.float64]
    time_unit: str
    pooled: bool

    @classmethod
    def of(
        cls,
        table: Table | str | Path,
        metric: str,
        *,
        epoch: int | None = None,
        select_metric: str | None = None,
        select_epoch: int | None = None,
    ) -> SearchProblem:
        """Return a metric of a table as a problem.

        Parameters
        ----------
        table : Table, str or Path
            A table, the name of a shipped one, or the path of an .h5 file. Where it holds every architecture of its
            space (or a twin of it) searchers roam the whole space; otherwise its rows are their pool.
        metric : str
            What a search is judged by: its regret is in the units of this metric.
        epoch : int, optional
            The epoch of the metric; the last by default.
        select_metric : str, optional
            What the searcher is told and the incumbent is selected by, e.g. a validation accuracy; `metric` by default.
        select_epoch : int, optional
            Its epoch. By default that of `metric` if there is no other metric or this one has that epoch, else the
            last.

        Raises
        ------
        UnknownNameError
            If the table, a metric or an epoch does not exist.
        InvalidDataError
            If no architecture has a value.
        """
        source = table if isinstance(table, Table) else load_table(table)
        described = source.info(metric)
        select = metric if select_metric is None else select_metric
        if select_epoch is None and (select == metric or epoch in source.info(select).epochs):
            select_epoch = epoch
        values = np.array(source.values(metric, epoch=epoch), dtype=np.float64)
        selected = np.array(source.values(select, epoch=select_epoch), dtype=np.float64)
        missing = ~(np.isfinite(values) & np.isfinite(selected))
        if missing.all():
            raise InvalidDataError(
                f"table {source.name!r} has no architecture with values of both {metric!r} and {select!r}"
            )
        values[missing] = selected[missing] = np.nan
        costs, unit = simulated_costs(source, select_epoch)
        return cls(
            table=source.name,
            metric=metric,
            epoch=epoch,
            select_metric=select,
            select_epoch=select_epoch,
            unit=described.unit,
            higher_is_better=described.higher_is_better,
            select_higher=source.is_higher_better(select),
            architectures=source.architectures,
            keys=source.canonical_keys,
            selected=selected,
            values=values,
            costs=costs,
            time_unit=unit,
            pooled=not holds_space(source),
        )

    @property
    def label(self) -> str:
        """`TABLE:METRIC[@EPOCH]`."""
        return label_of(self.table, self.metric, self.epoch)

    @property
    def space(self) -> SearchSpace:
        """Where architectures come from."""
        return self.architectures.space

    @property
    def best(self) -> float:
        """The best value of the table."""
        return float(np.nanmax(self.values) if self.higher_is_better else np.nanmin(self.values))

    def problem(self, metric: str | None = None, **options: Any) -> SearchProblem:
        """Return the problem itself.

        Raises
        ------
        InvalidDataError
            If a metric or an epoch is given: it has them already.
        """
        if metric is not None or any(value is not None for value in options.values()):
            raise InvalidDataError("a SearchProblem has its metrics and epochs already, expected none beside it")
        return self

    def open(self, seed: int) -> SearchProblem:
        """Return what a search asks: the table itself, whatever the seed."""
        return self

    @cached_property
    def gaps(self) -> NDArray[np.float64]:
        """How much worse each row is than the best, in units of the metric, `(n,)`; NaN where it is not known."""
        return self.best - self.values if self.higher_is_better else self.values - self.best

    @cached_property
    def optimal(self) -> NDArray[np.bool_]:
        """Which rows are canonically equal to a best one, `(n,)`."""
        return np.isin(self.keys, self.keys[self.gaps == 0])

    @cached_property
    def digest(self) -> str:
        """The content of the problem, whatever its name."""
        arrays = [self.architectures.genotypes.astype(np.int64), self.selected, self.values, self.costs]
        return content_digest(self._traits(), arrays)

    def _traits(self) -> dict[str, Any]:
        return {
            "space": self.architectures.space.spec,
            "directions": [self.higher_is_better, self.select_higher],
            "pooled": self.pooled,
        }

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_index"}

    @cached_property
    def _index(self) -> RowIndex:
        return RowIndex.build(self.architectures.genotypes)

    def start(self) -> History:
        """Return the history of a search that has not begun."""
        return History.start(
            self.architectures.space,
            higher_is_better=self.select_higher,
            pool=self.architectures if self.pooled else None,
        )

    def trajectory(self, rows: NDArray[np.intp], **conditions: Any) -> Trajectory:
        """Return what a search found that queried these rows of the table `(q,)`, in this order.

        `conditions` are the fields of a `Trajectory` that do not follow from the rows.
        """
        selected = self.selected[rows]
        incumbents = incumbents_of(rows, selected if self.select_higher else -selected)
        found = incumbents >= 0
        return Trajectory(
            rows=rows,
            selected=selected,
            values=self.values[rows],
            incumbents=incumbents,
            regret=np.where(found, self.gaps[incumbents], np.nanmax(self.gaps)),
            optimal=np.where(found, self.optimal[incumbents], False),
            time_unit=self.time_unit,
            **conditions,
        )

    def rows(self, architectures: Architectures) -> NDArray[np.intp]:
        """Return the row that answers for each architecture: its own, or else the first twin; -1 if there is none."""
        found = self._index.find(architectures.genotypes)
        absent = np.flatnonzero(found < 0)
        if len(absent) and not self.pooled:
            found[absent] = first_rows(self.keys, architectures[absent].keys())
        return found


def incumbents_of(rows: NDArray[np.intp], utilities: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the row of the best utility so far, the earliest of equals; -1 while all are NaN."""
    filled = np.where(np.isnan(utilities), -np.inf, utilities)
    best = np.maximum.accumulate(filled)
    improved = filled > np.concatenate([[-np.inf], best[:-1]])
    last = np.maximum.accumulate(np.where(improved, np.arange(len(rows)), -1))
    return np.where(last >= 0, rows[last], -1)


def holds_space(table: Table) -> bool:
    """Return whether a table holds every architecture of its space, or a twin of it."""
    size = table.space.size
    if size is None or size > _WHOLE:
        return False
    return size == len(table) or bool(np.isin(table.space.enumerate().keys(), table.canonical_keys).all())


def simulated_costs(table: Table, epoch: int | None) -> tuple[NDArray[np.float64], str]:
    """Return the simulated time of a training up to an epoch, and its unit.

    Where the table has no costs, all take 1; a single unknown cost is the median of those known.
    """
    metric = table.about["cost_metric"]
    there = bool(metric) and epoch in table.info(metric).epochs
    costs = table.values(metric, epoch=epoch) if there else table.costs
    known = np.isfinite(costs)
    if not known.any():
        return np.ones(len(table)), TRAININGS
    return np.where(known, costs, np.median(costs[known])), "s"
