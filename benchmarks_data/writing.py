"""Writing a table: checked, atomic, and the same bytes for the same content."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError
from ..files import replacing
from ..spaces import ArchitecturesLike, SearchSpace
from ..spaces.hashing import row_keys
from .schema import FORMAT, FORMAT_VERSION, LARGE, TEXT_ATTRIBUTES, Column

if TYPE_CHECKING:
    import h5py


MAX_CHUNK = 1 << 20
"""Values in one compressed piece of a column."""


def write_table(
    path: str | Path,
    space: SearchSpace,
    architectures: ArchitecturesLike,
    columns: Sequence[Column],
    *,
    about: Mapping[str, str] | None = None,
) -> Path:
    """Write a benchmark table.

    The file appears under its name only once it is complete; the same content gives the same bytes (with the same
    HDF5 and zlib versions).

    Parameters
    ----------
    path : str or Path
        Where to; an existing file is replaced.
    space : SearchSpace
    architectures : Architectures, or native notations
        Distinct ones.
    columns : sequence of Column
        At least one.
    about : mapping of str to str, optional
        `name`, `description`, `source`, `licence`, `citation`, `conversion`, and `cost_metric`: the name of the column
        that counts the seconds of one training.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InvalidArchitectureError
        If an architecture is not valid.
    InvalidDataError
        If architectures repeat, columns repeat or do not fit, a value is infinite, or `about` has other keys.
    """
    batch = space.architectures(architectures)
    genotypes = batch.genotypes
    space._check(genotypes)
    keys = row_keys(genotypes)
    order = np.argsort(keys, kind="stable")
    _refuse_duplicates(space, genotypes, keys, order)
    names = [column.info.name for column in columns]
    if not names or len(set(names)) != len(names):
        raise InvalidDataError(f"a table needs at least one metric, and distinct ones, got {names}")
    texts = dict.fromkeys(TEXT_ATTRIBUTES, "") | dict(about or {})
    if set(texts) != set(TEXT_ATTRIBUTES):
        raise InvalidDataError(f"a table is described by {', '.join(TEXT_ATTRIBUTES)}, got {sorted(about or {})}")
    if texts["cost_metric"] and texts["cost_metric"] not in names:
        raise InvalidDataError(f"cost_metric {texts['cost_metric']!r} is none of the metrics {', '.join(names)}")
    stored = [column.stored(len(genotypes)) for column in columns]

    target = Path(path)
    with replacing(target) as temporary:
        _write(temporary, space, genotypes, keys[order], order, columns, stored, texts)
    return target


def _refuse_duplicates(
    space: SearchSpace, genotypes: NDArray[Any], keys: NDArray[np.uint64], order: NDArray[np.intp]
) -> None:
    if not len(genotypes):
        raise InvalidDataError("a table needs at least one architecture, got none")
    twice = np.flatnonzero(keys[order][1:] == keys[order][:-1])
    if len(twice):
        first, second = sorted(order[twice[0] : twice[0] + 2].tolist())
        text = space.format(genotypes[first : first + 1])[0]
        raise InvalidDataError(f"rows {first} and {second} are the same architecture {text}, expected distinct ones")


def _write(
    path: Path,
    space: SearchSpace,
    genotypes: NDArray[Any],
    keys: NDArray[np.uint64],
    order: NDArray[np.intp],
    columns: Sequence[Column],
    stored: Sequence[tuple[NDArray[Any], int]],
    texts: Mapping[str, str],
) -> None:
    import h5py

    n = len(genotypes)
    small = int(space.cardinalities.max()) <= 127
    rows = genotypes.astype(np.int8 if small else np.int16)
    layout: dict[str, Any] = {"track_times": False}
    if n <= LARGE:
        layout |= {"compression": "gzip", "compression_opts": 9, "shuffle": True}
    with h5py.File(path, "w") as file:
        file.attrs["format_version"] = FORMAT_VERSION
        _write_text(file, "format", FORMAT)
        _write_text(file, "space", json.dumps(space.spec, sort_keys=True))
        for key in TEXT_ATTRIBUTES:
            _write_text(file, key, texts[key])
        file.create_dataset("genotypes", data=rows, **layout)
        if n > LARGE:
            file.create_dataset("index/keys", data=keys, **layout)
            file.create_dataset("index/rows", data=order.astype(np.int32), **layout)
        for column, (values, decimals) in zip(columns, stored, strict=True):
            info = column.info
            # small columns as one piece; of long curves each epoch of each seed is read alone
            chunks = None if n > LARGE else values.shape if values.size <= MAX_CHUNK else (n, 1, 1)
            dataset = file.create_dataset(f"metrics/{info.name}", data=values, chunks=chunks, **layout)
            for key in ("unit", "direction", "note"):
                _write_text(dataset, key, getattr(info, key))
            dataset.attrs["epochs"] = np.array(info.epochs, dtype=np.int64)
            dataset.attrs["seeds"] = np.array(info.seeds, dtype=np.int64)
            dataset.attrs["decimals"] = decimals


def _write_text(node: h5py.HLObject, key: str, text: str) -> None:
    """Store a fixed-length UTF-8 string: unlike a variable-length one it leaves no heap of undefined bytes."""
    import h5py

    encoded = text.encode()
    node.attrs.create(key, np.bytes_(encoded), dtype=h5py.string_dtype("utf-8", max(len(encoded), 1)))
