"""The contract of a search space: what an architecture is, and every vectorised move on batches of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import ArchcastError, InvalidArchitectureError, InvalidDataError
from ..registry import Entry
from .architectures import GENOTYPE_DTYPE, Architecture, Architectures
from .graphs import GraphBatch, GraphSchema
from .hashing import row_keys
from .items import is_integer_row, is_one_item, shorten
from .skeleton import Skeleton

if TYPE_CHECKING:
    from torch import nn

    from .networks.layers import Layers

ArchitecturesLike: TypeAlias = Architectures | Architecture | NDArray[Any] | Sequence[Any] | str
"""What users may pass: a batch, one architecture, genotype rows `(n, d)`, native notations, or one native string."""

ENUMERABLE = 2_000_000
"""Spaces up to this size are sampled from their full enumeration and may be enumerated at once."""

_ATTEMPTS = 200
_CANDIDATES = 100_000
_KEY_ROWS = 16_384


@dataclass(frozen=True)
class Gene:
    """One integer of a genotype: an index into `choices`.

    Parameters
    ----------
    name : str
        What is chosen, e.g. `"0->1"` or `"block3_kernel"`.
    choices : tuple
        The options, in the order of the integer.
    ordered : bool
        Whether the options are numbers in increasing order (kernel sizes), rather than categories.
    """

    name: str
    choices: tuple[Hashable, ...]
    ordered: bool = False


class SearchSpace(ABC):
    """A family of architectures, each a fixed-length row of small integers (its genotype).

    Subclasses say what the genes are, which rows are valid, how the native notation reads, and what graph a row
    stands for. All search moves follow from that and are vectorised over batches.

    Parameters
    ----------
    name : str
        The registered name; with `parameters` it identifies the space.
    genes : sequence of Gene
        One a column of the genotype.
    parameters : mapping, optional
        JSON-able keyword arguments with which the registered name rebuilds an equal space.
    """

    def __init__(self, name: str, genes: Sequence[Gene], parameters: Mapping[str, Any] | None = None) -> None:
        self.name = name
        self.genes = tuple(genes)
        self.parameters: dict[str, Any] = dict(parameters or {})
        self.cardinalities: NDArray[np.int64] = np.array([len(gene.choices) for gene in self.genes], dtype=np.int64)
        if not self.genes or (self.cardinalities < 1).any():
            raise InvalidDataError(f"space {name!r} needs at least one gene, each with at least one choice")

    # ---- identity ---------------------------------------------------------------------------------------------

    @property
    def dimension(self) -> int:
        """`d`, the length of a genotype."""
        return len(self.genes)

    @property
    def spec(self) -> dict[str, Any]:
        """A JSON-able description from which `space_from_spec` rebuilds the space."""
        return {"space": self.name, "parameters": self.parameters}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SearchSpace) and (self is other or self.spec == other.spec)

    def __hash__(self) -> int:
        return hash((self.name, self.dimension))

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is computed on demand: a pickled architecture must not carry a whole enumeration."""
        return {
            name: value
            for name, value in self.__dict__.items()
            if not isinstance(getattr(type(self), name, None), cached_property)
        }

    def __repr__(self) -> str:
        size = f"{self.size:,}" if self.size is not None else "an unknown number of"
        return f"<{type(self).__name__} {self.name!r}: {size} architectures, {self.dimension} genes>"

    # ---- what a subclass says -----------------------------------------------------------------------------------

    @property
    def size(self) -> int | None:
        """The number of valid genotypes, or None where it is not known. By default every combination is valid."""
        return int(np.prod(self.cardinalities.astype(object)))

    def _reason_invalid(self, genotype: NDArray[Any]) -> str | None:
        """Say what is wrong with one row whose genes are all in range, or None if it is valid."""
        return None

    def _valid_in_range(self, genotypes: NDArray[Any]) -> NDArray[np.bool_]:
        """Return which rows are valid, given that all genes are in range; override together with the reason."""
        return np.ones(len(genotypes), dtype=np.bool_)

    @abstractmethod
    def _parse_text(self, text: str) -> Sequence[int]:
        """Return the genotype that a native string stands for, or raise InvalidArchitectureError."""

    def _parse_object(self, item: Any) -> Sequence[int]:
        """Return the genotype of a native object that is neither text nor integers, or raise."""
        raise InvalidArchitectureError(f"expected a string or {self.dimension} integers, got {type(item).__name__}")

    @abstractmethod
    def _format_row(self, genotype: Sequence[int]) -> str:
        """Return the native string of one valid genotype."""

    @cached_property
    @abstractmethod
    def graph_schema(self) -> GraphSchema:
        """What the graphs of all architectures of this space have in common."""

    @abstractmethod
    def _graphs(self, genotypes: NDArray[np.int16]) -> GraphBatch:
        """Return the graphs of valid rows."""

    def _keys(self, genotypes: NDArray[np.int16]) -> NDArray[np.uint64]:
        return self._graphs(genotypes).prune().keys()

    def complexity(self, architectures: ArchitecturesLike) -> dict[str, NDArray[np.float64]] | None:
        """Return `{"params": (n,), "flops": (n,)}` of the space's standard network, or None where it is not known.

        Parameters are counted one by one, `flops` are multiply-accumulate operations for one input.
        """
        return None

    # ---- networks -----------------------------------------------------------------------------------------------

    network: ClassVar[str | None] = None
    """Where the networks of this space are written, `".spaces.networks.module:function"`; None if it has none."""

    def network_factory(self) -> Callable[[Architecture, Skeleton, Layers], nn.Module] | None:
        """Return the function that makes networks of this space from `(architecture, skeleton, layers)`, or None.

        A space of your own names it in `network`, or overrides this method.
        """
        return None if self.network is None else Entry(self.network, "").load()

    def build(
        self, architecture: ArchitecturesLike, skeleton: Skeleton | None = None, *, seed: int | None = None
    ) -> nn.Module:
        """Return the untrained network of one architecture as a `torch.nn.Module`, from a batch of inputs to outputs.

        Parameters
        ----------
        architecture : Architecture, or anything that describes one
        skeleton : Skeleton, optional
            The shape of inputs and outputs and the size of the network, by default that published for CIFAR-10.
        seed : int, optional
            Of the initial weights; None draws them from PyTorch's global generator.

        Raises
        ------
        InvalidArchitectureError
            If it is not one architecture of this space.
        ArchcastError
            If this space has no networks.
        InvalidDataError
            If the inputs are too small, an operation has no network, or the skeleton has a knob that architectures of
            this space fix.
        MissingDependencyError
            If PyTorch is not installed.

        Examples
        --------
        >>> import archcast as ac
        >>> space = ac.get_space("nasbench201")
        >>> network = space.build(space.sample(1, seed=0), ac.Skeleton(inputs=(1, 40), channels=16, stages=1, cells=1))
        """
        batch = self.architectures(architecture)
        if len(batch) != 1:
            raise InvalidArchitectureError(f"expected one architecture to build a network of, got {len(batch)}")
        from .networks import build_network

        return build_network(batch[0], skeleton if skeleton is not None else Skeleton(), seed=seed)

    # ---- batches in and out -------------------------------------------------------------------------------------

    def architectures(self, items: ArchitecturesLike) -> Architectures:
        """Return a checked batch from anything that describes architectures of this space.

        Raises
        ------
        InvalidArchitectureError
            If an item is malformed, invalid, or belongs to another space; the message names it and its position.
        """
        if isinstance(items, Architecture):
            items = items.batch()
        if isinstance(items, Architectures):
            if items.space != self:
                raise InvalidArchitectureError(
                    f"expected architectures of space {self.name!r}, got architectures of space {items.space.name!r}"
                )
            return items
        return self.parse(items)

    def parse(self, items: ArchitecturesLike) -> Architectures:
        """Return the batch that native notations stand for; the exact inverse of `format`.

        Parameters
        ----------
        items : str, sequence of native notations, or integer array `(n, d)`
            A single string, mapping, named tuple or other object that is no collection is a batch of one. Each item
            may also be a genotype of `d` integers, or an `Architecture`.

        Raises
        ------
        InvalidArchitectureError
            Naming the first bad item, its position and what was expected.
        """
        if isinstance(items, (Architectures, Architecture)):
            return self.architectures(items)
        if is_one_item(items):
            items = [items]
        if isinstance(items, np.ndarray) and items.ndim == 2 and items.dtype.kind in "iu":
            rows = items
        else:
            items = list(items)
            parsed = [self._parse_item(item, position) for position, item in enumerate(items)]
            rows = np.array(parsed, dtype=np.int64).reshape(len(parsed), self.dimension)
        self._check(rows, items)
        return Architectures(self, rows)

    def _parse_item(self, item: Any, position: int) -> Sequence[int]:
        try:
            if isinstance(item, Architecture):
                return self.architectures(item).genotypes[0].tolist()  # type: ignore[no-any-return]
            if isinstance(item, (str, np.str_)):
                return self._parse_text(str(item).strip())
            if is_integer_row(item):
                row = np.asarray(item)
                if row.shape != (self.dimension,):
                    raise InvalidArchitectureError(f"expected {self.dimension} integers, got {row.size}")
                return row.tolist()  # type: ignore[no-any-return]
            return self._parse_object(item)
        except InvalidArchitectureError as error:
            raise InvalidArchitectureError(f"architecture {position} ({shorten(item)}): {error}") from None

    def _check(self, rows: NDArray[Any], items: Sequence[Any] | NDArray[Any] | None = None) -> None:
        if rows.ndim != 2 or rows.shape[1] != self.dimension:
            raise InvalidArchitectureError(
                f"genotypes of space {self.name!r} must have shape (n, {self.dimension}), got {rows.shape}"
            )
        valid = self.is_valid(rows)
        if not valid.all():
            position = int(np.argmin(valid))
            reason = self.explain_invalid(rows[position])
            shown = rows[position] if items is None else items[position]
            raise InvalidArchitectureError(f"architecture {position} ({shorten(shown)}): {reason}")

    def format(self, architectures: ArchitecturesLike) -> list[str]:
        """Return the native string of each architecture."""
        return [self._format_row(row) for row in self.architectures(architectures).genotypes.tolist()]

    def is_valid(self, genotypes: NDArray[Any]) -> NDArray[np.bool_]:
        """Return which rows of an `(n, d)` integer array are architectures of this space, bool `(n,)`."""
        in_range = np.asarray(((genotypes >= 0) & (genotypes < self.cardinalities)).all(axis=1))
        valid: NDArray[np.bool_] = in_range.copy()
        valid[in_range] = self._valid_in_range(genotypes[in_range])
        return valid

    def explain_invalid(self, genotype: NDArray[Any]) -> str | None:
        """Return what is wrong with one genotype `(d,)`, or None if it is valid."""
        for gene, value in zip(self.genes, genotype.tolist(), strict=True):
            if not 0 <= value < len(gene.choices):
                return f"gene {gene.name!r} must be in 0..{len(gene.choices) - 1}, got {value}"
        return self._reason_invalid(genotype)

    def to_graphs(self, architectures: ArchitecturesLike) -> GraphBatch:
        """Return the architectures as a `GraphBatch`."""
        return self._graphs(self.architectures(architectures).genotypes)

    def canonical(self, architectures: ArchitecturesLike) -> NDArray[np.uint64]:
        """Return one key per architecture, `(n,)` uint64: equal for isomorphic twins and whatever the dead code."""
        return self._blockwise_keys(self.architectures(architectures).genotypes)

    def _blockwise_keys(self, rows: NDArray[np.int16]) -> NDArray[np.uint64]:
        """Return the keys of valid rows block by block, so that the graphs of one block at a time are in memory."""
        blocks = [self._keys(rows[start : start + _KEY_ROWS]) for start in range(0, len(rows), _KEY_ROWS)]
        return np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.uint64)

    # ---- enumeration and sampling -------------------------------------------------------------------------------

    def enumerate(self) -> Architectures:
        """Return all architectures, in lexicographic order of their genotypes.

        Raises
        ------
        ArchcastError
            If there are more than two million, or their number is not known.
        """
        return Architectures(self, self._all_genotypes)

    @cached_property
    def _all_genotypes(self) -> NDArray[np.int16]:
        if not self._is_enumerable:
            raise ArchcastError(
                f"space {self.name!r} has too many architectures to enumerate "
                f"({self.size if self.size is not None else 'unknown number'}, limit {ENUMERABLE:,})"
            )
        grid = np.indices(tuple(self.cardinalities.tolist()), dtype=GENOTYPE_DTYPE)
        rows = grid.reshape(self.dimension, -1).T
        rows = np.ascontiguousarray(rows[self._valid_in_range(rows)])
        rows.setflags(write=False)
        return rows

    @property
    def _is_enumerable(self) -> bool:
        return int(np.prod(self.cardinalities.astype(object))) <= ENUMERABLE

    def _draw(self, n: int, rng: np.random.Generator) -> NDArray[Any]:
        """Return `n` random rows, which need not be valid; override to give the space its usual distribution."""
        return rng.integers(0, self.cardinalities, size=(n, self.dimension), dtype=GENOTYPE_DTYPE)

    def sample(self, n: int, seed: int, *, distinct: bool = True, canonical: bool = False) -> Architectures:
        """Return `n` random architectures.

        Parameters
        ----------
        n : int
            How many.
        seed : int
            The same seed gives the same architectures, process to process.
        distinct : bool
            Sample without replacement.
        canonical : bool
            Sample without isomorphic twins either.

        Raises
        ------
        InvalidDataError
            If `n` is negative, or larger than the number of (canonically) distinct architectures.
        """
        if n < 0:
            raise InvalidDataError(f"the number of architectures to sample must not be negative, got {n}")
        rng = np.random.default_rng(seed)
        if self._is_enumerable and distinct:
            rows = self._all_genotypes[rng.permutation(len(self._all_genotypes))]
            if canonical:
                rows = rows[_first_occurrences(self._blockwise_keys(rows))]
            self._require_enough(n, len(rows), canonical)
            return Architectures(self, rows[:n])
        found, keys = np.zeros((0, self.dimension), dtype=GENOTYPE_DTYPE), np.zeros(0, dtype=np.uint64)
        idle = 0
        while len(found) < n and idle < _ATTEMPTS:
            # At least a thousand at a time: where few rows are valid or new, small draws would go on forever.
            drawn = self._draw(max(2 * (n - len(found)), 1000), rng)
            drawn = drawn[self.is_valid(drawn)].astype(GENOTYPE_DTYPE)
            if canonical or distinct:
                both = np.concatenate([keys, self._blockwise_keys(drawn) if canonical else row_keys(drawn)])
                new = _first_occurrences(both)[len(keys) :] - len(keys)
                keys, drawn = np.concatenate([keys, both[len(keys) :][new]]), drawn[new]
            idle = 0 if len(drawn) else idle + 1
            found = np.concatenate([found, drawn])
        self._require_enough(n, len(found), canonical)
        return Architectures(self, found[:n])

    def _require_enough(self, n: int, available: int, canonical: bool) -> None:
        if n > available:
            kind = "canonically distinct" if canonical else "distinct"
            raise InvalidDataError(f"cannot sample {n} {kind} architectures of space {self.name!r}: found {available}")

    # ---- search moves -------------------------------------------------------------------------------------------

    def neighbors(self, architectures: ArchitecturesLike) -> tuple[Architectures, NDArray[np.intp]]:
        """Return all valid architectures that differ from a given one in exactly one gene.

        Returns
        -------
        neighbors : Architectures
        origin : integer array `(len(neighbors),)`
            The row of `architectures` that each is a neighbour of.
        """
        rows = self.architectures(architectures).genotypes
        positions = np.repeat(np.arange(self.dimension), self.cardinalities - 1)
        shifts = np.concatenate([np.arange(1, cardinality) for cardinality in self.cardinalities.tolist()])
        steps = np.arange(len(positions))
        found, origins = [rows[:0]], [np.zeros(0, dtype=np.intp)]
        block = max(1, _CANDIDATES // max(1, len(positions)))
        for start in range(0, len(rows), block):
            origin = np.arange(start, min(start + block, len(rows)))
            candidates = np.repeat(rows[origin], len(positions), axis=0).reshape(len(origin), len(positions), -1)
            candidates[:, steps, positions] = (candidates[:, steps, positions] + shifts) % self.cardinalities[positions]
            flat = candidates.reshape(-1, self.dimension)
            valid = self.is_valid(flat)
            found.append(flat[valid])
            origins.append(np.repeat(origin, len(positions))[valid])
        return Architectures(self, np.concatenate(found)), np.concatenate(origins)

    def mutate(self, architectures: ArchitecturesLike, seed: int, *, n_genes: int = 1) -> Architectures:
        """Return one mutant of each architecture: `n_genes` genes redrawn among their other values, and valid.

        Raises
        ------
        InvalidDataError
            If `n_genes` is not between 1 and the number of genes with a choice, or an architecture has no neighbour.
        """
        rng = np.random.default_rng(seed)
        rows = self.architectures(architectures).genotypes
        free = np.flatnonzero(self.cardinalities > 1)
        if not 1 <= n_genes <= len(free):
            raise InvalidDataError(f"n_genes must be in 1..{len(free)}, got {n_genes}")
        result = rows.copy()
        fixed = ~self._mutable(rows)[:, free]
        pending = np.arange(len(rows))
        for _ in range(_ATTEMPTS):
            if not len(pending):
                break
            order = (rng.random((len(pending), len(free))) + fixed[pending]).argsort(axis=1)[:, :n_genes]
            positions = free[order]
            candidate = rows[pending].copy()
            lines = np.arange(len(pending))[:, None]
            shift = rng.integers(1, self.cardinalities[positions])
            candidate[lines, positions] = (candidate[lines, positions] + shift) % self.cardinalities[positions]
            valid = self.is_valid(candidate)
            result[pending[valid]] = candidate[valid]
            pending = pending[~valid]
        for row in pending:
            near, _ = self.neighbors(rows[row : row + 1])
            if not len(near):
                raise InvalidDataError(f"architecture {self._format_row(rows[row].tolist())} has no neighbour")
            result[row] = near.genotypes[rng.integers(len(near))]
        return Architectures(self, result)

    def crossover(self, first: ArchitecturesLike, second: ArchitecturesLike, seed: int) -> Architectures:
        """Return one child per pair of parents: each gene from either parent, and valid.

        Where no valid mixture is found the child is a copy of the first parent.

        Raises
        ------
        InvalidDataError
            If the batches differ in length.
        """
        rng = np.random.default_rng(seed)
        mother, father = self.architectures(first).genotypes, self.architectures(second).genotypes
        if mother.shape != father.shape:
            raise InvalidDataError(f"expected as many second as first parents, got {len(father)} and {len(mother)}")
        result = mother.copy()
        pending = np.arange(len(mother))
        for _ in range(_ATTEMPTS):
            if not len(pending):
                break
            take = self._inheritance(mother[pending], father[pending], rng)
            candidate = np.where(take, mother[pending], father[pending])
            valid = self.is_valid(candidate)
            result[pending[valid]] = candidate[valid]
            pending = pending[~valid]
        return Architectures(self, result)

    def _mutable(self, rows: NDArray[np.int16]) -> NDArray[np.bool_]:
        """Return which genes of each row to mutate, `(n, d)`; override where some are bound not to change alone."""
        return np.ones(rows.shape, dtype=np.bool_)

    def _inheritance(
        self, mother: NDArray[np.int16], father: NDArray[np.int16], rng: np.random.Generator
    ) -> NDArray[np.bool_]:
        """Return which genes children take from the mother, `(n, d)`; override where genes belong together."""
        return rng.random(mother.shape) < 0.5


def _first_occurrences(keys: NDArray[np.uint64]) -> NDArray[np.intp]:
    return np.sort(np.unique(keys, return_index=True)[1])
