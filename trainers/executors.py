"""Where trainings run: one interface to submit work, receive outcomes as they come, and stop or cancel it.

An executor runs *calls*: `function(report, *arguments)`, where `report(payload)` streams a result on the way (an epoch
of a learning curve) and returns whether the call is asked to stop. Whatever happens to a call (it returns, raises, runs
out of memory or time, its process is killed) becomes exactly one `Outcome`, and the other calls go on.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any, Concatenate, Self, TypeAlias

from ..errors import InvalidDataError
from .records import Status

Report: TypeAlias = Callable[[Any], bool]
"""What a call gets as its first argument: passes a payload on, and returns whether to stop."""

Function: TypeAlias = Callable[Concatenate[Report, ...], Any]
OnReport: TypeAlias = Callable[[int, Any], object]
"""Called with the handle and the payload of each report; a true answer asks that call to stop."""


@dataclass(frozen=True)
class Outcome:
    """What became of one call.

    Parameters
    ----------
    handle : int
        What `submit` returned for it.
    status : Status
        FINISHED if it returned (then `value` holds what it returned), FAILED if it raised, OUT_OF_MEMORY, TIMEOUT,
        KILLED if its process died, STOPPED if it was cancelled.
    value : object
        The returned value; None unless FINISHED.
    message : str
        One line that says what went wrong; empty when FINISHED.
    seconds : float
        How long the call ran; 0 if it never began.
    began : bool
        Whether the call was begun at all: a call cancelled in the queue was not.
    """

    handle: int
    status: Status
    value: Any = None
    message: str = ""
    seconds: float = 0.0
    began: bool = True


class Executor(ABC):
    """Runs calls, and gives one `Outcome` for each; a context manager that ends what still runs on exit."""

    workers: int = 1
    """How many calls run at the same time."""

    @abstractmethod
    def submit(self, function: Function, *arguments: Any, timeout: float | None = None) -> int:
        """Queue the call `function(report, *arguments)` and return its handle.

        Parameters
        ----------
        function : callable
        *arguments
        timeout : float, optional
            Seconds that the call may run, counted from its beginning; then it is ended with status TIMEOUT.

        Raises
        ------
        InvalidDataError
            If the timeout is not positive, the call cannot be sent to where it should run, or the executor is closed.
        """

    @abstractmethod
    def results(self, on_report: OnReport | None = None) -> Iterator[Outcome]:
        """Yield the outcome of each call as it ends, until none is left; calls submitted meanwhile are included.

        Parameters
        ----------
        on_report : callable, optional
            `on_report(handle, payload)` is called for each report, before the outcome of that call; a true answer
            asks the call to stop, which it learns from its next report at the latest.
        """

    @abstractmethod
    def cancel(self, handle: int) -> bool:
        """End a call at once, also in the middle; its outcome is STOPPED. Return False if it had ended before."""

    @abstractmethod
    def stop(self, handle: int) -> bool:
        """Ask a call to stop at its next report, so that it can return what it has. Return False if it had ended."""

    @abstractmethod
    def close(self) -> None:
        """End everything that still runs and give back all resources; outcomes not yet received are lost."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_timeout(timeout: float | None) -> float | None:
    """Return the timeout if it is None or a positive number of seconds, and raise InvalidDataError if not."""
    if timeout is not None and not timeout > 0:
        raise InvalidDataError(f"a timeout must be a positive number of seconds, got {timeout!r}")
    return timeout


def describe_failure(error: BaseException) -> tuple[Status, str]:
    """Return the status and the one-line message of a call that raised `error`.

    PyTorch reports exhausted memory as `torch.cuda.OutOfMemoryError` on accelerators and as a plain RuntimeError on
    the CPU; both are told by name and text, so that PyTorch need not be imported here.
    """
    text = " ".join(str(error).split())
    message = f"{type(error).__name__}: {text}" if text else type(error).__name__
    exhausted = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    if isinstance(error, RuntimeError) and ("allocate memory" in text or "out of memory" in text):
        exhausted = True
    return (Status.OUT_OF_MEMORY if exhausted else Status.FAILED), message[:2000]


class _TimeUpError(BaseException):
    """Raised inside a call whose time is up; no `except Exception` of a training catches it."""


class InProcess(Executor):
    """Runs one call after another in this process, each when its outcome is asked for.

    Nothing protects this process from a training that crashes it. Timeouts interrupt Python code in the main thread;
    in other threads, and on systems without interval timers, a call learns of them when it reports.
    """

    def __init__(self) -> None:
        self._queue: OrderedDict[int, tuple[Function, tuple[Any, ...], float | None]] = OrderedDict()
        self._cancelled: deque[int] = deque()
        self._next = 0
        self._current: int | None = None
        self._stopping = False
        self._cancelling = False
        self._closed = False

    def submit(self, function: Function, *arguments: Any, timeout: float | None = None) -> int:
        """Queue a call; it begins when `results` comes to it."""
        if self._closed:
            raise InvalidDataError("the executor is closed, no call can be submitted to it")
        self._next += 1
        self._queue[self._next] = (function, arguments, check_timeout(timeout))
        return self._next

    def results(self, on_report: OnReport | None = None) -> Iterator[Outcome]:
        """Run the queued calls in their order, and yield the outcome of each."""
        while self._queue or self._cancelled:
            while self._cancelled:
                handle = self._cancelled.popleft()
                yield Outcome(handle, Status.STOPPED, message="cancelled before it began", began=False)
            if self._queue:
                handle, call = self._queue.popitem(last=False)
                yield self._run(handle, *call, on_report)

    def _run(
        self,
        handle: int,
        function: Function,
        arguments: tuple[Any, ...],
        timeout: float | None,
        on_report: OnReport | None,
    ) -> Outcome:
        start = time.perf_counter()
        self._current, self._stopping, self._cancelling = handle, False, False

        def report(payload: Any) -> bool:
            if timeout is not None and time.perf_counter() - start > timeout:
                raise _TimeUpError
            try:
                if on_report is not None and on_report(handle, payload):
                    self._stopping = True
            except Exception as error:  # of whoever asked for the results, not of the training
                raise _ListenerError(error) from error
            if self._cancelling:
                raise _CancelledError
            return self._stopping

        value, message = None, ""
        try:
            with _alarm(timeout):
                value = function(report, *arguments)
            status = Status.FINISHED
        except _TimeUpError:
            status, message = Status.TIMEOUT, f"did not end within {timeout:g} s"
        except _CancelledError:
            status, message = Status.STOPPED, "cancelled"
        except _ListenerError as error:
            raise error.cause from None
        except (Exception, SystemExit) as error:
            status, message = describe_failure(error)
        finally:
            self._current = None
        return Outcome(handle, status, value, message, time.perf_counter() - start)

    def cancel(self, handle: int) -> bool:
        """Take a call out of the queue, or end the running one when it reports next."""
        if handle == self._current:
            self._cancelling = True
            return True
        if self._queue.pop(handle, None) is not None:
            self._cancelled.append(handle)
            return True
        return False

    def stop(self, handle: int) -> bool:
        """Ask the running call to stop; one in the queue is cancelled."""
        if handle == self._current:
            self._stopping = True
            return True
        return self.cancel(handle)

    def close(self) -> None:
        """Forget the queue."""
        self._queue.clear()
        self._cancelled.clear()
        self._closed = True


class _CancelledError(BaseException):
    """Raised inside a call that was cancelled while it ran."""


class _ListenerError(BaseException):
    """Carries what `on_report` raised past the training that reported."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


@contextlib.contextmanager
def _alarm(timeout: float | None) -> Iterator[None]:
    """Raise _TimeUpError in the block after `timeout` seconds, where the system lets us."""
    usable = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread()
    if timeout is None or not usable:
        yield
        return

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise _TimeUpError

    previous = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, timeout)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
