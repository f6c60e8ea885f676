"""What a multi-fidelity search is replayed on: a column of a table with its learning curves and what they cost."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..benchmarks_data import Table, load_table
from ..errors import InvalidDataError
from ..searchers import CurveHistory
from .cache import content_digest
from .search_problem import TRAININGS, SearchProblem


@dataclass(frozen=True, eq=False)
class FidelityProblem(SearchProblem):
    """A `SearchProblem` whose trainings report at several epochs.

    Make one with `FidelityProblem.of`, which takes what `SearchProblem.of` takes.

    Parameters
    ----------
    levels : tuple of int `(l,)`
        The epochs at which `select_metric` is known for every row that has a value at the end; the last is the full
        training.
    curves : float64 array `(n, l)`
        `select_metric` at these epochs. A row that fails has NaN from the first epoch on that it does not reach.
    elapsed : float64 array `(n, l)`
        The simulated time from the beginning of a training to each of these epochs, in `time_unit`: the table's
        seconds, by epoch where it has them, otherwise in proportion to epochs.
    """

    levels: tuple[int, ...]
    curves: NDArray[np.float64]
    elapsed: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        table: Table | str | Path,
        metric: str,
        *,
        epoch: int | None = None,
        select_metric: str | None = None,
        select_epoch: int | None = None,
    ) -> FidelityProblem:
        """Return a metric of a table as a problem with learning curves.

        Parameters and errors are those of `SearchProblem.of`; trainings go up to the epoch of the metric that selects.

        Raises
        ------
        InvalidDataError
            Also if there are not at least two epochs.
        """
        source = table if isinstance(table, Table) else load_table(table)
        plain = SearchProblem.of(source, metric, epoch=epoch, select_metric=select_metric, select_epoch=select_epoch)
        there = source.info(plain.select_metric).epochs
        last = there[-1] if plain.select_epoch is None and there else plain.select_epoch
        known = [at for at in there if last is not None and at <= last]
        if len(known) < 2:
            raise InvalidDataError(
                f"metric {plain.select_metric!r} of table {source.name!r} has no learning curves: expected two epochs "
                f"or more up to the one that is searched for, got {', '.join(map(str, known)) or 'none'}"
            )
        every = np.asarray(source.values(plain.select_metric, epoch="all"), dtype=np.float64)[:, : len(known)]
        complete = np.isfinite(every[np.isfinite(plain.selected)]).all(axis=0)
        levels = tuple(int(at) for at in np.array(known)[complete])
        if len(levels) < 2:
            raise InvalidDataError(
                f"metric {plain.select_metric!r} of table {source.name!r} has no learning curves: no epoch before "
                f"{known[-1]} is known for all rows"
            )
        curves = every[:, complete]
        curves[np.isnan(plain.selected), -1] = np.nan
        curves[np.logical_or.accumulate(np.isnan(curves), axis=1)] = np.nan
        inherited = {item.name: getattr(plain, item.name) for item in fields(plain)}
        return cls(**inherited, levels=levels, curves=curves, elapsed=_elapsed(source, plain, levels))

    @cached_property
    def digest(self) -> str:
        """The content of the problem, whatever its name."""
        return content_digest({"plain": super().digest, "levels": self.levels}, [self.curves, self.elapsed])

    def begin(self) -> CurveHistory:
        """Return the history of a multi-fidelity search that has not begun."""
        return CurveHistory.start(
            self.architectures.space,
            self.levels,
            higher_is_better=self.select_higher,
            pool=self.architectures if self.pooled else None,
        )


def _elapsed(table: Table, problem: SearchProblem, levels: tuple[int, ...]) -> NDArray[np.float64]:
    """Return the simulated time from the start to each epoch, `(n, l)`, never decreasing."""
    epochs = np.array(levels, dtype=np.float64)
    proportional: NDArray[np.float64] = problem.costs[:, None] * epochs / epochs[-1]
    cost_metric = table.about["cost_metric"]
    if problem.time_unit == TRAININGS or not set(levels) <= set(table.info(cost_metric).epochs):
        return proportional
    places = [table.info(cost_metric).epochs.index(level) for level in levels]
    measured = np.asarray(table.values(cost_metric, epoch="all"), dtype=np.float64)[:, places]
    return np.asarray(np.maximum.accumulate(np.where(np.isfinite(measured), measured, proportional), axis=1))
