"""Linear regression with a penalty that the data choose, and an honest predictive deviation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from ..encoders import Encoder
from .base import Predictor
from .checks import check_choice, check_real
from .scaling import column_scaling

_GRID = np.linspace(np.log(1e-6), np.log(1e4), 81)
_LEAST_PENALTY = 1e-12
"""Columns that never vary leave nothing to choose a penalty by; those that vary have unit deviation."""


class LinearPredictor(Predictor):
    """Linear in the features, with a quadratic penalty on the coefficients.

    The penalty `lambda` minimises generalised cross-validation (ridge regression; Golub, Heath and Wahba, 1979), or
    maximises the evidence of a Gaussian prior on the coefficients (Bayesian linear regression; MacKay, 1992), here as
    the global optimum of its one-dimensional profile. Both come from one singular value decomposition. The deviation
    is that of a new observation: `sigma^2 (1 + 1/n + x' (X'X + lambda I)^-1 x)`.

    Parameters
    ----------
    encoder, target_transform, seed
        See `Predictor`.
    criterion : {"gcv", "evidence"}
        How the penalty is chosen.
    penalty : float, optional
        A fixed penalty in place of the chosen one.
    """

    multi_output: ClassVar[bool] = True

    def __init__(
        self,
        encoder: str | Encoder | None = None,
        *,
        criterion: str = "gcv",
        penalty: float | None = None,
        target_transform: str = "rank_gaussian",
        seed: int = 0,
    ) -> None:
        super().__init__(encoder, target_transform=target_transform, seed=seed)
        self.criterion = criterion
        self.penalty = penalty

    def _fit(self, features: NDArray[np.float64], z: NDArray[np.float64]) -> None:
        check_choice("criterion", self.criterion, ("gcv", "evidence"))
        if self.penalty is not None:
            check_real("penalty", self.penalty, 0.0)
        shift, self.scale_ = column_scaling(features, self.columns_)
        scaled = (features - shift) / self.scale_
        middle = scaled.mean(axis=0)
        self.shift_ = shift + middle * self.scale_
        left, singular, right = np.linalg.svd(scaled - middle, full_matrices=False)
        squares = singular**2
        self.centre_ = z.mean(axis=0)
        self.rows_ = np.ascontiguousarray(right)
        self.n_ = len(z)
        penalties, variances, weights = [], [], []
        for target in (z - self.centre_).T:
            spectrum = _Spectrum.of(squares, left, target)
            penalty = spectrum.choose(self.criterion) if self.penalty is None else float(self.penalty)
            penalty = max(penalty, _LEAST_PENALTY)
            variance = (
                spectrum.evidence_variance(penalty) if self.criterion == "evidence" else spectrum.variance(penalty)
            )
            variances.append(max(variance, 1e-8 * float(target @ target) / self.n_))
            penalties.append(penalty)
            weights.append(singular * spectrum.projected / (squares + penalty))
        self.penalty_, self.variance_ = np.array(penalties), np.array(variances)
        self.coef_ = np.ascontiguousarray(self.rows_.T @ np.stack(weights, axis=1))
        self.shrinkage_ = 1 / (squares[:, None] + self.penalty_) - 1 / self.penalty_

    def _predict_mean(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        mean: NDArray[np.float64] = ((features - self.shift_) / self.scale_) @ self.coef_ + self.centre_
        return mean

    def _predict(self, features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        centred = (features - self.shift_) / self.scale_
        # x' (X'X + lambda I)^-1 x: along the singular vectors, and lambda^-1 across them
        leverage = (centred @ self.rows_.T) ** 2 @ self.shrinkage_ + (centred**2).sum(axis=1)[:, None] / self.penalty_
        std = np.sqrt(self.variance_ * (1 + 1 / self.n_ + np.maximum(leverage, 0.0)))
        return centred @ self.coef_ + self.centre_, std

    def _contributions(
        self, features: NDArray[np.float64], background: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        away = (features - background.mean(axis=0)) / self.scale_
        return away * self.coef_[:, 0], self._predict_mean(background).mean(axis=0)[:1]

    def _get_state(self) -> dict[str, NDArray[Any] | bytes]:
        state: dict[str, NDArray[Any] | bytes] = {name: getattr(self, f"{name}_") for name in _STATE}
        return {**state, "n": np.array(self.n_)}

    def _set_state(self, state: Mapping[str, Any]) -> None:
        for name in _STATE:
            setattr(self, f"{name}_", state[name])
        self.n_ = int(state["n"])
        d, m = self.coef_.shape
        if not (self.shift_.shape == self.scale_.shape == (d,) and self.rows_.shape[1] == d == len(self.columns_)):
            raise ValueError(f"the coefficients are for {d} columns, the encoding has {len(self.columns_)}")
        if not self.centre_.shape == self.penalty_.shape == self.variance_.shape == (m,):
            raise ValueError(f"the coefficients are for {m} outputs, the variances for {self.variance_.shape}")


_STATE = ("shift", "scale", "centre", "rows", "penalty", "variance", "coef", "shrinkage")


@dataclass(frozen=True)
class _Spectrum:
    """A centred target along the left singular vectors of the centred design: all that the penalty depends on."""

    squares: NDArray[np.float64]
    projected: NDArray[np.float64]
    rest: float
    n: int

    @classmethod
    def of(cls, squares: NDArray[np.float64], left: NDArray[np.float64], target: NDArray[np.float64]) -> _Spectrum:
        projected = left.T @ target
        return cls(squares, projected, max(float(target @ target - projected @ projected), 0.0), len(target))

    def variance(self, penalty: float) -> float:
        """Return the residual sum of squares over the degrees of freedom that are left; the mean takes one."""
        shrunk = penalty / (self.squares + penalty)
        residual = self.rest + float((self.projected**2 * shrunk**2).sum())
        return residual / max(self.n - 1 - float((1 - shrunk).sum()), 0.5)

    def evidence_variance(self, penalty: float) -> float:
        """Return the noise variance that maximises the evidence."""
        return (self.rest + float((self.projected**2 * penalty / (self.squares + penalty)).sum())) / (self.n - 1)

    def gcv(self, penalty: float) -> float:
        """Return the logarithm of the generalised cross-validation score."""
        freedom = self.n - 1 - float((self.squares / (self.squares + penalty)).sum())
        return float(np.log(max(self.variance(penalty), 1e-300)) - np.log(max(freedom, 0.5)))

    def negative_evidence(self, penalty: float) -> float:
        """Return twice the negative log evidence at the best noise variance, up to a constant."""
        variance = max(self.evidence_variance(penalty), 1e-300)
        return float((self.n - 1) * np.log(variance) + np.log1p(self.squares / penalty).sum())

    def choose(self, criterion: str) -> float:
        """Return the penalty with the best score: on a grid relative to the largest eigenvalue, then refined."""
        largest = max(float(self.squares.max()), np.finfo(np.float64).tiny)
        score = self.gcv if criterion == "gcv" else self.negative_evidence
        scores = [score(largest * np.exp(t)) for t in _GRID]
        best = int(np.argmin(scores))
        low, high = _GRID[max(best - 1, 0)], _GRID[min(best + 1, len(_GRID) - 1)]
        found = minimize_scalar(
            lambda t: score(largest * np.exp(t)), bounds=(low, high), method="bounded", options={"xatol": 1e-4}
        )
        return float(largest * np.exp(found.x if found.fun <= scores[best] else _GRID[best]))
