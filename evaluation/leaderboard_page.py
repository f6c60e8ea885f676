"""The leaderboard as a Markdown page, made by one command that the page names."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from .._version import __version__
from ..files import write_whole
from .boards import Board, Reference
from .leaderboard_plots import plot_board
from .leaderboard_report import DETAILS, Leaderboard, LeftOut, Standing, number

_SHORT = {
    "precision_at_50": "prec@50",
    "coverage_80": "80 %",
    "coverage_95": "95 %",
    "calibration_error": "cal. error",
    "fit_seconds": "fit s",
    "predict_seconds": "forecast s",
}
_PERCENT = frozenset({"coverage_80", "coverage_95", "calibration_error"})

_LEGEND = """\
**Kendall tau** is the mean over the seeds ± half its 95 % t-interval; predictors are ranked by its mean over every n of
the board. **Bold** are the best and those level with it: inside its interval, and with a difference to it, paired by
seed, whose own 95 % interval holds zero. The other columns are of the largest n: precision@50; the share of true values
inside the central 80 and 95 % of the forecast, and the mean distance of its quantiles from their levels, all in %;
seconds on one thread to fit, and to forecast all test architectures, encoding included."""


def write_leaderboard(
    leaderboard: Leaderboard, folder: Path, *, name: str = "leaderboard", command: str = "", note: str = ""
) -> list[Path]:
    """Write `NAME.md`, its pictures under `images/`, `NAME.json` (standings) and `NAME.csv` (every run).

    Parameters
    ----------
    leaderboard : Leaderboard
    folder : Path
        Made if it is not there.
    name : str
    command : str
        What the page says that it was made by.
    note : str
        A sentence on the circumstances, e.g. on what machine the seconds were taken.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    InvalidDataError
        If something cannot be written.
    """
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    written, pictures = [], {}
    for board in leaderboard.boards:
        figure = plot_board(leaderboard, board.name)
        if figure is not None:
            path = images / f"{name}_{_file_name(board.name)}.png"
            figure.savefig(path)
            pictures[board.name] = f"images/{path.name}"
            written.append(path)
    page, standings, runs = (folder / f"{name}.{suffix}" for suffix in ("md", "json", "csv"))
    text = markdown(leaderboard, pictures=pictures, command=command, note=note, data=(standings.name, runs.name))
    write_whole(page, text.encode())
    content = leaderboard.to_dict() | {"command": command, "note": note}
    write_whole(standings, (json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())
    leaderboard.to_csv(runs)
    return [page, standings, runs, *written]


def markdown(
    leaderboard: Leaderboard,
    *,
    pictures: Mapping[str, str] | None = None,
    command: str = "",
    note: str = "",
    data: Sequence[str] = (),
) -> str:
    """Return the page as Markdown.

    Parameters
    ----------
    leaderboard : Leaderboard
    pictures : mapping of str to str, optional
        By board, where its picture is.
    command, note
        See `write_leaderboard`.
    data : sequence of str
        Files that hold the same as data.
    """
    parts = ["# Leaderboard", _introduction(leaderboard, data)]
    if command:
        parts.append(f"This page is the output of one command:\n\n```sh\n{command}\n```")
    parts += [_circumstances(leaderboard, note), _LEGEND, "## At a glance", _overall(leaderboard)]
    for board in leaderboard.boards:
        parts += _board(leaderboard, board, (pictures or {}).get(board.name))
    present = {board.name for board in leaderboard.boards}
    absent = [item for item in leaderboard.left_out if item.board not in present]
    if absent:
        parts += ["## Not shown", _left_out(absent, with_board=True)]
    return "\n\n".join(parts) + "\n"


def _introduction(leaderboard: Leaderboard, data: Sequence[str]) -> str:
    also = f"\nThe same as data: {' and '.join(f'[{name}]({name})' for name in data)}." if data else ""
    return f"""\
How well predictors rank architectures that they were not trained on, by the protocol of `archcast compare`
([evaluation](evaluation.md)): train on n architectures drawn at random, forecast others, repeat over seeds. Every
predictor sees the same draws, and chooses its hyperparameters inside `fit`, from the training data alone. A predictor
that is registered, by an entry point or a decorator, is on the next leaderboard without more
([how to add one](../CONTRIBUTING.md#how-to-add-a-predictor)).{also}"""


def _circumstances(leaderboard: Leaderboard, note: str) -> str:
    seeds = sorted({record["seed"] for record in leaderboard.records})
    tests = sorted({record["n_test"] for record in leaderboard.records})
    parts = [
        f"archcast {__version__}",
        f"{_counted(len(leaderboard.records), 'run')} of {_counted(len(leaderboard.predictors), 'predictor')} on "
        + _counted(len(leaderboard.boards), "board"),
        f"{'seeds' if len(seeds) > 1 else 'seed'} {', '.join(map(str, seeds))}",
        f"{tests[0]:,}{'' if len(tests) == 1 else f' to {tests[-1]:,}'} test architectures a run",
    ]
    if leaderboard.unfinished:
        parts.append(f"{_counted(leaderboard.unfinished, 'run')} of the command not yet done, whose cells are empty")
    text = f"""\
**What was run**: {"; ".join(parts)}.
Numbers of other systems are in *italics*, each with where it comes from; they were not rerun unless it says so."""
    return f"{text}\n{note}".rstrip()


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _overall(leaderboard: Leaderboard) -> str:
    rows = [["predictor", "boards", "best or level with it", "mean tau", "behind the best"]]
    for row in leaderboard.overall():
        rows.append(
            [
                f"`{row['predictor']}`",
                str(row["boards"]),
                str(row["level"]),
                number(row["kendall_tau"]),
                number(row["behind"]),
            ]
        )
    return f"{_table(rows, left=1)}\n\nMeans over the boards on which a predictor ran at every n."


def _board(leaderboard: Leaderboard, board: Board, picture: str | None) -> list[str]:
    comparison = leaderboard.comparison(board.name)
    sizes = comparison.sizes
    standings = leaderboard.standings(board.name)
    rows = [["", "predictor", *(f"n = {n}" for n in sizes), "mean", *(_SHORT[name] for name in DETAILS)]]
    seeds = len({record["seed"] for record in comparison.records})
    rows += [_standing(standing, sizes, seeds) for standing in standings]
    notes: list[str] = []
    for reference in board.references:
        if any(n in reference.kendall_tau for n in sizes):
            notes.append(f"{len(notes) + 1}. {reference.system}: *{reference.status}*. {reference.source}.")
            rows.append(_reference(reference, len(notes), sizes))
    parts = [f"## {board.title or board.name}", _subject(leaderboard, board), _table(rows, left=2)]
    if notes:
        parts.append("\n".join(notes))
    if picture:
        parts.append(f"![Kendall tau over the number of training architectures]({picture})")
    own = [item for item in leaderboard.left_out if item.board == board.name]
    if own:
        parts.append(f"Left out: {_left_out(own, with_board=False)}")
    return parts


def _subject(leaderboard: Leaderboard, board: Board) -> str:
    first = leaderboard.comparison(board.name).records[0]
    unit = f" in {first['unit']}" if first["unit"] and first["unit"] != "fraction" else ""
    epoch = "" if board.epoch is None else f" after {board.epoch} epochs"
    tests = sorted({r["n_test"] for r in leaderboard.records if r["board"] == board.name}, reverse=True)
    given = [f"`{text}` of every architecture" for text in board.info] + [f"`{text}`" for text in board.sources]
    text = (
        f"`{first['table']}`: `{board.metric}`{unit}{epoch}, {'higher' if first['higher_is_better'] else 'lower'} is "
        f"better; {' or '.join(f'{count:,}' for count in tests)} test architectures."
    )
    if given:
        text += f" Known besides: {', '.join(given)}."
    ceiling = leaderboard.ceilings[board.name]
    measured = [
        f"{what} at tau {value:.3f}"
        for what, value in (("isomorphic twins", ceiling.twins), ("two seeds of the same architecture", ceiling.seeds))
        if value is not None
    ]
    if measured:
        text += (
            f" Noise ceiling: {', '.join(measured)} agree with each other."
            if len(measured) > 1
            else (f" Noise ceiling: {measured[0].replace(' at tau', ' agree at tau')}.")
        )
    return text


def _standing(standing: Standing, sizes: Sequence[int], seeds: int) -> list[str]:
    cells = [str(standing.place) if standing.tau else "", f"`{standing.predictor}`"]
    for n in sizes:
        interval = standing.tau.get(n)
        text = "" if interval is None else number(interval.mean)
        if interval is not None and not math.isnan(interval.high):
            text += f" ± {interval.high - interval.mean:.3f}"
        if interval is not None and 0 < interval.runs < seeds:
            text += f" ({_counted(interval.runs, 'seed')})"
        cells.append(f"**{text}**" if n in standing.best else text)
    mean = "" if math.isnan(standing.mean) else number(standing.mean)
    cells.append(f"**{mean}**" if mean and standing.tied else mean)
    for name in DETAILS:
        value = standing.details.get(name)
        cells.append("" if value is None else _detail(name, value))
    return cells


def _detail(name: str, value: float) -> str:
    if name in _PERCENT:
        return number(100 * value, 1)
    return number(value, 2)


def _reference(reference: Reference, note: int, sizes: Sequence[int]) -> list[str]:
    taus = [f"*{reference.kendall_tau[n]:.2f}*" if n in reference.kendall_tau else "" for n in sizes]
    return ["", f"*{reference.system}, {reference.status}* ({note})", *taus, "", *("" for _ in DETAILS)]


def _left_out(items: Sequence[LeftOut], *, with_board: bool) -> str:
    """Return one sentence for each reason, naming all that it holds for."""
    by_reason: dict[tuple[str, str], list[LeftOut]] = {}
    for item in items:
        by_reason.setdefault((item.board if with_board else "", item.reason), []).append(item)
    texts = []
    for (board, reason), own in by_reason.items():
        named = [_who(item) for item in own if item.predictor]
        names = ", ".join(dict.fromkeys(named))
        subject = ", ".join(filter(None, [f"board `{board}`" if board else "", names]))
        texts.append(f"{subject} ({reason})")
    return "; ".join(texts) + "."


def _who(item: LeftOut) -> str:
    return f"`{item.predictor}`" if item.n is None else f"`{item.predictor}` at n = {item.n}"


def _table(rows: Sequence[Sequence[str]], *, left: int) -> str:
    head, *rest = ([cell.replace("|", "\\|") for cell in row] for row in rows)
    rule = ["---" if column < left else "---:" for column in range(len(head))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rest))


def _file_name(text: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in text)
