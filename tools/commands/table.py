"""`archcast table`: benchmark tables, shipped and your own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ...errors import InvalidDataError
from .inputs import ArchitectureArguments, ArchitectureFile, JsonOption, read_architectures
from .outputs import Format, print_json, print_records, require_suffix, require_writable
from .progress import working

app = typer.Typer(help="List, describe, query, import and export benchmark tables.", no_args_is_help=True)

TableArgument = Annotated[str, typer.Argument(metavar="TABLE", help="A shipped table, or the path of an .h5 file.")]


@app.command("list")
def list_tables(json: JsonOption = False) -> None:
    """List the tables that can be opened by name.

    Example:

        archcast table list
    """
    from ...benchmarks_data import TABLES

    records = [{"table": name, "summary": TABLES.summary(name)} for name in TABLES.names()]
    print_records(records, Format.json if json else Format.table)


@app.command()
def info(table: TableArgument, json: JsonOption = False) -> None:
    """Show what a table holds: metrics, ranges, missing values, best architectures, noise ceilings, source, licence.

    The noise ceilings are Kendall tau between isomorphic twins and between seeds: no forecast can rank a noisy column
    much better than the column ranks itself.

    Example:

        archcast table info nasbench201
    """
    from ...benchmarks_data import load_table

    source = load_table(table)
    with working(f"summarising {len(source):,} architectures"):
        summary = source.summary().to_dict()
    if json:
        print_json({**summary, "about": source.about, "path": str(source.path)})
        return
    print(f"{summary['name']}: {len(source):,} architectures of {summary['space']}, {summary['classes']:,} classes")
    shown = ("metric", "unit", "direction", "epoch", "count", "missing", "minimum", "mean", "maximum")
    print_records([{key: record[key] for key in shown} for record in summary["metrics"]], Format.table)
    ceilings = [
        {"metric": record["metric"], "tau between twins": record["twin_tau"], "tau between seeds": record["seed_tau"]}
        for record in summary["metrics"]
        if record["twin_tau"] is not None or record["seed_tau"] is not None
    ]
    if ceilings:
        print()
        print_records(ceilings, Format.table)
    print()
    for key, value in source.about.items():
        if value:
            print(f"{key}: {value}")


@app.command()
def query(
    table: TableArgument,
    architectures: ArchitectureArguments = None,
    file: ArchitectureFile = None,
    metric: Annotated[
        list[str] | None, typer.Option("--metric", "-m", help="Repeatable; all metrics if left out.")
    ] = None,
    epoch: Annotated[int | None, typer.Option(help="The epoch; the last if left out.")] = None,
    seed: Annotated[int | None, typer.Option(help="The repetition; the mean over all if left out.")] = None,
    twins: Annotated[bool, typer.Option("--twins", help="Also find architectures by an isomorphic twin.")] = False,
    form: Annotated[Format, typer.Option("--format", help="How the values are printed.")] = Format.table,
    json: JsonOption = False,
) -> None:
    """Look up measured values of architectures; missing values are printed as '-', empty or null.

    Example:

        archcast table query nasbench201 '|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|'
        --metric cifar10/test_accuracy --epoch 200
    """
    from ...benchmarks_data import load_table

    source = load_table(table)
    batch = read_architectures(source.space, architectures, file)
    rows = source.rows(batch, by="canonical" if twins else "genotype")
    columns = {name: source.values(name, epoch=epoch, seed=seed)[rows] for name in metric or source.metrics}
    records: list[dict[str, Any]] = [
        {"architecture": text, **{name: values[i] for name, values in columns.items()}}
        for i, text in enumerate(batch.strings())
    ]
    print_records(records, Format.json if json else form)


@app.command("import")
def import_file(
    format: Annotated[str, typer.Argument(metavar="FORMAT", help="See `archcast list importers`.")],
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="The file to convert.")],
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="The .h5 file to write.")],
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", metavar="NAME=VALUE", help="What the importer takes besides, repeatable."),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Convert a published file, or your own measurements, into a table.

    The formats csv and json are for everybody's measurements; docs/tables.md describes them.

    Examples:

        archcast table import nasbench_graph cora.bench.xz cora.h5

        archcast table import csv mine.csv mine.h5 --option space=nasbench201 --option duplicates=mean
    """
    from ...benchmarks_data.importers import import_table

    require_suffix(target, (".h5", ".hdf5"))
    require_writable(target)
    options = {}
    for text in option or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise InvalidDataError(f"expected --option NAME=VALUE, got {text!r}")
        options[name] = value
    with working(f"converting {source.name}"):
        table = import_table(format, source, target, **options)
    if json:
        print_json({"table": str(target), "architectures": len(table), "metrics": list(table.metrics)})
    else:
        print(f"{target}: {len(table):,} architectures, {len(table.metrics)} metrics")


@app.command()
def export(
    table: TableArgument,
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="The .csv or .json file to write.")],
    json: JsonOption = False,
) -> None:
    """Write a table as tidy CSV (one line a value) or JSON; `table import` reads both back.

    Example:

        archcast table export nasbench_nlp nasbench_nlp.csv
    """
    from ...benchmarks_data import load_table

    suffix = require_suffix(target, (".csv", ".json"))
    require_writable(target)
    source = load_table(table)
    with working(f"writing {target.name}"):
        {".csv": source.to_csv, ".json": source.to_json}[suffix](target)
    if json:
        print_json({"file": str(target), "architectures": len(source), "metrics": list(source.metrics)})
    else:
        print(target)
