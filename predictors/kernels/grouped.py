"""Kernels of groups of counts at norm one: what graph kernels compare, for each size of the parts that are counted.

The rows of each group of columns are divided by their norm. A row that is zero in a group gets a flag there instead: it
is similar to nothing but other such rows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .base import Contraction, Kernel, Matrix, run_of


class GroupedLinear(Kernel):
    """`scale * sum_g w_g <a_g, b_g> / (|a_g| |b_g|)`: a normalised linear kernel for each group of columns.

    On counts whose groups say how large the counted parts are (rounds of refinement, distances, lengths of walks), the
    weights `w_g` are those that graph kernels give to sizes, such as the decay of a random-walk kernel. The scale has
    a wide prior of its own, so that in a sum of kernels all of it can vanish or take over by one parameter.

    Parameters
    ----------
    scale_prior : (float, float)
        Mean and standard deviation of the log scale.
    weight_std : float
        Standard deviation of the log weights, whose mean gives groups equal shares of 1.
    """

    def __init__(self, scale_prior: tuple[float, float] = (-1.0, 2.0), weight_std: float = 1.0) -> None:
        self.scale_prior = scale_prior
        self.weight_std = weight_std

    def setup(self, X: Matrix, groups: NDArray[np.intp]) -> None:
        """Choose the same prior for the weight of every group."""
        self._members = [run_of(members) for members in _members(groups)]
        count = len(self._members)
        self.prior_mean = np.r_[self.scale_prior[0], np.full(count, -np.log(max(count, 1)))]
        self.prior_std = np.r_[self.scale_prior[1], np.full(count, self.weight_std)]

    def covariance(self, theta: Matrix, A: Matrix, B: Matrix) -> Matrix:
        """Return the sum over groups."""
        return self.against(theta, B)(A)

    def against(self, theta: Matrix, B: Matrix) -> Callable[[Matrix], Matrix]:
        """Return the covariance with `B` as a function of `A`; of `B` only the norms are computed, no copy is made."""
        variances = np.exp(theta[0] + theta[1:]).tolist()
        norms = [_norms(B[:, members]) for members in self._members]

        def covariance(A: Matrix) -> Matrix:
            total = np.zeros((len(A), len(B)))
            for variance, members, (norm, empty) in zip(variances, self._members, norms, strict=True):
                own, own_empty = _norms(A[:, members])
                block = (A[:, members] * (variance / own)[:, None]) @ B[:, members].T
                block /= norm
                total += block
                if own_empty.any() and empty.any():
                    total += variance * np.outer(own_empty, empty)
            return total

        return covariance

    def diagonal(self, theta: Matrix, A: Matrix) -> Matrix:
        """Return the scale times the sum of the weights, for every row."""
        return np.full(len(A), np.exp(theta[0] + theta[1:]).sum())

    def with_gradient(self, theta: Matrix, A: Matrix) -> tuple[Matrix, Contraction]:
        """Return the covariance and its gradient by log scale and log weights."""
        return self.gradient_at(A)(theta)

    def gradient_at(self, A: Matrix) -> Callable[[Matrix], tuple[Matrix, Contraction]]:
        """Return covariance and contraction as a function of the parameters; similarities are computed once."""
        n = len(A)
        similarities = np.empty((len(self._members), n * n))
        for similarity, unit in zip(similarities, _units(A, self._members), strict=True):
            similarity[:] = (unit @ unit.T).ravel()

        def at(theta: Matrix) -> tuple[Matrix, Contraction]:
            variances = np.exp(theta[0] + theta[1:])
            covariance: Matrix = (variances @ similarities).reshape(n, n)

            def contract(M: Matrix) -> Matrix:
                by_group = variances * (similarities @ M.ravel())
                gradient: Matrix = np.r_[by_group.sum(), by_group]
                return gradient

            return covariance, contract

        return at


class OnUnitGroups(Kernel):
    """Another kernel that sees every group of columns at norm one, flags of zero rows included.

    With a stationary kernel it is a radial function of the distances `2 - 2 <a_g, b_g> / (|a_g| |b_g|)` that the
    normalised linear kernels of the groups induce.

    Parameters
    ----------
    kernel : Kernel
    """

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def setup(self, X: Matrix, groups: NDArray[np.intp]) -> None:
        """Set up the kernel on the rows it will see."""
        columns = _members(groups)
        self._members = [run_of(members) for members in columns]
        widths = [len(members) + 1 for members in columns]
        self.kernel.setup(self._mapped(X), np.repeat(np.arange(len(widths)), widths))
        self.prior_mean, self.prior_std = self.kernel.prior_mean, self.kernel.prior_std
        self._origin = np.concatenate([np.r_[members, -1] for members in columns]).astype(np.intp)

    def _mapped(self, A: Matrix) -> Matrix:
        return np.concatenate(_units(A, self._members), axis=1)

    def covariance(self, theta: Matrix, A: Matrix, B: Matrix) -> Matrix:
        """Return the kernel's covariance."""
        return self.against(theta, B)(A)

    def against(self, theta: Matrix, B: Matrix) -> Callable[[Matrix], Matrix]:
        """Return the kernel's covariance with `B` as a function of `A`."""
        inner = self.kernel.against(theta, self._mapped(B))
        return lambda A: inner(self._mapped(A))

    def diagonal(self, theta: Matrix, A: Matrix) -> Matrix:
        """Return the kernel's variance of each row."""
        return self.kernel.diagonal(theta, self._mapped(A))

    def with_gradient(self, theta: Matrix, A: Matrix) -> tuple[Matrix, Contraction]:
        """Return the kernel's covariance and contraction."""
        return self.kernel.with_gradient(theta, self._mapped(A))

    def gradient_at(self, A: Matrix) -> Callable[[Matrix], tuple[Matrix, Contraction]]:
        """Return the kernel's covariance and contraction as a function of its parameters."""
        return self.kernel.gradient_at(self._mapped(A))

    def lengthscales(self, theta: Matrix) -> list[tuple[NDArray[np.intp], float]]:
        """Return the kernel's lengthscales, with columns as they are numbered here; flags are left out."""
        found = [(self._origin[columns], scale) for columns, scale in self.kernel.lengthscales(theta)]
        return [(columns[columns >= 0], scale) for columns, scale in found if (columns >= 0).any()]


Run = slice | NDArray[np.intp]


def _members(groups: NDArray[np.intp]) -> list[NDArray[np.intp]]:
    return [np.flatnonzero(groups == group) for group in np.unique(groups)]


def _norms(A: Matrix) -> tuple[Matrix, NDArray[np.bool_]]:
    """Return the norms of rows, 1 for those that are zero, and which these are, both `(n,)`."""
    norms = np.sqrt(np.einsum("ij,ij->i", A, A))
    empty = norms == 0
    return np.where(empty, 1.0, norms), empty


def _units(A: Matrix, groups: list[Run]) -> list[Matrix]:
    """Return the rows of each group at norm one, with a flag of those that are zero, `(n, d_g + 1)`."""
    units = []
    for members in groups:
        part = A[:, members]
        norm, empty = _norms(part)
        units.append(np.concatenate([part / norm[:, None], empty[:, None]], axis=1))
    return units
