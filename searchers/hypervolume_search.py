"""Bayesian optimisation of several objectives by expected hypervolume improvement."""

from __future__ import annotations

from typing import Any

from ..designs import Design
from ..predictors import Predictor
from ..spaces import Architectures
from .acquisition import Acquisition
from .bayesian_optimization import BayesianOptimization
from .history import History
from .pareto_surrogate import ParetoSurrogate, log_expected_hypervolume_improvement
from .surrogate import Surrogate, new_predictor


class HypervolumeSearch(BayesianOptimization):
    """Trains what is expected to enlarge the hypervolume of the Pareto front the most, and likely keeps the bounds.

    Each quantity has a surrogate of its own; what the space knows of an architecture (`Quantity.known`: parameters,
    FLOPs) is not modelled but computed. The expected improvement is exact for any number of objectives, with
    independent surrogates, and is weighted by the probability that all bounds are kept. With a single objective it is
    constrained expected improvement. Spaces, batches and pending trials are treated as by `BayesianOptimization`.

    Parameters
    ----------
    predictor : str or Predictor
        The surrogate of each quantity; a Gaussian process on semantic features by default.
    initial : int
        Architectures to begin with.
    initial_design : str or Design
        What chooses them, such as `"kmeans"` (`archcast.designs`): `"random"` draws one after another.
    target_transform : {"rank_gaussian", "standardize", "none"}
        The scale on which each surrogate and the hypervolume work.
    refit : float
        The hyperparameters of a Gaussian process are learned anew whenever the trials have grown by this share.
    pool : int
        Architectures drawn at once from a space too large to be scored whole.

    Notes
    -----
    Emmerich, Giannakoglou and Naujoks, "Single- and Multiobjective Evolutionary Optimization Assisted by Gaussian
    Random Field Metamodels", IEEE Transactions on Evolutionary Computation 2006. Where a quantity has no reference,
    the hypervolume begins a tenth of the range of the feasible outcomes below the worst of them.
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

    def _check(self) -> tuple[Predictor, Acquisition[Any]]:
        self._check_model()
        return new_predictor(self.predictor), log_expected_hypervolume_improvement

    def _surrogate(
        self, predictor: Predictor, history: History, candidates: Architectures, *, keep: bool = False
    ) -> Surrogate[Any]:
        return ParetoSurrogate(predictor, history, candidates, self.target_transform, refit=self.refit, keep=keep)
