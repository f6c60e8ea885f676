"""Kernels that look at some of the columns, or weigh each of them apart."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .base import Contraction, Kernel, Matrix, run_of


class OnColumns(Kernel):
    """Another kernel that sees some columns alone: a term of a sum or product of kernels on different features.

    Parameters
    ----------
    kernel : Kernel
    columns : integer array `(k,)`
    """

    def __init__(self, kernel: Kernel, columns: ArrayLike) -> None:
        self.kernel = kernel
        self.columns = np.asarray(columns, dtype=np.intp)
        self._run = run_of(self.columns)

    def setup(self, X: Matrix, groups: NDArray[np.intp]) -> None:
        """Set up the kernel for its columns."""
        self.kernel.setup(X[:, self._run], groups[self.columns])
        self.prior_mean, self.prior_std = self.kernel.prior_mean, self.kernel.prior_std

    def covariance(self, theta: Matrix, A: Matrix, B: Matrix) -> Matrix:
        """Return the kernel's covariance."""
        return self.kernel.covariance(theta, A[:, self._run], B[:, self._run])

    def against(self, theta: Matrix, B: Matrix) -> Callable[[Matrix], Matrix]:
        """Return the kernel's covariance with `B` as a function of `A`."""
        inner = self.kernel.against(theta, B[:, self._run])
        return lambda A: inner(A[:, self._run])

    def diagonal(self, theta: Matrix, A: Matrix) -> Matrix:
        """Return the kernel's variance of each row."""
        return self.kernel.diagonal(theta, A[:, self._run])

    def with_gradient(self, theta: Matrix, A: Matrix) -> tuple[Matrix, Contraction]:
        """Return the kernel's covariance and contraction."""
        return self.kernel.with_gradient(theta, A[:, self._run])

    def gradient_at(self, A: Matrix) -> Callable[[Matrix], tuple[Matrix, Contraction]]:
        """Return the kernel's covariance and contraction as a function of its parameters."""
        return self.kernel.gradient_at(A[:, self._run])

    def lengthscales(self, theta: Matrix) -> list[tuple[NDArray[np.intp], float]]:
        """Return the kernel's lengthscales, with columns as they are numbered here."""
        return [(self.columns[columns], scale) for columns, scale in self.kernel.lengthscales(theta)]


class WeightedDot(Kernel):
    """`sum_j w_j a_j b_j`: a linear function of the columns whose coefficients have variances `w_j` of their own.

    Parameters
    ----------
    prior : (float, float)
        Mean and standard deviation of the logarithm of the sum of the variances, of which columns have equal shares.
    """

    def __init__(self, prior: tuple[float, float] = (-1.0, 1.5)) -> None:
        self.prior = prior

    def setup(self, X: Matrix, groups: NDArray[np.intp]) -> None:
        """Choose the same prior for every column."""
        count = X.shape[1]
        self.prior_mean = np.full(count, self.prior[0] - np.log(max(count, 1)))
        self.prior_std = np.full(count, self.prior[1])

    def covariance(self, theta: Matrix, A: Matrix, B: Matrix) -> Matrix:
        """Return the weighted inner products."""
        covariance: Matrix = (A * np.exp(theta)) @ B.T
        return covariance

    def diagonal(self, theta: Matrix, A: Matrix) -> Matrix:
        """Return the weighted squared norms."""
        variances: Matrix = A**2 @ np.exp(theta)
        return variances

    def with_gradient(self, theta: Matrix, A: Matrix) -> tuple[Matrix, Contraction]:
        """Return the covariance and its gradient by the log variances."""

        def contract(M: Matrix) -> Matrix:
            gradient: Matrix = np.exp(theta) * np.einsum("ij,ij->j", A, M @ A)
            return gradient

        return self.covariance(theta, A, A), contract
