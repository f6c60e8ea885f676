"""Results of a benchmark of searchers: regrets over seeds, queries to the target, significance, a table for people."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError, UnknownNameError
from .labels import amount, unit_name
from .records import Records
from .significance import ALPHA, PairTest, RankTest, average_ranks, pairwise
from .trajectories import at_times

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.table import Table as RichTable

CHECKPOINTS = (10, 25, 50, 100, 150)
"""Queries after which the printed table shows regrets."""

LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Quantiles over seeds that `summary` reports."""

USUAL_AT = 100
"""Queries after which searchers are tested against each other, or the whole budget if that is less."""


@dataclass(frozen=True, repr=False)
class SearchComparison(Records):
    """The runs of a benchmark of searchers.

    Prints as one table a problem, ranked by median regret at the end, and the tests of all pairs.

    Parameters
    ----------
    records : list of dict
        One a run, all with the same keys: `problem`, `table`, `metric`, `epoch`, `searcher`, `seed`, the conditions,
        `queries`, `failed`, `queries_to_target` and `queries_to_optimum` (None if the run did not get there), `best`
        (the incumbent at the end), the lists `regret`, `rows` and `finished` with one entry a query, `time_unit`,
        `overhead_seconds` and `slowest_ask_seconds`; and what `ParetoTrajectory.details` adds where there are
        objectives.
    """

    @property
    def problems(self) -> list[str]:
        """Labels of the problems, in the order of the runs."""
        return list(dict.fromkeys(record["problem"] for record in self.records))

    @property
    def searchers(self) -> list[str]:
        """Labels of the searchers, in the order of the runs."""
        return list(dict.fromkeys(record["searcher"] for record in self.records))

    @property
    def seeds(self) -> list[int]:
        """The seeds, in the order of the runs."""
        return list(dict.fromkeys(record["seed"] for record in self.records))

    @property
    def budget(self) -> int:
        """The number of queries that every run was allowed."""
        return int(max(record["budget"] for record in self.records))

    def runs(self, searcher: str, problem: str | None = None) -> list[dict[str, Any]]:
        """Return the records of one searcher on one problem (the first by default), one a seed.

        Raises
        ------
        UnknownNameError
            If there is none.
        """
        name = self.problems[0] if problem is None else problem
        found = [r for r in self.records if r["searcher"] == searcher and r["problem"] == name]
        if not found:
            raise UnknownNameError(
                f"there is no run of searcher {searcher!r} on problem {name!r}; searchers are "
                f"{', '.join(self.searchers)}, problems {', '.join(self.problems)}"
            )
        return found

    def regrets(self, searcher: str, problem: str | None = None) -> NDArray[np.float64]:
        """Return the regret after each query, `(seeds, budget)`, in units of the metric.

        A run that ended early, because no architecture was left, keeps its last regret. Errors as `runs`.
        """
        rows = [np.asarray(record["regret"], dtype=np.float64) for record in self.runs(searcher, problem)]
        return np.stack([np.pad(row, (0, self.budget - len(row)), mode="edge") for row in rows])

    def hypervolumes(self, searcher: str, problem: str | None = None) -> NDArray[np.float64]:
        """Return the hypervolume after each query, `(seeds, budget)`, as a share of what the table allows.

        Errors as `runs`.

        Raises
        ------
        InvalidDataError
            If the searches had a single metric.
        """
        if "hypervolume" not in self.records[0]:
            raise InvalidDataError("searches for a single metric have no hypervolume, expected objectives")
        return 1.0 - self.regrets(searcher, problem)

    def regrets_at_times(
        self, searcher: str, times: NDArray[np.float64], problem: str | None = None
    ) -> NDArray[np.float64]:
        """Return the regret at simulated times `(m,)` as `(seeds, m)`, NaN before the first training of a run ended."""
        return np.stack([at_times(r["finished"], r["regret"], times) for r in self.runs(searcher, problem)])

    def queries_to(self, searcher: str, problem: str | None = None, *, optimum: bool = False) -> NDArray[np.float64]:
        """Return after how many queries each run met the target, or the class of the optimum, `(seeds,)`.

        Infinite where it did not within the budget, so that medians and quantiles over seeds are right as they are.
        """
        name = "queries_to_optimum" if optimum else "queries_to_target"
        found = [record[name] for record in self.runs(searcher, problem)]
        return np.array([math.inf if value is None else float(value) for value in found])

    def summary(self, queries: Sequence[int] | None = None) -> list[dict[str, Any]]:
        """Return one flat record a problem, searcher and checkpoint: `mean`, `q10` ... `q90`, `runs` over the seeds.

        Parameters
        ----------
        queries : sequence of int, optional
            After how many queries; 10, 25, 50, 100, 150 as far as the budget goes, and the budget, by default.

        Raises
        ------
        InvalidDataError
            If one of them is not between 1 and the budget.
        """
        wanted = self._checkpoints() if queries is None else [self._checked(value) for value in queries]
        rows = []
        for problem in self.problems:
            for searcher in self._of(problem):
                regrets = self.regrets(searcher, problem)
                for value in wanted:
                    column = regrets[:, value - 1]
                    quantiles = {f"q{round(100 * level)}": float(np.quantile(column, level)) for level in LEVELS}
                    head = {"problem": problem, "searcher": searcher, "queries": value, "mean": float(column.mean())}
                    rows.append({**head, **quantiles, "runs": len(column)})
        return rows

    # ---- significance -------------------------------------------------------------------------------------------

    def pairs(self, problem: str | None = None, *, at: int | None = None) -> list[PairTest]:
        """Test all pairs of searchers on one problem (the first by default), paired by seed.

        Parameters
        ----------
        at : int, optional
            After how many queries; 100, or the budget if that is less, by default.

        Raises
        ------
        InvalidDataError
            If `at` is not between 1 and the budget, or a searcher lacks a seed.
        """
        name = self.problems[0] if problem is None else problem
        column = self._at(at) - 1
        return pairwise({searcher: self.regrets(searcher, name)[:, column] for searcher in self._of(name)})

    def ranks(self, *, at: int | None = None) -> RankTest:
        """Rank the searchers: over problems by their mean regrets; on a single problem over its seeds.

        Parameters
        ----------
        at : int, optional
            After how many queries; 100, or the budget if that is less, by default.

        Raises
        ------
        InvalidDataError
            If there are fewer than two searchers, or not all of them ran on all problems with all seeds.
        """
        column = self._at(at) - 1
        scores = {}
        for searcher in self.searchers:
            found = [self.regrets(searcher, problem)[:, column] for problem in self.problems]
            scores[searcher] = found[0] if len(found) == 1 else np.array([values.mean() for values in found])
        return average_ranks(scores)

    def _at(self, at: int | None) -> int:
        return min(USUAL_AT, self.budget) if at is None else self._checked(at)

    def _checked(self, queries: int) -> int:
        if isinstance(queries, bool) or not isinstance(queries, (int, np.integer)) or not 1 <= queries <= self.budget:
            raise InvalidDataError(f"expected a number of queries between 1 and {self.budget}, got {queries!r}")
        return int(queries)

    def _checkpoints(self) -> list[int]:
        within = [value for value in CHECKPOINTS if value <= self.budget]
        return within if within and within[-1] == self.budget else [*within, self.budget]

    def _of(self, problem: str) -> list[str]:
        return list(dict.fromkeys(r["searcher"] for r in self.records if r["problem"] == problem))

    # ---- for people ---------------------------------------------------------------------------------------------

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RichTable | str]:
        """Show a table a problem, and what is significant; wide tables lose checkpoints in narrow consoles."""
        from rich.measure import Measurement

        unbounded = options.update(width=1_000)
        for problem in self.problems:
            shown = self._checkpoints()
            table = self._table(problem, shown)
            while len(shown) > 1 and Measurement.get(console, unbounded, table).maximum > options.max_width:
                shown.pop(0)
                table = self._table(problem, shown)
            yield table
            if len(self._of(problem)) > 1 and len(self.runs(self._of(problem)[0], problem)) > 1:
                yield self._pair_table(problem)
        if len(self.problems) > 1 and len(self.searchers) > 1:
            yield self._rank_text()

    def _table(self, problem: str, shown: Sequence[int]) -> RichTable:
        from rich.table import Table as RichTable

        first = next(record for record in self.records if record["problem"] == problem)
        unit = f" in {unit_name(first['unit'])}" if first["unit"] not in ("", "fraction") else ""
        table = RichTable(
            title=f"{problem}: median regret{unit}",
            title_justify="left",
            caption=self._caption(problem, first),
            caption_justify="left",
        )
        table.add_column("searcher", overflow="fold")
        for value in shown:
            table.add_column(f"@{value}", justify="right", no_wrap=True)
        table.add_column("target: median", justify="right", no_wrap=True)
        table.add_column("90 %", justify="right", no_wrap=True)
        table.add_column("met by", justify="right", no_wrap=True)
        table.add_column("s/query", justify="right", no_wrap=True)

        def place(searcher: str) -> tuple[float, float]:
            regrets = self.regrets(searcher, problem)
            return float(np.median(regrets[:, -1])), float(np.median(regrets, axis=0).mean())

        for position, searcher in enumerate(sorted(self._of(problem), key=place)):
            medians = np.median(self.regrets(searcher, problem), axis=0)
            needed = self.queries_to(searcher, problem)
            runs = self.runs(searcher, problem)
            seconds = sum(r["overhead_seconds"] for r in runs) / sum(r["queries"] for r in runs)
            table.add_row(
                searcher,
                *(f"{medians[value - 1]:.4g}" for value in shown),
                _count(needed, 0.5),
                _count(needed, 0.9),
                f"{100 * float(np.mean(np.isfinite(needed))):.0f} %",
                f"{seconds:.2g}",
                style="bold" if position == 0 and len(self._of(problem)) > 1 else "",
            )
        return table

    def _caption(self, problem: str, first: dict[str, Any]) -> str:
        seeds = len(self.runs(first["searcher"], problem))
        lines = [f"{seeds} seeds" if seeds > 1 else "One seed"]
        if "hypervolume" in first:
            points = [
                f"{name} {value:.6g}" for name, value in zip(first["objectives"], first["reference"], strict=True)
            ]
            lines.append(f"hypervolume from {', '.join(points)}, as a share of the table's")
        seed = first.get("select_seed")
        if seed is not None or first["select_metric"] != first["metric"] or first["select_epoch"] != first["epoch"]:
            epoch = "" if first["select_epoch"] is None else f", epoch {first['select_epoch']}"
            once = "" if seed is None else f", training {seed}" if seed != "each" else ", one training each"
            lines.append(f"incumbents are selected by {first['select_metric']}{epoch}{once}")
        if first["tolerance"]:
            lines.append(f"target: regret of at most {amount(first['tolerance'], first['unit'])}")
        else:
            lines.append("target: no regret")
        if first["workers"] > 1 or first["batch"] > 1:
            lines.append(f"{first['workers']} workers, asked for {first['batch']} at once")
        if "max_epochs" in first:
            lines.append(f"@n: after the {first['max_epochs']} epochs of each of n full trainings")
        return "; ".join(lines)

    def _pair_table(self, problem: str) -> RichTable:
        from rich.table import Table as RichTable

        table = RichTable(
            title=f"Wilcoxon's signed-rank test after {self._at(None)} queries, paired by seed",
            title_justify="left",
            caption=f"p corrected by Holm; * below {ALPHA:g}",
            caption_justify="left",
        )
        for name in ("better", "worse"):
            table.add_column(name, overflow="fold")
        for name in ("won", "lost", "tied", "mean gain", "p"):
            table.add_column(name, justify="right", no_wrap=True)
        for test in self.pairs(problem):
            counts = (str(count) for count in (test.wins, test.losses, test.ties))
            star = " *" if test.significant else "  "
            table.add_row(test.better, test.worse, *counts, f"{test.difference:.3g}", f"{test.p_holm:.2g}{star}")
        return table

    def _rank_text(self) -> str:
        test = self.ranks()
        listed = ", ".join(f"{name} {rank:.2f}" for name, rank in zip(test.methods, test.ranks, strict=True))
        friedman = "" if math.isnan(test.p) else f"; Friedman's p {test.p:.2g}"
        return (
            f"Average ranks over {test.blocks} problems after {self._at(None)} queries: {listed}\n"
            f"(critical difference {test.critical_difference:.2f}, Nemenyi at {ALPHA:g}{friedman})"
        )

    def __repr__(self) -> str:
        return f"<SearchComparison: {len(self.records)} runs of {len(self.searchers)} searchers>"


def _count(needed: NDArray[np.float64], level: float) -> str:
    """Return a quantile of numbers of queries, of which some may be infinite."""
    value = float(np.quantile(needed, level, method="inverted_cdf"))
    if level == 0.5 and np.isfinite(middle := np.median(needed)):
        value = float(middle)
    return f"{value:g}" if math.isfinite(value) else "-"
