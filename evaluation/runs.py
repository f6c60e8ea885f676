"""Running many independent pieces of work: in several processes, resumable, one record each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ArchcastError, InvalidDataError
from .cache import RunCache

Record = dict[str, Any]
Progress = Callable[[int, int, Record], None]


@dataclass(frozen=True)
class Job:
    """One run that is prepared and not yet done.

    Parameters
    ----------
    key : str
        Equal for runs that must have equal results, see `content_key`.
    head : dict
        What is known of the run before it is done; its record begins with it.
    names : tuple of str
        Fields of the head that are mere names. They are no part of the content, so a record from the cache takes
        them from here.
    arguments : tuple
        What the work is called with.
    place : dict
        What its record begins with in this plan alone; the cache does not take it.
    """

    key: str
    head: Record
    names: tuple[str, ...]
    arguments: tuple[Any, ...]
    place: Record = field(default_factory=dict)


def iter_jobs(
    jobs: Iterable[Job],
    work: Callable[..., Record],
    *,
    n_jobs: int = 1,
    cache: str | Path | None = None,
    cached_only: bool = False,
    keep: Callable[[Record], bool] | None = None,
    failure: type[ArchcastError],
) -> Iterator[Record]:
    """Yield the record of each job, first those that the cache holds, then the others as soon as they are finished.

    Parameters
    ----------
    jobs : iterable of Job
    work : callable
        Called with the arguments of a job; returns the rest of its record. Must be importable by other processes.
    n_jobs : int
        Runs at once, each in a process and on one thread; -1 for one a core.
    cache : str or Path, optional
        A JSON-lines file that is looked up by the keys, and to which every finished run is added.
    cached_only : bool
        Run nothing: leave out what the cache does not hold.
    keep : callable, optional
        Which records the cache takes; all by default.
    failure : type
        What is raised if a run cannot be sent to another process, or the process dies.

    Raises
    ------
    InvalidDataError
        If `n_jobs` is zero or no integer, or the cache is no file of runs.
    """
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, int) or n_jobs == 0:
        raise InvalidDataError(f"n_jobs must be a positive integer, or -1 for all cores, got {n_jobs!r}")
    store = None if cache is None else RunCache(cache)
    pending: list[Job] = []
    for job in jobs:
        known = None if store is None else store.get(job.key)
        if known is None:
            pending.append(job)
        else:
            yield {**job.place, **known, **{name: job.head[name] for name in job.names}}
    if cached_only:
        return
    for position, rest in _execute(pending, work, n_jobs, failure):
        job = pending[position]
        record = {**job.head, **rest}
        if store is not None and (keep is None or keep(record)):
            store.add(job.key, record)
        yield {**job.place, **record}


def collect(runs: Iterable[Record], total: int, progress: Progress | None) -> list[Record]:
    """Return all records, calling `progress(done, total, record)` after each."""
    records: list[Record] = []
    for record in runs:
        records.append(record)
        if progress is not None:
            progress(len(records), total, record)
    return records


def _execute(
    pending: Sequence[Job], work: Callable[..., Record], n_jobs: int, failure: type[ArchcastError]
) -> Iterator[tuple[int, Record]]:
    if n_jobs == 1 or len(pending) < 2:
        for position, job in enumerate(pending):
            yield position, work(*job.arguments)
        return
    from concurrent.futures.process import BrokenProcessPool
    from pickle import PicklingError

    from joblib import Parallel, delayed, parallel_config

    with parallel_config(backend="loky", inner_max_num_threads=1):
        parallel = Parallel(n_jobs=n_jobs, return_as="generator_unordered")
    try:
        yield from parallel(delayed(_numbered)(place, work, job.arguments) for place, job in enumerate(pending))
    except (BrokenProcessPool, PicklingError) as error:
        first = str(error).partition("\n")[0].rstrip(".")
        raise failure(
            f"a run could not be sent to another process, or the process died there ({first}); "
            "n_jobs=1 needs no other process"
        ) from error


def _numbered(position: int, work: Callable[..., Record], arguments: tuple[Any, ...]) -> tuple[int, Record]:
    return position, work(*arguments)
