"""How well extrapolators forecast the ends of a table's learning curves from their beginnings."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from .._version import __version__
from ..benchmarks_data import Table, load_table
from ..errors import ArchcastError, InvalidDataError, PredictorFailedError
from ..predictors.curves import Extrapolator
from ..spaces import Architectures
from .arguments import distinct_integers, labelled_extrapolators
from .cache import content_digest, content_key, described
from .curve_report import CurveComparison
from .metrics import evaluate
from .runs import Job, Progress, Record, collect, iter_jobs

BASELINE = "last"
"""What every extrapolator is shown beside."""

Extrapolators = Mapping[str, str | Extrapolator] | Sequence[str | Extrapolator | tuple[str, str | Extrapolator]]
"""Names, objects (labelled by their class), `(label, name or object)` pairs, or a mapping from labels."""


class CurvePlan:
    """A comparison of extrapolators that is checked, and not yet run.

    In each run an extrapolator learns from n complete curves drawn at random, sees the beginnings of all others, and is
    judged by where those end. "Last value seen" is always among them.

    Parameters
    ----------
    table : Table, str or Path
        A table, the name of a shipped one, or the path of an .h5 file.
    metric : str
        One that is known at several epochs, e.g. `"wikitext2/valid_loss"`.
    extrapolators : sequence or mapping
        Names, `Extrapolator` objects, `(label, name or object)` pairs, or a mapping from labels.
    fractions : sequence of float
        Shares of the epochs that are seen, between 0 and 1.
    n : int or sequence of int
        Numbers of complete curves.
    seeds : int or sequence of int
        How many draws, `0 ... seeds - 1`, or which.
    n_test : int, optional
        Judge by so many of the other curves, drawn by the seed; by all of them by default.

    Raises
    ------
    UnknownNameError
        If the table, the metric or an extrapolator does not exist.
    InvalidDataError
        If a number is out of range, a label comes twice, the metric has no curve, or too few curves are complete.
    """

    def __init__(
        self,
        table: Table | str | Path,
        metric: str,
        *,
        extrapolators: Extrapolators = ("parametric", "feature_forest"),
        fractions: Sequence[float] = (0.1, 0.25, 0.5),
        n: int | Sequence[int] = 50,
        seeds: int | Sequence[int] = 3,
        n_test: int | None = None,
    ) -> None:
        self.table = table if isinstance(table, Table) else load_table(table)
        self.metric = metric
        self.info = self.table.info(metric)
        if len(self.info.epochs) < 2:
            raise InvalidDataError(f"metric {metric!r} has no learning curve, only {len(self.info.epochs)} epoch")
        found = labelled_extrapolators(extrapolators)
        self.extrapolators = found if BASELINE in found else labelled_extrapolators([BASELINE]) | found
        self.fractions = _shares(fractions)
        self.sizes = distinct_integers("n", [n] if isinstance(n, int) else n, least=2)
        self.seeds = distinct_integers("seeds", range(seeds) if isinstance(seeds, int) else seeds, least=0)
        self.n_test = None if n_test is None else distinct_integers("n_test", [n_test], least=2)[0]
        self.curves = np.asarray(self.table.values(metric, epoch="all"), dtype=np.float64)
        self._known = np.flatnonzero(np.isfinite(self.curves[:, -1]) & np.isfinite(self.curves[:, 0]))
        left = len(self._known) - max(self.sizes)
        if left < max(2, self.n_test or 0):
            raise InvalidDataError(
                f"n must leave {max(2, self.n_test or 0)} curves to test on, got {max(self.sizes)} of "
                f"{len(self._known)} complete ones of {metric!r}"
            )

    @property
    def total(self) -> int:
        """The number of runs."""
        return len(self.sizes) * len(self.seeds) * len(self.extrapolators) * len(self.fractions)

    def seen(self, fraction: float) -> int:
        """Return how many values of a curve are seen with a share of the epochs: at least one."""
        return max(1, int((np.array(self.info.epochs) <= fraction * self.info.epochs[-1] + 1e-9).sum()))

    def draw(self, n: int, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the rows of complete curves, and of those that are judged; the same for every extrapolator."""
        order = np.random.default_rng([seed, n]).permutation(self._known)
        return np.sort(order[:n]), np.sort(order[n:][: self.n_test])

    def iter_runs(self, *, n_jobs: int = 1, cache: str | Path | None = None) -> Iterator[Record]:
        """Yield one flat record a run, as soon as it is finished; parameters as of `ComparisonPlan.iter_runs`.

        Raises
        ------
        PredictorFailedError
            If an extrapolator fails; what finished before is in the cache.
        """
        yield from iter_jobs(self._jobs(), _measure, n_jobs=n_jobs, cache=cache, failure=PredictorFailedError)

    def _jobs(self) -> Iterator[Job]:
        for n in self.sizes:
            for seed in self.seeds:
                train, test = self.draw(n, seed)
                rows = hashlib.sha256(train.astype(np.int64).tobytes() + b"|" + test.astype(np.int64).tobytes())
                for fraction in self.fractions:
                    for label, extrapolator in self.extrapolators.items():
                        made = _seeded(extrapolator, seed)
                        head = self._head(label, n, seed, fraction, len(test))
                        content = {name: head[name] for name in head if name not in ("table", "extrapolator")} | {
                            "values": self._digest,
                            "rows": rows.hexdigest(),
                            **described(made),
                        }
                        arguments = (self.table.architectures, self.curves, self.info.epochs, head, made, train, test)
                        yield Job(content_key(content), head, ("table", "extrapolator"), arguments)

    def _head(self, label: str, n: int, seed: int, fraction: float, n_test: int) -> Record:
        return {
            "table": self.table.name,
            "metric": self.metric,
            "extrapolator": label,
            "fraction": fraction,
            "seen": self.seen(fraction),
            "epochs": len(self.info.epochs),
            "n": n,
            "seed": seed,
            "unit": self.info.unit,
            "higher_is_better": self.info.higher_is_better,
            "version": __version__,
            "n_test": n_test,
        }

    @cached_property
    def _digest(self) -> str:
        genotypes = np.asarray(self.table.architectures.genotypes, dtype=np.int64)
        return content_digest(self.table.space.spec, [genotypes, self.curves])

    def run(
        self, *, n_jobs: int = 1, cache: str | Path | None = None, progress: Progress | None = None
    ) -> CurveComparison:
        """Do all runs; parameters and errors are those of `ComparisonPlan.run`."""
        return self.comparison(collect(self.iter_runs(n_jobs=n_jobs, cache=cache), self.total, progress))

    def comparison(self, records: Iterable[Record]) -> CurveComparison:
        """Return records of this plan, in any order, in that of n, seeds, fractions and extrapolators."""
        labels = list(self.extrapolators)

        def place(record: Record) -> tuple[int, int, int, int]:
            return (
                self.sizes.index(record["n"]),
                self.seeds.index(record["seed"]),
                self.fractions.index(record["fraction"]),
                labels.index(record["extrapolator"]),
            )

        return CurveComparison(sorted(records, key=place))


def compare_curves(
    table: Table | str | Path,
    metric: str,
    *,
    extrapolators: Extrapolators = ("parametric", "feature_forest"),
    fractions: Sequence[float] = (0.1, 0.25, 0.5),
    n: int | Sequence[int] = 50,
    seeds: int | Sequence[int] = 3,
    n_test: int | None = None,
    n_jobs: int = 1,
    cache: str | Path | None = None,
    progress: Progress | None = None,
) -> CurveComparison:
    """Compare extrapolators on the learning curves of a table: see the first epochs, forecast the last.

    The parameters and errors are those of `CurvePlan` and `CurvePlan.run`.

    Examples
    --------
    >>> from archcast.evaluation import compare_curves
    >>> result = compare_curves("nasbench_nlp", "wikitext2/valid_loss", extrapolators=["power_law"], seeds=1)
    >>> [record["extrapolator"] for record in result.records[:2]]
    ['last', 'power_law']
    """
    plan = CurvePlan(table, metric, extrapolators=extrapolators, fractions=fractions, n=n, seeds=seeds, n_test=n_test)
    return plan.run(n_jobs=n_jobs, cache=cache, progress=progress)


def _measure(
    architectures: Architectures,
    curves: NDArray[np.float64],
    epochs: tuple[int, ...],
    head: Record,
    extrapolator: Extrapolator,
    train: NDArray[np.intp],
    test: NDArray[np.intp],
) -> dict[str, Any]:
    """Fit on whole curves, forecast from beginnings, on one thread, and measure."""
    higher_is_better = bool(head["higher_is_better"])
    try:
        with threadpool_limits(limits=1):
            start = time.perf_counter()
            extrapolator.fit(
                curves[train], epochs, architectures=architectures[train], higher_is_better=higher_is_better
            )
            fitted = time.perf_counter()
            mean, std = extrapolator.predict(
                curves[test, : head["seen"]], architectures=architectures[test], return_std=True
            )
            predicted = time.perf_counter()
        measures = evaluate(curves[test, -1], mean, std, higher_is_better=higher_is_better)
    except Exception as error:
        kind = "" if isinstance(error, ArchcastError) else f"{type(error).__name__}: "
        raise PredictorFailedError(
            f"extrapolator {head['extrapolator']!r} failed at n = {head['n']}, seed = {head['seed']}, fraction "
            f"{head['fraction']:g}: {kind}{error}"
        ) from error
    del measures["n_test"], measures["n_missing"]
    return {
        **measures,
        "mean_std": float(std.mean()),
        "fit_seconds": fitted - start,
        "predict_seconds": predicted - fitted,
    }


def _seeded(extrapolator: Extrapolator, seed: int) -> Extrapolator:
    copy: Extrapolator = clone(extrapolator)
    if "seed" in copy.get_params(deep=False):
        copy.set_params(seed=seed)
    return copy


def _shares(fractions: Sequence[float]) -> tuple[float, ...]:
    shares: list[float] = []
    for fraction in fractions:
        number = isinstance(fraction, (int, float)) and not isinstance(fraction, bool)
        if not (number and 0 < fraction < 1):
            raise InvalidDataError(f"fractions must lie strictly between 0 and 1, got {fraction!r}")
        if fraction in shares:
            raise InvalidDataError(f"fractions must be distinct, got {fraction:g} twice")
        shares.append(float(fraction))
    if not shares:
        raise InvalidDataError("fractions must hold at least one share of the epochs, got none")
    return tuple(shares)
