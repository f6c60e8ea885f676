"""Fitting a Gaussian process: the log marginal likelihood with its analytic gradient, and its maximisation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from ..errors import InvalidDataError

if TYPE_CHECKING:
    from .kernels import Kernel
    from .kernels.base import Contraction

Matrix = NDArray[np.float64]

_JITTERS = (0.0, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)


@dataclass(frozen=True)
class NoisePrior:
    """A Gaussian prior on the log of the noise variance, and its floor."""

    mean: float = -3.0
    std: float = 1.0
    floor: float = 1e-4


def cholesky(K: Matrix) -> tuple[Matrix, float]:
    """Return the lower Cholesky factor of a covariance `(n, n)`, and the jitter that was needed.

    The diagonal is raised by up to a hundredth of its mean until the factorisation succeeds.

    Raises
    ------
    InvalidDataError
        If it never does, which means that the covariance is not finite or far from positive definite.
    """
    level = float(np.mean(np.diag(K)))
    for jitter in _JITTERS:
        raised = K.copy(order="F")
        raised[np.diag_indices_from(raised)] += jitter * level
        factor, failed = dpotrf(raised, lower=1, overwrite_a=1, clean=1)
        if failed == 0 and np.isfinite(factor[-1, -1]):
            return factor, jitter * level
    raise InvalidDataError(f"a covariance of {len(K)} observations is not positive definite, even with jitter")


class Posterior:
    """The negative log posterior density of kernel parameters and noise given targets, with its gradient.

    Parameters
    ----------
    kernel : Kernel
        Set up for `X`.
    X : float64 array `(n, d)`
    z : float64 array `(n,)`
        Targets with mean 0 and variance about 1.
    noise : NoisePrior, or a sequence of them
        Several for observations with noise of different levels.
    levels : integer array `(n,)`, optional
        Which of the priors the noise of each observation has; the first by default.
    shape : float64 array `(n,)`, optional
        By what the noise variance of each observation is multiplied; 1 by default.
    """

    def __init__(
        self,
        kernel: Kernel,
        X: Matrix,
        z: Matrix,
        noise: NoisePrior | Sequence[NoisePrior],
        levels: NDArray[np.intp] | None = None,
        shape: Matrix | None = None,
    ) -> None:
        priors = [noise] if isinstance(noise, NoisePrior) else list(noise)
        self.kernel, self.X, self.z, self.noise = kernel, X, z, priors[0]
        self.levels = np.zeros(len(z), dtype=np.intp) if levels is None else levels
        self.shape = np.ones(len(z)) if shape is None else shape
        self.count = len(priors)
        self.prior_mean = np.r_[kernel.prior_mean, [prior.mean for prior in priors]]
        self.prior_std = np.r_[kernel.prior_std, [prior.std for prior in priors]]

    @cached_property
    def _with_gradient(self) -> Callable[[Matrix], tuple[Matrix, Contraction]]:
        """The kernel, prepared for the rows."""
        return self.kernel.gradient_at(self.X)

    def __call__(self, theta: Matrix) -> tuple[float, Matrix]:
        """Return the value and the gradient at `theta`, whose last entries are the log noise variances."""
        n = len(self.z)
        variance = np.exp(theta[-self.count :])[self.levels] * self.shape
        K, contract = self._with_gradient(theta[: -self.count])
        noisy = K.copy(order="F")  # the contraction still needs K
        noisy[np.diag_indices(n)] += variance + self.noise.floor
        factor, failed = dpotrf(noisy, lower=1, overwrite_a=1, clean=1)
        if failed or not np.isfinite(factor).all():
            return 1e10, np.zeros_like(theta)
        alpha = cho_solve((factor, True), self.z, check_finite=False)
        half_log_det = float(np.log(np.diag(factor)).sum())
        # The derivative of the value by K is (K^-1 - alpha alpha') / 2.
        inverse, _ = dpotri(factor, lower=1, overwrite_c=1)
        inverse = np.tril(inverse)
        M = 0.5 * (inverse + np.tril(inverse, -1).T - np.outer(alpha, alpha))
        by_level = np.bincount(self.levels, weights=np.diag(M) * variance, minlength=self.count)
        gradient = np.r_[contract(M), by_level]
        standing = (theta - self.prior_mean) / self.prior_std
        value = 0.5 * float(self.z @ alpha) + half_log_det + 0.5 * float(standing @ standing)
        return value, gradient + standing / self.prior_std

    def minimize(self, start: Matrix, steps: int) -> tuple[Matrix, float]:
        """Return the parameters after at most `steps` iterations of L-BFGS from `start`, and the value there."""
        bounds = [(mean - 6 * std, mean + 6 * std) for mean, std in zip(self.prior_mean, self.prior_std, strict=True)]
        found = minimize(
            self, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": steps, "ftol": 1e-6}
        )
        return found.x, float(found.fun)


def fit_parameters(
    kernel: Kernel,
    X: Matrix,
    z: Matrix,
    noise: NoisePrior | Sequence[NoisePrior],
    *,
    restarts: int,
    subset: int,
    seed: int,
    steps: int = 40,
    polish: int = 3,
    levels: NDArray[np.intp] | None = None,
    shape: Matrix | None = None,
) -> Matrix:
    """Return the most probable parameters, `(p + 1,)`, the log noise variance last.

    With several priors of the noise, `levels`, `(n,)`, says which one each observation has; as many log variances
    come last. `shape`, `(n,)`, is by what each one's noise variance is multiplied.

    Starts from the prior's mode, and from `restarts` draws from the prior. With more than `subset` observations the
    search runs on a random subset of that size, and the best end is polished on twice as many: the parameters are few,
    and the cost of an evaluation grows with the cube of the observations. Matrices of this size gain little from
    several BLAS threads, and lose two orders of magnitude where these wait for a busy processor: one is used.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(z))
    few, more = np.sort(order[:subset]), np.sort(order[: 2 * subset])
    own = np.zeros(len(z), dtype=np.intp) if levels is None else levels
    shape = np.ones(len(z)) if shape is None else shape
    search = Posterior(kernel, X[few], z[few], noise, own[few], shape[few])
    starts = [search.prior_mean]
    starts += [search.prior_mean + rng.normal(size=len(search.prior_mean)) * search.prior_std for _ in range(restarts)]
    with threadpool_limits(limits=1, user_api="blas"):
        ends = [search.minimize(start, steps) for start in starts]
        best = min(ends, key=lambda end: end[1])[0]
        if len(z) > subset:
            best, _ = Posterior(kernel, X[more], z[more], noise, own[more], shape[more]).minimize(best, polish)
    return best
