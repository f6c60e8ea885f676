"""`archcast table`: benchmark tables, shipped and your own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ...errors import InvalidDataError
from .inputs import ArchitectureArguments, ArchitectureFile, JsonOption, read_architectures
from .outputs import Format, print_json, print_records, require_suffix, require_writable
from .progress import counting, working
from .surrogate import describe, surrogate
from .surrogate import query as query_surrogate
from .trainings import AttemptsOption, RetryDivergedOption, RetryOption, retries

DISAGREES = 3
"""Exit status where trainings that were done again differ from those of the table."""

app = typer.Typer(help="List, describe, query, import, export and make benchmark tables.", no_args_is_help=True)

app.command("surrogate")(surrogate)

TableArgument = Annotated[
    str, typer.Argument(metavar="TABLE", help="A shipped table, or the path of an .h5 or .surrogate.")
]


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
    from ...evaluation.surrogate_file import is_surrogate, load_surrogate_table

    if is_surrogate(table):
        describe(load_surrogate_table(table), table, json)
        return
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
    from ...evaluation.surrogate_file import is_surrogate

    if is_surrogate(table):
        shown = Format.json if json else form
        query_surrogate(table, lambda space: read_architectures(space, architectures, file), metric, epoch, seed, shown)
        return
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


@app.command()
def build(
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="See `archcast list plans`.")],
    target: Annotated[
        Path | None, typer.Argument(metavar="TARGET", help="The .h5 file to write; not with --sample.")
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option("--sample", min=1, help="Train so many random rows of the table again, and compare."),
    ] = None,
    table: Annotated[
        str | None, typer.Option("--table", "-t", help="The table that --sample checks; the shipped one if left out.")
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option("--journal", "-j", help="Where trainings are recorded; TARGET.journal if left out."),
    ] = None,
    begin: Annotated[
        str | None, typer.Option("--begin", metavar="TABLE", help="Take over the trainings that this table holds.")
    ] = None,
    part: Annotated[
        list[int] | None, typer.Option("--part", help="Only this part of the plan, repeatable: 0 the full trainings.")
    ] = None,
    first: Annotated[
        int | None, typer.Option("--first", min=1, help="Only so many architectures, which are a random sample.")
    ] = None,
    retry: RetryOption = False,
    retry_diverged: RetryDivergedOption = False,
    attempts: AttemptsOption = None,
    workers: Annotated[int, typer.Option("--workers", "-w", min=1, help="Trainings at once.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample.")] = 0,
    json: JsonOption = False,
) -> None:
    """Make a table by training every architecture of a plan; or train a sample of its rows again.

    Interrupted at any moment, the same command goes on with what is missing. With --sample the same seeds are trained
    again and compared: the exit status is 3 if the differences are larger than what other seeds would give.

    Examples:

        archcast table build mnist1d_nasbench201 --sample 20 --workers 2

        archcast table build mnist1d_nasbench201 mine.h5 --journal mine.journal --workers 2

        archcast table build mnist1d_nasbench201 more.h5 --begin mnist1d_nasbench201 --workers 2
    """
    from ...benchmarks_data import load_table
    from ...trainers import Journal, ProcessPool
    from ...trainers.plans import PLANS
    from ...trainers.table_building import build_table, records_of, retrain_sample

    made = PLANS.create(plan)
    if (sample is None) == (target is None):
        raise InvalidDataError("expected either TARGET, to make the table, or --sample, to check it")
    if sample is None and table is not None:
        raise InvalidDataError(f"--table names what --sample checks, got {table!r} without --sample")
    again = retries(retry, retry_diverged, attempts)
    for name, value in (("--journal", journal), ("--part", part), ("--first", first), ("--retry", again)):
        if sample is not None and value:
            raise InvalidDataError(f"{name} is for making a table, and does not go with --sample")
    if sample is not None:
        source = load_table(table if table is not None else plan)
        with ProcessPool(workers) as pool, working(f"training {sample} architectures again"):
            found = retrain_sample(made, source, sample, seed=seed, executor=pool)
        records = [{**vars(result), "agrees": result.agrees} for result in found]
        print_records(records, Format.json if json else Format.table)
        if not all(result.agrees for result in found):
            raise typer.Exit(DISAGREES)
        return
    assert target is not None
    require_suffix(target, (".h5", ".hdf5"))
    require_writable(target)
    place = journal if journal is not None else target.with_suffix(".journal")
    require_writable(place)
    made.require_parts(part or [])
    with Journal(place) as book, ProcessPool(workers) as pool, counting("training") as count:
        if begin is not None:
            known = records_of(made, load_table(begin))
            book.append(*(record for record in known if record.key not in book))
        rows = made.order()[:first]
        result = build_table(made, target, book, pool, parts=part, rows=rows, on_progress=count, **again)
    if json:
        print_json({"table": str(target), "architectures": len(result), "metrics": list(result.metrics)})
    else:
        print(f"{target}: {len(result):,} architectures, {len(result.metrics)} metrics")
