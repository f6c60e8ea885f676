"""Trainings that users bring: a Python callable, or a shell command in whatever language."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any, Literal, Protocol, TypeAlias

from ..errors import InvalidDataError
from ..spaces import Architecture
from .journal import add_epoch
from .records import Fidelity, Status, TrainingRecord
from .requests import TrainingRequest

Answer: TypeAlias = Literal["stop"] | None
UserReport: TypeAlias = Callable[[int, Mapping[str, float]], Answer]
UserFunction: TypeAlias = Callable[[Architecture, Fidelity, int, UserReport], Mapping[str, float] | None]
"""`f(architecture, fidelity, seed, report) -> metrics`."""

TrainerReport: TypeAlias = Callable[[tuple[int, int, dict[str, float]]], bool]
"""What a trainer streams: seed, epoch (from 1 on) and metrics; the answer is whether to stop."""


class Trainer(Protocol):
    """Whatever carries out requests: called in a worker process with those that differ in the seed alone.

    Attributes
    ----------
    seeds_at_once : int
        How many seeds of one architecture it takes in one call.
    """

    seeds_at_once: int

    def __call__(self, report: TrainerReport, requests: Sequence[TrainingRequest]) -> list[TrainingRecord]:
        """Train, and return one record for each request, in their order."""


class CallableTrainer:
    """Trains by calling `f(architecture, fidelity, seed, report) -> metrics`.

    `report(epoch, metrics)` adds an epoch to the learning curve (epochs count from 1; names such as
    `"valid/accuracy"`), and answers `"stop"` if the training should return what it has, else None. What `f` returns are
    metrics of the last epoch: of the last one reported, or of the last one that the fidelity asks for. It may return
    `"parameters"` and `"flops"` among them.

    A training whose last loss (any metric named `...loss`) is not a finite number is recorded as DIVERGED.

    Parameters
    ----------
    function : callable
        For a process pool it must be picklable (lambdas and functions of notebooks are).
    """

    seeds_at_once = 1

    def __init__(self, function: UserFunction) -> None:
        if not callable(function):
            raise InvalidDataError(f"expected a function f(architecture, fidelity, seed, report), got {function!r}")
        self.function = function

    def __call__(self, report: TrainerReport, requests: Sequence[TrainingRequest]) -> list[TrainingRecord]:
        """Train the requests one after another."""
        return [self._train(report, request) for request in requests]

    def _train(self, report: TrainerReport, request: TrainingRequest) -> TrainingRecord:
        curves: dict[str, list[float]] = {}
        stopped = False
        start = time.perf_counter()

        def pass_on(epoch: int, metrics: Mapping[str, float]) -> Answer:
            nonlocal stopped
            values = checked_metrics(metrics)
            add_epoch(curves, epoch, values)
            stopped = report((request.seed, epoch, values)) or stopped
            return "stop" if stopped else None

        final = self.function(request.architecture, request.fidelity, request.seed, pass_on)
        return finish(request, curves, final, stopped, time.perf_counter() - start)


class ShellTrainer:
    """Trains by running a command that reads a request as JSON and prints results as JSON lines.

    On its standard input the command gets one JSON object and end of file: `{"architecture": native string,
    "genotype": [...], "space": {...}, "task": ..., "recipe": {...}, "fidelity": {...}, "seed": ...}`. Each line that it
    prints is a JSON object of metrics, `{"epoch": 3, "valid/accuracy": 0.91, ...}`; one without `"epoch"` holds metrics
    of the last epoch (and possibly `"parameters"` and `"flops"`). Other lines on standard output are an error; messages
    belong on standard error, of which the last lines are in the record of a training that fails. When asked to stop,
    the command gets SIGTERM, and what it has printed is the result.

    Parameters
    ----------
    command : str or sequence of str
        A string is run by the shell.
    environment : mapping of str to str, optional
        Added to the environment of the command.
    """

    seeds_at_once = 1

    def __init__(self, command: str | Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        if not command:
            raise InvalidDataError("expected a command to run, got an empty one")
        self.command = command if isinstance(command, str) else list(command)
        self.environment = dict(environment or {})

    def __call__(self, report: TrainerReport, requests: Sequence[TrainingRequest]) -> list[TrainingRecord]:
        """Train the requests one after another."""
        return [self._train(report, request) for request in requests]

    def _train(self, report: TrainerReport, request: TrainingRequest) -> TrainingRecord:
        start = time.perf_counter()
        curves: dict[str, list[float]] = {}
        final: dict[str, float] = {}
        stopped = False
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as errors:
            # Files rather than pipes: neither side can block the other, whatever the command reads and prints.
            given.write(json.dumps(_as_json(request)).encode() + b"\n")
            given.seek(0)
            with _interrupts_held() as held:
                process = subprocess.Popen(
                    self.command,
                    shell=isinstance(self.command, str),
                    stdin=given,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=os.environ | self.environment,
                    start_new_session=True,  # so that what the command starts can be ended with it
                    preexec_fn=_end_with_parent(),  # noqa: PLW1509
                )
            assert process.stdout is not None
            try:
                if held:
                    signal.raise_signal(signal.SIGINT)
                for number, line in enumerate(process.stdout, start=1):
                    if not line.strip():
                        continue
                    epoch, metrics = _read_line(line, number)
                    if epoch is None:
                        final |= metrics
                        continue
                    add_epoch(curves, epoch, metrics)
                    if report((request.seed, epoch, metrics)) and not stopped:
                        stopped = True
                        _signal(process, signal.SIGTERM)
                code = process.wait()
            except BaseException:
                _signal(process, signal.SIGKILL)
                process.wait()
                raise
            finally:
                process.stdout.close()
            if code and not stopped:
                raise CommandFailedError(_describe_end(code, errors))
        return finish(request, curves, final, stopped, time.perf_counter() - start)


class CommandFailedError(Exception):
    """The command of a `ShellTrainer` ended with an error, or printed what is no result."""


def checked_metrics(metrics: Any) -> dict[str, float]:
    """Return metrics as a dict of floats.

    Raises
    ------
    InvalidDataError
        If it is no mapping of names to numbers.
    """
    if not isinstance(metrics, Mapping):
        raise InvalidDataError(f"expected metrics as a mapping of names to numbers, got {metrics!r:.200}")
    result = {}
    for name, value in metrics.items():
        try:
            if not isinstance(name, str) or not name or isinstance(value, (str, bytes)):
                raise TypeError
            result[name] = float(value)
        except (TypeError, ValueError):
            raise InvalidDataError(f"metric {name!r} must be a number, got {value!r:.200}") from None
    return result


def finish(
    request: TrainingRequest,
    curves: dict[str, list[float]],
    final: Mapping[str, float] | None,
    stopped: bool,
    seconds: float,
) -> TrainingRecord:
    """Return the record of a training that ended by itself; `final` are metrics of its last epoch.

    Raises
    ------
    InvalidDataError
        If it gave no metric at all.
    """
    last = checked_metrics(final if final is not None else {})
    parameters, flops = (_count(name, last.pop(name, 0.0)) for name in ("parameters", "flops"))
    reached = max(map(len, curves.values()), default=0) or request.fidelity.epochs or 1
    add_epoch(curves, reached, last)
    if not curves:
        raise InvalidDataError("the training returned no metric and reported none")
    status, message = Status.FINISHED, ""
    if stopped and reached != request.fidelity.epochs:
        status, message = Status.STOPPED, f"stopped after epoch {reached}"
    for name, curve in curves.items():
        if name.endswith("loss") and len(curve) == reached and not math.isfinite(curve[-1]):
            status, message = Status.DIVERGED, f"{name} is {curve[-1]} after epoch {reached}"
    return request.record(status, message=message, curves=curves, seconds=seconds, parameters=parameters, flops=flops)


def _count(name: str, value: float) -> int:
    if not math.isfinite(value) or value < 0:
        raise InvalidDataError(f"{name} must be a number from 0 on, got {value}")
    return round(value)


def _as_json(request: TrainingRequest) -> dict[str, Any]:
    return {
        "space": request.architecture.space.spec,
        "architecture": str(request.architecture),
        "genotype": list(request.architecture.genotype),
        "task": request.task,
        "recipe": dict(request.recipe),
        "fidelity": request.fidelity.to_dict(),
        "seed": request.seed,
    }


def _read_line(line: bytes, number: int) -> tuple[int | None, dict[str, float]]:
    shown = line.decode(errors="replace").strip()[:200]
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        raise CommandFailedError(f"line {number} of the command's output is not JSON: {shown}") from None
    if not isinstance(entry, dict):
        raise CommandFailedError(f"line {number} of the command's output is not a JSON object: {shown}")
    epoch = entry.pop("epoch", None)
    if epoch is not None and (isinstance(epoch, bool) or not isinstance(epoch, int) or not 1 <= epoch <= _MOST_EPOCHS):
        raise CommandFailedError(f"line {number} of the command's output needs an epoch from 1 on, got {epoch!r:.200}")
    values = {name: math.nan if value is None else value for name, value in entry.items()}
    try:
        return epoch, checked_metrics(values)
    except InvalidDataError as error:
        raise CommandFailedError(f"line {number} of the command's output: {error}") from None


_MOST_EPOCHS = 10_000_000


def _describe_end(code: int, errors: IO[bytes]) -> str:
    end = f"was killed by signal {-code}" if code < 0 else f"ended with exit status {code}"
    errors.seek(max(errors.seek(0, os.SEEK_END) - 4096, 0))
    lines = deque((line.strip() for line in errors.read().decode(errors="replace").splitlines() if line.strip()), 3)
    return f"the command {end}" + (f": {' | '.join(lines)}" if lines else "")


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to the command and everything that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


@contextlib.contextmanager
def _interrupts_held() -> Iterator[list[int]]:
    """Note Ctrl-C instead of raising while a process is forked, among whose hooks Python drops exceptions."""
    held: list[int] = []
    previous = signal.getsignal(signal.SIGINT)
    if not callable(previous) or threading.current_thread() is not threading.main_thread():
        yield held
        return
    signal.signal(signal.SIGINT, lambda number, _frame: held.append(number))
    try:
        yield held
    finally:
        signal.signal(signal.SIGINT, previous)


def _end_with_parent() -> Callable[[], object] | None:
    """Return what a new process calls for the kernel to kill it when its parent dies, where there is such a thing."""
    if sys.platform != "linux":
        return None
    import ctypes

    prctl = ctypes.CDLL(None).prctl  # looked up before the fork: afterwards only a plain call is safe
    return lambda: prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
