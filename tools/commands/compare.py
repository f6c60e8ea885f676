"""`archcast compare`: the field's protocol from the command line."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import ArchcastError, InvalidDataError
from .inputs import JsonOption
from .outputs import plain

if TYPE_CHECKING:
    from ...evaluation import Comparison, ComparisonPlan


def compare(
    table: Annotated[str, typer.Option("--table", "-t", help="A shipped table, or the path of an .h5 file.")],
    metric: Annotated[str, typer.Option("--metric", "-m", help="What is forecast, e.g. cifar10/test_accuracy.")],
    epoch: Annotated[int | None, typer.Option(help="The epoch of the metric; the last if left out.")] = None,
    predictor: Annotated[
        list[str] | None,
        typer.Option("--predictor", "-p", help="predictor[@encoder[+encoder...]], repeatable; gp@semantic by default."),
    ] = None,
    n: Annotated[
        str, typer.Option("--n", "-n", help="Numbers of training architectures, joined by commas.")
    ] = "78,156",
    seeds: Annotated[str, typer.Option(help="How many draws; or which, joined by commas ('7,' is seed 7).")] = "5",
    test_metric: Annotated[
        str | None, typer.Option(help="Judge forecasts by this metric instead of the one they are fitted to.")
    ] = None,
    test_epoch: Annotated[int | None, typer.Option(help="Its epoch; that of --metric if left out.")] = None,
    n_test: Annotated[
        int | None, typer.Option(help="Judge by so many other architectures; by all of them if left out.")
    ] = None,
    info: Annotated[
        list[str] | None,
        typer.Option(help="metric[@epoch] that is known of every architecture and helps to forecast, repeatable."),
    ] = None,
    avoid_twins: Annotated[
        bool, typer.Option("--avoid-twins", help="No isomorphic twins of training architectures among the test ones.")
    ] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Runs at once; -1 for one a core.")] = 1,
    cache: Annotated[
        Path | None, typer.Option(help="A .jsonl file of finished runs: an interrupted comparison goes on from it.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write all runs to a .csv, .parquet, .json or .jsonl file.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Write pictures into this folder.")] = None,
    json: JsonOption = False,
) -> None:
    """Compare predictors: train on n architectures of a table, forecast all others, repeat over seeds.

    Every predictor sees the same draws. Results do not depend on --jobs. With --json one object a run is printed as
    soon as the run is finished. Pictures: Kendall tau over n; for each predictor, forecast against truth and the
    reliability diagram at the largest n and the first seed.

    Examples:

        archcast compare --table nasbench201 --metric cifar10/test_accuracy --epoch 200 --predictor gp@semantic
        --predictor xgboost@adjacency --n 78,156 --seeds 5

        archcast compare --table mine.h5 --metric mnist/accuracy -p gp -p random_forest --n 50 --jobs -1 --json

        archcast compare --table nasbench201 --metric cifar10/test_accuracy -p gp --output runs.csv --plot pictures
    """
    from ...evaluation import ComparisonPlan
    from ...evaluation.records import require_known_suffix

    if output is not None:
        require_known_suffix(output)
        _require_folder(output)
    plan = ComparisonPlan(
        table,
        metric,
        epoch=epoch,
        predictors=predictor or ["gp@semantic"],
        n=_integers("--n", n),
        seeds=_integers("--seeds", seeds) if "," in seeds else _integers("--seeds", seeds)[0],
        avoid_twins=avoid_twins,
        test_metric=test_metric,
        test_epoch=test_epoch,
        n_test=n_test,
        info=info or [],
    )
    if plot is not None:
        _make_folder(plot)
    records = []
    with _progress(plan.total) as advance:
        for record in plan.iter_runs(n_jobs=jobs, cache=cache):
            records.append(record)
            if json:
                print(json_module.dumps(plain(record), ensure_ascii=False, allow_nan=False), flush=True)
            advance(record)
    comparison = plan.comparison(records)
    if output is not None:
        comparison.save(output)
        print(f"{output}: {len(records)} runs", file=sys.stderr)
    if plot is not None:
        from rich.console import Console

        with Console(stderr=True).status("drawing"):
            paths = list(_draw(plan, comparison, plot))
        print("\n".join(map(str, paths)), file=sys.stderr)
    if not json:
        from rich.console import Console

        # Piped into a file or a pager, the table must not be folded to the width of a terminal that is not there.
        Console(width=None if sys.stdout.isatty() else 160).print(comparison)


def _integers(option: str, text: str) -> list[int]:
    try:
        values = [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        values = []
    if not values:
        raise InvalidDataError(f"{option} must be integers joined by commas, got {text!r}")
    return values


@contextmanager
def _progress(total: int) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Show a bar on standard error while runs go on, if it is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("fit and forecast", total=total)

        def advance(record: dict[str, Any]) -> None:
            bar.update(task, advance=1, description=f"{record['predictor']}, n = {record['n']}")

        yield advance


def _require_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise ArchcastError(f"cannot write {path}: folder {path.parent} does not exist")


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArchcastError(f"cannot make the folder {path}: {error.strerror}") from None


def _draw(plan: ComparisonPlan, comparison: Comparison, folder: Path) -> Iterator[Path]:
    from ...evaluation.plots import plot_forecast, plot_measure, plot_reliability

    n, seed = max(plan.sizes), plan.seeds[0]
    forecasts = [plan.forecast(label, n, seed) for label in plan.predictors]
    figures = {"reliability": plot_reliability(forecasts)}
    for forecast in forecasts:
        name = "".join(c if c.isalnum() or c in "-_@+" else "_" for c in forecast.predictor)
        figures[f"forecast_{name}"] = plot_forecast(forecast)
    # A constant forecast alone has no rank correlation to draw.
    if any(record["kendall_tau"] == record["kendall_tau"] for record in comparison.records):
        figures["kendall_tau"] = plot_measure(comparison)
    for name, figure in figures.items():
        path = folder / f"{name}.png"
        try:
            figure.savefig(path)
        except OSError as error:
            raise ArchcastError(f"cannot write {path}: {error.strerror}") from None
        yield path
