"""Exact Gaussian process regression on encoded architectures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular

from ..encoders import Encoder
from ..errors import InvalidDataError
from .base import Predictor
from .kernels import Hamming, Kernel, Linear, Stationary, Tanimoto
from .marginal_likelihood import Matrix, NoisePrior, cholesky, fit_parameters

_QUERY_CHUNK = 512
"""Architectures forecast at once: their covariances with a thousand observations stay in the cache."""

_SECONDS_PER_FLOP = 1.5e-10
"""Roughly, on one core, memory traffic included."""

KERNELS: Mapping[str, Callable[[str], Kernel]] = {
    "matern52": lambda weights: Stationary("matern52", weights),
    "matern32": lambda weights: Stationary("matern32", weights),
    "rbf": lambda weights: Stationary("rbf", weights),
    "tanimoto": lambda _: Tanimoto(),
    "hamming": lambda _: Hamming(),
    "wl": lambda _: Linear(),
}
"""The named kernels; each takes how lengthscales are shared. Those of counts look at raw, not standardised columns."""

_RAW = (Tanimoto, Hamming, Linear)


class GaussianProcess(Predictor):
    """Exact Gaussian process with priors on all hyperparameters, fitted by their posterior mode.

    Indicator columns enter as 0 and 1, quantities standardised. Distances are normalised per group of columns (the
    kinds of features an encoder makes), and each group has its own lengthscale: with a hundred trainings this ranks
    much better than one lengthscale, and than one for each of hundreds of columns.

    The marginal likelihood is computed with its analytic gradient in LAPACK, without an automatic differentiation
    graph: see `tools/bench` for what that saves.

    Parameters
    ----------
    encoder : str or Encoder, optional
        Used when `X` is architectures; `"semantic"` by default.
    kernel : {"matern32", "matern52", "rbf", "tanimoto", "hamming", "wl"} or Kernel
        Kernels combine by `+` and `*`: `Stationary("rbf") + Tanimoto()`. A kernel object is used on standardised
        columns unless it is one of the count kernels.
    lengthscales : {"group", "column", "one"}
        One for each kind of feature, for each column (automatic relevance determination), or one for all.
    restarts : int
        Further starts of the optimiser, drawn from the priors.
    subset : int
        Hyperparameters are searched on at most so many observations, and polished on all.
    target_transform : {"rank_gaussian", "standardize", "none"}
    seed : int
        Seeds the restarts and the subset.

    Attributes
    ----------
    kernels_ : list of Kernel
        One per output.
    parameters_ : list of float64 array
        Log hyperparameters of each output, the log noise variance last.

    Notes
    -----
    Rasmussen and Williams, "Gaussian Processes for Machine Learning", MIT Press 2006: algorithm 2.1 and section 5.4.1.
    Memory is `O(n^2)`, time `O(n^3)` in the number of observations.
    """

    multi_output: ClassVar[bool] = True

    def __init__(
        self,
        encoder: str | Encoder | None = None,
        *,
        kernel: str | Kernel = "matern32",
        lengthscales: str = "group",
        restarts: int = 0,
        subset: int = 300,
        target_transform: str = "rank_gaussian",
        seed: int = 0,
    ) -> None:
        super().__init__(encoder, target_transform=target_transform, seed=seed)
        self.kernel = kernel
        self.lengthscales = lengthscales
        self.restarts = restarts
        self.subset = subset

    def _make_kernel(self, output: int) -> Kernel:
        """Return the kernel of an output, not set up."""
        return self._named_kernel()

    def _named_kernel(self) -> Kernel:
        """Return a copy of the kernel that the parameters ask for."""
        if isinstance(self.kernel, Kernel):
            import copy

            return copy.deepcopy(self.kernel)
        if self.kernel not in KERNELS:
            raise InvalidDataError(f"kernel must be one of {', '.join(KERNELS)}, got {self.kernel!r}")
        return KERNELS[self.kernel](self.lengthscales)

    def _fit(self, features: Matrix, z: Matrix) -> None:
        self._learn_scaling(features)
        self._X = self._scaled(features)
        self._z_mean, self._z_scale = z.mean(axis=0), z.std(axis=0)
        standard = (z - self._z_mean) / self._z_scale
        self.kernels_, self.parameters_ = [], []
        for k in range(z.shape[1]):
            kernel = self._make_kernel(k)
            kernel.setup(self._X, self._groups)
            self.kernels_.append(kernel)
            self.parameters_.append(
                fit_parameters(
                    kernel,
                    self._X,
                    np.ascontiguousarray(standard[:, k]),
                    NoisePrior(),
                    restarts=self.restarts,
                    subset=self.subset,
                    seed=self.seed + k,
                )
            )
        self._condition(standard)

    def _learn_scaling(self, features: Matrix) -> None:
        """Learn the shift and scale of the quantities."""
        keep = self.columns_.indicator | self._raw_columns()
        spread = features.std(axis=0)
        self._shift = np.where(keep, 0.0, features.mean(axis=0))
        self._scale = np.where(keep | (spread < 1e-9), 1.0, spread)
        _, self._groups = np.unique(np.array(self.columns_.groups), return_inverse=True)

    def _raw_columns(self) -> NDArray[np.bool_]:
        """Return the columns that the kernel needs as they are, `(d,)`: all of them for the kernels of counts."""
        return np.full(len(self.columns_), isinstance(self._named_kernel(), _RAW))

    def _scaled(self, features: Matrix) -> Matrix:
        scaled: Matrix = (features - self._shift) / self._scale
        return scaled

    def _condition(self, standard: Matrix) -> None:
        """Factorise the covariance of the observations of each output, and solve for its targets."""
        self._factors, self._alphas = [], []
        for k, (kernel, theta) in enumerate(zip(self.kernels_, self.parameters_, strict=True)):
            K = kernel.covariance(theta[:-1], self._X, self._X)
            K[np.diag_indices_from(K)] += self._row_noise(theta)
            factor, _ = cholesky(K)
            self._factors.append(factor)
            self._alphas.append(cho_solve((factor, True), standard[:, k], check_finite=False))

    def _row_noise(self, theta: Matrix) -> Matrix | float:
        """Return the variance of the noise of every observation, or that of all."""
        return self._noise(theta)

    @staticmethod
    def _noise(theta: Matrix) -> float:
        return float(np.exp(theta[-1])) + NoisePrior().floor

    def _left_out(self, features: Matrix, z: Matrix, folds: NDArray[np.intp]) -> tuple[Matrix, Matrix]:
        """Return the forecasts of each fold given the others, at the hyperparameters found with all.

        For observations B left out: mean `z_B - (C_BB)^-1 (C z)_B` and covariance `(C_BB)^-1`, where C is the inverse
        of the covariance of all (Rasmussen and Williams, 2006, section 5.4.2, there for one observation).
        """
        standard = (z - self._z_mean) / self._z_scale
        mean, std = np.empty_like(z), np.empty_like(z)
        for k, (factor, alpha) in enumerate(zip(self._factors, self._alphas, strict=True)):
            inverse = cho_solve((factor, True), np.eye(len(z)), check_finite=False)
            for fold in np.unique(folds):
                inside = np.flatnonzero(folds == fold)
                block, _ = cholesky(inverse[np.ix_(inside, inside)])
                mean[inside, k] = standard[inside, k] - cho_solve((block, True), alpha[inside])
                root = solve_triangular(block, np.eye(len(inside)), lower=True, check_finite=False)
                std[inside, k] = np.sqrt((root**2).sum(axis=0))
        return mean * self._z_scale + self._z_mean, std * self._z_scale

    def _seconds(self, n: int, d: int) -> float:
        """Return the estimate for the search on the subset, and for conditioning on all."""
        searched = min(n, self.subset)
        step = _SECONDS_PER_FLOP * searched**2 * (2 * searched + 4 * d)
        return 40 * (1 + self.restarts) * step + _SECONDS_PER_FLOP * n**2 * (3 * n + 4 * d)

    def _predict_mean(self, features: Matrix) -> Matrix:
        return self._answer(features, with_std=False)[0]

    def _predict(self, features: Matrix) -> tuple[Matrix, Matrix]:
        return self._answer(features, with_std=True)

    def _answer(self, features: Matrix, *, with_std: bool) -> tuple[Matrix, Matrix]:
        """Return mean and standard deviation, noise included; the latter stays 0 unless it is asked for."""
        outputs = len(self.parameters_)
        mean, std = np.empty((len(features), outputs)), np.zeros((len(features), outputs))
        for start in range(0, len(features), _QUERY_CHUNK):
            part = slice(start, start + _QUERY_CHUNK)
            scaled = self._scaled(features[part])
            for k, (kernel, theta) in enumerate(zip(self.kernels_, self.parameters_, strict=True)):
                cross = kernel.covariance(theta[:-1], scaled, self._X)
                mean[part, k] = cross @ self._alphas[k]
                if with_std:
                    solved = solve_triangular(self._factors[k], cross.T, lower=True, check_finite=False)
                    explained = np.einsum("ij,ij->j", solved, solved)
                    variance = kernel.diagonal(theta[:-1], scaled) - explained
                    std[part, k] = np.sqrt(np.maximum(variance, 0) + self._noise(theta))
        return mean * self._z_scale + self._z_mean, std * self._z_scale

    def _predict_joint(self, features: Matrix) -> tuple[Matrix, Matrix] | None:
        scaled, kernel, theta = self._scaled(features), self.kernels_[0], self.parameters_[0]
        cross = kernel.covariance(theta[:-1], scaled, self._X)
        solved = solve_triangular(self._factors[0], cross.T, lower=True, check_finite=False)
        covariance = kernel.covariance(theta[:-1], scaled, scaled) - solved.T @ solved
        covariance[np.diag_indices_from(covariance)] += self._noise(theta)
        scale = self._z_scale[0]
        mean: Matrix = cross @ self._alphas[0] * scale + self._z_mean[0]
        return mean, covariance * scale**2

    def _get_state(self) -> dict[str, NDArray[Any] | bytes]:
        if isinstance(self.kernel, Kernel):
            raise InvalidDataError(
                "a Gaussian process with a kernel object cannot be saved, only one with a kernel name"
            )
        return {
            "X": self._X,
            "shift": self._shift,
            "scale": self._scale,
            "z_mean": self._z_mean,
            "z_scale": self._z_scale,
            "alphas": np.stack(self._alphas),
            "parameters": _rows(self.parameters_),
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self._X, self._shift, self._scale = state["X"], state["shift"], state["scale"]
        self._z_mean, self._z_scale = state["z_mean"], state["z_scale"]
        _, self._groups = np.unique(np.array(self.columns_.groups), return_inverse=True)
        self.parameters_ = [row[~np.isnan(row)] for row in state["parameters"]]
        self.kernels_ = []
        for k in range(len(self.parameters_)):
            kernel = self._make_kernel(k)
            kernel.setup(self._X, self._groups)
            self.kernels_.append(kernel)
        self._condition(np.zeros((len(self._X), len(self.parameters_))))
        self._alphas = list(state["alphas"])


def _rows(parameters: list[Matrix]) -> Matrix:
    """Return the parameters of outputs as rows, the shorter ones filled up with NaN."""
    width = max(map(len, parameters))
    return np.stack([np.r_[theta, np.full(width - len(theta), np.nan)] for theta in parameters])
