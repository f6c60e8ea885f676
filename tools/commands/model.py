"""`archcast fit` and `archcast predict`: a surrogate on disk, and its forecasts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ...errors import InvalidDataError
from .inputs import ArchitectureArguments, ArchitectureFile, JsonOption, SeedOption, read_architectures
from .outputs import Format, print_json, print_records

TableOption = Annotated[str, typer.Option("--table", "-t", help="A shipped table, or the path of an .h5 file.")]
MetricOption = Annotated[str, typer.Option("--metric", "-m", help="E.g. cifar10/test_accuracy; see `table info`.")]
EpochOption = Annotated[int | None, typer.Option(help="The epoch of the metric; the last if left out.")]


def fit(
    table: TableOption,
    metric: MetricOption,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the fitted model is written.")],
    epoch: EpochOption = None,
    predictor: Annotated[
        str, typer.Option("--predictor", "-p", help="predictor[@encoder[+encoder...]]")
    ] = "gp@semantic",
    n: Annotated[
        int | None, typer.Option("--n", "-n", min=2, help="Train on n random rows; on all that are known if left out.")
    ] = None,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Fit a surrogate to a benchmark table and write it to a file.

    Your own trainings become a table with `archcast table import csv`.

    Examples:

        archcast fit --table nasbench201 --metric cifar10/test_accuracy --epoch 200 --n 156 --output forecaster.archcast

        archcast fit --table mine.h5 --metric mnist/accuracy --predictor random_forest@adjacency -o mine.archcast
    """
    import time

    import numpy as np

    from ...benchmarks_data import load_table
    from ...predictors import make_predictor

    surrogate = make_predictor(predictor, seed=seed)
    source = load_table(table)
    values = source.values(metric, epoch=epoch)
    known = np.flatnonzero(np.isfinite(values))
    if n is not None and n > len(known):
        raise InvalidDataError(f"expected --n of at most {len(known)}, the rows where {metric} is known, got {n}")
    rows = known if n is None else np.sort(np.random.default_rng(seed).permutation(known)[:n])
    started = time.perf_counter()
    surrogate.fit(source.architectures[rows], values[rows])
    seconds = time.perf_counter() - started
    surrogate.save(output)
    record = {"model": str(output), "predictor": predictor, "n": len(rows), "seconds": round(seconds, 3)}
    if json:
        print_json(record)
    else:
        print(f"{output}: {predictor} fitted to {len(rows)} architectures in {seconds:.2f} s")


def predict(
    model: Annotated[Path, typer.Argument(help="A file written by `archcast fit`.", dir_okay=False)],
    architectures: ArchitectureArguments = None,
    file: ArchitectureFile = None,
    every: Annotated[bool, typer.Option("--all", help="Forecast the whole space.")] = False,
    lower_is_better: Annotated[bool, typer.Option("--lower-is-better", help="Rank 1 is the lowest forecast.")] = False,
    top: Annotated[int | None, typer.Option(min=1, help="Only the best so many, best first.")] = None,
    form: Annotated[Format, typer.Option("--format", help="How the forecasts are printed.")] = Format.table,
    json: JsonOption = False,
) -> None:
    """Forecast architectures: mean, standard deviation, 90 % interval and rank, in the units of the metric.

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
    mean, std = surrogate.predict(batch, return_std=True)
    if mean.ndim == 2:
        raise InvalidDataError(f"{model} forecasts {mean.shape[1]} targets at once; the command line prints one")
    low, high = surrogate.predict_quantiles(batch, [0.05, 0.95]).T
    order = np.argsort(mean if lower_is_better else -mean, kind="stable")
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
        }
        for i, text in zip(chosen, batch[chosen].strings(), strict=True)
    ]
    print_records(records, Format.json if json else form)
