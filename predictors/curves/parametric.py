"""Bayesian model averaging over parametric learning curves, in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ...errors import InvalidDataError
from .base import Floats, typical_distance
from .correction import CorrectedExtrapolator
from .families import FAMILIES, shape_grid

_CHUNK = 2048
_SPREAD = 2.0
"""Prior deviation of the remaining change, and of the whole change of a curve, in units of `scale`."""
_NOISE = 0.05
"""Prior deviation of a report from the curve, in units of `scale`."""
_ENOUGH = 5
"""Complete curves from which on the prior is learned from them."""


@dataclass(frozen=True)
class Prior:
    """What is believed of a curve `y(t) = f + b s(t) + noise` for each of `g` shapes before it is seen.

    The variance of the noise is inverse Gamma of `shape` and `rate`, and `(f, b)` given it is Gaussian. All is in units
    of the scale; `f` is relative to an origin, and to the last value seen where that is None.

    Parameters
    ----------
    mean : float64 array `(g, 2)`
    precision : float64 array `(g, 2, 2)`
        Of `(f, b)`, in units of the inverse noise variance.
    shape : float
    rate : float64 array `(g,)`
    weights : float64 array `(g,)`
        Logarithms.
    origin : float, optional
    """

    mean: Floats
    precision: Floats
    shape: float
    rate: Floats
    weights: Floats
    origin: float | None = None

    @classmethod
    def vague(cls, weights: Floats) -> Prior:
        """Return the belief that the last value seen will stay, give or take twice the scale."""
        g = len(weights)
        precision = np.tile(np.eye(2) * (_NOISE / _SPREAD) ** 2, (g, 1, 1))
        return cls(np.zeros((g, 2)), precision, 1.0, np.full(g, _NOISE**2), weights)


@dataclass(frozen=True)
class Belief:
    """What is believed of `c` curves for each of `g` shapes once they are seen.

    Parameters
    ----------
    center : float64 array `(c, g, 2)`
        The mean of `(f, b)`.
    covariance : float64 array `(g, 2, 2)`
        Of the same, in units of the noise variance.
    noise : float64 array `(c, g)`
        The mean of the noise variance.
    evidence : float64 array `(c, g)`
        The logarithm of how probable curve and shape are, up to a constant.
    """

    center: Floats
    covariance: Floats
    noise: Floats
    evidence: Floats

    @property
    def weights(self) -> Floats:
        """The posterior probability of each shape, `(c, g)`."""
        weights = np.exp(self.evidence - self.evidence.max(axis=1, keepdims=True))
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def condition(prior: Prior, slopes: Floats, y: Floats, discount: float = 0.0) -> Belief:
    """Return the conjugate posterior for every curve and shape.

    Parameters
    ----------
    prior : Prior
    slopes : float64 array `(g, k)`
        The shapes at the epochs seen.
    y : float64 array `(c, k)`
        The curves, in units of the scale and relative to the origin.
    discount : float
        The i-th of k reports counts `(i / k)^discount` of one: for curves that begin unlike any of the shapes.
    """
    share = (np.arange(1, y.shape[1] + 1) / y.shape[1]) ** discount
    weighted = y * share
    X = np.stack([np.ones_like(slopes), slopes], axis=2)
    precision = np.einsum("k,gki,gkj->gij", share, X, X) + prior.precision
    covariance = np.linalg.inv(precision)
    pull = np.einsum("gij,gj->gi", prior.precision, prior.mean)
    total = np.broadcast_to(weighted.sum(axis=1)[:, None], (len(y), len(slopes)))
    projected = np.stack([total, weighted @ slopes.T], axis=2) + pull
    center = np.einsum("gij,cgj->cgi", covariance, projected)
    shape = prior.shape + share.sum() / 2
    rest = (y * weighted).sum(axis=1)[:, None] + (prior.mean * pull).sum(axis=1) - (center * projected).sum(axis=2)
    rate = prior.rate + 0.5 * np.maximum(rest, 0.0)
    gained = 0.5 * (np.linalg.slogdet(prior.precision)[1] - np.linalg.slogdet(precision)[1])
    evidence = prior.weights + gained + prior.shape * np.log(prior.rate) - shape * np.log(rate)
    return Belief(center, covariance, rate / (shape - 1), evidence)


class ParametricExtrapolator(CorrectedExtrapolator):
    """A mixture of parametric curves: power laws, exponentials, Hill curves and others, weighted by their evidence.

    A curve is `y(t) = f + b s(t)` and noise, with `f` the value at the last epoch and `s` one of some hundred shapes of
    the families. For every shape the posterior of `f`, `b` and the noise is conjugate; the forecast is the mixture of
    their Student-t distributions. What Domhan et al. sample by MCMC is summed here over the grid of shapes, for all
    curves at once. From five complete curves on, the prior of all this is that under which they are typical; before, a
    curve is expected to stay where it is. How much early reports count is chosen by the complete curves as well.

    Parameters
    ----------
    families : sequence of str, optional
        Names of `FAMILIES`; all by default.
    learn : bool
        Learn the prior from the complete curves. Without, they only correct the forecasts: for where they are a
        selection, such as the trainings that were not stopped, from which nothing follows about the others.
    scale : float, optional
        How far the ends of trainings typically are from each other; from the curves by default.

    Notes
    -----
    Domhan, Springenberg and Hutter, "Speeding Up Automatic Hyperparameter Optimization of Deep Neural Networks by
    Extrapolation of Learning Curves", IJCAI 2015. Bishop, "Pattern Recognition and Machine Learning", 2006, 3.4.

    Examples
    --------
    >>> import numpy as np
    >>> curve = 90 - 30 * np.arange(1, 11) ** -0.5
    >>> mean = ParametricExtrapolator().fit(np.empty((0, 10))).predict(curve[None, :6])
    >>> bool(curve[5] < mean[0] < 90)
    True
    """

    least_complete: ClassVar[int] = 0
    variants: ClassVar[tuple[float, ...]] = (0.0, 2.0, 4.0)

    def __init__(
        self, families: Sequence[str] | None = None, *, learn: bool = True, scale: float | None = None
    ) -> None:
        self.families = families
        self.learn = learn
        self.scale = scale

    def _learn(self, curves: Floats) -> None:
        families = tuple(FAMILIES) if self.families is None else tuple(self.families)
        unknown = [name for name in families if name not in FAMILIES]
        if unknown or not families:
            raise InvalidDataError(f"families must be some of {', '.join(FAMILIES)}, got {unknown or families!r}")
        if self.scale is not None and not 0 < self.scale < np.inf:
            raise InvalidDataError(f"scale must be a positive number, got {self.scale!r}")
        self._shapes, weights = shape_grid(families, self.epochs_)
        if not len(self._shapes):  # one epoch alone: nothing will be asked
            self._shapes, weights = np.zeros((1, len(self.epochs_))), np.zeros(1)
        self.scale_ = self._scale_of(self.finals_) if len(curves) > 1 else self.scale
        self.prior_ = Prior.vague(weights)
        if self.learn and len(curves) >= _ENOUGH and len(self.epochs_) > 2:
            self.prior_ = self._learned(curves)

    def _scale_of(self, values: Floats) -> float:
        return self.scale or typical_distance(values) or float(np.abs(values).max()) or 1.0

    def _learned(self, curves: Floats) -> Prior:
        """Return the prior under which the complete curves are typical."""
        n, scale, vague = len(curves), self._scale_of(self.finals_), self.prior_
        origin = float(np.median(self.finals_))
        offset = curves[:, -1]
        fitted = condition(vague, self._shapes, (curves - offset[:, None]) / scale)
        center = fitted.center.copy()
        center[..., 0] += (offset - origin)[:, None] / scale
        mean = center.mean(axis=0)
        around = center - mean
        # As many curves as parameters are added that vary as the vague prior says.
        covariance = np.einsum("cgi,cgj->gij", around, around) + 2 * _SPREAD**2 * np.eye(2)
        covariance /= n + 2
        noise = np.exp(np.log(fitted.noise).mean(axis=0))
        share = (fitted.weights.sum(axis=0) + np.exp(vague.weights)) / (n + 1)
        return Prior(mean, np.linalg.inv(covariance) * noise[:, None, None], 2.0, noise, np.log(share), origin)

    def _extrapolate(self, curves: Floats, variant: float) -> tuple[Floats, Floats]:
        slopes = self._shapes[:, : curves.shape[1]]
        scale = self.scale_ or self._scale_of(curves[:, -1] if len(curves) > 1 else curves[0])
        parts = [self._mixture(curves[i : i + _CHUNK], slopes, scale, variant) for i in range(0, len(curves), _CHUNK)]
        return np.concatenate([mean for mean, _ in parts]), np.concatenate([std for _, std in parts])

    def _mixture(self, curves: Floats, slopes: Floats, scale: float, discount: float) -> tuple[Floats, Floats]:
        origin = curves[:, -1] if self.prior_.origin is None else np.full(len(curves), self.prior_.origin)
        belief = condition(self.prior_, slopes, (curves - origin[:, None]) / scale, discount)
        weights, final = belief.weights, belief.center[:, :, 0]
        variance = belief.noise * (belief.covariance[:, 0, 0] + 1)
        mean = (weights * final).sum(axis=1)
        spread = (weights * (variance + (final - mean[:, None]) ** 2)).sum(axis=1)
        return origin + scale * mean, scale * np.sqrt(spread)
