"""`archcast search`: a live search on real trainings from the command line."""

from __future__ import annotations

from typing import Annotated

import typer

from .inputs import JsonOption, SourceOption, get_space
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
    is_stored,
    notify,
    train,
    trainer_of,
)
from .trainings import named_values, seeds_of


def search(
    space: Annotated[
        str | None, typer.Option("--space", "-s", help="A registered search space, or a JSON space spec.")
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option("--metric", "-m", help="The learning curve whose last value counts: valid/accuracy ..."),
    ] = None,
    command: CommandOption = None,
    task: TaskOption = None,
    study: Annotated[str, typer.Option(help="The name of the study: all that go on with it name it.")] = "search",
    storage: StorageOption = "studies.db",
    trainings: TrainingsOption = None,
    seconds: SecondsOption = None,
    cost: CostOption = None,
    searcher: Annotated[
        str | None,
        typer.Option(help="See `archcast list searchers`; auto if left out, bo_transfer with --source."),
    ] = None,
    source: SourceOption = None,
    searcher_option: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter of the searcher, repeatable.")
    ] = None,
    direction: Annotated[
        str | None, typer.Option(help="higher or lower, where the name of the metric does not tell which is better.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of a training; as many as it likes if left out.")] = None,
    recipe: Annotated[
        str | None, typer.Option(help="A JSON object that goes to every training; for --task also a name.")
    ] = None,
    pruner: Annotated[
        str | None, typer.Option(help="Stop trainings early: median, percentile, successive_halving, hyperband.")
    ] = None,
    pruner_option: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter of Optuna's pruner, repeatable.")
    ] = None,
    cost_metric: Annotated[
        str | None,
        typer.Option(help="The learning curve whose last value is the cost of a training; its seconds else."),
    ] = None,
    workers: WorkersOption = None,
    ray: RayOption = None,
    timeout: TimeoutOption = None,
    max_failures: FailuresOption = 10,
    heartbeat: Annotated[int | None, typer.Option(help="Seconds between signs of life of a worker; 10 if new.")] = None,
    grace: Annotated[
        int | None, typer.Option(help="Seconds of silence after which a worker is dead; 6 heartbeats if new.")
    ] = None,
    patience: PatienceOption = 300.0,
    seed: Annotated[int | None, typer.Option(help="Seeds the searcher and the trainings; 0 if new.")] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            help="Trainings of each architecture, whose mean counts; or their seeds, joined by commas ('7,' is seed "
            "7); one, of --seed, if new."
        ),
    ] = None,
    report: ReportOption = None,
    json: JsonOption = False,
) -> None:
    """Search on real trainings: what is worth it is picked, trained, stored, and learned from.

    Run the same command again to go on, and on other machines with the same --storage to work together. Workers may be
    killed: what they trained is trained again by another, and nothing else twice. With --json one object a training is
    printed as soon as it has ended. A study remembers its space, metric, searcher, sources, seed and so on: these can
    be left out later, and must not differ.

    Examples:

        archcast search --space nasbench201 --metric valid/accuracy --command 'python train.py' --trainings 50

        archcast search --study signals --space nasbench201 --metric valid/accuracy --task mnist1d --epochs 10
        --recipe '{"channels": 16, "stages": 1, "cells": 1}' --seconds 3600

        archcast search --study pairs --space nasbench201 --metric valid/accuracy --task mnist1d --seeds 2
        --trainings 60

        archcast search --study warm --space nasbench201 --metric valid/accuracy --command './train.sh' --trainings 30
        --source nasbench201:cifar10/test_accuracy@200 --source last_study.h5:training/valid_accuracy

        archcast search --study cells --storage postgresql://me@server/studies --space nasbench201 --metric valid/loss
        --command './train.sh' --trainings 200 --workers 4 --pruner median --report cells.html
    """
    from ...searchers import make_searcher
    from ...studies import open_study, pruner_spec
    from ...trainers import Fidelity

    chosen = get_space(space) if space is not None else None
    trainer, task_name, settings = trainer_of(command, task, recipe)
    if recipe is None and is_stored(study, storage):
        settings = None  # that of the study
    options = named_values("--searcher-option", searcher_option)
    opened = open_study(
        study,
        storage,
        space=chosen,
        metric=metric,
        direction=direction,
        searcher=make_searcher(searcher or "auto", **options) if searcher or options else None,
        task=task_name,
        recipe=settings,
        fidelity=None if epochs is None else Fidelity(epochs=epochs),
        seed=seed,
        seeds=None if seeds is None else seeds_of(seeds),
        pruner=pruner_spec(pruner, named_values("--pruner-option", pruner_option)),
        cost_metric=cost_metric,
        heartbeat=heartbeat,
        grace=grace,
        sources=source,
        patience=patience,
        notify=notify,
    )
    if command is not None:
        opened.storage.set_attribute(opened.optuna_study, COMMAND, command)
    train(
        opened,
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
