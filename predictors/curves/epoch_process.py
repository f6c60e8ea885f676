"""A Gaussian process over epochs whose hyperparameters are shared by all curves."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy.linalg import solve_triangular
from scipy.optimize import minimize

from ..marginal_likelihood import cholesky
from .base import Floats, typical_distance
from .correction import CorrectedExtrapolator

_PRIOR_MEAN = np.log([1.0, 1.0, 1.0, 0.1, 1e-3])
_PRIOR_STD = np.array([1.0, 1.5, 1.0, 1.5, 2.0])
_MOST = 400
"""Complete curves that hyperparameters are fitted to."""
_FAR = 4.0
"""Values further from the median of their epoch, in interquartile ranges, count as so far away: they have diverged."""


class EpochProcess(CorrectedExtrapolator):
    """A Gaussian process over epochs: curves decay to ends of their own, at speeds that mix all exponentials.

    A curve is the mean curve of the complete ones, plus a constant of variance `v`, plus a process with the covariance
    `a b^c / (t + t' + b)^c`, which is a mixture of exponential decays `exp(-lambda t)` with Gamma distributed rates,
    plus noise. The five hyperparameters are those under which all complete curves together are most probable; epochs
    are measured in shares of the whole training. All curves share one Cholesky factor, also those seen to different
    epochs: the factor of the first k epochs is its leading block.

    Notes
    -----
    The kernel is that of Swersky, Snoek and Adams, "Freeze-Thaw Bayesian Optimization", arXiv:1406.3896, 2014.

    Attributes
    ----------
    parameters_ : float64 array `(5,)`
        Logarithms of `v`, `a`, `c`, `b` and the noise variance, in units of the squared scale.
    """

    least_complete: ClassVar[int] = 2

    def _learn(self, curves: Floats) -> None:
        self._times = np.array(self.epochs_, dtype=np.float64) / self.epochs_[-1]
        self.scale_ = typical_distance(self.finals_) or float(np.abs(self.finals_).max()) or 1.0
        middle, spread = np.median(curves, axis=0), np.ptp(np.quantile(curves, [0.25, 0.75], axis=0), axis=0)
        self._limits = middle - _FAR * spread, middle + _FAR * spread
        curves = np.clip(curves, *self._limits)
        self._mean = curves.mean(axis=0)
        rows = np.unique(np.linspace(0, len(curves) - 1, min(len(curves), _MOST)).astype(np.intp))
        residuals = ((curves[rows] - self._mean) / self.scale_).T
        found = minimize(
            self._surprise,
            _PRIOR_MEAN,
            args=(residuals,),
            method="L-BFGS-B",
            bounds=[(m - 5 * s, m + 5 * s) for m, s in zip(_PRIOR_MEAN, _PRIOR_STD, strict=True)],
            options={"maxiter": 60},
        )
        self.parameters_ = found.x
        # The mean curve of n is uncertain by a share 1 / n of how much curves vary.
        self._factor = np.sqrt(1 + 1 / len(curves)) * cholesky(self._covariance(self.parameters_))[0]

    def _covariance(self, parameters: Floats) -> Floats:
        constant, decay, power, offset, noise = np.exp(parameters)
        together = self._times[:, None] + self._times
        K: Floats = constant + decay * (offset / (together + offset)) ** power
        K[np.diag_indices_from(K)] += noise + 1e-8
        return K

    def _surprise(self, parameters: Floats, residuals: Floats) -> float:
        """Return the negative log posterior density of the parameters given residuals `(l, n)`."""
        L, _ = cholesky(self._covariance(parameters))
        white = solve_triangular(L, residuals, lower=True, check_finite=False)
        n = residuals.shape[1]
        standing = (parameters - _PRIOR_MEAN) / _PRIOR_STD
        return float(0.5 * (white**2).sum() + n * np.log(np.diag(L)).sum() + 0.5 * standing @ standing)

    def _extrapolate(self, curves: Floats, variant: float = 0.0) -> tuple[Floats, Floats]:
        seen = curves.shape[1]
        low, high = self._limits
        inside = np.clip(curves, low[:seen], high[:seen])
        residuals = ((inside - self._mean[:seen]) / self.scale_).T
        white = solve_triangular(self._factor[:seen, :seen], residuals, lower=True, check_finite=False)
        row = self._factor[-1]
        mean = self._mean[-1] + self.scale_ * (row[:seen] @ white)
        return mean, np.full(len(curves), self.scale_ * np.sqrt((row[seen:] ** 2).sum()))
