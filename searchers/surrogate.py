"""Surrogates as searchers use them: fitted to a history, forecasting a fixed set of candidates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from ..errors import InvalidDataError
from ..predictors import Predictor, make_predictor
from ..predictors.targets import TRANSFORMS
from ..spaces import Architectures
from .acquisition import Forecast, ForecastT
from .content import ContentCache, content
from .features import SpaceEncoder
from .history import History

Floats: TypeAlias = NDArray[np.float64]

_KEPT_FITS = 64


class Surrogate(ABC, Generic[ForecastT]):
    """A model of the finished trials that forecasts a fixed set of candidates, on the scale of `targets`."""

    @abstractmethod
    def forecast(self) -> ForecastT:
        """Return the forecast of all candidates."""

    @abstractmethod
    def believe(self, row: int) -> None:
        """Go on as if candidate `row` had been trained, with the outcome that is forecast: a kriging believer.

        Ginsbourger, Le Riche and Carraro, "Kriging Is Well-Suited to Parallelize Optimization", 2010.
        """


def training_set(history: History, transform: str, trials: int | None = None) -> tuple[Architectures, Floats]:
    """Return the first finished trials, `(f,)`, and their utilities on the surrogate's scale: mean 0, deviation 1.

    The scale is learned from the same trials, so that it changes with every outcome: with rank-Gaussian targets the
    best of few is no outlier, and the worst of many does not flatten the top.
    """
    rows = history.finished[:trials]
    known = history.utilities[rows]
    return history.architectures[rows], Scale(known, transform).to(known)


class Scale:
    """The map from utilities to targets of mean 0 and deviation 1; none for utilities that are all equal.

    Parameters
    ----------
    utilities : float64 array `(n,)`
        What it is learned from.
    transform : str
        One of `archcast.predictors.targets.TRANSFORMS`.
    """

    def __init__(self, utilities: Floats, transform: str) -> None:
        constant = bool((utilities == utilities[0]).all())
        self._map = TRANSFORMS["none" if constant else transform]().fit(utilities)
        z = self._map.transform(utilities)
        self._shift, self._spread = (0.0, 1.0) if constant else (float(z.mean()), float(z.std()))

    def to(self, utilities: Floats) -> Floats:
        """Return utilities as targets, any shape."""
        return np.asarray((self._map.transform(utilities) - self._shift) / self._spread)


def is_informative(history: History) -> bool:
    """Return whether a surrogate can learn from the finished trials: two different outcomes at least."""
    known = history.utilities[history.finished]
    return len(known) >= 2 and bool((known != known[0]).any())


def new_predictor(predictor: str | Predictor) -> Predictor:
    """Return an unfitted predictor from a name or an example.

    Raises
    ------
    InvalidDataError
        If it is neither.
    """
    if isinstance(predictor, str):
        return make_predictor(predictor)
    if isinstance(predictor, Predictor):
        copy: Predictor = clone(predictor)
        return copy
    raise InvalidDataError(f"predictor must be a name or a Predictor, got {type(predictor).__name__}")


def remembering(predictor: Predictor, *, scaled: bool = False) -> Predictor:
    """Return the predictor with an encoder that remembers what it encoded, where the encoding is not learned."""
    encoder = predictor._new_encoder()
    if encoder.stateless:
        predictor.set_params(encoder=SpaceEncoder(encoder, scaled=scaled))
    return predictor


_FITS = ContentCache(_KEPT_FITS)


def fitted_to(predictor: Predictor, architectures: Architectures, z: Floats) -> Predictor:
    """Return a copy of the predictor fitted to transformed targets; fits are remembered by their content."""
    key = (content(predictor), architectures.space, architectures.genotypes.tobytes(), z.tobytes())
    fitted = _FITS.get(key)
    if fitted is None:
        fitted = clone(predictor)
        if "target_transform" in fitted.get_params():
            fitted.set_params(target_transform="none")
        fitted.fit(architectures, z)
        _FITS.put(key, fitted)
    return fitted  # type: ignore[no-any-return]


class PredictorSurrogate(Surrogate[Forecast]):
    """Any predictor as a surrogate. Believing trains it anew.

    Parameters
    ----------
    predictor : Predictor
        Not fitted.
    history : History
        Pending trials are believed at their forecast.
    candidates : Architectures, `(m,)`
    transform : str
        How utilities are turned into targets.
    """

    def __init__(self, predictor: Predictor, history: History, candidates: Architectures, transform: str) -> None:
        self._predictor = predictor
        self._candidates = candidates
        self._known, self._z = training_set(history, transform)
        self._incumbent = float(self._z.max())
        self._fitted = fitted_to(predictor, self._known, self._z)
        if len(history.pending):
            pending = history.architectures[history.pending]
            self._learn(pending, self._fitted.predict(pending))
        self._forecast: Forecast | None = None

    def _learn(self, architectures: Architectures, believed: Floats) -> None:
        self._known = Architectures.concatenate([self._known, architectures])
        self._z = np.concatenate([self._z, believed])
        self._fitted = fitted_to(self._predictor, self._known, self._z)
        self._forecast = None

    def forecast(self) -> Forecast:
        """Return the forecast of all candidates, whose joint draws are independent."""
        if self._forecast is None:
            self._forecast = independent_forecast(self._fitted, self._candidates, self._incumbent)
        return self._forecast

    def believe(self, row: int) -> None:
        """Train again with the forecast of a candidate as its outcome."""
        self._learn(self._candidates[row : row + 1], self.forecast().mean[row : row + 1])


def independent_forecast(fitted: Predictor, candidates: Architectures, incumbent: float) -> Forecast:
    """Return what a predictor forecasts, candidates being independent of each other."""
    mean, std = fitted.predict(candidates, return_std=True)
    std = np.maximum(std, 1e-9)
    return Forecast(mean, std, incumbent, lambda rng: np.asarray(rng.normal(mean, std)))
