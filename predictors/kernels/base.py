"""The contract of a covariance function, and its sums and products."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Contraction = Callable[[Matrix], Matrix]
"""Maps `M`, `(n, n)`, to the gradient `sum_ij M_ij dK_ij / dtheta`, `(p,)`."""

_FEW = 32
"""Rows whose covariance is computed for the sake of its diagonal."""


class Kernel(ABC):
    """A positive semi-definite function of two feature rows.

    Parameters live on the log scale in one vector `theta`, `(p,)`, with independent Gaussian priors (that is,
    log-normal priors on lengthscales and scales). Kernels hold no data: the same object serves any number of fits.

    Attributes
    ----------
    prior_mean, prior_std : float64 array `(p,)`
        Set by `setup`.
    """

    prior_mean: Matrix
    prior_std: Matrix

    @property
    def n_parameters(self) -> int:
        """`p`, known after `setup`."""
        return len(self.prior_mean)

    @abstractmethod
    def setup(self, X: Matrix, groups: NDArray[np.intp]) -> None:
        """Choose parameters and priors for training rows `(n, d)` whose columns belong to `groups`, `(d,)`."""

    @abstractmethod
    def covariance(self, theta: Matrix, A: Matrix, B: Matrix) -> Matrix:
        """Return the covariance `(n, m)` between rows `A`, `(n, d)`, and `B`, `(m, d)`."""

    def against(self, theta: Matrix, B: Matrix) -> Callable[[Matrix], Matrix]:
        """Return `covariance(theta, A, B)` as a function of `A`: for many calls with the same rows `B`."""
        return lambda A: self.covariance(theta, A, B)

    @abstractmethod
    def diagonal(self, theta: Matrix, A: Matrix) -> Matrix:
        """Return the variance of each row, `(n,)`."""

    @abstractmethod
    def with_gradient(self, theta: Matrix, A: Matrix) -> tuple[Matrix, Contraction]:
        """Return the covariance of the rows with themselves, and the contraction with its gradient."""

    def gradient_at(self, A: Matrix) -> Callable[[Matrix], tuple[Matrix, Contraction]]:
        """Return `with_gradient(theta, A)` as a function of `theta`: for many calls with the same rows `A`."""
        return lambda theta: self.with_gradient(theta, A)

    def cross_with_gradient(self, theta: Matrix, A: Matrix, B: Matrix) -> tuple[Matrix, Contraction]:
        """Return the covariance of rows `A` with rows `B`, and the contraction with its gradient, both `(n, m)`.

        From the covariance of all rows with themselves; override where half of that is enough.
        """
        n = len(A)
        K, contract = self.with_gradient(theta, np.concatenate([A, B]))

        def contract_cross(M: Matrix) -> Matrix:
            whole = np.zeros_like(K)
            whole[:n, n:] = M / 2
            whole[n:, :n] = M.T / 2
            return contract(whole)

        return K[:n, n:], contract_cross

    def diagonal_gradient(self, theta: Matrix, A: Matrix, weights: Matrix) -> Matrix:
        """Return the gradient `sum_i weights_i dk(a_i, a_i) / dtheta`, `(p,)`."""
        gradient = np.zeros(self.n_parameters)
        for start in range(0, len(A), _FEW):
            part = slice(start, start + _FEW)
            gradient += self.with_gradient(theta, A[part])[1](np.diag(weights[part]))
        return gradient

    def lengthscales(self, theta: Matrix) -> list[tuple[NDArray[np.intp], float]]:
        """Return the lengthscales with the columns that each one scales; none for kernels that have none."""
        return []

    def __add__(self, other: Kernel) -> Sum:
        return Sum([*_parts(self, Sum), *_parts(other, Sum)])

    def __mul__(self, other: Kernel) -> Product:
        return Product([*_parts(self, Product), *_parts(other, Product)])


class _Composite(Kernel):
    """Several kernels with their parameters one after the other."""

    def __init__(self, parts: list[Kernel]) -> None:
        self.parts = parts

    def setup(self, X: Matrix, groups: NDArray[np.intp]) -> None:
        """Set up every part."""
        for part in self.parts:
            part.setup(X, groups)
        self.prior_mean = np.concatenate([part.prior_mean for part in self.parts])
        self.prior_std = np.concatenate([part.prior_std for part in self.parts])

    @abstractmethod
    def _join(self, results: list[tuple[Matrix, Contraction]]) -> tuple[Matrix, Contraction]:
        """Return covariance and contraction from those of the parts."""

    def with_gradient(self, theta: Matrix, A: Matrix) -> tuple[Matrix, Contraction]:
        """Return the covariance, and the contraction with the gradient by the parameters of all parts."""
        return self._join([part.with_gradient(t, A) for part, t in zip(self.parts, self.split(theta), strict=True)])

    def gradient_at(self, A: Matrix) -> Callable[[Matrix], tuple[Matrix, Contraction]]:
        """Return `with_gradient(theta, A)` as a function of `theta`, every part prepared for the rows."""
        prepared = [part.gradient_at(A) for part in self.parts]
        return lambda theta: self._join([at(t) for at, t in zip(prepared, self.split(theta), strict=True)])

    def split(self, theta: Matrix) -> list[Matrix]:
        """Return the parameters of each part."""
        return np.split(theta, np.cumsum([part.n_parameters for part in self.parts])[:-1])

    def lengthscales(self, theta: Matrix) -> list[tuple[NDArray[np.intp], float]]:
        """Return the lengthscales of all parts, one part after the other."""
        parts = zip(self.parts, self.split(theta), strict=True)
        return [scale for part, own in parts for scale in part.lengthscales(own)]


class Sum(_Composite):
    """The sum of kernels: effects that add up."""

    def covariance(self, theta: Matrix, A: Matrix, B: Matrix) -> Matrix:
        """Return the sum of the covariances."""
        return self.against(theta, B)(A)

    def against(self, theta: Matrix, B: Matrix) -> Callable[[Matrix], Matrix]:
        """Return the sum of the covariances with `B` as a function of `A`."""
        terms = [part.against(t, B) for part, t in zip(self.parts, self.split(theta), strict=True)]

        def covariance(A: Matrix) -> Matrix:
            total = terms[0](A)
            for term in terms[1:]:
                total = total + term(A)
            return total

        return covariance

    def diagonal(self, theta: Matrix, A: Matrix) -> Matrix:
        """Return the sum of the variances."""
        terms = zip(self.parts, self.split(theta), strict=True)
        return np.sum([part.diagonal(t, A) for part, t in terms], axis=0)  # type: ignore[no-any-return]

    def _join(self, results: list[tuple[Matrix, Contraction]]) -> tuple[Matrix, Contraction]:
        """Return the sum, and the parts' gradients one after the other."""
        total = results[0][0].copy()
        for covariance, _ in results[1:]:
            total += covariance
        return total, lambda M: np.concatenate([contract(M) for _, contract in results])


class Product(_Composite):
    """The product of kernels: effects that need each other."""

    def covariance(self, theta: Matrix, A: Matrix, B: Matrix) -> Matrix:
        """Return the product of the covariances."""
        return self.against(theta, B)(A)

    def against(self, theta: Matrix, B: Matrix) -> Callable[[Matrix], Matrix]:
        """Return the product of the covariances with `B` as a function of `A`."""
        terms = [part.against(t, B) for part, t in zip(self.parts, self.split(theta), strict=True)]
        return lambda A: np.prod([term(A) for term in terms], axis=0)

    def diagonal(self, theta: Matrix, A: Matrix) -> Matrix:
        """Return the product of the variances."""
        terms = zip(self.parts, self.split(theta), strict=True)
        return np.prod([part.diagonal(t, A) for part, t in terms], axis=0)  # type: ignore[no-any-return]

    def _join(self, results: list[tuple[Matrix, Contraction]]) -> tuple[Matrix, Contraction]:
        """Return the product, and each part's gradient weighted with the product of the others."""
        covariances = [covariance for covariance, _ in results]

        def contract(M: Matrix) -> Matrix:
            gradients = []
            for i, (_, inner) in enumerate(results):
                others = np.prod([c for j, c in enumerate(covariances) if j != i], axis=0)
                gradients.append(inner(M * others))
            return np.concatenate(gradients)

        return np.prod(covariances, axis=0), contract


def run_of(columns: NDArray[np.intp]) -> slice | NDArray[np.intp]:
    """Return columns as a slice, which takes a view instead of a copy, if they follow each other."""
    following = len(columns) > 0 and bool((np.diff(columns) == 1).all())
    return slice(int(columns[0]), int(columns[-1]) + 1) if following else columns


def _parts(kernel: Kernel, kind: type[_Composite]) -> list[Kernel]:
    return kernel.parts if isinstance(kernel, kind) else [kernel]
