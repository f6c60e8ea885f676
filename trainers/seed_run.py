"""`SeedRun`: what has come so far of one seed among those that are trained together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..errors import InvalidDataError
from .journal import add_epoch
from .records import Status, TrainingRecord
from .requests import TrainingRequest

if TYPE_CHECKING:
    from .external import TrainerReport
    from .layouts import State
    from .transfer import WeightStore


class SeedRun:
    """The curves of one seed."""

    def __init__(self, request: TrainingRequest, note: str = "") -> None:
        self.request = request
        self.curves: dict[str, list[float]] = {}
        self.epochs = 0
        self.lost = ""
        self.notes = [note] if note else []

    @property
    def diverged(self) -> bool:
        """Whether its loss is no number any more."""
        return bool(self.lost)

    def take(self, epoch: int, metrics: dict[str, float], report: TrainerReport) -> bool:
        """Add an epoch and report it; return whether to stop."""
        if self.diverged:
            return False
        self.epochs = epoch
        add_epoch(self.curves, epoch, metrics)
        lost = [name for name, value in metrics.items() if name.endswith("loss") and not math.isfinite(value)]
        if lost:
            self.lost = f"{lost[0]} is {metrics[lost[0]]} after epoch {epoch}"
        return report((self.request.seed, epoch, metrics))

    def note(self, text: str) -> None:
        """Say something in the message of the record, once."""
        line = " ".join(text.split())[:500]
        if line not in self.notes:
            self.notes.append(line)

    def keep(self, state: State, store: WeightStore) -> None:
        """Keep the weights of a training that went well; the training counts even where they cannot be written."""
        if self.diverged:
            return
        try:
            store.save(self.request, state, self.epochs)
        except InvalidDataError as error:
            self.notes.append(str(error))

    def record(
        self, epochs: int, seconds: float, parameters: int, flops: int, peak_memory: int | None
    ) -> TrainingRecord:
        """Return the record, where `epochs` is how many there should have been."""
        status, ends = Status.FINISHED, []
        if self.diverged:
            status, ends = Status.DIVERGED, [self.lost]
        elif self.epochs < epochs:
            status, ends = Status.STOPPED, [f"stopped after epoch {self.epochs}"]
        return self.request.record(
            status,
            message="; ".join([*ends, *self.notes]),
            curves=self.curves,
            seconds=seconds,
            parameters=parameters,
            flops=flops,
            peak_memory=peak_memory,
        )
