"""Gradient-boosted trees of scikit-learn (Friedman, 2001), with a deviation by resampling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..encoders import Encoder
from .base import Predictor
from .checks import check_choice, check_integer, check_real
from .resampling import SCHEMES, model_variance, noise_factor, resample
from .tree_shap import ensemble_contributions
from .trees import TreeEnsemble


class GradientBoostingPredictor(Predictor):
    """Boosts small trees on random halves of rows and columns; needs nothing but scikit-learn.

    Parameters
    ----------
    encoder, target_transform, seed
        See `Predictor`.
    n_estimators : int
        Boosting rounds.
    learning_rate : float
        Shrinkage of each tree.
    max_depth, min_samples_leaf : int
        Limits of a tree.
    subsample, max_features : float
        Share of the rows that each tree sees, and of the columns that each split looks at.
    resampling : {"folds", "bootstrap"}
        How the members that give the deviation are drawn.
    n_members : int
        Members, each as costly as the fit itself.
    """

    def __init__(
        self,
        encoder: str | Encoder | None = None,
        *,
        n_estimators: int = 300,
        learning_rate: float = 0.05,
        max_depth: int = 5,
        min_samples_leaf: int = 4,
        subsample: float = 0.6,
        max_features: float = 0.3,
        resampling: str = "folds",
        n_members: int = 4,
        target_transform: str = "rank_gaussian",
        seed: int = 0,
    ) -> None:
        super().__init__(encoder, target_transform=target_transform, seed=seed)
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.max_depth = max_depth
        self.min_samples_leaf = min_samples_leaf
        self.subsample = subsample
        self.max_features = max_features
        self.resampling = resampling
        self.n_members = n_members

    def _fit(self, features: NDArray[np.float64], z: NDArray[np.float64]) -> None:
        for name in ("n_estimators", "max_depth", "min_samples_leaf"):
            check_integer(name, getattr(self, name), 1)
        for name in ("learning_rate", "subsample", "max_features"):
            check_real(name, getattr(self, name), 0.0, 1.0)
        check_integer("n_members", self.n_members, 2)
        check_choice("resampling", self.resampling, SCHEMES)
        target = z[:, 0]
        counts = resample(self.resampling, len(target), self.n_members, self.seed)
        drawn = [np.repeat(np.arange(len(target)), count) for count in counts]
        fits = [
            self._boosted(features[rows], target[rows], i) for i, rows in enumerate([np.arange(len(target)), *drawn])
        ]
        self._offsets = np.array([offset for offset, _ in fits])
        self._trees = TreeEnsemble.grown([tree for _, trees in fits for tree in trees], features.shape[1])
        forecasts = self._forecasts(features)
        ones = np.ones(len(target))
        self._noise = noise_factor(self.resampling, target, forecasts[0], forecasts[1:], counts, ones)

    def _boosted(
        self, features: NDArray[np.float64], target: NDArray[np.float64], member: int
    ) -> tuple[float, list[Any]]:
        from sklearn.ensemble import GradientBoostingRegressor

        offset = float(target.mean())
        boosted = GradientBoostingRegressor(
            n_estimators=self.n_estimators,
            learning_rate=self.learning_rate,
            max_depth=self.max_depth,
            min_samples_leaf=self.min_samples_leaf,
            subsample=self.subsample if len(target) > 1 / self.subsample else 1.0,
            max_features=float(self.max_features),
            init="zero",
            random_state=np.random.RandomState([self.seed, member]),
        ).fit(features, target - offset)
        return offset, list(boosted.estimators_[:, 0])

    def _forecasts(self, features: NDArray[np.float64], *, members: bool = True) -> NDArray[np.float64]:
        """Return the forecasts of the full fit and of the members, `(1 + members, n)`."""
        models = len(self._offsets) if members else 1
        size = len(self._trees) // len(self._offsets)
        values = self._trees.value[self._trees.leaves(features, models * size)]
        totals: NDArray[np.float64] = values.reshape(models, size, len(features)).sum(axis=1)
        return self._offsets[:models, None] + self.learning_rate * totals

    def _predict_mean(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._forecasts(features, members=False).T

    def _predict(self, features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        forecasts = self._forecasts(features)
        variance = model_variance(self.resampling, forecasts[0], forecasts[1:])
        return forecasts[0][:, None], np.sqrt(variance + self._noise**2)[:, None]

    def _contributions(
        self, features: NDArray[np.float64], background: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        size = len(self._trees) // len(self._offsets)
        values, base = ensemble_contributions(self._trees, size, self.learning_rate, features, background)
        return values, self._offsets[0] + base

    def _get_state(self) -> dict[str, NDArray[Any] | bytes]:
        return {**self._trees.arrays, "offsets": self._offsets, "noise": np.array(self._noise)}

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self._trees = TreeEnsemble(state, len(self.columns_))
        self._offsets, self._noise = state["offsets"], float(state["noise"])
        if self._offsets.ndim != 1 or not len(self._offsets) or len(self._trees) % len(self._offsets):
            raise ValueError(f"{len(self._trees)} trees cannot be shared by {len(self._offsets)} members")
