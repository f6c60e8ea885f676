"""What runs on the nodes of a Ray cluster for `RayExecutor`: its workers, and the mailbox that they report to.

Both are actors. Ray is imported when they are used, so that this module costs nothing where there is none.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .executors import describe_failure
from .records import Status
from .worker import THREAD_VARIABLES, dump, limit_memory


class Message(NamedTuple):
    """What a worker says while it runs a call: that it has begun (no payload), or what the call reports (pickled)."""

    handle: int
    attempt: int
    payload: bytes | None


class End(NamedTuple):
    """What became of a call whose worker has survived it, and how many messages it sent."""

    status: str
    value: bytes | None
    message: str
    seconds: float
    exhausted: bool
    sent: int


class Mailbox:
    """Keeps messages until the executor takes them, and knows which calls are asked to stop.

    An asynchronous actor: `take` waits for messages without keeping workers from putting them.
    """

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._stopping: set[int] = set()
        self._news = asyncio.Event()

    async def put(self, message: Message) -> bool:
        """Keep a message; return whether its call is asked to stop."""
        self._messages.append(message)
        self._news.set()
        return message.handle in self._stopping

    async def take(self) -> list[Message]:
        """Return all messages in their order, once there is one or `wake` is called."""
        await self._news.wait()
        self._news.clear()
        messages, self._messages = self._messages, []
        return messages

    async def wake(self) -> None:
        """Let `take` return, or the next one if none is waiting."""
        self._news.set()

    async def stop(self, handle: int) -> None:
        """Answer the next report of a call with "stop"."""
        self._stopping.add(handle)


class RayWorker:
    """Runs one call after another, each in the main thread of its process.

    Parameters
    ----------
    mailbox : actor handle
    path : sequence of str
        Where modules are looked for if this node does not find them by itself.
    threads : int
        Of the numerical libraries.
    memory_limit : int, optional
        Bytes that calls may allocate, on top of what this process holds already.
    """

    def __init__(self, mailbox: Any, path: Sequence[str], threads: int, memory_limit: int | None) -> None:
        from threadpoolctl import threadpool_limits

        sys.path.extend(folder for folder in path if folder not in sys.path)
        os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
        threadpool_limits(threads)
        limit_memory(None if memory_limit is None else memory_limit + _allocated())
        self._mailbox = mailbox
        self._functions: dict[int, Any] = {}

    def start(self) -> int:
        """Return the process id: the worker is there."""
        return os.getpid()

    def call(self, handle: int, attempt: int, key: int, function: list[Any], arguments: bytes) -> End:
        """Run one call, whatever it does.

        Parameters
        ----------
        handle, attempt : int
            Which call, and the how manieth attempt at it.
        key : int
            Which function; it is fetched and unpickled once.
        function : list of one object reference
            To the pickled function.
        arguments : bytes
            Pickled.
        """
        import ray

        sent = 0

        def tell(payload: bytes | None) -> bool:
            nonlocal sent
            sent += 1
            try:
                return bool(ray.get(self._mailbox.put.remote(Message(handle, attempt, payload))))
            except ray.exceptions.RayError:  # the executor has gone: nobody is left to work for
                os._exit(1)

        def report(payload: Any) -> bool:
            return tell(dump(payload))

        value, message, exhausted = None, "", False
        start = time.perf_counter()
        try:
            if key not in self._functions:
                self._functions[key] = pickle.loads(ray.get(function[0]))
            given = pickle.loads(arguments)
            tell(None)
            start = time.perf_counter()
            value = dump(self._functions[key](report, *given))
            status = Status.FINISHED
        except (Exception, SystemExit) as error:
            status, message = describe_failure(error)
            exhausted = status is Status.OUT_OF_MEMORY
        return End(str(status), value, message, time.perf_counter() - start, exhausted, sent)


def _allocated() -> int:
    """Return how many bytes of data this process has allocated (Linux, else 0)."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmData:")), 0)
