"""A linear trend, with a share of its own for each kind of feature."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .base import Contraction, Kernel, Matrix


class Trend(Kernel):
    """`sum_g v_g <a, b>_g / N_g`: a linear function whose coefficients vary by `v_g` in the columns of group g.

    Columns are centred on the training rows, and `N_g` is the mean squared norm of those over the columns of a group:
    `v_g` is the variance that the group's part of the trend has over the training rows.

    Parameters
    ----------
    prior : (float, float)
        Mean and standard deviation of the logarithms of the variances: small enough for kinds of features that have
        no trend, and wide enough for one to stand for most of the targets' variance.
    """

    def __init__(self, prior: tuple[float, float] = (-3.0, 1.5)) -> None:
        self.prior = prior

    def setup(self, X: Matrix, groups: NDArray[np.intp]) -> None:
        """Centre the columns, and normalise the groups; columns that never vary have no say."""
        variances = X.var(axis=0)
        self._chosen = np.flatnonzero(variances > 0)
        self._centre = X[:, self._chosen].mean(axis=0)
        _, self._group_of = np.unique(groups[self._chosen], return_inverse=True)
        count = int(self._group_of.max(initial=-1)) + 1
        totals = np.bincount(self._group_of, weights=variances[self._chosen], minlength=count)
        self._factors = 1 / np.sqrt(totals[self._group_of])
        self.prior_mean = np.full(count, self.prior[0])
        self.prior_std = np.full(count, self.prior[1])

    def _normalised(self, A: Matrix) -> Matrix:
        normalised: Matrix = (A[:, self._chosen] - self._centre) * self._factors
        return normalised

    def covariance(self, theta: Matrix, A: Matrix, B: Matrix) -> Matrix:
        """Return the weighted inner products."""
        covariance: Matrix = (self._normalised(A) * np.exp(theta)[self._group_of]) @ self._normalised(B).T
        return covariance

    def diagonal(self, theta: Matrix, A: Matrix) -> Matrix:
        """Return the weighted squared norms."""
        variances: Matrix = self._normalised(A) ** 2 @ np.exp(theta)[self._group_of]
        return variances

    def with_gradient(self, theta: Matrix, A: Matrix) -> tuple[Matrix, Contraction]:
        """Return the covariance and its gradient by the log variances."""
        rows, variances = self._normalised(A), np.exp(theta)

        def contract(M: Matrix) -> Matrix:
            by_column = np.einsum("ij,ij->j", rows, M @ rows)
            gradient: Matrix = variances * np.bincount(self._group_of, weights=by_column, minlength=len(theta))
            return gradient

        covariance: Matrix = (rows * variances[self._group_of]) @ rows.T
        return covariance, contract
