"""Gradient-boosted trees of XGBoost (Chen and Guestrin, KDD 2016), with a deviation by resampling or by quantiles."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from ..encoders import Encoder
from .base import Predictor
from .checks import check_choice, check_integer, check_real
from .resampling import SCHEMES, model_variance, noise_factor, resample
from .tree_shap import booster_contributions, import_xgboost

if TYPE_CHECKING:
    from types import ModuleType

_QUANTILES = (0.1, 0.9)
_QUANTILE_ROUNDS = 0.25
"""Boosting rounds of the quantile pair relative to those of the mean: quantiles overfit long before means do."""
_LEAST_WIDTH = 0.2
"""Quantiles may touch or cross; the targets have unit deviation."""
_FORMAT = "ubj"
_LEAST_FOLDS = 3
"""Folds of which two can be left out."""
_SECONDS_PER_TREE, _SECONDS_PER_VALUE = 1e-4, 5e-10
"""What a tree takes on one core, and what each value of the training matrix adds."""


class XGBoostPredictor(Predictor):
    """Boosts trees on random parts of rows and columns.

    The forecast is that of one model fitted to all observations; `n_members` more, fitted to resamples, tell how far
    it may be off (see `predictors/resampling.py`). With `deviation="quantiles"` a pair of quantiles (10 % and 90 %)
    gives the noise a shape over the space, which the errors on left-out observations scale, as in conformalised
    quantile regression (Romano, Patterson and Candes, NeurIPS 2019).

    The defaults suit some 50 to 1,500 architectures: deep trees that `min_child_weight` keeps shallow while data are
    few, and a third of the columns for each split.

    Parameters
    ----------
    encoder, target_transform, seed
        See `Predictor`.
    n_estimators : int
        Boosting rounds.
    learning_rate : float
        Shrinkage of each tree.
    max_depth : int
        The greatest depth of a tree.
    min_child_weight : float
        The least number of observations in a leaf.
    subsample, colsample_bynode : float
        Share of the rows that each tree sees, and of the columns that each split looks at.
    reg_lambda : float
        Quadratic penalty on the values of leaves.
    deviation : {"resampling", "quantiles"}
        Whether the noise is the same everywhere, or follows a pair of quantiles.
    resampling : {"folds", "bootstrap"}
        How the members are drawn.
    n_members : int
        Members, each as costly as the fit itself.
    n_jobs : int
        Threads; one by default, which is fastest for a few hundred architectures.
    """

    def __init__(
        self,
        encoder: str | Encoder | None = None,
        *,
        n_estimators: int = 1000,
        learning_rate: float = 0.02,
        max_depth: int = 8,
        min_child_weight: float = 4.0,
        subsample: float = 0.6,
        colsample_bynode: float = 0.3,
        reg_lambda: float = 1.0,
        deviation: str = "resampling",
        resampling: str = "folds",
        n_members: int = 4,
        target_transform: str = "rank_gaussian",
        n_jobs: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__(encoder, target_transform=target_transform, seed=seed)
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.max_depth = max_depth
        self.min_child_weight = min_child_weight
        self.subsample = subsample
        self.colsample_bynode = colsample_bynode
        self.reg_lambda = reg_lambda
        self.deviation = deviation
        self.resampling = resampling
        self.n_members = n_members
        self.n_jobs = n_jobs

    def _fit(self, features: NDArray[np.float64], z: NDArray[np.float64]) -> None:
        self._check_parameters()
        xgb, target = import_xgboost(), z[:, 0]
        # trained around zero and at unit scale, so that the penalty means the same whatever the transform
        self._centre, self._scale = float(target.mean()), float(target.std())
        standard = (target - self._centre) / self._scale
        counts = resample(self.resampling, len(target), self.n_members, self.seed)
        drawn = [np.repeat(np.arange(len(target)), count) for count in counts]
        samples = [np.arange(len(target)), *drawn]
        self._means = [self._boosted(xgb, features[rows], standard[rows], i) for i, rows in enumerate(samples)]
        paired = enumerate(samples) if self.deviation == "quantiles" else ()
        pairs = [self._boosted(xgb, features[rows], standard[rows], i, quantiles=True) for i, rows in paired]
        forecasts = self._forecasts(self._means, features)
        shape = self._left_out_shape(pairs, features, counts)
        self._noise = noise_factor(self.resampling, standard, forecasts[0], forecasts[1:], counts, shape)
        self._pairs = pairs[:1]

    def _left_out(
        self, features: NDArray[np.float64], z: NDArray[np.float64], folds: NDArray[np.intp]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return what each member says of the fold that it left out; `folds` are not needed.

        How far a member may be off there is told by further members that leave out one more fold. Those that saw an
        observation would not do: their distance to the one that did not is nearly its error.
        """
        counts = resample(self.resampling, len(z), self.n_members, self.seed)
        if self.resampling != "folds" or self.deviation != "resampling" or len(counts) < _LEAST_FOLDS:
            return super()._left_out(features, z, folds)
        xgb, standard = import_xgboost(), (z[:, 0] - self._centre) / self._scale
        members, size = self._forecasts(self._means[1:], features), len(counts)
        nested = np.zeros((size, size, len(z)))
        for number, (i, j) in enumerate(combinations(range(size), 2), start=len(self._means)):
            rows = np.flatnonzero(counts[i] * counts[j])
            booster = self._boosted(xgb, features[rows], standard[rows], number)
            nested[i, j] = nested[j, i] = self._forecasts([booster], features)[0]
        mean, variance = np.empty(len(z)), np.empty(len(z))
        for i in range(size):
            out, others = counts[i] == 0, np.arange(size) != i
            mean[out] = members[i, out]
            variance[out] = model_variance(self.resampling, members[i, out], nested[i][np.ix_(others, out)])
        std = np.sqrt(variance + self._noise**2)
        return (self._centre + self._scale * mean)[:, None], (self._scale * std)[:, None]

    def _seconds(self, n: int, d: int) -> float:
        """Return the estimate for all boosters, those of pairs of folds included."""
        boosters = 1 + self.n_members + self.n_members * (self.n_members - 1) / 2
        return boosters * self.n_estimators * (_SECONDS_PER_TREE + _SECONDS_PER_VALUE * n * d)

    def _check_parameters(self) -> None:
        for name in ("n_estimators", "max_depth", "n_jobs"):
            check_integer(name, getattr(self, name), 1)
        for name in ("learning_rate", "subsample", "colsample_bynode"):
            check_real(name, getattr(self, name), 0.0, 1.0)
        for name in ("min_child_weight", "reg_lambda"):
            check_real(name, getattr(self, name), -1e-300)
        check_integer("n_members", self.n_members, 2)
        check_choice("deviation", self.deviation, ("resampling", "quantiles"))
        check_choice("resampling", self.resampling, SCHEMES)

    def _boosted(
        self,
        xgb: ModuleType,
        features: NDArray[np.float64],
        target: NDArray[np.float64],
        member: int,
        *,
        quantiles: bool = False,
    ) -> Any:
        objective: dict[str, Any] = {"objective": "reg:squarederror"}
        rounds = self.n_estimators
        if quantiles:
            objective = {"objective": "reg:quantileerror", "quantile_alpha": list(_QUANTILES)}
            rounds = max(1, round(_QUANTILE_ROUNDS * rounds))
        parameters = {
            **objective,
            "base_score": 0.0,
            "learning_rate": self.learning_rate,
            "max_depth": self.max_depth,
            "min_child_weight": self.min_child_weight,
            "subsample": self.subsample,
            "colsample_bynode": self.colsample_bynode,
            "reg_lambda": self.reg_lambda,
            "tree_method": "hist",
            "max_bin": 64,
            "nthread": self.n_jobs,
            "seed": int(np.random.SeedSequence([self.seed, member]).generate_state(1)[0] >> 1),
            "verbosity": 0,
        }
        return xgb.train(parameters, xgb.DMatrix(features, label=target, nthread=self.n_jobs), rounds)

    def _forecasts(
        self, boosters: list[Any], features: NDArray[np.float64], *, pairs: bool = False
    ) -> NDArray[np.float64]:
        """Return the boosters' forecasts, `(boosters, n)`, or `(boosters, n, 2)` for quantile pairs."""
        matrix = import_xgboost().DMatrix(features, nthread=self.n_jobs)
        if not len(features):
            return np.zeros((len(boosters), 0, len(_QUANTILES)) if pairs else (len(boosters), 0))
        return np.stack([booster.predict(matrix).astype(np.float64) for booster in boosters])

    def _widths(self, pairs: list[Any], features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the deviations that quantile pairs stand for, `(pairs, n)`."""
        bounds = self._forecasts(pairs, features, pairs=True)
        widths: NDArray[np.float64] = (bounds[..., 1] - bounds[..., 0]) / (ndtri(_QUANTILES[1]) - ndtri(_QUANTILES[0]))
        floored: NDArray[np.float64] = np.maximum(widths, _LEAST_WIDTH)
        return floored

    def _left_out_shape(
        self, pairs: list[Any], features: NDArray[np.float64], counts: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return the shape of the noise at the training points, `(n,)`, from members that did not see them."""
        if not pairs:
            return np.ones(len(features))
        widths, outside = self._widths(pairs, features), counts == 0
        votes = outside.sum(axis=0)
        shape: NDArray[np.float64] = np.where(
            votes > 0, (widths[1:] * outside).sum(axis=0) / np.maximum(votes, 1), widths[0]
        )
        return shape

    def _predict_mean(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        mean: NDArray[np.float64] = self._centre + self._scale * self._forecasts(self._means[:1], features)
        return mean.T

    def _predict(self, features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        full, *_ = forecasts = self._forecasts(self._means, features)
        variance = model_variance(self.resampling, full, forecasts[1:])
        shape = self._widths(self._pairs, features)[0] if self._pairs else np.ones(len(full))
        std = np.sqrt(variance + (self._noise * shape) ** 2)
        return (self._centre + self._scale * full)[:, None], (self._scale * std)[:, None]

    def _contributions(
        self, features: NDArray[np.float64], background: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        values, base = booster_contributions(self._means[0], features, background)
        return self._scale * values, self._centre + self._scale * base

    def _get_state(self) -> dict[str, NDArray[Any] | bytes]:
        state: dict[str, NDArray[Any] | bytes] = {
            "scalars": np.array([self._centre, self._scale, self._noise]),
            "sizes": np.array([len(self._means), len(self._pairs)]),
        }
        for kind, boosters in (("mean", self._means), ("pair", self._pairs)):
            for i, booster in enumerate(boosters):
                state[f"{kind}-{i}.{_FORMAT}"] = bytes(booster.save_raw(raw_format=_FORMAT))
        return state

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self._centre, self._scale, self._noise = state["scalars"].tolist()
        means, pairs = state["sizes"].tolist()
        self._means = [self._loaded(state[f"mean-{i}.{_FORMAT}"]) for i in range(means)]
        self._pairs = [self._loaded(state[f"pair-{i}.{_FORMAT}"]) for i in range(pairs)]

    def _loaded(self, content: bytes) -> Any:
        booster = import_xgboost().Booster({"nthread": self.n_jobs})
        booster.load_model(bytearray(content))
        if booster.num_features() != len(self.columns_):
            raise ValueError(f"a booster reads {booster.num_features()} columns, expected {len(self.columns_)}")
        return booster
