"""A worker process of `ProcessPool`: receives calls over a socket, runs them one by one, sends back what came of them.

Its parent starts it with its own module search path, and with the file descriptor of the socket. It is a program of
its own rather than a copy of the parent, so that scripts need no `if __name__ == "__main__"` guard and notebooks work:
functions of `__main__` travel by value.

Messages to a worker, each a pickled tuple:

- `("setup", memory limit)`, once;
- `("function", key, pickled function)`, before the first call of each function;
- `("call", number, key, pickled arguments)`;
- `("stop", number)`: answer the next report of that call with "stop".

Messages from a worker: `("began", number)`, `("report", number, payload)`, and at the end of a call
`("ended", number, status, value, message, seconds, exhausted)`.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any

from .executors import describe_failure
from .records import Status

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""Environment variables that numerical libraries take their number of threads from."""

_WATCH_SECONDS = 1.0


class _EndError(BaseException):
    """Raised where the worker is when its parent ends it, so that a training can end what it has started."""


class _Worker:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.packed: dict[int, bytes] = {}
        self.functions: dict[int, Any] = {}
        self.stopping = False

    def send(self, *message: Any) -> None:
        try:
            self.connection.send_bytes(dump(message))
        except OSError:  # the parent has gone: nobody is left to work for
            os._exit(1)

    def serve(self) -> None:
        """Answer messages until the parent closes the connection."""
        while True:
            try:
                kind, *rest = pickle.loads(self.connection.recv_bytes())
            except (EOFError, OSError):
                return
            if kind == "setup":
                limit_memory(rest[0])
            elif kind == "function":
                self.packed[rest[0]] = rest[1]
            elif kind == "call":
                self.call(*rest)
            # a "stop" that comes when its call has ended is late, and means nothing

    def call(self, number: int, key: int, packed: bytes) -> None:
        """Run one call, whatever it does."""
        self.stopping = False

        def report(payload: Any) -> bool:
            self.send("report", number, payload)
            while self.connection.poll(0):
                kind, *rest = pickle.loads(self.connection.recv_bytes())
                self.stopping |= kind == "stop" and rest[0] == number
            return self.stopping

        value, message, exhausted = None, "", False
        start = time.perf_counter()
        try:
            if key not in self.functions:
                self.functions[key] = pickle.loads(self.packed[key])
            arguments = pickle.loads(packed)
            self.send("began", number)
            start = time.perf_counter()
            value = dump(self.functions[key](report, *arguments))
            status = Status.FINISHED
        except (Exception, SystemExit) as error:
            status, message = describe_failure(error)
            exhausted = status is Status.OUT_OF_MEMORY
        self.send("ended", number, str(status), value, message, time.perf_counter() - start, exhausted)


def dump(value: Any) -> bytes:
    """Pickle a value; functions and classes of `__main__` and local ones by value."""
    import cloudpickle

    packed: bytes = cloudpickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    return packed


def limit_memory(limit: int | None) -> None:
    """Let allocations fail once this process holds more than `limit` bytes of data (`RLIMIT_DATA`)."""
    if limit is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _watch(parent: int) -> None:
    """End this process when its parent is gone, even in the middle of a training that never reports."""
    while os.getppid() == parent:
        time.sleep(_WATCH_SECONDS)
    os._exit(1)


def _end(_signal: int, _frame: FrameType | None) -> None:
    raise _EndError


def main() -> None:
    """Serve the connection whose file descriptor is the first argument; the second is the parent's process id."""
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: what to end is the parent's choice
    os.dup2(2, 1)  # what trainings print must not mix with the results that the parent prints
    threading.Thread(target=_watch, args=(int(sys.argv[2]),), daemon=True).start()
    try:
        _Worker(Connection(int(sys.argv[1]))).serve()
    except _EndError:
        os._exit(1)
