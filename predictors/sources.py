"""`Source`: what was learned before, on another data set, in an earlier study or in another space."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from ..encoders import Encoder
from ..encoders.base import as_batch
from ..errors import ArchcastError, InvalidDataError
from ..spaces import Architectures, SearchSpace
from .base import Floats, Predictor, _holds_architectures
from .source_memory import latent_scores


class Source:
    """The history of another metric: trained architectures and their values, or a predictor fitted to them.

    Higher values must mean what they mean for the target: turn the sign of a loss whose target is an accuracy. Cloning
    a predictor leaves its sources as they are, so that a fitted one stays fitted.

    Parameters
    ----------
    X : Architectures, sequence of Architecture, or float array `(n, d)`, optional
        What was trained. It may be of another space than the target's: see `SourceModel`.
    y : array `(n,)`, optional
        The value of each.
    predictor : Predictor, optional
        A fitted predictor of one target in place of `X` and `y`, of the target's space, and without `info`.
    name : str
        What the source is called in columns and weights.

    Raises
    ------
    InvalidDataError
        If neither or both are given, fewer than two values are, a value is not finite, all are equal, or the predictor
        is not fitted.
    """

    def __init__(
        self,
        X: Architectures | ArrayLike | None = None,
        y: ArrayLike | None = None,
        *,
        predictor: Predictor | None = None,
        name: str = "",
    ) -> None:
        self.name = str(name)
        self.predictor = predictor
        self.X: Architectures | Floats | None = None
        self.y: Floats = np.zeros(0)
        if (predictor is None) == (X is None) or (X is None) != (y is None):
            raise InvalidDataError("a source needs either architectures with their values, or a fitted predictor")
        if predictor is not None:
            _check_predictor(predictor)
        else:
            self.X, self.y = _checked_data(X, y)

    @property
    def space(self) -> SearchSpace | None:
        """The space of its architectures, None for feature matrices."""
        if self.predictor is not None:
            return self.predictor.space_
        return self.X.space if isinstance(self.X, Architectures) else None

    @cached_property
    def digest(self) -> str:
        """Equal for equal content: what caches know a source by."""
        if self.predictor is not None:
            from .saving import to_bytes

            try:
                return hashlib.sha256(to_bytes(self.predictor)).hexdigest()
            except ArchcastError:  # of a class that no file can name: equal to nothing but itself
                return uuid.uuid4().hex
        rows = self.X.genotypes if isinstance(self.X, Architectures) else np.asarray(self.X)
        spec = json.dumps(None if self.space is None else self.space.spec, sort_keys=True)
        digest = hashlib.sha256(f"{spec}{rows.shape}{rows.dtype}".encode())
        digest.update(np.ascontiguousarray(rows).tobytes() + self.y.tobytes())
        return digest.hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Source) and (self.name, self.digest) == (other.name, other.digest)

    def __hash__(self) -> int:
        return hash((self.name, self.digest))

    def __repr__(self) -> str:
        return f"Source({self.name!r}, {self.digest[:16]})"

    def __sklearn_clone__(self) -> Self:
        return self

    def rows(self, size: int, seed: int) -> NDArray[np.intp]:
        """Return which of its rows are learned from where at most `size` are affordable: a random choice, sorted."""
        order = np.random.default_rng(seed).permutation(len(self.y))[:size]
        return np.sort(order)

    def check_space(self, space: SearchSpace | None) -> None:
        """Raise InvalidDataError unless the source can be of use to a target of a space (None: a feature matrix)."""
        own = self.space
        if own == space:
            return
        if own is None or space is None:
            kinds = ["a feature matrix" if known is None else "architectures" for known in (own, space)]
            raise InvalidDataError(f"source {self.name!r} is {kinds[0]}, and the target is {kinds[1]}")
        if self.predictor is not None:
            raise InvalidDataError(
                f"source {self.name!r} is a predictor of space {own.name!r}, and the target is of space "
                f"{space.name!r}: give its architectures and values instead"
            )

    def encoded(
        self, rows: NDArray[np.intp], encoder: Encoder | None, space: SearchSpace | None
    ) -> tuple[Floats, NDArray[np.intp]]:
        """Return features of some of its rows, `(m, k)`, and which of the target's columns they are, `(k,)`.

        Parameters
        ----------
        rows : integer array `(m,)`
        encoder, space : Encoder and SearchSpace, or None
            Those of the target, None for a feature matrix.

        Raises
        ------
        InvalidDataError
            If it can be of no use to the target, or its encoding shares no column with the target's.
        """
        self.check_space(space)
        if encoder is None or space is None or not isinstance(self.X, Architectures):
            matrix = np.asarray(self.X)[rows]
            return matrix, np.arange(matrix.shape[1])
        if self.X.space == space:
            features = encoder.transform(self.X[rows]).astype(np.float64)
            return features, np.arange(features.shape[1])
        own = clone(encoder)
        features = own.fit(self.X[rows]).transform(self.X[rows]).astype(np.float64)
        theirs = {name: column for column, name in enumerate(own.columns(self.X.space).names)}
        pairs = [(theirs[name], k) for k, name in enumerate(encoder.columns(space).names) if name in theirs]
        if not pairs:
            raise InvalidDataError(
                f"source {self.name!r} is of space {self.X.space.name!r}, whose encoding shares no column with that "
                f"of {space.name!r}"
            )
        read, shared = np.array(pairs, dtype=np.intp).T
        return features[:, read], shared

    def fitted(self, template: Predictor, size: int) -> Predictor:
        """Return its predictor, or a copy of `template` fitted to at most `size` of its rows; fits are remembered."""
        if self.predictor is not None:
            return self.predictor
        key = (self.digest, repr(template), size)
        if key not in _FITS:
            rows = self.rows(size, template.seed)
            assert self.X is not None
            _FITS[key] = clone(template).fit(self.X[rows], self.y[rows])
        return _kept_fit(key)


_KEPT_FITS = 16
_FITS: OrderedDict[tuple[Any, ...], Predictor] = OrderedDict()
"""The last few fits to sources by their content: a comparison asks for the same in every run."""


def _kept_fit(key: tuple[Any, ...]) -> Predictor:
    """Return a fit that is remembered, and forget the oldest if there are too many."""
    _FITS.move_to_end(key)
    while len(_FITS) > _KEPT_FITS:
        _FITS.popitem(last=False)
    return _FITS[key]


@dataclass(frozen=True)
class SourceModel:
    """A source as it forecasts architectures of the target's space.

    A source of another space is fitted to the columns that the target's encoder has for both spaces, by name: how
    long paths are, how many convolutions lie on them, whatever the operations are called.

    Parameters
    ----------
    predictor : Predictor
        Fitted to the source.
    shared : integer array, optional
        The target's feature columns that it reads; None where it reads architectures (or all of a feature matrix).
    """

    predictor: Predictor
    shared: NDArray[np.intp] | None = None

    def scores(self, X: Any, features: Floats) -> tuple[Floats, Floats]:
        """Return mean and deviation on the scale of the source's transformed targets, `(n,)` each."""
        return latent_scores(self.predictor, X if self.shared is None else features[:, self.shared])


def fit_source(
    source: Source, template: Predictor, encoder: Encoder | None, space: SearchSpace | None, size: int
) -> SourceModel:
    """Return a source as a model of the target's space, fitting it if it is data.

    Parameters
    ----------
    source : Source
    template : Predictor
        What is fitted to data.
    encoder, space : Encoder and SearchSpace, or None
        Those of the target, None for a feature matrix.
    size : int
        Rows that are learned from at most.

    Raises
    ------
    InvalidDataError
        If the source is a feature matrix and the target is not, or the other way round, or if it is of another space
        and is a predictor, or its encoding shares no column.
    """
    source.check_space(space)
    if source.space == space:
        return SourceModel(source.fitted(template, size))
    rows = source.rows(size, template.seed)
    features, shared = source.encoded(rows, encoder, space)
    key = (source.digest, repr(template), size, hashlib.sha256(features.tobytes()).hexdigest())
    if key not in _FITS:
        _FITS[key] = clone(template).set_params(encoder=None).fit(features, source.y[rows])
    return SourceModel(_kept_fit(key), shared)


def takes_sources(predictor: Predictor) -> bool:
    """Return whether a predictor learns from sources."""
    return "sources" in predictor.get_params(deep=False)


def as_sources(given: Any) -> tuple[Source, ...]:
    """Return sources from `Source` objects, fitted predictors and `(architectures, y)` pairs; a tuple of them as it is.

    Raises
    ------
    InvalidDataError
        If an item is something else, or no good source.
    """
    if isinstance(given, tuple) and all(isinstance(item, Source) for item in given):
        return given
    if isinstance(given, (str, Source, Predictor)) or not isinstance(given, Iterable):
        raise InvalidDataError(f"sources must be a list, got {type(given).__name__}")
    found = []
    for position, item in enumerate(given):
        if isinstance(item, Source):
            found.append(item)
            continue
        try:
            if isinstance(item, Predictor):
                metadata = getattr(item, "metadata_", {})
                found.append(Source(predictor=item, name=str(metadata.get("metric", position))))
            elif isinstance(item, tuple) and len(item) == 2:
                found.append(Source(*item, name=f"{position}"))
            else:
                raise InvalidDataError(
                    f"expected a Source, a fitted predictor or (architectures, y), got {type(item).__name__}"
                )
        except InvalidDataError as error:
            raise InvalidDataError(f"source {position}: {error}") from None
    return tuple(found)


def check_sources(predictor: Predictor, space: SearchSpace) -> None:
    """Refuse sources of a predictor that can be of no use to a space, before anything is fitted.

    Raises
    ------
    InvalidDataError
        Where `fit` would refuse one of them: see `fit_source`. What an encoder learns of is not looked at.
    """
    encoder = predictor._new_encoder()
    for source in as_sources(predictor.get_params(deep=False)["sources"]):
        source.check_space(space)
        if source.predictor is None and source.space != space and encoder is not None and encoder.stateless:
            source.encoded(np.arange(1), encoder, space)


def _check_predictor(predictor: Any) -> None:
    if not isinstance(predictor, Predictor):
        raise InvalidDataError(f"expected a fitted predictor, got {type(predictor).__name__}")
    try:
        check_is_fitted(predictor, "_targets")
    except Exception:
        raise InvalidDataError(f"expected a fitted predictor, got a {type(predictor).__name__} not fitted") from None
    if predictor._info.names:
        raise InvalidDataError(f"a predictor that needs info {predictor._info.names} cannot be a source")
    if predictor.target_transform == "none":
        raise InvalidDataError("a predictor with target_transform 'none' cannot be a source: its scale says nothing")
    if len(predictor._targets.columns) != 1:
        raise InvalidDataError(f"a source forecasts one target, got {len(predictor._targets.columns)}")


def _checked_data(X: Any, y: Any) -> tuple[Architectures | Floats, Floats]:
    rows = as_batch(X) if _holds_architectures(X) else np.array(X, dtype=np.float64)
    values = np.array(y, dtype=np.float64)
    if rows.ndim != 2 or values.shape != (len(rows),):
        raise InvalidDataError(f"expected one value for each of {len(rows)} architectures, got shape {values.shape}")
    if len(rows) < 2:
        raise InvalidDataError(f"expected at least 2 observations, got {len(rows)}")
    Predictor._check_targets(values[:, None])
    if not isinstance(rows, Architectures) and not np.isfinite(rows).all():
        raise InvalidDataError("expected finite features")
    return rows, values
