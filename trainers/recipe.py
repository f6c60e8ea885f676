"""`Recipe`: how a network is trained, everything but the data and how much of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from ..errors import InvalidDataError
from ..spaces import Skeleton
from ..spaces.skeleton import round_channels
from .records import Fidelity

if TYPE_CHECKING:
    from .tasks import Task

OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("one_cycle", "cosine", "linear", "constant")
AUGMENTATIONS = ("flip", "shift", "scale", "noise", "cutout", "mixup")
TEST_EVALUATIONS = ("every_epoch", "last_epoch", "never")

_WARM_UP = 0.3
_START_DIVISOR = 25.0
_END_DIVISOR = 1e4


@dataclass(frozen=True)
class Recipe:
    """How networks are trained, and how large they are.

    Parameters
    ----------
    optimizer : {"sgd", "adam", "adamw"}
    learning_rate : float
        The highest of the schedule.
    momentum : float
        Of `sgd`, with Nesterov's correction; the first decay of the other two.
    weight_decay : float
        On all parameters.
    schedule : {"one_cycle", "cosine", "linear", "constant"}
        Per step. `one_cycle` warms up along a cosine from a 25th of the rate during the first 30 % and then falls along
        a cosine to nearly zero (Smith and Topin, 2019); `cosine` and `linear` fall from the start.
    epochs : int
        Of a full training.
    batch_size : int
    label_smoothing : float
        In [0, 1), for classification.
    clip_norm : float, optional
        The longest that the gradient of a network may be.
    augmentation : tuple of str
        What is done to training inputs, any of `"flip"` (left and right, half of the examples), `"shift"` (by up to an
        eighth of each axis, zeros move in), `"scale"` (amplitude, by up to a fifth), `"noise"` (Gaussian, a twentieth
        of the standard deviation of the batch), `"cutout"` (a window of a quarter of each axis is zero), `"mixup"`
        (pairs of examples are mixed; Zhang et al., ICLR 2018).
    averaging : float, optional
        Decay per step of a moving average of the weights, in (0, 1), which is then what is evaluated.
    test : {"every_epoch", "last_epoch", "never"}
        When the test examples are looked at; they choose nothing in any case.
    channels, stages, cells : int, optional
        Knobs of the `Skeleton`; None is what the authors of the space published.

    Raises
    ------
    InvalidDataError
        If a value is out of range.
    """

    optimizer: str = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str = "cosine"
    epochs: int = 12
    batch_size: int = 256
    label_smoothing: float = 0.0
    clip_norm: float | None = None
    augmentation: tuple[str, ...] = ()
    averaging: float | None = None
    test: str = "every_epoch"
    channels: int | None = None
    stages: int | None = None
    cells: int | None = None

    def __post_init__(self) -> None:
        for name, choices in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("test", TEST_EVALUATIONS)):
            if getattr(self, name) not in choices:
                raise InvalidDataError(
                    f"{name!r} of a recipe must be one of {', '.join(choices)}, got {getattr(self, name)!r}"
                )
        for name, low, high, may_be_none in (
            ("learning_rate", 0.0, math.inf, False),
            ("momentum", None, 1.0, False),
            ("weight_decay", None, math.inf, False),
            ("label_smoothing", None, 1.0, False),
            ("clip_norm", 0.0, math.inf, True),
            ("averaging", 0.0, 1.0, True),
        ):
            self._check_number(name, low, high, may_be_none)
        for name in ("epochs", "batch_size", "channels", "stages", "cells"):
            value = getattr(self, name)
            if value is None and name not in ("epochs", "batch_size"):
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InvalidDataError(f"{name!r} of a recipe must be an integer of at least 1, got {value!r}")
        if isinstance(self.augmentation, str):  # type: ignore[unreachable]
            raise InvalidDataError(f"'augmentation' of a recipe must be a list of names, got {self.augmentation!r}")
        try:
            object.__setattr__(self, "augmentation", tuple(self.augmentation))
        except TypeError:
            raise InvalidDataError(
                f"'augmentation' of a recipe must be a list of names, got {self.augmentation!r}"
            ) from None
        for name in self.augmentation:
            if name not in AUGMENTATIONS:
                raise InvalidDataError(f"unknown augmentation {name!r}, expected any of {', '.join(AUGMENTATIONS)}")

    def _check_number(self, name: str, low: float | None, high: float, may_be_none: bool) -> None:
        """Raise unless the value is in (low, high), or in [0, high) where `low` is None."""
        value = getattr(self, name)
        if value is None and may_be_none:
            return
        valid = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if not valid or not (value >= 0 if low is None else value > low) or not value < high:
            bound = "at least 0" if low is None else "greater than 0"
            limit = "" if high == math.inf else f" and less than {high:g}"
            raise InvalidDataError(f"{name!r} of a recipe must be a number {bound}{limit}, got {value!r}")
        object.__setattr__(self, name, float(value))

    def to_dict(self) -> dict[str, Any]:
        """Return all values, JSON-able."""
        return asdict(self) | {"augmentation": list(self.augmentation)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Recipe:
        """Return the recipe that `to_dict` describes; what is left out has its default.

        Raises
        ------
        InvalidDataError
            If a value is unknown or out of range.
        """
        known = [item.name for item in fields(cls)]
        for name in content:
            if name not in known:
                raise InvalidDataError(f"unknown value {name!r} of a recipe, expected {', '.join(known)}")
        return cls(**content)

    def skeleton(self, task: Task, fidelity: Fidelity | None = None) -> Skeleton:
        """Return the skeleton of networks for a task at a fidelity.

        Raises
        ------
        InvalidDataError
            If the fidelity has a width, and this recipe no number of channels for it to multiply.
        """
        level = fidelity if fidelity is not None else Fidelity()
        channels = self.channels
        if level.width != 1.0:
            if channels is None:
                raise InvalidDataError(
                    f"the fidelity has width {level.width:g}, and the recipe no number of channels for it to multiply"
                )
            channels = round_channels(channels * level.width)
        shape = task.inputs
        if level.resolution is not None:
            shape = (shape[0], *[level.resolution] * (len(shape) - 1))
        cells = level.cells if level.cells is not None else self.cells
        return Skeleton(shape, task.outputs, channels, self.stages, cells)

    def rate(self, progress: float) -> float:
        """Return the learning rate when a share `progress` in [0, 1] of all steps is done."""
        if self.schedule == "constant":
            return self.learning_rate
        if self.schedule == "linear":
            return self.learning_rate * (1 - progress)
        if self.schedule == "cosine":
            return _cosine(self.learning_rate, 0.0, progress)
        start = self.learning_rate / _START_DIVISOR
        if progress < _WARM_UP:
            return _cosine(start, self.learning_rate, progress / _WARM_UP)
        return _cosine(self.learning_rate, start / _END_DIVISOR, (progress - _WARM_UP) / (1 - _WARM_UP))


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
