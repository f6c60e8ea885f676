"""Records of trainings as a benchmark table: architectures x seeds x epochs for every curve, and what they cost."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..benchmarks_data import Column, MetricInfo, Table, write_table
from ..errors import InvalidDataError
from ..spaces import space_from_spec
from .records import Fidelity, Status, TrainingRecord

HIGHER = ("accuracy", "top5", "auc", "f1", "precision", "recall", "r2", "correlation", "score", "iou")
LOWER = ("loss", "error", "perplexity", "mse", "mae", "rmse", "seconds")
"""What the last part of a metric's name (at `_` or `/`) says about its direction."""


def write_journal_table(
    path: str | Path,
    records: Sequence[TrainingRecord],
    *,
    select: Callable[[TrainingRecord], bool] | None = None,
    directions: Mapping[str, str] | None = None,
    names: Mapping[str, str] | None = None,
    columns: Sequence[Column] = (),
    about: Mapping[str, str] | None = None,
) -> Table:
    """Write records as a table.

    A curve `"valid/accuracy"` of task `mnist1d` becomes the metric `mnist1d/valid_accuracy`, with seeds and epochs; a
    lower fidelity is a data set of its own, e.g. `mnist1d-data_share0.25/valid_accuracy`, and so are trainings that
    started from another's weights, `mnist1d-warm_start/valid_accuracy`. Beside the curves stand
    `training_seconds` (a seed), `parameters` and `flops`, and, where not every training FINISHED, `unfinished`: 1 for
    those that diverged, failed or were stopped, whose curves hold what they reached. What was never measured is NaN,
    as is anything infinite.

    Parameters
    ----------
    path : str or Path
    records : sequence of TrainingRecord
        All of one space; those of one task and fidelity must have one recipe.
    select : callable, optional
        Takes a record, and says whether to use it.
    directions : mapping of str to str, optional
        `"higher"` or `"lower"` for curves whose name does not tell, by name of the curve.
    names : mapping of str to str, optional
        Names of the data sets in the table, by name of the task; by default they are the same.
    columns : sequence of Column, optional
        Further ones, in the order in which the architectures first appear among the chosen records.
    about : mapping of str to str, optional
        As for `write_table`; the `cost_metric` is filled in.

    Returns
    -------
    Table

    Raises
    ------
    InvalidDataError
        If there is nothing to write, records differ in space or recipe, `names` gives two tasks one name, or the
        direction of a curve is unknown.
    """
    chosen = [record for record in records if select is None or select(record)]
    if not chosen:
        raise InvalidDataError("there is no training to write as a table")
    spaces = {json.dumps(record.space, sort_keys=True): record.space for record in chosen}
    if len(spaces) > 1:
        raise InvalidDataError(f"a table holds one space, the trainings are of {len(spaces)}: {', '.join(spaces)}")
    space = space_from_spec(next(iter(spaces.values())))
    rows: dict[tuple[int, ...], int] = {}
    for record in chosen:
        rows.setdefault(tuple(record.genotype), len(rows))
    studies: dict[str, list[TrainingRecord]] = {}
    for record in chosen:
        data_set = (names or {}).get(record.task, record.task)
        start = "" if record.warm_start is None else "-warm_start"
        studies.setdefault(data_set + fidelity_name(record.fidelity) + start, []).append(record)
    all_columns = []
    for name, study in studies.items():
        _require_one_recipe(name, study)
        all_columns += _columns(name, study, rows, directions or {})
    main = max(studies, key=lambda name: len(studies[name]))
    texts = {"cost_metric": f"{main}/training_seconds", **(about or {})}
    genotypes = np.array(list(rows), dtype=np.int16)
    return Table(write_table(path, space, space.architectures(genotypes), [*all_columns, *columns], about=texts))


def fidelity_name(fidelity: Fidelity) -> str:
    """Return what distinguishes a fidelity from the full one, e.g. `"-epochs5-width0.5"`."""
    changed = [(item.name, getattr(fidelity, item.name), item.default) for item in fields(fidelity)]
    return "".join(f"-{name}{value:g}" for name, value, full in changed if value != full)


def _require_one_recipe(name: str, study: Sequence[TrainingRecord]) -> None:
    tasks = dict.fromkeys(record.task for record in study)
    if len(tasks) > 1:
        raise InvalidDataError(f"expected another name for each task, got {name!r} for {', '.join(tasks)}")
    recipes = {json.dumps(record.recipe, sort_keys=True) for record in study}
    if len(recipes) > 1:
        raise InvalidDataError(
            f"the trainings of {name!r} follow {len(recipes)} recipes, expected one: choose with `select`"
        )


def _columns(
    name: str, study: Sequence[TrainingRecord], rows: Mapping[tuple[int, ...], int], directions: Mapping[str, str]
) -> list[Column]:
    seeds = tuple(sorted({record.seed for record in study}))
    row = np.array([rows[tuple(record.genotype)] for record in study])
    seed = np.searchsorted(seeds, [record.seed for record in study])
    note = f"recipe {json.dumps(study[0].recipe, sort_keys=True)}"
    columns = []
    for curve in dict.fromkeys(curve for record in study for curve in record.curves):
        length = max(len(record.curves.get(curve, ())) for record in study)
        values = np.full((len(rows), len(seeds), max(length, 1)), np.nan)
        for place, record in zip(zip(row, seed, strict=True), study, strict=True):
            reached = np.asarray(record.curves.get(curve, ()), dtype=np.float64)
            values[place][: len(reached)] = np.where(np.isfinite(reached), reached, np.nan)
        direction = directions.get(curve) or direction_of(curve)
        info = MetricInfo(
            f"{name}/{curve.replace('/', '_')}",
            "fraction" if curve.endswith("accuracy") else "",
            direction,
            note,
            tuple(range(1, max(length, 1) + 1)),
            seeds,
        )
        columns.append(Column(info, values, single=True))

    def a_seed(metric: str, unit: str, numbers: Sequence[float], text: str) -> Column:
        values = np.full((len(rows), len(seeds), 1), np.nan)
        values[row, seed, 0] = numbers
        return Column(MetricInfo(f"{name}/{metric}", unit, "lower", text, (), seeds), values, single=True)

    columns.append(a_seed("training_seconds", "s", [record.seconds for record in study], "of one seed"))
    if any(record.status is not Status.FINISHED for record in study):
        ended = [float(record.status is not Status.FINISHED) for record in study]
        columns.append(a_seed("unfinished", "", ended, "1 where the training diverged, failed or was stopped"))
    for metric, numbers, text in (
        ("parameters", [record.parameters for record in study], "numbers that are learned"),
        ("flops", [record.flops for record in study], "multiply-accumulate operations for one input"),
    ):
        if any(numbers):
            info = MetricInfo(f"{name}/{metric}", "", "lower", text)
            columns.append(Column(info, _known(numbers, row, len(rows))))
    return columns


def _known(numbers: Sequence[int], row: NDArray[np.intp], n: int) -> NDArray[np.float64]:
    """Return for each row the number that its trainings say; one that failed early may not know it, and says 0."""
    values = np.full(n, np.nan)
    known = np.flatnonzero(numbers)
    values[row[known]] = np.asarray(numbers, dtype=np.float64)[known]
    return values


def direction_of(curve: str) -> str:
    """Return whether higher or lower values of a curve are better, from the last word of its name.

    Raises
    ------
    InvalidDataError
        If the name does not tell.
    """
    word = curve.replace("/", "_").rpartition("_")[2].lower()
    if word in HIGHER:
        return "higher"
    if word in LOWER:
        return "lower"
    raise InvalidDataError(
        f"whether higher or lower is better for {curve!r} does not follow from its name, "
        f"give it in directions={{{curve!r}: 'higher'}}"
    )
