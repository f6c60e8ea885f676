"""Sequential model-based algorithm configuration: random forests, through SMAC3."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..optional import requiring
from ..spaces import Architectures, SearchSpace
from .base import Searcher, check_number, generator_at, integer_seed
from .candidates import random_new
from .content import ContentCache
from .history import History, Status
from .moves import offspring

_UNLIMITED = 1_000_000_000
"""Trials that SMAC is told of beforehand: only its initial design, which is not used, would depend on them."""


class SMAC(Searcher):
    """SMAC3's random forest and expected improvement, with one categorical or ordinal parameter per gene.

    It is the package's facade for hyperparameter optimisation with its defaults: ten trees on log-scaled costs, a
    maximiser that mixes local with random search, one proposal in five at random. As there, the forest is learned
    anew after every eight trials, and what comes in between goes down the list that it made. In a pool the maximiser
    scores members of the pool instead. The package's initial design, a quarter of the budget, gives way to `initial`
    random architectures, as budgets are not known to a searcher.

    Finished trials are told to a new run with their value, pending ones as running, failed ones as crashed at the
    worst value so far. What it proposes that is invalid, or was trained already, is replaced: by a mutant of the
    proposal, or in a pool by the nearest member.

    Needs the extra `smac`: `pip install archcast[smac]`.

    Parameters
    ----------
    initial : int
        Random architectures to begin with.
    retrain : int
        Trials from one training of the forest to the next.
    challengers : int
        Random architectures, or members of the pool, that compete each time the acquisition is maximised.
    climbs : int
        Local searches of it from the best of them, and as many from the best trials.

    Notes
    -----
    Hutter, Hoos and Leyton-Brown, "Sequential Model-Based Optimization for General Algorithm Configuration", LION 2011.
    Lindauer, Eggensperger, Feurer, Biedenkapp, Deng, Benjamins, Ruhkopf, Sass and Hutter, "SMAC3: A Versatile Bayesian
    Optimization Package for Hyperparameter Optimization", Journal of Machine Learning Research 2022.
    """

    def __init__(self, initial: int = 10, *, retrain: int = 8, challengers: int = 10_000, climbs: int = 10) -> None:
        self.initial = initial
        self.retrain = retrain
        self.challengers = challengers
        self.climbs = climbs

    def _propose(self, history: History, n: int, rng: np.random.Generator) -> Architectures:
        check_number("initial", self.initial, 1, integer=True)
        check_number("retrain", self.retrain, 1, integer=True)
        check_number("challengers", self.challengers, 2, integer=True)
        check_number("climbs", self.climbs, 1, integer=True)
        smac = _import_smac()
        position = (len(history) - self.initial) % self.retrain
        told = _beginning(history, len(history) - position)
        if len(history) < self.initial or not len(told.finished):
            return random_new(history, n, rng)
        space = history.space

        seed = integer_seed(generator_at(rng, len(told)))
        outcomes = (told.architectures.genotypes.tobytes(), told.utilities.tobytes(), told.status.tobytes())
        about = (repr(self), space, history.pool, seed, *outcomes)
        proposals = _RUNS.take(about) or _Proposals(self._run(smac, told, seed), smac.Exhausted)

        def breed(count: int, attempt: int) -> Architectures:
            nonlocal position
            rows = proposals.rows(position, count).reshape(-1, space.dimension)
            position += len(rows)
            valid = Architectures(space, rows[space.is_valid(rows)])
            if attempt < 3 or not len(valid):
                return valid
            near = space.neighbors(valid)[0]
            return near[rng.permutation(len(near))[: 4 * count]]

        with _quiet():
            found = offspring(history, n, rng, breed)
        _RUNS.put(about, proposals)
        return found

    def _run(self, smac: _Smac, told: History, seed: int) -> Any:
        """Return SMAC's facade after some trials, from which proposals are asked for."""
        facade = smac.Facade
        with _quiet(), TemporaryDirectory(prefix="archcast-smac-") as folder:
            parameters = _parameters(smac, told.space)
            scenario = smac.Scenario(
                parameters,
                name="archcast",
                output_directory=Path(folder),
                deterministic=True,
                n_trials=_UNLIMITED,
                seed=seed,
            )
            improvement = facade.get_acquisition_function(scenario)
            _not_below_zero(improvement)
            model = facade.get_model(scenario)
            # One thread grows the same forest, and faster: several wait for each other most of the time.
            model._rf_opts["n_jobs"] = 1
            maximizer = facade.get_acquisition_maximizer(
                scenario, challengers=self.challengers, local_search_iterations=self.climbs
            )
            if told.pool is not None:
                pool = _configurations(smac, parameters, told.pool)
                maximizer = _pool_maximizer(pool, scenario, challengers=self.challengers)
            else:
                _in_order(maximizer._local_search)
            run = facade(
                scenario,
                model=model,
                acquisition_function=improvement,
                acquisition_maximizer=maximizer,
                initial_design=facade.get_initial_design(scenario, n_configs=0),
                config_selector=facade.get_config_selector(scenario, retrain_after=self.retrain),
                logging_level=False,
                overwrite=True,
            )
            worst = -float(told.utilities[told.finished].min())
            trials = _configurations(smac, parameters, told.architectures)
            for trial, cost, status in zip(trials, (-told.utilities).tolist(), told.status.tolist(), strict=True):
                info = smac.TrialInfo(trial, seed=0)
                if status == Status.PENDING:
                    run.runhistory.add_running_trial(info)
                elif status == Status.FINISHED:
                    run.tell(info, smac.TrialValue(cost=cost), save=False)
                else:
                    run.tell(info, smac.TrialValue(cost=worst, status=smac.StatusType.CRASHED), save=False)
        return run


class _Proposals:
    """What a run of SMAC proposes one after another, as far as it was asked.

    Parameters
    ----------
    run : facade of SMAC
    exhausted : type of exception
        What it raises when it finds no more.
    """

    def __init__(self, run: Any, exhausted: type[Exception]) -> None:
        self._run, self._exhausted = run, exhausted
        self._found: list[list[int]] = []
        self._dry = False

    def rows(self, start: int, count: int) -> NDArray[np.int64]:
        """Return the genotypes of up to `count` proposals from the `start`-th on."""
        while len(self._found) < start + count and not self._dry:
            try:
                proposed = self._run.ask().config
            except (StopIteration, self._exhausted):
                self._dry = True
            else:
                self._found.append([int(proposed[name]) for name in proposed])
        return np.array(self._found[start : start + count], dtype=np.int64)


_RUNS = ContentCache(4)


def _beginning(history: History, trials: int) -> History:
    """Return the history of the first so many trials, whatever their status."""
    part = slice(0, max(trials, 0))
    return replace(
        history,
        architectures=history.architectures[part],
        values=history.values[part],
        status=history.status[part],
    )


def _parameters(smac: _Smac, space: SearchSpace) -> Any:
    """Return the genes of a space as a configuration space of integers."""
    parameters = smac.ConfigurationSpace(name="archcast")
    width = len(str(space.dimension))
    parameters.add(
        [
            (smac.Ordinal if gene.ordered else smac.Categorical)(f"gene{j:0{width}}", list(range(len(gene.choices))))
            for j, gene in enumerate(space.genes)
        ]
    )
    return parameters


def _configurations(smac: _Smac, parameters: Any, architectures: Architectures) -> list[Any]:
    names = list(parameters)
    return [
        smac.Configuration(parameters, values=dict(zip(names, genotype, strict=True)))
        for genotype in architectures.genotypes.tolist()
    ]


def _in_order(search: Any) -> None:
    """Let a local search begin at its starting points in the order of their genes.

    The package holds them in a set of objects whose hashes differ from process to process.
    """
    collect = search._get_init_points_from_previous_configs

    def collect_in_order(*arguments: Any) -> list[Any]:
        return sorted(collect(*arguments), key=lambda point: point.get_array().tolist())

    search._get_init_points_from_previous_configs = collect_in_order


def _not_below_zero(improvement: Any) -> None:
    """Take an expected improvement that is rounded to less than zero for zero.

    The package refuses a whole batch with an error for one such value, far in the tail of the normal distribution.
    """
    compute = improvement._compute

    def compute_rounded(X: NDArray[np.float64]) -> NDArray[np.float64]:
        try:
            found: NDArray[np.float64] = compute(X)
        except ValueError as error:
            if "smaller than 0" not in str(error):
                raise
            if len(X) == 1:
                return np.zeros((1, 1))
            return np.concatenate([compute_rounded(part) for part in np.array_split(X, 2)])
        return found

    improvement._compute = compute_rounded


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep SMAC's remarks about its progress to itself."""
    logger = logging.getLogger("smac")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


class _Smac:
    """What is needed of SMAC3 and ConfigSpace."""

    def __init__(self) -> None:
        import ConfigSpace
        import smac
        from smac.main.exceptions import ConfigurationSpaceExhaustedException
        from smac.runhistory import StatusType, TrialInfo, TrialValue

        self.ConfigurationSpace: Any = ConfigSpace.ConfigurationSpace
        self.Configuration: Any = ConfigSpace.Configuration
        self.Categorical: Any = ConfigSpace.CategoricalHyperparameter
        self.Ordinal: Any = ConfigSpace.OrdinalHyperparameter
        self.Facade: Any = smac.HyperparameterOptimizationFacade
        self.Scenario: Any = smac.Scenario
        self.StatusType: Any = StatusType
        self.TrialInfo: Any = TrialInfo
        self.TrialValue: Any = TrialValue
        self.Exhausted: type[Exception] = ConfigurationSpaceExhaustedException


def _pool_maximizer(pool: list[Any], scenario: Any, challengers: int) -> Any:
    """Return a maximiser for SMAC that scores up to `challengers` members of a pool."""
    from smac.acquisition.maximizer.abstract_acquisition_maximizer import AbstractAcquisitionMaximizer

    class PoolMaximizer(AbstractAcquisitionMaximizer):  # type: ignore[misc, unused-ignore]
        def _maximize(self, previous_configs: list[Any], n_points: int) -> list[tuple[float, Any]]:
            trained = set(previous_configs)
            drawn = (pool[row] for row in self._rng.permutation(len(pool)))
            free = [member for member in drawn if member not in trained][:n_points]
            # SMAC needs one at least, and passes over what was trained.
            found: list[tuple[float, Any]] = self._sort_by_acquisition_value(free or pool[:1])
            return found

    return PoolMaximizer(scenario.configspace, challengers=challengers, seed=scenario.seed)


def _import_smac() -> _Smac:
    with requiring("smac", "the searcher 'smac'", "smac"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _Smac()
