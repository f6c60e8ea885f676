"""`Task`: what networks are trained on and judged by."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidDataError
from ..measures import LOSSES, METRICS

Pair: TypeAlias = tuple[Any, Any]

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True, eq=False)
class Split:
    """Examples: inputs and what is to be said of them.

    Parameters
    ----------
    inputs : float32 array `(n, channels, length)` or `(n, channels, height, width)`
    targets : array `(n,)` of int64 (classes), or `(n, outputs)` of float32
    """

    inputs: NDArray[np.float32]
    targets: NDArray[Any]

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True, eq=False)
class Task:
    """A data set with its three parts kept apart, the loss that is minimised, and the metrics that are recorded.

    Networks learn from `train`; whoever chooses among architectures, epochs or recipes looks at `valid`; `test` is for
    what is reported in the end, and never chooses.

    Parameters
    ----------
    name : str
        Identifies the data: tasks of different data have different names.
    train, valid, test : Split
    outputs : int
        Classes, or numbers to predict.
    loss : str
        `"cross_entropy"`, `"binary_cross_entropy"`, `"mse"` or `"mae"`.
    metrics : tuple of str
        Recorded beside the loss: `"accuracy"`, `"top5_accuracy"`, `"binary_accuracy"`, `"mse"`, `"mae"`.

    Raises
    ------
    InvalidDataError
        If a part is empty, shapes or types disagree between the parts or with the loss, a number is not finite, or a
        class or probability is out of range.
    """

    name: str
    train: Split
    valid: Split
    test: Split
    outputs: int
    loss: str = "cross_entropy"
    metrics: tuple[str, ...] = ("accuracy",)

    def __post_init__(self) -> None:
        if not self.name or any(c.isspace() or c in "/\\@," for c in self.name):
            raise InvalidDataError(f"the name of a task must not hold blanks, '/', '@' or ',', got {self.name!r}")
        if isinstance(self.metrics, str):  # type: ignore[unreachable]
            raise InvalidDataError(f"the metrics of task {self.name!r} must be a list of names, got {self.metrics!r}")
        object.__setattr__(self, "metrics", tuple(self.metrics))
        for what, known, given in (("loss", LOSSES, [self.loss]), ("metric", METRICS, self.metrics)):
            for name in given:
                if name not in known:
                    raise InvalidDataError(
                        f"unknown {what} {name!r} of task {self.name!r}, expected {', '.join(known)}"
                    )
        classes = LOSSES[self.loss].classes
        for name in self.metrics:
            if METRICS[name].classes != classes:
                raise InvalidDataError(f"metric {name!r} of task {self.name!r} does not go with loss {self.loss!r}")
        for name in SPLITS:
            self._check_split(name, getattr(self, name), classes)

    def _check_split(self, name: str, split: Split, classes: bool) -> None:
        where = f"{name} inputs of task {self.name!r}"
        if not len(split):
            raise InvalidDataError(f"expected at least one example in the {where}, got none")
        if split.inputs.ndim not in (3, 4) or split.inputs.shape[1:] != self.train.inputs.shape[1:]:
            raise InvalidDataError(
                f"{where} must have shape (n, channels, length) or (n, channels, height, width), the same in all "
                f"parts, got {split.inputs.shape} beside {self.train.inputs.shape} for training"
            )
        _require_finite(where, split.inputs)
        expected = (len(split),) if classes else (len(split), self.outputs)
        where = f"{name} targets of task {self.name!r}"
        if split.targets.shape != expected:
            raise InvalidDataError(f"{where} must have shape {expected}, got {split.targets.shape}")
        if not classes:
            _require_finite(where, split.targets)
            if self.loss == "binary_cross_entropy" and ((split.targets < 0) | (split.targets > 1)).any():
                position = int(np.argwhere((split.targets < 0) | (split.targets > 1))[0, 0])
                raise InvalidDataError(
                    f"{where} must be in [0, 1] for loss {self.loss!r}, got {split.targets[position]} "
                    f"at position {position}"
                )
        elif split.targets.dtype.kind not in "iu":
            raise InvalidDataError(f"{where} must be classes, integers from 0 on, got {split.targets.dtype}")
        else:
            wrong = (split.targets < 0) | (split.targets >= self.outputs)
            if wrong.any():
                position = int(np.argmax(wrong))
                raise InvalidDataError(
                    f"{where} must be classes in 0..{self.outputs - 1}, got {split.targets[position]} "
                    f"at position {position}"
                )

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(getattr(self, name)):,} {name}" for name in SPLITS)
        return f"<Task {self.name!r}: inputs {self.inputs}, {self.outputs} outputs; {sizes}>"

    @property
    def inputs(self) -> tuple[int, ...]:
        """Shape of one input, channels first."""
        return tuple(int(size) for size in self.train.inputs.shape[1:])

    @cached_property
    def digest(self) -> str:
        """Eight hexadecimal digits that identify the examples."""
        return digest(*(array for name in SPLITS for array in vars(getattr(self, name)).values()))

    def curves(self, *, test: bool = True) -> dict[str, str]:
        """Return the names of the curves of a training with their directions, e.g. `"valid/accuracy": "higher"`."""
        splits = SPLITS if test else SPLITS[:2]
        measures = [("loss", "lower"), *((name, METRICS[name].direction) for name in self.metrics)]
        return {f"{split}/{name}": direction for split in splits for name, direction in measures}


def digest(*arrays: NDArray[Any]) -> str:
    """Return eight hexadecimal digits of the arrays' types, shapes and contents."""
    state = hashlib.sha256()
    for array in arrays:
        state.update(f"{array.dtype.str}{array.shape}".encode())
        state.update(np.ascontiguousarray(array).tobytes())
    return state.hexdigest()[:8]


def _require_finite(where: str, values: NDArray[Any]) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        position = int(np.argwhere(~finite)[0, 0])
        raise InvalidDataError(f"{where} must be finite numbers, got {values[~finite][0]} in example {position}")
