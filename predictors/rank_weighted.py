"""RGPE: an ensemble of sources and target, weighted by how well each ranks the target's trainings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotri

from ..errors import InvalidDataError
from .base import Floats
from .transfer import DEVIATION, MEAN, TransferGaussianProcess

_DRAWS = 256
_POINTS = 200
"""Trainings whose ranking is looked at, at most: pairs are four times as many for twice as many."""
_CHANCE = 1.2816
"""Standard errors above zero that the rank correlation of a source must reach: by chance one in ten does."""
_PSEUDO = 5.0
"""How many trainings the belief counts that a source says the same of the target, with half the target's variance."""


class RankWeightedEnsemble(TransferGaussianProcess):
    """A mixture of what sources forecast and of Gaussian processes on the target, each weighted by its ranking.

    Members are the target's Gaussian process alone, the one that takes the sources as prior mean (see
    `SourcePriorGaussianProcess`), and every source. From each, outcomes of the target's trainings are drawn: those of
    sources from their forecasts, those of the target's processes from their leave-one-out forecasts. The weight of a
    member is the share of draws in which it misranks the fewest pairs.

    Against dilution by many sources, one has no say if its median loss is above the 95th percentile of the target's
    own, or if it ranks the target's trainings no better than chance may. Weights of unrelated sources are zero.

    Attributes
    ----------
    members_ : tuple of str
        `"target"`, `"target on sources"`, and the names of the sources.
    weights_ : float64 array `(2 + sources,)`
        Non-negative, of sum 1.

    Notes
    -----
    Parameters are those of `TransferGaussianProcess`. Feurer, Letham and Bakshy, "Scalable Meta-Learning for Bayesian
    Optimization using Ranking-Weighted Gaussian Process Ensembles", AutoML workshop 2018. The deviation is that of the
    mixture, so that members that disagree widen it; the paper's weighted sum of independent forecasts narrows it.
    """

    def _fit(self, features: Floats, z: Floats) -> None:
        super()._fit(features, np.repeat(z, 2 if self.sources else 1, axis=1))
        target = z[:, 0]
        means, deviations = features[:, self._columns_of(MEAN)], features[:, self._columns_of(DEVIATION)]
        self._maps = _maps(target, means, deviations)
        self.weights_ = np.ones(1)
        if self.sources:
            rng = np.random.default_rng(self.seed)
            rows = np.sort(rng.permutation(len(target))[:_POINTS])
            left_out = [self._leave_one_out(k, target)[rows] for k in range(2)]
            told = np.stack([means, deviations], axis=-1)[rows]
            self.weights_ = rank_weights(target[rows], left_out, list(np.moveaxis(told, 1, 0)), rng)

    @property
    def members_(self) -> tuple[str, ...]:
        """What the weights belong to."""
        names = tuple(source.name for source in self.sources)
        return ("target", "target on sources", *names) if names else ("target",)

    def _leave_one_out(self, output: int, z: Floats) -> Floats:
        """Return leave-one-out mean and deviation of each training, `(n, 2)`, at the fitted hyperparameters.

        Rasmussen and Williams, 2006, equation 5.12.
        """
        inverse, _ = dpotri(self._factors[output], lower=1)
        variance = 1 / np.diag(inverse)
        scale = self._z_scale[output]
        mean = z - self._alphas[output] * variance * scale
        return np.stack([mean, np.sqrt(variance) * scale], axis=1)

    def _answer(self, features: Floats, *, with_std: bool) -> tuple[Floats, Floats]:
        mean, std = super()._answer(features, with_std=with_std)
        if self.sources:
            means, deviations = features[:, self._columns_of(MEAN)], features[:, self._columns_of(DEVIATION)]
            intercept, slope, residual, usual = self._maps
            told = np.sqrt(residual + np.maximum(slope**2 * (deviations**2 - usual), 0))
            mean, std = np.column_stack([mean, intercept + slope * means]), np.column_stack([std, told])
        mixed = mean @ self.weights_
        spread = (std**2 + (mean - mixed[:, None]) ** 2) @ self.weights_
        return mixed[:, None], np.sqrt(spread)[:, None]

    def _predict_joint(self, features: Floats) -> tuple[Floats, Floats] | None:
        """Return None: how the errors of a mixture hang together is not known."""
        return None

    def _get_state(self) -> dict[str, NDArray[Any] | bytes]:
        return {**super()._get_state(), "maps": self._maps, "weights": self.weights_}

    def _set_state(self, state: Mapping[str, Any]) -> None:
        super()._set_state(state)
        self._maps, self.weights_ = state["maps"], state["weights"]
        if self.weights_.shape != (len(self.members_),) or self._maps.shape != (4, len(self.sources)):
            raise InvalidDataError(f"expected {len(self.members_)} weights, got {self.weights_.shape}")


def rank_weights(target: Floats, own: list[Floats], told: list[Floats], rng: np.random.Generator) -> Floats:
    """Return the weight of each member, own ones first, by the pairs that draws from it misrank.

    Parameters
    ----------
    target : float64 array `(n,)`
    own : list of float64 arrays `(n, 2)`
        Leave-one-out mean and deviation; the first is of the target alone, which wins ties.
    told : list of float64 arrays `(n, 2)`
        Mean and deviation that each source forecasts, on any scale.
    rng : numpy Generator
    """
    losses = np.stack([_ranking_losses(target, member, rng) for member in [*own, *told]], axis=1)
    medians = np.median(losses, axis=0)
    dropped = medians > np.quantile(losses[:, 0], 0.95)
    dropped[0] = False
    n = len(target)
    chance = _CHANCE * np.sqrt(2 * (2 * n + 5) / (9 * n * (n - 1)))
    for k, member in enumerate(told, start=len(own)):
        dropped[k] |= 1 - 2 * float(_misranked(target, member[None, :, 0])[0]) < chance
    losses[:, dropped] = np.inf
    best = losses == losses.min(axis=1, keepdims=True)
    weights: Floats = np.bincount(best.argmax(axis=1), minlength=losses.shape[1]) / len(losses)
    return weights


def _ranking_losses(target: Floats, member: Floats, rng: np.random.Generator) -> Floats:
    """Return the share of pairs that each draw from a member misranks, `(draws,)`."""
    return _misranked(target, member[:, 0] + member[:, 1] * rng.normal(size=(_DRAWS, len(target))))


def _misranked(target: Floats, draws: Floats) -> Floats:
    """Return the share of pairs of different targets that each draw, `(k, n)`, misranks; ties are half wrong."""
    first, second = np.triu_indices(len(target), 1)
    sign = np.sign(target[first] - target[second])
    first, second, sign = first[sign != 0], second[sign != 0], sign[sign != 0]
    agreement = np.array([np.sign(draw[first] - draw[second]) @ sign for draw in draws])
    return np.asarray(0.5 - 0.5 * agreement / max(len(sign), 1))


def _maps(target: Floats, means: Floats, deviations: Floats) -> Floats:
    """Return how forecasts of sources are mapped to the target's scale, `(4, sources)`.

    The rows: intercept and slope of the regression of the target on each source's mean, the variance around it, and
    the usual variance of the source itself. Slopes stay positive: a source that ranks backwards is dropped, not turned.
    """
    n, centre = len(target), means.mean(axis=0)
    z, m = target - target.mean(), means - centre
    slope = np.maximum((z @ m + _PSEUDO) / ((m**2).sum(axis=0) + _PSEUDO), 0.01)
    errors = ((z[:, None] - slope * m) ** 2).sum(axis=0)
    residual = (errors + _PSEUDO * 0.5 * target.var()) / (n + _PSEUDO)
    return np.stack([target.mean() - slope * centre, slope, residual, (deviations**2).mean(axis=0)])
