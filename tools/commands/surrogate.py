"""`archcast table surrogate`: a fitted predictor that stands for a table; and what is shown of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import InvalidDataError
from .inputs import JsonOption, SeedOption
from .outputs import Format, print_json, print_records, require_suffix, require_writable
from .progress import working
from .trainings import named_values

if TYPE_CHECKING:
    from ...evaluation import SurrogateTable
    from ...spaces import Architectures


def surrogate(
    table: Annotated[str, typer.Argument(metavar="TABLE", help="A shipped table, or the path of an .h5 file.")],
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="The .surrogate file to write.")],
    metric: Annotated[str, typer.Option("--metric", "-m", help="What it forecasts.")],
    epoch: Annotated[int | None, typer.Option(help="The epoch of the metric; the last if left out.")] = None,
    predictor: Annotated[str, typer.Option("--predictor", "-p", help="predictor[@encoder[+encoder...]]")] = "xgboost",
    predictor_option: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A parameter of the predictor, repeatable.")
    ] = None,
    noise: Annotated[
        str,
        typer.Option(
            help="Noise of a training, from repeated trainings (seeds), from the errors on held-out folds (residuals), "
            "none; or auto: seeds where ten architectures have them, else residuals."
        ),
    ] = "auto",
    cost: Annotated[
        str, typer.Option(help="Seconds of every training; table to forecast what the table knows; or none.")
    ] = "table",
    folds: Annotated[int, typer.Option(help="Folds that are held out in turn to see how good the forecasts are.")] = 5,
    samples: Annotated[
        int, typer.Option(help="Random architectures that the search for the best begins with.")
    ] = 20_000,
    starts: Annotated[int, typer.Option(help="Of these and the table's, the best so many are climbed from.")] = 20,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Fit a surrogate benchmark to a table: its metric for every architecture of the space, with noise and costs.

    Searches are replayed on it as on a table (`archcast benchmark --table FILE.surrogate`), though the table holds only
    a sample of a space that is too large to enumerate. What is printed is measured on held-out folds.

    Examples:

        archcast table surrogate accel_nasbench accel.surrogate --metric imagenet/top1

        archcast table surrogate nasbench_nlp nlp.surrogate -m wikitext2/test_loss -p gp@semantic --noise seeds

        archcast benchmark --table accel.surrogate --searcher bo --searcher random --budget 100 --seeds 10
    """
    from ...benchmarks_data import SURROGATE
    from ...evaluation import fit_surrogate_table
    from ...predictors import make_predictor

    require_suffix(target, (SURROGATE,))
    require_writable(target)
    options = named_values("--predictor-option", predictor_option)
    with working("reading") as show:
        found = fit_surrogate_table(
            table,
            metric,
            make_predictor(predictor, **options),
            epoch=epoch,
            noise=noise,  # type: ignore[arg-type]
            cost=_cost(cost),
            folds=folds,
            samples=samples,
            starts=starts,
            seed=seed,
            name=target.stem,
            predictor_name=predictor,
            say=show,
        )
        found.save(target)
    describe(found, str(target), json)


def _cost(text: str) -> Any:
    if text in ("table", "none"):
        return None if text == "none" else "table"
    try:
        return float(text)
    except ValueError:
        raise InvalidDataError(f"--cost must be a number of seconds, table or none, got {text!r}") from None


def describe(found: SurrogateTable, path: str, json: bool) -> None:
    """Print what a surrogate is, and how good it was on held-out folds."""
    best, noise = found.best_known, found.noise
    content = {
        "surrogate": path,
        "space": found.space.name,
        "metric": found.info.name,
        "epoch": found.epoch,
        "unit": found.info.unit,
        "direction": found.info.direction,
        "noise": noise.to_dict(),
        "cost": found.cost if found.cost is None or isinstance(found.cost, float) else "forecast",
        "best_known": {"architecture": str(best.architecture), "value": best.value, "found": best.found},
        "measures": dict(found.measures),
        "about": dict(found.about),
    }
    if json:
        print_json(content)
        return
    print(f"{path}: {found.info.name} of any architecture of {found.space.name}, by {found.about.get('predictor')}")
    print_records([{"on held-out folds": name, "value": value} for name, value in found.measures.items()], Format.table)
    print()
    spread = ", ".join(
        f"{deviation:.3g} at {level:.4g}" for level, deviation in zip(noise.levels, noise.deviations, strict=True)
    )
    print(f"noise ({noise.kind}): {spread or 'none'}")
    print(f"seconds of a training: {'not known' if content['cost'] is None else content['cost']}")
    print(f"best known: {best.value:.6g}  {best.architecture}\n  {best.found}")
    for name, value in found.about.items():
        print(f"{name}: {value}")


def query(path: str, read: Any, metric: list[str] | None, epoch: int | None, seed: int | None, form: Format) -> None:
    """Print what a surrogate forecasts of architectures; `read` gets its space and returns them."""
    from ...evaluation import load_surrogate_table

    source = load_surrogate_table(path)
    batch: Architectures = read(source.space)
    columns = {name: source.query(batch, name, epoch, seed) for name in metric or source.metrics}
    records = [
        {"architecture": text, **{name: values[i] for name, values in columns.items()}}
        for i, text in enumerate(batch.strings())
    ]
    print_records(records, form)
