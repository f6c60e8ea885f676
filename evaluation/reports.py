"""Results of a comparison as tidy data, as means with confidence intervals, and as a table for people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from ..errors import UnknownNameError
from .records import Records

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.table import Table as RichTable

CONFIDENCE = 0.95

_DESCRIPTIVE = frozenset({"n", "seed", "epoch", "test_epoch", "higher_is_better", "avoid_twins", "n_test", "n_missing"})
"""Numeric fields of a record that say what was run rather than how it went."""

_COLUMNS = {
    "spearman": "Spearman",
    "r2": "R2",
    "rmse": "RMSE",
    "crps": "CRPS",
    "coverage_90": "90 % cov.",
    "precision_at_50": "prec@50",
    "regret_at_10": "regret@10",
    "fit_seconds": "fit s",
    "predict_seconds": "query s",
}
"""Measures of the printed table and their headings, from left to right."""

_SHOWN = (
    "rmse",
    "coverage_90",
    "fit_seconds",
    "predict_seconds",
    "spearman",
    "regret_at_10",
    "precision_at_50",
    "crps",
    "r2",
)
"""The same, those first that stay when the console is narrow."""


@dataclass(frozen=True)
class Interval:
    """Mean, spread and confidence interval of a measure over seeds.

    Parameters
    ----------
    mean, std : float
        Over the runs for which the measure exists; `std` has n - 1 in its denominator, NaN for a single run.
    low, high : float
        Ends of the 95 % t-interval of the mean, NaN for a single run. It covers the draw of training architectures;
        runs share most of their test architectures, so it says nothing about another table.
    runs : int
        For how many runs the measure exists.
    """

    mean: float
    std: float
    low: float
    high: float
    runs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Interval:
        """Summarise values; NaN means that the measure does not exist for a run."""
        known = np.array([value for value in values if not math.isnan(value)], dtype=np.float64)
        nan = float("nan")
        if not len(known):
            return cls(nan, nan, nan, nan, 0)
        mean = float(known.mean())
        if len(known) == 1:
            return cls(mean, nan, nan, nan, 1)
        std = float(known.std(ddof=1))
        reach = float(stats.t.ppf(0.5 + CONFIDENCE / 2, len(known) - 1)) * std / math.sqrt(len(known))
        return cls(mean, std, mean - reach, mean + reach, len(known))


@dataclass(frozen=True, repr=False)
class Comparison(Records):
    """The runs of a comparison.

    Prints as a table, ranked by Kendall tau within each number of training architectures.

    Parameters
    ----------
    records : list of dict
        One a run, all with the same keys: `table`, `metric`, `epoch`, `predictor`, `n`, `seed`, the conditions, the
        measures of `evaluate`, `fit_seconds`, `predict_seconds`, `chosen` (what a predictor chose in `fit`) and
        `leaked` (test architectures that have an isomorphic twin among the training ones).
    """

    @property
    def predictors(self) -> list[str]:
        """Labels of the predictors, in the order of the runs."""
        return list(dict.fromkeys(record["predictor"] for record in self.records))

    @property
    def sizes(self) -> list[int]:
        """Numbers of training architectures, increasing."""
        return sorted({record["n"] for record in self.records})

    @property
    def measures(self) -> list[str]:
        """Names of all measures."""
        first = self.records[0]
        return [
            key
            for key in first
            if key not in _DESCRIPTIVE and any(isinstance(record[key], (int, float)) for record in self.records)
        ]

    def values(self, measure: str, predictor: str, n: int) -> list[float]:
        """Return a measure of one predictor at one n, one value a seed.

        Raises
        ------
        UnknownNameError
            If there is no such measure, or no such run.
        """
        if measure not in self.measures:
            raise UnknownNameError(f"unknown measure {measure!r}, expected one of {', '.join(self.measures)}")
        found = [float(r[measure]) for r in self.records if r["predictor"] == predictor and r["n"] == n]
        if not found:
            raise UnknownNameError(f"there is no run of predictor {predictor!r} with n = {n}")
        return found

    def interval(self, measure: str, predictor: str, n: int) -> Interval:
        """Return mean, spread and confidence interval of a measure over the seeds; errors as `values`."""
        return Interval.of(self.values(measure, predictor, n))

    def summary(self, measures: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Return one flat record per predictor, n and measure: `mean`, `std`, `low`, `high`, `runs` over seeds.

        Parameters
        ----------
        measures : sequence of str, optional
            All by default.
        """
        rows = []
        for n in self.sizes:
            for predictor in self.predictors:
                if not any(r["predictor"] == predictor and r["n"] == n for r in self.records):
                    continue
                for measure in self.measures if measures is None else measures:
                    interval = self.interval(measure, predictor, n)
                    rows.append({"predictor": predictor, "n": n, "measure": measure, **vars(interval)})
        return rows

    # ---- for people ---------------------------------------------------------------------------------------------

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RichTable]:
        """Show as many measures as fit into the width of the console, the most telling ones first."""
        from rich.measure import Measurement

        shown = [measure for measure in _SHOWN if measure in self.measures]
        table = self._table(shown)
        unbounded = options.update(width=1_000)
        while shown and Measurement.get(console, unbounded, table).maximum > options.max_width:
            shown.pop()
            table = self._table(shown)
        yield table

    def _table(self, shown: Sequence[str]) -> RichTable:
        from rich.table import Table as RichTable

        first = self.records[0]
        epoch = "" if first["epoch"] is None else f", epoch {first['epoch']}"
        judged = "" if first["test_metric"] == first["metric"] else f", judged by {first['test_metric']}"
        unit = f" in {first['unit']}" if first["unit"] else ""
        table = RichTable(
            title=f"{first['table']}: {first['metric']}{unit}{epoch}{judged}",
            title_justify="left",
            caption=self._caption(),
            caption_justify="left",
        )
        columns = [measure for measure in _COLUMNS if measure in shown]
        table.add_column("n", justify="right")
        table.add_column("predictor", overflow="fold")
        table.add_column("Kendall tau", justify="right", no_wrap=True)
        for measure in columns:
            table.add_column(_COLUMNS[measure], justify="right", no_wrap=True)
        for n in self.sizes:
            ranked = self._ranked(n)
            for position, predictor in enumerate(ranked):
                table.add_row(
                    str(n) if position == 0 else "",
                    predictor,
                    _with_reach(self.interval("kendall_tau", predictor, n)),
                    *(_number(self.interval(measure, predictor, n).mean) for measure in columns),
                    style="bold" if position == 0 and len(self.predictors) > 1 else "",
                    end_section=position == len(ranked) - 1,
                )
        return table

    def _ranked(self, n: int) -> list[str]:
        present = [p for p in self.predictors if any(r["predictor"] == p and r["n"] == n for r in self.records)]

        def tau(predictor: str) -> float:
            mean = self.interval("kendall_tau", predictor, n).mean
            return -math.inf if math.isnan(mean) else mean

        return sorted(present, key=tau, reverse=True)

    def _caption(self) -> str:
        seeds = len({record["seed"] for record in self.records})
        tests = sorted({record["n_test"] for record in self.records})
        count = f"{tests[0]:,}" if len(tests) == 1 else f"{tests[0]:,} to {tests[-1]:,}"
        leaks = sorted({record["leaked"] for record in self.records})
        upto = "up to " if len(leaks) > 1 else ""
        twins = f"; {upto}{leaks[-1]:,} of them have an isomorphic twin in training" if leaks[-1] else ""
        mean = f"Mean of {seeds} seeds (+- 95 % confidence)" if seeds > 1 else "One seed"
        return "\n".join([f"{mean}, {count} test architectures{twins}", *self._choices()])

    def _choices(self) -> Iterator[str]:
        """Yield what each predictor that chooses chose at each n, with the first seed."""
        said = set()
        for record in self.records:
            case = record["predictor"], record["n"]
            if record.get("chosen") and case not in said:
                said.add(case)
                yield f"{case[0]} at n = {case[1]}, seed {record['seed']}: {record['chosen']}"

    def __repr__(self) -> str:
        return f"<Comparison: {len(self.records)} runs of {len(self.predictors)} predictors>"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"


def _with_reach(interval: Interval) -> str:
    if math.isnan(interval.mean):
        return "-"
    reach = "" if math.isnan(interval.high) else f" +-{interval.high - interval.mean:.3f}"
    return f"{interval.mean:.3f}{reach}"
