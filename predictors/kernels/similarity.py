"""Kernels that are a similarity of count vectors: Tanimoto, and the normalised linear (Weisfeiler-Lehman) kernel."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from numpy.typing import NDArray

from .base import Contraction, Kernel, Matrix


class _Similarity(Kernel):
    """`scale * similarity`, where the similarity has no parameters of its own and is 1 for equal rows."""

    def setup(self, X: Matrix, groups: NDArray[np.intp]) -> None:
        """Choose the prior of the scale, which has to make up for similarities that never get near 0."""
        self.prior_mean = np.array([0.5])
        self.prior_std = np.array([1.5])

    @abstractmethod
    def _similarity(self, A: Matrix, B: Matrix) -> Matrix:
        """Return similarities `(n, m)`."""

    def covariance(self, theta: Matrix, A: Matrix, B: Matrix) -> Matrix:
        """Return `scale * similarity`."""
        covariance: Matrix = np.exp(theta[0]) * self._similarity(A, B)
        return covariance

    def diagonal(self, theta: Matrix, A: Matrix) -> Matrix:
        """Return the scale, for every row."""
        return np.full(len(A), np.exp(theta[0]))

    def with_gradient(self, theta: Matrix, A: Matrix) -> tuple[Matrix, Contraction]:
        """Return the covariance and its gradient by the log scale."""
        covariance = self.covariance(theta, A, A)
        return covariance, lambda M: np.array([np.vdot(M, covariance)])


class Tanimoto(_Similarity):
    """`<a, b> / (|a|^2 + |b|^2 - <a, b>)` on non-negative counts (Ralaivola et al., Neural Networks 2005).

    Two rows of zeros are equal.
    """

    def _similarity(self, A: Matrix, B: Matrix) -> Matrix:
        inner = A @ B.T
        union = (A**2).sum(axis=1)[:, None] + (B**2).sum(axis=1) - inner
        similarity: Matrix = np.divide(inner, union, out=np.ones_like(inner), where=union > 0)
        return similarity


class Linear(_Similarity):
    """`<a, b> / (|a| |b|)`: on Weisfeiler-Lehman counts, the subtree kernel (Shervashidze et al., JMLR 2011).

    A row of zeros is similar to nothing but itself.
    """

    def _similarity(self, A: Matrix, B: Matrix) -> Matrix:
        first, second = np.linalg.norm(A, axis=1), np.linalg.norm(B, axis=1)
        left = A / np.where(first > 0, first, 1)[:, None]
        right = B / np.where(second > 0, second, 1)[:, None]
        similarity: Matrix = left @ right.T
        similarity[np.ix_(first == 0, second == 0)] = 1.0
        return similarity
