"""Tasks from arrays that users have, in memory or in an `.npz` file."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidDataError
from ..measures import LOSSES
from .task import Pair, Split, Task, digest

VALID_AND_TEST_SHARE = 0.2
"""Of the training examples, what is set apart for each of the two parts where it is missing."""

_ZIP_MAGIC = b"PK"
_UNREADABLE = (ValueError, EOFError, KeyError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)
"""What NumPy raises for damaged files: archives cut short, headers that lie, arrays of Python objects."""


def task_from_arrays(
    name: str,
    train: Pair,
    valid: Pair | None = None,
    test: Pair | None = None,
    *,
    loss: str = "cross_entropy",
    metrics: tuple[str, ...] | None = None,
    seed: int = 0,
) -> Task:
    """Return a task from arrays.

    Parameters
    ----------
    name : str
        A digest of the data is appended, so that a task of other data has another name.
    train : pair of arrays
        Inputs `(n, length)`, `(n, channels, length)` or `(n, channels, height, width)`, and targets: classes `(n,)`
        as integers from 0 on, or numbers `(n,)` or `(n, outputs)`.
    valid, test : pair of arrays, optional
        Where one is missing, a fifth of the training examples, drawn with `seed`, is set apart for it.
    loss : str
        As of `Task`.
    metrics : tuple of str, optional
        By default the accuracy for classes, none for numbers.
    seed : int
        Of the split.

    Raises
    ------
    InvalidDataError
        If the arrays do not fit together or hold what is no number.

    Examples
    --------
    >>> import numpy as np
    >>> signals, classes = np.random.default_rng(0).normal(size=(50, 32)), np.arange(50) % 2
    >>> task_from_arrays("mine", (signals, classes)).inputs
    (1, 32)
    """
    if loss not in LOSSES:
        raise InvalidDataError(f"unknown loss {loss!r}, expected {', '.join(LOSSES)}")
    classes = LOSSES[loss].classes
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise InvalidDataError(f"the seed of a split must be an integer from 0 on, got {seed!r}")
    parts: dict[str, Split | None] = {
        part: None if pair is None else _split(f"{part} data of {name!r}", pair, classes)
        for part, pair in (("train", train), ("valid", valid), ("test", test))
    }
    whole = parts["train"]
    if whole is None:
        raise InvalidDataError(f"the train data of {name!r} must be a pair of inputs and targets, got None")
    missing = [part for part in ("valid", "test") if parts[part] is None]
    order = np.random.default_rng(seed).permutation(len(whole)) if missing else np.arange(len(whole))
    start = 0
    for part in missing:
        stop = start + max(1, round(VALID_AND_TEST_SHARE * len(whole)))
        parts[part] = Split(whole.inputs[order[start:stop]], whole.targets[order[start:stop]])
        start = stop
    learning = Split(whole.inputs[order[start:]], whole.targets[order[start:]]) if missing else whole
    valid_part, test_part = parts["valid"], parts["test"]
    assert valid_part is not None and test_part is not None
    splits = (learning, valid_part, test_part)
    outputs = max(int(part.targets.max(initial=0)) for part in splits) + 1 if classes else whole.targets.shape[1]
    identity = digest(*(array for part in splits for array in (part.inputs, part.targets)))
    chosen = metrics if metrics is not None else (("accuracy",) if classes else ())
    return Task(f"{name}-{identity}", *splits, outputs=outputs, loss=loss, metrics=chosen)


def task_from_npz(path: str | Path, *, loss: str = "cross_entropy", seed: int = 0) -> Task:
    """Return a task from an `.npz` file with `x_train` and `y_train`, and perhaps `x_valid`, `y_valid`, `x_test` ...

    Arrays of Python objects are refused: nothing is unpickled.

    Raises
    ------
    InvalidDataError
        If the file cannot be read, or lacks an array.
    """
    try:
        with Path(path).open("rb") as start:
            if start.read(len(_ZIP_MAGIC)) != _ZIP_MAGIC:
                raise InvalidDataError(f"{str(path)!r} is no .npz file, which is an archive of arrays")
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except OSError as error:
        raise InvalidDataError(f"cannot read arrays from {str(path)!r}: {error.strerror or error}") from None
    except InvalidDataError:
        raise
    except _UNREADABLE as error:
        raise InvalidDataError(f"cannot read arrays from {str(path)!r}: {error or type(error).__name__}") from None
    pairs: dict[str, Pair] = {}
    for part in ("train", "valid", "test"):
        found = [name in arrays for name in (f"x_{part}", f"y_{part}")]
        if any(found) != all(found) or (part == "train" and not all(found)):
            lacking = f"x_{part}" if not found[0] else f"y_{part}"
            raise InvalidDataError(f"{str(path)!r} has no array {lacking!r}, it has {', '.join(arrays) or 'none'}")
        if all(found):
            pairs[part] = (arrays[f"x_{part}"], arrays[f"y_{part}"])
    return task_from_arrays(
        speakable(Path(path).stem), pairs["train"], pairs.get("valid"), pairs.get("test"), loss=loss, seed=seed
    )


def speakable(name: str) -> str:
    """Return the name of a file or folder without what names of tasks must not hold."""
    return "".join("_" if c.isspace() or c in "/\\@," else c for c in name) or "data"


def _split(where: str, pair: Any, classes: bool) -> Split:
    try:
        inputs, targets = pair
    except (TypeError, ValueError):
        raise InvalidDataError(f"the {where} must be a pair of inputs and targets, got {type(pair).__name__}") from None
    with np.errstate(over="ignore"):  # what becomes infinite is refused by the task
        features = _numbers(f"inputs of the {where}", inputs).astype(np.float32)
    if features.ndim == 2:
        features = features[:, None]
    labels = _numbers(f"targets of the {where}", targets)
    if classes:
        broken = ~np.isfinite(labels) | (labels != np.floor(labels))
        if broken.any():
            position = int(np.argwhere(np.atleast_1d(broken))[0, 0])
            raise InvalidDataError(
                f"targets of the {where} must be classes, integers from 0 on, got {labels[broken][0]} "
                f"at position {position}"
            )
        labels = labels.astype(np.int64)
    else:
        with np.errstate(over="ignore"):
            labels = labels.astype(np.float32)
        labels = labels[:, None] if labels.ndim == 1 else labels
    if features.ndim < 3 or labels.ndim < 1 or len(labels) != len(features):
        raise InvalidDataError(
            f"the {where} must be as many inputs (n, length), (n, channels, length) or (n, channels, height, width) "
            f"as targets, got shapes {np.shape(inputs)} and {np.shape(targets)}"
        )
    return Split(features, labels)


def _numbers(where: str, values: Any) -> NDArray[Any]:
    try:
        array = np.asarray(values)
    except ValueError:
        raise InvalidDataError(f"{where} must have one shape, got rows of different lengths") from None
    if array.dtype.kind not in "iufb":
        raise InvalidDataError(f"{where} must be numbers, got {array.dtype}")
    return array
