"""Tasks: data sets with a loss and metrics, by name or from what users have."""

from __future__ import annotations

from typing import Any

from ...registry import Entry, Registry
from .arrays import task_from_arrays, task_from_npz
from .dataset import task_from_dataset
from .task import Split, Task

_HERE = ".trainers.tasks"
TASKS = Registry(
    "task",
    {
        "mnist1d": Entry(f"{_HERE}.mnist1d:mnist1d", "MNIST-1D: generated signals of 40 points, ten classes"),
        "digits": Entry(f"{_HERE}.digits:digits", "scikit-learn's handwritten digits: 8x8 images, ten classes"),
        "cifar10": Entry(f"{_HERE}.cifar:cifar10", "CIFAR-10 from the official files in the folder `root`"),
        "cifar100": Entry(f"{_HERE}.cifar:cifar100", "CIFAR-100 from the official files in the folder `root`"),
        "mnist": Entry(f"{_HERE}.idx:mnist", "MNIST from the official files in the folder `root`"),
        "fashion_mnist": Entry(f"{_HERE}.idx:fashion_mnist", "Fashion-MNIST from the official files in `root`"),
        "imagenet16_120": Entry(
            f"{_HERE}.imagenet16:imagenet16_120", "ImageNet at 16x16 pixels, 120 classes, from the batches in `root`"
        ),
        "folder": Entry(f"{_HERE}.folder:folder", "images in `root`/train/<class>, and perhaps valid and test"),
        "npz": Entry(f"{_HERE}.arrays:task_from_npz", "arrays x_train, y_train ... of the .npz file `path`"),
    },
)
register_task = TASKS.register


def make_task(name: str, /, **parameters: Any) -> Task:
    """Return a task by name.

    Parameters
    ----------
    name : str
        E.g. `"mnist1d"`; `archcast list tasks` shows them all.
    **parameters
        What the task takes, e.g. the folder of its files.

    Raises
    ------
    UnknownNameError
        If there is no such task.
    InvalidDataError
        If it does not take one of the parameters, or its files cannot be read.
    """
    return TASKS.make(Task, name, **parameters)


__all__ = [
    "TASKS",
    "Split",
    "Task",
    "make_task",
    "register_task",
    "task_from_arrays",
    "task_from_dataset",
    "task_from_npz",
]
