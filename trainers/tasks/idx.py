"""MNIST and Fashion-MNIST from their official IDX files, compressed or not.

LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998; Xiao, Rasul and
Vollgraf, "Fashion-MNIST", 2017: 60,000 training and 10,000 test images of 28x28 grey pixels, ten classes.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidDataError
from .images import Images, check_seed_and_limit, flat_images, image_task, set_apart
from .reading import existing_folder, find_file, read_bytes
from .task import Task

_OFFICIAL = ((60_000, 1, 28, 28), (10_000, 1, 28, 28))
_CLASSES = 10
_BYTES = 8
"""The code of IDX for unsigned bytes."""


def mnist(root: str | Path, valid: int = 10_000, seed: int = 0, limit: int | None = None) -> Task:
    """Return MNIST.

    Parameters
    ----------
    root : path
        The folder with the four files, `train-images-idx3-ubyte` and so on, with or without `.gz`; its folders `raw`
        and `MNIST/raw` are looked into as well.
    valid : int
        How many of the training images are set apart for validation, drawn with `seed`, in equal shares of the classes.
    seed : int
    limit : int, optional
        At most so many images of each part, for quick experiments.

    Raises
    ------
    InvalidDataError
        If a file is missing, truncated or not of the format, or a parameter is out of range.
    """
    return _task("mnist", "MNIST", root, valid, seed, limit)


def fashion_mnist(root: str | Path, valid: int = 10_000, seed: int = 0, limit: int | None = None) -> Task:
    """Return Fashion-MNIST, whose files have the names of MNIST's.

    Parameters
    ----------
    root : path
        The folder with the four files, `train-images-idx3-ubyte` and so on, with or without `.gz`; its folders `raw`
        and `FashionMNIST/raw` are looked into as well.
    valid, seed, limit : int
        As of `mnist`.

    Raises
    ------
    InvalidDataError
        If a file is missing, truncated or not of the format, or a parameter is out of range.
    """
    return _task("fashion_mnist", "FashionMNIST", root, valid, seed, limit)


def _task(name: str, folder: str, root: str | Path, valid: int, seed: int, limit: int | None) -> Task:
    check_seed_and_limit(name, seed, limit)
    top = existing_folder(root, name)
    folders = ("", "raw", f"{folder}/raw")
    train, test = [_read(top, name, folders, prefix) for prefix in ("train", "t10k")]
    official = (train.pixels.shape, test.pixels.shape) == _OFFICIAL
    kept, learning = set_apart(name, train, valid, seed)
    changed = f"-valid{valid}" if valid != 10_000 else ""
    changed += (f"-seed{seed}" if seed else "") + (f"-limit{limit}" if limit else "")
    parts = {"train": learning, "valid": kept, "test": test}
    return image_task(f"{name}{changed}", parts, _CLASSES, seed=seed, limit=limit, official=official)


def _read(root: Path, task: str, folders: tuple[str, ...], prefix: str) -> Images:
    paths, arrays = [], []
    for kind, axes in (("images", 3), ("labels", 1)):
        stems = (f"{prefix}-{kind}-idx{axes}-ubyte", f"{prefix}-{kind}.idx{axes}-ubyte")
        paths.append(find_file(root, task, folders, [stem + ending for stem in stems for ending in ("", ".gz")]))
        arrays.append(read_idx(paths[-1], axes))
    images, labels = arrays
    if len(images) != len(labels):
        raise InvalidDataError(
            f"{str(paths[0])!r} holds {len(images)} images, and {str(paths[1])!r} {len(labels)} classes"
        )
    _, height, width = images.shape
    return flat_images(paths[1], images.reshape(len(images), -1), labels, (1, height, width), 0, _CLASSES - 1)


def read_idx(path: Path, axes: int) -> NDArray[Any]:
    """Return the bytes of an IDX file, an array of so many axes.

    Raises
    ------
    InvalidDataError
        If it is another kind of file, or has more or fewer bytes than its header says.
    """
    content = read_bytes(path)
    magic, start = bytes([0, 0, _BYTES, axes]), 4 + 4 * axes
    if not content.startswith(magic):
        raise InvalidDataError(
            f"{str(path)!r} must start with {magic.hex()}, the mark of IDX files of bytes with "
            f"{axes} {'axis' if axes == 1 else 'axes'}, got {content[:4].hex()}"
        )
    shape = tuple(int.from_bytes(content[place : place + 4], "big") for place in range(4, start, 4))
    if len(content) != start + math.prod(shape) or not all(shape):
        raise InvalidDataError(
            f"{str(path)!r} must hold {start + math.prod(shape)} bytes for an array of shape {shape}, "
            f"got {len(content)}"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)
