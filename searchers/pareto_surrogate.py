"""One surrogate per quantity, and what they say together: the expected improvement of the hypervolume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr

from ..predictors import Predictor
from ..spaces import Architectures
from .acquisition import Forecast
from .content import ContentCache
from .gaussian import GaussianSurrogate, suits
from .history import History
from .pareto import free_boxes, nondominated
from .quantities import Quantity
from .surrogate import PredictorSurrogate, Scale, Surrogate, is_informative, remembering

Floats: TypeAlias = NDArray[np.float64]

_CERTAIN = 1e-9
_LEAST = 1e-300
_IMPOSSIBLE = 1e6
_MARGIN = 0.1
_AT_ONCE = 1 << 22
_SQRT_2PI = np.sqrt(2 * np.pi)
_KNOWN = ContentCache(8)


@dataclass(frozen=True)
class ParetoForecast:
    """What the surrogates of `m` objectives say about `c` candidates, each on its own scale, larger being better.

    Parameters
    ----------
    mean, std : float64 array `(c, m)`
        Of the candidates' objectives, which are independent of each other.
    front : float64 array `(f, m)`
        The feasible outcomes so far that no other dominates; none if nothing feasible is known.
    reference : float64 array `(m,)`
        Where the hypervolume begins.
    log_feasible : float64 array `(c,)`
        The logarithm of the probability that a candidate keeps all bounds.
    """

    mean: Floats
    std: Floats
    front: Floats
    reference: Floats
    log_feasible: Floats


def expected_hypervolume_improvement(forecast: ParetoForecast) -> Floats:
    """Return by how much each candidate is expected to enlarge the hypervolume of the front, `(c,)`, exactly.

    What the front leaves is divided into boxes `[l, u]`; with independent Gaussians the expected volume gained in each
    is the product over objectives of `E[(f - l)+] - E[(f - u)+]`.

    Emmerich, Giannakoglou and Naujoks, "Single- and Multiobjective Evolutionary Optimization Assisted by Gaussian
    Random Field Metamodels", IEEE Transactions on Evolutionary Computation 2006. Yang, Emmerich, Deutz and Baeck,
    "Efficient Computation of Expected Hypervolume Improvement Using Box Decomposition Algorithms", 2019.
    """
    lower, upper = free_boxes(forecast.front, forecast.reference)
    sides = [
        np.unique(np.concatenate([low, high]), return_inverse=True) for low, high in zip(lower.T, upper.T, strict=True)
    ]
    count, boxes = len(forecast.mean), len(lower)
    result = np.empty(count)
    step = max(1, _AT_ONCE // boxes)
    for start in range(0, count, step):
        part = slice(start, start + step)
        volume = np.ones((len(forecast.mean[part]), boxes))
        for j, (levels, place) in enumerate(sides):
            excess = _mean_excess(forecast.mean[part, j], forecast.std[part, j], levels)
            volume *= excess[:, place[:boxes]] - excess[:, place[boxes:]]
        result[part] = volume.sum(axis=1)
    return np.maximum(result, 0.0)


def _mean_excess(mean: Floats, std: Floats, levels: Floats) -> Floats:
    """Return `E[max(f - level, 0)]`, `(c, l)`; 0 for an infinite level."""
    finite = levels[np.isfinite(levels)]
    z = (mean[:, None] - finite) / std[:, None]
    excess = std[:, None] * (np.exp(-0.5 * z**2) / _SQRT_2PI + z * ndtr(z))
    return np.pad(np.maximum(excess, 0.0), ((0, 0), (0, len(levels) - len(finite))))


def log_expected_hypervolume_improvement(forecast: ParetoForecast, rng: np.random.Generator) -> Floats:
    """Return the logarithm of the expected improvement of the hypervolume, weighted by the probability of feasibility.

    While nothing feasible is known, the probability of feasibility alone decides.

    Gardner, Kusner, Xu, Weinberger and Cunningham, "Bayesian Optimization with Inequality Constraints", ICML 2014.
    """
    if not len(forecast.front):
        return forecast.log_feasible
    return np.log(np.maximum(expected_hypervolume_improvement(forecast), _LEAST)) + forecast.log_feasible


class ParetoSurrogate(Surrogate[ParetoForecast]):
    """A surrogate per quantity, all independent; what is known exactly is not modelled.

    Parameters
    ----------
    predictor : Predictor
        Not fitted; each quantity gets one of its own.
    history : History
        Pending trials are believed at their forecast: they extend the front, too.
    candidates : Architectures, `(c,)`
    transform : str
        How utilities are turned into targets.
    refit, keep
        As for a `GaussianSurrogate`.
    """

    def __init__(
        self,
        predictor: Predictor,
        history: History,
        candidates: Architectures,
        transform: str,
        *,
        refit: float = 0.1,
        keep: bool = False,
    ) -> None:
        self._count = len(candidates)
        if len(history.pending):
            candidates, pending = _with_pending(history, candidates)
        self._models = [
            _Model(predictor, history, j, candidates, transform, refit, keep) for j in range(len(history.schema))
        ]
        self._objectives = [model for model in self._models if model.quantity.objective]
        known = [model.scale.to(model.quantity.sign * history.matrix[:, j]) for j, model in enumerate(self._models)]
        told = np.stack([z for z, model in zip(known, self._models, strict=True) if model.quantity.objective], axis=1)
        self._points = told[history.feasible]
        self._reference = _reference(self._points if len(self._points) else told[history.finished], self._objectives)
        if len(history.pending):
            for row in pending.tolist():
                self._point(row)

    def _point(self, row: int) -> None:
        """Take a candidate's forecast for an outcome, unless that would be infeasible."""
        if all(model.allows_mean()[row] for model in self._models):
            self._points = np.concatenate([self._points, [[model.mean[row] for model in self._objectives]]])

    def forecast(self) -> ParetoForecast:
        """Return the forecast of all candidates."""
        part = slice(self._count)
        return ParetoForecast(
            np.stack([model.mean[part] for model in self._objectives], axis=1),
            np.stack([model.std[part] for model in self._objectives], axis=1),
            self._points[nondominated(self._points)],
            self._reference,
            np.sum([model.log_feasible()[part] for model in self._models], axis=0),
        )

    def believe(self, row: int) -> None:
        """Take in the forecast of a candidate as its outcome."""
        self._point(row)
        for model in self._models:
            model.believe(row)


class _Model:
    """One quantity: a surrogate, exact values, or, where all outcomes were equal, those."""

    def __init__(
        self,
        predictor: Predictor,
        history: History,
        j: int,
        candidates: Architectures,
        transform: str,
        refit: float,
        keep: bool,
    ) -> None:
        self.quantity = history.schema[j]
        column = history.column(j)
        utilities = column.utilities[column.finished]
        self.scale = Scale(utilities, transform)
        self._surrogate: Surrogate[Forecast] | None = None
        if self.quantity.known:
            self._exact = exact_values(self.quantity, candidates)
            self.mean = self.scale.to(self.quantity.sign * self._exact)
            self.std = np.full(len(candidates), _CERTAIN)
        elif not is_informative(column):
            self.mean = np.full(len(candidates), utilities[0])
            self.std = np.full(len(candidates), _CERTAIN)
        elif suits(predictor):
            self._surrogate = GaussianSurrogate(predictor, column, candidates, transform, refit=refit, keep=keep)
        else:
            self._surrogate = PredictorSurrogate(remembering(predictor), column, candidates, transform)
        self._take()

    def _take(self) -> None:
        if self._surrogate is not None:
            forecast = self._surrogate.forecast()
            self.mean, self.std = forecast.mean, forecast.std

    def believe(self, row: int) -> None:
        if self._surrogate is not None:
            self._surrogate.believe(row)
            self._take()

    def _bounds(self) -> tuple[float, float]:
        """Return the bounds on the scale of the surrogate."""
        ends = sorted(self.quantity.sign * bound for bound in (self.quantity.low, self.quantity.high))
        low, high = (float(self.scale.to(np.array([end]))[0]) if np.isfinite(end) else end for end in ends)
        return low, high

    def allows_mean(self) -> NDArray[np.bool_]:
        """Return which candidates are forecast to keep the bounds."""
        low, high = self._bounds()
        return np.asarray((low <= self.mean) & (self.mean <= high))

    def log_feasible(self) -> Floats:
        """Return the logarithm of the probability that each candidate keeps the bounds."""
        if not self.quantity.bounded:
            return np.zeros(len(self.mean))
        low, high = self._bounds()
        above, below = (low - self.mean) / self.std, (high - self.mean) / self.std
        if self.quantity.known:  # nothing is left to chance; the least violation is the likeliest
            short = np.maximum(low - self.mean, 0) + np.maximum(self.mean - high, 0)
            return np.where(self.quantity.allows(self._exact), 0.0, -_IMPOSSIBLE - short)
        if not np.isfinite(low):
            return np.asarray(log_ndtr(below))
        if not np.isfinite(high):
            return np.asarray(log_ndtr(-above))
        return np.asarray(np.log(np.maximum(ndtr(below) - ndtr(above), _LEAST)))


def log_feasible(
    predictor: Predictor, history: History, candidates: Architectures, transform: str, refit: float
) -> Floats:
    """Return the logarithm of the probability that each candidate keeps all bounds, `(c,)`."""
    bounded = [j for j, quantity in enumerate(history.schema) if quantity.bounded]
    models = [_Model(predictor, history, j, candidates, transform, refit, keep=False) for j in bounded]
    return np.sum([model.log_feasible() for model in models], axis=0) if models else np.zeros(len(candidates))


def exact_values(quantity: Quantity, candidates: Architectures) -> Floats:
    """Return what the space knows of the candidates; of the last few sets it is remembered."""
    key = (quantity.name, candidates)
    values = _KNOWN.get(key)
    if values is None:
        values = quantity.exact(candidates)
        _KNOWN.put(key, values)
    return values  # type: ignore[no-any-return]


def _reference(told: Floats, models: Sequence[_Model]) -> Floats:
    """Return where the hypervolume begins, on the surrogates' scales.

    What the quantities say; otherwise a tenth of their range below the worst of the outcomes that are told. The worst
    of the front would hide what lies beyond its ends while the front is short.
    """
    worst = told.min(axis=0)
    inferred = worst - _MARGIN * np.maximum(told.max(axis=0) - worst, _CERTAIN)
    given = [model.quantity.reference for model in models]
    scaled = [
        found if reference is None else float(model.scale.to(np.array([model.quantity.sign * reference]))[0])
        for model, reference, found in zip(models, given, inferred.tolist(), strict=True)
    ]
    return np.array(scaled)


def _with_pending(history: History, candidates: Architectures) -> tuple[Architectures, NDArray[np.intp]]:
    """Return candidates that include the pending trials, and the rows of these."""
    keys, wanted = candidates.keys(), history.keys[history.pending]
    order = np.argsort(keys, kind="stable")
    slot = order[np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)]
    if (keys[slot] == wanted).all():
        return candidates, slot
    rows = np.arange(len(candidates), len(candidates) + len(wanted))
    return Architectures.concatenate([candidates, history.architectures[history.pending]]), rows
