"""The field's protocol: train on n architectures, by default drawn at random, forecast all others, repeat over seeds.

Every predictor sees the same draws, so that differences between predictors are not differences between draws.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._version import __version__
from ..benchmarks_data import Table, load_table
from ..designs import Design, as_design
from ..errors import InvalidDataError, PredictorFailedError
from .arguments import Predictors, distinct_integers, labelled_predictors, of_label
from .cache import content_digest, content_key, described
from .forecasts import Draw, Forecast, Problem, Task, run, seeded
from .metrics import DEFAULT_KS
from .reports import Comparison
from .runs import Job, Progress, Record, collect, iter_jobs
from .sources import give_sources, read_sources

RESOLUTIONS: Mapping[str, float] = {"%": 0.1, "fraction": 0.001}
"""What `sparse_kendall_tau` rounds to by the unit of the metric: 0.1 points of accuracy."""


class ComparisonPlan:
    """A comparison of predictors that is checked, and not yet run.

    Parameters
    ----------
    table : Table, str or Path
        A table, the name of a shipped one, or the path of an .h5 file.
    metric : str
        What predictors are fitted to, e.g. `"cifar10/test_accuracy"`.
    epoch : int, optional
        The epoch of the metric; the last by default.
    predictors : sequence or mapping
        Names, `Predictor` objects (labelled by their class), `(label, name or object)` pairs, or a mapping from labels.
        Objects are cloned, never fitted; their `seed`, if they have one, is set to the seed of the run.
    n : int or sequence of int
        Numbers of training architectures.
    seeds : int or sequence of int
        How many draws, `0 ... seeds - 1`, or which.
    avoid_twins : bool
        Leave isomorphic twins of training architectures out of the test ones.
    test_metric : str, optional
        What forecasts are judged by, if that is not what predictors are fitted to: the literature often fits to
        validation accuracies and ranks test accuracies.
    test_epoch : int, optional
        The epoch of `test_metric`; the one of `metric` by default.
    n_test : int, optional
        Judge by so many of the other architectures, drawn by the seed; by all of them by default.
    design : str or Design, optional
        What chooses the training architectures, such as `"kmeans"` (`archcast.designs`): canonically distinct ones. By
        default they are drawn at random, twins and all.
    info : sequence of str
        Other metrics whose values every predictor gets as extras, of training and test architectures alike:
        `"metric"` (its last epoch), `"metric@epoch"`, or the curve `"metric@first:last"`.
    sources : sequence of str, Source, fitted Predictor or (architectures, y)
        Histories that predictors with `sources` learn from, such as `"nasbench201:cifar100/test_accuracy@12"`: see
        `archcast.evaluation.sources.read_sources`. Predictors that take none are compared as they are.
    seed_noise : bool
        Tell predictors that can make use of it how noisy each training value is, by the spread of its seeds; others are
        compared as they are.
    ks : sequence of int
        Which precision@k, regret@k and n@k are measured.
    resolution : float, optional
        Rounding of the sparse Kendall tau in the metric's units; 0.1 points for accuracies by default, and no such
        measure for other units.

    Raises
    ------
    UnknownNameError
        If the table, a metric, an epoch or a predictor does not exist.
    InvalidDataError
        If a number is out of range, a label comes twice, or too few architectures have values.
    """

    def __init__(
        self,
        table: Table | str | Path,
        metric: str,
        *,
        epoch: int | None = None,
        predictors: Predictors = ("gp@semantic",),
        n: int | Sequence[int] = (78, 156),
        seeds: int | Sequence[int] = 5,
        avoid_twins: bool = False,
        test_metric: str | None = None,
        test_epoch: int | None = None,
        n_test: int | None = None,
        design: str | Design | None = None,
        info: Sequence[str] = (),
        sources: Sequence[Any] = (),
        seed_noise: bool = False,
        ks: Sequence[int] = DEFAULT_KS,
        resolution: float | None = None,
    ) -> None:
        self.table = table if isinstance(table, Table) else load_table(table)
        self.metric, self.epoch = metric, epoch
        self.test_metric = metric if test_metric is None else test_metric
        self.test_epoch = epoch if test_epoch is None else test_epoch
        self.predictors = labelled_predictors(predictors)
        self.sizes = distinct_integers("n", [n] if isinstance(n, int) else n, least=2)
        self.seeds = distinct_integers("seeds", range(seeds) if isinstance(seeds, int) else seeds, least=0)
        self.ks = distinct_integers("ks", ks, least=1)
        self.avoid_twins = bool(avoid_twins)
        self.n_test = None if n_test is None else distinct_integers("n_test", [n_test], least=2)[0]
        self.design = None if design is None else as_design(design)
        self._design_name = design if isinstance(design, str) else "" if design is None else type(design).__name__
        self.info = (info,) if isinstance(info, str) else tuple(info)
        described = self.table.info(self.test_metric)
        self.unit, self.higher_is_better = described.unit, described.higher_is_better
        if self.table.info(metric).higher_is_better != self.higher_is_better:
            raise InvalidDataError(
                f"metrics {metric!r} and {self.test_metric!r} must have the same direction, one is better when higher "
                "and one when lower"
            )
        self.sources = read_sources(sources, higher_is_better=self.higher_is_better)
        give_sources(self.predictors.values(), self.sources)
        self.resolution = RESOLUTIONS.get(self.unit) if resolution is None else resolution
        self.problem = Problem(
            self.table.architectures,
            np.asarray(self.table.values(metric, epoch=epoch), dtype=np.float64),
            np.asarray(self.table.values(self.test_metric, epoch=self.test_epoch), dtype=np.float64),
            {name: self._info_values(name) for name in self.info},
            self._outcomes() if seed_noise else None,
        )
        self._known = np.flatnonzero(np.isfinite(self.problem.train_values))
        for size in self.sizes:
            if size > len(self._known) - 2:
                raise InvalidDataError(
                    f"n must leave 2 architectures to test on, got {size} of {len(self._known)} for which "
                    f"{metric!r} is known"
                )
        if self.design is not None:
            classes = len(np.unique(self.table.canonical_keys[self._known]))
            if max(self.sizes) > classes:
                raise InvalidDataError(
                    f"n must not exceed the {classes} canonically distinct architectures from which a design can "
                    f"choose, got {max(self.sizes)}"
                )

    def _outcomes(self) -> NDArray[np.float64]:
        if not any(predictor.takes_noise for predictor in self.predictors.values()):
            raise InvalidDataError(
                f"seed_noise needs a predictor that makes use of it, such as 'gp', got {', '.join(self.predictors)}"
            )
        outcomes = np.asarray(self.table.values(self.metric, epoch=self.epoch, seed="all"), dtype=np.float64)
        if not (np.isfinite(outcomes).sum(axis=1) > 1).any():
            raise InvalidDataError(f"seed_noise needs outcomes of several seeds, {self.metric!r} has one of each")
        return outcomes

    def _info_values(self, text: str) -> NDArray[np.float64]:
        name, at, epoch = text.rpartition("@")
        first, colon, last = epoch.partition(":")
        if not at:
            return np.asarray(self.table.values(text), dtype=np.float64)
        if not first.isdecimal() or (colon and not last.isdecimal()):
            raise InvalidDataError(
                f"info must be 'metric', 'metric@epoch' or 'metric@first:last' with integer epochs, got {text!r}"
            )
        if not colon:
            return np.asarray(self.table.values(name, epoch=int(epoch)), dtype=np.float64)
        inside = [i for i, label in enumerate(self.table.info(name).epochs) if int(first) <= label <= int(last)]
        if not inside:
            raise InvalidDataError(f"info {text!r} holds no epoch of metric {name!r}")
        return np.asarray(self.table.values(name, epoch="all")[:, inside], dtype=np.float64)

    @property
    def total(self) -> int:
        """The number of runs."""
        return len(self.sizes) * len(self.seeds) * len(self.predictors)

    # ---- draws --------------------------------------------------------------------------------------------------

    def draw(self, n: int, seed: int) -> Draw:
        """Return which rows are trained on, and which forecasts are judged; the same for every predictor.

        Training rows are drawn among those where the metric is known. Test rows are all others with a known truth.
        """
        unknown = np.flatnonzero(np.isnan(self.problem.train_values))
        among = self._known if len(unknown) else None
        if self.design is None:
            train, rest = self.table.split(n, seed, avoid_twins=self.avoid_twins, among=among)
        else:
            train = self._known[self.design.rows(self.table.architectures[self._known], n, seed)]
            rest = np.setdiff1d(self._known, train)
        if self.avoid_twins:
            keys = self.table.canonical_keys
            unknown, rest = (rows[~np.isin(keys[rows], keys[train])] for rows in (unknown, rest))
        rest = np.union1d(rest, unknown)
        has_truth = np.isfinite(self.problem.test_values[rest])
        test = rest[has_truth]
        if len(test) < 2:
            raise InvalidDataError(f"n must leave 2 architectures to test on, got n = {n} and {len(test)} are left")
        if self.n_test is not None:
            if self.n_test > len(test):
                raise InvalidDataError(
                    f"n_test must not exceed the {len(test)} architectures left at n = {n}, got {self.n_test}"
                )
            test = np.sort(np.random.default_rng([seed, n]).permutation(test)[: self.n_test])
        return Draw(train, test, int((~has_truth).sum()), self.table.leakage(train, test))

    # ---- runs ---------------------------------------------------------------------------------------------------

    def forecast(self, predictor: str, n: int, seed: int) -> Forecast:
        """Return the forecast of one run, by the label of its predictor, for plots and a closer look.

        Raises
        ------
        UnknownNameError
            If no predictor of the plan has this label.
        PredictorFailedError
            If the predictor fails.
        """
        of_label("predictor", predictor, self.predictors)
        return run(self.problem, self._task(predictor, n, seed, self.draw(n, seed)))

    def iter_runs(self, *, n_jobs: int = 1, cache: str | Path | None = None) -> Iterator[Record]:
        """Yield one flat record a run, as soon as it is finished.

        With one job they come in the order of n, seeds and predictors; with several in the order in which they
        finish, with the same values except for the seconds.

        Parameters
        ----------
        n_jobs : int
            Runs at once, each in a process and on one thread; -1 for one a core.
        cache : str or Path, optional
            A JSON-lines file to which every finished run is added. Runs that it holds already are not repeated: a run
            is known by the content of the table, the split, the predictor with all its parameters, and the version.

        Raises
        ------
        PredictorFailedError
            If a predictor fails; what finished before is in the cache.
        """
        yield from iter_jobs(self.jobs(), measure, n_jobs=n_jobs, cache=cache, failure=PredictorFailedError)

    def jobs(self) -> Iterator[Job]:
        """Yield the runs as pieces of work for `measure`, in the order of n, seeds and predictors."""
        for n in self.sizes:
            for seed in self.seeds:
                draw = self.draw(n, seed)
                for label in self.predictors:
                    task = self._task(label, n, seed, draw)
                    arguments = (self.problem, task, self.ks, self.resolution)
                    key = content_key(self._content(task, draw))
                    yield Job(key, self._head(task, draw), ("table", "predictor"), arguments)

    def run(self, *, n_jobs: int = 1, cache: str | Path | None = None, progress: Progress | None = None) -> Comparison:
        """Do all runs; see `iter_runs`.

        Parameters
        ----------
        progress : callable, optional
            Called as `progress(done, total, record)` after each run.

        Returns
        -------
        Comparison
            Records in the order of n, seeds and predictors, whatever the number of jobs.
        """
        return self.comparison(collect(self.iter_runs(n_jobs=n_jobs, cache=cache), self.total, progress))

    def comparison(self, records: Iterable[Record]) -> Comparison:
        """Return records of this plan, in any order, as a `Comparison` in the order of n, seeds and predictors."""
        labels = list(self.predictors)

        def place(record: Record) -> tuple[int, int, int]:
            return (
                self.sizes.index(record["n"]),
                self.seeds.index(record["seed"]),
                labels.index(record["predictor"]),
            )

        return Comparison(sorted(records, key=place))

    def _task(self, label: str, n: int, seed: int, draw: Draw) -> Task:
        describe = {"metric": self.test_metric, "unit": self.unit, "higher_is_better": self.higher_is_better}
        return Task(label, seeded(self.predictors[label], seed), describe, n, seed, draw.train, draw.test)

    def _head(self, task: Task, draw: Draw) -> Record:
        return {
            "table": self.table.name,
            "metric": self.metric,
            "epoch": self.epoch,
            "predictor": task.label,
            "n": task.n,
            "seed": task.seed,
            "test_metric": self.test_metric,
            "test_epoch": self.test_epoch,
            "unit": self.unit,
            "higher_is_better": self.higher_is_better,
            "info": ",".join(self.info),
            "sources": ",".join(source.name for source in self.sources),
            "avoid_twins": self.avoid_twins,
            "version": __version__,
            "design": self._design_name,
            "n_test": len(draw.test),
            "n_missing": draw.missing,
            "leaked": draw.leaked,
            **({"seed_noise": True} if self.problem.outcomes is not None else {}),
        }

    @cached_property
    def _digest(self) -> str:
        """The content of the table as far as it matters here."""
        return content_digest(
            self.table.space.spec,
            [
                np.asarray(self.problem.architectures.genotypes, dtype=np.int64),
                self.problem.train_values,
                self.problem.test_values,
                *self.problem.info.values(),
                *([] if self.problem.outcomes is None else [self.problem.outcomes]),
            ],
        )

    def _content(self, task: Task, draw: Draw) -> dict[str, Any]:
        rows = hashlib.sha256(draw.train.astype(np.int64).tobytes() + b"|" + draw.test.astype(np.int64).tobytes())
        head = self._head(task, draw)
        del head["table"], head["predictor"], head["sources"], head["design"]  # names; the content below is what counts
        return (
            head
            | described(task.predictor)
            | {
                "values": self._digest,
                "rows": rows.hexdigest(),
                "ks": self.ks,
                "resolution": self.resolution,
            }
        )


def compare(
    table: Table | str | Path,
    metric: str,
    *,
    epoch: int | None = None,
    predictors: Predictors = ("gp@semantic",),
    n: int | Sequence[int] = (78, 156),
    seeds: int | Sequence[int] = 5,
    avoid_twins: bool = False,
    test_metric: str | None = None,
    test_epoch: int | None = None,
    n_test: int | None = None,
    design: str | Design | None = None,
    info: Sequence[str] = (),
    sources: Sequence[Any] = (),
    seed_noise: bool = False,
    ks: Sequence[int] = DEFAULT_KS,
    resolution: float | None = None,
    n_jobs: int = 1,
    cache: str | Path | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Compare predictors on a table: train on n architectures, forecast all others, repeat over seeds.

    The parameters and errors are those of `ComparisonPlan`, `ComparisonPlan.iter_runs` and `ComparisonPlan.run`.

    Examples
    --------
    >>> from archcast.evaluation import compare
    >>> result = compare("nasbench201", "cifar10/test_accuracy", epoch=200, predictors=["constant"], n=20, seeds=2)
    >>> len(result.records)
    2
    """
    plan = ComparisonPlan(
        table,
        metric,
        epoch=epoch,
        predictors=predictors,
        n=n,
        seeds=seeds,
        avoid_twins=avoid_twins,
        test_metric=test_metric,
        test_epoch=test_epoch,
        n_test=n_test,
        design=design,
        info=info,
        sources=sources,
        seed_noise=seed_noise,
        ks=ks,
        resolution=resolution,
    )
    return plan.run(n_jobs=n_jobs, cache=cache, progress=progress)


def measure(problem: Problem, task: Task, ks: Sequence[int], resolution: float | None) -> Record:
    """Do one run and return its measures, `fit_seconds` and `predict_seconds`.

    Raises
    ------
    PredictorFailedError
        If the predictor fails.
    """
    forecast = run(problem, task)
    measures = forecast.measures(ks, resolution)
    del measures["n_test"], measures["n_missing"]  # the plan knows them, and left missing truth out
    return {
        **measures,
        "fit_seconds": forecast.fit_seconds,
        "predict_seconds": forecast.predict_seconds,
        "chosen": forecast.chosen,
    }
