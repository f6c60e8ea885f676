"""What came of a `ForecastLoop`: forecasts beside outcomes, the best found, and what else is promising."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..benchmarks_data import Table
from ..errors import InvalidDataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.console import Console, ConsoleOptions, RenderResult


@dataclass(frozen=True)
class Trained:
    """An architecture that was trained.

    Parameters
    ----------
    architecture : str
    picked : bool
        Whether a searcher picked it, knowing those before it; False for those drawn at random.
    value : float or None
        The mean over its trainings, None if none finished.
    status : str
        `"finished"`, or how its trainings ended.
    message : str
        What went wrong, if anything did.
    seconds : float
        That its trainings took.
    forecast, std, low, high : float, optional
        Mean, standard deviation and 90 % interval of the forecast, made before it was trained; None where nothing
        could be learned from those before it.
    """

    architecture: str
    picked: bool
    value: float | None
    status: str
    message: str = ""
    seconds: float = 0.0
    forecast: float | None = None
    std: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Untrained:
    """A promising architecture that was not trained, with its forecast and the chance that it beats the best found."""

    architecture: str
    forecast: float
    std: float
    low: float
    high: float
    chance: float


@dataclass(frozen=True)
class Standing:
    """Where the best found stands among all rows of a table.

    Parameters
    ----------
    table : str
    metric : str
    value : float
        Of the best found, in the table.
    best : float
        Of the best row.
    better : int
        Rows that are better than the best found.
    rows : int
    """

    table: str
    metric: str
    value: float
    best: float
    better: int
    rows: int


@dataclass(frozen=True)
class ForecastReport:
    """The result of a `ForecastLoop`; prints as tables.

    Parameters
    ----------
    space, task, metric, predictor, searcher : str
    higher_is_better : bool
    seeds : tuple of int
    trained : tuple of Trained
        In the order of training.
    best_forecast : dict, optional
        Mean, deviation and 90 % interval of another training of the best found, given everything trained.
    promising : tuple of Untrained
    """

    space: str
    task: str
    metric: str
    higher_is_better: bool
    predictor: str
    searcher: str
    seeds: tuple[int, ...]
    trained: tuple[Trained, ...]
    best_forecast: dict[str, float] | None
    promising: tuple[Untrained, ...]

    @property
    def best(self) -> Trained | None:
        """The best trained architecture, None if no training finished."""
        finished = [item for item in self.trained if item.value is not None]
        sign = 1 if self.higher_is_better else -1
        return max(finished, key=lambda item: sign * (item.value or 0.0), default=None)

    @property
    def judged(self) -> list[Trained]:
        """Those with a forecast and an outcome."""
        return [item for item in self.trained if item.forecast is not None and item.value is not None]

    def measures(self) -> dict[str, float]:
        """Return how the forecasts did.

        Returns
        -------
        dict of str to float
            `kendall_tau` between forecast and outcome, `mae`, `coverage` (the share of outcomes inside the 90 %
            interval), and `gain` (the best picked less the best drawn at random, positive if better); NaN where there
            is nothing to compute from.
        """
        from scipy.stats import kendalltau

        judged = self.judged
        outcomes = np.array([item.value for item in judged], dtype=np.float64)
        forecasts = np.array([item.forecast for item in judged], dtype=np.float64)
        inside = [float(item.low <= item.value <= item.high) for item in judged]  # type: ignore[operator]
        sign = 1 if self.higher_is_better else -1
        best = [
            max(
                (sign * item.value for item in self.trained if item.picked == picked and item.value is not None),
                default=math.nan,
            )
            for picked in (False, True)
        ]
        return {
            "kendall_tau": float(kendalltau(forecasts, outcomes).statistic) if len(judged) > 1 else math.nan,
            "mae": float(np.abs(forecasts - outcomes).mean()) if judged else math.nan,
            "coverage": float(np.mean(inside)) if judged else math.nan,
            "gain": best[1] - best[0],
        }

    def standing(self, table: Table, metric: str, epoch: int | None = None) -> Standing:
        """Return where the best found stands in a table that holds the truth.

        Raises
        ------
        InvalidDataError
            If nothing finished, or the table does not know the best found.
        """
        if self.best is None:
            raise InvalidDataError("no training finished, so that there is nothing to look up in the table")
        values = table.values(metric, epoch=epoch)
        row = int(table.rows(table.space.parse([self.best.architecture]), by="canonical")[0])
        sign = 1 if table.is_higher_better(metric) else -1
        if not math.isfinite(values[row]):
            raise InvalidDataError(f"table {table.name!r} has no {metric} of {self.best.architecture}")
        return Standing(
            table.name,
            metric,
            float(values[row]),
            float(sign * np.nanmax(sign * values)),
            int(np.sum(sign * values > sign * values[row])),
            len(values),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything, JSON-able apart from NaN."""
        best = self.best
        return {
            **{name: value for name, value in asdict(self).items() if name not in ("trained", "promising")},
            "seeds": list(self.seeds),
            "trained": [asdict(item) for item in self.trained],
            "promising": [asdict(item) for item in self.promising],
            "best": None if best is None else asdict(best),
            **self.measures(),
        }

    def plot(self) -> Figure:
        """Return a figure: forecasts with their intervals beside outcomes, and the best so far."""
        from matplotlib.figure import Figure as NewFigure

        figure = NewFigure(figsize=(9, 4), layout="constrained")
        left, right = figure.subplots(1, 2)
        judged = self.judged
        if judged:
            outcomes = [item.value for item in judged]
            centre = np.array([item.forecast for item in judged], dtype=np.float64)
            reach = np.array([[item.low, item.high] for item in judged], dtype=np.float64)
            errors = np.abs(reach.T - centre)
            left.errorbar(outcomes, centre, yerr=errors, fmt="o", ms=4, capsize=2, lw=1, color="tab:blue")
            both = np.concatenate([outcomes, reach.ravel()])
            left.plot([both.min(), both.max()], [both.min(), both.max()], color="0.6", lw=1, zorder=0)
        left.set(xlabel=f"measured {self.metric}", ylabel="forecast before training, 90 % interval")
        sign = 1 if self.higher_is_better else -1
        values = np.array([math.nan if item.value is None else item.value for item in self.trained])
        order = np.arange(1, len(values) + 1)
        picked = np.array([item.picked for item in self.trained])
        right.plot(order[~picked], values[~picked], "o", ms=4, color="0.6", label="drawn at random")
        right.plot(order[picked], values[picked], "o", ms=4, color="tab:blue", label="picked")
        running = sign * np.fmax.accumulate(sign * values)
        right.step(order, running, where="post", color="tab:orange", label="best so far")
        right.set(xlabel="trained architectures", ylabel=self.metric)
        right.legend(frameon=False)
        return figure

    # ---- printing -----------------------------------------------------------------------------------------------

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.table import Table as RichTable
        from rich.text import Text

        table = RichTable(title=f"{self.task}: {self.metric}", title_justify="left")
        for name in ("#", "forecast before training", "90 % interval", "measured", "s", "architecture"):
            table.add_column(name, justify="left" if name == "architecture" else "right", overflow="fold")
        best = self.best
        for number, item in enumerate(self.trained, start=1):
            style = "bold" if item is best else ""
            table.add_row(str(number), *map(Text, _cells(item)), style=style)  # brackets are no markup
        yield table
        yield from map(Text, self.sentences())

    def __str__(self) -> str:
        from rich.console import Console

        console = Console(width=150)
        with console.capture() as capture:
            console.print(self)
        return capture.get()

    def sentences(self) -> list[str]:
        """Return what is to be said in words."""
        measures = self.measures()
        lines = []
        if self.judged:
            lines.append(
                f"{len(self.judged)} forecasts made before training: Kendall tau with the outcome "
                f"{_number(measures['kendall_tau'])}, mean absolute error {_number(measures['mae'])}, "
                f"{measures['coverage']:.0%} of outcomes inside the 90 % interval"
            )
        best = self.best
        if best is None:
            return [*lines, "no training finished"]
        lines.append(f"best found: {best.architecture}")
        lines.append(f"  measured {_number(best.value)}{_expected(self.best_forecast)}")
        if math.isfinite(measures["gain"]):
            lines.append(f"  the best picked less the best drawn at random: {measures['gain']:+.4g}")
        if self.promising:
            first = self.promising[0]
            lines.append(
                f"most promising of those not trained: {first.architecture}\n"
                f"  forecast {_number(first.forecast)} +- {first.std:.2g}, beats the best found with a chance of "
                f"{first.chance:.0%}"
            )
        return lines


def _cells(item: Trained) -> Sequence[str]:
    forecast = "-" if item.forecast is None else f"{_number(item.forecast)} +- {item.std:.2g}"
    interval = "-" if item.low is None else f"{_number(item.low)} to {_number(item.high)}"
    return (
        forecast,
        interval,
        _number(item.value) if item.value is not None else item.status,
        (f"{item.seconds:.1f}"),
        item.architecture,
    )


def _expected(forecast: dict[str, float] | None) -> str:
    if forecast is None:
        return ""
    return (
        f"; another training is expected to give {_number(forecast['forecast'])}, "
        f"90 %: {_number(forecast['low'])} to {_number(forecast['high'])}"
    )


def _number(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.4g}"
