"""ImageNet16-120 from the official pickled batches of ImageNet at 16x16 pixels.

Chrabaszcz, Loshchilov and Hutter, "A downsampled variant of ImageNet as an alternative to the CIFAR datasets", 2017;
the first 120 classes are those of NAS-Bench-201 (Dong and Yang, ICLR 2020): 151,700 training images, and 6,000 others
that are halved into validation and test.
"""

from __future__ import annotations

from pathlib import Path

from .images import Images, check_seed_and_limit, flat_images, image_task, set_apart
from .reading import FileSet, find_file_set, read_batch
from .task import Task

CLASSES = 120
_ALL_CLASSES = 1000
_SHAPE = (3, 16, 16)
_OFFICIAL = (151_700, 6_000)
_FILES = FileSet("ImageNet16", tuple(f"train_data_batch_{number}" for number in range(1, 11)), ("val_data",))


def imagenet16_120(root: str | Path, seed: int = 0, limit: int | None = None) -> Task:
    """Return ImageNet16-120.

    Parameters
    ----------
    root : path
        The folder with `train_data_batch_1` to `train_data_batch_10` and `val_data`, or the one that holds it as
        `ImageNet16`.
    seed : int
        Of the halves into which the images of `val_data` are divided, equally many of each class: the published sizes,
        3,000 each, not the published list.
    limit : int, optional
        At most so many images of each part, for quick experiments.

    Raises
    ------
    InvalidDataError
        If a file is missing, truncated or not of the format, or a parameter is out of range.
    UnsafeFileError
        If a file asks to run code.
    """
    check_seed_and_limit("imagenet16_120", seed, limit)
    folder, files = find_file_set(root, "imagenet16_120", [_FILES])
    train, others = [
        Images.concatenated([_read(folder / name) for name in names]) for names in (files.train, files.test)
    ]
    official = (len(train), len(others)) == _OFFICIAL
    valid, test = set_apart("imagenet16_120", others, len(others) // 2, seed)
    changed = (f"-seed{seed}" if seed else "") + (f"-limit{limit}" if limit else "")
    parts = {"train": train, "valid": valid, "test": test}
    metrics = ("accuracy", "top5_accuracy")
    name = f"imagenet16_120{changed}"
    return image_task(name, parts, CLASSES, seed=seed, limit=limit, metrics=metrics, official=official)


def _read(path: Path) -> Images:
    batch = read_batch(path, ("data", "labels"))
    images = flat_images(path, batch["data"], batch["labels"], _SHAPE, 1, _ALL_CLASSES)
    return images[images.classes < CLASSES]
