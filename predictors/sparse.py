"""A sparse variational approximation of a Gaussian process: what thousands of observations say through a few rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular
from scipy.linalg.lapack import dpotri, dpstrf

from .marginal_likelihood import Matrix, NoisePrior, Posterior, cholesky

if TYPE_CHECKING:
    from .kernels import Kernel

_ROWS = 1024
"""Observations looked at together: memory is that of so many rows of covariances with the inducing ones."""
_JITTER = 1e-6
"""Added to the variance of the inducing rows; targets have a variance of about 1."""
_BLOCK = 64
_POOL = 4
_CANDIDATES = 4
_NEGLIGIBLE = 1e-6


class Sparse(NamedTuple):
    """The posterior given inducing rows, ready to forecast.

    With `c` the covariances of an architecture with the inducing rows, its mean is `c' weights`, and its variance
    without noise is its prior variance minus the squared norm of `root c`.

    Parameters
    ----------
    rows : float64 array `(m, d)`
    weights : float64 array `(m,)`
    root : float64 array `(m, m)`
    """

    rows: Matrix
    weights: Matrix
    root: Matrix


def choose_inducing(kernel: Kernel, theta: Matrix, X: Matrix, count: int, seed: int) -> NDArray[np.intp]:
    """Return up to `count` rows whose values leave the others as little variance as may be, ascending.

    A Cholesky factorisation that goes on with a block of pivots at a time: from a pool that is drawn in proportion to
    the variance that is left, those are taken greedily that have the most of it (Burt, Rasmussen and van der Wilk,
    "Convergence of Sparse Variational Inference in Gaussian Processes Regression", JMLR 2020, section 4; drawn pivots:
    Chen, Epperly, Tropp and Webber, 2022). It ends early where nothing is left, as with few distinct rows. The pivots
    are sought among four times as many rows, drawn at random, so that memory is `O(count^2)`.
    """
    rng = np.random.default_rng(seed)
    candidates = np.sort(rng.permutation(len(X))[: _CANDIDATES * count])
    rows = X[candidates]
    left = kernel.diagonal(theta, rows).copy()
    least = _NEGLIGIBLE * float(left.max())
    factor, chosen = np.empty((len(rows), min(count, len(rows)))), np.zeros(0, dtype=np.intp)
    while len(chosen) < factor.shape[1]:
        alive = np.flatnonzero(left > least)
        if not len(alive):
            break
        size = min(_POOL * _BLOCK, len(alive))
        pool = rng.choice(alive, size, replace=False, p=left[alive] / left[alive].sum())
        done = factor[:, : len(chosen)]
        among = kernel.covariance(theta, rows[pool], rows[pool]) - done[pool] @ done[pool].T
        _, order, rank, _ = dpstrf(among, tol=least, lower=1)
        taken = pool[order[: min(rank, _BLOCK, factor.shape[1] - len(chosen))] - 1]
        if not len(taken):
            left[pool] = 0
            continue
        cross = kernel.covariance(theta, rows, rows[taken]) - done @ done[taken].T
        block, _ = cholesky(cross[taken])
        new = solve_triangular(block, cross.T, lower=True, check_finite=False).T
        factor[:, len(chosen) : len(chosen) + len(taken)] = new
        chosen = np.r_[chosen, taken]
        left = np.maximum(left - (new**2).sum(axis=1), 0)
        left[chosen] = 0
    return np.sort(candidates[chosen])


class _Whitened(NamedTuple):
    """What a bound and a posterior share, with `V = L^-1 K_mn`, `L L' = K_mm`, and precisions `P` of the observations.

    Parameters
    ----------
    factor : float64 array `(m, m)`
        L.
    B : float64 array `(m, m)`
        `I + V P V'`.
    b : float64 array `(m,)`
        `V P z`.
    """

    factor: Matrix
    B: Matrix
    b: Matrix


def _parts(n: int) -> Iterator[slice]:
    return (slice(start, start + _ROWS) for start in range(0, n, _ROWS))


def _factor(kernel: Kernel, theta: Matrix, rows: Matrix) -> Matrix:
    K = kernel.covariance(theta, rows, rows)
    K[np.diag_indices_from(K)] += _JITTER
    return cholesky(K)[0]


def _whitened(kernel: Kernel, theta: Matrix, X: Matrix, z: Matrix, rows: Matrix, precision: Matrix) -> _Whitened:
    """Go through the observations once; memory is `O(m^2)` and that of one part of them."""
    factor = _factor(kernel, theta, rows)
    B, b = np.eye(len(rows)), np.zeros(len(rows))
    for part in _parts(len(X)):
        V = solve_triangular(factor, kernel.covariance(theta, rows, X[part]), lower=True, check_finite=False)
        V *= np.sqrt(precision[part])
        B += V @ V.T
        b += V @ (np.sqrt(precision[part]) * z[part])
    return _Whitened(factor, B, b)


class CollapsedBound(Posterior):
    """Minus a lower bound of the log posterior density of kernel parameters and noise, with its gradient.

    With `Q = K_nm K_mm^-1 K_mn` and noise variances D the bound of the log marginal likelihood is
    `log N(z; 0, Q + D) - tr(D^-1 (K - Q)) / 2`: the distribution of the values at the inducing rows that makes it
    largest is known in closed form. It equals the log marginal likelihood if all observations are inducing rows.

    Parameters
    ----------
    rows : float64 array `(m, d)`
        The inducing rows.
    kernel, X, z, noise, shape
        As in `Posterior`.

    Notes
    -----
    Titsias, "Variational Learning of Inducing Variables in Sparse Gaussian Processes", AISTATS 2009. An evaluation
    takes `O(n m^2)` time, and memory for m x m matrices and one part of the observations.
    """

    def __init__(
        self, rows: Matrix, kernel: Kernel, X: Matrix, z: Matrix, noise: NoisePrior, shape: Matrix | None = None
    ) -> None:
        super().__init__(kernel, X, z, noise, shape=shape)
        self.rows = rows

    def __call__(self, theta: Matrix) -> tuple[float, Matrix]:
        """Return the value and the gradient at `theta`, whose last entry is the log noise variance."""
        kernel, inner, rows = self.kernel, theta[:-1], self.rows
        variance = float(np.exp(theta[-1])) * self.shape
        precision = 1 / (variance + self.noise.floor)
        white = _whitened(kernel, inner, self.X, self.z, rows, precision)
        factor, (B, _) = white.factor, cholesky(white.B)
        beta = cho_solve((B, True), white.b, check_finite=False)
        value = 0.5 * float(precision @ self.z**2 - white.b @ beta) + float(np.log(np.diag(B)).sum())
        value -= 0.5 * float(np.log(precision).sum())

        # dF/dK_mn = R K_mn P + w a', and dF/dK_mm = -(L^-T (B - 2 I + B^-1) L^-1 + w w') / 2, where w = L^-T beta,
        # R = L^-T (I - B^-1) L^-1 and a = P (z - K_nm w).
        inverse = _inverse(B)
        eye = np.eye(len(rows))
        R = _between(factor, eye - inverse)
        w = solve_triangular(factor, beta, lower=True, trans=1, check_finite=False)
        kernel_gradient, noise_gradient, lost = np.zeros(kernel.n_parameters), 0.0, 0.0
        for part in _parts(len(self.X)):
            own, P = self.X[part], precision[part]
            K, contract = kernel.cross_with_gradient(inner, rows, own)
            RK = R @ K
            left = kernel.diagonal(inner, own) - np.einsum("ij,ij->j", K, RK)
            a = P * (self.z[part] - w @ K)
            lost += float(P @ left)
            noise_gradient += 0.5 * float(variance[part] @ (a**2 + P**2 * left - P))
            RK *= P
            RK += np.outer(w, a)
            kernel_gradient += contract(RK) + kernel.diagonal_gradient(inner, own, -0.5 * P)
        # tr(P (K - Q)) = tr(P (K - K_nm R K_mn)) - tr(B^-1 (B - I)), which is what was summed up
        value += 0.5 * (lost - len(rows) + float(np.trace(inverse)))
        _, contract = kernel.with_gradient(inner, rows)
        kernel_gradient -= 0.5 * contract(_between(factor, white.B - 2 * eye + inverse) + np.outer(w, w))
        standing = (theta - self.prior_mean) / self.prior_std
        gradient = standing / self.prior_std - np.r_[kernel_gradient, noise_gradient]
        return value + 0.5 * float(standing @ standing), gradient


def condition(kernel: Kernel, theta: Matrix, X: Matrix, z: Matrix, rows: Matrix, noise: Matrix) -> Sparse:
    """Return the posterior given targets `(n,)` with noise variances `(n,)`, through inducing rows."""
    white = _whitened(kernel, theta, X, z, rows, 1 / noise)
    B, _ = cholesky(white.B)
    beta = cho_solve((B, True), white.b, check_finite=False)
    weights = solve_triangular(white.factor, beta, lower=True, trans=1, check_finite=False)
    explained, _ = cholesky(np.eye(len(rows)) - _inverse(B))
    root = solve_triangular(white.factor, explained, lower=True, trans=1, check_finite=False).T
    return Sparse(rows, weights, np.ascontiguousarray(root))


def left_out(
    kernel: Kernel, theta: Matrix, X: Matrix, z: Matrix, rows: Matrix, noise: Matrix, folds: NDArray[np.intp]
) -> tuple[Matrix, Matrix]:
    """Return mean and deviation of the observations of each fold given the others, both `(n,)`, noise included.

    Parameters and inducing rows stay. What a fold has added to the sums over observations is taken off again, so that
    a fold costs `O(m^3)` and the way through its own observations.
    """
    white = _whitened(kernel, theta, X, z, rows, 1 / noise)
    mean, std = np.empty(len(z)), np.empty(len(z))
    for fold in np.unique(folds):
        inside = np.flatnonzero(folds == fold)
        own = _whitened(kernel, theta, X[inside], z[inside], rows, 1 / noise[inside])
        B, _ = cholesky(white.B - own.B + np.eye(len(rows)))
        beta = cho_solve((B, True), white.b - own.b, check_finite=False)
        for part in _parts(len(inside)):
            row = inside[part]
            V = solve_triangular(white.factor, kernel.covariance(theta, rows, X[row]), lower=True, check_finite=False)
            mean[row] = beta @ V
            variance = kernel.diagonal(theta, X[row]) - np.einsum("ij,ij->j", V, V)
            V = solve_triangular(B, V, lower=True, check_finite=False)
            std[row] = np.sqrt(np.maximum(variance + np.einsum("ij,ij->j", V, V), 0) + noise[row])
    return mean, std


def work(n: int, d: int, inducing: int, polish: int) -> float:
    """Return roughly how many operations choosing rows, conditioning and leaving out take."""
    m = min(inducing, n)
    passage = n * m * (2 * m + 2 * d)
    return _CANDIDATES * m**2 * (m + 2 * d) + (4 + 3 * polish) * passage


def restored(arrays: Mapping[str, Any], columns: int) -> Sparse:
    """Return what `_asdict` described, once its shapes agree."""
    found = Sparse(**arrays)
    m = len(found.rows)
    if found.rows.shape != (m, columns) or found.weights.shape != (m,) or found.root.shape != (m, m):
        raise ValueError(
            f"inducing rows {found.rows.shape} of {columns} columns, weights {found.weights.shape} and root "
            f"{found.root.shape}"
        )
    return found


def _inverse(factor: Matrix) -> Matrix:
    """Return the inverse of a matrix of which the lower Cholesky factor is given."""
    lower = np.tril(dpotri(factor, lower=1)[0])
    return lower + np.tril(lower, -1).T


def _between(factor: Matrix, M: Matrix) -> Matrix:
    """Return `L^-T M L^-1` for a symmetric M."""
    half = solve_triangular(factor, M, lower=True, trans=1, check_finite=False)
    result: Matrix = solve_triangular(factor, half.T, lower=True, trans=1, check_finite=False)
    return result
