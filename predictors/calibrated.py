"""Another predictor with its deviation and quantiles corrected on what it did not see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..encoders import Encoder
from ..errors import InvalidDataError
from .base import Predictor
from .checks import check_choice, check_integer
from .left_out import LEAST_OBSERVATIONS, draw_folds
from .nested import adopt, prefixed, under
from .recalibration import METHODS, Recalibration

Floats = NDArray[np.float64]


class CalibratedPredictor(Predictor):
    """Fits another predictor, and corrects how sure it is by its forecasts of left-out observations.

    The forecast itself, and with it the ranking, is that of the other predictor. Its intervals become as wide as the
    errors on held-out folds say: see `Recalibration` for the methods. With fewer than ten observations nothing is
    corrected.

    `make_predictor("calibrated:random_forest@semantic")` is `CalibratedPredictor("semantic",
    predictor="random_forest")`.

    Parameters
    ----------
    encoder : str or Encoder, optional
        What the other predictor reads; its own by default.
    predictor : str or Predictor
        The other predictor; its `encoder`, if this has none, is used, and its `target_transform` is not.
    method : {"conformal", "isotonic", "scale"}
        How levels are corrected.
    folds : int
        Folds that are left out, where the predictor has to be fitted again for that.
    target_transform, seed
        See `Predictor`; a predictor given by name gets the seed too.

    Attributes
    ----------
    predictor_ : Predictor
        The other one, fitted.
    """

    def __init__(
        self,
        encoder: str | Encoder | None = None,
        *,
        predictor: str | Predictor = "gp",
        method: str = "conformal",
        folds: int = 5,
        target_transform: str = "rank_gaussian",
        seed: int = 0,
    ) -> None:
        super().__init__(encoder, target_transform=target_transform, seed=seed)
        self.predictor = predictor
        self.method = method
        self.folds = folds

    def _chosen(self) -> Predictor:
        from . import make_predictor

        if isinstance(self.predictor, str):
            return make_predictor(self.predictor, seed=self.seed)
        if not isinstance(self.predictor, Predictor):
            raise InvalidDataError(f"predictor must be a name or a Predictor, got {type(self.predictor).__name__}")
        return self.predictor

    def _new_encoder(self) -> Encoder:
        return self._chosen()._new_encoder() if self.encoder is None else super()._new_encoder()

    def _adopted(self) -> Predictor:
        return adopt(self._chosen(), self, np.arange(len(self.columns_)), self.encoder_)

    def _fit(self, features: Floats, z: Floats) -> None:
        check_choice("method", self.method, METHODS)
        check_integer("folds", self.folds, 2)
        self.predictor_ = self._adopted()
        self.predictor_._fit(features, z)
        residuals = np.zeros(0)
        if len(z) >= LEAST_OBSERVATIONS:
            mean, std = self.predictor_._left_out(features, z, draw_folds(len(z), self.folds, self.seed))
            residuals = ((z - mean) / std)[:, 0]
        self._recalibration = Recalibration.learn(self.method, residuals)

    def _predict_mean(self, features: Floats) -> Floats:
        return self.predictor_._predict_mean(features)

    def _predict(self, features: Floats) -> tuple[Floats, Floats]:
        mean, std = self.predictor_._predict(features)
        return mean, std * self._recalibration.deviation

    def _distribution(self, features: Floats, levels: Floats) -> tuple[Floats, Floats, Floats]:
        return self._recalibration.distribution(*self.predictor_._predict(features), levels)

    def _seconds(self, n: int, d: int) -> float:
        """Return the estimate of the other predictor."""
        return self._adopted()._seconds(n, d)

    @property
    def report_(self) -> list[dict[str, Any]]:
        """What the other predictor chose."""
        return self.predictor_.report_

    @property
    def chosen_(self) -> str:
        """What the other predictor chose."""
        return self.predictor_.chosen_

    def _get_state(self) -> dict[str, NDArray[Any] | bytes]:
        inner = prefixed("predictor/", self.predictor_._get_state())
        return inner | prefixed("recalibration/", self._recalibration.arrays())

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self.predictor_ = self._adopted()
        self.predictor_._set_state(under("predictor/", state))
        self._recalibration = Recalibration.restored(under("recalibration/", state))
