"""Fitting a surrogate benchmark to a table: held-out folds, noise, costs, and the best that it knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from .._version import __version__
from ..benchmarks_data import MetricInfo, Table, load_table
from ..errors import InvalidDataError
from ..predictors import Predictor, make_predictor
from ..spaces import Architectures
from .arguments import distinct_integers
from .calibration import LEVELS
from .metrics import evaluate, kendall_tau
from .search_problem import simulated_costs
from .surrogate_noise import KINDS, Kind, NoiseModel
from .surrogate_optimum import best_known
from .surrogate_table import BestKnown, SurrogateTable

Noise: TypeAlias = Literal["auto"] | Kind
_MEASURES = ("kendall_tau", "spearman", "r2", "rmse", "mae", "coverage_90", "calibration_error", "nll", "crps")
_LEAST_REPEATED = 10
"""So many architectures must have been trained with several seeds for their noise to be that of the surrogate."""


def fit_surrogate_table(
    table: Table | str | Path,
    metric: str,
    predictor: str | Predictor = "xgboost",
    *,
    epoch: int | None = None,
    noise: Noise = "auto",
    cost: float | Literal["table"] | None = "table",
    folds: int = 5,
    samples: int = 20_000,
    starts: int = 20,
    seed: int = 0,
    name: str | None = None,
    predictor_name: str | None = None,
    say: Callable[[str], object] = lambda text: None,
) -> SurrogateTable:
    """Fit a surrogate benchmark to a metric of a table.

    Parameters
    ----------
    table : Table, str or Path
    metric : str
    predictor : str or Predictor
        Fitted to all architectures whose metric is known; a copy of it, if it is none by name.
    epoch : int, optional
        The epoch of the metric; the last by default.
    noise : {"auto", "seeds", "residuals", "none"}
        Where the noise of a training is taken from, see `NoiseModel`; by default from repeated trainings if ten
        architectures or more have them, and else from the errors on held-out folds.
    cost : float, "table" or None
        Seconds of every training; or what the table knows, forecast by a second predictor like the first (and not
        known where the table knows none); or not known.
    folds : int
        Each fold in turn is held out, and forecast by a copy that has seen the others; isomorphic twins share one.
    samples, starts, seed : int
        Of the search for the best, see `best_known`; the seed also draws the folds.
    name : str, optional
        By default that of the table with `_surrogate`.
    predictor_name : str, optional
        What to call the predictor.
    say : callable, optional
        Called with what is being done.

    Returns
    -------
    SurrogateTable
        Its `measures` are those of the held-out folds.

    Raises
    ------
    UnknownNameError
        If the table, the metric, the epoch or the predictor does not exist.
    InvalidDataError
        If a number is out of range, too few architectures are known, or seeds are asked for noise and too few have
        repetitions.

    Examples
    --------
    >>> from archcast.evaluation import fit_surrogate_table
    >>> found = fit_surrogate_table("nasbench_nlp", "wikitext2/test_loss", "ridge", samples=200, folds=2)
    >>> found.measures["kendall_tau"] > 0.2
    True
    """
    source = table if isinstance(table, Table) else load_table(table)
    chosen = make_predictor(predictor) if isinstance(predictor, str) else clone(predictor)
    described = source.info(metric)
    (folds,) = distinct_integers("folds", [folds], least=2)
    (samples,), (starts,) = (
        distinct_integers("samples", [samples], least=1),
        distinct_integers("starts", [starts], least=1),
    )
    distinct_integers("seed", [seed], least=0)
    if noise != "auto" and noise not in KINDS:
        raise InvalidDataError(f"noise must be one of auto, {', '.join(KINDS)}, got {noise!r}")
    if isinstance(cost, (int, float)) and not 0 < cost < np.inf:
        raise InvalidDataError(f"cost must be a number of seconds greater than 0, 'table' or None, got {cost!r}")
    every = source.values(metric, epoch=epoch, seed="all")
    known = np.flatnonzero(np.isfinite(source.values(metric, epoch=epoch)))
    if len(known) < 4 * folds:
        raise InvalidDataError(
            f"expected at least {4 * folds} architectures to hold out {folds} folds of, table {source.name!r} knows "
            f"{metric!r} of {len(known)}"
        )
    batch = source.architectures[known]
    values = source.values(metric, epoch=epoch)[known]
    repeated = _repeated(every[known])
    kind = noise if noise != "auto" else "seeds" if len(repeated) >= _LEAST_REPEATED else "residuals"
    if kind == "seeds" and len(repeated) < _LEAST_REPEATED:
        raise InvalidDataError(
            f"expected at least {_LEAST_REPEATED} architectures with several seeds to take the noise from, table "
            f"{source.name!r} has {len(repeated)} of {metric!r}"
        )
    parts = list(_folds(batch, folds, seed))
    measures, forecast = _held_out(chosen, batch, values, parts, described, say)
    if kind == "seeds":
        sample = every[known][repeated]
        model = NoiseModel.of(kind, np.nanmean(sample, axis=1), np.nanvar(sample, axis=1, ddof=1))
    else:
        model = NoiseModel("none") if kind == "none" else NoiseModel.of(kind, forecast, (values - forecast) ** 2)
    say(f"fitting to all {len(known):,} architectures")
    fitted = chosen.fit(batch, values)
    priced: Predictor | float | None = None if cost is None else float(cost) if cost != "table" else None
    if cost == "table":
        priced, tau = _cost(chosen, source, known, epoch, parts[0], say)
        measures |= {} if tau is None else {"cost_kendall_tau": tau}
    at = epoch if epoch is not None else described.epochs[-1] if described.epochs else None
    surrogate = SurrogateTable(
        name=f"{source.name}_surrogate" if name is None else name,
        info=MetricInfo(metric, described.unit, described.direction, described.note),
        epoch=at,
        predictor=fitted,
        noise=model,
        best_known=BestKnown(batch[0], float(values[0]), "not searched for"),
        cost=priced,
        measures=measures,
        about={
            "table": source.name,
            "architectures": len(known),
            "predictor": predictor_name or (predictor if isinstance(predictor, str) else type(predictor).__name__),
            "folds": folds,
            "repeated": len(repeated),
            "best_in_table": float(values.max() if described.higher_is_better else values.min()),
            "archcast": __version__,
        },
    )
    say("searching for the best")
    found = best_known(
        surrogate.query,
        batch,
        higher_is_better=described.higher_is_better,
        samples=samples,
        starts=starts,
        seed=seed,
    )
    return replace(surrogate, best_known=found)


def _repeated(every: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the rows of `(n, seeds)` values of which two or more are known."""
    return np.flatnonzero(np.isfinite(every).sum(axis=1) > 1)


def _folds(batch: Architectures, folds: int, seed: int) -> Iterator[NDArray[np.intp]]:
    """Yield the rows that each fold holds out."""
    classes, members = np.unique(batch.keys(), return_inverse=True)
    fold = (np.random.default_rng(seed).permutation(len(classes)) % folds)[members]
    for number in range(folds):
        yield np.flatnonzero(fold == number)


def _held_out(
    predictor: Predictor,
    batch: Architectures,
    values: NDArray[np.float64],
    parts: list[NDArray[np.intp]],
    described: MetricInfo,
    say: Callable[[str], object],
) -> tuple[dict[str, float], NDArray[np.float64]]:
    """Return the measures of forecasts on held-out folds, all together, and the forecasts `(n,)`."""
    mean, std, quantiles = np.zeros(len(values)), np.zeros(len(values)), np.zeros((len(values), len(LEVELS)))
    for number, part in enumerate(parts, start=1):
        say(f"holding out fold {number} of {len(parts)}")
        rest = np.setdiff1d(np.arange(len(values)), part)
        fitted = clone(predictor).fit(batch[rest], values[rest])
        mean[part], std[part] = fitted.predict(batch[part], return_std=True)
        quantiles[part] = fitted.predict_quantiles(batch[part], LEVELS)
    found = evaluate(values, mean, std, quantiles, LEVELS, higher_is_better=described.higher_is_better)
    return {key: float(found[key]) for key in _MEASURES if np.isfinite(found[key])}, mean


def _cost(
    predictor: Predictor,
    table: Table,
    known: NDArray[np.intp],
    epoch: int | None,
    part: NDArray[np.intp],
    say: Callable[[str], object],
) -> tuple[Predictor | float | None, float | None]:
    """Return what forecasts the seconds of a training, and its Kendall tau on one held-out fold."""
    costs, unit = simulated_costs(table, epoch)
    if unit != "s":
        return None, None
    batch, seconds = table.architectures[known], costs[known]
    if np.ptp(seconds) == 0:
        return float(seconds[0]), None
    say("fitting costs")
    rest = np.setdiff1d(np.arange(len(known)), part)
    tried = clone(predictor).fit(batch[rest], seconds[rest])
    tau = kendall_tau(seconds[part], tried.predict(batch[part]))
    return clone(predictor).fit(batch, seconds), tau if np.isfinite(tau) else None
