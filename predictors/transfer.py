"""Gaussian processes that also know what sources taught: the parts that all ways of transfer have in common."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from ..encoders import Columns, Encoder
from ..encoders.base import as_batch
from ..errors import InvalidDataError
from ..spaces import Architectures, space_from_spec
from .base import Floats, Predictor
from .checks import check_integer
from .gaussian_process import GaussianProcess
from .kernels import Kernel, OnColumns, WeightedDot
from .sources import Source, SourceModel, as_sources, fit_source

MEAN, DEVIATION = "source mean", "source deviation"
"""The groups of the columns that hold what sources forecast."""


class TransferGaussianProcess(GaussianProcess):
    """A Gaussian process on the target's trainings whose features include what every source forecasts.

    Each source of data is fitted once, by `source_predictor`; clones share the fits. Without sources it is the plain
    Gaussian process.

    Parameters
    ----------
    encoder : str or Encoder, optional
    sources : sequence of Source, fitted Predictor or (architectures, y)
    source_predictor : str or Predictor
        What is fitted to sources that are data; with the target's encoder unless it names one.
    source_size : int
        Trainings of each source that are learned from at most, drawn at random.
    kernel, lengthscales, restarts, subset, target_transform, seed
        As in `GaussianProcess`, for the target.
    """

    multi_output: ClassVar[bool] = False
    takes_noise: ClassVar[bool] = False
    saved_in_state: ClassVar[frozenset[str]] = frozenset({"sources"})
    asks_sources: ClassVar[bool] = True
    """Whether sources are models whose forecasts are features."""
    _thins: ClassVar[bool] = False
    _left_out = Predictor._left_out  # the closed form holds for one posterior, not for weights of several

    def __init__(
        self,
        encoder: str | Encoder | None = None,
        *,
        sources: Any = (),
        source_predictor: str | Predictor = "gp",
        source_size: int = 800,
        kernel: str | Kernel = "matern32",
        lengthscales: str = "group",
        restarts: int = 0,
        subset: int = 300,
        target_transform: str = "rank_gaussian",
        seed: int = 0,
    ) -> None:
        super().__init__(
            encoder,
            kernel=kernel,
            lengthscales=lengthscales,
            restarts=restarts,
            subset=subset,
            target_transform=target_transform,
            seed=seed,
        )
        self.sources = sources
        self.source_predictor = source_predictor
        self.source_size = source_size

    @property
    def sources(self) -> tuple[Source, ...]:
        """The sources; whatever may stand for one becomes a `Source` when it is set, and `fit` refuses what cannot."""
        return self._sources

    @sources.setter
    def sources(self, given: Any) -> None:
        try:
            self._sources = as_sources(given)
        except InvalidDataError:
            self._sources = given

    def __repr__(self, N_CHAR_MAX: int = 1_000_000) -> str:
        return str(super().__repr__(N_CHAR_MAX))

    # ---- what sources forecast, as columns --------------------------------------------------------------------------

    def _training_matrix(self, X: Any, y: Any) -> tuple[Floats, Floats, Columns]:
        check_integer("source_size", self.source_size, 2)
        self.sources = as_sources(self.sources)
        features, targets, columns = super()._training_matrix(X, y)
        X = features if self.encoder_ is None else as_batch(X)
        self._learn_sources(X, features)
        names = [f"{i} {source.name}" for i, source in enumerate(self.sources[: len(self._models)])]
        parts = [
            Columns.of([f"{group} {name}" for name in names], group, indicator=False) for group in (MEAN, DEVIATION)
        ]
        return self._with_sources(X, features), targets, Columns.concatenate([columns, *parts])

    def forecast_sources(self, X: Architectures) -> Floats:
        """Return what every source forecasts of architectures, `(n, sources)`, whether or not `fit` was called.

        On the scale of the sources' transformed targets: mean 0 and deviation 1 over their own trainings.
        """
        X, encoder = as_batch(X), self._new_encoder()
        features = encoder.fit(X).transform(X).astype(np.float64)
        template, size = self._source_template(encoder), self.source_size
        models = [fit_source(source, template, encoder, X.space, size) for source in as_sources(self.sources)]
        return np.stack([model.scores(X, features)[0] for model in models], axis=1)

    def _learn_sources(self, X: Any, features: Floats) -> None:
        """Make a model of every source, given the target's trainings (or its feature matrix twice)."""
        template = self._source_template(self.encoder_)
        self._models = [
            fit_source(source, template, self.encoder_, self.space_, self.source_size) for source in self.sources
        ]

    def _source_template(self, encoder: Encoder | None) -> Predictor:
        if isinstance(self.source_predictor, Predictor):
            template: Predictor = clone(self.source_predictor)
            return template
        if not isinstance(self.source_predictor, str):
            raise InvalidDataError(
                f"source_predictor must be a name or a Predictor, got {type(self.source_predictor).__name__}"
            )
        from . import make_predictor

        template = make_predictor(self.source_predictor)
        if template.encoder is None and encoder is not None:
            template.set_params(encoder=clone(encoder))
        return template

    def _features(self, X: Any) -> Floats:
        return self._with_sources(X, super()._features(X))

    def _with_sources(self, X: Any, features: Floats) -> Floats:
        if not self._models:
            return features
        scores = [model.scores(X, features) for model in self._models]
        return np.column_stack([features, *(mean for mean, _ in scores), *(std for _, std in scores)])

    def _columns_of(self, *groups: str) -> NDArray[np.intp]:
        return np.flatnonzero(np.isin(self.columns_.groups, groups))

    @property
    def _own(self) -> NDArray[np.intp]:
        """The columns that say what an architecture is, rather than what sources think of it."""
        return np.flatnonzero(~np.isin(self.columns_.groups, (MEAN, DEVIATION)))

    def _make_kernel(self, output: int) -> Kernel:
        """Return the kernel of the target alone for output 0, and with the sources as prior mean for output 1."""
        own = OnColumns(self._named_kernel(), self._own)
        means = self._columns_of(MEAN)
        return own + OnColumns(WeightedDot(), means) if output == 1 and len(means) else own

    def _learn_scaling(self, features: Floats) -> None:
        """Leave what sources forecast on its scale, which says how much they know; the means are centred."""
        super()._learn_scaling(features)
        means, deviations = self._columns_of(MEAN), self._columns_of(DEVIATION)
        self._shift[means], self._shift[deviations] = features[:, means].mean(axis=0), 0.0
        self._scale[means] = self._scale[deviations] = 1.0

    # ---- saving -----------------------------------------------------------------------------------------------------

    def _get_state(self) -> dict[str, NDArray[Any] | bytes]:
        from .saving import to_bytes

        state = super()._get_state()
        described = []
        for i, source in enumerate(self.sources):
            described.append({"name": source.name, "space": source.space.spec if source.space is not None else None})
            if source.predictor is not None:
                state[f"source {i}.archcast"] = to_bytes(source.predictor)
            else:
                rows = source.X.genotypes if isinstance(source.X, Architectures) else source.X
                state |= {f"source {i}/X": np.asarray(rows), f"source {i}/y": source.y}
        for i, model in enumerate(self._models):
            if self.sources[i].predictor is None:
                state[f"model {i}.archcast"] = to_bytes(model.predictor)
            if model.shared is not None:
                state[f"model {i}/shared"] = model.shared
        if described:
            state["sources.json"] = json.dumps(described).encode()
        return state

    def _set_state(self, state: Mapping[str, Any]) -> None:
        from .saving import from_bytes

        described = json.loads(state["sources.json"]) if "sources.json" in state else []
        self.sources = tuple(_restored(state, i, about) for i, about in enumerate(described))
        self._models = []
        for i, source in enumerate(self.sources):
            if f"model {i}.archcast" in state:
                model = from_bytes(state[f"model {i}.archcast"], f"the model of source {i}")
                self._models.append(SourceModel(model, state.get(f"model {i}/shared")))
            elif source.predictor is not None and self.asks_sources:
                self._models.append(SourceModel(source.predictor))
        if len(self._models) != len(self.sources) * self.asks_sources:
            raise InvalidDataError(f"expected a model of each of {len(self.sources)} sources, got {len(self._models)}")
        super()._set_state(state)


def _restored(state: Mapping[str, Any], i: int, about: Mapping[str, Any]) -> Source:
    from .saving import from_bytes

    if f"source {i}.archcast" in state:
        return Source(predictor=from_bytes(state[f"source {i}.archcast"], f"source {i}"), name=about["name"])
    X = state[f"source {i}/X"]
    if about["space"] is not None:
        X = space_from_spec(about["space"]).architectures(X)
    return Source(X, state[f"source {i}/y"], name=about["name"])
