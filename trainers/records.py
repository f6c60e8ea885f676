"""What one training is and what came of it: `Status`, `Fidelity`, `TrainingRecord`."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from ..errors import InvalidDataError


class Status(StrEnum):
    """How a training ended; all but `FINISHED` keep the curve that was reached."""

    FINISHED = "finished"
    DIVERGED = "diverged"
    OUT_OF_MEMORY = "out_of_memory"
    TIMEOUT = "timeout"
    KILLED = "killed"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Fidelity:
    """How much of a full training is done; every knob left alone is the full training.

    The low fidelities of the survey of White et al. (2023), each a knob of its own.

    Parameters
    ----------
    epochs : int, optional
        Passes over the training data; None is as many as the recipe has. Its schedule is shortened with it.
    data_share : float
        Share of the training data, in (0, 1]; every seed keeps its own random part, the same for each architecture.
    resolution : int, optional
        Side of the images in pixels, or length of the signals; None is that of the data.
    width : float
        Multiplier of the recipe's channels, greater than 0.
    cells : int, optional
        Cells per stage; None is as many as the recipe has.

    Raises
    ------
    InvalidDataError
        If a knob is out of range.
    """

    epochs: int | None = None
    data_share: float = 1.0
    resolution: int | None = None
    width: float = 1.0
    cells: int | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "resolution", "cells"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise InvalidDataError(f"fidelity {name!r} must be an integer of at least 1 or None, got {value!r}")
        for name in ("data_share", "width"):
            value = getattr(self, name)
            valid = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf
            if not valid or (name == "data_share" and value > 1):
                raise InvalidDataError(
                    f"fidelity {name!r} must be a number {'in (0, 1]' if name == 'data_share' else 'greater than 0'}, "
                    f"got {value!r}"
                )
            object.__setattr__(self, name, float(value))

    def to_dict(self) -> dict[str, Any]:
        """Return all knobs, JSON-able."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Fidelity:
        """Return the fidelity that `to_dict` describes; knobs left out are full.

        Raises
        ------
        InvalidDataError
            If a knob is unknown or out of range.
        """
        known = {item.name for item in fields(cls)}
        for name in content:
            if name not in known:
                raise InvalidDataError(f"unknown fidelity {name!r}, expected {', '.join(sorted(known))}")
        return cls(**content)


@dataclass(frozen=True)
class TrainingRecord:
    """One training of one architecture with one seed, whatever came of it.

    Parameters
    ----------
    space : dict
        Spec of the search space.
    architecture : str
        In the native notation of the space.
    genotype : tuple of int
    task : str
        Name of the task; two tasks of different data have different names.
    recipe : dict
        The recipe's values.
    fidelity : Fidelity
    seed : int
        Of the initial weights, of the order of the data and of what is random in the training.
    status : Status
    message : str
        One line that says what went wrong, and what a warm start has taken over; empty if there is nothing to say.
    curves : dict of str to list of float
        One value per epoch reached, under `"<split>/<metric>"`: `"train/loss"`, `"valid/accuracy"`, `"test/loss"` ...
        NaN where a number could not be had.
    seconds : float
        Wall time of this training. Where several seeds were trained at once, each has an equal part of the time.
    parameters : int
        Trainable parameters of one network.
    flops : int
        Multiply-accumulates of one network for one input.
    peak_memory : int, optional
        Most bytes held at once on the accelerator, None where it is not known.
    warm_start : str, optional
        The architecture whose trained weights this training started from; None if it started from random weights.
    """

    space: dict[str, Any]
    architecture: str
    genotype: tuple[int, ...]
    task: str
    recipe: dict[str, Any]
    fidelity: Fidelity
    seed: int
    status: Status
    message: str = ""
    curves: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = math.nan
    parameters: int = 0
    flops: int = 0
    peak_memory: int | None = None
    warm_start: str | None = None

    @property
    def key(self) -> str:
        """What was asked for, as a hash: equal for equal space, genotype, task, recipe, fidelity, seed, warm start."""
        return training_key(
            self.space, self.genotype, self.task, self.recipe, self.fidelity, self.seed, self.warm_start
        )

    @property
    def epochs(self) -> int:
        """How many epochs the curves hold."""
        return max(map(len, self.curves.values()), default=0)

    def final(self, metric: str) -> float:
        """Return the last value of a curve such as `"valid/accuracy"`; NaN if the training did not get that far.

        Raises
        ------
        InvalidDataError
            If this record has no such curve though it has others.
        """
        curve = self.curves.get(metric)
        if curve is None and self.curves:
            raise InvalidDataError(f"the training has no curve {metric!r}, expected one of {', '.join(self.curves)}")
        return curve[-1] if curve else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Return the record as strict JSON knows it: NaN and infinities are null."""
        content: dict[str, Any] = {item.name: getattr(self, item.name) for item in fields(self)}
        content["genotype"] = list(self.genotype)
        content["fidelity"] = self.fidelity.to_dict()
        content["status"] = str(self.status)
        content["curves"] = {name: [_plain(value) for value in curve] for name, curve in self.curves.items()}
        content["seconds"] = _plain(self.seconds)
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> TrainingRecord:
        """Return the record that `to_dict` describes.

        Raises
        ------
        InvalidDataError
            If it is not the description of a record.
        """
        try:
            values = dict(content)
            values["genotype"] = tuple(int(gene) for gene in values["genotype"])
            values["fidelity"] = Fidelity.from_dict(values["fidelity"])
            values["status"] = Status(values["status"])
            values["curves"] = {
                str(name): [math.nan if value is None else float(value) for value in curve]
                for name, curve in values.get("curves", {}).items()
            }
            values["seconds"] = math.nan if values.get("seconds") is None else float(values["seconds"])
            return cls(**values)
        except InvalidDataError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidDataError(f"expected the description of a training, got a malformed one: {error!r}") from None


def training_key(
    space: Mapping[str, Any],
    genotype: tuple[int, ...],
    task: str,
    recipe: Mapping[str, Any],
    fidelity: Fidelity,
    seed: int,
    warm_start: str | None = None,
) -> str:
    """Return the key of a training from what is asked for, so that it is known before the training is done."""
    content = {
        "space": dict(space),
        "genotype": [int(gene) for gene in genotype],
        "task": task,
        "recipe": dict(recipe),
        "fidelity": fidelity.to_dict(),
        "seed": int(seed),
        "warm_start": warm_start,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _plain(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
