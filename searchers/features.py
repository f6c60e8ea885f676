"""Features for search: encoded once per space, and scaled by the space rather than by the few trainings so far."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from ..encoders import Columns, Encoder, make_encoder
from ..spaces import Architectures, SearchSpace
from ..spaces.hashing import row_keys
from .candidates import is_small
from .content import content

_REFERENCE = 2000
_WORTH_KEEPING = 500
_KEPT_BYTES = 1 << 29


class SpaceEncoder(Encoder):
    """Another encoder, with a memory per space, and with quantities standardised over the space.

    A search encodes the same candidates in every step. Rows of large batches are kept and looked up by genotype the
    next time; the memory is shared by all instances in a process and bounded to half a gigabyte, of which the least
    recently used encodings go first. A batch gives the same features whether or not it was seen before.

    Parameters
    ----------
    encoder : str or Encoder
        What makes the features.
    scaled : bool
        Standardise the quantities over the whole space, or over 2,000 random architectures of a large one, and declare
        all columns as ready to use. A predictor then needs no scaling of its own, which would change with every
        training; that is what lets a posterior over all candidates grow row by row.
    raw_counts : bool
        Do not scale columns that count parts of the graph.

    Notes
    -----
    Encoders that count parts of the graph learn from the same architectures which parts there are. Others that learn
    their columns have nothing to do with the space alone, and are refused: see `is_of_space`.
    """

    def __init__(self, encoder: str | Encoder = "semantic", *, scaled: bool = False, raw_counts: bool = False) -> None:
        self.encoder = encoder
        self.scaled = scaled
        self.raw_counts = raw_counts

    def _inner(self) -> Encoder:
        return make_encoder(self.encoder) if isinstance(self.encoder, str) else clone(self.encoder)

    def _memory(self, space: SearchSpace) -> _Memory:
        return _memory(space, self._inner(), self.scaled, self.raw_counts)

    def columns(self, space: SearchSpace) -> Columns:
        """Return the columns of the encoder; all of them ready to use if they are scaled."""
        columns = self._memory(space).encoder.columns(space)
        if not self.scaled:
            return columns
        return Columns(columns.names, columns.groups, np.ones(len(columns), dtype=np.bool_))

    def _transform(self, architectures: Architectures) -> NDArray[Any]:
        return self._memory(architectures.space).features(architectures)

    def leaves(self, label: str) -> list[tuple[str, Encoder]]:
        """Return the leaves of the encoder, with the columns of the space that this one was fitted on, if it was."""
        space: SearchSpace | None = getattr(self, "space_", None)
        encoder = self._inner() if space is None else self._memory(space).encoder
        return encoder.leaves(label)


def is_of_space(encoder: Encoder) -> bool:
    """Return whether the columns of an encoder can be told from the space, with no architecture chosen for it."""
    return all(leaf.stateless or leaf.counts_substructures for _, leaf in encoder.leaves(""))


class _Memory:
    """The features of the architectures of one space that were encoded in large batches."""

    def __init__(self, space: SearchSpace, encoder: Encoder, scaled: bool, raw_counts: bool) -> None:
        self.encoder = encoder
        self._keys = np.zeros(0, dtype=np.uint64)
        self._rows: NDArray[np.float32] | None = None
        self._shift: NDArray[np.float64] | None = None
        if scaled or not encoder.stateless:
            reference = space.enumerate() if is_small(space) else space.sample(_REFERENCE, seed=0, distinct=False)
            if not encoder.stateless:
                encoder.fit(reference)
        if scaled:
            plain = encoder.transform(reference).astype(np.float64)
            flags, spread = encoder.columns(space).indicator, plain.std(axis=0)
            if raw_counts:
                leaves = [leaf for _, leaf in encoder.leaves("")]
                widths = [len(leaf.columns(space)) for leaf in leaves]
                flags = flags | np.repeat([leaf.counts_substructures for leaf in leaves], widths)
            self._shift = np.where(flags, 0.0, plain.mean(axis=0))
            self._scale = np.where(flags | (spread < 1e-9), 1.0, spread)

    @property
    def nbytes(self) -> int:
        return 0 if self._rows is None else self._rows.nbytes

    def _encode(self, batch: Architectures) -> NDArray[np.float32]:
        features = self.encoder.transform(batch)
        if self._shift is not None:
            features = ((features - self._shift) / self._scale).astype(np.float32)
        return features

    def features(self, batch: Architectures) -> NDArray[np.float32]:
        keys = row_keys(batch.genotypes)
        if self._rows is None:
            features = self._encode(batch)
            self._keep(keys, features)
            return features
        slot = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        known = self._keys[slot] == keys
        if known.all():
            return self._rows[slot]
        features = np.empty((len(batch), self._rows.shape[1]), dtype=np.float32)
        features[known] = self._rows[slot[known]]
        features[~known] = self._encode(batch[~known])
        self._keep(keys[~known], features[~known])
        return features

    def _keep(self, keys: NDArray[np.uint64], features: NDArray[np.float32]) -> None:
        """Remember the rows of a large batch; small ones are not worth the sorting."""
        if len(keys) < _WORTH_KEEPING or self.nbytes + features.nbytes > _KEPT_BYTES // 2:
            return
        if self._rows is not None:
            keys, features = np.concatenate([self._keys, keys]), np.concatenate([self._rows, features])
        self._keys, first = np.unique(keys, return_index=True)
        self._rows = np.ascontiguousarray(features[first])


_MEMORIES: OrderedDict[tuple[SearchSpace, Hashable, bool, bool], _Memory] = OrderedDict()


def _memory(space: SearchSpace, encoder: Encoder, scaled: bool, raw_counts: bool) -> _Memory:
    """Return what is remembered of a space through an encoder, which is not fitted."""
    name = (space, content(encoder), scaled, raw_counts)
    if name not in _MEMORIES:
        if not is_of_space(encoder):
            # What a learned encoding means changes with every fit: nothing can be kept.
            raise TypeError(f"{type(encoder).__name__} learns its columns")
        _MEMORIES[name] = _Memory(space, encoder, scaled, raw_counts)
    _MEMORIES.move_to_end(name)
    while len(_MEMORIES) > 1 and sum(memory.nbytes for memory in _MEMORIES.values()) > _KEPT_BYTES:
        _MEMORIES.popitem(last=False)
    return _MEMORIES[name]
