"""Packages that not everyone installs: imported where they are used, and asked for by name where they are missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

from .errors import MissingDependencyError


def require(module: str, purpose: str, extra: str | None = None) -> ModuleType:
    """Import and return a module.

    Parameters
    ----------
    module : str
        Such as `"optuna"` or `"pyarrow.parquet"`; the package is what stands before the first dot.
    purpose : str
        What needs it, the subject of the sentence: `"a live study"`.
    extra : str, optional
        The extra of archcast that installs it; the package itself by default.

    Raises
    ------
    MissingDependencyError
        If it is not installed.
    """
    with requiring(module.partition(".")[0], purpose, extra):
        return import_module(module)


@contextmanager
def requiring(package: str, purpose: str, extra: str | None = None) -> Iterator[None]:
    """Raise MissingDependencyError, as `require` does, where an import in the block fails."""
    try:
        yield
    except ImportError as error:
        raise missing(package, purpose, extra) from error


def missing(package: str, purpose: str, extra: str | None = None) -> MissingDependencyError:
    """Return the error that names a missing package, what needs it, and how to install it."""
    wanted = package if extra is None else f"'archcast[{extra}]'"
    return MissingDependencyError(f"{purpose} needs the package {package}: pip install {wanted}")
