"""Where networks run: the lazy import of PyTorch, its device, and its number of threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ...errors import InvalidDataError, MissingDependencyError

if TYPE_CHECKING:
    import torch


def require_torch() -> Any:
    """Return the module `torch`.

    Raises
    ------
    MissingDependencyError
        If it is not installed.
    """
    try:
        import torch
    except ImportError:
        raise MissingDependencyError("graph networks need PyTorch: pip install 'archcast[neural]'") from None
    return torch


def torch_device(name: str) -> torch.device:
    """Return the device of that name; `"auto"` is a GPU if there is one, and the processor otherwise.

    Raises
    ------
    InvalidDataError
        If there is no such device here.
    """
    require_torch()
    import torch

    there = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    if name == "auto":
        name = there[-1]
    if not isinstance(name, str) or name.partition(":")[0] not in there:
        raise InvalidDataError(f"device must be auto or one of {', '.join(there)}, got {name!r}")
    return torch.device(name)


@contextmanager
def limited_threads(number: int) -> Iterator[None]:
    """Let PyTorch compute on so many threads inside the block, and on as many as before after it."""
    torch = require_torch()
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
