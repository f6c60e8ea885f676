"""One worker of a study: asks, trains, tells, gives signs of life, and takes over what others have lost."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ExhaustedSpaceError, InvalidDataError, StorageUnavailableError, TrainingsFailError
from ..trainers import Executor, InProcess, Outcome, Status, TrainingRecord, TrainingRequest
from ..trainers.executors import check_timeout
from ..trainers.external import Trainer
from ..trainers.journal import add_epoch
from .seeds import OneAfterAnother
from .storage import StudyStorage, TrialClosedError
from .trials import Trial

if TYPE_CHECKING:
    from .budget import Budget
    from .settings import StudySettings
    from .study import Study

_LONGEST_LOOK = 2.0


@dataclass
class _Running:
    """A trial in training, and the part of its learning curves that has arrived, by seed."""

    trial: Trial
    requests: list[TrainingRequest]
    curves: dict[int, dict[str, list[float]]] = field(default_factory=dict)
    unsent: dict[int, float] = field(default_factory=dict)
    ends: bool = False

    def take(self, seed: int, epoch: int, metrics: Mapping[str, float], metric: str) -> float | None:
        """Add an epoch of a seed; return the mean of the metric there once all seeds have it, and None before."""
        add_epoch(self.curves.setdefault(seed, {}), epoch, metrics)
        curves = [self.curves.get(request.seed, {}).get(metric, []) for request in self.requests]
        if metric not in metrics or any(len(curve) < epoch for curve in curves):
            return None
        return float(np.mean([curve[epoch - 1] for curve in curves]))


class Heartbeats(threading.Thread):
    """Gives signs of life for running trials, in the background.

    Parameters
    ----------
    storage : StudyStorage
    interval : float
        Seconds.
    """

    def __init__(self, storage: StudyStorage, interval: float) -> None:
        super().__init__(daemon=True, name="archcast heartbeats")
        self._storage = storage
        self._interval = interval
        self._trials: set[int] = set()
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def add(self, trial: Trial) -> None:
        """Begin with a trial."""
        with self._lock:
            self._trials.add(trial.id)

    def remove(self, trial: Trial) -> None:
        """End with a trial."""
        with self._lock:
            self._trials.discard(trial.id)

    def run(self) -> None:
        """Beat until `end`; a storage that does not answer is tried again the next time."""
        while not self._ended.wait(self._interval):
            with self._lock:
                trials = sorted(self._trials)
            for trial in trials:
                with suppress(Exception):
                    self._storage.beat(trial, patience=0.0)
        self._storage.forget_thread()

    def end(self) -> None:
        """End the thread."""
        self._ended.set()
        self.join(timeout=5.0)


class Worker:
    """What `Study.run` does; parameters and errors are described there."""

    def __init__(
        self,
        study: Study,
        trainer: Trainer,
        budget: Budget,
        *,
        executor: Executor | None,
        timeout: float | None,
        max_failures: int,
        wait: bool,
        on_begin: Callable[[Trial], None] | None,
        on_end: Callable[[Trial, list[TrainingRecord]], None] | None,
        notify: Callable[[str], None] | None,
    ) -> None:
        if isinstance(max_failures, bool) or not isinstance(max_failures, int) or max_failures < 1:
            raise InvalidDataError(f"max_failures must be an integer of at least 1, got {max_failures!r}")
        if not callable(trainer):
            raise InvalidDataError(f"expected a trainer, got {trainer!r:.200}")
        _refuse_seeds(study.settings, trainer, budget)
        at_once = max(1, getattr(trainer, "seeds_at_once", 1))
        batches = at_once < len(study.settings.seeds)
        self.study, self.budget = study, budget
        self.trainer: Trainer = OneAfterAnother(trainer) if batches else trainer
        self.executor = executor if executor is not None else InProcess()
        self.timeout = check_timeout(timeout)
        self.max_failures, self.wait = max_failures, wait
        self.on_begin, self.on_end = on_begin, on_end
        self.notify = notify or (lambda text: warnings.warn(text, stacklevel=2))
        self.running: dict[int, _Running] = {}
        self.done: list[Trial] = []
        self.failures = 0
        self.exhausted = False
        self.waited = False
        self.any_value = False
        self.end_time = float("inf") if budget.seconds is None else time.monotonic() + budget.seconds
        self.heartbeats = Heartbeats(study.storage, study.settings.heartbeat)

    def run(self) -> list[Trial]:
        """Work until there is nothing to do."""
        self._look_ahead()
        self.heartbeats.start()
        outcomes: Iterator[Outcome] | None = None
        try:
            while True:
                self._fill()
                if self.running:
                    outcome = None if outcomes is None else next(outcomes, None)
                    if outcome is None:  # an iteration that is through knows nothing of what was submitted after it
                        outcomes = self.executor.results(self._on_report)
                        outcome = next(outcomes)
                    self._end(outcome)
                elif self._others_work():
                    time.sleep(min(_LONGEST_LOOK, self.study.settings.heartbeat / 2, self._seconds_left()))
                else:
                    return self.done
        finally:
            self._leave()

    def _look_ahead(self) -> None:
        least = getattr(self.study.settings.asked, "initial", None)
        each, wanted = len(self.study.settings.seeds), self.budget.trainings
        if isinstance(least, int) and wanted is not None and wanted // each <= least:
            self.notify(
                f"a budget of {wanted} trainings does not go beyond the {least} architectures "
                "that the searcher begins with: nothing will be forecast"
            )
        self.any_value = any(trial.state == "finished" for trial in self.study.trials())

    def _seconds_left(self) -> float:
        return max(0.0, self.end_time - time.monotonic())

    # ---- beginning ----------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Begin trials while there is room and budget."""
        while len(self.running) < self.executor.workers and self._seconds_left() > 0:
            try:
                trial = self.study.ask(self.budget)
            except ExhaustedSpaceError as error:
                if not self.study.trials():
                    raise
                if not self.exhausted:
                    self.exhausted = True
                    self.notify(f"the search ends before its budget: {error}")
                return
            if trial is None:
                return
            self.heartbeats.add(trial)
            running = _Running(trial, self.study.requests(trial))
            timeout = None if self.timeout is None else self.timeout * len(running.requests)
            try:
                handle = self.executor.submit(self.trainer, running.requests, timeout=timeout)
            except BaseException:
                self.heartbeats.remove(trial)
                self.study.give_back(trial, "it could not be begun")
                raise
            self.running[handle] = running
            if self.on_begin is not None:
                self.on_begin(trial)

    def _others_work(self) -> bool:
        """Return whether another worker may still lose a trial that this one would take over."""
        if not self.wait or self._seconds_left() <= 0:
            return False
        going_on = sum(candidate.state in ("running", "waiting") for candidate in self.study.candidates())
        if going_on and not self.waited:
            self.waited = True
            self.notify(
                f"waiting for {going_on} trainings of other workers; what is not heard of for "
                f"{self.study.settings.grace} s is trained here"
            )
        return going_on > 0

    # ---- what trainings say -------------------------------------------------------------------------------------

    def _on_report(self, handle: int, payload: Any) -> bool:
        running = self.running.get(handle)
        if running is None:
            return False
        seed, epoch, metrics = payload
        value = running.take(seed, epoch, metrics, self.study.settings.metric)
        if running.ends:
            return True
        if value is None:
            return False
        running.unsent[epoch] = value
        try:
            running.ends = self.study.report(running.trial, running.unsent, patience=0.0)
        except StorageUnavailableError:
            return False  # what is not sent goes with the next report, or with the end
        except TrialClosedError:
            running.ends = True
            return True
        running.trial.epochs.update(running.unsent)
        running.unsent.clear()
        return running.ends

    def _end(self, outcome: Outcome) -> None:
        running = self.running.get(outcome.handle)
        if running is None:
            return
        trial, records = running.trial, _records_of(running, outcome)
        if self.study.lacks_metric(records) and not self.any_value:
            self.study.give_back(trial, "the training does not have the metric of the study")
            del self.running[outcome.handle]
            raise TrainingsFailError(
                f"a training ended without the metric {self.study.settings.metric!r} of study {self.study.name!r}: it "
                f"has {', '.join(records[0].curves)}"
            )
        told = self.study.tell(trial, records)
        del self.running[outcome.handle]
        self.heartbeats.remove(trial)
        if not told:
            self.notify(
                f"trial {trial.number} was given to another worker, because this one was not heard of for more than "
                f"{self.study.settings.grace} s; its outcome here is not used"
            )
            return
        self.done.append(trial)
        if self.on_end is not None:
            self.on_end(trial, records)
        self._count_failures(records)

    def _count_failures(self, records: list[TrainingRecord]) -> None:
        reason = self.study.failure(records)
        if reason is None:
            self.failures, self.any_value = 0, True
            return
        self.failures += 1
        if self.failures >= self.max_failures:
            raise TrainingsFailError(
                f"{self.failures} trainings of study {self.study.name!r} failed in a row, the last of them because of "
                f"this: {reason}" + ("" if self.any_value else "; once that is mended, begin a study of another name")
            )

    # ---- leaving ------------------------------------------------------------------------------------------------

    def _leave(self) -> None:
        """End what still runs, and give it back to the study."""
        for handle in reversed(list(self.running)):
            self.executor.cancel(handle)
        for running in self.running.values():
            with suppress(StorageUnavailableError):
                self.study.give_back(running.trial)
        self.running.clear()
        self.heartbeats.end()


def _refuse_seeds(settings: StudySettings, trainer: Trainer, budget: Budget) -> None:
    """Raise InvalidDataError if several seeds cannot be trained as they are to be."""
    seeds, at_once = len(settings.seeds), max(1, getattr(trainer, "seeds_at_once", 1))
    if budget.trainings is not None and budget.trainings < seeds:
        raise InvalidDataError(
            f"the budget of {budget.trainings} trainings does not reach for one architecture with {seeds} seeds"
        )
    if settings.pruner is not None and at_once < seeds:
        raise InvalidDataError(
            f"pruner {settings.pruner['name']!r} judges the mean of {seeds} seeds epoch by epoch, and this trainer "
            f"takes {at_once} at once: expected one that trains all of them together, one seed, or no pruner"
        )


def _records_of(running: _Running, outcome: Outcome) -> list[TrainingRecord]:
    """Return the records that the trainer gave, or what can be said where it gave none."""
    status, message = outcome.status, outcome.message
    if status is Status.FINISHED:
        value = outcome.value
        if isinstance(value, (list, tuple)) and all(isinstance(item, TrainingRecord) for item in value):
            records: list[TrainingRecord] = list(value)
            if [record.key for record in records] == [request.key for request in running.requests]:
                return records
        wanted = "the record of the training" if len(running.requests) == 1 else "the records of the trainings"
        status, message = Status.FAILED, f"the trainer returned {value!r:.200}, expected {wanted}"
    return [
        request.record(
            status,
            message=message,
            curves=running.curves.get(request.seed, {}),
            seconds=outcome.seconds / len(running.requests),
        )
        for request in running.requests
    ]
