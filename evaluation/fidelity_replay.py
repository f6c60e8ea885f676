"""Replaying a multi-fidelity search on a table: trainings report epoch by epoch, pause, go on, and are stopped."""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from ..benchmarks_data import Table
from ..errors import ArchcastError, InvalidDataError, SearcherFailedError
from ..searchers import Scheduler
from ..searchers.curve_history import Ending
from ..searchers.scheduler import Assignment
from .arguments import distinct_integers, labelled_schedulers
from .fidelity_problem import FidelityProblem
from .trajectories import at_times


@dataclass(frozen=True, eq=False)
class FidelityTrajectory:
    """One multi-fidelity search, replayed on a table.

    All arrays of length `j` have one entry a job, in the order in which jobs ended. A job is what a worker does at a
    stretch: a training from where it was (or its beginning) to where it was paused, stopped, failed or complete.

    Parameters
    ----------
    scheduler : str
        The label of the scheduler.
    seed : int
    trials, rows : integer arrays `(j,)`
        The trial of each job, in the order in which trials began, and its row in the table.
    began, reached : integer arrays `(j,)`
        The epoch from which the job trained, 0 for a beginning, and the last one that it trained.
    selected : float64 array `(j,)`
        What was told at the end of the job, NaN if the training failed.
    incumbents : integer array `(j,)`
        The row with the best value at the deepest epoch to which a job was asked to train and did, -1 before the first.
    regret : float64 array `(j,)`
        How much worse the judged metric of the incumbent, fully trained, is than the best of the table; that of the
        worst of the table while there is no incumbent, or where it would fail later.
    spent : integer array `(j,)`
        Epochs trained by all workers so far.
    started, finished : float64 arrays `(j,)`
        Simulated time at which the job began and ended.
    time_unit : str
    max_epochs : int
        Epochs of a full training.
    decide_seconds : float64 array `(a,)`
        Real wall-clock seconds of each call for the next assignment; calls that stop trainings are in the last entry.
    """

    scheduler: str
    seed: int
    trials: NDArray[np.intp]
    rows: NDArray[np.intp]
    began: NDArray[np.int64]
    reached: NDArray[np.int64]
    selected: NDArray[np.float64]
    incumbents: NDArray[np.intp]
    regret: NDArray[np.float64]
    spent: NDArray[np.int64]
    started: NDArray[np.float64]
    finished: NDArray[np.float64]
    time_unit: str
    max_epochs: int
    decide_seconds: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of jobs."""
        return len(self.rows)

    def __repr__(self) -> str:
        trainings = self.spent[-1] / self.max_epochs
        return (
            f"<FidelityTrajectory of {self.scheduler!r}: {len(np.unique(self.trials))} trials, epochs of "
            f"{trainings:.3g} full trainings, regret {self.regret[-1]:.4g}>"
        )

    def regret_at_epochs(self, epochs: ArrayLike) -> NDArray[np.float64]:
        """Return the regret once so many epochs `(m,)` were trained in all; NaN before the first job has ended."""
        return at_times(self.spent, self.regret, epochs)

    def regret_at_time(self, times: ArrayLike) -> NDArray[np.float64]:
        """Return the regret at simulated times `(m,)`; NaN before the first job has ended."""
        return at_times(self.finished, self.regret, times)


def replay_fidelity(
    table: Table | str | Path | FidelityProblem,
    metric: str | None = None,
    scheduler: str | Scheduler = "asha",
    *,
    epoch: int | None = None,
    budget: int = 30,
    seed: int = 0,
    select_metric: str | None = None,
    select_epoch: int | None = None,
    resume: bool = True,
    workers: int = 1,
) -> FidelityTrajectory:
    """Let a scheduler search a table with learning curves, on simulated time.

    `workers` trainings go on at once, and report after each epoch that the table knows. Whenever one of them ends, the
    scheduler gives free workers something to do. The epochs of a job are taken from the budget when it begins, and what
    a stopped or failed job did not train is given back; the search ends with the first job that the rest of the budget
    does not pay, or when there is nothing left to do.

    Parameters
    ----------
    table : Table, str, Path or FidelityProblem
    metric : str, optional
        As `FidelityProblem.of` takes it, as are `epoch`, `select_metric` and `select_epoch`; left out for a problem.
    scheduler : str or Scheduler
    budget : int
        Full trainings that could be paid with the epochs of the whole search.
    seed : int
    resume : bool
        A promoted training goes on where it was paused, so that it costs the additional epochs only. Without, it
        begins anew: for tables whose epochs are separate trainings.
    workers : int

    Raises
    ------
    UnknownNameError
        If the table, a metric, an epoch or the scheduler does not exist.
    InvalidDataError
        If a number is out of range, or the table has no learning curves.
    SearcherFailedError
        If the scheduler raises an exception, or decides what is not possible.

    Examples
    --------
    >>> from archcast.evaluation import replay_fidelity
    >>> found = replay_fidelity("nasbench_nlp", "wikitext2/valid_loss", "asha", budget=3)
    >>> int(found.spent[-1]) <= 3 * found.max_epochs
    True
    """
    if isinstance(table, FidelityProblem):
        if metric is not None or epoch is not None or select_metric is not None or select_epoch is not None:
            raise InvalidDataError("a FidelityProblem has its metrics and epochs already, expected none beside it")
        problem = table
    elif metric is None:
        raise InvalidDataError(f"expected the metric of table {str(table)!r} to search for, got none")
    else:
        problem = FidelityProblem.of(table, metric, epoch=epoch, select_metric=select_metric, select_epoch=select_epoch)
    ((label, chosen),) = labelled_schedulers([scheduler]).items()
    budget, workers = (
        distinct_integers(name, [n], least=1)[0] for name, n in (("budget", budget), ("workers", workers))
    )
    distinct_integers("seed", [seed], least=0)
    return run_scheduler(problem, label, chosen, seed=seed, budget=budget, resume=resume, workers=workers)


def run_scheduler(
    problem: FidelityProblem, label: str, scheduler: Scheduler, *, seed: int, budget: int, resume: bool, workers: int
) -> FidelityTrajectory:
    """Do what `replay_fidelity` does, with arguments that are checked."""
    with threadpool_limits(limits=1):
        return _Simulation(problem, label, clone(scheduler), seed, budget * problem.levels[-1], resume, workers).run()


@dataclass(frozen=True)
class _Job:
    """What one worker does: a trial from epoch `began` to `target`, since simulated time `start`."""

    trial: int
    began: int
    target: int
    start: float
    offset: float
    """Simulated time of the trial's own beginning: reports come `elapsed` later."""
    paid: int
    """Epoch from which its training is paid: that where it was paused, or 0 if it begins anew."""


class _Simulation:
    """Workers on simulated time, as an event queue of reports."""

    def __init__(
        self,
        problem: FidelityProblem,
        label: str,
        scheduler: Scheduler,
        seed: int,
        budget: int,
        resume: bool,
        workers: int,
    ) -> None:
        self.problem, self.label, self.scheduler = problem, label, scheduler
        self.seed, self.budget, self.resume, self.workers = seed, budget, resume, workers
        self.history = problem.begin()
        self.row_of: list[int] = []
        self.events: list[tuple[float, int, int, _Job]] = []  # a heap of (time, order, level, job)
        self.order = 0
        self.running = 0
        self.reserved = 0  # epochs of all jobs so far, those of running ones in full
        self.spent = 0
        self.ends: list[tuple[_Job, int, float, float, int]] = []
        self.seconds: list[float] = []

    def run(self) -> FidelityTrajectory:
        self._start_all(0.0)
        while self.events:
            now, ended = self.events[0][0], False
            while self.events and self.events[0][0] == now:
                _, _, level, job = heapq.heappop(self.events)
                ended |= self._report(job, level, now)
            if ended:
                self._start_all(now)
        return self._trajectory()

    def _start_all(self, now: float) -> None:
        while self.running < self.workers:
            assignment = self._timed_next()
            if assignment is None:
                return
            trial = len(self.history) if assignment.trial is None else assignment.trial
            began = 0 if assignment.trial is None else int(self.history.reached[trial])
            paid = began if self.resume else 0
            if self.reserved + assignment.epoch - paid > self.budget:
                return
            if assignment.trial is None:
                self.row_of.append(self._new_row(assignment))
                self.history = self.history.begin(assignment.architecture, assignment.epoch)
            else:
                self.history = self.history.grant(trial, assignment.epoch)
            before = self.problem.elapsed[self.row_of[trial], self.history.level(paid)] if paid else 0.0
            self.reserved += assignment.epoch - paid
            self.running += 1
            level = self.history.level(began) + 1 if began else 0
            self._wait(_Job(trial, began, assignment.epoch, now, now - before, paid), level)

    def _wait(self, job: _Job, level: int) -> None:
        self.order += 1
        when = max(job.start, job.offset + float(self.problem.elapsed[self.row_of[job.trial], level]))
        heapq.heappush(self.events, (when, self.order, level, job))

    def _report(self, job: _Job, level: int, now: float) -> bool:
        """Tell one epoch of a running job; return whether the job has ended."""
        epoch, value = self.problem.levels[level], float(self.problem.curves[self.row_of[job.trial], level])
        known = int(self.history.reached[job.trial])
        self.spent += epoch - (job.paid if known == job.began else known)
        self.history = self.history.tell(job.trial, epoch, value)
        ended = bool(np.isnan(value)) or epoch == job.target
        if not ended and self._stops(job.trial):
            self.history = self.history.stop(job.trial)
            ended = True
        if not ended:
            self._wait(job, level + 1)
            return False
        self.reserved -= job.target - epoch
        self.running -= 1
        self.ends.append((job, epoch, value, now, self.spent))
        return True

    # ---- the scheduler ------------------------------------------------------------------------------------------

    def _timed_next(self) -> Assignment | None:
        began = time.perf_counter()
        try:
            assignment = self.scheduler.next(self.history, self.seed)
        except Exception as error:
            raise self._failure(error) from error
        self.seconds.append(time.perf_counter() - began)
        if assignment is not None:
            self._check(assignment)
        return assignment

    def _stops(self, trial: int) -> bool:
        if not self.scheduler.watches:
            return False
        began = time.perf_counter()
        try:
            stops = self.scheduler.stops(self.history, trial)
        except Exception as error:
            raise self._failure(error) from error
        self.seconds[-1] += time.perf_counter() - began
        return stops

    def _check(self, assignment: Assignment) -> None:
        trial, epoch = assignment.trial, assignment.epoch
        problem = ""
        if epoch not in self.problem.levels:
            problem = f"it wants a training to epoch {epoch}, which the table does not know"
        elif trial is None:
            if len(assignment.architecture) != 1 or np.isin(assignment.architecture.keys(), self.history.keys).any():
                problem = f"it proposed {assignment.architecture} although exactly one new architecture is needed"
        elif not 0 <= trial < len(self.history) or self.history.endings[trial] != Ending.OPEN:
            problem = f"it wants trial {trial} to go on, which is none or has ended"
        elif trial in self.history.running or epoch <= self.history.reached[trial]:
            problem = f"it wants trial {trial} to train to epoch {epoch}, which it does or did already"
        if problem:
            raise SearcherFailedError(f"{self._where()}: {problem}")

    def _new_row(self, assignment: Assignment) -> int:
        row = int(self.problem.rows(assignment.architecture)[0])
        if row < 0:
            raise SearcherFailedError(
                f"{self._where()}: it proposed {assignment.architecture[0]}, which the table does not hold"
            )
        return row

    def _failure(self, error: Exception) -> SearcherFailedError:
        kind = "" if isinstance(error, ArchcastError) else f"{type(error).__name__}: "
        return SearcherFailedError(f"{self._where()}: {kind}{error}")

    def _where(self) -> str:
        run = f"{self.problem.label}, seed = {self.seed}"
        return f"scheduler {self.label!r} failed on {run}, after {len(self.history)} trials"

    # ---- what came of it ----------------------------------------------------------------------------------------

    def _trajectory(self) -> FidelityTrajectory:
        if not self.ends:
            raise SearcherFailedError(f"{self._where()}: it did not begin any training")
        problem = self.problem
        rows = np.array([self.row_of[job.trial] for job, *_ in self.ends], dtype=np.intp)
        reached = np.array([epoch for _, epoch, *_ in self.ends], dtype=np.int64)
        selected = np.array([value for _, _, value, *_ in self.ends])
        complete = reached == np.array([job.target for job, *_ in self.ends])
        utilities = np.where(complete, selected if problem.select_higher else -selected, np.nan)
        incumbents = _incumbents(rows, reached, utilities)
        gaps = np.where(incumbents >= 0, problem.gaps[incumbents], np.nan)
        return FidelityTrajectory(
            scheduler=self.label,
            seed=self.seed,
            trials=np.array([job.trial for job, *_ in self.ends], dtype=np.intp),
            rows=rows,
            began=np.array([job.began for job, *_ in self.ends], dtype=np.int64),
            reached=reached,
            selected=selected,
            incumbents=incumbents,
            regret=np.where(np.isfinite(gaps), gaps, np.nanmax(problem.gaps)),
            spent=np.array([spent for *_, spent in self.ends], dtype=np.int64),
            started=np.array([job.start for job, *_ in self.ends]),
            finished=np.array([now for _, _, _, now, _ in self.ends]),
            time_unit=problem.time_unit,
            max_epochs=problem.levels[-1],
            decide_seconds=np.array(self.seconds),
        )


def _incumbents(rows: NDArray[np.intp], reached: NDArray[np.int64], utilities: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the row with the best utility at the deepest epoch so far, the earliest of equals; -1 before the first."""
    found = np.full(len(rows), -1, dtype=np.intp)
    best, depth, held = -np.inf, 0, -1
    for job, (row, epoch, utility) in enumerate(zip(rows, reached, utilities, strict=True)):
        if np.isfinite(utility) and (epoch > depth or (epoch == depth and utility > best)):
            best, depth, held = float(utility), int(epoch), int(row)
        found[job] = held
    return found
