"""Random forest (Breiman, 2001), with the deviation of a forecast in two ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..encoders import Encoder
from .base import Predictor
from .checks import check_choice, check_integer, check_real
from .tree_shap import ensemble_contributions
from .trees import TreeEnsemble

_FLOOR = 0.02
"""The least deviation, in units of that of the targets: trees that agree on duplicates do not make noise vanish."""


class RandomForestPredictor(Predictor):
    """Averages trees grown on bootstrap samples.

    With `deviation="total_variance"` the forecast is the mixture of the trees' leaves, whose variance is the mean
    variance within the leaves plus the variance of their means (law of total variance; Hutter, Xu, Hoos and
    Leyton-Brown, Artificial Intelligence 2014). With `"infinitesimal_jackknife"` the variance of the forest's mean
    is estimated from the covariance of trees and bootstrap counts, with the bias correction of Wager, Hastie and
    Efron (JMLR 2014), and the noise from the errors out of the bag is added.

    Parameters
    ----------
    encoder, target_transform, seed
        See `Predictor`.
    n_estimators : int
        Trees.
    max_features : float
        Share of the columns that each split looks at.
    min_samples_leaf : int
        The least number of training architectures in a leaf.
    deviation : {"total_variance", "infinitesimal_jackknife"}
        How the standard deviation is found.
    n_jobs : int
        Threads that grow trees; the result does not depend on it.
    """

    def __init__(
        self,
        encoder: str | Encoder | None = None,
        *,
        n_estimators: int = 200,
        max_features: float = 0.5,
        min_samples_leaf: int = 1,
        deviation: str = "total_variance",
        target_transform: str = "rank_gaussian",
        n_jobs: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__(encoder, target_transform=target_transform, seed=seed)
        self.n_estimators = n_estimators
        self.max_features = max_features
        self.min_samples_leaf = min_samples_leaf
        self.deviation = deviation
        self.n_jobs = n_jobs

    def _fit(self, features: NDArray[np.float64], z: NDArray[np.float64]) -> None:
        from sklearn.ensemble import RandomForestRegressor

        check_integer("n_estimators", self.n_estimators, 2)
        check_integer("min_samples_leaf", self.min_samples_leaf, 1)
        check_real("max_features", self.max_features, 0.0, 1.0)
        check_choice("deviation", self.deviation, ("total_variance", "infinitesimal_jackknife"))
        target = z[:, 0]
        forest = RandomForestRegressor(
            self.n_estimators,
            max_features=float(self.max_features),
            min_samples_leaf=self.min_samples_leaf,
            random_state=self.seed,
            n_jobs=self.n_jobs,
        ).fit(features, target)
        self._trees = TreeEnsemble.grown(forest.estimators_, features.shape[1])
        self._floor = _FLOOR * float(target.std())
        self._counts = np.zeros((self.n_estimators, 0), dtype=np.int16)
        self._noise = 0.0
        if self.deviation == "infinitesimal_jackknife":
            drawn = forest.estimators_samples_
            self._counts = np.stack([np.bincount(rows, minlength=len(target)) for rows in drawn]).astype(np.int16)
            self._noise = self._noise_variance(features, target)

    def _noise_variance(self, features: NDArray[np.float64], target: NDArray[np.float64]) -> float:
        """Return the mean squared error out of the bag, less what the variance of the mean explains of it."""
        means = self._trees.value[self._trees.leaves(features)]
        outside = self._counts == 0
        votes = outside.sum(axis=0)
        seen = votes > 0
        if not seen.any():
            return float(target.var())
        errors = (target - (means * outside).sum(axis=0) / np.maximum(votes, 1))[seen] ** 2
        explained = self._jackknife(means)[seen]
        return float(max((errors - explained).mean(), 0.25 * errors.mean()))

    def _jackknife(self, means: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the variance of the forest's mean, `(n,)`, from the trees' means, `(trees, n)`."""
        size, n_train = self._counts.shape
        counts = self._counts - self._counts.mean(axis=0)
        centred = means - means.mean(axis=0)
        raw = ((counts.T @ centred / size) ** 2).sum(axis=0)
        bias = n_train / size * (centred**2).mean(axis=0)
        result: NDArray[np.float64] = np.maximum(raw - bias, 0.0)
        return result

    def _predict_mean(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        mean: NDArray[np.float64] = self._trees.value[self._trees.leaves(features)].mean(axis=0)
        return mean[:, None]

    def _predict(self, features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        leaves = self._trees.leaves(features)
        means = self._trees.value[leaves]
        if self.deviation == "infinitesimal_jackknife":
            variance = self._jackknife(means) + self._noise
        else:
            variance = self._trees.variance[leaves].mean(axis=0) + means.var(axis=0)
        return means.mean(axis=0)[:, None], np.maximum(np.sqrt(variance), self._floor)[:, None]

    def _contributions(
        self, features: NDArray[np.float64], background: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return ensemble_contributions(self._trees, len(self._trees), 1 / len(self._trees), features, background)

    def _get_state(self) -> dict[str, NDArray[Any] | bytes]:
        return {
            **self._trees.arrays,
            "counts": self._counts,
            "noise": np.array(self._noise),
            "floor": np.array(self._floor),
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self._trees = TreeEnsemble(state, len(self.columns_))
        self._counts, self._noise, self._floor = state["counts"], float(state["noise"]), float(state["floor"])
        if self._counts.ndim != 2 or len(self._counts) != len(self._trees):
            raise ValueError(f"bootstrap counts {self._counts.shape} for {len(self._trees)} trees")
