"""`Budget`: when a study has enough."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import InvalidDataError
from .trials import Candidate, Trial, cost_of


@dataclass(frozen=True)
class Budget:
    """When a study has enough.

    Parameters
    ----------
    trainings : int, optional
        Trainings in the whole study, whoever did them; failed ones count, and each seed of an architecture does. No
        architecture is begun whose seeds do not all fit.
    cost : float, optional
        Of all trainings of the study, in seconds of training or what its `cost_metric` counts. None is begun after it
        is spent.
    seconds : float, optional
        Wall time from the call of `run` on, after which it begins no training.

    Raises
    ------
    InvalidDataError
        If a number is not positive.
    """

    trainings: int | None = None
    cost: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        _require("trainings", self.trainings, integer=True)
        _require("cost", self.cost)
        _require("seconds", self.seconds)

    def __bool__(self) -> bool:
        return any(value is not None for value in (self.trainings, self.cost, self.seconds))

    def is_spent(
        self, found: Sequence[Candidate], trials: Sequence[Trial], cost_metric: str | None, each: int = 1
    ) -> bool:
        """Return whether no further architecture of `each` trainings may be begun; time is the business of `run`."""
        if self.trainings is not None and (len(found) + 1) * each > self.trainings:
            return True
        return self.cost is not None and cost_of(trials, cost_metric) >= self.cost


def _require(name: str, value: float | None, *, integer: bool = False) -> None:
    """Raise InvalidDataError unless a budget is None or a positive number."""
    kinds = (int,) if integer else (int, float)
    if value is None or (isinstance(value, kinds) and not isinstance(value, bool) and 0 < value < math.inf):
        return
    kind = "an integer of at least 1" if integer else "a number greater than 0"
    raise InvalidDataError(f"the budget of {name} must be {kind}, got {value!r}")
