"""Schedulers on real trainings: early stopping through the `on_epoch` of `trainers.stream`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Literal, Protocol

from ..errors import InvalidDataError
from ..searchers import CurveHistory, Scheduler
from ..spaces import Architecture, SearchSpace


class Request(Protocol):
    """What names a running training: a `TrainingRequest`, or anything like it."""

    @property
    def key(self) -> str:
        """Equal for the same training."""

    @property
    def architecture(self) -> Architecture:
        """What is trained."""


class EarlyStopper:
    """Tells running trainings when to stop: `stream(requests, trainer, on_epoch=EarlyStopper(...))`.

    It keeps the curves of all trainings that have reported, in the order of their first report, and asks a scheduler
    that watches them after each epoch. A training that is begun anew, because its worker was lost, is judged again from
    the first epoch that it has not reported before. A NaN ends a training.

    Parameters
    ----------
    scheduler : Scheduler
        One that `watches`: `make_scheduler("asha_stopping")`, `"median"` or `"forecast"`.
    space : SearchSpace
    metric : str
        Of the reports, such as `"valid/accuracy"`.
    epochs : int or iterable of int
        The last epoch, or those after which trainings report.
    higher_is_better : bool

    Raises
    ------
    InvalidDataError
        If the scheduler cannot stop trainings, or a parameter is out of range.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        space: SearchSpace,
        metric: str,
        epochs: int | Iterable[int],
        *,
        higher_is_better: bool = True,
    ) -> None:
        if not isinstance(scheduler, Scheduler) or not scheduler.watches:
            raise InvalidDataError(
                f"expected a scheduler that stops running trainings, e.g. 'median' or 'asha_stopping', got {scheduler}"
            )
        labels = range(1, epochs + 1) if isinstance(epochs, int) else epochs
        self.scheduler, self.metric = scheduler, metric
        self.history = CurveHistory.start(space, labels, higher_is_better=higher_is_better)
        scheduler._check(self.history)
        self._trials: dict[str, int] = {}

    def __call__(self, request: Request, epoch: int, metrics: Mapping[str, float]) -> Literal["stop"] | None:
        """Take in one report of a training, and answer `"stop"` or None.

        Raises
        ------
        InvalidDataError
            If the metric is not reported, or an epoch was left out.
        """
        if epoch not in self.history.epochs:
            return None
        if self.metric not in metrics:
            raise InvalidDataError(f"expected {self.metric!r} in each report, got {', '.join(metrics) or 'nothing'}")
        trial = self._trials.setdefault(request.key, len(self.history))
        if trial == len(self.history):
            self.history = self.history.begin(request.architecture.batch(), self.history.epochs[-1])
        if self.history.endings[trial]:
            return "stop"
        if epoch <= self.history.reached[trial]:
            return None
        value = float(metrics[self.metric])
        self.history = self.history.tell(trial, epoch, value if math.isfinite(value) else math.nan)
        if self.history.endings[trial]:
            return "stop"
        if self.scheduler.stops(self.history, trial):
            self.history = self.history.stop(trial)
            return "stop"
        return None
