"""Searching a table for several objectives: the front that it holds, and how much of its hypervolume was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..benchmarks_data import Table, load_table
from ..errors import InvalidDataError
from ..searchers import History, Quantity
from ..searchers.pareto import hypervolume, hypervolume_curve, nondominated
from ..searchers.quantities import check_quantities, parse_bound
from .arguments import metric_at_epoch
from .search_problem import SearchProblem, holds_space, simulated_costs
from .trajectories import Trajectory

HYPERVOLUME = "hypervolume"
"""The unit of the regret of a search for several objectives: 1 is the hypervolume of the table's front."""

_MARGIN = 0.1


@dataclass(frozen=True, eq=False, repr=False)
class ParetoTrajectory(Trajectory):
    """One search for several objectives, replayed on a table.

    `selected` and `values` are `(q, k)`, with a column a quantity. `incumbents` are the rows that enlarged the
    hypervolume last, -1 while none did; `regret` is the share of the hypervolume of the table's front that is missing,
    and `optimal` says whether nothing is.

    Parameters
    ----------
    hypervolume : float64 array `(q,)`
        The share of the hypervolume of the table's front that was found, after each query; from 0 to 1.
    volume : float
        The hypervolume of the table's front, in the product of the units of the objectives.
    front : integer array `(f,)`
        The rows of the front that was found, in the order of the queries.
    quantities : tuple of Quantity
        The columns of `values`; the objectives have their reference.
    table_front : float64 array `(g, m)`
        The objectives of the table's front, in their units.
    """

    hypervolume: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    volume: float = 0.0
    front: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, dtype=np.intp))
    quantities: tuple[Quantity, ...] = ()
    table_front: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))

    def __repr__(self) -> str:
        return (
            f"<ParetoTrajectory of {self.searcher!r}: {len(self)} queries, {len(self.front)} on the front, "
            f"{self.hypervolume[-1]:.4g} of the hypervolume>"
        )

    @property
    def failed(self) -> int:
        """The number of failed queries."""
        return int(np.isnan(self.selected).any(axis=1).sum())

    @property
    def front_values(self) -> NDArray[np.float64]:
        """The objectives of the front that was found, in their units, `(f, m)`."""
        columns = [j for j, quantity in enumerate(self.quantities) if quantity.objective]
        first = {int(row): place for place, row in reversed(list(enumerate(self.rows)))}
        return self.values[[first[int(row)] for row in self.front]][:, columns]

    def details(self) -> dict[str, Any]:
        """Return the hypervolume after each query, the front, the reference, and what they are of."""
        objectives = [quantity for quantity in self.quantities if quantity.objective]
        return {
            "hypervolume": self.hypervolume.tolist(),
            "hypervolume_of_table": self.volume,
            "objectives": [quantity.name for quantity in objectives],
            "directions": ["higher" if quantity.higher_is_better else "lower" for quantity in objectives],
            "constraints": [text for quantity in self.quantities for text in bounds_of(quantity)],
            "reference": [quantity.reference for quantity in objectives],
            "front": self.front.tolist(),
            "front_values": self.front_values.tolist(),
            "front_of_table": self.table_front.tolist(),
        }


@dataclass(frozen=True, eq=False)
class ParetoProblem(SearchProblem):
    """Several quantities of a table to be searched for: objectives, and bounds that are to be kept.

    Make one with `ParetoProblem.of`. `selected` and `values` are the same here, `(n, k)` with a column a quantity.

    Parameters
    ----------
    quantities : tuple of Quantity
        The columns; each objective has a reference, at which the hypervolume begins.
    told : tuple of Quantity
        The same as searchers know them: with a reference only where the user gave one.
    """

    quantities: tuple[Quantity, ...] = ()
    told: tuple[Quantity, ...] = ()

    @classmethod
    def of(  # type: ignore[override]
        cls,
        table: Table | str | Path,
        objectives: Sequence[str],
        *,
        constraints: Sequence[str] = (),
        reference: Mapping[str, float] | None = None,
    ) -> ParetoProblem:
        """Return quantities of a table as a problem.

        Parameters
        ----------
        table : Table, str or Path
            As `SearchProblem.of` takes it.
        objectives : sequence of str
            Each a metric of the table, `METRIC[@EPOCH]`, whose direction the table knows, or `params` or `flops`, of
            which less is better: they are computed by the space, and searchers need not forecast them.
        constraints : sequence of str
            Each `NAME<=VALUE` or `NAME>=VALUE`, with a name as above. Other architectures are infeasible: they are no
            part of any front.
        reference : mapping, optional
            Where the hypervolume begins, for objectives by name; searchers are told. By default a tenth of the range
            of the table's feasible front below the worst of it (Ishibuchi, Imada, Setoguchi and Nojima, "How to
            Specify a Reference Point in Hypervolume Calculation for Fair Performance Comparison", Evolutionary
            Computation 2018), or of the range of all feasible rows where the front has none; searchers are not told.

        Raises
        ------
        UnknownNameError
            If the table, a metric or an epoch does not exist.
        InvalidDataError
            If a constraint cannot be read, a name comes twice, there is no objective, the space does not know a
            quantity, nothing is feasible, or nothing is better than the reference.
        """
        source = table if isinstance(table, Table) else load_table(table)
        bounds: dict[str, tuple[float, float]] = {}
        for text in constraints:
            name, low, high = parse_bound(text)
            before = bounds.get(name, (-np.inf, np.inf))
            bounds[name] = (max(low, before[0]), min(high, before[1]))
        given = dict(reference or {})
        for name in given:
            if name not in objectives:
                raise InvalidDataError(
                    f"a reference needs an objective, got {name!r}; objectives are {list(objectives)}"
                )
        found: list[Quantity] = []
        columns: list[NDArray[np.float64]] = []
        for name in [*objectives, *(name for name in bounds if name not in objectives)]:
            quantity, column = _quantity(source, name)
            low, high = bounds.get(name, (-np.inf, np.inf))
            wanted = name in objectives
            found.append(replace(quantity, objective=wanted, low=low, high=high, reference=given.get(name)))
            columns.append(column)
        told = check_quantities(found)
        values = np.stack(columns, axis=1)
        values[~np.isfinite(values).all(axis=1)] = np.nan
        names = ", ".join(quantity.name for quantity in told if quantity.objective)
        bounded = [text for quantity in told for text in bounds_of(quantity)]
        costs, unit = simulated_costs(source, None)
        problem = cls(
            table=source.name,
            metric=" | ".join([names, *bounded]),
            epoch=None,
            select_metric=" | ".join([names, *bounded]),
            select_epoch=None,
            unit=HYPERVOLUME,
            higher_is_better=True,
            select_higher=True,
            architectures=source.architectures,
            keys=source.canonical_keys,
            selected=values,
            values=values,
            costs=costs,
            time_unit=unit,
            pooled=not holds_space(source),
            quantities=_with_references(source.name, told, values),
            told=told,
        )
        if not problem.volume > 0:
            begin = {q.name: q.reference for q in problem.quantities if q.objective}
            raise InvalidDataError(f"no architecture of table {source.name!r} is better than all of reference {begin}")
        return problem

    @cached_property
    def _utilities(self) -> NDArray[np.float64]:
        """The objectives of each row, higher is better, `(n, m)`; NaN where the row fails or is infeasible."""
        return _utilities(self.quantities, self.values)

    @cached_property
    def _reference(self) -> NDArray[np.float64]:
        return np.array([q.sign * float(q.reference or 0.0) for q in self.quantities if q.objective])

    @cached_property
    def front(self) -> NDArray[np.intp]:
        """The feasible rows that no other one dominates, `(f,)`."""
        rows = np.flatnonzero(np.isfinite(self._utilities).all(axis=1))
        return rows[nondominated(self._utilities[rows])]

    @cached_property
    def volume(self) -> float:
        """The hypervolume of the table's front, in the product of the units of the objectives."""
        return hypervolume(self._utilities[self.front], self._reference)

    def _traits(self) -> dict[str, Any]:
        described = [[quantity.to_dict() for quantity in which] for which in (self.quantities, self.told)]
        return super()._traits() | {"quantities": described}

    def start(self) -> History:
        """Return the history of a search that has not begun."""
        pool = self.architectures if self.pooled else None
        return History.start(self.architectures.space, pool=pool, quantities=self.told)

    def trajectory(self, rows: NDArray[np.intp], **conditions: Any) -> ParetoTrajectory:
        """Return what a search found that queried these rows of the table `(q,)`, in this order."""
        points = self._utilities[rows]
        curve = hypervolume_curve(points, self._reference) / self.volume
        grown = curve > np.concatenate([[0.0], curve[:-1]])
        last = np.maximum.accumulate(np.where(grown, np.arange(len(rows)), -1))
        feasible = np.flatnonzero(np.isfinite(points).all(axis=1))
        regret = np.maximum(1.0 - curve, 0.0)
        regret[regret < 1e-12] = 0.0
        signs = np.array([quantity.sign for quantity in self.quantities if quantity.objective])
        return ParetoTrajectory(
            rows=rows,
            selected=self.selected[rows],
            values=self.values[rows],
            incumbents=np.where(last >= 0, rows[last], -1),
            regret=regret,
            optimal=regret == 0,
            time_unit=self.time_unit,
            hypervolume=1.0 - regret,
            volume=self.volume,
            front=rows[feasible[nondominated(points[feasible])]],
            quantities=self.quantities,
            table_front=self._utilities[self.front] * signs,
            **conditions,
        )


def bounds_of(quantity: Quantity) -> list[str]:
    """Return the bounds of a quantity as constraints that can be read back."""
    ends = ((">=", quantity.low), ("<=", quantity.high))
    return [f"{quantity.name}{relation}{bound:g}" for relation, bound in ends if np.isfinite(bound)]


def _quantity(table: Table, name: str) -> tuple[Quantity, NDArray[np.float64]]:
    """Return a metric of a table, or a quantity that its space knows, and its values `(n,)`."""
    if "/" not in name:
        quantity = Quantity(name, higher_is_better=False, known=True)
        return quantity, quantity.exact(table.architectures).copy()
    metric, epoch = metric_at_epoch("an objective", name)
    values = np.array(table.values(metric, epoch=epoch), dtype=np.float64)
    return Quantity(name, higher_is_better=table.is_higher_better(metric)), values


def _utilities(quantities: Sequence[Quantity], values: NDArray[np.float64]) -> NDArray[np.float64]:
    columns = [quantity.sign * values[:, j] for j, quantity in enumerate(quantities) if quantity.objective]
    within = np.all([quantity.allows(values[:, j]) for j, quantity in enumerate(quantities)], axis=0)
    return np.where(within[:, None], np.stack(columns, axis=1), np.nan)


def _with_references(table: str, told: tuple[Quantity, ...], values: NDArray[np.float64]) -> tuple[Quantity, ...]:
    """Return the quantities with a reference for every objective, judged by the table's feasible front."""
    utilities = _utilities(told, values)
    feasible = utilities[np.isfinite(utilities).all(axis=1)]
    if not len(feasible):
        wanted = ", ".join([quantity.name for quantity in told] + [text for q in told for text in bounds_of(q)])
        raise InvalidDataError(f"table {table!r} has no architecture with values that are feasible of {wanted}")
    front = feasible[nondominated(feasible)]
    span = np.where(np.ptp(front, axis=0) > 0, np.ptp(front, axis=0), np.ptp(feasible, axis=0))
    start = front.min(axis=0) - _MARGIN * np.where(span > 0, span, 1.0)
    ends = iter(zip(start.tolist(), feasible.max(axis=0).tolist(), strict=True))
    found = []
    for quantity in told:
        if quantity.objective:
            begin, best = next(ends)
            if quantity.reference is None:
                found.append(replace(quantity, reference=quantity.sign * begin))
                continue
            if quantity.sign * quantity.reference >= best:
                raise InvalidDataError(
                    f"the reference of {quantity.name!r} must be worse than the best of table {table!r}, "
                    f"{quantity.sign * best:g}, got {quantity.reference:g}"
                )
        found.append(quantity)
    return tuple(found)
