"""One forecast under the protocol: fit on some rows of a table, predict others, measure."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from ..errors import ArchcastError, InvalidDataError, PredictorFailedError
from ..predictors import Predictor, standard_errors
from ..spaces import Architectures
from .calibration import LEVELS
from .metrics import evaluate


@dataclass(frozen=True)
class Problem:
    """What all runs of a comparison share.

    Parameters
    ----------
    architectures : Architectures
        All rows of the table.
    train_values, test_values : float64 arrays `(n,)`
        What predictors are fitted to, and what they are judged by; NaN where it was not measured.
    info : mapping of str to float64 array `(n,)`
        Extras that every predictor gets, in fitting and in predicting.
    outcomes : float64 array `(n, seeds)`, optional
        What each seed gave of `train_values`: predictors with `takes_noise` get the standard errors of their rows.
    """

    architectures: Architectures
    train_values: NDArray[np.float64]
    test_values: NDArray[np.float64]
    info: Mapping[str, NDArray[np.float64]]
    outcomes: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Forecast:
    """What a predictor said about architectures that it was not fitted on, and the truth.

    Parameters
    ----------
    predictor : str
        The label of the predictor.
    metric, unit : str
        What was forecast.
    higher_is_better : bool
        The direction of the metric.
    n, seed : int
        The number of training architectures, and the seed by which they were drawn.
    train, test : integer arrays
        Rows of the table.
    truth, mean, std : float64 arrays `(len(test),)`
        True values (NaN where they are not known) and the forecast, in the metric's units.
    levels : float64 array `(q,)`
        Levels of the quantiles.
    quantiles : float64 array `(len(test), q)`
        Quantiles of the forecast, in the metric's units.
    fit_seconds, predict_seconds : float
        Wall-clock time on one thread; encoding the architectures is part of both, quantiles of the second.
    chosen : str
        What the predictor chose in `fit`, in a few words; nothing for predictors that do not choose.
    """

    predictor: str
    metric: str
    unit: str
    higher_is_better: bool
    n: int
    seed: int
    train: NDArray[np.intp]
    test: NDArray[np.intp]
    truth: NDArray[np.float64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    levels: NDArray[np.float64]
    quantiles: NDArray[np.float64]
    fit_seconds: float
    predict_seconds: float
    chosen: str = ""

    def measures(self, ks: Sequence[int], resolution: float | None = None) -> dict[str, float]:
        """Return all measures of `archcast.evaluation.evaluate` for this forecast."""
        return evaluate(
            self.truth,
            self.mean,
            self.std,
            self.quantiles,
            self.levels,
            higher_is_better=self.higher_is_better,
            ks=ks,
            resolution=resolution,
        )


@dataclass(frozen=True)
class Draw:
    """Rows of the table that are trained on, and rows that are judged.

    Parameters
    ----------
    train, test : integer arrays
        Disjoint rows of the table.
    missing : int
        How many other rows have no known truth.
    leaked : int
        How many test rows have an isomorphic twin among the training rows.
    """

    train: NDArray[np.intp]
    test: NDArray[np.intp]
    missing: int
    leaked: int


@dataclass(frozen=True)
class Task:
    """One run: which predictor is fitted on which rows, and asked about which.

    Parameters
    ----------
    label : str
        The predictor's name in the results.
    predictor : Predictor
        Unfitted, its seed set.
    describe : mapping
        Metric, unit and direction, as `Forecast` takes them.
    n, seed : int
        The number of training architectures, and the seed by which they were drawn.
    train, test : integer arrays
        Rows of the table.
    """

    label: str
    predictor: Predictor
    describe: Mapping[str, Any]
    n: int
    seed: int
    train: NDArray[np.intp]
    test: NDArray[np.intp]


def seeded(predictor: Predictor, seed: int) -> Predictor:
    """Return an unfitted copy of a predictor, with its `seed` set if it has one."""
    copy: Predictor = clone(predictor)
    if "seed" in copy.get_params(deep=False):
        copy.set_params(seed=seed)
    return copy


def run(problem: Problem, task: Task) -> Forecast:
    """Fit and predict, on one thread, so that neither results nor timings depend on what runs beside.

    Raises
    ------
    PredictorFailedError
        If the predictor raises an exception, or forecasts what is not a finite number; the message names it.
    """
    train, test = problem.architectures[task.train], problem.architectures[task.test]
    fit_info, test_info = (
        {name: values[rows] for name, values in problem.info.items()} or None for rows in (task.train, task.test)
    )
    predictor = clone(task.predictor)
    known: dict[str, Any] = {}
    if problem.outcomes is not None and predictor.takes_noise:
        known["noise_std"] = standard_errors(problem.outcomes[task.train])
    try:
        with threadpool_limits(limits=1):
            start = time.perf_counter()
            predictor.fit(train, problem.train_values[task.train], info=fit_info, **known)
            fitted = time.perf_counter()
            mean, std, quantiles = predictor.predict_distribution(test, LEVELS, info=test_info)
            predicted = time.perf_counter()
        _check_shapes(mean, std, len(test))
    except Exception as error:
        kind = "" if isinstance(error, ArchcastError) else f"{type(error).__name__}: "
        raise PredictorFailedError(
            f"predictor {task.label!r} failed at n = {task.n}, seed = {task.seed}: {kind}{error}"
        ) from error
    return Forecast(
        predictor=task.label,
        n=task.n,
        seed=task.seed,
        train=task.train,
        test=task.test,
        truth=problem.test_values[task.test],
        mean=mean,
        std=std,
        levels=LEVELS,
        quantiles=quantiles,
        fit_seconds=fitted - start,
        predict_seconds=predicted - fitted,
        chosen=predictor.chosen_,
        **task.describe,
    )


def _check_shapes(mean: NDArray[np.float64], std: NDArray[np.float64], length: int) -> None:
    for name, values in (("mean", mean), ("std", std)):
        if np.shape(values) != (length,):
            raise InvalidDataError(f"{name} must have shape ({length},), got {np.shape(values)}")
        if not np.isfinite(values).all():
            position = int(np.argmin(np.isfinite(values)))
            raise InvalidDataError(f"{name} must be finite, got {values[position]} at position {position}")
