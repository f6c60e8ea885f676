"""Training the seeds of an architecture with a trainer that takes fewer of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..trainers import Status, TrainingRecord, TrainingRequest
from ..trainers.executors import describe_failure
from ..trainers.external import Trainer, TrainerReport
from ..trainers.journal import add_epoch


class OneAfterAnother:
    """Trains as many seeds at once as a trainer takes, batch after batch: what one raises is not held against all.

    Memory that is exhausted ends them all, as it does the process.

    Parameters
    ----------
    trainer : Trainer
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.seeds_at_once = max(1, trainer.seeds_at_once)

    def __call__(self, report: TrainerReport, requests: Sequence[TrainingRequest]) -> Any:
        """Train, and return one record for each request, or what else the trainer returned."""
        found: list[TrainingRecord] = []
        for start in range(0, len(requests), self.seeds_at_once):
            batch = requests[start : start + self.seeds_at_once]
            curves: dict[int, dict[str, list[float]]] = {}

            def noted(payload: Any, curves: dict[int, dict[str, list[float]]] = curves) -> bool:
                seed, epoch, metrics = payload
                add_epoch(curves.setdefault(seed, {}), epoch, metrics)
                return report(payload)

            try:
                records: Any = self.trainer(noted, batch)
            except Exception as error:
                status, message = describe_failure(error)
                if status is not Status.FAILED:
                    raise
                records = [
                    request.record(status, message=message, curves=curves.get(request.seed)) for request in batch
                ]
            if not isinstance(records, (list, tuple)):
                return records
            found += records
        return found
