"""Results of a comparison of extrapolators: as tidy data, as a table for people, and as a picture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import UnknownNameError
from .records import Records
from .reports import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console, ConsoleOptions
    from rich.table import Table as RichTable

_COLUMNS = {
    "rmse": "RMSE",
    "mean_std": "mean std",
    "coverage_50": "50 % cov.",
    "coverage_90": "90 % cov.",
    "crps": "CRPS",
    "fit_seconds": "fit s",
    "predict_seconds": "query s",
}


@dataclass(frozen=True, repr=False)
class CurveComparison(Records):
    """The runs of a comparison of extrapolators.

    Prints as a table, ranked by Kendall tau within each number of complete curves and each share of the epochs.

    Parameters
    ----------
    records : list of dict
        One a run, all with the same keys: `table`, `metric`, `extrapolator`, `fraction`, `seen` (values of a curve that
        were seen, of `epochs`), `n` complete curves, `seed`, the measures of `evaluate`, `mean_std`, `fit_seconds` and
        `predict_seconds`.
    """

    @property
    def extrapolators(self) -> list[str]:
        """Labels of the extrapolators, in the order of the runs."""
        return list(dict.fromkeys(record["extrapolator"] for record in self.records))

    @property
    def sizes(self) -> list[int]:
        """Numbers of complete curves, increasing."""
        return sorted({record["n"] for record in self.records})

    @property
    def fractions(self) -> list[float]:
        """Shares of the epochs that were seen, increasing."""
        return sorted({record["fraction"] for record in self.records})

    def interval(self, measure: str, extrapolator: str, n: int, fraction: float) -> Interval:
        """Return mean, spread and confidence interval of a measure over the seeds.

        Raises
        ------
        UnknownNameError
            If there is no such measure, or no such run.
        """
        if not isinstance(self.records[0].get(measure), (int, float)):
            raise UnknownNameError(f"unknown measure {measure!r}")
        found = [
            float(record[measure])
            for record in self.records
            if (record["extrapolator"], record["n"], record["fraction"]) == (extrapolator, n, fraction)
        ]
        if not found:
            raise UnknownNameError(f"there is no run of {extrapolator!r} with n = {n} and fraction {fraction:g}")
        return Interval.of(found)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RichTable]:
        """Show one line for each extrapolator, number of complete curves and share of the epochs."""
        from rich.table import Table as RichTable

        first = self.records[0]
        unit = f" in {first['unit']}" if first["unit"] else ""
        seeds = len({record["seed"] for record in self.records})
        tests = sorted({record["n_test"] for record in self.records})
        count = f"{tests[0]:,}" if len(tests) == 1 else f"{tests[0]:,} to {tests[-1]:,}"
        table = RichTable(
            title=f"{first['table']}: the last of {first['epochs']} values of {first['metric']}{unit}",
            title_justify="left",
            caption=f"Mean of {seeds} seed{'s' if seeds > 1 else ''}, {count} other curves",
            caption_justify="left",
        )
        for heading in ("complete", "seen"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("extrapolator", overflow="fold")
        for heading in ("Kendall tau", *_COLUMNS.values()):
            table.add_column(heading, justify="right", no_wrap=True)
        for n in self.sizes:
            for fraction in self.fractions:
                ranked = self._ranked(n, fraction)
                for position, name in enumerate(ranked):
                    means = [self.interval(measure, name, n, fraction).mean for measure in _COLUMNS]
                    table.add_row(
                        str(n) if position == 0 else "",
                        f"{100 * fraction:g} %" if position == 0 else "",
                        name,
                        f"{self.interval('kendall_tau', name, n, fraction).mean:.3f}",
                        *("-" if math.isnan(mean) else f"{mean:.3g}" for mean in means),
                        style="bold" if position == 0 and len(ranked) > 1 else "",
                        end_section=position == len(ranked) - 1,
                    )
        yield table

    def _ranked(self, n: int, fraction: float) -> list[str]:
        def tau(extrapolator: str) -> float:
            mean = self.interval("kendall_tau", extrapolator, n, fraction).mean
            return -math.inf if math.isnan(mean) else mean

        return sorted(self.extrapolators, key=tau, reverse=True)

    def __repr__(self) -> str:
        return f"<CurveComparison: {len(self.records)} runs of {len(self.extrapolators)} extrapolators>"


def plot_curve_comparison(comparison: CurveComparison, measure: str = "kendall_tau") -> Figure:
    """Draw a measure over the share of epochs seen, one line an extrapolator, at the largest n; mean over the seeds.

    Raises
    ------
    UnknownNameError
        If there is no such measure.
    """
    from .labels import measure_label
    from .plots import DASHES, PALETTE, new_figure

    first, n = comparison.records[0], comparison.sizes[-1]
    figure, axes = new_figure((7.0, 4.6))
    for place, name in enumerate(comparison.extrapolators):
        means = [comparison.interval(measure, name, n, fraction).mean for fraction in comparison.fractions]
        axes.plot(
            100 * np.array(comparison.fractions),
            means,
            color=PALETTE[place % len(PALETTE)],
            linestyle=DASHES[place // len(PALETTE) % len(DASHES)],
            marker="o",
            label=name,
        )
    axes.set_xlabel("epochs seen (%)")
    axes.set_ylabel(measure_label(measure, first["unit"]))
    axes.set_title(f"{first['table']}: end of {first['metric']}\n{n} complete curves", loc="left", fontsize=10)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    return figure
