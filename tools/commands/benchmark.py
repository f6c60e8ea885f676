"""`archcast benchmark`: searchers compared by replay from the command line."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from ...errors import InvalidDataError
from .inputs import JsonOption, SourceOption
from .runs import CacheOption, JobsOption, OutputOption, PlotOption, execute, require_output, seed_list

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ...evaluation import SearchComparison
    from ...evaluation.problems import Problem

P = TypeVar("P", bound="Problem")


def benchmark(
    table: Annotated[
        list[str],
        typer.Option(
            "--table",
            "-t",
            help="A shipped table, or the path of an .h5 file or of a .surrogate, repeatable; TABLE:METRIC[@EPOCH] "
            "gives it a metric of its own.",
        ),
    ],
    metric: Annotated[
        str | None,
        typer.Option("--metric", "-m", help="What is searched for in tables without a metric of their own."),
    ] = None,
    epoch: Annotated[int | None, typer.Option(help="The epoch of --metric; the last if left out.")] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(
            "--objective",
            help="METRIC[@EPOCH], params or flops, repeatable instead of --metric: what is searched for at once, in "
            "the directions of the table.",
        ),
    ] = None,
    constraint: Annotated[
        list[str] | None,
        typer.Option("--constraint", help="'NAME<=VALUE' or 'NAME>=VALUE', repeatable, of a name as for --objective."),
    ] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(
            "--reference",
            help="NAME=VALUE, repeatable: where the hypervolume of an objective begins, told to searchers; a tenth of "
            "the range of the table's front below its worst if left out.",
        ),
    ] = None,
    searcher: Annotated[
        list[str] | None,
        typer.Option(
            "--searcher",
            help="A searcher, repeatable; auto, regularized_evolution and random by default, ehvi, parego and random "
            "for several objectives or constraints, bo_transfer, auto and random with sources.",
        ),
    ] = None,
    source: SourceOption = None,
    scheduler: Annotated[
        list[str] | None,
        typer.Option(
            help="A multi-fidelity scheduler[@searcher], repeatable, beside each --searcher (random) training fully: "
            "regret after the epochs of 1, 2, ... full trainings, on tables with learning curves."
        ),
    ] = None,
    min_epochs: Annotated[int | None, typer.Option(help="The first epoch at which schedulers judge.")] = None,
    eta: Annotated[float | None, typer.Option(help="Of each rung of halving the best 1 / eta go on.")] = None,
    resume: Annotated[
        bool, typer.Option(help="Promoted trainings go on where they were paused, rather than begin anew.")
    ] = True,
    budget: Annotated[
        int | None,
        typer.Option("--budget", "-b", help="Queries of each run; full trainings' worth of epochs with --scheduler."),
    ] = None,
    seeds: Annotated[str, typer.Option(help="How many runs; or which, joined by commas ('7,' is seed 7).")] = "30",
    select_metric: Annotated[
        str | None,
        typer.Option(
            help="METRIC[@EPOCH] that searchers are told and that selects the incumbent, e.g. a validation accuracy; "
            "without a slash, of the data set of the metric that they are judged by."
        ),
    ] = None,
    select_seed: Annotated[
        str | None,
        typer.Option(
            metavar="SEED",
            help="On tables with several trainings of each architecture searchers are told this one, or with 'each' "
            "those of seed 0, 1, ... another one, and judged by the mean of the others.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", "-w", help="Simulated trainings that go on at once.")] = 1,
    batch: Annotated[int, typer.Option(help="Architectures that a searcher is asked for at once.")] = 1,
    tolerance: Annotated[
        float | None,
        typer.Option(help="Regret that meets the target; 0.05 points of accuracy if left out, none for other units."),
    ] = None,
    jobs: JobsOption = 1,
    cache: CacheOption = None,
    output: OutputOption = None,
    plot: PlotOption = None,
    json: JsonOption = False,
) -> None:
    """Compare searchers by replay: how fast their regret falls on tables, query by query, over seeds.

    A query costs the seconds that the table knows for a training, or else 1. Results do not depend on --jobs, except
    for the seconds that searchers take. With --json one object a run is printed as soon as the run is finished.
    Pictures: regret over queries for each table, and over simulated time where costs are known or several workers
    train; the critical-difference diagram.

    With --objective or --constraint regret is the share of the hypervolume of the table's feasible Pareto front that
    is missing; each run also gives the hypervolume after 1, 2, ... queries and its front, and pictures show both.

    Examples:

        archcast benchmark --table nasbench201 --metric cifar10/test_accuracy --epoch 200 --searcher auto
        --searcher regularized_evolution --budget 150 --seeds 30 --json

        archcast benchmark -t nasbench201:cifar10/test_accuracy@12 -t nasbench_graph_cora:cora/test_accuracy
        --select-metric valid_accuracy --searcher bo --searcher random --jobs -1 --cache runs.jsonl --plot pictures

        archcast benchmark -t mnist1d_nasbench201:mnist1d/test_accuracy --select-metric valid_accuracy
        --select-seed each --searcher auto --searcher tpe --budget 100 --seeds 8

        archcast benchmark -t accel_nasbench --objective imagenet/top1 --objective a100/throughput
        --constraint 'model/parameters<=6' --searcher ehvi --searcher nsga2 --searcher tpe --budget 100 --seeds 20

        archcast benchmark -t nasbench_graph_cora:cora/test_accuracy --searcher bo --searcher bo_transfer
        --searcher tpe --searcher warm:tpe --source nasbench_graph_citeseer:citeseer/test_accuracy --budget 50

        archcast benchmark -t nasbench_nlp -m wikitext2/test_loss --searcher bo --workers 4 --budget 60

        archcast benchmark -t nasbench_nlp -m wikitext2/valid_loss --scheduler asha --scheduler bohb --searcher bo
        --min-epochs 3 --eta 3 --budget 20 --workers 4
    """
    from ...evaluation import FidelityPlan, FidelityProblem, SearchPlan, SeedProblem
    from ...evaluation.problems import as_problem
    from ...evaluation.sources import read_sources, searchers_with_sources

    require_output(output)
    plan: SearchPlan
    if scheduler:
        if objective or constraint or reference:
            raise InvalidDataError("--scheduler searches for one metric, expected no --objective and no --constraint")
        if source:
            raise InvalidDataError("--source is for searchers that train fully, expected no --scheduler beside it")
        if select_seed is not None:
            raise InvalidDataError("--select-seed is for searchers that train fully, expected no --scheduler beside it")
        if batch != 1:
            raise InvalidDataError(f"--batch must be 1 with --scheduler, which decides one by one, got {batch}")
        plan = FidelityPlan(
            [_problem(FidelityProblem.of, text, metric, epoch, select_metric) for text in table],
            schedulers=scheduler,
            searchers=searcher or ["random"],
            min_epochs=min_epochs,
            eta=eta,
            budget=30 if budget is None else budget,
            seeds=seed_list(seeds),
            resume=resume,
            workers=workers,
            tolerance=tolerance,
        )
    else:
        for option, given in (("--min-epochs", min_epochs), ("--eta", eta), ("--no-resume", None if resume else False)):
            if given is not None:
                raise InvalidDataError(f"{option} is for multi-fidelity search: expected --scheduler beside it")
        problems: list[Problem]
        if objective or constraint or reference:
            for option, text in (("--select-metric", select_metric), ("--select-seed", select_seed)):
                if text is not None:
                    raise InvalidDataError(f"{option} goes with one metric, expected none beside objectives")
            aims = objective or []
            start = _references(reference or [])
            problems = [_pareto_problem(text, metric, epoch, aims, constraint or [], start) for text in table]
            usual = ["ehvi", "parego", "random"]
        else:
            of = as_problem if select_seed is None else partial(SeedProblem.of, select_seed=_seed(select_seed))
            problems = [_problem(of, text, metric, epoch, select_metric) for text in table]
            usual = ["bo_transfer", "auto", "random"] if source else ["auto", "regularized_evolution", "random"]
        sources = read_sources(source or [], higher_is_better=True)
        spaces = [problem.space for problem in problems]
        plan = SearchPlan(
            problems,
            searchers=searchers_with_sources(searcher or usual, sources, spaces) if sources else searcher or usual,
            budget=150 if budget is None else budget,
            seeds=seed_list(seeds),
            batch=batch,
            workers=workers,
            tolerance=tolerance,
        )
    execute(
        plan,
        jobs=jobs,
        cache=cache,
        output=output,
        plot=plot,
        json=json,
        describe=("search", lambda record: f"{record['searcher']} on {record['problem']}, seed {record['seed']}"),
        draw=_draw,
    )


def _problem(of: Callable[..., P], text: str, metric: str | None, epoch: int | None, select: str | None) -> P:
    """Return the problem of one `--table`."""
    from ...evaluation.arguments import metric_at_epoch
    from ...evaluation.surrogate_file import is_surrogate

    table, own = _table(text)
    if own is not None:
        metric, epoch = metric_at_epoch("--table", own)
    if metric is None and not is_surrogate(table):
        raise InvalidDataError(f"expected --metric, or --table {text}:METRIC[@EPOCH], to say what to search for")
    selected, at = (None, None) if select is None else metric_at_epoch("--select-metric", select)
    if selected is not None and "/" not in selected:
        selected = f"{(metric or '').partition('/')[0]}/{selected}"
    return of(table, metric, epoch=epoch, select_metric=selected, select_epoch=at)


def _seed(text: str) -> int | str:
    """Return the label of a training, or "each"."""
    if text != "each" and not text.isdecimal():
        raise InvalidDataError(f"--select-seed must be an integer or 'each', got {text!r}")
    return text if text == "each" else int(text)


def _pareto_problem(
    text: str,
    metric: str | None,
    epoch: int | None,
    objectives: list[str],
    constraints: list[str],
    reference: dict[str, float],
) -> Problem:
    """Return the problem of one `--table` with objectives, or with constraints on its only metric."""
    from ...evaluation import ParetoProblem

    table, own = _table(text)
    if objectives and (metric is not None or own is not None):
        raise InvalidDataError(f"expected --objective or a metric, got both: {own or metric!r} and {objectives[0]!r}")
    if not objectives:
        alone = own or (metric if metric is None or epoch is None else f"{metric}@{epoch}")
        if alone is None:
            raise InvalidDataError(f"expected --objective or --metric to say what to search for in {text!r}")
        objectives = [alone]
    return ParetoProblem.of(table, objectives, constraints=constraints, reference=reference)


def _table(text: str) -> tuple[str, str | None]:
    """Return the table and the metric of its own, if any, of `TABLE[:METRIC[@EPOCH]]`."""
    table, colon, own = text.rpartition(":")
    if colon and "/" in own and not Path(text).is_file():
        return table, own
    return text, None


def _references(texts: list[str]) -> dict[str, float]:
    """Return the values of `NAME=VALUE` by name."""
    found = {}
    for text in texts:
        name, equals, value = text.rpartition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            equals = ""
        if not equals or not name.strip():
            raise InvalidDataError(f"--reference must read NAME=VALUE, got {text!r}")
    return found


def _draw(comparison: SearchComparison) -> dict[str, Figure]:
    from ...evaluation.pareto_plots import plot_front, plot_hypervolume
    from ...evaluation.search_plots import plot_ranks, plot_regret

    figures = {}
    for problem in comparison.problems:
        if "hypervolume" in comparison.records[0]:
            figures[f"hypervolume_{problem}"] = plot_hypervolume(comparison, problem)
            if len(comparison.records[0]["objectives"]) == 2:
                figures[f"front_{problem}"] = plot_front(comparison, problem)
        figures[f"regret_{problem}"] = plot_regret(comparison, problem)
        run = comparison.runs(comparison.searchers[0], problem)[0]
        if run["time_unit"] == "s" or run["workers"] > 1:  # else it is the same picture
            figures[f"regret_over_time_{problem}"] = plot_regret(comparison, problem, over="time")
    several = len(comparison.problems) > 1
    if len(comparison.searchers) > 1:
        title = "" if several else comparison.problems[0]
        figures["ranks"] = plot_ranks(comparison.ranks(), title=title, blocks="problems" if several else "seeds")
    return figures
