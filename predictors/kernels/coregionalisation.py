"""One kernel for several tasks: the intrinsic coregionalisation model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .base import Contraction, Kernel, Matrix


class Coregionalised(Kernel):
    """`B[s, t] k(a, b)` for a row `a` of task `s` and `b` of task `t`, with `B = w w' + diag(exp(v))`.

    The last column of a row is the number of its task; the kernel sees the others. What tasks share has the weights
    `w`, which may be negative; `exp(v)` is how much each goes its own way. A task of weight near zero neither helps
    the others nor hurts them.

    Parameters
    ----------
    kernel : Kernel
        What is alike within each task.
    tasks : int
    shared_prior : (float, float)
        Mean and standard deviation of each weight.
    own_prior : (float, float)
        Mean and standard deviation of each `v`.

    Notes
    -----
    Bonilla, Chai and Williams, "Multi-task Gaussian Process Prediction", NeurIPS 2007; Alvarez, Rosasco and Lawrence,
    "Kernels for Vector-Valued Functions: a Review", 2012, section 4.2.
    """

    def __init__(
        self,
        kernel: Kernel,
        tasks: int,
        *,
        shared_prior: tuple[float, float] = (0.6, 0.6),
        own_prior: tuple[float, float] = (-1.0, 1.0),
    ) -> None:
        self.kernel = kernel
        self.tasks = tasks
        self.shared_prior = shared_prior
        self.own_prior = own_prior

    def setup(self, X: Matrix, groups: NDArray[np.intp]) -> None:
        """Set up the kernel, and the priors of the tasks."""
        self.kernel.setup(X[:, :-1], groups[: X.shape[1] - 1])
        ones = np.ones(self.tasks)
        self.prior_mean = np.r_[self.shared_prior[0] * ones, self.own_prior[0] * ones, self.kernel.prior_mean]
        self.prior_std = np.r_[self.shared_prior[1] * ones, self.own_prior[1] * ones, self.kernel.prior_std]

    def matrix(self, theta: Matrix) -> Matrix:
        """Return `B`, `(tasks, tasks)`."""
        w, v = theta[: self.tasks], theta[self.tasks : 2 * self.tasks]
        B: Matrix = np.outer(w, w) + np.diag(np.exp(v))
        return B

    def covariance(self, theta: Matrix, A: Matrix, B: Matrix) -> Matrix:
        """Return `B[s, t] k(a, b)`."""
        between = self.matrix(theta)[np.ix_(_task(A), _task(B))]
        covariance: Matrix = between * self.kernel.covariance(theta[2 * self.tasks :], A[:, :-1], B[:, :-1])
        return covariance

    def diagonal(self, theta: Matrix, A: Matrix) -> Matrix:
        """Return `B[s, s] k(a, a)`."""
        variances: Matrix = np.diag(self.matrix(theta))[_task(A)]
        return variances * self.kernel.diagonal(theta[2 * self.tasks :], A[:, :-1])

    def with_gradient(self, theta: Matrix, A: Matrix) -> tuple[Matrix, Contraction]:
        """Return the covariance and its gradient by `w`, `v` and the kernel's parameters."""
        task = _task(A)
        between = self.matrix(theta)[np.ix_(task, task)]
        w, v = theta[: self.tasks], theta[self.tasks : 2 * self.tasks]
        inner, contract_inner = self.kernel.with_gradient(theta[2 * self.tasks :], A[:, :-1])
        members = np.eye(self.tasks)[task]

        def contract(M: Matrix) -> Matrix:
            by_task = members.T @ (M * inner) @ members
            gradient: Matrix = np.r_[2 * by_task @ w, np.exp(v) * np.diag(by_task), contract_inner(M * between)]
            return gradient

        return between * inner, contract

    def lengthscales(self, theta: Matrix) -> list[tuple[NDArray[np.intp], float]]:
        """Return those of the kernel, which all tasks share."""
        return self.kernel.lengthscales(theta[2 * self.tasks :])


def _task(rows: Matrix) -> NDArray[np.intp]:
    task: NDArray[np.intp] = rows[:, -1].astype(np.intp)
    return task
