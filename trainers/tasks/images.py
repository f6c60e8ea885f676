"""Tasks of images kept in bytes: parts drawn with a seed, pixels standardised by those of the training part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidDataError
from .task import SPLITS, Split, Task, digest

_COUNTED_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class Images:
    """Images and their classes.

    Parameters
    ----------
    pixels : uint8 array `(n, channels, height, width)`
    classes : int64 array `(n,)`
    """

    pixels: NDArray[np.uint8]
    classes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, rows: Any) -> Images:
        return Images(self.pixels[rows], self.classes[rows])

    @classmethod
    def concatenated(cls, parts: Sequence[Images]) -> Images:
        """Return the images of all parts, one part after the other."""
        return cls(np.concatenate([part.pixels for part in parts]), np.concatenate([part.classes for part in parts]))


def flat_images(path: Path, pixels: Any, classes: Any, shape: tuple[int, int, int], least: int, most: int) -> Images:
    """Return images from rows of bytes, one channel after the other, and classes from `least` to `most` as 0, 1 ...

    Raises
    ------
    InvalidDataError
        If the bytes have another size, there are not as many classes as images, or a class is out of range; the
        message names the file.
    """
    size = int(np.prod(shape))
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != (size,):
        got = f"{pixels.dtype} {pixels.shape}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise InvalidDataError(f"the images of {str(path)!r} must be uint8 (n, {size}), got {got}")
    labels = np.asarray(classes) if _flat_integers(classes) else None
    if labels is None or labels.ndim != 1 or labels.dtype.kind not in "iu":
        got = f"{classes.dtype} {classes.shape}" if isinstance(classes, np.ndarray) else f"{classes!r:.80}"
        raise InvalidDataError(f"the classes of {str(path)!r} must be a list of integers, got {got}")
    if len(labels) != len(pixels):
        raise InvalidDataError(f"{str(path)!r} holds {len(pixels)} images and {len(labels)} classes")
    wrong = (labels < least) | (labels > most)
    if wrong.any():
        position = int(np.argmax(wrong))
        raise InvalidDataError(
            f"the classes of {str(path)!r} must be in {least}..{most}, got {labels[position]} at position {position}"
        )
    return Images(pixels.reshape(-1, *shape), labels.astype(np.int64) - least)


def _flat_integers(values: Any) -> bool:
    if isinstance(values, np.ndarray):
        return True
    return isinstance(values, (list, tuple)) and all(type(x) is int or isinstance(x, np.integer) for x in values)


def check_seed_and_limit(task: str, seed: int, limit: int | None) -> None:
    """Check the parameters that all image tasks have.

    Raises
    ------
    InvalidDataError
        If the seed is no integer from 0 on, or the limit none from 1 on.
    """
    for name, value, least in (("seed", seed, 0), ("limit", limit, 1)):
        if value is None and name == "limit":
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InvalidDataError(f"{name!r} of task {task!r} must be an integer of at least {least}, got {value!r}")


def check_limit_for(task: str, limit: int, classes: int) -> None:
    """Check that one image of each class is within the limit.

    Raises
    ------
    InvalidDataError
        If it is not.
    """
    if limit < classes:
        raise InvalidDataError(
            f"'limit' of task {task!r} must be at least {classes}, one image of each class, got {limit}"
        )


def evenly_drawn(classes: NDArray[np.int64], seed: int, stream: int) -> NDArray[np.intp]:
    """Return all positions in random order, every beginning of which has nearly the same shares of the classes.

    The first of each class come before all others.

    Parameters
    ----------
    classes : int64 array `(n,)`
    seed : int
    stream : int
        Draws of different streams are independent.
    """
    order = np.random.default_rng((seed, stream)).permutation(len(classes))
    of_class = np.argsort(classes[order], kind="stable")
    counts = np.bincount(classes)
    starts = np.cumsum(counts) - counts
    grouped = classes[order][of_class]
    place = np.empty(len(classes))
    place[of_class] = (np.arange(len(classes)) - starts[grouped]) / counts[grouped]
    result: NDArray[np.intp] = order[np.argsort(place, kind="stable")]
    return result


def set_apart(task: str, images: Images, count: int, seed: int) -> tuple[Images, Images]:
    """Return `count` images, drawn evenly over the classes, and the others.

    Raises
    ------
    InvalidDataError
        If `count` is no integer that leaves at least one image on both sides.
    """
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count < len(images):
        raise InvalidDataError(
            f"'valid' of task {task!r} must be an integer from 1 to {len(images) - 1}, got {count!r}"
        )
    order = evenly_drawn(images.classes, seed, 0)
    return images[np.sort(order[:count])], images[np.sort(order[count:])]


def image_task(
    name: str,
    parts: Mapping[str, Images],
    outputs: int,
    *,
    seed: int = 0,
    limit: int | None = None,
    metrics: tuple[str, ...] = ("accuracy",),
    official: bool = True,
) -> Task:
    """Return a task whose pixels have mean 0 and standard deviation 1 in each channel of the training part.

    Parameters
    ----------
    name : str
    parts : mapping of `"train"`, `"valid"` and `"test"` to Images
    outputs : int
        Classes.
    seed, limit : int, optional
        Of each part at most `limit` images are kept, drawn evenly over the classes.
    metrics : tuple of str
        As of `Task`.
    official : bool
        Whether the images are those that the name stands for; otherwise their digest is appended.

    Raises
    ------
    InvalidDataError
        If there is no training image of some class.
    """
    present = np.bincount(parts["train"].classes, minlength=outputs)
    if not present.all():
        raise InvalidDataError(
            f"task {name!r} has {outputs} classes, and no training image of class {int(np.argmin(present))}"
        )
    kept = dict(parts)
    if limit is not None:
        check_limit_for(name, limit, outputs)
        for stream, part in enumerate(SPLITS, start=1):
            chosen = evenly_drawn(parts[part].classes, seed, stream)[:limit]
            kept[part] = parts[part][np.sort(chosen)]
    if not official:
        name += "-" + digest(*(array for part in SPLITS for array in (kept[part].pixels, kept[part].classes)))
    table = _standard_values(kept["train"].pixels)
    train, valid, test = [Split(_looked_up(table, kept[part].pixels), kept[part].classes) for part in SPLITS]
    return Task(name, train, valid, test, outputs=outputs, metrics=metrics)


def _standard_values(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what stands for each byte in each channel `(channels, 256)`, the same to the last bit on every machine."""
    table = np.empty((pixels.shape[1], 256), dtype=np.float32)
    levels = np.arange(256)
    for channel in range(pixels.shape[1]):
        counts = np.zeros(256, dtype=np.int64)
        for start in range(0, len(pixels), _COUNTED_AT_ONCE):
            counts += np.bincount(pixels[start : start + _COUNTED_AT_ONCE, channel].ravel(), minlength=256)
        total, first, second = (int(counts @ levels**power) for power in range(3))
        spread = (total * second - first**2) ** 0.5 / total
        table[channel] = (levels - first / total) / (spread or 1.0)
    return table


def _looked_up(table: NDArray[np.float32], pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    values = np.empty(pixels.shape, dtype=np.float32)
    for channel, row in enumerate(table):
        values[:, channel] = row[pixels[:, channel]]
    return values
