"""Tasks from data sets of PyTorch: anything with a length whose items are pairs of an input and a target."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidDataError
from .arrays import task_from_arrays
from .task import Pair, Task


def task_from_dataset(
    name: str,
    train: Any,
    valid: Any | None = None,
    test: Any | None = None,
    *,
    loss: str = "cross_entropy",
    metrics: tuple[str, ...] | None = None,
    seed: int = 0,
    limit: int | None = None,
) -> Task:
    """Return a task from map-style data sets, every item of which is read once.

    Transforms are applied as the items are read; what is random in a training belongs into its recipe.

    Parameters
    ----------
    name : str
        A digest of the data is appended.
    train : torch.utils.data.Dataset
        Items are pairs of an input, `(length,)`, `(channels, length)` or `(channels, height, width)`, all of one shape,
        and a target: a class from 0 on, a number, or numbers `(outputs,)`.
    valid, test : torch.utils.data.Dataset, optional
        Where one is missing, a fifth of the training examples, drawn with `seed`, is set apart for it.
    loss, metrics, seed
        As of `task_from_arrays`.
    limit : int, optional
        At most so many items of each data set, drawn with `seed`; the others are not read.

    Raises
    ------
    InvalidDataError
        If a data set has no length or no items, an item cannot be read, is no such pair or has another shape than the
        first; the message names its position.

    Examples
    --------
    >>> import torch
    >>> signals, classes = torch.randn(50, 1, 32, generator=torch.Generator().manual_seed(0)), torch.arange(50) % 2
    >>> task_from_dataset("mine", torch.utils.data.TensorDataset(signals, classes)).inputs
    (1, 32)
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise InvalidDataError(f"the seed of a split must be an integer from 0 on, got {seed!r}")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise InvalidDataError(f"the limit of items must be an integer of at least 1, got {limit!r}")
    pairs: list[Pair | None] = [
        None if data is None and stream else _read(f"{part} data of {name!r}", data, limit, (seed, stream))
        for stream, (part, data) in enumerate((("train", train), ("valid", valid), ("test", test)))
    ]
    first = pairs[0]
    assert first is not None
    return task_from_arrays(name, first, *pairs[1:], loss=loss, metrics=metrics, seed=seed)


def _read(where: str, data: Any, limit: int | None, seed: tuple[int, int]) -> Pair:
    try:
        count = len(data)
    except (TypeError, NotImplementedError):
        raise InvalidDataError(
            f"the {where} must be a data set with a length and items, got {type(data).__name__}"
        ) from None
    if not count:
        raise InvalidDataError(f"expected at least one item in the {where}, got none")
    rows = np.arange(count)
    if limit is not None and limit < count:
        rows = np.sort(np.random.default_rng(seed).permutation(count)[:limit])
    columns: list[NDArray[Any]] = []
    for number, row in enumerate(rows.tolist()):
        item = _item(where, data, row)
        if not columns:
            columns = [np.empty((len(rows), *part.shape), dtype=part.dtype) for part in item]
        for index, (what, part) in enumerate(zip(("input", "target"), item, strict=True)):
            if part.shape != columns[index].shape[1:]:
                raise InvalidDataError(
                    f"the {what} of item {row} of the {where} must have shape {columns[index].shape[1:]} like the "
                    f"first, got {part.shape}"
                )
            if not np.can_cast(part.dtype, columns[index].dtype):
                columns[index] = columns[index].astype(np.promote_types(columns[index].dtype, part.dtype))
            columns[index][number] = part
    return columns[0], columns[1]


def _item(where: str, data: Any, row: int) -> tuple[NDArray[Any], NDArray[Any]]:
    try:
        item = data[row]
    except Exception as error:  # whatever the code of the data set raises
        raise InvalidDataError(f"item {row} of the {where} cannot be read: {type(error).__name__}: {error}") from error
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        raise InvalidDataError(f"item {row} of the {where} must be a pair of an input and a target, got {item!r:.80}")
    arrays = []
    for what, value in zip(("input", "target"), item, strict=True):
        try:
            array = np.asarray(value.numpy(force=True) if hasattr(value, "numpy") else value)
        except (TypeError, ValueError, RuntimeError):
            array = np.array(None)
        if hasattr(value, "getbands") or array.dtype.kind not in "iufb":
            raise InvalidDataError(
                f"the {what} of item {row} of the {where} must be a tensor, an array or a number, "
                f"got {type(value).__name__}{f' of {value.dtype}' if hasattr(value, 'dtype') else ''}"
            )
        arrays.append(array)
    return arrays[0], arrays[1]
