"""Choosing one architecture after another by the posterior of a Gaussian process, whose variance needs no outcome."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .embedding import Floats, PriorProcess


class Conditioning:
    """What is left of the variances as more and more architectures are chosen: one row of a Cholesky factor each.

    Parameters
    ----------
    process : PriorProcess
    noise : float
        Variance of the noise of a training.
    n : int
        How many will be chosen.
    """

    def __init__(self, process: PriorProcess, noise: float, n: int) -> None:
        self._process, self._noise = process, noise
        self.variance = process.variance()
        self.rows = np.empty((n, len(self.variance)))
        self._chosen: list[int] = []

    @property
    def chosen(self) -> NDArray[np.intp]:
        """Those chosen so far, in order."""
        return np.array(self._chosen, dtype=np.intp)

    def best(self, scores: Floats) -> int:
        """Return the first of the largest scores among what is not chosen yet."""
        free = scores.copy()
        free[self._chosen] = -np.inf
        return int(np.argmax(free))

    def choose(self, position: int) -> Floats:
        """Take in one more; return its posterior covariance with all, over its deviation with noise, `(m,)`."""
        done = len(self._chosen)
        row: Floats = self._process.covariance(np.array([position]))[0]
        row -= self.rows[:done, position] @ self.rows[:done]
        row /= np.sqrt(max(self.variance[position], 0.0) + self._noise)
        self.rows[done] = row
        self.variance = self.variance - row**2
        self._chosen.append(position)
        return row


def largest_variance(process: PriorProcess, noise: float, n: int) -> NDArray[np.intp]:
    """Return `n` positions, each the one of largest variance given those before: greedily the largest determinant.

    The determinant of the covariance of the chosen ones with noise is the product of these variances with noise. Each
    costs `O(m (k + n))`.
    """
    state = Conditioning(process, noise, n)
    for _ in range(n):
        state.choose(state.best(state.variance))
    return state.chosen


def largest_reduction(process: PriorProcess, noise: float, n: int, weights: Floats) -> NDArray[np.intp]:
    """Return `n` positions, each of which lowers the weighted mean of the variances the most.

    Choosing `i` lowers the variance of `r` by `c_ir^2 / (c_ii + noise)`, where `c` is the posterior covariance. The
    sum of squares over `r` is carried on from step to step, so that each costs one product with the prior covariance
    `(r, m)` of those that have weight, instead of a new posterior one.
    """
    state = Conditioning(process, noise, n)
    reference = np.flatnonzero(weights)
    root = np.sqrt(weights[reference])
    prior = root[:, None] * process.covariance(reference)
    squares = np.einsum("ij,ij->j", prior, prior)
    for step in range(n):
        position = state.best(squares / (np.maximum(state.variance, 0.0) + noise))
        row = state.choose(position)
        before, target = state.rows[:step], root * row[reference]
        with_target = target @ prior - ((before[:, reference] * root) @ target) @ before
        squares += row * (row * (target @ target) - 2 * with_target)
    return state.chosen
