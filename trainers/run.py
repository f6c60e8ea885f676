"""Carrying out requests: what is missing in a journal is trained, recorded as it ends, and given back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, TypeAlias

from .executors import Executor, InProcess, Outcome
from .external import Trainer
from .journal import Journal, add_epoch
from .records import Status, TrainingRecord
from .requests import TrainingRequest

OnEpoch: TypeAlias = Callable[[TrainingRequest, int, dict[str, float]], Literal["stop"] | None]


def run(
    requests: Iterable[TrainingRequest],
    trainer: Trainer,
    executor: Executor | None = None,
    journal: Journal | None = None,
    **options: Any,
) -> list[TrainingRecord]:
    """Carry out requests, and return the record of each, in their order.

    Parameters and errors are those of `stream`; with a journal, trainings that are in it are taken from there.
    """
    wanted = list(requests)
    found = {record.key: record for record in stream(wanted, trainer, executor, journal, **options)}
    if journal is not None:
        found = {record.key: record for record in journal.records()} | found
    return [found[request.key] for request in wanted if request.key in found]


def stream(
    requests: Iterable[TrainingRequest],
    trainer: Trainer,
    executor: Executor | None = None,
    journal: Journal | None = None,
    *,
    timeout: float | None = None,
    retry: Iterable[Status | str] = (Status.KILLED,),
    attempts: int | None = None,
    on_epoch: OnEpoch | None = None,
    record_epochs: bool = False,
) -> Iterator[TrainingRecord]:
    """Carry out the requests that are missing in the journal, and yield each record once it is safely written there.

    A training that raises, diverges, exceeds its time or memory, or whose process dies becomes a record that says so,
    with the curve that it reached, and the others go on. Interrupted at any moment (Ctrl-C, `kill -9`), the same call
    continues with what is missing.

    Parameters
    ----------
    requests : iterable of TrainingRequest
        Repeated ones are done once. Those that differ in the seed alone go to the trainer together, as many as its
        `seeds_at_once`.
    trainer : Trainer
    executor : Executor, optional
        Where they run, by default in this process. It is not closed; what is left in it when the iteration is broken
        off is cancelled.
    journal : Journal, optional
        Open for appending.
    timeout : float, optional
        Seconds for one training.
    retry : iterable of Status
        Trainings that the journal has with such an end are done again, by default those that were killed; `BAD_LUCK`
        are all ends that another attempt may not meet.
    attempts : int, optional
        Trainings with so many records in the journal are not done again.
    on_epoch : callable, optional
        `on_epoch(request, epoch, metrics)` is called as learning curves grow, and may answer `"stop"`.
    record_epochs : bool
        Write every epoch to the journal: for trainings so long that the part of one should not be lost.

    Yields
    ------
    TrainingRecord
        As they end.

    Raises
    ------
    JournalError
        If the journal cannot be written; nothing that it acknowledged is lost.
    InvalidDataError
        If the trainer cannot be sent to the executor, the timeout is not positive, or `attempts` is not at least 1.
    """
    todo = _distinct(requests) if journal is None else journal.missing(requests, retry=retry, attempts=attempts)
    place = executor if executor is not None else InProcess()
    curves: dict[str, dict[str, list[float]]] = {}
    pending: dict[int, list[TrainingRequest]] = {}

    def on_report(handle: int, payload: Any) -> bool:
        if handle not in pending:
            return False
        seed, epoch, metrics = payload
        request = next(request for request in pending[handle] if request.seed == seed)
        reached = curves.setdefault(request.key, {})
        if any(len(curve) > epoch for curve in reached.values()):  # begun anew: its worker was lost
            reached.clear()
        add_epoch(reached, epoch, metrics)
        if record_epochs and journal is not None:
            journal.append_epoch(request.key, epoch, metrics)
        return on_epoch is not None and on_epoch(request, epoch, dict(metrics)) == "stop"

    try:
        for batch in _batches(todo, max(1, trainer.seeds_at_once)):
            limit = None if timeout is None else timeout * len(batch)
            pending[place.submit(trainer, batch, timeout=limit)] = batch
        for outcome in place.results(on_report):
            batch = pending.pop(outcome.handle, [])
            if not batch or not outcome.began:
                continue
            records = _records(batch, outcome, curves)
            if journal is not None:
                journal.append(*records)
            for request in batch:
                curves.pop(request.key, None)
            yield from records
    finally:
        for handle in reversed(list(pending)):  # the waiting before the running, which would make room for them
            place.cancel(handle)


def _distinct(requests: Iterable[TrainingRequest]) -> list[TrainingRequest]:
    return list({request.key: request for request in requests}.values())


def _batches(requests: Sequence[TrainingRequest], size: int) -> Iterator[list[TrainingRequest]]:
    """Yield requests that differ in nothing but the seed, `size` at a time, in order of their first."""
    groups: dict[str, list[TrainingRequest]] = {}
    for request in requests:
        groups.setdefault(request.group, []).append(request)
    for group in groups.values():
        for start in range(0, len(group), size):
            yield group[start : start + size]


def _records(
    batch: Sequence[TrainingRequest], outcome: Outcome, curves: dict[str, dict[str, list[float]]]
) -> list[TrainingRecord]:
    """Return one record for each request: those of the trainer, or what can be said where it gave none."""
    status, message = outcome.status, outcome.message
    if status is Status.FINISHED:
        value = outcome.value
        if not isinstance(value, (list, tuple)) or not all(isinstance(item, TrainingRecord) for item in value):
            status, message = Status.FAILED, f"the trainer returned {value!r:.200}, expected a list of records"
        elif [record.key for record in value] != [request.key for request in batch]:
            status, message = Status.FAILED, f"the trainer returned {len(value)} records of other trainings than asked"
        else:
            return list(value)
    return [
        request.record(status, message=message, curves=curves.get(request.key), seconds=outcome.seconds / len(batch))
        for request in batch
    ]
