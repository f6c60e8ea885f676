"""`archcast leaderboard`: every predictor on every board, and the page that shows it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from .inputs import JsonOption
from .runs import CacheOption, JobsOption, execute, integers, make_folder, seed_list


def leaderboard(
    table: Annotated[
        list[str] | None,
        typer.Option(
            "--table", "-t", help="A board, a table (all boards on it), or TABLE:METRIC[@EPOCH], repeatable; else all."
        ),
    ] = None,
    predictor: Annotated[
        list[str] | None,
        typer.Option(
            "--predictor",
            "-p",
            help="predictor[@encoder...], repeatable; 'all', which is the default, for everything that is registered; "
            "'standard' for a shorter list and everything that other packages register.",
        ),
    ] = None,
    n: Annotated[
        str | None,
        typer.Option("--n", "--sizes", "-n", help="Numbers of training architectures, instead of the boards' own."),
    ] = None,
    max_n: Annotated[int | None, typer.Option(help="Leave out greater n.")] = None,
    seeds: Annotated[str, typer.Option(help="How many draws; or which, joined by commas ('7,' is seed 7).")] = "5",
    n_test: Annotated[
        int | None, typer.Option(help="Judge by so many other architectures; by all if left out or if there are fewer.")
    ] = None,
    max_seconds: Annotated[
        float | None, typer.Option(help="Leave out fits that are estimated to take longer on one core.")
    ] = None,
    jobs: JobsOption = 1,
    cache: CacheOption = None,
    cached_only: Annotated[
        bool,
        typer.Option("--cached-only", help="Run nothing: show what --cache holds, of work that still goes on, say."),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write leaderboard.md, .json, .csv and images/ into this folder."),
    ] = None,
    note: Annotated[str, typer.Option(help="A sentence for the page, on the machine for example.")] = "",
    json: JsonOption = False,
) -> None:
    """Rank every predictor on every shipped table, and write the page.

    The protocol, the draws and the cache are those of `archcast compare`. Predictors that cannot run on a board are
    left out of it, with the reason. With --json one object a run is printed as soon as the run is finished.

    Examples:

        archcast leaderboard --jobs -1 --cache runs.jsonl --output docs

        archcast leaderboard --predictor standard --max-n 156 --seeds 3 --n-test 2000 --output page

        archcast leaderboard --table nasbench201 --predictor mine --predictor gp@semantic --n 78,156 --json

        archcast leaderboard --table mine.h5:mnist/accuracy --max-seconds 10
    """
    from ...errors import InvalidDataError
    from ...evaluation import LeaderboardPlan
    from ...evaluation.leaderboard_page import write_leaderboard

    if cached_only and cache is None:
        raise InvalidDataError("--cached-only shows what --cache FILE holds, got no --cache")
    plan = LeaderboardPlan(
        table or (),
        predictor or ["all"],
        n=None if n is None else integers("--n", n),
        max_n=max_n,
        seeds=seed_list(seeds),
        n_test=n_test,
        max_seconds=max_seconds,
        cached_only=cached_only,
    )
    if output is not None:
        make_folder(output)
    result = execute(
        plan,
        jobs=jobs,
        cache=cache,
        output=None,
        plot=None,
        json=json,
        describe=("fit and forecast", lambda record: f"{record['board']}: {record['predictor']}, n = {record['n']}"),
        draw=lambda found: {},
    )
    if output is not None:
        options: dict[str, list[object]] = {
            "--table": [*(table or [])],
            "--predictor": [*(predictor or [])],
            "--n": [n],
            "--max-n": [max_n],
            "--seeds": [seeds],
            "--n-test": [n_test],
            "--max-seconds": [max_seconds],
            "--note": [note or None],
            "--output": [output],
        }
        words = [(option, str(value)) for option, values in options.items() for value in values if value is not None]
        command = shlex.join(["archcast", "leaderboard", *(word for pair in words for word in pair)])
        written = write_leaderboard(result, output, command=command, note=note)
        print("\n".join(map(str, written)), file=sys.stderr)
