"""The baseline that knows nothing of the architecture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Tags

from .base import Predictor


class ConstantPredictor(Predictor):
    """Forecasts the centre and the spread of the training targets, whatever the architecture.

    Any surrogate worth its fit must beat this one in error and in likelihood; it cannot rank at all.
    """

    default_encoder: ClassVar[str] = "adjacency"
    multi_output: ClassVar[bool] = True

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.regressor_tags.poor_score = True
        return tags

    def _fit(self, features: NDArray[np.float64], z: NDArray[np.float64]) -> None:
        self.mean_ = z.mean(axis=0)
        self.std_ = z.std(axis=0, ddof=1)

    def _predict(self, features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        shape = (len(features), len(self.mean_))
        return np.broadcast_to(self.mean_, shape).copy(), np.broadcast_to(self.std_, shape).copy()

    def _get_state(self) -> dict[str, NDArray[Any] | bytes]:
        return {"mean": self.mean_, "std": self.std_}

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self.mean_, self.std_ = state["mean"], state["std"]
