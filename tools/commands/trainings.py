"""What commands that train have in common: what is trained, how, how far, and where."""

from __future__ import annotations

import importlib
import json as json_module
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import InvalidDataError
from .runs import integers

if TYPE_CHECKING:
    from ...trainers import Executor, Fidelity, Task
    from ...trainers.external import Trainer

TaskOption = Annotated[
    str | None,
    typer.Option("--task", help="A task, see `archcast list tasks`; or an .npz file of arrays x_train, y_train ..."),
]
TaskParameters = Annotated[
    list[str] | None,
    typer.Option("--task-option", metavar="NAME=VALUE", help="A parameter of the task, repeatable: root=data ..."),
]
RecipeOption = Annotated[
    str | None,
    typer.Option("--recipe", help="A recipe, see `archcast list recipes`; a JSON object; or a .json file."),
]
RecipeChanges = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A value of the recipe that is another, repeatable: epochs=20."),
]
CommandOption = Annotated[
    str | None,
    typer.Option(
        "--command",
        "-c",
        help="Instead of a task, a shell command that trains: it reads a request as JSON from its standard input, and "
        "prints metrics as JSON lines.",
    ),
]
FunctionOption = Annotated[
    str | None,
    typer.Option(
        metavar="MODULE:NAME",
        help="Instead of a task, a Python function that trains: f(architecture, fidelity, seed, report).",
    ),
]
SeedsOption = Annotated[
    str, typer.Option(help="Trainings of each architecture; or their seeds, joined by commas ('7,' is seed 7).")
]
EpochsOption = Annotated[int | None, typer.Option(help="Fidelity: epochs; those of the recipe if left out.")]
ShareOption = Annotated[float, typer.Option("--data-share", help="Fidelity: share of the training data.")]
ResolutionOption = Annotated[
    int | None, typer.Option(help="Fidelity: pixels of a side, or points of a signal; as in the data if left out.")
]
WidthOption = Annotated[float, typer.Option(help="Fidelity: multiplies the channels of the recipe.")]
CellsOption = Annotated[int | None, typer.Option(help="Fidelity: cells per stage; those of the recipe if left out.")]
WorkersOption = Annotated[int, typer.Option("--workers", "-w", min=1, help="Trainings at once, each in a process.")]
RayOption = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Train on a Ray cluster: auto, host:6379, ray://host:10001, or local."),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
TimeoutOption = Annotated[float | None, typer.Option(help="Seconds for one training; a longer one has failed.")]
RetryOption = Annotated[
    bool,
    typer.Option(
        "--retry", help="Train again what the journal has as failed, out of memory, over time or killed; not diverged."
    ),
]
RetryDivergedOption = Annotated[bool, typer.Option("--retry-diverged", help="Train again also what diverged.")]
AttemptsOption = Annotated[
    int | None,
    typer.Option(min=1, help="With --retry: no training is begun that the journal has so many records of; 3."),
]
UNFINISHED = 3
"""Exit status where trainings did not finish."""

ATTEMPTS = 3
"""How often a training is tried in all, unless it is said."""

JournalOption = Annotated[
    Path | None,
    typer.Option("--journal", "-j", help="Where every training is recorded; what it has is not trained again."),
]


@dataclass(frozen=True)
class Training:
    """What trains, and how its records call the task and the recipe."""

    trainer: Trainer
    task: str
    recipe: dict[str, Any]


def named_values(option: str, texts: Sequence[str] | None) -> dict[str, Any]:
    """Return `NAME=VALUE` options as a mapping; values are JSON, or else text.

    Raises
    ------
    InvalidDataError
        If one has no equals sign.
    """
    found = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InvalidDataError(f"expected {option} NAME=VALUE, got {text!r}")
        try:
            found[name] = _strict_json(value)
        except (ValueError, RecursionError):
            found[name] = value
    return found


def _strict_json(text: str) -> Any:
    """Return the value of JSON text; raise ValueError also for numbers that are none in JSON, such as NaN and 1e999."""
    value = json_module.loads(text)
    json_module.dumps(value, allow_nan=False)
    return value


def task_of(task: str, options: Sequence[str] | None) -> Task:
    """Return the task of that name, or of that `.npz` file."""
    from ...trainers import make_task

    parameters = named_values("--task-option", options)
    if task.endswith(".npz"):
        if "path" in parameters:
            raise InvalidDataError(f"--task {task!r} is the path, expected no --task-option path={parameters['path']}")
        return make_task("npz", path=task, **parameters)
    return make_task(task, **parameters)


def training_of(
    task: str | None,
    task_options: Sequence[str] | None = None,
    recipe: str | None = None,
    changes: Sequence[str] | None = None,
    command: str | None = None,
    function: str | None = None,
    device: str = "auto",
    weights: str | None = None,
    checkpoints: Path | None = None,
) -> Training:
    """Return what trains.

    Raises
    ------
    InvalidDataError
        If there is neither a task nor a command nor a function, or two of the latter, or values do not fit.
    UnknownNameError
        If there is no such task or recipe.
    """
    from ...trainers import CallableTrainer, Recipe, ShellTrainer, TorchTrainer
    from ...trainers.recipes import default_recipe, make_recipe

    values = named_values("--set", changes)
    if command is not None and function is not None:
        raise InvalidDataError("expected either --command or --function, got both")
    if command is not None or function is not None:
        if weights is not None:
            raise InvalidDataError("--weights are those of a task's networks, and not of a training of your own")
        own = {} if recipe is None else _own_recipe(recipe)
        trainer = ShellTrainer(command) if command is not None else CallableTrainer(_function(str(function)))
        return Training(trainer, task or "own", own | values)
    if task is None:
        raise InvalidDataError("expected --task, --command or --function to say what trains, got none")
    made = task_of(task, task_options)
    chosen = make_recipe(recipe, **values) if recipe is not None else None
    if chosen is None:
        chosen = Recipe.from_dict(default_recipe(made).to_dict() | values)
    return Training(
        TorchTrainer(made, chosen, device=device, weights=weights, checkpoints=checkpoints), made.name, chosen.to_dict()
    )


def checkpoints_of(journal: Path | None) -> Path | None:
    """Return where long trainings leave their state beside a journal."""
    return None if journal is None else journal.with_name(journal.name + ".checkpoints")


def _own_recipe(text: str) -> dict[str, Any]:
    try:
        recipe = _strict_json(text)
    except (ValueError, RecursionError):
        recipe = None
    if not isinstance(recipe, dict):
        raise InvalidDataError(f"--recipe for a training of your own must be a JSON object, got {text!r}")
    return recipe


def refuse_impossible(training: Training, fidelity: Fidelity, *, ray: str | None, timeout: float | None) -> None:
    """Refuse what would make every training fail, before there is any.

    Raises
    ------
    InvalidDataError
        If networks of this recipe and fidelity are impossible, this machine, where it is the one that trains, lacks
        the device, or the timeout is not positive.
    """
    from ...torch_runtime import require_torch, torch_device
    from ...trainers import TorchTrainer
    from ...trainers.executors import check_timeout

    check_timeout(timeout)
    if isinstance(training.trainer, TorchTrainer):
        training.trainer.recipe.skeleton(training.trainer.task, fidelity)
        if ray is None:
            require_torch("a training", "train")
            if training.trainer.device not in ("auto", "cpu"):
                torch_device(training.trainer.device)


def _function(text: str) -> Any:
    module, colon, name = text.partition(":")
    if not colon or not module or not name:
        raise InvalidDataError(f"expected --function MODULE:NAME, got {text!r}")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        imported = importlib.import_module(module)
    except Exception as error:  # whatever a user's module raises
        raise InvalidDataError(f"cannot import --function {text!r}: {type(error).__name__}: {error}") from None
    if not hasattr(imported, name):
        raise InvalidDataError(f"module {module!r} has no function {name!r}")
    return getattr(imported, name)


def fidelity_of(
    epochs: int | None, data_share: float, resolution: int | None, width: float, cells: int | None
) -> Fidelity:
    """Return the fidelity that the options say."""
    from ...trainers import Fidelity

    return Fidelity(epochs, data_share, resolution, width, cells)


def seeds_of(text: str) -> list[int]:
    """Return the seeds of `"4"` (0 to 3) or `"0,3"`.

    Raises
    ------
    InvalidDataError
        If there is none, one is negative, or they repeat.
    """
    values = integers("--seeds", text)
    seeds = values if "," in text else list(range(values[0]))
    if not seeds or min(seeds) < 0 or len(set(seeds)) != len(seeds):
        raise InvalidDataError(f"--seeds must be a number of trainings, or distinct seeds from 0 on, got {text!r}")
    return seeds


def retries(retry: bool, diverged: bool, attempts: int | None) -> dict[str, Any]:
    """Return which trainings of a journal are done again, as `stream` takes it; only those killed by default.

    Raises
    ------
    InvalidDataError
        If a number of attempts is given, and nothing is to be tried again.
    """
    from ...trainers import BAD_LUCK, Status

    if not retry and not diverged:
        if attempts is not None:
            raise InvalidDataError(f"--attempts is for --retry or --retry-diverged, got {attempts} without")
        return {}
    ends = (*(BAD_LUCK if retry else (Status.KILLED,)), *((Status.DIVERGED,) if diverged else ()))
    return {"retry": ends, "attempts": ATTEMPTS if attempts is None else attempts}


def executor_of(trainer: Trainer, workers: int | None, ray: str | None) -> Executor:
    """Return where trainings run; without a number of workers one trains, or on Ray what the cluster has room for."""
    from ...trainers import InProcess, ProcessPool, RayExecutor, ShellTrainer

    if ray is not None:
        return RayExecutor(None if ray == "local" else ray, workers)
    if workers in (None, 1) and isinstance(trainer, ShellTrainer):  # whose trainings are processes anyway
        return InProcess()
    return ProcessPool(workers or 1)
