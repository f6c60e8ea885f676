"""Kernels of a weighted squared distance: squared exponential, Matern, and Hamming."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from ...errors import InvalidDataError
from .base import Contraction, Kernel, Matrix

_ROOT3, _ROOT5 = float(np.sqrt(3.0)), float(np.sqrt(5.0))


class Radial(NamedTuple):
    """A correlation as a function of the squared distance, alone and with its derivative by the squared distance.

    Both overwrite their argument: the matrices are large, and not needed again.
    """

    value: Callable[[Matrix], Matrix]
    with_slope: Callable[[Matrix], tuple[Matrix, Matrix]]


def _decay(r2: Matrix, root: float) -> tuple[Matrix, Matrix]:
    """Return `r = root * sqrt(r2)`, in place, and `exp(-r)`."""
    r = np.sqrt(r2, out=r2)
    r *= root
    decay = np.negative(r)
    return r, np.exp(decay, out=decay)


def _rbf(r2: Matrix) -> Matrix:
    r2 *= -0.5
    return np.exp(r2, out=r2)


def _matern32(r2: Matrix) -> Matrix:
    r, decay = _decay(r2, _ROOT3)
    r += 1
    r *= decay
    return r


def _matern52(r2: Matrix) -> Matrix:
    r, decay = _decay(r2, _ROOT5)
    decay *= 1 + r * (1 + r / 3)
    return decay


def _rbf_and_slope(r2: Matrix) -> tuple[Matrix, Matrix]:
    value = np.exp(-0.5 * r2)
    return value, -0.5 * value


def _matern32_and_slope(r2: Matrix) -> tuple[Matrix, Matrix]:
    r, decay = _decay(r2, _ROOT3)
    r += 1
    r *= decay
    decay *= -1.5
    return r, decay


def _matern52_and_slope(r2: Matrix) -> tuple[Matrix, Matrix]:
    r, decay = _decay(r2, _ROOT5)
    slope = (1 + r) * decay
    value: Matrix = slope + r * r * decay / 3
    slope *= -5 / 6
    return value, slope


RADIAL: dict[str, Radial] = {
    "rbf": Radial(_rbf, _rbf_and_slope),
    "matern32": Radial(_matern32, _matern32_and_slope),
    "matern52": Radial(_matern52, _matern52_and_slope),
}


class Stationary(Kernel):
    """`scale * f(sum_g w_g D_g)`: a radial function of a weighted sum of squared distances.

    `D_g` is the squared Euclidean distance over the columns of one group, divided by its mean over pairs of training
    rows, so that a weight of one means "as far as two architectures usually are" whatever the number of columns.

    Parameters
    ----------
    radial : {"matern52", "matern32", "rbf"}
        The correlation as a function of distance (Rasmussen and Williams, 2006, chapter 4).
    weights : {"group", "column", "one"}
        One weight per group of columns, per column (automatic relevance determination), or one for all.
    only : int, optional
        Look at the columns of this group alone: a term of an additive model.
    lengthscale_prior : (float, float)
        Mean and standard deviation of the log lengthscale.
    scale_prior : (float, float)
        Mean and standard deviation of the log of the variance.
    """

    def __init__(
        self,
        radial: str = "matern52",
        weights: str = "group",
        *,
        only: int | None = None,
        lengthscale_prior: tuple[float, float] = (0.5, 0.5),
        scale_prior: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        if radial not in RADIAL:
            raise InvalidDataError(f"radial must be one of {', '.join(RADIAL)}, got {radial!r}")
        if weights not in ("group", "column", "one"):
            raise InvalidDataError(f"weights must be group, column or one, got {weights!r}")
        self.radial = radial
        self.weights = weights
        self.only = only
        self.lengthscale_prior = lengthscale_prior
        self.scale_prior = scale_prior

    def setup(self, X: Matrix, groups: NDArray[np.intp]) -> None:
        """Tie the columns to weights, and normalise their distances."""
        # The mean squared difference of two rows is twice the variance; columns that never vary have no say.
        spread = 2 * X.var(axis=0)
        self._chosen = np.flatnonzero((spread > 0) & ((groups == self.only) if self.only is not None else True))
        self._groups = groups[self._chosen]
        labels: NDArray[Any] = {
            "group": self._groups,
            "column": np.arange(len(self._chosen)),
            "one": np.zeros(len(self._chosen), dtype=np.intp),
        }[self.weights]
        _, self._weight_of = np.unique(labels, return_inverse=True)
        count = int(self._weight_of.max(initial=-1)) + 1
        total = np.bincount(self._weight_of, weights=spread[self._chosen], minlength=count)
        self._factors = 1 / np.sqrt(total[self._weight_of])
        mean, std = self.lengthscale_prior
        self.prior_mean = np.r_[self.scale_prior[0], np.full(count, -2 * mean - np.log(max(count, 1)))]
        self.prior_std = np.r_[self.scale_prior[1], np.full(count, 2 * std)]

    @property
    def weighted_groups(self) -> list[int]:
        """The groups of columns that have a weight of their own, in the order of the weights; with one per group."""
        return np.unique(self._groups).tolist()  # type: ignore[no-any-return]

    def _scaled(self, theta: Matrix, A: Matrix) -> Matrix:
        scaled: Matrix = A[:, self._chosen] * (self._factors * np.exp(0.5 * theta[1:])[self._weight_of])
        return scaled

    def lengthscales(self, theta: Matrix) -> list[tuple[NDArray[np.intp], float]]:
        """Return `w^(-1/2)` of each weight: the distance at which it alone makes rows differ, 1 being the usual one."""
        scales = np.exp(-0.5 * theta[1:]).tolist()
        return [(self._chosen[self._weight_of == k], scale) for k, scale in enumerate(scales)]

    def covariance(self, theta: Matrix, A: Matrix, B: Matrix) -> Matrix:
        """Return `scale * f(distance)`."""
        return self.against(theta, B)(A)

    def against(self, theta: Matrix, B: Matrix) -> Callable[[Matrix], Matrix]:
        """Return the covariance with `B` as a function of `A`; of `B` no copy is made, however often theta changes."""
        weights = np.zeros(B.shape[1])
        weights[self._chosen] = (self._factors**2) * np.exp(theta[1:])[self._weight_of]
        distances_to = weighted_distances_to(B, weights)
        value, scale = RADIAL[self.radial].value, np.exp(theta[0])

        def covariance(A: Matrix) -> Matrix:
            result = value(distances_to(A))
            result *= scale
            return result

        return covariance

    def diagonal(self, theta: Matrix, A: Matrix) -> Matrix:
        """Return the scale, for every row."""
        return np.full(len(A), np.exp(theta[0]))

    def with_gradient(self, theta: Matrix, A: Matrix) -> tuple[Matrix, Contraction]:
        """Return the covariance and its gradient by log scale and log weights."""
        scaled = self._scaled(theta, A)
        r2 = squared_distances(scaled, scaled)
        np.fill_diagonal(r2, 0.0)
        scale = np.exp(theta[0])
        covariance, slope = RADIAL[self.radial].with_slope(r2)
        covariance *= scale

        def contract(M: Matrix) -> Matrix:
            # sum_ij H_ij (x_i - x_j)^2 = 2 (sum_i h_i x_i^2 - x' H x) for symmetric H: no (d, n, n) array is made.
            H = M * slope * scale
            by_column = 2 * ((scaled**2 * H.sum(axis=1)[:, None]).sum(axis=0) - (scaled * (H @ scaled)).sum(axis=0))
            by_weight = np.bincount(self._weight_of, weights=by_column, minlength=len(theta) - 1)
            gradient: Matrix = np.r_[np.vdot(M, covariance), by_weight]
            return gradient

        return covariance, contract

    def cross_with_gradient(self, theta: Matrix, A: Matrix, B: Matrix) -> tuple[Matrix, Contraction]:
        """Return the covariance of two sets of rows, and its gradient by log scale and log weights."""
        first, second = self._scaled(theta, A), self._scaled(theta, B)
        scale = np.exp(theta[0])
        covariance, slope = RADIAL[self.radial].with_slope(squared_distances(first, second))
        covariance *= scale

        def contract(M: Matrix) -> Matrix:
            H = M * slope
            H *= scale
            by_column = H.sum(axis=1) @ first**2 + H.sum(axis=0) @ second**2 - 2 * (first * (H @ second)).sum(axis=0)
            by_weight = np.bincount(self._weight_of, weights=by_column, minlength=len(theta) - 1)
            gradient: Matrix = np.r_[np.vdot(M, covariance), by_weight]
            return gradient

        return covariance, contract

    def diagonal_gradient(self, theta: Matrix, A: Matrix, weights: Matrix) -> Matrix:
        """Return the gradient of the scale, by itself alone."""
        return np.r_[np.exp(theta[0]) * weights.sum(), np.zeros(len(theta) - 1)]


class Hamming(Kernel):
    """`scale * exp(-w * share of columns that differ)`: for genotypes as integers, whose order means nothing."""

    def setup(self, X: Matrix, groups: NDArray[np.intp]) -> None:
        """Choose priors: a typical pair of training rows correlates at about 0.4."""
        typical = np.mean([1 - (np.unique(x, return_counts=True)[1] ** 2).sum() / len(x) ** 2 for x in X.T])
        self.prior_mean = np.array([0.0, -np.log(max(float(typical), 1e-3))])
        self.prior_std = np.array([1.0, 1.5])

    def covariance(self, theta: Matrix, A: Matrix, B: Matrix) -> Matrix:
        """Return `scale * exp(-w * distance)`."""
        covariance: Matrix = np.exp(theta[0] - np.exp(theta[1]) * cdist(A, B, "hamming"))
        return covariance

    def diagonal(self, theta: Matrix, A: Matrix) -> Matrix:
        """Return the scale, for every row."""
        return np.full(len(A), np.exp(theta[0]))

    def with_gradient(self, theta: Matrix, A: Matrix) -> tuple[Matrix, Contraction]:
        """Return the covariance and its gradient by log scale and log weight."""
        weighted = np.exp(theta[1]) * cdist(A, A, "hamming")
        covariance: Matrix = np.exp(theta[0] - weighted)
        return covariance, lambda M: np.array([np.vdot(M, covariance), -np.vdot(M, covariance * weighted)])


def squared_distances(A: Matrix, B: Matrix) -> Matrix:
    """Return squared Euclidean distances `(n, m)` between rows, by one matrix product, none of them negative."""
    return weighted_distances_to(B, np.ones(B.shape[1]))(A)


def weighted_distances_to(B: Matrix, weights: Matrix) -> Callable[[Matrix], Matrix]:
    """Return a function of `A` that gives `sum_k weights_k (a_k - b_k)^2`, `(n, m)`, none of them negative."""
    norms = np.einsum("ij,ij,j->i", B, B, weights)

    def distances(A: Matrix) -> Matrix:
        r2: Matrix = (A * (-2 * weights)) @ B.T
        r2 += np.einsum("ij,ij,j->i", A, A, weights)[:, None]
        r2 += norms
        return np.maximum(r2, 0, out=r2)

    return distances
