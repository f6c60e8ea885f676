"""`RayExecutor`: calls run on a Ray cluster, from the processors of this machine to the GPUs of many."""

from __future__ import annotations

import contextlib
import math
import pickle
import sys
import time
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ExecutorError, InvalidDataError
from ..optional import require
from .executors import Executor, Function, OnReport, Outcome, check_timeout
from .ray_cluster import connect, disconnect, room_for
from .ray_worker import End, Mailbox, Message, RayWorker
from .records import Status
from .worker import dump

_BEGIN_SECONDS = 120.0
"""What a timeout allows on top for unpickling the function and its arguments (importing PyTorch takes seconds)."""

_CLOSE_SECONDS = 2.0
_MOST_FAILED_STARTS = 3
_MOST_REPORTS = 10_000
"""How many workers may report at the same moment, without one waiting for another."""


@dataclass
class _Call:
    handle: int
    key: int
    packed: bytes
    timeout: float | None
    attempt: int = 0
    losses: int = 0
    excused: bool = False
    sent: float = 0.0
    began: float | None = None
    received: int = 0

    def deadline(self) -> float:
        """Return when to give up on the call, on the clock of `time.perf_counter`."""
        if self.timeout is None:
            return math.inf
        return (self.began if self.began is not None else self.sent + _BEGIN_SECONDS) + self.timeout

    def outcome(self, status: Status, message: str) -> Outcome:
        seconds = time.perf_counter() - self.began if self.began is not None else 0.0
        return Outcome(self.handle, status, None, message, seconds, began=self.attempt > 0)


@dataclass(eq=False)
class _Worker:
    """An actor, and the reference to what is awaited of it: its start, what its call returns, or nothing."""

    actor: Any
    awaited: Any
    call: _Call | None = None


class RayExecutor(Executor):
    """Runs calls on a Ray cluster, in worker processes that start when they are needed and take call after call.

    A call whose worker dies or whose node is lost is begun again elsewhere, up to `max_retries` times; its reports then
    come anew, from the first on. What a training raises is its outcome, and not tried again. Timeouts count for each
    attempt. Calls that are cancelled or exceed their time are ended by killing their worker, which is replaced.

    Parameters
    ----------
    address : str, optional
        Of the cluster: `"auto"` for the one of this machine, `"host:6379"`, or `"ray://host:10001"` from a machine
        outside of it. None takes the one that this process is connected to (`ray.init`), or that the environment names
        (`RAY_ADDRESS`), or else starts one on this machine, which ends with the executor.
    workers : int, optional
        How many calls run at the same time at most; by default as many as the cluster now has room for. Where it has
        less room than workers, some wait until there is.
    num_cpus, num_gpus : float
        Processors and GPUs that Ray keeps for each worker: a fraction between 0 and 1 shares one among several
        workers, greater numbers are whole. The numerical libraries of a worker use `num_cpus` threads, at least one.
    memory_limit : int, optional
        Bytes that Ray keeps for each worker, and that calls may allocate in it (Linux: `RLIMIT_DATA`); more fails with
        status OUT_OF_MEMORY.
    max_retries : int
        How often a call is begun again after its worker or node was lost; then its status is KILLED.
    runtime_env : mapping, optional
        What nodes need to run the calls, as Ray describes it: `{"pip": ["archcast"]}`, `{"working_dir": "."}`.

    Raises
    ------
    InvalidDataError
        If a parameter is out of range, or more is asked for one worker than a cluster started here has.
    ExecutorError
        If the cluster cannot be reached; and from `results`, if its nodes fail to start workers, or the connection to
        it is lost.
    MissingDependencyError
        If Ray is not installed.
    """

    def __init__(
        self,
        address: str | None = None,
        workers: int | None = None,
        *,
        num_cpus: float = 1,
        num_gpus: float = 0,
        memory_limit: int | None = None,
        max_retries: int = 3,
        runtime_env: Mapping[str, Any] | None = None,
    ) -> None:
        for name, count, least in (
            ("workers", workers, 1),
            ("memory_limit", memory_limit, 1),
            ("max_retries", max_retries, 0),
        ):
            if count is not None and count < least:
                raise InvalidDataError(f"{name} of a Ray executor must be at least {least}, got {count}")
        for name, share, valid in (("num_cpus", num_cpus, num_cpus > 0), ("num_gpus", num_gpus, num_gpus >= 0)):
            if not valid or (share > 1 and share % 1) or share == math.inf:
                low = "greater than 0" if name == "num_cpus" else "at least 0"
                raise InvalidDataError(
                    f"{name} of a Ray executor must be {low}, and a whole number if above 1, got {share:g}"
                )
        self._ray: Any = require("ray", "running trainings on a cluster", "ray")
        self._needs = {"CPU": num_cpus, "GPU": num_gpus, "memory": memory_limit or 0}
        self._connection = connect(self._ray, address)
        try:
            room = room_for(self._ray, self._needs, self._connection)
            self.workers = workers if workers is not None else max(1, room)
            self.memory_limit = memory_limit
            self.max_retries = max_retries
            self._mailbox = self._start_mailbox()
        except BaseException:
            disconnect(self._ray, self._connection)
            raise
        self._taking = self._mailbox.take.remote()
        self._options: dict[str, Any] = {"num_cpus": num_cpus, "num_gpus": num_gpus, "max_restarts": 0}
        if memory_limit is not None:
            self._options["memory"] = memory_limit
        if runtime_env is not None:
            self._options["runtime_env"] = dict(runtime_env)
        self._actor_class = self._ray.remote(RayWorker)
        self._workers: list[_Worker] = []
        self._queue: OrderedDict[int, _Call] = OrderedDict()
        self._messages: deque[Message] = deque()
        self._ready: deque[Outcome] = deque()
        self._functions: list[Function] = []
        self._packed_functions: list[Any] = []
        self._stopping: set[int] = set()
        self._failed_starts = 0
        self._next = 0
        self._closed = False

    # ---- the interface --------------------------------------------------------------------------------------------

    def submit(self, function: Function, *arguments: Any, timeout: float | None = None) -> int:
        """Queue a call, and begin it if a worker is free.

        The function is pickled when it is first submitted; later changes of its state are not seen by workers.
        """
        if self._closed:
            raise InvalidDataError("the executor is closed, no call can be submitted to it")
        check_timeout(timeout)
        key = self._key(function)
        try:
            packed = dump(arguments)
        except Exception as error:
            raise InvalidDataError(f"the arguments of a call cannot be sent to a worker: {error}") from error
        self._next += 1
        self._queue[self._next] = _Call(self._next, key, packed, timeout)
        self._dispatch()
        return self._next

    def results(self, on_report: OnReport | None = None) -> Iterator[Outcome]:
        """Yield outcomes as calls end."""
        while True:
            while self._ready:
                yield self._ready.popleft()
            self._dispatch()
            if not self._ready:
                if not self._queue and all(worker.call is None for worker in self._workers):
                    return
                self._listen(on_report)

    def cancel(self, handle: int) -> bool:
        """Take a call out of the queue, or kill the worker that runs it."""
        call = self._queue.pop(handle, None)
        if call is not None:
            message = "cancelled before it began" if not call.attempt else "cancelled"
            self._ready.append(call.outcome(Status.STOPPED, message))
            return True
        worker = self._running(handle)
        if worker is None or worker.call is None:
            return False
        self._ready.append(worker.call.outcome(Status.STOPPED, "cancelled"))
        self._remove(worker)
        self._dispatch()
        return True

    def stop(self, handle: int) -> bool:
        """Have the next report of a running call answered with "stop"; a call in the queue is cancelled."""
        if self._running(handle) is None:
            return self.cancel(handle)
        self._stopping.add(handle)
        self._mailbox.stop.remote(handle)
        return True

    def close(self) -> None:
        """Kill the workers, whatever they do, and end the cluster if it was started here."""
        if self._closed:
            return
        self._closed = True
        self._queue.clear()
        self._ready.clear()
        self._messages.clear()
        with contextlib.suppress(Exception):  # what is asked of it is to have an end, which Ray would report otherwise
            self._ray.wait([self._mailbox.wake.remote(), self._taking], num_returns=2, timeout=_CLOSE_SECONDS)
        for actor in [*(worker.actor for worker in self._workers), self._mailbox]:
            self._kill(actor)
        self._workers.clear()
        self._packed_functions.clear()
        disconnect(self._ray, self._connection)

    # ---- the cluster ----------------------------------------------------------------------------------------------

    def _start_mailbox(self) -> Any:
        """Start the mailbox where this process is, so that the loss of another node does not take it away.

        Where memory is short Ray may kill it like any actor: then it starts anew, without the messages of a moment.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = NodeAffinitySchedulingStrategy(self._ray.get_runtime_context().get_node_id(), soft=False)
        actor_class = self._ray.remote(Mailbox)
        return actor_class.options(
            num_cpus=0, max_concurrency=_MOST_REPORTS, max_restarts=-1, max_task_retries=-1, scheduling_strategy=here
        ).remote()

    def _kill(self, actor: Any) -> None:
        with contextlib.suppress(Exception):  # it, or the connection to the cluster, is gone already
            self._ray.kill(actor)

    # ---- workers --------------------------------------------------------------------------------------------------

    def _key(self, function: Function) -> int:
        for key, known in enumerate(self._functions):
            if known is function:
                return key
        try:
            packed = dump(function)
        except Exception as error:
            raise InvalidDataError(f"the function {function!r} cannot be sent to a worker: {error}") from error
        self._functions.append(function)
        self._packed_functions.append(self._ray.put(packed))
        return len(self._functions) - 1

    def _running(self, handle: int) -> _Worker | None:
        return next((w for w in self._workers if w.call is not None and w.call.handle == handle), None)

    def _dispatch(self) -> None:
        """Give the calls of the queue to free workers, and start workers where there are too few."""
        for worker in self._workers:
            if self._queue and worker.awaited is None:
                _, call = self._queue.popitem(last=False)
                call.attempt += 1
                call.sent, call.began, call.received = time.perf_counter(), None, 0
                worker.call = call
                function = [self._packed_functions[call.key]]  # in a list, it is fetched only where it is not known yet
                worker.awaited = worker.actor.call.remote(call.handle, call.attempt, call.key, function, call.packed)
        starting = sum(worker.call is None for worker in self._workers)
        for _ in range(min(len(self._queue) - starting, self.workers - len(self._workers))):
            self._workers.append(self._start())

    def _start(self) -> _Worker:
        threads = max(1, int(self._needs["CPU"]))
        actor = self._actor_class.options(**self._options).remote(self._mailbox, sys.path, threads, self.memory_limit)
        return _Worker(actor, actor.start.remote())

    def _remove(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        self._kill(worker.actor)

    # ---- what workers say -----------------------------------------------------------------------------------------

    def _listen(self, on_report: OnReport | None) -> None:
        """Wait until a worker says something, ends a call, dies or exceeds its time, and take note of it."""
        deadlines = [worker.call.deadline() for worker in self._workers if worker.call is not None]
        remaining = min(deadlines, default=math.inf) - time.perf_counter()
        references = [self._taking, *(worker.awaited for worker in self._workers if worker.awaited is not None)]
        self._ray.wait(references, timeout=None if remaining == math.inf else max(remaining, 0.0))
        done = set(self._ray.wait(references, num_returns=len(references), timeout=0)[0])
        ended = {worker: self._get(worker.awaited) for worker in self._workers if worker.awaited in done}
        if self._taking in done:
            self._take()
        if any(w.call and not (isinstance(end, End) and w.call.received == end.sent) for w, end in ended.items()):
            self._collect()
        while self._messages:
            self._receive(self._messages.popleft(), on_report)
        for worker, end in ended.items():
            if worker in self._workers:  # and was not cancelled by a callback a moment ago
                self._end(worker, end)
        now = time.perf_counter()
        for worker in list(self._workers):
            call = worker.call
            if call is not None and now >= call.deadline():
                self._ready.append(call.outcome(Status.TIMEOUT, f"did not end within {call.timeout:g} s"))
                self._remove(worker)

    def _get(self, reference: Any) -> Any:
        """Return what an ended call of an actor returned, or the error of Ray if the actor is gone."""
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            return error

    def _take(self) -> None:
        messages = self._get(self._taking)
        if isinstance(messages, Exception):
            raise ExecutorError(f"the connection to the workers of the Ray cluster is lost: {_line(messages)}")
        self._taking = self._mailbox.take.remote()
        self._messages.extend(messages)
        for message in messages:
            worker = self._running(message.handle)
            if worker is not None and worker.call is not None and worker.call.attempt == message.attempt:
                worker.call.received += 1

    def _collect(self) -> None:
        """Take everything that was put into the mailbox before: what is being taken now, and what is taken next."""
        for _ in range(2):
            self._mailbox.wake.remote()
            self._take()

    def _receive(self, message: Message, on_report: OnReport | None) -> None:
        worker = self._running(message.handle)
        if worker is None or worker.call is None or worker.call.attempt != message.attempt:
            return
        if worker.call.began is None:
            worker.call.began = time.perf_counter()
        if message.payload is not None:
            stop = on_report is not None and on_report(message.handle, pickle.loads(message.payload))
            if stop or message.handle in self._stopping:  # said again for as long as the call goes on
                self.stop(message.handle)

    def _end(self, worker: _Worker, end: Any) -> None:
        """Take note of what was awaited of a worker, or of the error that took its place."""
        call = worker.call
        if isinstance(end, Exception):
            self._remove(worker)
            if call is None:
                self._failed_to_start(end)
            else:
                self._lost(call, end)
            return
        worker.awaited = worker.call = None
        self._failed_starts = 0
        if call is not None:
            outcome = _outcome(call, end)
            if end.exhausted:  # what a worker holds after that is anyone's guess
                self._remove(worker)
            self._dispatch()  # before the outcome is looked at, so that the worker need not wait for that
            self._ready.append(outcome)

    def _failed_to_start(self, error: Exception) -> None:
        self._failed_starts += 1
        if self._failed_starts >= _MOST_FAILED_STARTS:
            self._failed_starts = 0
            raise ExecutorError(f"no worker starts on the Ray cluster: {_line(error)}")

    def _lost(self, call: _Call, error: Exception) -> None:
        """Queue a call anew whose worker is gone, or say what became of it."""
        if isinstance(error, self._ray.exceptions.OutOfMemoryError):
            message = "its worker was killed by Ray for the memory that its node had left"
            self._ready.append(call.outcome(Status.OUT_OF_MEMORY, message))
            return
        if call.began is None and not call.excused:
            call.excused = True  # the worker may have died before: that costs the call nothing, once
        else:
            call.losses += 1
        if call.losses > self.max_retries:
            times = f", in each of {call.losses} attempts" if call.losses > 1 else ""
            self._ready.append(call.outcome(Status.KILLED, f"its worker died{times}"))
            return
        self._queue[call.handle] = call
        self._queue.move_to_end(call.handle, last=False)


def _line(error: Exception) -> str:
    """Return the last line of Ray's account of an error, which is the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:500] if lines else type(error).__name__


def _outcome(call: _Call, end: End) -> Outcome:
    status, value, message = Status(end.status), None, end.message
    if end.value is not None:
        try:
            value = pickle.loads(end.value)
        except Exception as error:
            status, message = Status.FAILED, f"what the call returned cannot be read here: {error}"
    return Outcome(call.handle, status, value, message, end.seconds)
