"""`archcast train`: real trainings from the command line, each recorded in a journal."""

from __future__ import annotations

import json as json_module
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import ArchcastError, InvalidDataError
from .inputs import ArchitectureArguments, ArchitectureFile, JsonOption, get_space, read_architectures, read_text
from .outputs import plain, print_table, require_suffix, require_writable
from .trainings import (
    UNFINISHED,
    AttemptsOption,
    CellsOption,
    CommandOption,
    DeviceOption,
    EpochsOption,
    FunctionOption,
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
    from ...trainers import Journal, TrainingRecord, TrainingRequest
    from ...trainers.external import Trainer

_BARS = "▁▂▃▄▅▆▇█"


def train(
    architectures: ArchitectureArguments = None,
    file: ArchitectureFile = None,
    space: Annotated[
        str | None, typer.Option("--space", "-s", help="A registered search space, or a JSON space spec.")
    ] = None,
    task: TaskOption = None,
    task_option: TaskParameters = None,
    recipe: RecipeOption = None,
    changes: RecipeChanges = None,
    command: CommandOption = None,
    function: FunctionOption = None,
    epochs: EpochsOption = None,
    data_share: ShareOption = 1.0,
    resolution: ResolutionOption = None,
    width: WidthOption = 1.0,
    cells: CellsOption = None,
    seeds: SeedsOption = "1",
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Keep trained weights in this folder, and find those of --warm-start there.", file_okay=False
        ),
    ] = None,
    warm_start: Annotated[
        str | None,
        typer.Option("--warm-start", metavar="ARCHITECTURE", help="Start from the trained weights of this one."),
    ] = None,
    journal: Annotated[
        Path,
        typer.Option("--journal", "-j", help="Where every training is recorded; what it has is not trained again."),
    ] = Path("trainings.journal"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what the journal was begun for; needs no other option.")
    ] = False,
    retry: RetryOption = False,
    retry_diverged: RetryDivergedOption = False,
    attempts: AttemptsOption = None,
    workers: WorkersOption = 1,
    ray: RayOption = None,
    device: DeviceOption = "auto",
    timeout: TimeoutOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also write all trainings of the journal as a table, .h5.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Train architectures, and record every training in a journal that survives whatever happens.

    A training that diverges, fails, or exceeds time or memory is recorded as that, and the others go on; the exit
    status is then 3, and --retry trains it again. After Ctrl-C or a crash, the same command or --resume goes on with
    what is missing; trainings that take long go on after the last epoch that they left in JOURNAL.checkpoints. On
    signals the seeds of an architecture are trained at once. With --json one object a training is printed as soon as it
    has ended.

    Examples:

        archcast space sample nasbench201 --n 10 | archcast train - --space nasbench201 --task mnist1d --seeds 4

        archcast train --resume --journal trainings.journal --workers 2

        archcast train --resume --retry --timeout 7200

        archcast train -f cells.txt -s nasbench201 --task mine.npz --set epochs=20 --data-share 0.25 -o mine.h5

        archcast train -f cells.txt -s nasbench201 --command 'python train.py' --workers 4 --timeout 3600

        archcast train -f children.txt -s nasbench201 --task mnist1d --weights kept --warm-start "$PARENT" --epochs 3
    """
    from ...trainers import Journal, requests_for, stream

    if output is not None:
        require_suffix(output, (".h5", ".hdf5"))
        require_writable(output)
    again = retries(retry, retry_diverged, attempts)
    remembered = journal.with_name(journal.name + ".request.json")
    if resume:
        _refuse_more(
            ARCHITECTURE=architectures,
            file=file,
            space=space,
            task=task,
            task_option=task_option,
            recipe=recipe,
            set=changes,
            command=command,
            function=function,
            weights=weights,
            warm_start=warm_start,
            epochs=epochs,
            data_share=None if data_share == 1.0 else data_share,
            resolution=resolution,
            width=None if width == 1.0 else width,
            cells=cells,
            seeds=None if seeds == "1" else seeds,
        )
        asked = _recall(remembered)
    else:
        if space is None:
            raise InvalidDataError("expected --space, to say what the architectures are")
        require_writable(journal)
        batch = read_architectures(get_space(space), architectures, file)
        asked = {
            "space": space,
            "architectures": batch.strings(),
            "training": {
                "task": task,
                "task_options": task_option,
                "recipe": recipe,
                "changes": changes,
                "command": command,
                "function": function,
                "weights": None if weights is None else str(weights),
            },
            "warm_start": warm_start,
            "fidelity": fidelity_of(epochs, data_share, resolution, width, cells).to_dict(),
            "seeds": seeds_of(seeds),
        }
    requests, trainer = _requests(asked, device, checkpoints_of(journal), ray, timeout, requests_for)
    with Journal(journal) as book:
        if not resume:
            _remember(remembered, asked)
        missing = book.missing(requests, **again)
        if len(missing) < len(requests):
            print(f"{journal}: has {len(requests) - len(missing)} of {len(requests)} trainings", file=sys.stderr)
        with (
            _progress(len(requests), len(requests) - len(missing)) as show,
            executor_of(trainer, workers if workers > 1 else None, ray) as executor,
        ):
            for record in stream(requests, trainer, executor, book, timeout=timeout, on_epoch=show.epoch, **again):
                show.record(record)
                if json:
                    print(json_module.dumps(plain(record.to_dict()), ensure_ascii=False, allow_nan=False), flush=True)
        records = [book.get(request.key) for request in requests]
        done = [record for record in records if record is not None]
        failed = [record for record in done if record.status != "finished"]
        if not json:
            print_table(_rows(done))
        if output is not None:
            _write_table(book, output)
    if failed:
        print(f"archcast: {len(failed)} of {len(done)} trainings did not finish", file=sys.stderr)
        raise typer.Exit(UNFINISHED)


def _requests(
    asked: Mapping[str, Any],
    device: str,
    checkpoints: Path | None,
    ray: str | None,
    timeout: float | None,
    make: Callable[..., list[TrainingRequest]],
) -> tuple[list[TrainingRequest], Trainer]:
    """Return what is to be trained, each training once, and by what."""
    from ...trainers import Fidelity

    space = get_space(asked["space"])
    training = training_of(**asked["training"], device=device, checkpoints=checkpoints)
    fidelity = Fidelity.from_dict(asked["fidelity"])
    refuse_impossible(training, fidelity, ray=ray, timeout=timeout)
    parent = asked["warm_start"]
    if parent is not None and asked["training"]["weights"] is None:
        raise InvalidDataError("--warm-start needs --weights, the folder with the trained weights of its architecture")
    batch = space.parse(asked["architectures"])
    parents = None if parent is None else [parent]
    requests = make(space, batch, training.task, training.recipe, fidelity, asked["seeds"], parents)
    return list({request.key: request for request in requests}.values()), training.trainer


def _refuse_more(**given: Any) -> None:
    for name, value in given.items():
        if value:
            option = name if name.isupper() else f"--{name.replace('_', '-')}"
            raise InvalidDataError(f"--resume goes on with what the journal was begun for, and takes no {option}")


def _remember(path: Path, asked: Mapping[str, Any]) -> None:
    from ...files import write_whole

    write_whole(path, json_module.dumps(asked, indent=1).encode() + b"\n")


def _recall(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InvalidDataError(f"cannot resume: there is no {path}, which the first `archcast train` writes")
    try:
        asked = json_module.loads(read_text(path))
    except (ValueError, RecursionError):
        asked = None
    if not _is_request(asked):
        raise InvalidDataError(f"cannot resume: {path} is damaged; give the first command again")
    return dict(asked)


def _is_request(asked: Any) -> bool:
    """Return whether this is what `train` remembers, as far as types go; the values are checked as those of options."""
    kinds = {"space": str, "architectures": list, "training": dict, "fidelity": dict, "seeds": list}
    if not isinstance(asked, dict) or set(asked) != {*kinds, "warm_start"}:
        return False
    if any(not isinstance(asked[name], kind) for name, kind in kinds.items()):
        return False
    training = asked["training"]
    return (
        set(training) == {"task", "task_options", "recipe", "changes", "command", "function", "weights"}
        and all(_is_texts(training[name] or []) for name in ("task_options", "changes"))
        and _is_texts([training[name] or "" for name in ("task", "recipe", "command", "function", "weights")])
        and _is_texts([asked["warm_start"] or ""])
        and all(type(seed) is int and seed >= 0 for seed in asked["seeds"])
    )


def _is_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _rows(records: Sequence[TrainingRecord]) -> list[dict[str, Any]]:
    """Return what is shown of trainings: all with the same columns, whatever each has reached."""
    names = dict.fromkeys(name for record in records for name in record.curves if not name.startswith("train/"))
    return [
        {
            "architecture": record.architecture,
            "seed": record.seed,
            "status": str(record.status),
            **{name: record.final(name) if name in record.curves else None for name in names},
            "seconds": record.seconds,
            "message": record.message,
        }
        for record in records
    ]


def _write_table(book: Journal, output: Path) -> None:
    table = book.to_table(output)
    print(f"{output}: {len(table):,} architectures, {len(table.metrics)} metrics", file=sys.stderr)


class _Show:
    """A bar on standard error with the curve that grows, where that is a terminal; what fails is said in any case."""

    def __init__(self, bar: Any, task: Any) -> None:
        self.bar, self.task = bar, task
        self.curves: dict[str, list[float]] = {}

    def epoch(self, request: TrainingRequest, epoch: int, metrics: Mapping[str, float]) -> None:
        """Show the curve of the training that has just reported."""
        name = next((name for name in metrics if name.startswith("valid/") and not name.endswith("loss")), None)
        name = name if name is not None else next(iter(metrics), "")
        curve = [*(self.curves.get(request.key, []) if epoch > 1 else []), metrics.get(name, math.nan)]
        self.curves[request.key] = curve
        text = f"{sparkline(curve)} {name} {curve[-1]:.4g}, epoch {epoch}"
        self.bar.update(self.task, description=text)

    def record(self, record: TrainingRecord) -> None:
        """Count a training, and say what went wrong with it if anything did."""
        self.curves.pop(record.key, None)
        self.bar.update(self.task, advance=1)
        if record.status != "finished":
            self.bar.console.print(
                f"{record.architecture}, seed {record.seed}: {record.status}: {record.message}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )


@contextmanager
def _progress(total: int, done: int) -> Iterator[_Show]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("training", total=total, completed=done)
        try:
            yield _Show(bar, task)
        except KeyboardInterrupt:
            console.print("archcast: interrupted; --resume goes on with what is missing")
            raise


def sparkline(values: Sequence[float]) -> str:
    """Return a curve as text, one block a value."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    low, high = min(finite), max(finite)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * scale)] if value in finite else "?" for value in values[-20:])


def proxies(
    architectures: ArchitectureArguments = None,
    file: ArchitectureFile = None,
    space: Annotated[
        str, typer.Option("--space", "-s", help="A registered search space, or a JSON space spec.")
    ] = "nasbench201",
    task: Annotated[
        str, typer.Option("--task", help="Whose examples proxies see: a task, or an .npz file.")
    ] = "mnist1d",
    task_option: TaskParameters = None,
    recipe: RecipeOption = None,
    changes: RecipeChanges = None,
    proxy: Annotated[
        list[str] | None, typer.Option("--proxy", help="See `archcast list proxies`; repeatable, all if left out.")
    ] = None,
    batch: Annotated[int, typer.Option(min=2, help="How many training examples they see.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="Of the initial weights.")] = 0,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write a .csv or .json file.")] = None,
    json: JsonOption = False,
) -> None:
    """Score untrained networks by zero-cost proxies: milliseconds instead of trainings.

    Examples:

        archcast space sample nasbench201 --n 100 | archcast proxies - --task mnist1d --output proxies.csv

        archcast proxies -f cells.txt --task cifar10 --task-option root=data --proxy synflow --proxy naswot
    """
    from ...torch_runtime import require_torch
    from ...trainers.measures import mean_loss
    from ...trainers.proxies import PROXIES, score_architectures
    from .outputs import Format, as_csv, print_records
    from .progress import working

    if output is not None:
        require_suffix(output, (".csv", ".json"))
        require_writable(output)
    for name in proxy or []:
        PROXIES.factory(name)
    require_torch("a proxy", "train")
    import torch

    chosen_space = get_space(space)
    rows = read_architectures(chosen_space, architectures, file)
    training = training_of(task, task_option, recipe, changes)
    trainer: Any = training.trainer
    skeleton, examples = trainer.recipe.skeleton(trainer.task), trainer.task.train
    with working(f"scoring {len(rows):,} networks"):
        scores = score_architectures(
            rows,
            lambda architecture: chosen_space.build(architecture, skeleton),
            torch.from_numpy(examples.inputs[:batch]),
            torch.from_numpy(examples.targets[:batch]),
            proxy,
            loss=mean_loss(trainer.task.loss),
            seed=seed,
        )
    records = [
        {"architecture": text, **{name: float(values[i]) for name, values in scores.items()}}
        for i, text in enumerate(rows.strings())
    ]
    if output is None:
        print_records(records, Format.json if json else Format.table)
        return
    text = as_csv(records) if output.suffix == ".csv" else json_module.dumps(plain(records), indent=1) + "\n"
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ArchcastError(f"cannot write {output}: {error.strerror}") from None
    print(f"{output}: {len(records)} architectures", file=sys.stderr)
