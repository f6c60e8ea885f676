"""Reading the header of a table, and refusing files that are none with one sentence."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArchcastError, InvalidDataError, TableFormatError
from ..spaces import SearchSpace, space_from_spec
from .schema import DIRECTIONS, FORMAT, FORMAT_VERSION, TEXT_ATTRIBUTES, MetricInfo

if TYPE_CHECKING:
    import h5py


@dataclass(frozen=True)
class Header:
    """Everything about a table that is known without reading a column.

    Parameters
    ----------
    space : SearchSpace
    length : int
        The number of architectures.
    metrics : dict of str to MetricInfo
        In the order of their names.
    about : dict of str to str
        The text attributes of the file.
    """

    space: SearchSpace
    length: int
    metrics: dict[str, MetricInfo]
    about: dict[str, str]


@contextlib.contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading; what HDF5 has to say about it while it is open becomes a `TableFormatError`."""
    import h5py

    if not path.is_file():
        raise TableFormatError(f"there is no table file {str(path)!r}")
    if not path.stat().st_size:
        raise TableFormatError(f"{str(path)!r} is empty, expected an archcast table (HDF5)")
    if not os.access(path, os.R_OK):
        raise TableFormatError(f"{str(path)!r} may not be read by this user")
    try:
        is_hdf5 = h5py.is_hdf5(path)
        file = h5py.File(path, "r") if is_hdf5 else None
    except OSError as error:
        raise TableFormatError(f"{str(path)!r} cannot be read as HDF5, it may be truncated: {_reason(error)}") from None
    if file is None:
        raise TableFormatError(f"{str(path)!r} is not an HDF5 file, expected an archcast table")
    with file:
        try:
            yield file
        except InvalidDataError as error:  # a description of a metric that contradicts itself
            raise TableFormatError(f"{str(path)!r} is a damaged archcast table: {error}") from None
        except ArchcastError:
            raise
        except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
            raise TableFormatError(f"{str(path)!r} is a damaged archcast table: {_reason(error)}") from None


def _reason(error: BaseException) -> str:
    text = str(error.args[0]) if error.args else type(error).__name__
    return " ".join(text.split()) or type(error).__name__


def read_header(path: Path) -> Header:
    """Return the header of a table file.

    Raises
    ------
    TableFormatError
        If it is missing, empty, truncated, no table, of a newer version, of an unknown space, or if its shapes
        contradict each other.
    """
    with open_hdf5(path) as file:
        name = str(path)
        if _text(file, "format") != FORMAT:
            raise TableFormatError(f"{name!r} is an HDF5 file but not an archcast table: it has no format mark")
        version = int(file.attrs.get("format_version", 0))
        if not 1 <= version <= FORMAT_VERSION:
            raise TableFormatError(
                f"{name!r} has table format version {version}, this archcast reads up to {FORMAT_VERSION}; update it"
            )
        space = _space(name, _text(file, "space"))
        genotypes = _dataset(name, file, "genotypes")
        if genotypes.ndim != 2 or genotypes.shape[1] != space.dimension or genotypes.dtype.kind not in "iu":
            raise TableFormatError(
                f"{name!r} has genotypes of shape {genotypes.shape} and type {genotypes.dtype}, expected "
                f"(n, {space.dimension}) integers for space {space.name!r}"
            )
        length = int(genotypes.shape[0])
        metrics = {info.name: info for info in _metrics(name, file, length)}
        if not metrics:
            raise TableFormatError(f"{name!r} is an archcast table without metrics")
        about = {key: _text(file, key) for key in TEXT_ATTRIBUTES}
        if about["cost_metric"] and about["cost_metric"] not in metrics:
            raise TableFormatError(f"{name!r} counts costs by {about['cost_metric']!r}, which is none of its metrics")
        return Header(space, length, metrics, about)


def _text(node: h5py.HLObject, key: str) -> str:
    value = node.attrs.get(key, b"")
    if isinstance(value, bytes):
        return value.decode()
    return str(value)


def _space(name: str, text: str) -> SearchSpace:
    try:
        spec = json.loads(text)
        if not isinstance(spec, dict):
            raise TypeError("not a JSON object")
        return space_from_spec(spec)
    except (ValueError, TypeError, ArchcastError) as error:
        raise TableFormatError(f"{name!r} describes no search space known here: {error}") from None


def _dataset(name: str, file: h5py.File, key: str) -> h5py.Dataset:
    import h5py

    node = file.get(key)
    if not isinstance(node, h5py.Dataset):
        raise TableFormatError(f"{name!r} is an archcast table without {key!r}")
    return node


def _metrics(name: str, file: h5py.File, length: int) -> Iterator[MetricInfo]:
    import h5py

    root = file.get("metrics")
    for dataset_name, group in root.items() if isinstance(root, h5py.Group) else ():
        for metric_name, node in group.items() if isinstance(group, h5py.Group) else ():
            metric = f"{dataset_name}/{metric_name}"
            direction = _text(node, "direction")
            if direction not in DIRECTIONS:
                raise TableFormatError(
                    f"metric {metric!r} of {name!r} has direction {direction!r}, expected 'higher' or 'lower'"
                )
            info = MetricInfo(
                metric,
                unit=_text(node, "unit"),
                direction=direction,
                note=_text(node, "note"),
                epochs=_integers(node, "epochs"),
                seeds=_integers(node, "seeds"),
            )
            shape = (length, *info.shape)
            if not isinstance(node, h5py.Dataset) or node.dtype.kind != "f" or node.shape != shape:
                raise TableFormatError(
                    f"metric {metric!r} of {name!r} must hold {shape} floats (architecture, seed, epoch), got "
                    f"{getattr(node, 'shape', None)} of type {getattr(node, 'dtype', None)}"
                )
            yield info


def _integers(node: h5py.HLObject, key: str) -> tuple[int, ...]:
    values: Any = node.attrs.get(key, ())
    return tuple(int(value) for value in np.ravel(values))
