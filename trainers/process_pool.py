"""`ProcessPool`: calls run in worker processes of this machine, whose death is one failed call and no more."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from ..errors import InvalidDataError, MissingDependencyError
from .executors import Executor, Function, OnReport, Outcome, check_timeout
from .records import Status
from .worker import THREAD_VARIABLES, dump

_KEEP_MEMORY = {
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "MALLOC_MMAP_THRESHOLD_": "33554432",
    "MALLOC_TOP_PAD_": "67108864",
}
"""Lets workers keep what a training step gives back for the next one, instead of faulting it in again (glibc)."""

_START_SECONDS = 120.0
"""A call whose function and arguments are not unpickled after so long (importing PyTorch takes seconds) has failed."""

_GRACE_SECONDS = 0.3
_LOOK_SECONDS = 0.5
_MEMORY_EVENTS = Path("/sys/fs/cgroup/memory.events")


@dataclass
class _Call:
    handle: int
    key: int
    packed: bytes
    timeout: float | None
    sent: float = 0.0
    began: float | None = None

    def deadline(self) -> float:
        """Return when to give up on the call, on the clock of `time.perf_counter`."""
        if self.began is None:
            return self.sent + _START_SECONDS
        return self.began + self.timeout if self.timeout is not None else float("inf")

    def outcome(self, status: Status, message: str) -> Outcome:
        seconds = time.perf_counter() - self.began if self.began is not None else 0.0
        return Outcome(self.handle, status, None, message, seconds)


@dataclass
class _Process:
    process: subprocess.Popen[bytes]
    connection: Connection
    known: set[int] = field(default_factory=set)
    call: _Call | None = None
    memory_kills: int = 0

    def kill(self) -> None:
        """End the process, at once if it is idle; a training may first end what it has started."""
        if self.call is not None and self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_GRACE_SECONDS)
        self.process.kill()
        self.process.wait()
        self.connection.close()


class ProcessPool(Executor):
    """Runs calls in worker processes, one thread each.

    Workers start when they are needed, import the package once and then take one call after another. One that dies
    (a crash, `kill -9`, the system's out-of-memory killer), exceeds its time or exhausts its memory costs the call that
    it ran, whose outcome says so; a fresh one takes its place. Functions defined in scripts and notebooks are sent by
    value, those of modules by name. Workers ignore Ctrl-C and end with their parent, however that ends.

    Parameters
    ----------
    workers : int, optional
        How many calls run at the same time; by default as many as this process may use processors.
    memory_limit : int, optional
        Bytes of memory that a worker may allocate (Linux: `RLIMIT_DATA`); more fails with status OUT_OF_MEMORY.
    threads : int
        Threads of the numerical libraries in each worker.

    Raises
    ------
    InvalidDataError
        If a parameter is not positive.
    MissingDependencyError
        On systems without POSIX processes; use `InProcess` there.
    """

    def __init__(self, workers: int | None = None, *, memory_limit: int | None = None, threads: int = 1) -> None:
        if sys.platform == "win32":
            raise MissingDependencyError("a process pool needs a POSIX system; use InProcess() on Windows")
        for name, value in (("workers", workers), ("memory_limit", memory_limit), ("threads", threads)):
            if value is not None and value < 1:
                raise InvalidDataError(f"{name} of a process pool must be at least 1, got {value}")
        self.workers = workers if workers is not None else _processors()
        self.memory_limit = memory_limit
        self.threads = threads
        self._processes: list[_Process] = []
        self._queue: OrderedDict[int, _Call] = OrderedDict()
        self._ready: deque[Outcome] = deque()
        self._functions: list[Function] = []
        self._packed_functions: list[bytes] = []
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
            busy = [process for process in self._processes if process.call is not None]
            if not busy and not self._ready:
                return
            if not self._ready:
                self._listen(busy, on_report)

    def cancel(self, handle: int) -> bool:
        """Take a call out of the queue, or kill the worker that runs it."""
        if self._queue.pop(handle, None) is not None:
            self._ready.append(Outcome(handle, Status.STOPPED, message="cancelled before it began", began=False))
            return True
        for process in self._processes:
            if process.call is not None and process.call.handle == handle:
                self._ready.append(process.call.outcome(Status.STOPPED, "cancelled"))
                self._remove(process)
                self._dispatch()
                return True
        return False

    def stop(self, handle: int) -> bool:
        """Tell the worker that runs the call; one in the queue is cancelled."""
        for process in self._processes:
            if process.call is not None and process.call.handle == handle:
                self._send(process, "stop", handle)
                return True
        return self.cancel(handle)

    def close(self) -> None:
        """Kill the workers, whatever they do."""
        self._closed = True
        self._queue.clear()
        self._ready.clear()
        for process in self._processes:
            process.kill()
        self._processes.clear()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self.close()

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
        self._packed_functions.append(packed)
        return len(self._functions) - 1

    def _dispatch(self) -> None:
        """Give the calls of the queue to free workers, starting workers where there are too few."""
        while self._queue:
            free = next((process for process in self._processes if process.call is None), None)
            if free is None:
                if len(self._processes) >= self.workers:
                    return
                free = self._start()
            if free.process.poll() is not None:  # died between two calls: nothing is lost with it
                self._remove(free)
                continue
            _, call = self._queue.popitem(last=False)
            free.call = call
            call.sent = time.perf_counter()
            free.memory_kills = _memory_kills()
            if call.key not in free.known:
                free.known.add(call.key)
                self._send(free, "function", call.key, self._packed_functions[call.key])
            self._send(free, "call", call.handle, call.key, call.packed)

    def _start(self) -> _Process:
        ours, theirs = socket.socketpair()
        program = f"import sys; sys.path[:] = {sys.path!r}; from {__package__}.worker import main; main()"
        try:
            process = subprocess.Popen(
                [sys.executable, "-c", program, str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=_KEEP_MEMORY | os.environ | dict.fromkeys(THREAD_VARIABLES, str(self.threads)),
            )
        finally:
            theirs.close()
        worker = _Process(process, Connection(ours.detach()))
        self._processes.append(worker)
        self._send(worker, "setup", self.memory_limit)
        return worker

    def _send(self, process: _Process, *message: Any) -> None:
        try:
            process.connection.send_bytes(pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL))
        except OSError:
            process.process.kill()  # it is dying or dead, which `_listen` finds and reports

    def _remove(self, process: _Process) -> None:
        self._processes.remove(process)
        process.kill()

    # ---- what workers say -----------------------------------------------------------------------------------------

    def _listen(self, busy: list[_Process], on_report: OnReport | None) -> None:
        """Wait until a worker says something, dies or exceeds its time, and take note of it."""
        soonest = min(process.call.deadline() for process in busy if process.call is not None)
        remaining = min(max(soonest - time.perf_counter(), 0.0), _LOOK_SECONDS)
        readable = wait([process.connection for process in busy], remaining)
        for process in busy:
            if process.connection in readable:
                self._receive(process, on_report)
            elif process.call is not None and process.process.poll() is not None and not process.connection.poll(0):
                # The connection of a dead worker stays open as long as processes live that its training has forked.
                self._ready.append(process.call.outcome(*self._cause_of_death(process)))
                self._remove(process)
        now = time.perf_counter()
        for process in busy:
            call = process.call
            if call is not None and process in self._processes and now >= call.deadline():
                limit = (
                    f"did not end within {call.timeout:g} s" if call.began is not None else "its worker did not start"
                )
                self._ready.append(call.outcome(Status.TIMEOUT, limit))
                self._remove(process)

    def _receive(self, process: _Process, on_report: OnReport | None) -> None:
        call = process.call
        if call is None or process not in self._processes:  # cancelled by a callback a moment ago
            return
        try:
            kind, number, *rest = pickle.loads(process.connection.recv_bytes())
        except (EOFError, OSError):
            self._ready.append(call.outcome(*self._cause_of_death(process)))
            self._remove(process)
            return
        if number != call.handle:
            return
        if kind == "began":
            call.began = time.perf_counter()
        elif kind == "report":
            if on_report is not None and on_report(number, rest[0]):
                self.stop(number)
        elif kind == "ended":
            self._end(process, call, rest)

    def _end(self, process: _Process, call: _Call, rest: list[Any]) -> None:
        status, packed, message, seconds, exhausted = rest
        value = None
        if packed is not None:
            try:
                value = pickle.loads(packed)
            except Exception as error:
                status, message = Status.FAILED, f"what the call returned cannot be read here: {error}"
        process.call = None
        if exhausted:  # what a worker holds after that is anyone's guess
            self._remove(process)
        self._dispatch()  # before the outcome is looked at, so that the worker need not wait for that
        self._ready.append(Outcome(call.handle, Status(status), value, message, seconds))

    def _cause_of_death(self, process: _Process) -> tuple[Status, str]:
        try:
            code = process.process.wait(timeout=5)
        except subprocess.TimeoutExpired:  # it closed the connection, and lives
            process.kill()
            return Status.KILLED, "its worker closed the connection"
        if code >= 0:
            return Status.KILLED, f"its worker ended with exit status {code}"
        name = signal.Signals(-code).name if -code in {*signal.Signals} else f"signal {-code}"
        if -code == signal.SIGKILL and _memory_kills() > process.memory_kills:
            return Status.OUT_OF_MEMORY, "its worker was killed by the system for the memory it used"
        return Status.KILLED, f"its worker was killed by {name}"


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory_kills() -> int:
    """Return how many processes of this control group the system has killed for memory so far (Linux, else 0)."""
    try:
        text = _MEMORY_EVENTS.read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill ")), 0)
