"""Features for search: encoded once per space, and scaled by the space rather than by the few trainings so far."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from ..encoders import Columns, Encoder, make_encoder
from ..spaces import Architectures, SearchSpace
from ..spaces.hashing import row_keys
from .candidates import is_small

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
    """

    def __init__(self, encoder: str | Encoder = "semantic", *, scaled: bool = False) -> None:
        self.encoder = encoder
        self.scaled = scaled

    def _inner(self) -> Encoder:
        return make_encoder(self.encoder) if isinstance(self.encoder, str) else clone(self.encoder)

    def columns(self, space: SearchSpace) -> Columns:
        """Return the columns of the encoder; all of them ready to use if they are scaled."""
        columns = self._inner().columns(space)
        if not self.scaled:
            return columns
        return Columns(columns.names, columns.groups, np.ones(len(columns), dtype=np.bool_))

    def _transform(self, architectures: Architectures) -> NDArray[Any]:
        return _memory(architectures.space, self._inner(), self.scaled).features(architectures)


class _Memory:
    """The features of the architectures of one space that were encoded in large batches."""

    def __init__(self, space: SearchSpace, encoder: Encoder, scaled: bool) -> None:
        self._encoder = encoder
        self._keys = np.zeros(0, dtype=np.uint64)
        self._rows: NDArray[np.float32] | None = None
        self._shift: NDArray[np.float64] | None = None
        if scaled:
            reference = space.enumerate() if is_small(space) else space.sample(_REFERENCE, seed=0, distinct=False)
            plain = encoder.transform(reference).astype(np.float64)
            flags, spread = encoder.columns(space).indicator, plain.std(axis=0)
            self._shift = np.where(flags, 0.0, plain.mean(axis=0))
            self._scale = np.where(flags | (spread < 1e-9), 1.0, spread)

    @property
    def nbytes(self) -> int:
        return 0 if self._rows is None else self._rows.nbytes

    def _encode(self, batch: Architectures) -> NDArray[np.float32]:
        features = self._encoder.transform(batch)
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


_MEMORIES: OrderedDict[tuple[SearchSpace, str, bool], _Memory] = OrderedDict()


def _memory(space: SearchSpace, encoder: Encoder, scaled: bool) -> _Memory:
    if not encoder.stateless:
        # What a learned encoding means changes with every fit: nothing can be kept.
        raise TypeError(f"{type(encoder).__name__} learns its columns")
    name = (space, repr(encoder), scaled)
    if name not in _MEMORIES:
        _MEMORIES[name] = _Memory(space, encoder, scaled)
    _MEMORIES.move_to_end(name)
    while len(_MEMORIES) > 1 and sum(memory.nbytes for memory in _MEMORIES.values()) > _KEPT_BYTES:
        _MEMORIES.popitem(last=False)
    return _MEMORIES[name]
