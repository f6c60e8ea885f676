"""Searchers compared by replay: every one on every problem with every seed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .._version import __version__
from ..errors import InvalidDataError, SearcherFailedError
from ..searchers import SEARCHERS, Searcher, takes_several
from .arguments import Searchers, distinct_integers, labelled_searchers, of_label
from .cache import content_key, described
from .pareto_problem import HYPERVOLUME, ParetoProblem
from .problems import Problem, Source, as_problem, is_problem
from .replay import run_search
from .runs import Job, Progress, Record, collect, iter_jobs
from .search_report import SearchComparison
from .trajectories import Trajectory

TOLERANCES: Mapping[str, float] = {"%": 0.05, "fraction": 0.0005, HYPERVOLUME: 0.01}
"""How close to the best of the table counts as found, by the unit of the metric: 0.05 points of accuracy, or 0.01 of
the hypervolume."""

Problems = Source | Sequence[Source]


class SearchPlan:
    """A benchmark of searchers that is checked, and not yet run.

    Parameters
    ----------
    tables : Table, str, Path, SurrogateTable or Problem, or a sequence of them
        What is searched; problems bring their metrics, all others get those below; a surrogate needs none.
    metric, epoch, select_metric, select_epoch
        As `SearchProblem.of` takes them, for every table that is no problem yet.
    searchers : sequence or mapping
        Names, `Searcher` objects (labelled by their class), `(label, name or object)` pairs, or a mapping from labels.
    budget : int
        Queries of each run.
    seeds : int or sequence of int
        How many, `0 ... seeds - 1`, or which.
    batch, workers : int
        As `replay` takes them.
    tolerance : float, optional
        A run has met the target once its regret is at most this; by default 0.05 points of accuracy, and 0 for metrics
        of other units.

    Raises
    ------
    UnknownNameError
        If a table, a metric, an epoch or a searcher does not exist.
    InvalidDataError
        If a number is out of range, a label or a problem comes twice, problems with one metric and with objectives are
        mixed, or a searcher takes one metric only and there are objectives.
    """

    def __init__(
        self,
        tables: Problems,
        metric: str | None = None,
        *,
        epoch: int | None = None,
        searchers: Searchers = ("auto", "random"),
        budget: int = 150,
        seeds: int | Sequence[int] = 10,
        select_metric: str | None = None,
        select_epoch: int | None = None,
        batch: int = 1,
        workers: int = 1,
        tolerance: float | None = None,
    ) -> None:
        given = list(tables) if isinstance(tables, Sequence) and not isinstance(tables, str) else [tables]
        options: dict[str, Any] = {"epoch": epoch, "select_metric": select_metric, "select_epoch": select_epoch}
        found = [table if is_problem(table) else as_problem(table, metric, **options) for table in given]
        if not found:
            raise InvalidDataError("expected at least one table to search, got none")
        several = [isinstance(problem, ParetoProblem) for problem in found]
        if any(several) and not all(several):
            raise InvalidDataError(
                f"problem {found[several.index(False)].label!r} has one metric and "
                f"{found[several.index(True)].label!r} has objectives, expected one kind in a benchmark"
            )
        self.problems = {problem.label: problem for problem in found}
        if len(self.problems) < len(found):
            labels = [problem.label for problem in found]
            twice = next(label for label in labels if labels.count(label) > 1)
            raise InvalidDataError(f"problem {twice!r} comes twice")
        self.searchers = labelled_searchers(searchers)
        for label, searcher in self.searchers.items():
            if any(several) and not searcher.multi_objective:
                raise InvalidDataError(
                    f"searcher {label!r} takes one metric without bounds, got the objectives of {found[0].label!r}; "
                    f"expected e.g. one of {', '.join(name for name in SEARCHERS.names() if takes_several(name))}"
                )
        self.seeds = distinct_integers("seeds", range(seeds) if isinstance(seeds, int) else seeds, least=0)
        self.budget, self.batch, self.workers = (
            distinct_integers(name, [value], least=1)[0]
            for name, value in (("budget", budget), ("batch", batch), ("workers", workers))
        )
        if tolerance is not None and not tolerance >= 0:
            raise InvalidDataError(f"tolerance must be a number of at least 0, got {tolerance}")
        self.tolerance = tolerance

    @property
    def labels(self) -> list[str]:
        """What is compared."""
        return list(self.searchers)

    @property
    def total(self) -> int:
        """The number of runs."""
        return len(self.problems) * len(self.seeds) * len(self.labels)

    def replay(self, searcher: str, seed: int, problem: str | None = None) -> Trajectory:
        """Return the trajectory of one run, by the labels of its searcher and problem (the first by default).

        Raises
        ------
        UnknownNameError
            If the plan has no such searcher or problem.
        """
        chosen = of_label("searcher", searcher, self.searchers)
        where = of_label("problem", next(iter(self.problems)) if problem is None else problem, self.problems)
        return run_search(where, searcher, chosen, seed=seed, **self._conditions())

    def iter_runs(self, *, n_jobs: int = 1, cache: str | Path | None = None) -> Iterator[Record]:
        """Yield one flat record a run, as soon as it is finished.

        With one job they come in the order of problems, seeds and searchers; with several in the order in which they
        finish, with the same values except for the measured seconds.

        Parameters
        ----------
        n_jobs : int
            Runs at once, each in a process and on one thread; -1 for one a core.
        cache : str or Path, optional
            A JSON-lines file to which every finished run is added. Runs that it holds already are not repeated: a run
            is known by the content of the table, the searcher with all its parameters, the conditions and the version.

        Raises
        ------
        SearcherFailedError
            If a searcher fails; what finished before is in the cache.
        """
        yield from iter_jobs(self._jobs(), _measure, n_jobs=n_jobs, cache=cache, failure=SearcherFailedError)

    def run(
        self, *, n_jobs: int = 1, cache: str | Path | None = None, progress: Progress | None = None
    ) -> SearchComparison:
        """Do all runs; see `iter_runs`.

        Parameters
        ----------
        progress : callable, optional
            Called as `progress(done, total, record)` after each run.

        Returns
        -------
        SearchComparison
            Records in the order of problems, seeds and searchers, whatever the number of jobs.
        """
        return self.comparison(collect(self.iter_runs(n_jobs=n_jobs, cache=cache), self.total, progress))

    def comparison(self, records: Iterable[Record]) -> SearchComparison:
        """Return records of this plan, in any order, in the order of problems, seeds and searchers."""
        problems, searchers = list(self.problems), self.labels

        def place(record: Record) -> tuple[int, int, int]:
            return (
                problems.index(record["problem"]),
                self.seeds.index(record["seed"]),
                searchers.index(record["searcher"]),
            )

        return SearchComparison(sorted(records, key=place))

    # ---- runs ---------------------------------------------------------------------------------------------------

    def _conditions(self) -> dict[str, int]:
        return {"budget": self.budget, "batch": self.batch, "workers": self.workers}

    def _jobs(self) -> Iterator[Job]:
        for problem in self.problems.values():
            tolerance = TOLERANCES.get(problem.unit, 0.0) if self.tolerance is None else float(self.tolerance)
            for seed in self.seeds:
                for label, searcher in self.searchers.items():
                    head = {
                        "problem": problem.label,
                        "table": problem.table,
                        "metric": problem.metric,
                        "epoch": problem.epoch,
                        "searcher": label,
                        "seed": seed,
                        **self._conditions(),
                        "select_metric": problem.select_metric,
                        "select_epoch": problem.select_epoch,
                        "select_seed": getattr(problem, "select_seed", None),
                        "unit": problem.unit,
                        "higher_is_better": problem.higher_is_better,
                        "tolerance": tolerance,
                        "version": __version__,
                    }
                    names = ("problem", "table", "searcher", "select_seed")  # what seeds say is in the digest
                    arguments = (problem, label, searcher, seed, self._conditions(), tolerance)
                    yield Job(self._key(problem, searcher, head, names), head, names, arguments)

    @staticmethod
    def _key(problem: Problem, searcher: Searcher, head: Record, names: tuple[str, ...]) -> str:
        return content_key(
            {name: value for name, value in head.items() if name not in names}
            | {"values": problem.digest}
            | described(searcher)
        )


def _measure(
    problem: Problem, label: str, searcher: Searcher, seed: int, conditions: Mapping[str, int], tolerance: float
) -> Record:
    found = run_search(problem, label, searcher, seed=seed, **conditions)
    return {
        "queries": len(found),
        "failed": found.failed,
        "queries_to_target": found.queries_to(tolerance),
        "queries_to_optimum": found.queries_to_optimum(),
        "best": found.best,
        "regret": found.regret.tolist(),
        "rows": found.rows.tolist(),
        "finished": found.finished.tolist(),
        "time_unit": found.time_unit,
        "overhead_seconds": found.overhead_seconds,
        "slowest_ask_seconds": float(found.ask_seconds.max()),
        **found.details(),
    }


def benchmark(
    tables: Problems,
    metric: str | None = None,
    *,
    epoch: int | None = None,
    searchers: Searchers = ("auto", "random"),
    budget: int = 150,
    seeds: int | Sequence[int] = 10,
    select_metric: str | None = None,
    select_epoch: int | None = None,
    batch: int = 1,
    workers: int = 1,
    tolerance: float | None = None,
    n_jobs: int = 1,
    cache: str | Path | None = None,
    progress: Progress | None = None,
) -> SearchComparison:
    """Replay searchers on tables, over seeds, and compare how fast their regret falls.

    The parameters and errors are those of `SearchPlan`, `SearchPlan.iter_runs` and `SearchPlan.run`.

    Examples
    --------
    >>> from archcast.evaluation import benchmark
    >>> result = benchmark("nasbench201", "cifar10/test_accuracy", epoch=200, searchers=["random"], budget=20, seeds=2)
    >>> result.regrets("random").shape
    (2, 20)
    """
    plan = SearchPlan(
        tables,
        metric,
        epoch=epoch,
        searchers=searchers,
        budget=budget,
        seeds=seeds,
        select_metric=select_metric,
        select_epoch=select_epoch,
        batch=batch,
        workers=workers,
        tolerance=tolerance,
    )
    return plan.run(n_jobs=n_jobs, cache=cache, progress=progress)
