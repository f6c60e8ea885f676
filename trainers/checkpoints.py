"""Checkpoints of trainings that go on for long: what is interrupted goes on after its last one."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InvalidDataError
from ..files import replacing
from .requests import TrainingRequest
from .seed_run import SeedRun

if TYPE_CHECKING:
    from .loop import TrainingLoop

_FIELD = "archcast"


class Checkpoints:
    """A folder of checkpoints, one file for the seeds that are trained together; no code runs when one is read.

    Parameters
    ----------
    folder : str or Path
        Made when there is something to keep, and removed when it is empty again.
    seconds : float
        How long a training goes on between two checkpoints at least.

    Raises
    ------
    InvalidDataError
        If `seconds` is negative, or there is a file in the place of the folder.
    """

    def __init__(self, folder: str | Path, seconds: float = 30.0) -> None:
        self.folder = Path(folder)
        self.seconds = seconds
        if not seconds >= 0:
            raise InvalidDataError(f"checkpoints must be at least 0 seconds apart, got {seconds!r}")
        if self.folder.exists() and not self.folder.is_dir():
            raise InvalidDataError(f"cannot keep checkpoints in {str(folder)!r}: it is no folder")

    def of(self, requests: Sequence[TrainingRequest], dtype: str) -> Checkpoint:
        """Return the checkpoint of trainings that go on together."""
        identity = hashlib.sha256(json.dumps([dtype, *(request.key for request in requests)]).encode())
        return Checkpoint(self.folder / f"{identity.hexdigest()[:32]}.safetensors", self.seconds)


class Checkpoint:
    """The checkpoint of trainings that go on together.

    Parameters
    ----------
    path : Path
    seconds : float
    """

    def __init__(self, path: Path, seconds: float) -> None:
        self.path = path
        self.seconds = seconds
        self._last = time.perf_counter()

    def save(self, loop: TrainingLoop, runs: Sequence[SeedRun]) -> None:
        """Write the state of trainings, unless the last time is too short ago or they have ended.

        A checkpoint that cannot be written is noted in the records, and the training goes on.
        """
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        if loop.done >= loop.epochs or time.perf_counter() - self._last < self.seconds:
            return
        tensors = {name: value.detach().cpu().contiguous().clone() for name, value in loop.state().items()}
        metadata = {_FIELD: json.dumps([[run.curves, run.epochs, run.lost] for run in runs])}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.path) as temporary:
                save_file(tensors, temporary, metadata=metadata)
        except (InvalidDataError, SafetensorError, OSError) as error:
            for run in runs:
                run.note(f"no checkpoint after epoch {loop.done}: {error}")
        self._last = time.perf_counter()

    def restore(self, loop: TrainingLoop, runs: Sequence[SeedRun]) -> None:
        """Go on from the file, if there is one that fits; else everything begins anew."""
        from safetensors import SafetensorError, safe_open

        if not self.path.is_file():
            return
        try:
            with safe_open(self.path, framework="pt") as file:
                told = json.loads(file.metadata()[_FIELD])
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if len(told) != len(runs):
                raise ValueError(f"it is of {len(told)} seeds")
            before = loop.state()
            try:
                loop.restore(state)
            except Exception:
                loop.restore(before)
                raise
            for run, (curves, epochs, lost) in zip(runs, told, strict=True):
                run.curves, run.epochs, run.lost = curves, epochs, lost
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            for run in runs:
                run.note(f"begun anew, its checkpoint cannot be used: {error}")

    def remove(self) -> None:
        """Remove the file of trainings that have ended."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
            self.path.parent.rmdir()
