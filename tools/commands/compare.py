"""`archcast compare`: the field's protocol from the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .inputs import JsonOption, SourceOption
from .runs import CacheOption, JobsOption, OutputOption, PlotOption, execute, integers, require_output, seed_list

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
    design: Annotated[
        str | None,
        typer.Option(
            help="design[@encoder] that chooses the training architectures, e.g. kmeans; at random if left out."
        ),
    ] = None,
    info: Annotated[
        list[str] | None,
        typer.Option(
            help="metric[@epoch] or curve metric@first:last, known of every architecture, that helps; repeatable."
        ),
    ] = None,
    source: SourceOption = None,
    seed_noise: Annotated[
        bool,
        typer.Option(
            "--seed-noise", help="Tell Gaussian processes the noise of each value, by the spread of its seeds."
        ),
    ] = False,
    avoid_twins: Annotated[
        bool, typer.Option("--avoid-twins", help="No isomorphic twins of training architectures among the test ones.")
    ] = False,
    jobs: JobsOption = 1,
    cache: CacheOption = None,
    output: OutputOption = None,
    plot: PlotOption = None,
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

        archcast compare -t nasbench201 -m cifar10/test_accuracy -p gp -p gp_transfer -p rgpe --n 10,20,40
        --source nasbench201:cifar100/test_accuracy@12 --source nasbench201:imagenet16/test_accuracy@12

        archcast compare -t nasbench201 -m cifar10/test_accuracy --n 20 --design variance

        archcast compare -t mnist1d_nasbench201 -m mnist1d/test_accuracy -p gp --n 100 --seed-noise

        archcast compare --table nasbench201 --metric cifar10/test_accuracy -p gp --output runs.csv --plot pictures
    """
    from ...evaluation import ComparisonPlan

    require_output(output)
    plan = ComparisonPlan(
        table,
        metric,
        epoch=epoch,
        predictors=predictor or ["gp@semantic"],
        n=integers("--n", n),
        seeds=seed_list(seeds),
        avoid_twins=avoid_twins,
        test_metric=test_metric,
        test_epoch=test_epoch,
        n_test=n_test,
        design=design,
        info=info or [],
        sources=source or [],
        seed_noise=seed_noise,
    )
    execute(
        plan,
        jobs=jobs,
        cache=cache,
        output=output,
        plot=plot,
        json=json,
        describe=("fit and forecast", lambda record: f"{record['predictor']}, n = {record['n']}"),
        draw=lambda comparison: _draw(plan, comparison),
    )


def _draw(plan: ComparisonPlan, comparison: Comparison) -> dict[str, Figure]:
    from ...evaluation.plots import plot_forecast, plot_measure, plot_reliability

    n, seed = max(plan.sizes), plan.seeds[0]
    forecasts = [plan.forecast(label, n, seed) for label in plan.predictors]
    figures = {"reliability": plot_reliability(forecasts)}
    for forecast in forecasts:
        figures[f"forecast_{forecast.predictor}"] = plot_forecast(forecast)
    # A constant forecast alone has no rank correlation to draw.
    if any(record["kendall_tau"] == record["kendall_tau"] for record in comparison.records):
        figures["kendall_tau"] = plot_measure(comparison)
    return figures
