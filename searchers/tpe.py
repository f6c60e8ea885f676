"""The tree-structured Parzen estimator, through Optuna."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ..optional import require
from ..spaces import Architectures
from .base import Searcher, check_number, integer_seed
from .candidates import random_new
from .history import History, Status
from .moves import offspring

if TYPE_CHECKING:
    import optuna


_CONSTRAINTS = "constraints"
"""Where Optuna looks for the constraints of a trial."""


class TPE(Searcher):
    """Optuna's tree-structured Parzen estimator, with one categorical parameter per gene.

    With several objectives its multi-objective form; bounds are told as constraints.

    The history is told to a fresh study in every call: finished trials with their value, pending ones as running, and
    failed ones as failed. What it proposes that is invalid, or was trained already, is replaced: by a mutant of the
    proposal, or in a pool by the nearest member.

    Needs the extra `optuna`: `pip install archcast[optuna]`.

    Parameters
    ----------
    initial : int
        Random architectures to begin with.
    multivariate : bool
        Model the genes jointly.
    candidates : int
        Samples that compete by expected improvement for each proposal.

    Notes
    -----
    Bergstra, Bardenet, Bengio and Kegl, "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011. Falkner, Klein
    and Hutter, "BOHB", ICML 2018, for the multivariate form. Ozaki, Tanigaki, Watanabe, Nomura and Onishi,
    "Multiobjective Tree-Structured Parzen Estimator", Journal of Artificial Intelligence Research 2022.
    """

    multi_objective = True

    def __init__(self, initial: int = 10, *, multivariate: bool = True, candidates: int = 24) -> None:
        self.initial = initial
        self.multivariate = multivariate
        self.candidates = candidates

    def _propose(self, history: History, n: int, rng: np.random.Generator) -> Architectures:
        check_number("initial", self.initial, 1, integer=True)
        check_number("candidates", self.candidates, 1, integer=True)
        optuna = require("optuna", "the searcher 'tpe'", "optuna")
        if len(history) < self.initial or not len(history.finished):
            return random_new(history, n, rng)
        study, choices = self._study(optuna, history, integer_seed(rng))
        space = history.space

        def breed(count: int, attempt: int) -> Architectures:
            drawn = []
            for _ in range(count):
                parameters = study.ask(choices).params
                drawn.append([parameters[f"gene{j}"] for j in range(space.dimension)])
            rows = np.array(drawn, dtype=np.int64)
            valid = Architectures(space, rows[space.is_valid(rows)])
            if attempt < 3 or not len(valid):
                return valid
            near = space.neighbors(valid)[0]
            return near[rng.permutation(len(near))[: 4 * count]]

        return offspring(history, n, rng, breed)

    def _study(self, optuna: Any, history: History, seed: int) -> tuple[optuna.Study, dict[str, Any]]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            warnings.simplefilter("ignore", FutureWarning)
            sampler = optuna.samplers.TPESampler(
                multivariate=self.multivariate,
                n_startup_trials=0,
                n_ei_candidates=self.candidates,
                constant_liar=True,
                seed=seed,
                # Later versions read the constraints of trials themselves, and call this deprecated.
                constraints_func=_violations if any(quantity.bounded for quantity in history.schema) else None,
            )
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            study = optuna.create_study(
                directions=["maximize" if q.higher_is_better else "minimize" for q in history.schema if q.objective],
                sampler=sampler,
            )
        finally:
            optuna.logging.set_verbosity(verbosity)
        choices = {
            f"gene{j}": optuna.distributions.CategoricalDistribution(list(range(cardinality)))
            for j, cardinality in enumerate(history.space.cardinalities.tolist())
        }
        states = {
            Status.PENDING: optuna.trial.TrialState.RUNNING,
            Status.FINISHED: optuna.trial.TrialState.COMPLETE,
            Status.FAILED: optuna.trial.TrialState.FAIL,
        }
        told = history.matrix[:, [j for j, quantity in enumerate(history.schema) if quantity.objective]]
        bounded = [j for j, quantity in enumerate(history.schema) if quantity.bounded]
        violations = [history.schema[j].violations(history.matrix[:, j]).tolist() for j in bounded]
        rows = zip(history.architectures.genotypes.tolist(), told.tolist(), history.status.tolist(), strict=True)
        trials = []
        for number, (genotype, values, status) in enumerate(rows):
            done = status == Status.FINISHED
            trials.append(
                optuna.trial.create_trial(
                    state=states[Status(status)],
                    values=values if done else None,
                    system_attrs={_CONSTRAINTS: [found[number] for found in violations]} if done and bounded else {},
                    params={f"gene{j}": gene for j, gene in enumerate(genotype)},
                    distributions=choices,
                )
            )
        study.add_trials(trials)
        return study, choices


def _violations(trial: optuna.trial.FrozenTrial) -> list[float]:
    found: list[float] = trial.system_attrs[_CONSTRAINTS]
    return found
