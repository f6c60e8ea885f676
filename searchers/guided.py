"""Searchers whose model is renewed every few trials: BANANAS, NPENAS and BRP-NAS."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from ..predictors import Predictor
from ..spaces import Architectures
from .acquisition import Forecast, independent_thompson_sampling
from .base import Searcher, check_number
from .candidates import candidate_set, is_whole, random_new
from .evolution import tournament
from .feasibility import log_success
from .history import History
from .moves import mutants, offspring, promising_pool, ranked
from .surrogate import fitted_to, independent_forecast, is_informative, new_predictor, remembering, training_set

Forecaster: TypeAlias = Callable[[Architectures], Forecast]


class GuidedSearcher(Searcher):
    """Ranks candidates by a predictor that is trained anew every so many finished trials.

    Trials that are told in between do not change the model, as in the papers, where whole rounds are trained at once.

    Parameters
    ----------
    predictor : str or Predictor
    initial : int
        Random architectures to begin with.
    round : int
        Finished trials between trainings of the predictor.
    target_transform : {"rank_gaussian", "standardize", "none"}
        The scale on which the predictor works.
    """

    def __init__(
        self,
        predictor: str | Predictor,
        *,
        initial: int = 20,
        round: int = 10,
        target_transform: str = "rank_gaussian",
    ) -> None:
        self.predictor = predictor
        self.initial = initial
        self.round = round
        self.target_transform = target_transform

    def _propose(self, history: History, n: int, rng: np.random.Generator) -> Architectures:
        check_number("initial", self.initial, 1, integer=True)
        check_number("round", self.round, 1, integer=True)
        self._check()
        predictor = remembering(new_predictor(self.predictor))
        trials = self._round_start(len(history.finished))
        if len(history) < self.initial or not is_informative(history.first(trials)):
            return random_new(history, n, rng)
        known, z = training_set(history, self.target_transform, trials)
        fitted = fitted_to(predictor, known, z)

        def forecast(candidates: Architectures) -> Forecast:
            return independent_forecast(fitted, candidates, float(z.max()))

        return self._choose(history, n, rng, forecast, trials)

    def _round_start(self, finished: int) -> int:
        """Return how many finished trials the model has seen that is in use after `finished` of them."""
        if finished < self.initial:
            return finished
        return finished - (finished - self.initial) % self.round

    def _check(self) -> None:
        """Check further parameters."""

    @abstractmethod
    def _choose(
        self, history: History, n: int, rng: np.random.Generator, forecast: Forecaster, trials: int
    ) -> Architectures:
        """Return `n` new architectures, given the model that was trained on the first `trials` finished ones."""


class Bananas(GuidedSearcher):
    """BANANAS: independent Thompson sampling on an ensemble that reads truncated paths.

    The paper's ensemble of small neural networks is replaced by boosted trees, whose deviation comes from resampling;
    any other predictor can be given. Candidates are mutants of the best trials, as in the paper.

    Parameters
    ----------
    predictor, initial, round, target_transform
        See `GuidedSearcher`.
    candidates : int
        Mutants to choose from.
    parents : int
        How many of the best trials are mutated.

    Notes
    -----
    White, Neiswanger and Savani, "BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture
    Search", AAAI 2021.
    """

    def __init__(
        self,
        predictor: str | Predictor = "xgboost@path_truncated",
        *,
        initial: int = 20,
        round: int = 10,
        target_transform: str = "rank_gaussian",
        candidates: int = 100,
        parents: int = 10,
    ) -> None:
        super().__init__(predictor, initial=initial, round=round, target_transform=target_transform)
        self.candidates = candidates
        self.parents = parents

    def _check(self) -> None:
        check_number("candidates", self.candidates, 1, integer=True)
        check_number("parents", self.parents, 1, integer=True)

    def _choose(
        self, history: History, n: int, rng: np.random.Generator, forecast: Forecaster, trials: int
    ) -> Architectures:
        best = ranked(history)[: self.parents]

        def breed(count: int, attempt: int) -> Architectures:
            chosen = best[rng.integers(0, len(best), count)]
            return mutants(history.architectures[chosen], rng, attempt)

        pool = offspring(history, max(self.candidates, n), rng, breed)
        left = np.ones(len(pool), dtype=np.bool_)
        said, feasible = forecast(pool), log_success(history, pool)
        for _ in range(min(n, len(pool))):  # every member of a batch goes by its own draw
            scores = np.where(left, independent_thompson_sampling(said, rng) + feasible, -np.inf)
            left[int(np.argmax(scores))] = False
        return pool[np.flatnonzero(~left)]


class Npenas(GuidedSearcher):
    """NPENAS: evolution that makes many mutants of its parents, of which the most promising are trained.

    Parameters
    ----------
    predictor, initial, round, target_transform
        See `GuidedSearcher`.
    candidates : int
        Mutants to choose from.
    population : int
        How many of the best trials may be parents.
    sample : int
        Tournament size.

    Notes
    -----
    Wei, Niu, Tang, Wang, Hu and Liang, "NPENAS: Neural Predictor Guided Evolution for Neural Architecture Search",
    IEEE Transactions on Neural Networks and Learning Systems 2022. The paper's graph network is replaced by boosted
    trees on semantic features; any other predictor can be given.
    """

    def __init__(
        self,
        predictor: str | Predictor = "xgboost@semantic",
        *,
        initial: int = 20,
        round: int = 10,
        target_transform: str = "rank_gaussian",
        candidates: int = 100,
        population: int = 10,
        sample: int = 2,
    ) -> None:
        super().__init__(predictor, initial=initial, round=round, target_transform=target_transform)
        self.candidates = candidates
        self.population = population
        self.sample = sample

    def _check(self) -> None:
        check_number("candidates", self.candidates, 1, integer=True)
        check_number("population", self.population, 1, integer=True)
        check_number("sample", self.sample, 1, integer=True)

    def _choose(
        self, history: History, n: int, rng: np.random.Generator, forecast: Forecaster, trials: int
    ) -> Architectures:
        living = ranked(history)[: self.population]

        def breed(count: int, attempt: int) -> Architectures:
            parents = tournament(living, history, count, self.sample, rng)
            return mutants(history.architectures[parents], rng, attempt)

        pool = offspring(history, max(self.candidates, n), rng, breed)
        scores = forecast(pool).mean + log_success(history, pool)
        return pool[np.argsort(-scores, kind="stable")[:n]]


class SuccessiveTopK(GuidedSearcher):
    """BRP-NAS: in every round the predictor ranks the whole space, which is narrowed by half for exploration.

    Half of each round are the best of the ranking, half are drawn from its top `1 / 2^r`, where `r` counts the rounds.
    Large spaces are ranked as far as random samples and mutants of the best trials represent them.

    Parameters
    ----------
    predictor, initial, round, target_transform
        See `GuidedSearcher`.
    explore : float
        Share of the trials that are drawn from the top instead of being its very best.
    pool : int
        Random architectures to rank in a large space.

    Notes
    -----
    Dudziak, Chau, Abdelfattah, Lee, Kim and Lane, "BRP-NAS: Prediction-based NAS using GCNs", NeurIPS 2020,
    section 4.2. The paper's graph network is replaced by a Gaussian process on semantic features; any other predictor
    can be given.
    """

    def __init__(
        self,
        predictor: str | Predictor = "gp",
        *,
        initial: int = 20,
        round: int = 10,
        target_transform: str = "rank_gaussian",
        explore: float = 0.5,
        pool: int = 2000,
    ) -> None:
        super().__init__(predictor, initial=initial, round=round, target_transform=target_transform)
        self.explore = explore
        self.pool = pool

    def _check(self) -> None:
        check_number("explore", self.explore, 0, 1)
        check_number("pool", self.pool, 1, integer=True)

    def _choose(
        self, history: History, n: int, rng: np.random.Generator, forecast: Forecaster, trials: int
    ) -> Architectures:
        if is_whole(history):
            candidates = candidate_set(history)
            classes = np.flatnonzero(candidates.unseen_classes(history))
            pool = candidates.representatives[classes]
        else:
            pool = promising_pool(history, max(self.pool, n), rng)
        if not len(pool):
            return pool
        order = np.argsort(-(forecast(pool).mean + log_success(history, pool)), kind="stable")
        rounds = 1 + max(0, trials - self.initial) // self.round
        top = max(n, len(order) // 2 ** min(rounds, 60))
        greedy = rng.random(min(n, len(order))) >= self.explore
        best = order[: int(greedy.sum())]
        others = rng.permutation(order[len(best) : top])[: len(greedy) - len(best)]
        rows = np.concatenate([best, others])
        return candidates.members(classes[rows], rng) if is_whole(history) else pool[rows]
