"""Where networks run: the lazy import of PyTorch, its device, and its number of threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .errors import InvalidDataError
from .optional import require

if TYPE_CHECKING:
    import torch


def require_torch(purpose: str = "a neural network", extra: str = "neural") -> Any:
    """Return the module `torch`.

    Parameters
    ----------
    purpose, extra : str
        See `archcast.optional.require`.

    Raises
    ------
    MissingDependencyError
        If it is not installed.
    """
    return require("torch", purpose, extra)


def torch_device(name: str, *, double: bool = False) -> torch.device:
    """Return the device of that name; `"auto"` is the fastest there is.

    Parameters
    ----------
    name : str
        `"auto"`, `"cuda"`, `"cuda:1"`, `"mps"` or `"cpu"`.
    double : bool
        Whether it must compute in double precision, which `"mps"` does not.

    Raises
    ------
    InvalidDataError
        If there is no such device here.
    """
    torch = require_torch()
    there = ["cpu"]
    if torch.backends.mps.is_available() and not double:
        there.append("mps")
    if torch.cuda.is_available():
        there += ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if name == "auto":
        name = next(kind for kind in ("cuda", "mps", "cpu") if kind in there)
    if name not in there:
        raise InvalidDataError(f"device must be auto or one of {', '.join(there)}, got {name!r}")
    return torch.device(name)  # type: ignore[no-any-return]


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
