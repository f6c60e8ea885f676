"""CIFAR-10 and CIFAR-100 from the files of the official archives, the python and the binary version.

Krizhevsky, "Learning multiple layers of features from tiny images", 2009: 50,000 training and 10,000 test images of
32x32 pixels in three colours.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...errors import InvalidDataError
from .images import Images, check_seed_and_limit, flat_images, image_task, set_apart
from .reading import FileSet, find_file_set, read_batch, read_bytes
from .task import Task

NASBENCH201 = "nasbench201"
_SHAPE = (3, 32, 32)
_OFFICIAL = (50_000, 10_000)
_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
_CIFAR10 = (
    FileSet("cifar-10-batches-py", _BATCHES, ("test_batch",)),
    FileSet("cifar-10-batches-bin", tuple(f"{name}.bin" for name in _BATCHES), ("test_batch.bin",)),
)
_CIFAR100 = (
    FileSet("cifar-100-python", ("train",), ("test",)),
    FileSet("cifar-100-binary", ("train.bin",), ("test.bin",)),
)


def cifar10(root: str | Path, valid: int | str = 5000, seed: int = 0, limit: int | None = None) -> Task:
    """Return CIFAR-10.

    Parameters
    ----------
    root : path
        The folder into which the archive was unpacked.
    valid : int or "nasbench201"
        How many of the training images are set apart for validation, drawn with `seed`, equally many of each class.
        `"nasbench201"` is half of them, the sizes of Dong and Yang (ICLR 2020): 25,000 each.
    seed : int
    limit : int, optional
        At most so many images of each part, for quick experiments.

    Raises
    ------
    InvalidDataError
        If a file is missing, truncated or not of the format, or a parameter is out of range.
    UnsafeFileError
        If a file asks to run code.
    """
    check_seed_and_limit("cifar10", seed, limit)
    train, test = _read(root, "cifar10", _CIFAR10, "labels", 10)
    official = (len(train), len(test)) == _OFFICIAL
    count = len(train) // 2 if valid == NASBENCH201 else _count(valid)
    kept, learning = set_apart("cifar10", train, count, seed)
    parts = {"train": learning, "valid": kept, "test": test}
    name = _named("cifar10", count, seed, limit)
    return image_task(name, parts, 10, seed=seed, limit=limit, official=official)


def cifar100(root: str | Path, valid: int | str = 5000, seed: int = 0, limit: int | None = None) -> Task:
    """Return CIFAR-100 with its 100 fine classes.

    Parameters
    ----------
    root : path
        The folder into which the archive was unpacked.
    valid : int or "nasbench201"
        How many of the training images are set apart for validation, drawn with `seed`, equally many of each class.
        `"nasbench201"` keeps all for training and halves the test images instead, the sizes of Dong and Yang (ICLR
        2020): 50,000, 5,000 and 5,000.
    seed : int
    limit : int, optional
        At most so many images of each part, for quick experiments.

    Raises
    ------
    InvalidDataError
        If a file is missing, truncated or not of the format, or a parameter is out of range.
    UnsafeFileError
        If a file asks to run code.
    """
    check_seed_and_limit("cifar100", seed, limit)
    train, test = _read(root, "cifar100", _CIFAR100, "fine_labels", 100)
    official = (len(train), len(test)) == _OFFICIAL
    if valid == NASBENCH201:
        kept, test = set_apart("cifar100", test, len(test) // 2, seed)
    else:
        kept, train = set_apart("cifar100", train, _count(valid), seed)
    parts = {"train": train, "valid": kept, "test": test}
    name = _named("cifar100", valid, seed, limit)
    metrics = ("accuracy", "top5_accuracy")
    return image_task(name, parts, 100, seed=seed, limit=limit, metrics=metrics, official=official)


def _count(valid: int | str) -> int:
    if isinstance(valid, str):
        raise InvalidDataError(f"'valid' of CIFAR must be a number of images or {NASBENCH201!r}, got {valid!r}")
    return valid


def _named(name: str, valid: int | str, seed: int, limit: int | None) -> str:
    if valid != 5000:
        name += f"-{valid}" if valid == NASBENCH201 else f"-valid{valid}"
    return name + (f"-seed{seed}" if seed else "") + (f"-limit{limit}" if limit else "")


def _read(
    root: str | Path, task: str, choices: tuple[FileSet, FileSet], entry: str, classes: int
) -> tuple[Images, Images]:
    folder, files = find_file_set(root, task, choices)
    python = files is choices[0]
    label_bytes = 1 if task == "cifar10" else 2

    def read(name: str) -> Images:
        path = folder / name
        if python:
            batch = read_batch(path, ("data", entry))
            return flat_images(path, batch["data"], batch[entry], _SHAPE, 0, classes - 1)
        return _read_binary(path, label_bytes, classes)

    train, test = [Images.concatenated([read(name) for name in names]) for names in (files.train, files.test)]
    return train, test


def _read_binary(path: Path, label_bytes: int, classes: int) -> Images:
    """Return the images of a file of records: bytes of classes, the finest last, then the pixels."""
    content = np.frombuffer(read_bytes(path), dtype=np.uint8)
    record = label_bytes + int(np.prod(_SHAPE))
    if len(content) % record:
        raise InvalidDataError(f"{str(path)!r} must hold records of {record} bytes, got {len(content)} bytes in all")
    records = content.reshape(-1, record)
    return flat_images(path, records[:, label_bytes:], records[:, label_bytes - 1], _SHAPE, 0, classes - 1)
