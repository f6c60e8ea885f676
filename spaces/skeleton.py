"""`Skeleton`: what surrounds the cells or blocks of an architecture when it becomes a network."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import InvalidDataError

_CONVOLVED = 2
"""Signals and images: what networks of convolutions are built for, by the number of axes behind the channels."""


@dataclass(frozen=True)
class Skeleton:
    """The part of a network that all architectures of a search share.

    What a knob means is up to the space; those left None take the values that its authors published.

    Parameters
    ----------
    inputs : sequence of int
        Shape of one input, channels first: `(channels, length)` for signals, `(channels, height, width)` for images.
    outputs : int
        Classes, or numbers to predict.
    channels : int, optional
        Of the first stage; each later stage has twice those of the one before. Where architectures choose widths, all
        are multiplied by the same factor.
    stages : int, optional
        Between stages the resolution is halved.
    cells : int, optional
        Cells per stage.

    Raises
    ------
    InvalidDataError
        If a number is not a positive integer, or inputs are neither signals nor images.
    """

    inputs: tuple[int, ...] = (3, 32, 32)
    outputs: int = 10
    channels: int | None = None
    stages: int | None = None
    cells: int | None = None

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "inputs", tuple(self.inputs))
        except TypeError:
            raise InvalidDataError(
                f"the inputs of a skeleton must be a shape like (3, 32, 32), got {self.inputs!r}"
            ) from None
        if not 1 <= len(self.inputs) - 1 <= _CONVOLVED:
            raise InvalidDataError(
                f"the inputs of a skeleton must be (channels, length) or (channels, height, width), got {self.inputs}"
            )
        for name, value in (
            *((f"input axis {axis}", size) for axis, size in enumerate(self.inputs)),
            ("outputs", self.outputs),
            *((name, getattr(self, name)) for name in ("channels", "stages", "cells")),
        ):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise InvalidDataError(f"{name} of a skeleton must be an integer of at least 1, got {value!r}")

    @property
    def dimension(self) -> int:
        """1 for signals, 2 for images."""
        return len(self.inputs) - 1

    def with_defaults(self, channels: int, stages: int, cells: int) -> Skeleton:
        """Return this skeleton with the knobs that are None filled in."""
        return Skeleton(
            self.inputs,
            self.outputs,
            self.channels if self.channels is not None else channels,
            self.stages if self.stages is not None else stages,
            self.cells if self.cells is not None else cells,
        )

    def scaled(self, published: int) -> float:
        """Return by what the widths of a network whose stem has `published` channels are multiplied."""
        return 1.0 if self.channels is None else self.channels / published

    def check_halvings(self, halvings: int) -> None:
        """Check that there are positions left to take together whenever the resolution is halved.

        Raises
        ------
        InvalidDataError
            If an axis of the inputs is too short.
        """
        needed = 2 ** (halvings - 1) + 1 if halvings else 1
        for axis, size in enumerate(self.inputs[1:], start=1):
            if size < needed:
                raise InvalidDataError(
                    f"inputs {self.inputs} are too small for a network that halves the resolution {halvings} times: "
                    f"axis {axis} must be at least {needed}, got {size}"
                )

    def refuse(self, space: str, *knobs: str) -> None:
        """Check that knobs are None which have no meaning for the networks of a space.

        Raises
        ------
        InvalidDataError
            If one of them is set.
        """
        for knob in knobs:
            if getattr(self, knob) is not None:
                raise InvalidDataError(
                    f"{knob} of a skeleton must be None for networks of space {space!r}, whose architectures fix them, "
                    f"got {getattr(self, knob)}"
                )

    def to_dict(self) -> dict[str, Any]:
        """Return all knobs, JSON-able."""
        return asdict(self) | {"inputs": list(self.inputs)}


def round_channels(channels: float) -> int:
    """Return a number of channels as an integer of at least 1."""
    return max(1, math.floor(channels + 0.5))
