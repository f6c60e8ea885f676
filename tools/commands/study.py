"""`archcast study`: look at live studies, go on with them, and take their results away."""

from __future__ import annotations

from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import InvalidDataError
from .inputs import JsonOption
from .live import (
    COMMAND,
    CommandOption,
    CostOption,
    FailuresOption,
    PatienceOption,
    RayOption,
    ReportOption,
    SecondsOption,
    StorageOption,
    TaskOption,
    TimeoutOption,
    TrainingsOption,
    WorkersOption,
    notify,
    train,
    trainer_of,
)
from .outputs import Format, print_json, print_records, require_suffix, require_writable
from .trainings import named_values

if TYPE_CHECKING:
    from ...evaluation.problems import Problem
    from ...studies import Study

app = typer.Typer(help="List, show, resume, export and plot live studies.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="STUDY", help="The name of the study.")]
TableOption = Annotated[
    str | None,
    typer.Option(
        "--table",
        "-t",
        metavar="TABLE:METRIC[@EPOCH]",
        help="A table that knows how far the best found is from the best.",
    ),
]


@app.command("list")
def list_studies(storage: StorageOption = "studies.db", json: JsonOption = False) -> None:
    """List the studies of a storage.

    Examples:

        archcast study list

        archcast study list --storage postgresql://me@server/studies --json
    """
    from ...studies import StudyStorage, open_study
    from ...studies.settings import searcher_to_dict

    base = StudyStorage(storage, create=False, notify=notify)
    records = []
    for summary in base.summaries():
        study = open_study(summary.study_name, base)
        states = [candidate.state for candidate in study.candidates()]
        best = study.best()
        records.append(
            {
                "study": study.name,
                "space": study.space.name,
                "metric": study.settings.metric,
                "searcher": searcher_to_dict(study.settings.searcher)["name"],
                **{state: states.count(state) for state in ("finished", "pruned", "failed", "running", "waiting")},
                "best": None if best is None else best.value,
            }
        )
    print_records(records, Format.json if json else Format.table)


@app.command()
def show(
    name: NameArgument, storage: StorageOption = "studies.db", table: TableOption = None, json: JsonOption = False
) -> None:
    """Show what a study found: the best, its forecast and its outcome, and why each architecture was picked.

    Examples:

        archcast study show cells

        archcast study show cells --table nasbench201:cifar10/test_accuracy@200 --json
    """
    study = _open(name, storage)
    problem = _problem(table)
    report = study.summary(problem)
    if json:
        print_json(report.content)
    else:
        print(report.to_markdown(), end="")


@app.command()
def resume(
    name: NameArgument,
    storage: StorageOption = "studies.db",
    command: CommandOption = None,
    stored_command: Annotated[
        bool, typer.Option("--stored-command", help="Run the command that is stored with the study: do you trust it?")
    ] = False,
    task: TaskOption = None,
    trainings: TrainingsOption = None,
    seconds: SecondsOption = None,
    cost: CostOption = None,
    workers: WorkersOption = None,
    ray: RayOption = None,
    timeout: TimeoutOption = None,
    max_failures: FailuresOption = 10,
    patience: PatienceOption = 300.0,
    report: ReportOption = None,
    json: JsonOption = False,
) -> None:
    """Go on with a study as it was set up; without a budget, with that of its last run.

    Examples:

        archcast study resume cells --command 'python train.py' --trainings 100

        archcast study resume cells --storage postgresql://me@server/studies --stored-command --workers 4
    """
    from ...studies import open_study

    study = open_study(name, storage, task=task, patience=patience, notify=notify)
    stored = study.storage.attribute(study.optuna_study, COMMAND)
    if command is None and stored_command:
        if not isinstance(stored, str):
            raise InvalidDataError(f"study {name!r} has no stored command, give one with --command")
        command = stored
    if command is None and isinstance(stored, str):
        raise InvalidDataError(
            f"study {name!r} was trained by {stored!r}: give that or another with --command, or run what is stored "
            "with --stored-command"
        )
    trainer, _, _ = trainer_of(command, task or study.settings.task, dumps(study.settings.recipe))
    train(
        study,
        trainer,
        trainings=trainings,
        seconds=seconds,
        cost=cost,
        workers=workers,
        ray=ray,
        timeout=timeout,
        max_failures=max_failures,
        json=json,
        report=report,
    )


@app.command()
def export(
    name: NameArgument,
    target: Annotated[
        Path,
        typer.Argument(
            metavar="TARGET",
            help=".h5: a benchmark table of all trainings; .jsonl: their records; .csv: one line an architecture; "
            ".html, .md, .json: the report.",
        ),
    ],
    storage: StorageOption = "studies.db",
    direction: Annotated[
        list[str] | None,
        typer.Option(metavar="CURVE=higher|lower", help="For curves whose name does not tell, repeatable (.h5)."),
    ] = None,
    table: TableOption = None,
    json: JsonOption = False,
) -> None:
    """Write a study as a benchmark table, as records, as CSV, or as a report.

    Examples:

        archcast study export cells cells.h5

        archcast study export cells cells.html --table nasbench201:cifar10/test_accuracy@200
    """
    from ...files import write_whole

    suffix = require_suffix(target, (".h5", ".hdf5", ".jsonl", ".csv", ".html", ".md", ".json"))
    require_writable(target)
    study = _open(name, storage)
    if suffix in (".h5", ".hdf5"):
        study.to_table(
            target, directions={key: str(value) for key, value in named_values("--direction", direction).items()}
        )
    elif suffix == ".jsonl":
        write_whole(target, _records(study).encode())
    elif suffix == ".csv":
        write_whole(target, _csv(study).encode())
    else:
        study.summary(_problem(table)).save(target)
    if json:
        print_json({"file": str(target), "study": name, "trainings": len(study.records())})
    else:
        print(target)


@app.command()
def plot(
    name: NameArgument,
    folder: Annotated[Path, typer.Option("--output", "-o", help="The folder for the pictures.")] = Path("."),
    storage: StorageOption = "studies.db",
    json: JsonOption = False,
) -> None:
    """Draw the best outcome over trainings, forecasts beside outcomes, and learning curves.

    Example:

        archcast study plot cells --output pictures
    """
    from ...studies.plots import figures
    from .runs import make_folder

    study = _open(name, storage)
    drawn = figures(study)
    if not drawn:
        raise InvalidDataError(f"study {name!r} has no finished training to draw")
    make_folder(folder)
    stem = "".join(c if c.isalnum() or c in "-_" else "_" for c in name)
    paths = []
    for kind, figure in drawn.items():
        paths.append(folder / f"{stem}_{kind}.png")
        try:
            figure.savefig(paths[-1])
        except OSError as error:
            raise InvalidDataError(f"cannot write {paths[-1]}: {error.strerror}") from None
    if json:
        print_json([str(path) for path in paths])
    else:
        print("\n".join(map(str, paths)))


def _open(name: str, storage: str) -> Study:
    from ...studies import open_study

    return open_study(name, storage, notify=notify)


def _problem(text: str | None) -> Problem | None:
    """Return what `TABLE:METRIC[@EPOCH]` stands for.

    Raises
    ------
    InvalidDataError
        If it has another form.
    """
    if text is None:
        return None
    from ...evaluation.problems import as_problem

    table, colon, rest = text.rpartition(":")
    metric, at, epoch = rest.partition("@")
    if not colon or "/" not in metric or (at and not epoch.isdecimal()):
        raise InvalidDataError(f"expected --table TABLE:METRIC[@EPOCH], got {text!r}")
    return as_problem(table, metric, epoch=int(epoch) if at else None)


def _records(study: Study) -> str:
    return "".join(dumps(record.to_dict(), ensure_ascii=False) + "\n" for record in study.records())


def _csv(study: Study) -> str:
    from .outputs import as_csv

    picks = study.summary().content["picks"]
    return as_csv([{name: value for name, value in pick.items() if name != "neighbors"} for pick in picks])
