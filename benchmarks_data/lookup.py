"""Finding many architectures in a table at once, by sorted 64-bit keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TableFormatError
from ..spaces.hashing import row_keys
from .reading import open_hdf5


class RowIndex:
    """The rows of a genotype matrix, ordered by key.

    Parameters
    ----------
    genotypes : integer array `(n, d)`
        May be a memory map.
    keys : uint64 array `(n,)`
        Sorted keys of the rows.
    rows : integer array `(n,)`
        The row of each key.
    """

    def __init__(self, genotypes: NDArray[Any], keys: NDArray[np.uint64], rows: NDArray[Any]) -> None:
        self.genotypes = genotypes
        self.keys = keys
        self.rows = rows

    @classmethod
    def build(cls, genotypes: NDArray[Any]) -> RowIndex:
        """Return the index of rows that have none yet."""
        keys = row_keys(genotypes)
        order = np.argsort(keys, kind="stable")
        return cls(genotypes, keys[order], order)

    @classmethod
    def map(cls, path: Path) -> RowIndex | None:
        """Return the index stored in a table file, mapped into memory, or None if there is none."""
        with open_hdf5(path) as file:
            if "index/keys" not in file or "index/rows" not in file:
                return None
            shapes = [file[name].shape for name in ("index/keys", "index/rows")]
            if shapes != [file["genotypes"].shape[:1]] * 2:
                raise TableFormatError(f"{str(path)!r} has an index of shapes {shapes}, which do not fit its genotypes")
            places = []
            for name in ("genotypes", "index/keys", "index/rows"):
                offset = file[name].id.get_offset()
                if offset is None:  # somebody rewrote the file compressed: read it instead of mapping it
                    return cls(file["genotypes"][:], file["index/keys"][:], file["index/rows"][:])
                places.append((offset, file[name].shape, file[name].dtype))
        genotypes, keys, rows = (
            np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape) for offset, shape, dtype in places
        )
        return cls(genotypes, keys, rows)

    def find(self, genotypes: NDArray[Any]) -> NDArray[np.intp]:
        """Return the row of each genotype `(m, d)`, -1 where it is absent; a match is compared gene by gene."""
        if not len(self.keys):
            return np.full(len(genotypes), -1, dtype=np.intp)
        wanted = row_keys(genotypes)
        places = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        found = np.asarray(self.rows[places], dtype=np.intp)
        same = (self.keys[places] == wanted) & (self.genotypes[found] == genotypes).all(axis=1)
        return np.where(same, found, -1)

    def duplicate(self) -> tuple[int, int] | None:
        """Return two rows with the same key, or None if all differ."""
        twice = np.flatnonzero(self.keys[1:] == self.keys[:-1])
        if not len(twice):
            return None
        first, second = sorted(int(row) for row in self.rows[twice[0] : twice[0] + 2])
        return first, second


def first_rows(keys: NDArray[np.uint64], wanted: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Return for each wanted key the first row that has it, -1 where none has."""
    if not len(keys):
        return np.full(len(wanted), -1, dtype=np.intp)
    distinct, first = np.unique(keys, return_index=True)
    places = np.minimum(np.searchsorted(distinct, wanted), len(distinct) - 1)
    return np.where(distinct[places] == wanted, first[places], -1)


def matching_pairs(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return all pairs `(i, j)` with `left[i] == right[j]`, ordered by `i`, then `j`."""
    order = np.argsort(right, kind="stable")
    start = np.searchsorted(right[order], left, side="left")
    counts = np.searchsorted(right[order], left, side="right") - start
    i = np.repeat(np.arange(len(left)), counts)
    within = np.arange(len(i)) - np.repeat(np.cumsum(counts) - counts, counts)
    return i, order[np.repeat(start, counts) + within]
