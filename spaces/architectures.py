"""`Architecture` and `Architectures`: one architecture, and a batch of them, as rows of integers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidArchitectureError

if TYPE_CHECKING:
    from .base import SearchSpace

GENOTYPE_DTYPE = np.int16


@dataclass(frozen=True)
class Architecture:
    """One architecture of a search space.

    Prints as its native string, compares and hashes by value, and stands wherever a batch is expected.
    """

    space: SearchSpace
    genotype: tuple[int, ...]

    def __str__(self) -> str:
        return self.space.format(self.batch())[0]

    def __repr__(self) -> str:
        return f"<{self.space.name}: {self}>"

    def batch(self) -> Architectures:
        """Return this architecture as a batch of one."""
        return Architectures(self.space, np.array([self.genotype], dtype=GENOTYPE_DTYPE))


class Architectures(Sequence[Architecture]):
    """An immutable batch of architectures of one search space.

    Indexing with an integer gives an `Architecture`; indexing with a slice, an index array or a boolean mask gives
    another batch. scikit-learn's splitters, pipelines and cross-validation take it as `X`.

    Parameters
    ----------
    space : SearchSpace
        The space all rows belong to.
    genotypes : integer array, shape `(n, d)`
        One architecture a row; taken as valid. Use `space.architectures` to check rows of unknown origin.
    """

    __slots__ = ("genotypes", "space")

    def __init__(self, space: SearchSpace, genotypes: NDArray[Any]) -> None:
        rows = np.array(genotypes, dtype=GENOTYPE_DTYPE, copy=True, order="C")
        if rows.ndim != 2 or rows.shape[1] != space.dimension:
            raise InvalidArchitectureError(
                f"genotypes of space {space.name!r} must have shape (n, {space.dimension}), got {rows.shape}"
            )
        rows.setflags(write=False)
        self.space = space
        self.genotypes: NDArray[np.int16] = rows

    @property
    def shape(self) -> tuple[int, int]:
        """`(n, d)`: the number of architectures and the length of a genotype."""
        return self.genotypes.shape[0], self.genotypes.shape[1]

    @property
    def ndim(self) -> int:
        """Always 2."""
        return 2

    def __len__(self) -> int:
        return len(self.genotypes)

    @overload
    def __getitem__(self, key: int | np.integer[Any]) -> Architecture: ...
    @overload
    def __getitem__(self, key: slice | NDArray[Any] | Sequence[int] | tuple[Any, ...]) -> Architectures: ...
    def __getitem__(self, key: Any) -> Architecture | Architectures:
        if isinstance(key, tuple) and len(key) == 2 and (key[1] is Ellipsis or key[1] == slice(None)):
            key = key[0]  # array[rows, ...], the way scikit-learn selects rows
        if isinstance(key, (int, np.integer)):
            return Architecture(self.space, tuple(self.genotypes[key].tolist()))
        selection = np.asarray(key) if not isinstance(key, slice) else key
        if isinstance(selection, np.ndarray) and selection.size == 0:
            selection = selection.astype(np.intp)
        return Architectures(self.space, self.genotypes[selection])

    def __iter__(self) -> Iterator[Architecture]:
        for row in self.genotypes.tolist():
            yield Architecture(self.space, tuple(row))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Architectures):
            return NotImplemented
        return self.space == other.space and np.array_equal(self.genotypes, other.genotypes)

    def __hash__(self) -> int:
        return hash((self.space.name, self.genotypes.shape, self.genotypes.tobytes()))

    def __repr__(self) -> str:
        shown = self.space.format(self[:3])
        more = ", ..." if len(self) > len(shown) else ""
        return f"Architectures({len(self)} of {self.space.name}: {', '.join(shown)}{more})"

    def strings(self) -> list[str]:
        """Return the native string of each architecture."""
        return self.space.format(self)

    def keys(self) -> NDArray[np.uint64]:
        """Return the canonical key of each architecture, `(n,)`: equal for isomorphic twins."""
        return self.space.canonical(self)

    @staticmethod
    def concatenate(batches: Iterable[Architectures]) -> Architectures:
        """Join batches of one space.

        Raises
        ------
        InvalidArchitectureError
            If there is no batch, or the batches are of different spaces.
        """
        parts = list(batches)
        if not parts:
            raise InvalidArchitectureError("expected at least one batch of architectures to concatenate, got none")
        for part in parts[1:]:
            if part.space != parts[0].space:
                raise InvalidArchitectureError(
                    f"cannot join architectures of space {part.space.name!r} to those of {parts[0].space.name!r}"
                )
        return Architectures(parts[0].space, np.concatenate([part.genotypes for part in parts]))
