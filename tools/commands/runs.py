"""What commands of many runs have in common: options, progress, output as runs finish, files and pictures."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

import typer

from ...errors import ArchcastError, InvalidDataError
from .outputs import plain, require_writable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ...evaluation.records import Records

JobsOption = Annotated[int, typer.Option("--jobs", "-j", help="Runs at once; -1 for one a core.")]
CacheOption = Annotated[
    Path | None, typer.Option(help="A .jsonl file of finished runs: interrupted work goes on from it.")
]
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", help="Write all runs to a .csv, .parquet, .json or .jsonl file.")
]
PlotOption = Annotated[Path | None, typer.Option(help="Write pictures into this folder.")]

ResultT_co = TypeVar("ResultT_co", bound="Records", covariant=True)


class Plan(Protocol[ResultT_co]):
    """Runs that are checked and not yet done."""

    @property
    def total(self) -> int:
        """The number of runs."""

    def iter_runs(self, *, n_jobs: int = 1, cache: str | Path | None = None) -> Iterator[dict[str, Any]]:
        """Yield one record a run, as soon as it is finished."""

    def comparison(self, records: Iterable[dict[str, Any]]) -> ResultT_co:
        """Put all records together."""


def execute(
    plan: Plan[ResultT_co],
    *,
    jobs: int,
    cache: Path | None,
    output: Path | None,
    plot: Path | None,
    json: bool,
    describe: tuple[str, Callable[[dict[str, Any]], str]],
    draw: Callable[[ResultT_co], Mapping[str, Figure]],
) -> ResultT_co:
    """Do all runs, print and write what was asked for, and return the result.

    Parameters
    ----------
    plan : Plan
    jobs, cache, output, plot, json
        The options of the command.
    describe : (str, callable)
        What the progress bar says at first, and after each record.
    draw : callable
        Returns figures by the name of their files.
    """
    from rich.console import Console

    if plot is not None:
        make_folder(plot)
    records = []
    with _progress_bar(describe[0], plan.total) as advance:
        for record in plan.iter_runs(n_jobs=jobs, cache=cache):
            records.append(record)
            if json:
                print(json_module.dumps(plain(record), ensure_ascii=False, allow_nan=False), flush=True)
            advance(describe[1](record))
    result = plan.comparison(records)
    if output is not None:
        result.save(output)
        print(f"{output}: {len(records)} runs", file=sys.stderr)
    if plot is not None:
        with Console(stderr=True).status("drawing"):
            paths = [_save(figure, plot, name) for name, figure in draw(result).items()]
        print("\n".join(map(str, paths)), file=sys.stderr)
    if not json:
        # Piped into a file or a pager, the table must not be folded to the width of a terminal that is not there.
        Console(width=None if sys.stdout.isatty() else 160).print(result)
    return result


def require_output(path: Path | None) -> None:
    """Refuse an output file that could not be written, before anything is run."""
    from ...evaluation.records import require_known_suffix

    if path is not None:
        require_known_suffix(path)
        require_writable(path)


def integers(option: str, text: str) -> list[int]:
    """Return integers joined by commas.

    Raises
    ------
    InvalidDataError
        If there is none, or something else.
    """
    try:
        values = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        values = []
    if not values:
        raise InvalidDataError(f"{option} must be integers joined by commas, got {text!r}")
    return values


def seed_list(text: str) -> int | list[int]:
    """Return the number of seeds, or which ones if there is a comma."""
    values = integers("--seeds", text)
    return values if "," in text else values[0]


def make_folder(path: Path) -> None:
    """Make a folder for pictures, unless it is there."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArchcastError(f"cannot make the folder {path}: {error.strerror}") from None


def _save(figure: Figure, folder: Path, name: str) -> Path:
    path = folder / ("".join(c if c.isalnum() or c in "-_@+" else "_" for c in name) + ".png")
    try:
        figure.savefig(path)
    except OSError as error:
        raise ArchcastError(f"cannot write {path}: {error.strerror}") from None
    return path


@contextmanager
def _progress_bar(description: str, total: int) -> Iterator[Callable[[str], None]]:
    """Show a bar on standard error while runs go on, if it is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=total)

        def advance(now: str) -> None:
            bar.update(task, advance=1, description=now)

        yield advance
