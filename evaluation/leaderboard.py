"""The leaderboard: every predictor on every board, by the protocol of `ComparisonPlan`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from ..benchmarks_data import TABLES, Table, load_table
from ..benchmarks_data.summary import seed_tau, twin_tau
from ..errors import ArchcastError, InvalidDataError, PredictorFailedError, UnknownNameError
from ..predictors import PREDICTORS, Predictor
from ..predictors.sources import takes_sources
from .arguments import Predictors, distinct_integers, labelled_predictors, metric_at_epoch
from .boards import BOARDS, STANDARD, Board
from .leaderboard_report import Ceiling, Leaderboard, LeftOut
from .protocol import ComparisonPlan, measure
from .runs import Job, Progress, Record, collect, iter_jobs

EVERY, FIELD = "all", "standard"
"""Names that stand for all registered predictors, and for `STANDARD` with those of other packages."""


class LeaderboardPlan:
    """A leaderboard that is checked, and not yet run.

    Predictors that cannot show what they are for on a board are left out of it, with the reason: those that learn from
    sources where there are none, those that need extras where there are none, those that take no sources where these
    are what the board is about. So are those that fail, with what they said.

    Parameters
    ----------
    boards : sequence of str or Board
        Names of boards, of tables (all boards on them), or `TABLE:METRIC[@EPOCH]`; all boards by default.
    predictors : sequence or mapping
        As in `ComparisonPlan`; of names, `"all"` stands for every registered one and `"standard"` for the shorter list
        of `boards.py` with whatever other packages and scripts have registered.
    n : int or sequence of int, optional
        Numbers of training architectures, in place of the boards' own.
    max_n : int, optional
        Leave out greater numbers.
    seeds : int or sequence of int
        How many draws, `0 ... seeds - 1`, or which.
    n_test : int, optional
        Judge by so many other architectures; by all on boards that have fewer, and by default.
    max_seconds : float, optional
        Leave out runs whose fit is estimated to take longer on one core. Estimates count work: the choice is the same
        on every machine.
    cached_only : bool
        Run nothing: `iter_runs` yields what its cache holds.

    Raises
    ------
    UnknownNameError
        If a board, table, metric, epoch or predictor does not exist.
    InvalidDataError
        If a number is out of range, a name comes twice, or nothing is left to run.
    """

    def __init__(
        self,
        boards: Sequence[str | Board] = (),
        predictors: Predictors = (EVERY,),
        *,
        n: int | Sequence[int] | None = None,
        max_n: int | None = None,
        seeds: int | Sequence[int] = 5,
        n_test: int | None = None,
        max_seconds: float | None = None,
        cached_only: bool = False,
    ) -> None:
        if max_seconds is not None and not max_seconds > 0:
            raise InvalidDataError(f"max_seconds must be a positive number, got {max_seconds!r}")
        sizes = None if n is None else distinct_integers("n", [n] if isinstance(n, int) else n, least=2)
        most = None if max_n is None else distinct_integers("max_n", [max_n], least=2)[0]
        self.max_seconds, self.cached_only = max_seconds, cached_only
        self.predictors = labelled_predictors(expand(predictors))
        self.left_out: list[LeftOut] = []
        self._failed = 0
        self.plans: dict[str, ComparisonPlan] = {}
        self.boards: list[Board] = []
        for board in find_boards(boards):
            self._enter(board, sizes, most, seeds, n_test)
        if not self.plans:
            reasons = "; ".join(dict.fromkeys(item.reason for item in self.left_out))
            raise InvalidDataError(f"expected at least one run, got none ({reasons})")
        self._allowed = {
            name: {
                (label, size) for label in plan.predictors for size in plan.sizes if self._affordable(name, label, size)
            }
            for name, plan in self.plans.items()
        }

    def _enter(
        self, board: Board, n: tuple[int, ...] | None, most: int | None, seeds: int | Sequence[int], n_test: int | None
    ) -> None:
        table = load_table(board.table)
        known = int(np.isfinite(table.values(board.metric, epoch=board.epoch)).sum())
        sizes = [size for size in n or board.sizes if (most is None or size <= most) and size <= known - 2]
        if not sizes:
            asked = ", ".join(map(str, n or board.sizes))
            limit = f"{known} architectures are known" if most is None else f"max_n is {most}, {known} are known"
            self.left_out.append(LeftOut(board.name, "", None, f"no n of {asked} fits: {limit}"))
            return
        entrants = {
            label: predictor for label, predictor in self.predictors.items() if self._may_enter(board, table, label)
        }
        if not entrants:
            return
        self.plans[board.name] = ComparisonPlan(
            table,
            board.metric,
            epoch=board.epoch,
            predictors=entrants,
            n=sizes,
            seeds=seeds,
            n_test=None if n_test is not None and n_test > known - max(n or board.sizes) else n_test,
            info=board.info,
            sources=board.sources,
        )
        self.boards.append(dataclasses.replace(board, sizes=tuple(sizes)))

    def _may_enter(self, board: Board, table: Table, label: str) -> bool:
        predictor = self.predictors[label]
        takes, own = takes_sources(predictor), predictor.get_params(deep=False).get("sources")
        reason = ""
        if board.sources and not takes:
            reason = "takes no sources, which this board is about"
        elif takes and not own and not board.sources:
            reason = "learns from sources, and this board has none"
        elif predictor.least_info > _width(board):
            columns = "an entry" if predictor.least_info == 1 else f"{predictor.least_info} columns"
            reason = f"needs {columns} of info, and this board gives {_width(board) or 'none'}"
        if reason:
            self.left_out.append(LeftOut(board.name, label, None, reason))
        return not reason

    def _affordable(self, name: str, label: str, n: int) -> bool:
        if self.max_seconds is None:
            return True
        seconds = estimated_seconds(self.plans[name], label, n)
        if seconds > self.max_seconds:
            reason = f"fit estimated at {seconds:.3g} s, more than {self.max_seconds:g} s"
            self.left_out.append(LeftOut(name, label, n, reason))
        return seconds <= self.max_seconds

    @property
    def total(self) -> int:
        """The number of runs."""
        return sum(len(self._allowed[name]) * len(plan.seeds) for name, plan in self.plans.items())

    def jobs(self) -> list[Job]:
        """Return all runs: the smallest n of every board first, so that an interrupted leaderboard is level."""
        found = []
        for name, plan in self.plans.items():
            for job in plan.jobs():
                if (job.head["predictor"], job.head["n"]) in self._allowed[name]:
                    turn = sorted(plan.sizes).index(job.head["n"])
                    found.append((turn, dataclasses.replace(job, place={"board": name})))
        return [job for _, job in sorted(found, key=lambda item: item[0])]

    def iter_runs(self, *, n_jobs: int = 1, cache: str | Path | None = None) -> Iterator[Record]:
        """Yield one flat record a run, as soon as it is finished; failed runs have none, and are in `left_out`.

        Parameters
        ----------
        n_jobs, cache
            See `ComparisonPlan.iter_runs`, whose cache holds the same runs. Failed runs are not cached.
        """
        self._failed = 0
        runs = iter_jobs(
            self.jobs(),
            _measure_or_say,
            n_jobs=n_jobs,
            cache=cache,
            cached_only=self.cached_only,
            keep=lambda record: "failure" not in record,
            failure=PredictorFailedError,
        )
        for record in runs:
            if "failure" in record:
                self._failed += 1
                self.left_out.append(LeftOut(record["board"], record["predictor"], record["n"], record["failure"]))
            else:
                yield record

    def run(self, *, n_jobs: int = 1, cache: str | Path | None = None, progress: Progress | None = None) -> Leaderboard:
        """Do all runs; see `iter_runs`.

        Parameters
        ----------
        progress : callable, optional
            Called as `progress(done, total, record)` after each run.
        """
        return self.comparison(collect(self.iter_runs(n_jobs=n_jobs, cache=cache), self.total, progress))

    def comparison(self, records: Iterable[Record]) -> Leaderboard:
        """Return records of this plan, in any order, as a `Leaderboard`.

        Raises
        ------
        InvalidDataError
            If there is none; the message says why the first run failed, if one did.
        """
        own: dict[str, list[Record]] = {board.name: [] for board in self.boards}
        for record in records:
            own[record["board"]].append(record)
        if not any(own.values()):
            failed = next((item.reason for item in self.left_out if item.n is not None), "")
            raise InvalidDataError(f"expected at least one finished run, got none{failed and f': {failed}'}")
        ordered = [r for name, runs in own.items() if runs for r in self.plans[name].comparison(runs).records]
        boards = [board for board in self.boards if own[board.name]]
        return Leaderboard(
            ordered,
            boards=tuple(boards),
            left_out=tuple(dict.fromkeys(self.left_out)),
            ceilings={board.name: _ceiling(self.plans[board.name], board) for board in boards},
            unfinished=self.total - len(ordered) - self._failed,
        )


def expand(predictors: Predictors) -> Predictors:
    """Return predictors with the names `all` and `standard` replaced by what they stand for; repeats are dropped."""
    if isinstance(predictors, (str, Predictor)):
        predictors = [predictors]
    if not isinstance(predictors, Sequence):
        return predictors
    stands_for = {EVERY: PREDICTORS.names(), FIELD: [*STANDARD, *PREDICTORS.added()]}
    found: list[str | Predictor | tuple[str, str | Predictor]] = []
    for item in predictors:
        listed = stands_for.get(item, [item]) if isinstance(item, str) else [item]
        found += [one for one in listed if one not in found or not isinstance(item, str)]
    return found


def find_boards(named: Sequence[str | Board]) -> list[Board]:
    """Return boards by their names, those on named tables, and new ones for `TABLE:METRIC[@EPOCH]`; all by default.

    Raises
    ------
    UnknownNameError
        If there is no such board or table.
    """
    if isinstance(named, (str, Board)):
        named = [named]
    found: list[Board] = [] if named else list(BOARDS)
    for item in named:
        chosen = [item] if isinstance(item, Board) else _boards_of(item)
        found += [board for board in chosen if board not in found]
    names = [board.name for board in found]
    for name in names:
        if names.count(name) > 1:
            raise InvalidDataError(f"boards must have distinct names, got {name!r} twice")
    return found


def _boards_of(text: str) -> list[Board]:
    chosen = [board for board in BOARDS if text in (board.name, board.table)]
    if chosen:
        return chosen
    table, colon, rest = text.rpartition(":")
    if colon and "/" in rest and (table in TABLES or Path(table).is_file()):
        metric, epoch = metric_at_epoch("a board", rest)
        return [Board(text, table, metric, epoch)]
    names = list(dict.fromkeys([*(board.name for board in BOARDS), *(str(board.table) for board in BOARDS)]))
    raise UnknownNameError(
        f"unknown board {text!r}, expected TABLE:METRIC[@EPOCH], or a board or table of {', '.join(names)}"
    )


def estimated_seconds(plan: ComparisonPlan, label: str, n: int) -> float:
    """Return what a predictor estimates its fit to n architectures of a plan to take, in seconds on one core."""
    predictor, architectures = clone(plan.predictors[label]), plan.table.architectures
    encoder = predictor._new_encoder()
    try:
        columns = len(encoder.columns(architectures.space))
    except NotFittedError:
        try:
            encoder.fit(architectures[plan.draw(n, plan.seeds[0]).train])
        except ArchcastError:
            return 0.0  # the run fails by the same error, which is then told
        columns = len(encoder.columns(architectures.space))
    extras = sum(values.reshape(len(values), -1).shape[1] for values in plan.problem.info.values())
    return float(predictor._seconds(n, columns + extras))


def _width(board: Board) -> int:
    """Return the most columns that an entry of the board's info has."""
    widths = [0]
    for text in board.info:
        first, colon, last = text.rpartition("@")[2].partition(":")
        widths.append(int(last) - int(first) + 1 if colon and first.isdecimal() and last.isdecimal() else 1)
    return max(widths)


def _ceiling(plan: ComparisonPlan, board: Board) -> Ceiling:
    values = plan.table.values(board.metric, epoch=board.epoch)
    return Ceiling(
        twins=twin_tau(values, plan.table.canonical_keys),
        seeds=seed_tau(plan.table.values(board.metric, epoch=board.epoch, seed="all")),
    )


def _measure_or_say(*arguments: object) -> Record:
    """Return the measures of a run, or what its predictor said when it failed."""
    try:
        return measure(*arguments)  # type: ignore[arg-type]
    except PredictorFailedError as error:
        return {"failure": str(error)}
