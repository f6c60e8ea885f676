"""A Gaussian process whose prior mean is a weighted sum of what sources forecast."""

from __future__ import annotations

import numpy as np

from ..errors import InvalidDataError
from .base import Floats
from .kernels import Kernel
from .transfer import MEAN, TransferGaussianProcess


class SourcePriorGaussianProcess(TransferGaussianProcess):
    """`f(a) = sum_j w_j m_j(a) + g(a)`: sources forecast, the target's trainings weigh and correct them.

    `m_j` is the forecast of source j, `w_j` has a normal prior around zero whose variance is learned with all other
    hyperparameters, and `g` is the Gaussian process of the target alone. The weights are integrated out: the kernel is
    that of `g` plus `sum_j v_j m_j(a) m_j(b)`. A source that knows nothing forecasts nearly the same of all, and a
    source that knows something else gets a variance near zero.

    Attributes
    ----------
    weights_ : float64 array `(sources,)`
        The posterior mean of each `w_j`, in deviations of the target per deviation of the source; may be negative.

    Notes
    -----
    Parameters are those of `TransferGaussianProcess`. Kennedy and O'Hagan, "Predicting the Output from a Complex
    Computer Code when Fast Approximations Are Available", Biometrika 2000, with several sources and uncertain weights.
    """

    def _make_kernel(self, output: int) -> Kernel:
        return super()._make_kernel(1)

    @property
    def weights_(self) -> Floats:
        """The weight of each source."""
        if not self.sources:
            return np.zeros(0)
        means = self._columns_of(MEAN)
        variances = np.exp(self.parameters_[0][-1 - len(means) : -1])
        weights: Floats = variances * (self._X[:, means].T @ self._alphas[0])
        return weights

    def _set_state(self, state: object) -> None:
        super()._set_state(state)  # type: ignore[arg-type]
        if self._X.shape[1] != len(self.columns_):
            raise InvalidDataError(f"expected {len(self.columns_)} columns, got {self._X.shape[1]}")
