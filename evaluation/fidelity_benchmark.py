"""Schedulers compared by replay, beside searchers that train everything to the end, at equal cost in epochs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._version import __version__
from ..benchmarks_data import Table
from ..errors import InvalidDataError, SearcherFailedError
from ..searchers import Scheduler
from ..searchers.scheduler import FullFidelity
from .arguments import Schedulers, Searchers, labelled_schedulers, labelled_searchers, of_label
from .cache import content_key, described
from .fidelity_problem import FidelityProblem
from .fidelity_replay import FidelityTrajectory, run_scheduler
from .runs import Job, Progress, Record, iter_jobs
from .search_benchmark import TOLERANCES, SearchPlan
from .search_report import SearchComparison
from .trajectories import first_true


class FidelityPlan(SearchPlan):
    """A benchmark of schedulers that is checked, and not yet run.

    Its comparison is that of searchers with full trainings in place of queries: the regret once the epochs of 1, 2, ...
    full trainings were spent, and the simulated time at which they were.

    Parameters
    ----------
    tables : Table, str, Path or FidelityProblem, or a sequence of them
    metric, epoch, select_metric, select_epoch
        As `FidelityProblem.of` takes them, for every table that is no problem yet.
    schedulers : sequence or mapping
        Names `scheduler[@searcher]`, `Scheduler` objects, `(label, name or object)` pairs, or a mapping from labels.
    searchers : sequence or mapping
        Those that train everything to the end, as `SearchPlan` takes them.
    min_epochs, eta : optional
        Set on all schedulers that have the parameter.
    budget : int
        Full trainings that the epochs of a run would pay.
    seeds, tolerance
        As `SearchPlan` takes them.
    resume, workers
        As `replay_fidelity` takes them.

    Raises
    ------
    UnknownNameError
        If a table, a metric, an epoch, a scheduler or a searcher does not exist.
    InvalidDataError
        If a number is out of range, a label or a problem comes twice, or a table has no learning curves.
    """

    def __init__(
        self,
        tables: Table | str | Path | FidelityProblem | Sequence[Table | str | Path | FidelityProblem],
        metric: str | None = None,
        *,
        epoch: int | None = None,
        schedulers: Schedulers = ("asha", "bohb"),
        searchers: Searchers = ("random",),
        min_epochs: int | None = None,
        eta: float | None = None,
        budget: int = 30,
        seeds: int | Sequence[int] = 10,
        select_metric: str | None = None,
        select_epoch: int | None = None,
        resume: bool = True,
        workers: int = 1,
        tolerance: float | None = None,
    ) -> None:
        given = [tables] if isinstance(tables, (Table, str, Path, FidelityProblem)) else list(tables)
        options: dict[str, Any] = {"epoch": epoch, "select_metric": select_metric, "select_epoch": select_epoch}
        problems = [_problem(table, metric, options) for table in given]
        full = labelled_searchers(searchers)
        super().__init__(problems, searchers=full, budget=budget, seeds=seeds, workers=workers, tolerance=tolerance)
        self.curved = {problem.label: problem for problem in problems}
        self.resume = resume
        self.schedulers: dict[str, Scheduler] = labelled_schedulers(schedulers)
        for scheduler in self.schedulers.values():
            settings = {"min_epochs": min_epochs, "eta": eta}
            known = scheduler.get_params(deep=False)
            scheduler.set_params(**{k: v for k, v in settings.items() if v is not None and k in known})
        for label, searcher in full.items():
            if label in self.schedulers:
                raise InvalidDataError(
                    f"{label!r} is the label of a scheduler and of a searcher, expected distinct ones"
                )
            self.schedulers[label] = FullFidelity(searcher)
        for problem in problems:
            for scheduler in self.schedulers.values():
                scheduler._check(problem.begin())

    @property
    def labels(self) -> list[str]:
        """What is compared: schedulers first."""
        return list(self.schedulers)

    def trace(self, label: str, seed: int, problem: str | None = None) -> FidelityTrajectory:
        """Return the trajectory of one run, by the labels of its scheduler and problem (the first by default).

        Raises
        ------
        UnknownNameError
            If the plan has no such scheduler or problem.
        """
        scheduler = of_label("scheduler", label, self.schedulers)
        chosen = of_label("problem", next(iter(self.curved)) if problem is None else problem, self.curved)
        return run_scheduler(chosen, label, scheduler, seed=seed, **self._terms())

    def iter_runs(self, *, n_jobs: int = 1, cache: str | Path | None = None) -> Iterator[Record]:
        """Yield one flat record a run, as soon as it is finished; see `SearchPlan.iter_runs`."""
        yield from iter_jobs(self._jobs(), _measure, n_jobs=n_jobs, cache=cache, failure=SearcherFailedError)

    def _terms(self) -> dict[str, Any]:
        return {"budget": self.budget, "resume": self.resume, "workers": self.workers}

    def _jobs(self) -> Iterator[Job]:
        for problem in self.curved.values():
            tolerance = TOLERANCES.get(problem.unit, 0.0) if self.tolerance is None else float(self.tolerance)
            for seed in self.seeds:
                for label, scheduler in self.schedulers.items():
                    head = {
                        "problem": problem.label,
                        "table": problem.table,
                        "metric": problem.metric,
                        "epoch": problem.epoch,
                        "searcher": label,
                        "seed": seed,
                        **self._terms(),
                        "batch": 1,
                        "max_epochs": problem.levels[-1],
                        "select_metric": problem.select_metric,
                        "select_epoch": problem.select_epoch,
                        "unit": problem.unit,
                        "higher_is_better": problem.higher_is_better,
                        "tolerance": tolerance,
                        "version": __version__,
                    }
                    names = ("problem", "table", "searcher")
                    content = {name: value for name, value in head.items() if name not in names} | {
                        "values": problem.digest,
                        **described(scheduler),
                    }
                    yield Job(
                        content_key(content), head, names, (problem, label, scheduler, seed, self._terms(), tolerance)
                    )


def _problem(
    table: Table | str | Path | FidelityProblem, metric: str | None, options: dict[str, Any]
) -> FidelityProblem:
    if isinstance(table, FidelityProblem):
        return table
    if metric is None:
        raise InvalidDataError(f"expected the metric of table {str(table)!r} to search for, got none")
    return FidelityProblem.of(table, metric, **options)


def _measure(
    problem: FidelityProblem, label: str, scheduler: Scheduler, seed: int, terms: dict[str, Any], tolerance: float
) -> Record:
    found = run_scheduler(problem, label, scheduler, seed=seed, **terms)
    worst = float(np.nanmax(problem.gaps))
    # A job that ends within the epochs of i full trainings counts from i on.
    paid = found.max_epochs * np.arange(1, terms["budget"] + 1)
    after = np.searchsorted(found.spent, paid, side="right") - 1
    regret = np.where(after >= 0, found.regret[after], worst)
    optimal = np.where(after >= 0, (found.incumbents >= 0)[after] & problem.optimal[found.incumbents[after]], False)
    last = int(found.incumbents[-1])
    return {
        "queries": len(found),
        "failed": int(np.isnan(found.selected).sum()),
        "queries_to_target": first_true(regret <= tolerance),
        "queries_to_optimum": first_true(optimal),
        "best": "" if last < 0 else str(problem.architectures[last]),
        "regret": regret.tolist(),
        "rows": found.rows.tolist(),
        "finished": found.finished[np.maximum(after, 0)].tolist(),
        "time_unit": found.time_unit,
        "overhead_seconds": float(found.decide_seconds.sum()),
        "slowest_ask_seconds": float(found.decide_seconds.max()),
        "trials": len(np.unique(found.trials)),
        "spent_epochs": int(found.spent[-1]),
        "jobs": found.trials.tolist(),
        "reached": found.reached.tolist(),
    }


def benchmark_fidelity(
    tables: Table | str | Path | FidelityProblem | Sequence[Table | str | Path | FidelityProblem],
    metric: str | None = None,
    *,
    n_jobs: int = 1,
    cache: str | Path | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> SearchComparison:
    """Replay schedulers on tables with learning curves, over seeds, beside searchers that train everything to the end.

    The parameters and errors are those of `FidelityPlan`, `SearchPlan.iter_runs` and `SearchPlan.run`.

    Examples
    --------
    >>> from archcast.evaluation import benchmark_fidelity
    >>> result = benchmark_fidelity(
    ...     "nasbench_nlp", "wikitext2/valid_loss", schedulers=["asha"], min_epochs=3, budget=4, seeds=2
    ... )
    >>> result.regrets("asha").shape, result.searchers
    ((2, 4), ['asha', 'random'])
    """
    return FidelityPlan(tables, metric, **options).run(n_jobs=n_jobs, cache=cache, progress=progress)
