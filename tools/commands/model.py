"""`archcast fit` and `archcast predict`: a surrogate on disk, and its forecasts."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import ArchcastError, InvalidDataError
from .inputs import ArchitectureArguments, ArchitectureFile, JsonOption, SeedOption, SourceOption, read_architectures
from .outputs import Format, print_json, print_records, require_writable
from .progress import working

if TYPE_CHECKING:
    from ...benchmarks_data import Table
    from ...predictors import Predictor
    from ...spaces import Architectures


UNLIKE = 0.05
"""Architectures with at most this p-value of novelty are marked as unlike the training set."""


class Direction(StrEnum):
    """Which values of a metric are better."""

    HIGHER = "higher"
    LOWER = "lower"


def fit(
    metric: Annotated[str, typer.Option("--metric", "-m", help="E.g. cifar10/test_accuracy; see `table info`.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the fitted model is written.")],
    table: Annotated[
        str | None, typer.Option("--table", "-t", help="A shipped table, or the path of an .h5 file.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", "-d", help="Your own trainings, .csv or .json, in place of --table.", dir_okay=False),
    ] = None,
    space: Annotated[str | None, typer.Option("--space", "-s", help="The search space of --data.")] = None,
    direction: Annotated[
        Direction | None, typer.Option(help="Which values of --data are better, where the file does not say.")
    ] = None,
    epoch: Annotated[int | None, typer.Option(help="The epoch of the metric; the last if left out.")] = None,
    predictor: Annotated[
        str, typer.Option("--predictor", "-p", help="predictor[@encoder[+encoder...]]")
    ] = "gp@semantic",
    n: Annotated[
        int | None, typer.Option("--n", "-n", min=2, help="Train on n random rows; on all that are known if left out.")
    ] = None,
    source: SourceOption = None,
    seed_noise: Annotated[
        bool,
        typer.Option(
            "--seed-noise", help="Weigh each value by the spread of its seeds; for Gaussian processes such as gp."
        ),
    ] = False,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Fit a surrogate to a benchmark table, or to your own trainings, and write it to a file.

    Predictors that choose, such as auto, say what they chose and why. A file given by --data has a column (or key)
    'architecture' and one for each metric; docs/tables.md describes it.

    Examples:

        archcast fit --table nasbench201 --metric cifar10/test_accuracy --epoch 200 --n 156 --output forecaster.archcast

        archcast fit --data mine.csv --space nasbench201 --metric accuracy --direction higher -o mine.archcast

        archcast fit --data mine.csv --space nasbench201 --metric accuracy --direction higher -o mine.archcast
        --predictor gp_transfer --source nasbench201:cifar10/test_accuracy@200
    """
    import time

    import numpy as np

    from ...benchmarks_data import load_table
    from ...evaluation.sources import give_sources, read_sources
    from ...predictors import make_predictor, standard_errors

    surrogate = make_predictor(predictor, seed=seed)
    require_writable(output)
    if (table is None) == (data is None):
        raise InvalidDataError(f"expected either --table or --data, got {'neither' if table is None else 'both'}")
    if table is not None and (space is not None or direction is not None):
        raise InvalidDataError("--space and --direction describe --data, a table knows its own")
    with TemporaryDirectory(prefix="archcast-") as folder:
        data_table = load_table(table) if table is not None else _import(data, space, metric, direction, Path(folder))
        if data is not None and "/" not in metric:
            metric = f"{data.name.partition('.')[0]}/{metric}"
        values = data_table.values(metric, epoch=epoch)
        described = data_table.metrics[metric]
        sources = read_sources(source or [], higher_is_better=described.higher_is_better)
        give_sources([surrogate], sources)
        known = np.flatnonzero(np.isfinite(values))
        if n is not None and n > len(known):
            raise InvalidDataError(f"expected --n of at most {len(known)}, the rows where {metric} is known, got {n}")
        rows = known if n is None else np.sort(np.random.default_rng(seed).permutation(known)[:n])
        noise: dict[str, Any] = {}
        if seed_noise:
            noise["noise_std"] = standard_errors(data_table.values(metric, epoch=epoch, seed="all")[rows])
        started = time.perf_counter()
        with working(f"fitting {predictor} to {len(rows):,} architectures"):
            surrogate.fit(data_table.architectures[rows], values[rows], **noise)
        seconds = time.perf_counter() - started
    at = epoch if epoch is not None else described.epochs[-1] if len(described.epochs) else None
    surrogate.metadata_ = {
        "table": data_table.name if table is not None else str(data),
        "metric": metric,
        "epoch": None if at is None else int(at),
        "unit": described.unit,
        "direction": described.direction,
    }
    if sources:
        surrogate.metadata_["sources"] = [found.name for found in sources]
    try:
        surrogate.save(output)
    except OSError as error:
        raise ArchcastError(f"cannot write {output}: {error.strerror or error}") from None
    chosen = surrogate.report_
    record = {"model": str(output), "predictor": predictor, "n": len(rows), "seconds": round(seconds, 3)}
    if json:
        print_json({**record, **surrogate.metadata_, **({"chosen": chosen} if chosen else {})})
    else:
        if chosen:
            print_records(chosen, Format.table)
        print(f"{output}: {predictor} fitted to {metric} of {len(rows)} architectures in {seconds:.2f} s")


def _import(data: Path | None, space: str | None, metric: str, direction: Direction | None, folder: Path) -> Table:
    from ...benchmarks_data.importers import import_table

    if data is None or space is None:
        raise InvalidDataError("expected --space with --data, to say what its architectures are")
    kinds = {".csv": "csv", ".json": "json"}
    kind = next((kinds[suffix] for suffix in data.suffixes if suffix in kinds), None)
    if kind is None:
        raise InvalidDataError(f"expected --data to be a .csv or .json file, got {data.name!r}")
    options: dict[str, Any] = {"space": space}
    if direction is not None:
        options[direction.value] = metric
    return import_table(kind, data, folder / "data.h5", **options)


def predict(
    model: Annotated[Path, typer.Argument(help="A file written by `archcast fit`.", dir_okay=False)],
    architectures: ArchitectureArguments = None,
    file: ArchitectureFile = None,
    every: Annotated[bool, typer.Option("--all", help="Forecast the whole space.")] = False,
    direction: Annotated[
        Direction | None, typer.Option(help="Which forecasts rank first, where the model does not know its metric.")
    ] = None,
    top: Annotated[int | None, typer.Option(min=1, help="Only the best so many, best first.")] = None,
    versus: Annotated[
        str | None, typer.Option(help="An architecture; adds p_better, the probability that each beats it.")
    ] = None,
    in_top: Annotated[
        int | None,
        typer.Option(min=1, help="Adds p_in_top, the probability to be among the best so many of those given."),
    ] = None,
    novelty: Annotated[
        bool, typer.Option("--novelty", help="Adds how usual each is among the training architectures, a p-value.")
    ] = False,
    seed: SeedOption = 0,
    form: Annotated[Format, typer.Option("--format", help="How the forecasts are printed.")] = Format.table,
    json: JsonOption = False,
) -> None:
    """Forecast architectures: mean, standard deviation, 90 % interval and rank, in the units of the metric.

    Rank 1 is the best of the given ones: the model knows whether higher or lower values of its metric are better.
    Probabilities are those of one training of each. Architectures with a p-value of novelty of at most 0.05 are marked
    as unlike the training set: their forecasts are guesses from afar.

    Examples:

        archcast predict forecaster.archcast '|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|'

        archcast space sample nasbench201 --n 1000 | archcast predict forecaster.archcast - --top 5 --json
    """
    import numpy as np

    from ...predictors import load_predictor

    surrogate = load_predictor(model)
    if surrogate.space_ is None:
        raise InvalidDataError(f"{model} was fitted on a feature matrix, and cannot forecast architectures")
    if every and (architectures or file):
        raise InvalidDataError("expected either --all or architectures, got both")
    batch = surrogate.space_.enumerate() if every else read_architectures(surrogate.space_, architectures, file)
    with working(f"forecasting {len(batch):,} architectures"):
        mean, std = surrogate.predict(batch, return_std=True)
    if mean.ndim == 2:
        raise InvalidDataError(f"{model} forecasts {mean.shape[1]} targets at once; the command line prints one")
    with working(f"forecasting intervals of {len(batch):,} architectures"):
        low, high = surrogate.predict_quantiles(batch, [0.05, 0.95]).T
    better = _direction(surrogate.metadata_, direction)
    extra = _extra_columns(surrogate, batch, better is Direction.HIGHER, versus, in_top, novelty, seed)
    order = np.argsort(mean if better is Direction.LOWER else -mean, kind="stable")
    rank = np.empty(len(batch), dtype=int)
    rank[order] = np.arange(1, len(batch) + 1)
    chosen = np.arange(len(batch)) if top is None else order[:top]
    records = [
        {
            "architecture": text,
            "mean": mean[i],
            "std": std[i],
            "low": low[i],
            "high": high[i],
            "rank": rank[i],
            **{name: values[i] for name, values in extra.items()},
        }
        for i, text in zip(chosen, batch[chosen].strings(), strict=True)
    ]
    form = Format.json if json else form
    if form is Format.table and "metric" in surrogate.metadata_:
        print(headline(surrogate.metadata_))
    print_records(records, form)


def _extra_columns(
    surrogate: Predictor,
    batch: Architectures,
    higher: bool,
    versus: str | None,
    in_top: int | None,
    novelty: bool,
    seed: int,
) -> dict[str, Any]:
    """Return the columns that were asked for, one value an architecture."""
    from ...predictors import probability_better, top_k_probability

    columns: dict[str, Any] = {}
    if versus is not None or in_top is not None:
        forecast = surrogate.predict_latent(batch)
    if versus is not None:
        opponent = surrogate.predict_latent(read_architectures(batch.space, [versus], None))
        columns["p_better"] = probability_better(*forecast, *opponent, higher_is_better=higher)[:, 0]
    if in_top is not None:
        columns["p_in_top"] = top_k_probability(*forecast, in_top, higher_is_better=higher, seed=seed)
    if novelty:
        columns["novelty_p"] = surrogate.predict_novelty(batch)
        columns["unlike_training"] = columns["novelty_p"] <= UNLIKE
    return columns


def _direction(metadata: dict[str, Any], said: Direction | None) -> Direction:
    known = metadata.get("direction")
    if known is None:
        return said or Direction.HIGHER
    if said is not None and said.value != known:
        raise InvalidDataError(
            f"the model knows that {known} values of {metadata.get('metric')} are better, got {said}"
        )
    return Direction(known)


def headline(metadata: dict[str, Any]) -> str:
    """Return what a model forecasts, in a line."""
    unit, epoch = metadata.get("unit"), metadata.get("epoch")
    parts = [f"{metadata['metric']}{f' in {unit}' if unit else ''}"]
    if epoch is not None:
        parts.append(f"epoch {epoch}")
    if metadata.get("direction"):
        parts.append(f"{metadata['direction']} is better")
    return ", ".join(parts)
