"""The handwritten digits that come with scikit-learn: 1,797 images of 8x8 grey pixels (Alpaydin and Kaynak, 1998)."""

from __future__ import annotations

import numpy as np

from ...errors import InvalidDataError
from .images import Images, evenly_drawn, image_task
from .task import Task

EXAMPLES = 1797
_STANDARD = {"train": 1000, "valid": 297, "test": 500, "seed": 0}


def digits(train: int = 1000, valid: int = 297, test: int = 500, seed: int = 0) -> Task:
    """Return scikit-learn's digits, images 1x8x8 of ten classes.

    Parameters
    ----------
    train, valid, test : int
        How many images, drawn with `seed`, in equal shares of the classes; at most 1,797 in all.
    seed : int

    Raises
    ------
    InvalidDataError
        If a number is not a positive integer, the seed negative, or there are not so many images.
    """
    from sklearn.datasets import load_digits

    chosen = {"train": train, "valid": valid, "test": test, "seed": seed}
    for name, value in chosen.items():
        least = 0 if name == "seed" else 1
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InvalidDataError(f"{name!r} of digits must be an integer of at least {least}, got {value!r}")
    if train + valid + test > EXAMPLES:
        raise InvalidDataError(f"there are {EXAMPLES} digits, got {train} + {valid} + {test} = {train + valid + test}")
    data = load_digits()
    images = Images(data.images.astype(np.uint8)[:, None], data.target.astype(np.int64))
    order = evenly_drawn(images.classes, seed, 0)
    first, second, third, _ = np.split(order, np.cumsum([test, valid, train]))
    parts = {"train": images[third], "valid": images[second], "test": images[first]}
    changed = "".join(f"-{name}{value}" for name, value in chosen.items() if value != _STANDARD[name])
    return image_task(f"digits{changed}", parts, 10)
