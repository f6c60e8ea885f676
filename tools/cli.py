"""The command line: `archcast COMMAND ...`.

Commands import what they need when they run, so that `archcast --help` answers at once.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from .._version import __version__
from ..errors import ArchcastError
from .commands import (
    benchmark,
    compare,
    curves,
    encode,
    explain,
    forecast,
    leaderboard,
    listing,
    model,
    search,
    space,
    study,
    table,
    train,
)

app = typer.Typer(
    name="archcast",
    help="Forecast how well a neural architecture will do before anyone trains it.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("list")(listing.list_components)
app.add_typer(space.app, name="space")
app.add_typer(table.app, name="table")
app.command("encode")(encode.encode)
app.command("fit")(model.fit)
app.command("predict")(model.predict)
app.command("explain")(explain.explain)
app.command("compare")(compare.compare)
app.command("leaderboard")(leaderboard.leaderboard)
app.command("curves")(curves.curves)
app.command("benchmark")(benchmark.benchmark)
app.command("train")(train.train)
app.command("proxies")(train.proxies)
app.command("forecast")(forecast.forecast)
app.command("search")(search.search)
app.add_typer(study.app, name="study")


def _print_version(requested: bool) -> None:
    if requested:
        print(f"archcast {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line.

    Exit status: 0 on success, 1 on a defect, 2 on bad input (one sentence on standard error), 130 on Ctrl-C.
    """
    try:
        app()
    except ArchcastError as error:
        print(f"archcast: error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader (head, less) has gone: stop quietly, and keep the interpreter from flushing into the void.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
