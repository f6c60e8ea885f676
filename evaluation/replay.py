"""Replaying a search on a table: a training is a lookup, and takes as long as the table says that it took."""

from __future__ import annotations

import heapq
import time
from collections import deque

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from ..errors import ArchcastError, ExhaustedSpaceError, SearcherFailedError
from ..searchers import Searcher
from ..spaces import Architectures
from .arguments import distinct_integers, labelled_searchers
from .problems import Problem, Source, as_problem
from .trajectories import Trajectory


def replay(
    table: Source,
    metric: str | None = None,
    searcher: str | Searcher = "auto",
    *,
    epoch: int | None = None,
    budget: int = 150,
    seed: int = 0,
    select_metric: str | None = None,
    select_epoch: int | None = None,
    batch: int = 1,
    workers: int = 1,
) -> Trajectory:
    """Let a searcher search a table, on simulated time.

    `workers` trainings go on at once, each for as long as the table says. Whenever workers are free, and everything
    that was proposed before has been started, the searcher is asked for `batch` more; what is still training is pending
    in its history. Time that the searcher itself takes is measured, and is no part of the simulated time.

    Parameters
    ----------
    table : Table, str, Path, SurrogateTable or Problem
    metric : str, optional
        As `SearchProblem.of` takes it, as are `epoch`, `select_metric` and `select_epoch`; left out for a problem, and
        for a surrogate, which has one metric.
    searcher : str or Searcher
    budget : int
        The number of queries.
    seed : int
        The same seed gives the same trajectory, but for the measured seconds.
    batch : int
        How many architectures are asked for at once.
    workers : int
        How many trainings go on at once.

    Raises
    ------
    UnknownNameError
        If the table, a metric, an epoch or the searcher does not exist.
    InvalidDataError
        If a number is out of range.
    SearcherFailedError
        If the searcher raises an exception, or proposes what is not in the table or was proposed before.

    Examples
    --------
    >>> from archcast.evaluation import replay
    >>> found = replay("nasbench201", "cifar10/test_accuracy", "random", epoch=200, budget=20)
    >>> len(found), found.time_unit
    (20, 'trainings')
    """
    problem = as_problem(table, metric, epoch=epoch, select_metric=select_metric, select_epoch=select_epoch)
    ((label, chosen),) = labelled_searchers([searcher]).items()
    budget, batch, workers = (
        distinct_integers(name, [value], least=1)[0]
        for name, value in (("budget", budget), ("batch", batch), ("workers", workers))
    )
    distinct_integers("seed", [seed], least=0)
    return run_search(problem, label, chosen, seed=seed, budget=budget, batch=batch, workers=workers)


def run_search(
    problem: Problem, label: str, searcher: Searcher, *, seed: int, budget: int, batch: int, workers: int
) -> Trajectory:
    """Do what `replay` does, with arguments that are checked."""
    with threadpool_limits(limits=1):
        return _Simulation(problem, label, clone(searcher), seed, budget, batch, workers).run()


class _Simulation:
    """Workers on simulated time, as an event queue of trainings that end."""

    def __init__(
        self, problem: Problem, label: str, searcher: Searcher, seed: int, budget: int, batch: int, workers: int
    ) -> None:
        self.problem, self.label, self.searcher = problem, label, searcher
        self.seed, self.budget, self.batch, self.workers = seed, budget, batch, workers
        self.lookup = problem.open(seed)
        self.history = problem.start()
        self.waiting: deque[int] = deque()  # trials that are asked for and not started
        self.running: list[tuple[float, int, int]] = []  # a heap of (end, order of the start, trial)
        self.row_of: list[int] = []  # by trial
        self.ask_seconds: list[float] = []
        self.started: list[float] = []  # by order of the start
        self.exhausted = False

    def run(self) -> Trajectory:
        ends: list[tuple[float, int, int]] = []
        now = 0.0
        while True:
            self._start_all(now)
            if not self.running:
                return self._trajectory(ends)
            now = self.running[0][0]
            # All that end at this moment are told before anything is asked.
            while self.running and self.running[0][0] == now:
                ends.append(heapq.heappop(self.running))
                trial = ends[-1][2]
                value = self.lookup.selected[self.row_of[trial]]
                self.history = self.history.tell(self.history.architectures[trial : trial + 1], [value])

    def _start_all(self, now: float) -> None:
        while len(self.running) < self.workers:
            if not self.waiting:
                self._ask()
            if not self.waiting:
                return
            trial = self.waiting.popleft()
            heapq.heappush(self.running, (now + float(self.lookup.costs[self.row_of[trial]]), len(self.started), trial))
            self.started.append(now)

    def _ask(self) -> None:
        wanted = min(self.batch, self.budget - len(self.history))
        if wanted < 1 or self.exhausted:
            return
        began = time.perf_counter()
        try:
            proposed = self.searcher.ask(self.history, wanted, self.seed)
        except ExhaustedSpaceError as error:
            if not len(self.history):
                raise SearcherFailedError(f"{self._where()}: {error}") from error
            self.exhausted = True
            return
        except Exception as error:
            kind = "" if isinstance(error, ArchcastError) else f"{type(error).__name__}: "
            raise SearcherFailedError(f"{self._where()}: {kind}{error}") from error
        self.ask_seconds.append(time.perf_counter() - began)
        rows = self._checked_rows(proposed, wanted)
        self.waiting.extend(range(len(self.row_of), len(self.row_of) + len(rows)))
        self.row_of.extend(rows.tolist())
        self.history = self.history.ask(proposed)

    def _checked_rows(self, proposed: Architectures, wanted: int) -> NDArray[np.intp]:
        if not 1 <= len(proposed) <= wanted:
            raise SearcherFailedError(f"{self._where()}: it was asked for {wanted} and proposed {len(proposed)}")
        keys = proposed.keys()
        repeated = np.isin(keys, self.history.keys)
        repeated[np.setdiff1d(np.arange(len(keys)), np.unique(keys, return_index=True)[1])] = True
        if repeated.any():
            again = proposed[int(np.argmax(repeated))]
            raise SearcherFailedError(
                f"{self._where()}: it proposed {again} although that or a twin was proposed before"
            )
        rows = self.lookup.rows(proposed)
        if (rows < 0).any():
            foreign = proposed[int(np.argmax(rows < 0))]
            raise SearcherFailedError(f"{self._where()}: it proposed {foreign}, which the table does not hold")
        return rows

    def _where(self) -> str:
        run = f"{self.problem.label}, seed = {self.seed}"
        return f"searcher {self.label!r} failed on {run}, after {len(self.history)} queries"

    def _trajectory(self, ends: list[tuple[float, int, int]]) -> Trajectory:
        trials = np.array([trial for _, _, trial in ends], dtype=np.intp)
        return self.lookup.trajectory(
            np.array(self.row_of, dtype=np.intp)[trials],
            architectures=self.history.architectures[trials],
            searcher=self.label,
            seed=self.seed,
            started=np.array([self.started[order] for _, order, _ in ends]),
            finished=np.array([end for end, _, _ in ends]),
            ask_seconds=np.array(self.ask_seconds),
            exhausted=self.exhausted,
        )
