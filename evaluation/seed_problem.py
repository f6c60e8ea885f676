"""What a search is replayed on that is told one training of each architecture and judged by the others."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..benchmarks_data import Table, load_table
from ..errors import InvalidDataError
from .cache import content_digest
from .search_problem import SearchProblem

EACH = "each"
"""Searches take turns: the one with seed s is told the s-th training, and begins again after the last."""


@dataclass(frozen=True, eq=False)
class SeedProblem(SearchProblem):
    """A `SearchProblem` on a table of several trainings of each architecture, of which a search is told one.

    What is judged is the mean over the other trainings, so that luck in the one that was seen gains nothing. Make one
    with `SeedProblem.of`, which takes what `SearchProblem.of` takes.

    Parameters
    ----------
    select_seed : int or "each"
        The label of the training that is told.
    told : float64 array `(n, k)`
        `select_metric` of each training that may be told.
    judged : float64 array `(n, k)`
        `metric` without it. NaN where `told` is and the other way round.
    """

    select_seed: int | str
    told: NDArray[np.float64]
    judged: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        table: Table | str | Path,
        metric: str,
        *,
        epoch: int | None = None,
        select_metric: str | None = None,
        select_epoch: int | None = None,
        select_seed: int | str = EACH,
    ) -> SeedProblem:
        """Return a metric of a table as a problem in which a search sees one training of each architecture.

        Parameters and errors are those of `SearchProblem.of`.

        Parameters
        ----------
        select_seed : int or "each"
            The label of a training, the same in all searches; or `"each"`, so that searches with other seeds are told
            other trainings. Judged is the mean over the other trainings, or the metric as it is if the table has one
            value of it.

        Raises
        ------
        UnknownNameError
            Also if the metric that selects has no training of that label.
        InvalidDataError
            Also if it has one training of each architecture.

        Examples
        --------
        >>> from archcast import replay
        >>> from archcast.evaluation import SeedProblem
        >>> test, valid = "mnist1d/test_accuracy", "mnist1d/valid_accuracy"
        >>> signals = SeedProblem.of("mnist1d_nasbench201", test, select_metric=valid)
        >>> found = replay(signals, searcher="random", budget=20, seed=1)
        >>> len(found)
        20
        """
        source = table if isinstance(table, Table) else load_table(table)
        plain = SearchProblem.of(source, metric, epoch=epoch, select_metric=select_metric, select_epoch=select_epoch)
        select, at = plain.select_metric, plain.select_epoch
        labels = source.info(select).seeds
        if len(labels) < 2:
            raise InvalidDataError(
                f"metric {select!r} of table {source.name!r} has one value of each architecture: expected several "
                "trainings to select by one of them"
            )
        chosen: tuple[int, ...]
        if isinstance(select_seed, str):
            if select_seed != EACH:
                raise InvalidDataError(f"select_seed must be an integer or {EACH!r}, got {select_seed!r}")
            chosen = labels
            told = np.array(source.values(select, epoch=at, seed="all"), dtype=np.float64)
        else:
            told = np.array(source.values(select, epoch=at, seed=select_seed), dtype=np.float64)[:, None]
            chosen = (int(select_seed),)
        every = np.asarray(source.values(metric, epoch=epoch, seed="all"), dtype=np.float64)
        there = np.array(source.info(metric).seeds)
        judged = np.stack([_mean(every[:, there != label] if len(there) > 1 else every) for label in chosen], axis=1)
        missing = ~(np.isfinite(told) & np.isfinite(judged))
        if missing.all(axis=0).any():
            label = chosen[int(np.argmax(missing.all(axis=0)))]
            raise InvalidDataError(
                f"table {source.name!r} has no architecture with a value of {select!r} for seed {label} and another "
                f"training of {metric!r}"
            )
        told[missing] = judged[missing] = np.nan
        return cls(**_inherited(plain), select_seed=select_seed, told=told, judged=judged)

    def open(self, seed: int) -> SearchProblem:
        """Return what a search with this seed asks, and what it is judged by."""
        column = seed % self.told.shape[1]
        own = {"selected": self.told[:, column], "values": self.judged[:, column]}
        return SearchProblem(**(_inherited(self) | own))

    @cached_property
    def digest(self) -> str:
        """The content of the problem, whatever its name."""
        return content_digest({"plain": super().digest}, [self.told, self.judged])


def _inherited(problem: SearchProblem) -> dict[str, Any]:
    return {item.name: getattr(problem, item.name) for item in fields(SearchProblem)}


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of what is known in each row, NaN where nothing is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmean(values, axis=1))
