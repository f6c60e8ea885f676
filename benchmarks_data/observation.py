"""`Observation`: what one evaluation of one architecture gave. Trainers, searches and services speak it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..errors import InvalidDataError
from ..spaces import Architecture
from .schema import MetricInfo
from .table import Table
from .writing import write_table

Status = Literal["complete", "running", "failed", "pruned"]
STATUSES: tuple[Status, ...] = ("complete", "running", "failed", "pruned")


@dataclass(frozen=True)
class Observation:
    """One evaluation of one architecture.

    Parameters
    ----------
    architecture : Architecture
    values : mapping of str to float
        By metric name, `"<dataset>/<name>"`; NaN or absent where missing.
    fidelity : int or None
        The epoch (or schedule) that the values are of; None for a metric without epochs.
    cost : float
        Seconds that it took, NaN where unknown.
    seed : int
        Which repetition.
    status : {"complete", "running", "failed", "pruned"}
        A failed evaluation keeps the values it reached.

    Raises
    ------
    InvalidDataError
        If a value is infinite, the cost negative, or the status none of these.
    """

    architecture: Architecture
    values: Mapping[str, float] = field(default_factory=dict)
    fidelity: int | None = None
    cost: float = math.nan
    seed: int = 0
    status: Status = "complete"

    def __post_init__(self) -> None:
        for metric, value in self.values.items():
            if math.isinf(value):
                raise InvalidDataError(f"metric {metric!r} of {self.architecture} is infinite, use NaN where missing")
        if self.cost < 0 or math.isinf(self.cost):
            raise InvalidDataError(f"the cost of {self.architecture} must be a number of seconds, got {self.cost}")
        if self.status not in STATUSES:
            raise InvalidDataError(f"status must be one of {', '.join(STATUSES)}, got {self.status!r}")


def write_observations(
    path: str | Path,
    observations: Iterable[Observation],
    metrics: Sequence[MetricInfo],
    *,
    about: Mapping[str, str] | None = None,
) -> Table:
    """Write a finished study as a table; running evaluations are left out.

    Parameters
    ----------
    path : str or Path
    observations : iterable of Observation
        All of one space. Several seeds and fidelities of an architecture become one row; different values for the
        same metric, seed and fidelity are refused.
    metrics : sequence of MetricInfo
        Unit, direction and note of each metric; seeds and epochs follow from the observations. Where one of them
        counts the seconds of a training, name it as `cost_metric` in `about`; otherwise known costs are written as
        `"training/cost"`.

    Raises
    ------
    InvalidDataError
        If there is nothing to write, an observation has a metric that is not described, or values contradict.
    """
    from .importers.records import Records

    finished = [observation for observation in observations if observation.status != "running"]
    if not finished:
        raise InvalidDataError("there is no finished observation to write")
    texts = dict(about or {})
    infos = {info.name: info for info in metrics}
    costs = not texts.get("cost_metric") and any(not math.isnan(item.cost) for item in finished)
    if costs:
        texts["cost_metric"] = "training/cost"
        infos["training/cost"] = MetricInfo("training/cost", "s", "lower", "seconds of one training")
    space = finished[0].architecture.space
    records = Records(infos=infos)
    for line, item in enumerate(finished):
        records.architectures.append(item.architecture)
        records.places.append(f"observation {line}")
        epoch = -1 if item.fidelity is None else item.fidelity
        for metric, value in {**item.values, **({"training/cost": item.cost} if costs else {})}.items():
            if metric not in infos:
                raise InvalidDataError(f"observation {line} has metric {metric!r}, described are {', '.join(infos)}")
            records.add(line, metric, item.seed, epoch, value)
    imported = records.to_imported(space, "refuse", texts)
    return Table(write_table(path, space, imported.architectures, imported.columns, about=texts))
