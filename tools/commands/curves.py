"""`archcast curves`: forecasts of where learning curves end, from their beginnings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import InvalidDataError
from .inputs import JsonOption
from .runs import CacheOption, JobsOption, OutputOption, PlotOption, execute, integers, require_output, seed_list

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ...evaluation import CurveComparison


def curves(
    table: Annotated[str, typer.Option("--table", "-t", help="A shipped table, or the path of an .h5 file.")],
    metric: Annotated[str, typer.Option("--metric", "-m", help="A metric with curves, e.g. wikitext2/valid_loss.")],
    extrapolator: Annotated[
        list[str] | None,
        typer.Option(
            "--extrapolator",
            "-x",
            help="extrapolator[@encoder], repeatable; parametric and feature_forest by default. 'last' always joins.",
        ),
    ] = None,
    fractions: Annotated[
        str, typer.Option("--fractions", "-f", help="Shares of the epochs that are seen, joined by commas.")
    ] = "0.1,0.25,0.5",
    n: Annotated[str, typer.Option("--n", "-n", help="Numbers of complete curves, joined by commas.")] = "50",
    seeds: Annotated[str, typer.Option(help="How many draws; or which, joined by commas ('7,' is seed 7).")] = "3",
    n_test: Annotated[
        int | None, typer.Option(help="Judge by so many other curves; by all of them if left out.")
    ] = None,
    jobs: JobsOption = 1,
    cache: CacheOption = None,
    output: OutputOption = None,
    plot: PlotOption = None,
    json: JsonOption = False,
) -> None:
    """Compare extrapolators: learn from n complete curves, see the beginnings of all others, rank their ends.

    Every extrapolator sees the same draws, and "last value seen" is among them. With --json one object a run is printed
    as soon as the run is finished.

    Examples:

        archcast curves --table nasbench_nlp --metric wikitext2/valid_loss --fractions 0.1,0.25 -x parametric
        -x feature_forest

        archcast curves --table mine.h5 --metric mnist/accuracy -x epoch_gp --n 20,100 --json
    """
    from ...evaluation import CurvePlan

    require_output(output)
    plan = CurvePlan(
        table,
        metric,
        extrapolators=extrapolator or ["parametric", "feature_forest"],
        fractions=_shares(fractions),
        n=integers("--n", n),
        seeds=seed_list(seeds),
        n_test=n_test,
    )
    execute(
        plan,
        jobs=jobs,
        cache=cache,
        output=output,
        plot=plot,
        json=json,
        describe=("extrapolate", lambda record: f"{record['extrapolator']}, {100 * record['fraction']:g} %"),
        draw=_draw,
    )


def _shares(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise InvalidDataError(f"--fractions must be numbers joined by commas, got {text!r}") from None


def _draw(comparison: CurveComparison) -> dict[str, Figure]:
    from ...evaluation.curve_report import plot_curve_comparison

    return {"curves": plot_curve_comparison(comparison)}
