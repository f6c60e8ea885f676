"""What commands that train have in common: options, trainers, progress, and what is printed of each training."""

from __future__ import annotations

import json as json_module
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import InvalidDataError, UnknownNameError
from .outputs import plain, require_suffix, require_writable
from .trainings import executor_of, training_of

if TYPE_CHECKING:
    from ...studies import Study, Trial
    from ...trainers import TrainingRecord
    from ...trainers.external import Trainer

COMMAND = "archcast:command"

StorageOption = Annotated[
    str,
    typer.Option(
        "--storage",
        envvar="ARCHCAST_STORAGE",
        help="Where studies are: a SQLite file, or a URL such as postgresql://user@host/database.",
    ),
]
CommandOption = Annotated[
    str | None,
    typer.Option(
        "--command",
        "-c",
        help="A shell command that trains: it reads a request as JSON from its standard input, and prints metrics as "
        "JSON lines.",
    ),
]
TaskOption = Annotated[
    str | None,
    typer.Option(help="What is trained: a task of archcast's own, or with --command the name that records bear."),
]
TrainingsOption = Annotated[
    int | None,
    typer.Option(
        "--trainings", "-n", help="Budget: trainings in the whole study, failed ones and every seed included."
    ),
]
SecondsOption = Annotated[
    float | None, typer.Option(help="Budget: seconds from now on, after which no training is begun.")
]
CostOption = Annotated[
    float | None, typer.Option(help="Budget: seconds that all trainings of the study take together, or --cost-metric.")
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers", "-w", min=1, help="Trainings at once, each in a process; 1, or with --ray what the cluster has."
    ),
]
RayOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS", help="Train on a Ray cluster: auto, host:6379, ray://host:10001, or local to start one here."
    ),
]
TimeoutOption = Annotated[float | None, typer.Option(help="Seconds for one training; a longer one has failed.")]
FailuresOption = Annotated[int, typer.Option(help="Give up after so many trainings failed in a row.")]
PatienceOption = Annotated[float, typer.Option(help="Seconds for which a storage that does not answer is tried again.")]
ReportOption = Annotated[
    Path | None, typer.Option("--report", help="Write a report at the end: .html, .md or .json.", dir_okay=False)
]


def notify(text: str) -> None:
    """Print a sentence about what is unusual on standard error."""
    print(f"archcast: {text}", file=sys.stderr, flush=True)


def json_object(option: str, text: str | None) -> dict[str, Any] | None:
    """Return the JSON object of an option, None where it is left out.

    Raises
    ------
    InvalidDataError
        If it is none.
    """
    if text is None:
        return None
    try:
        value = json_module.loads(text)
    except json_module.JSONDecodeError as error:
        raise InvalidDataError(f"{option} is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidDataError(f"{option} must be a JSON object, got {text!r:.100}")
    return value


def trainer_of(
    command: str | None, task: str | None, recipe: str | None
) -> tuple[Trainer, str | None, dict[str, Any] | None]:
    """Return what trains, the user's command or a task of archcast's own, and what to call its task and recipe.

    Raises
    ------
    InvalidDataError
        If there is neither, or the recipe is none of the task.
    UnknownNameError
        If there is no such task or recipe.
    """
    from ...trainers import ShellTrainer

    if command is not None:
        return ShellTrainer(command), task, json_object("--recipe", recipe)
    if task is None:
        raise InvalidDataError("expected --command, a shell command that trains, or --task; got none")
    training = training_of(task, recipe=recipe)
    return training.trainer, training.task, training.recipe


def is_stored(study: str, storage: str) -> bool:
    """Return whether there is a study of that name."""
    from ...studies import StudyStorage

    try:
        return study in StudyStorage(storage, create=False, notify=notify).names()
    except UnknownNameError:
        return False


def train(
    study: Study,
    trainer: Trainer,
    *,
    trainings: int | None,
    seconds: float | None,
    cost: float | None,
    workers: int | None,
    ray: str | None,
    timeout: float | None,
    max_failures: int,
    json: bool,
    report: Path | None,
) -> None:
    """Work on a study until its budget is spent, and print each training as it ends.

    Ctrl-C and SIGTERM give back to the study what is running.
    """
    if report is not None:
        require_suffix(report, (".html", ".md", ".json"))
        require_writable(report)
    with _interruptible(), _progress(study, trainings) as show:
        seen: list[Trial] = []

        def on_end(trial: Trial, records: list[TrainingRecord]) -> None:
            seen.append(trial)
            now = next(candidate for candidate in study.candidates() if candidate.first.number == trial.root)
            show(_json_line(now.last) if json else _line(now.last))

        with executor_of(trainer, workers, ray) as executor:
            study.run(
                trainer,
                trainings=trainings,
                seconds=seconds,
                cost=cost,
                executor=executor,
                timeout=timeout,
                max_failures=max_failures,
                on_end=on_end,
                notify=lambda text: show(f"archcast: {text}", error=True),
            )
    if report is not None:
        study.summary().save(report)
        print(report, file=sys.stderr)
    if not json:
        _print_end(study, len(seen))


def _print_end(study: Study, trained: int) -> None:
    found = study.candidates()
    states = [candidate.state for candidate in found]
    counts = ", ".join(
        f"{states.count(state)} {state}" for state in dict.fromkeys(["finished", *sorted(set(states))]) if states
    )
    print(f"study {study.name!r}: {counts or 'no training yet'}; {trained} of them trained by this command")
    best = study.best()
    if best is not None:
        print(f"best {study.settings.metric}: {_value(best)}  {best.architecture}")


def _line(trial: Trial) -> str:
    about = trial.about
    outcome = _value(trial) if trial.value is not None else trial.state
    if trial.value is None and about.get("message"):
        outcome += f" ({about['message']})"
    mean, std = about.get("forecast_mean"), about.get("forecast_std")
    forecast = f"  forecast {mean:.4g} ± {std:.2g}" if mean is not None and std is not None else ""
    seconds = f"  {about['seconds']:.3g} s" if about.get("seconds") is not None else ""
    return f"#{trial.number}  {outcome}{forecast}{seconds}  {trial.architecture}"


def _value(trial: Trial) -> str:
    """Return the outcome of a finished trial, with the spread between its seeds if there are several."""
    return f"{trial.value:.6g}" + ("" if trial.spread is None else f" ± {trial.spread:.2g}")


def _json_line(trial: Trial) -> str:
    kept = (
        "spread",
        "seed_values",
        "forecast_mean",
        "forecast_std",
        "acquisition",
        "neighbors",
        "known",
        "seconds",
        "parameters",
        "flops",
    )
    record = {
        "number": trial.number,
        "architecture": str(trial.architecture),
        "genotype": list(trial.architecture.genotype),
        "state": trial.state,
        "value": trial.value,
        "epochs": len(trial.epochs),
        **{name: trial.about.get(name) for name in kept},
        "message": trial.about.get("message", ""),
        "attempt": trial.attempt,
    }
    return json_module.dumps(plain(record), ensure_ascii=False, allow_nan=False)


@contextmanager
def _interruptible() -> Iterator[None]:
    """End the block on SIGTERM as on Ctrl-C, and say what that means."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        print("archcast: interrupted; the same command goes on, and trains again what was running", file=sys.stderr)
        raise
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def _progress(study: Study, trainings: int | None) -> Iterator[Callable[..., None]]:
    """Give a function that prints a line, above a bar on standard error where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("searching", total=None if trainings is None else trainings // len(study.settings.seeds))

        def show(line: str, *, error: bool = False) -> None:
            if not bar.disable:
                bar.stop()  # lines on standard output and the bar must not write over each other
            print(line, file=sys.stderr if error else sys.stdout, flush=True)
            if not bar.disable:
                best, states = study.best(), [candidate.state for candidate in study.candidates()]
                ended = len(states) - states.count("running") - states.count("waiting")
                text = "searching" if best is None else f"best {best.value:.4g}"
                bar.update(task, completed=ended, description=text)
                bar.start()

        yield show
