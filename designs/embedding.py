"""Architectures as points whose distances are those of a Gaussian process before it has seen any outcome."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from ..encoders import Encoder, make_encoder
from ..errors import InvalidDataError
from ..predictors.kernels import Stationary
from ..predictors.marginal_likelihood import NoisePrior
from ..predictors.scaling import column_scaling
from ..spaces import Architectures

Floats = NDArray[np.float64]


def embed(architectures: Architectures, encoder: str | Encoder) -> Floats:
    """Return one point an architecture, `(m, k)`; their mean squared distance is 1, or 0 if all are alike.

    Indicators stay as they are and quantities are standardised over the architectures. Every kind of feature has the
    same share in the mean squared distance, as in the prior of `GaussianProcess`.

    Raises
    ------
    InvalidDataError
        If the encoder is neither a name nor an Encoder.
    UnknownNameError
        If there is no encoder of that name.
    """
    if not isinstance(encoder, (str, Encoder)):
        raise InvalidDataError(f"encoder must be a name or an Encoder, got {type(encoder).__name__}")
    chosen: Encoder = make_encoder(encoder) if isinstance(encoder, str) else clone(encoder)
    features = chosen.fit(architectures).transform(architectures).astype(np.float64)
    columns = chosen.columns(architectures.space)
    shift, scale = column_scaling(features, columns)
    scaled = (features - shift) / scale
    spread = 2 * scaled.var(axis=0)
    varied = np.flatnonzero(spread > 1e-12)
    if not len(varied):
        return np.zeros((len(features), 1))
    _, group = np.unique(np.array(columns.groups)[varied], return_inverse=True)
    total = np.bincount(group, weights=spread[varied])
    points: Floats = scaled[:, varied] / np.sqrt(total[group] * len(total))
    return points


class PriorProcess:
    """The covariance of architectures, and the noise of a training, as the priors of `GaussianProcess` have them.

    Parameters
    ----------
    points : float64 array `(m, k)`
        What `embed` returned.
    """

    def __init__(self, points: Floats) -> None:
        self.points = points
        kernel = Stationary("matern32", "one")
        kernel.setup(points, np.zeros(points.shape[1], dtype=np.intp))
        self._with_all = kernel.against(kernel.prior_mean, points)
        self._variance = kernel.diagonal(kernel.prior_mean, points)
        prior = NoisePrior()
        self.noise = float(np.exp(prior.mean)) + prior.floor

    def variance(self) -> Floats:
        """Return the variance of every architecture, `(m,)`."""
        return self._variance.copy()

    def covariance(self, rows: NDArray[np.intp] | slice) -> Floats:
        """Return the covariance of some architectures with all of them, `(r, m)`."""
        return self._with_all(self.points[rows])
