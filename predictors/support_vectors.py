"""Support vector regression with a radial kernel, its hyperparameters chosen by cross-validation."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..encoders import Encoder
from .base import Predictor
from .checks import check_choice, check_integer, check_real
from .kernels.stationary import squared_distances
from .resampling import SCHEMES, model_variance, noise_factor, resample
from .scaling import column_scaling

_PENALTIES = (0.3, 1.0, 10.0, 100.0)
_GAMMAS = (0.1, 0.3, 1.0)
"""In units of the inverse mean squared distance of two training rows."""
_FOLDS = 3
_BLOCK = 2048


class SupportVectorPredictor(Predictor):
    """Epsilon-insensitive support vector regression; quantities are standardised, indicators left as they are.

    Penalty and width of the kernel are those with the least squared error in three-fold cross-validation; the deviation
    comes from refits to resamples, see `resampling`.

    Parameters
    ----------
    encoder, target_transform, seed
        See `Predictor`.
    epsilon : float
        Errors below cost nothing, in units of the deviation of the targets.
    resampling : {"folds", "bootstrap"}
    n_members : int
        Refits.

    Notes
    -----
    Drucker, Burges, Kaufman, Smola and Vapnik, "Support Vector Regression Machines", NIPS 1996.
    """

    def __init__(
        self,
        encoder: str | Encoder | None = None,
        *,
        epsilon: float = 0.05,
        resampling: str = "folds",
        n_members: int = 5,
        target_transform: str = "rank_gaussian",
        seed: int = 0,
    ) -> None:
        super().__init__(encoder, target_transform=target_transform, seed=seed)
        self.epsilon = epsilon
        self.resampling = resampling
        self.n_members = n_members

    def _fit(self, features: NDArray[np.float64], z: NDArray[np.float64]) -> None:
        check_real("epsilon", self.epsilon, 0.0)
        check_choice("resampling", self.resampling, SCHEMES)
        check_integer("n_members", self.n_members, 2)
        self.shift_, self.scale_ = column_scaling(features, self.columns_)
        self.points_ = (features - self.shift_) / self.scale_
        self.offset_, self.unit_ = float(z.mean()), float(z.std()) or 1.0
        target = (z[:, 0] - self.offset_) / self.unit_
        distances = squared_distances(self.points_, self.points_)
        self.gamma_, self.penalty_ = self._chosen(distances, target)
        K = np.exp(-self.gamma_ * distances)
        counts = resample(self.resampling, len(target), self.n_members, self.seed)
        fits = [self._solved(K, target, weights) for weights in [np.ones(len(target)), *counts]]
        self.coefficients_ = np.stack([coefficients for coefficients, _ in fits])
        self.intercepts_ = np.array([intercept for _, intercept in fits])
        forecasts = self._forecasts(features)
        ones = np.ones(len(target))
        scaled = z[:, 0]
        self._noise = noise_factor(self.resampling, scaled, forecasts[0], forecasts[1:], counts, ones)

    def _chosen(self, distances: NDArray[np.float64], target: NDArray[np.float64]) -> tuple[float, float]:
        """Return width and penalty with the least error in cross-validation."""
        n = len(target)
        typical = float(distances.sum()) / max(n * (n - 1), 1) or 1.0
        grid = [(gamma / typical, penalty) for gamma, penalty in product(_GAMMAS, _PENALTIES)]
        if n < 2 * _FOLDS:
            return 0.3 / typical, 1.0
        fold = np.random.default_rng(self.seed).permutation(n) % _FOLDS
        errors = []
        for self.gamma_, self.penalty_ in grid:
            K, error = np.exp(-self.gamma_ * distances), 0.0
            for k in range(_FOLDS):
                coefficients, intercept = self._solved(K, target, (fold != k).astype(np.float64))
                error += float(((K[fold == k] @ coefficients + intercept - target[fold == k]) ** 2).sum())
            errors.append(error)
        return grid[int(np.argmin(errors))]

    def _solved(
        self, K: NDArray[np.float64], target: NDArray[np.float64], weights: NDArray[Any]
    ) -> tuple[NDArray[np.float64], float]:
        """Return the coefficient of each training row `(n,)`, and the intercept, for rows of these weights."""
        from sklearn.svm import SVR

        rows = np.flatnonzero(weights > 0)
        model = SVR(kernel="precomputed", C=self.penalty_, epsilon=self.epsilon, cache_size=100)
        model.fit(K[np.ix_(rows, rows)], target[rows], sample_weight=weights[rows].astype(np.float64))
        coefficients = np.zeros(len(target))
        coefficients[rows[model.support_]] = model.dual_coef_[0]
        return coefficients, float(model.intercept_[0])

    def _forecasts(self, features: NDArray[np.float64], *, members: bool = True) -> NDArray[np.float64]:
        """Return the forecasts of the full fit and of the members, `(1 + members, n)`."""
        models = len(self.intercepts_) if members else 1
        parts = [np.zeros((models, 0))]
        for start in range(0, len(features), _BLOCK):
            points = (features[start : start + _BLOCK] - self.shift_) / self.scale_
            K = np.exp(-self.gamma_ * squared_distances(points, self.points_))
            parts.append(self.coefficients_[:models] @ K.T + self.intercepts_[:models, None])
        return self.offset_ + self.unit_ * np.concatenate(parts, axis=1)

    def _predict_mean(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._forecasts(features, members=False).T

    def _predict(self, features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        forecasts = self._forecasts(features)
        variance = model_variance(self.resampling, forecasts[0], forecasts[1:])
        return forecasts[0][:, None], np.sqrt(variance + self._noise**2)[:, None]

    def _get_state(self) -> dict[str, NDArray[Any] | bytes]:
        return {
            "points": self.points_,
            "coefficients": self.coefficients_,
            "intercepts": self.intercepts_,
            "shift": self.shift_,
            "scale": self.scale_,
            "numbers": np.array([self.gamma_, self.penalty_, self.offset_, self.unit_, self._noise]),
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self.points_, self.coefficients_, self.intercepts_ = (
            np.ascontiguousarray(state[name]) for name in ("points", "coefficients", "intercepts")
        )
        self.shift_, self.scale_ = state["shift"], state["scale"]
        self.gamma_, self.penalty_, self.offset_, self.unit_, self._noise = state["numbers"].tolist()
        if self.coefficients_.shape != (len(self.intercepts_), len(self.points_)):
            raise ValueError(f"coefficients {self.coefficients_.shape} for {len(self.points_)} rows")
