"""Gaussian process regression on encoded architectures, exact up to thousands of observations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular

from ..encoders import Encoder
from ..errors import InvalidDataError
from . import sparse
from .base import Predictor
from .checks import check_integer
from .kernels import Hamming, Kernel, Linear, Stationary, Tanimoto, Trend
from .marginal_likelihood import Matrix, NoisePrior, cholesky, fit_parameters
from .nested import prefixed, under
from .seed_noise import NoiseTrend, choose_share

_QUERY_CHUNK = 512
"""Architectures forecast at once: their covariances with a thousand observations stay in the cache."""

_REFITTED, _REFITS = 200, 10
"""Up to so many observations the hyperparameters found with all know those left out too well to be kept; and how many
fits leaving out then takes, for the estimate of seconds."""

_SECONDS_PER_FLOP = 1.5e-10
"""Roughly, on one core, memory traffic included."""

KERNELS: Mapping[str, Callable[[str], Kernel]] = {
    "matern52": lambda weights: Stationary("matern52", weights),
    "matern32": lambda weights: Stationary("matern32", weights),
    "rbf": lambda weights: Stationary("rbf", weights),
    "matern32+trend": lambda weights: Stationary("matern32", weights) + Trend(),
    "tanimoto": lambda _: Tanimoto(),
    "hamming": lambda _: Hamming(),
    "wl": lambda _: Linear(),
}
"""The named kernels; each takes how lengthscales are shared. Those of counts look at raw, not standardised columns."""

_RAW = (Tanimoto, Hamming, Linear)


class GaussianProcess(Predictor):
    """Gaussian process with priors on all hyperparameters, fitted by their posterior mode.

    Indicator columns enter as 0 and 1, quantities standardised. Distances are normalised per group of columns (the
    kinds of features an encoder makes), and each group has its own lengthscale: with a hundred trainings this ranks
    much better than one lengthscale, and than one for each of hundreds of columns.

    The marginal likelihood is computed with its analytic gradient in LAPACK, without an automatic differentiation
    graph: see `tools/bench` for what that saves.

    From `sparse_from` observations on, the posterior is approximated by a sparse variational one: it goes through
    `inducing` of the training rows, chosen so that they leave the least variance, and is the best such approximation
    (in Kullback-Leibler divergence, Titsias 2009), which has a closed form.

    With `noise_std` in `fit`, the noise variance of each observation is the sum of a part that is common to all and one
    in proportion to the square of its standard error; both are learned. Where this is not known, as for architectures
    that are forecast, the variance is that of known ones of the same level (see `NoiseTrend`).

    Parameters
    ----------
    encoder : str or Encoder, optional
        Used when `X` is architectures; `"semantic"` by default.
    kernel : {"matern32", "matern52", "rbf", "matern32+trend", "tanimoto", "hamming", "wl"} or Kernel
        Kernels combine by `+` and `*`: `Stationary("rbf") + Tanimoto()`. A kernel object is used on standardised
        columns unless it is one of the count kernels.
    lengthscales : {"group", "column", "one"}
        One for each kind of feature, for each column (automatic relevance determination), or one for all.
    restarts : int
        Further starts of the optimiser, drawn from the priors.
    subset : int
        Hyperparameters are searched on at most so many observations, and polished on twice as many.
    sparse_from : int or None
        Observations from which on the posterior is approximated; None for never.
    inducing : int
        Rows that the approximation goes through, at most.
    polish : int
        Iterations by which hyperparameters are improved on all observations of an approximation, by its bound of the
        marginal likelihood. None by default: with few inducing rows the bound takes for noise what the rows miss
        (Bauer, van der Wilk and Rasmussen, "Understanding Probabilistic Sparse Gaussian Process Approximations", 2016).
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
    Memory is `O(n^2)`, time `O(n^3)` in the number of observations n; with m inducing rows `O(m^2)` besides the
    features, and `O(n m^2)`.
    """

    multi_output: ClassVar[bool] = True
    takes_noise: ClassVar[bool] = True
    _raw_counts: ClassVar[bool] = False
    """Whether columns that count parts of the graph are compared as they are."""
    _thins: ClassVar[bool] = True
    _noise_shape: Matrix | None = None
    _trends: Sequence[NoiseTrend] = ()
    _sparse: Sequence[sparse.Sparse] = ()

    def __init__(
        self,
        encoder: str | Encoder | None = None,
        *,
        kernel: str | Kernel = "matern32",
        lengthscales: str = "group",
        restarts: int = 0,
        subset: int = 300,
        sparse_from: int | None = 5000,
        inducing: int = 1024,
        polish: int = 0,
        target_transform: str = "rank_gaussian",
        seed: int = 0,
    ) -> None:
        super().__init__(encoder, target_transform=target_transform, seed=seed)
        self.kernel = kernel
        self.lengthscales = lengthscales
        self.restarts = restarts
        self.subset = subset
        self.sparse_from = sparse_from
        self.inducing = inducing
        self.polish = polish

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
        if self.sparse_from is not None:
            check_integer("sparse_from", self.sparse_from, 2)
        check_integer("inducing", self.inducing, 1)
        check_integer("polish", self.polish, 0)
        self._learn_scaling(features)
        self._X = self._scaled(features)
        self._z_mean, self._z_scale = z.mean(axis=0), z.std(axis=0)
        standard = (z - self._z_mean) / self._z_scale
        self._noise_shape, self._trends = None, ()
        self.kernels_, self.parameters_ = [], []
        for k in range(z.shape[1]):
            kernel = self._make_kernel(k)
            kernel.setup(self._X, self._groups)
            self.kernels_.append(kernel)
            self._learn_noise(k, standard)
            self.parameters_.append(
                fit_parameters(
                    kernel,
                    self._X,
                    np.ascontiguousarray(standard[:, k]),
                    NoisePrior(),
                    restarts=self.restarts,
                    subset=self.subset,
                    seed=self.seed + k,
                    shape=self._shape_of_noise(k),
                )
            )
        self._sparse = ()
        if self._is_sparse(len(z)):
            self._thin(standard)
        else:
            self._condition(standard)

    def _learn_noise(self, k: int, standard: Matrix) -> None:
        """Learn from the standard errors of an output, if there are any, how noisy each target is beside others."""
        if self._noise_std is None or not (self._noise_std > 0).any():
            return
        if self._noise_shape is None:
            self._noise_shape, self._trends = np.ones_like(standard), []
        known, z = self._noise_std[:, k] ** 2, np.ascontiguousarray(standard[:, k])
        if (known > 0).any():
            known /= known[known >= 0].mean()
            trend = NoiseTrend.learn(z, known)
            relative = np.where(np.isnan(known), trend(z), known)
            seed = self.seed + k
            share = choose_share(self.kernels_[k], self._X, z, relative, subset=self.subset, seed=seed)
            self._noise_shape[:, k] = 1 - share + share * relative
            known = 1 - share + share * known
        self._trends = [*self._trends, NoiseTrend.learn(z, known)]

    def _shape_of_noise(self, k: int) -> Matrix | None:
        """Return by what the noise variance of each observation of an output is multiplied, None for one for all."""
        return None if self._noise_shape is None else self._noise_shape[:, k]

    def _is_sparse(self, n: int) -> bool:
        return self._thins and self.sparse_from is not None and n >= self.sparse_from

    def _thin(self, standard: Matrix) -> None:
        """Choose inducing rows for each output, improve its hyperparameters if asked to, and condition through them."""
        self._sparse, self._alphas = [], []
        self._factors: list[Matrix] = []
        for k, (kernel, z) in enumerate(zip(self.kernels_, standard.T, strict=True)):
            theta = self.parameters_[k]
            rows = self._X[sparse.choose_inducing(kernel, theta[:-1], self._X, self.inducing, self.seed + k)]
            if self.polish:
                bound = sparse.CollapsedBound(rows, kernel, self._X, z, NoisePrior(), self._shape_of_noise(k))
                theta = self.parameters_[k] = bound.minimize(theta, self.polish)[0]
            self._sparse.append(sparse.condition(kernel, theta[:-1], self._X, z, rows, self._noise_of_rows(k)))
            self._alphas.append(self._sparse[k].weights)

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
            K[np.diag_indices_from(K)] += self._noise_of_rows(k)
            factor, _ = cholesky(K)
            self._factors.append(factor)
            self._alphas.append(cho_solve((factor, True), standard[:, k], check_finite=False))

    def _row_noise(self, theta: Matrix) -> Matrix | float:
        """Return the variance of the noise of every observation, or that of all."""
        return self._noise(theta)

    def _noise_of_rows(self, k: int) -> Matrix:
        """Return the variance of the noise of every observation of an output, `(n,)`."""
        own: Matrix = self._row_noise(self.parameters_[k]) + np.zeros(len(self._X))
        shape, floor = self._shape_of_noise(k), NoisePrior().floor
        return own if shape is None else (own - floor) * shape + floor

    def _noise_at(self, k: int, mean: Matrix) -> Matrix | float:
        """Return the variance of the noise of architectures whose forecast is `mean`, `(n,)`."""
        common = self._noise(self.parameters_[k])
        floor = NoisePrior().floor
        return (common - floor) * self._trends[k](mean) + floor if self._trends else common

    @staticmethod
    def _noise(theta: Matrix) -> float:
        return float(np.exp(theta[-1])) + NoisePrior().floor

    def _left_out(self, features: Matrix, z: Matrix, folds: NDArray[np.intp]) -> tuple[Matrix, Matrix]:
        """Return the forecasts of each fold given the others: of few observations by fits that did not see them.

        With many the hyperparameters found with all stay. For observations B left out: mean `z_B - (C_BB)^-1 (C z)_B`
        and covariance `(C_BB)^-1`, where C is the inverse of the covariance of all (Rasmussen and Williams, 2006,
        section 5.4.2, there for one observation).
        """
        if len(z) <= _REFITTED and self._noise_shape is None:
            return super()._left_out(features, z, folds)
        standard = (z - self._z_mean) / self._z_scale
        mean, std = np.empty_like(z), np.empty_like(z)
        for k, thin in enumerate(self._sparse):
            data = self.kernels_[k], self.parameters_[k][:-1], self._X, standard[:, k]
            mean[:, k], std[:, k] = sparse.left_out(*data, thin.rows, self._noise_of_rows(k), folds)
        for k, (factor, alpha) in enumerate(zip(self._factors, self._alphas, strict=not self._sparse)):
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
        search = 40 * (1 + self.restarts) * step * (_REFITS if n <= _REFITTED else 1)
        if self._is_sparse(n):
            return search + sparse.seconds(n, d, self.inducing, self.polish)
        return search + _SECONDS_PER_FLOP * n**2 * (3 * n + 4 * d)

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
                cross = kernel.covariance(theta[:-1], scaled, self._rows(k))
                mean[part, k] = cross @ self._alphas[k]
                if with_std:
                    solved = self._solved(k, cross)
                    explained = np.einsum("ij,ij->j", solved, solved)
                    variance = kernel.diagonal(theta[:-1], scaled) - explained
                    std[part, k] = np.sqrt(np.maximum(variance, 0) + self._noise_at(k, mean[part, k]))
        return mean * self._z_scale + self._z_mean, std * self._z_scale

    def _rows(self, k: int) -> Matrix:
        """Return the rows that forecasts of an output go through."""
        return self._sparse[k].rows if self._sparse else self._X

    def _solved(self, k: int, cross: Matrix) -> Matrix:
        """Return what has, column by column, as squared norm the variance explained at architectures `(n, rows)`."""
        if self._sparse:
            explained: Matrix = self._sparse[k].root @ cross.T
            return explained
        solved: Matrix = solve_triangular(self._factors[k], cross.T, lower=True, check_finite=False)
        return solved

    def _predict_joint(self, features: Matrix) -> tuple[Matrix, Matrix] | None:
        scaled, kernel, theta = self._scaled(features), self.kernels_[0], self.parameters_[0]
        cross = kernel.covariance(theta[:-1], scaled, self._rows(0))
        solved = self._solved(0, cross)
        covariance = kernel.covariance(theta[:-1], scaled, scaled) - solved.T @ solved
        mean: Matrix = cross @ self._alphas[0]
        covariance[np.diag_indices_from(covariance)] += self._noise_at(0, mean)
        scale = self._z_scale[0]
        return mean * scale + self._z_mean[0], covariance * scale**2

    def _get_state(self) -> dict[str, NDArray[Any] | bytes]:
        if isinstance(self.kernel, Kernel):
            raise InvalidDataError(
                "a Gaussian process with a kernel object cannot be saved, only one with a kernel name"
            )
        state: dict[str, NDArray[Any] | bytes] = {
            "X": self._X,
            "shift": self._shift,
            "scale": self._scale,
            "z_mean": self._z_mean,
            "z_scale": self._z_scale,
            "parameters": _rows(self.parameters_),
        }
        for k, thin in enumerate(self._sparse):
            state |= prefixed(f"sparse/{k}/", thin._asdict())
        if not self._sparse:
            state["alphas"] = np.stack(self._alphas)
        if self._noise_shape is not None:
            state["noise_shape"] = self._noise_shape
            for k, trend in enumerate(self._trends):
                state |= prefixed(f"noise_trend/{k}/", trend._asdict())
        return state

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
        outputs = range(len(self.parameters_))
        self._noise_shape, self._trends, self._sparse = state.get("noise_shape"), (), ()  # absent from earlier files
        if self._noise_shape is not None:
            if self._noise_shape.shape != (len(self._X), len(outputs)):
                raise ValueError(f"noise of shape {self._noise_shape.shape} for {len(self._X)} observations")
            self._trends = [NoiseTrend.restored(under(f"noise_trend/{k}/", state)) for k in outputs]
        if "alphas" in state:
            self._condition(np.zeros((len(self._X), len(outputs))))
            self._alphas = list(state["alphas"])
        else:
            self._sparse = [sparse.restored(under(f"sparse/{k}/", state), self._X.shape[1]) for k in outputs]
            self._factors, self._alphas = [], [thin.weights for thin in self._sparse]


def _rows(parameters: list[Matrix]) -> Matrix:
    """Return the parameters of outputs as rows, the shorter ones filled up with NaN."""
    width = max(map(len, parameters))
    return np.stack([np.r_[theta, np.full(width - len(theta), np.nan)] for theta in parameters])
