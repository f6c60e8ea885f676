"""`archcast forecast`: train a few, forecast, train the most promising, compare; the main job in one command."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import ArchcastError, InvalidDataError
from .inputs import JsonOption, SeedOption, SpaceOption, get_space
from .outputs import plain, print_json, require_suffix, require_writable
from .trainings import (
    UNFINISHED,
    AttemptsOption,
    CellsOption,
    CommandOption,
    DeviceOption,
    EpochsOption,
    FunctionOption,
    JournalOption,
    RayOption,
    RecipeChanges,
    RecipeOption,
    ResolutionOption,
    RetryDivergedOption,
    RetryOption,
    SeedsOption,
    ShareOption,
    TaskOption,
    TaskParameters,
    TimeoutOption,
    WidthOption,
    WorkersOption,
    checkpoints_of,
    executor_of,
    fidelity_of,
    refuse_impossible,
    retries,
    seeds_of,
    training_of,
)

if TYPE_CHECKING:
    from ...evaluation import ForecastReport
    from ...evaluation.forecast_report import Standing, Trained
    from ...spaces import SearchSpace


def forecast(
    space: SpaceOption = "nasbench201",
    task: TaskOption = None,
    task_option: TaskParameters = None,
    recipe: RecipeOption = None,
    changes: RecipeChanges = None,
    command: CommandOption = None,
    function: FunctionOption = None,
    budget: Annotated[int, typer.Option("--budget", "-b", help="Architectures to train.")] = 20,
    initial: Annotated[
        int | None, typer.Option(help="Of these, so many before the searcher picks; a half, 10 at most, if left out.")
    ] = None,
    design: Annotated[
        str, typer.Option(help="design[@encoder] that chooses these; see `archcast list designs`.")
    ] = "random",
    batch: Annotated[int, typer.Option(min=1, help="Architectures picked at once.")] = 1,
    metric: Annotated[
        str, typer.Option("--metric", "-m", help="The learning curve whose last value counts.")
    ] = "valid/accuracy",
    direction: Annotated[
        str | None, typer.Option(help="higher or lower, where the name of the metric does not tell which is better.")
    ] = None,
    predictor: Annotated[
        str, typer.Option("--predictor", "-p", help="predictor[@encoder[+encoder...]], which forecasts.")
    ] = "gp@semantic",
    searcher: Annotated[str, typer.Option(help="Which picks; see `archcast list searchers`.")] = "auto",
    epochs: EpochsOption = None,
    data_share: ShareOption = 1.0,
    resolution: ResolutionOption = None,
    width: WidthOption = 1.0,
    cells: CellsOption = None,
    seeds: SeedsOption = "1",
    journal: JournalOption = None,
    retry: RetryOption = False,
    retry_diverged: RetryDivergedOption = False,
    attempts: AttemptsOption = None,
    workers: WorkersOption = 1,
    ray: RayOption = None,
    device: DeviceOption = "auto",
    timeout: TimeoutOption = None,
    table: Annotated[
        str | None, typer.Option("--table", "-t", help="TABLE:METRIC[@EPOCH] with the truth about the best found.")
    ] = None,
    seed: SeedOption = 0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the report as .json.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Write a picture, .png or .svg.")] = None,
    json: JsonOption = False,
) -> None:
    """Find a good architecture with few trainings: train some, forecast all, train the most promising, compare.

    Each forecast is made before its architecture is trained, and stands beside the outcome in the report, with the best
    found, what another training of it would give, and the most promising architecture that was not trained. With
    --journal an interrupted command goes on where it was. The exit status is 3 if no training finished.

    Examples:

        archcast forecast --space nasbench201 --task mnist1d --budget 20 --seeds 4

        archcast forecast --task mine.npz --budget 30 --set epochs=20 --journal mine.journal --plot mine.png

        archcast forecast --space darts --command 'python train.py' --metric valid/loss --budget 40 --workers 4
    """
    from contextlib import nullcontext

    from ...evaluation import ForecastLoop
    from ...trainers import Journal

    for path, suffixes in ((output, (".json",)), (plot, (".png", ".svg", ".pdf"))):
        if path is not None:
            require_suffix(path, suffixes)
            require_writable(path)
    if direction not in (None, "higher", "lower"):
        raise InvalidDataError(f"--direction must be higher or lower, got {direction!r}")
    again = retries(retry, retry_diverged, attempts)
    if again and journal is None:
        raise InvalidDataError("--retry goes with --journal, which holds what is to be tried again")
    chosen = get_space(space)
    truth = None if table is None else _truth(table, chosen)
    training = training_of(
        task, task_option, recipe, changes, command, function, device, checkpoints=checkpoints_of(journal)
    )
    fidelity = fidelity_of(epochs, data_share, resolution, width, cells)
    refuse_impossible(training, fidelity, ray=ray, timeout=timeout)
    loop = ForecastLoop(
        chosen,
        training.trainer,
        budget,
        task=training.task,
        recipe=training.recipe,
        fidelity=fidelity,
        metric=metric,
        higher_is_better=None if direction is None else direction == "higher",
        initial=initial,
        initial_design=design,
        batch=batch,
        seeds=seeds_of(seeds),
        predictor=predictor,
        searcher=searcher,
        seed=seed,
    )
    with (
        Journal(journal) if journal is not None else nullcontext() as book,
        executor_of(training.trainer, workers if workers > 1 else None, ray) as executor,
    ):
        report = loop.run(executor, book, timeout=timeout, on_trained=None if json else _say, **again)
    _deliver(report, None if truth is None else _standing(report, truth), output, plot, json)
    if report.best is None:
        raise typer.Exit(UNFINISHED)


def _say(item: Trained) -> None:
    """Print one trained architecture on standard error, as it ends."""
    before = "" if item.forecast is None else f"forecast {item.forecast:.4g} +- {item.std:.2g}, "
    outcome = item.status if item.value is None else f"measured {item.value:.4g}"
    print(f"{before}{outcome}  {item.architecture}", file=sys.stderr, flush=True)


def _standing(report: ForecastReport, truth: tuple[Any, str, int | None]) -> Standing | None:
    """Return where the best found stands; where the table does not say, say why on standard error."""
    try:
        return report.standing(*truth)
    except ArchcastError as error:
        print(f"archcast: {error}", file=sys.stderr)
        return None


def _truth(text: str, space: SearchSpace) -> tuple[Any, str, int | None]:
    from ...benchmarks_data import load_table
    from ...evaluation.arguments import metric_at_epoch

    name, colon, metric = text.rpartition(":")
    if not colon or "/" not in metric:
        raise InvalidDataError(f"expected --table TABLE:METRIC[@EPOCH], got {text!r}")
    metric, wanted = metric_at_epoch("--table", metric)
    source = load_table(name)
    source.values(metric, epoch=wanted)
    if source.space.name != space.name:
        raise InvalidDataError(f"--table {name} holds space {source.space.name!r}, expected {space.name!r}")
    return source, metric, wanted


def _deliver(
    report: ForecastReport, standing: Standing | None, output: Path | None, plot: Path | None, json: bool
) -> None:
    from dataclasses import asdict

    content = report.to_dict() | {"standing": None if standing is None else asdict(standing)}
    if json:
        print_json(content)
    else:
        from rich.console import Console

        Console(width=None if sys.stdout.isatty() else 150).print(report)
        if standing is not None:
            print(
                f"in table {standing.table}, {standing.better} of {standing.rows:,} rows are better than the best "
                f"found: {standing.metric} {standing.value:.4g}, the best of all {standing.best:.4g}"
            )
    try:
        if output is not None:
            output.write_text(json_module.dumps(plain(content), indent=1) + "\n", encoding="utf-8")
        if plot is not None:
            report.plot().savefig(plot)
    except OSError as error:
        raise ArchcastError(f"cannot write {error.filename}: {error.strerror}") from None
