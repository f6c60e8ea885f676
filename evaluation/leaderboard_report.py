"""Results of a leaderboard: standings of every board, who is level with the best, and the whole at a glance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._version import __version__
from ..errors import UnknownNameError
from .boards import Board
from .records import Records
from .reports import Comparison, Interval

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.table import Table as RichTable

DETAILS = (
    "precision_at_50",
    "coverage_80",
    "coverage_95",
    "calibration_error",
    "fit_seconds",
    "predict_seconds",
)
"""Measures that standings hold besides Kendall tau, at the largest n of the board."""


@dataclass(frozen=True)
class LeftOut:
    """Something that was not run, or failed.

    Parameters
    ----------
    board, predictor : str
        The predictor is empty where the whole board was left out.
    n : int or None
        None where it holds for every n.
    reason : str
    """

    board: str
    predictor: str
    n: int | None
    reason: str


@dataclass(frozen=True)
class Ceiling:
    """How well two measurements of the same architectures agree, as Kendall tau; None where there are not enough.

    Parameters
    ----------
    twins : float or None
        Between isomorphic twins.
    seeds : float or None
        Between two seeds; a metric that is the mean of several is known better than that.
    """

    twins: float | None
    seeds: float | None


@dataclass(frozen=True)
class Standing:
    """One predictor on one board.

    Parameters
    ----------
    predictor : str
    place : int
        From 1; predictors without a Kendall tau, and then those that lack some n, come last.
    mean : float
        Kendall tau averaged over seeds and every n of the board; NaN unless all are there.
    tied : bool
        Whether this mean is the best, or not told from the best by the seeds.
    tau : dict of int to Interval
        By n, over the seeds; only those that were run.
    best : frozenset of int
        Every n at which it is the best, or not told from the best.
    details : dict of str to float
        `DETAILS`, averaged over the seeds at the largest n of the board; empty if that was not run.
    """

    predictor: str
    place: int
    mean: float
    tied: bool
    tau: dict[int, Interval]
    best: frozenset[int]
    details: dict[str, float]


@dataclass(frozen=True, repr=False)
class Leaderboard(Records):
    """The runs of a leaderboard.

    Prints one table a board.

    Parameters
    ----------
    records : list of dict
        One a run, those of `Comparison` with the name of the `board`.
    boards : tuple of Board
        Those with runs; their sizes are those that were to be run.
    left_out : tuple of LeftOut
    ceilings : mapping of str to Ceiling
        By board.
    unfinished : int
        Runs that were to be done and are not yet.
    """

    boards: tuple[Board, ...]
    left_out: tuple[LeftOut, ...]
    ceilings: Mapping[str, Ceiling]
    unfinished: int = 0

    @property
    def predictors(self) -> list[str]:
        """Labels of all predictors, in the order of the runs."""
        return list(dict.fromkeys(record["predictor"] for record in self.records))

    def comparison(self, board: str) -> Comparison:
        """Return the runs of one board.

        Raises
        ------
        UnknownNameError
            If there is none of this name.
        """
        own = [{k: v for k, v in record.items() if k != "board"} for record in self.records if record["board"] == board]
        if not own:
            raise UnknownNameError(
                f"no board {board!r} here, expected one of {', '.join(item.name for item in self.boards)}"
            )
        return Comparison(own)

    def standings(self, board: str) -> list[Standing]:
        """Return the predictors of one board from the best to the worst.

        Ranked is by Kendall tau averaged over every n. Level with the best is who is inside its 95 % t-interval, and
        whose difference to it, paired by seed, has an interval that holds zero: all predictors see the same draws,
        which makes differences clearer than the values are, while few seeds cannot tell an unsteady predictor from
        anything. With a single seed only equals are level.

        Raises
        ------
        UnknownNameError
            If there is no such board.
        """
        comparison = self.comparison(board)
        sizes, labels = comparison.sizes, comparison.predictors
        taus = {label: _grid(comparison, label) for label in labels}  # (seeds, sizes)
        whole = {label: grid.mean(axis=1, keepdims=True) for label, grid in taus.items()}
        levels = [_level({label: grid[:, i] for label, grid in taus.items()}) for i in range(len(sizes))]
        overall = _level({label: grid[:, 0] for label, grid in whole.items()})

        def order(label: str) -> tuple[int, float]:
            mean, known = _mean(whole[label]), taus[label][np.isfinite(taus[label])]
            if not math.isnan(mean):
                return 0, -mean
            return (1, -float(known.mean())) if len(known) else (2, 0.0)

        standings = []
        for place, label in enumerate(sorted(labels, key=order), start=1):
            own = [n for n in sizes if any(r["predictor"] == label and r["n"] == n for r in comparison.records)]
            details = DETAILS if sizes[-1] in own else ()
            standings.append(
                Standing(
                    predictor=label,
                    place=place,
                    mean=_mean(whole[label]),
                    tied=label in overall,
                    tau={n: comparison.interval("kendall_tau", label, n) for n in own},
                    best=frozenset(n for n, level in zip(sizes, levels, strict=True) if label in level),
                    details={name: comparison.interval(name, label, sizes[-1]).mean for name in details},
                )
            )
        return standings

    def overall(self) -> list[dict[str, Any]]:
        """Return one record a predictor: those of most boards first, and of these the ones least behind the best.

        Returns
        -------
        list of dict
            `predictor`; `boards` on which it has a mean; `level`, on how many it is the best or level with the best;
            `kendall_tau`, its mean over these boards, which is only comparable between predictors of as many boards;
            `behind`, how far it is behind the best on average.
        """
        rows = []
        everything = {board.name: self.standings(board.name) for board in self.boards}
        for label in self.predictors:
            own = [
                (standing, standings[0].mean)
                for standings in everything.values()
                for standing in standings
                if standing.predictor == label and not math.isnan(standing.mean)
            ]
            if own:
                rows.append(
                    {
                        "predictor": label,
                        "boards": len(own),
                        "level": sum(standing.tied for standing, _ in own),
                        "kendall_tau": float(np.mean([standing.mean for standing, _ in own])),
                        "behind": float(np.mean([best - standing.mean for standing, best in own])),
                    }
                )
        return sorted(rows, key=lambda row: (-row["boards"], row["behind"]))

    def to_dict(self) -> dict[str, Any]:
        """Return standings, ceilings, references and what was left out as nested plain containers; NaN is None."""
        boards = []
        for board in self.boards:
            first = next(record for record in self.records if record["board"] == board.name)
            boards.append(
                {
                    "name": board.name,
                    "title": board.title or board.name,
                    "table": first["table"],
                    "metric": board.metric,
                    "epoch": board.epoch,
                    "unit": first["unit"],
                    "info": list(board.info),
                    "sources": list(board.sources),
                    "noise_ceiling": asdict(self.ceilings[board.name]),
                    "standings": [_plain_standing(standing) for standing in self.standings(board.name)],
                    "references": [
                        {
                            "system": reference.system,
                            "status": reference.status,
                            "source": reference.source,
                            "kendall_tau": {str(n): tau for n, tau in reference.kendall_tau.items()},
                        }
                        for reference in board.references
                    ],
                }
            )
        return {
            "version": __version__,
            "seeds": sorted({record["seed"] for record in self.records}),
            "runs": len(self.records),
            "unfinished": self.unfinished,
            "overall": self.overall(),
            "boards": boards,
            "left_out": [asdict(item) for item in self.left_out],
        }

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RichTable]:
        """Show the standings of every board."""
        from rich.table import Table as RichTable

        for board in self.boards:
            standings = self.standings(board.name)
            sizes = self.comparison(board.name).sizes
            table = RichTable(title=board.title or board.name, title_justify="left")
            table.add_column("", justify="right")
            table.add_column("predictor", overflow="fold")
            for heading in (*(f"n = {n}" for n in sizes), "mean tau"):
                table.add_column(heading, justify="right", no_wrap=True)
            for standing in standings:
                table.add_row(
                    str(standing.place),
                    standing.predictor,
                    *(number(standing.tau[n].mean) if n in standing.tau else "" for n in sizes),
                    number(standing.mean),
                    style="bold" if standing.tied else "",
                )
            yield table

    def __repr__(self) -> str:
        return (
            f"<Leaderboard: {len(self.records)} runs of {len(self.predictors)} predictors on {len(self.boards)} boards>"
        )


def number(value: float, digits: int = 3) -> str:
    """Return a number with fixed decimals, a dash for NaN."""
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def _grid(comparison: Comparison, label: str) -> NDArray[np.float64]:
    """Return Kendall tau by seed and n, `(seeds, sizes)`, NaN where there is none."""
    seeds = sorted({record["seed"] for record in comparison.records})
    grid = np.full((len(seeds), len(comparison.sizes)), np.nan)
    for record in comparison.records:
        if record["predictor"] == label:
            grid[seeds.index(record["seed"]), comparison.sizes.index(record["n"])] = record["kendall_tau"]
    return grid


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean())


def _level(values: Mapping[str, NDArray[np.float64]]) -> frozenset[str]:
    """Return the label with the highest mean over seeds, and those that the seeds do not tell from it."""
    whole = {label: seeds for label, seeds in values.items() if np.isfinite(seeds).all()}
    if not whole:
        return frozenset()
    best = max(whole, key=lambda label: whole[label].mean())
    least = Interval.of(whole[best].tolist()).low
    gaps = {label: Interval.of((whole[best] - seeds).tolist()) for label, seeds in whole.items()}
    level = (label for label, gap in gaps.items() if gap.mean == 0 or (gap.low <= 0 and whole[label].mean() >= least))
    return frozenset(level)


def _plain_standing(standing: Standing) -> dict[str, Any]:
    def known(value: float) -> float | None:
        return None if math.isnan(value) else value

    return {
        "predictor": standing.predictor,
        "place": standing.place,
        "kendall_tau": known(standing.mean),
        "level_with_best": standing.tied,
        "sizes": [
            {"n": n, "level_with_best": n in standing.best}
            | {name: known(value) if isinstance(value, float) else value for name, value in vars(interval).items()}
            for n, interval in standing.tau.items()
        ],
        "at_largest_n": {name: known(value) for name, value in standing.details.items()},
    }
