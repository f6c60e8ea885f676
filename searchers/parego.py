"""ParEGO: Bayesian optimisation of one random scalarisation after another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..designs import Design
from ..predictors import Predictor
from ..spaces import Architectures
from .acquisition import Acquisition, Forecast
from .bayesian_optimization import BayesianOptimization
from .history import History
from .initial_design import beginning
from .pareto_surrogate import log_feasible
from .surrogate import Scale, Surrogate, is_informative, training_set

_SUM = 0.05


class ParEGO(BayesianOptimization):
    """Weighs the objectives anew for each proposal, and trains what is expected to improve the scalar the most.

    The scalar is the augmented Chebyshev distance from the best value of each objective, with weights drawn uniformly.
    Expected improvement is taken over the best feasible trial, and weighted by the probability that all bounds are
    kept. Spaces, batches and pending trials are treated as by `BayesianOptimization`.

    Parameters
    ----------
    predictor : str or Predictor
        The surrogate of the scalar, and of each bounded quantity; a Gaussian process on semantic features by default.
    initial : int
        Architectures to begin with.
    initial_design : str or Design
        What chooses them, such as `"kmeans"` (`archcast.designs`): `"random"` draws one after another.
    target_transform : {"rank_gaussian", "standardize", "none"}
        The scale on which objectives are weighed, and on which the surrogates work.
    refit : float
        The hyperparameters of the bounds' Gaussian processes are learned anew whenever the trials have grown by this
        share; those of the scalar in every step.
    pool : int
        Architectures drawn at once from a space too large to be scored whole.

    Notes
    -----
    Knowles, "ParEGO: A Hybrid Algorithm with On-Line Landscape Approximation for Expensive Multiobjective Optimization
    Problems", IEEE Transactions on Evolutionary Computation 2006.
    """

    multi_objective = True

    def __init__(
        self,
        predictor: str | Predictor = "gp",
        *,
        initial: int = 5,
        initial_design: str | Design = "random",
        target_transform: str = "rank_gaussian",
        refit: float = 0.1,
        pool: int = 1000,
    ) -> None:
        self.predictor = predictor
        self.initial = initial
        self.initial_design = initial_design
        self.target_transform = target_transform
        self.refit = refit
        self.pool = pool

    def _propose(self, history: History, n: int, rng: np.random.Generator) -> Architectures:
        self._check_model()
        if len(history) < self.initial or not is_informative(history):
            return beginning(self.initial_design, self.initial, history, n, rng)
        found = history.architectures[:0]
        for _ in range(n):
            sofar = history.ask(found)
            scalar = scalarised(sofar, rng.dirichlet(np.ones(history.objectives.shape[1])), self.target_transform)
            asked = _OfScalar(sofar, self)._propose(scalar, 1, rng)
            if not len(asked):
                break
            found = Architectures.concatenate([found, asked])
        return found


class _OfScalar(BayesianOptimization):
    """Optimises a scalar, and keeps the bounds of the history that it was made of."""

    def __init__(self, origin: History, settings: ParEGO) -> None:
        super().__init__(
            settings.predictor,
            initial=settings.initial,
            target_transform=settings.target_transform,
            refit=settings.refit,
            pool=settings.pool,
        )
        self._origin = origin

    def _check(self) -> tuple[Predictor, Acquisition[Any]]:
        predictor, acquisition = super()._check()
        return predictor, acquisition if self._origin.feasible.any() else _nothing

    def _surrogate(
        self, predictor: Predictor, history: History, candidates: Architectures, *, keep: bool = False
    ) -> Surrogate[Forecast]:
        # The scalar is another one in the next step: nothing is worth keeping, and nothing can be taken over.
        inner = super()._surrogate(predictor, history, candidates)
        kept = self._origin.feasible[history.finished]
        if kept.all() or not kept.any():
            return inner
        return _Over(inner, float(training_set(history, self.target_transform)[1][kept].max()))

    def _log_feasible(self, history: History, candidates: Architectures) -> NDArray[np.float64]:
        predictor, _ = self._check()
        likely = log_feasible(predictor, self._origin, candidates, self.target_transform, self.refit)
        return likely + super()._log_feasible(history, candidates)


class _Over(Surrogate[Forecast]):
    """A surrogate with another incumbent."""

    def __init__(self, inner: Surrogate[Forecast], incumbent: float) -> None:
        self._inner, self._incumbent = inner, incumbent

    def forecast(self) -> Forecast:
        return replace(self._inner.forecast(), incumbent=self._incumbent)

    def believe(self, row: int) -> None:
        self._inner.believe(row)


def _nothing(forecast: Forecast, rng: np.random.Generator) -> NDArray[np.float64]:
    """Score all candidates alike: while nothing is feasible, feasibility alone decides."""
    return np.zeros(len(forecast.mean))


def scalarised(history: History, weights: NDArray[np.float64], transform: str) -> History:
    """Return the history of the negative augmented Chebyshev distance from the best of each objective.

    Objectives are mapped by `transform` and scaled to `[0, 1]` over the finished trials. A single objective stays as it
    is.
    """
    if len(weights) == 1:
        return history.column([quantity.objective for quantity in history.schema].index(True))
    rows = history.finished
    z = np.stack([Scale(column, transform).to(column) for column in history.objectives[rows].T], axis=1)
    span = np.ptp(z, axis=0)
    lacks = weights * (z.max(axis=0) - z) / np.where(span > 0, span, 1.0)
    values = np.full(len(history), np.nan)
    values[rows] = -(lacks.max(axis=1) + _SUM * lacks.sum(axis=1))
    return replace(history, values=values, higher_is_better=True, quantities=())
