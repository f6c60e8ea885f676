"""Measurements as CSV, for tables that come in no format of their own."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...errors import TableFormatError
from ...spaces import SearchSpace
from ..schema import MetricInfo
from . import Imported
from .files import open_text
from .records import Duplicates, Names, Records, describe_metric, label, number, space_of

_HEADER = re.compile(r"(?P<name>[^\[(]+?)\s*(\[(?P<unit>[^\]]*)\])?\s*(\((?P<direction>higher|lower)\))?")
_TIDY = {"metric", "value"}


def read_csv(
    source: Path,
    space: str | SearchSpace | None = None,
    higher: Names = (),
    lower: Names = (),
    duplicates: Duplicates = "refuse",
    dataset: str | None = None,
    architecture: str = "architecture",
) -> Imported:
    """Read a CSV file, also compressed (`.csv.gz`, `.csv.xz`), in one of two forms.

    *Wide*: one line an architecture (and seed, and epoch), one column a metric::

        architecture,seed,epoch,test_accuracy [%] (higher),loss (lower)
        |nor_conv_3x3~0|+|none~0|...,0,200,93.1,0.21

    *Tidy*: one line a value, told by the columns `metric` and `value`; this is what `Table.to_csv` writes::

        architecture,metric,seed,epoch,value,unit,direction
        |nor_conv_3x3~0|+|none~0|...,cifar10/test_accuracy,0,200,93.1,%,higher

    An architecture is a native string of the space, or JSON (a genotype, or the space's native objects). `seed`,
    `epoch`, `unit` and `direction` may be left out. An empty field, `nan` or `null` is a missing value; infinite ones
    are refused. Lines of the same architecture, also in different notations, become one row.

    Parameters
    ----------
    source : Path
    space : str or SearchSpace
        The search space: a registered name, or a JSON spec such as
        `{"space": "cell", "parameters": {"operations_on": "edges", "nodes": 4, "operations": ["none", "conv"]}}`.
    higher, lower : str or sequence of str, optional
        Metrics (separated by commas) of which higher or lower values are better, where the file does not say.
    duplicates : {"refuse", "mean"}
        What becomes of different values for the same architecture, metric, seed and epoch.
    dataset : str, optional
        Stands before metric names without a slash; by default the file's name up to the first dot.
    architecture : str
        The column with the architectures.

    Raises
    ------
    TableFormatError
        If the file has no such columns, or a field is no number.
    InvalidArchitectureError
        If an architecture is malformed; the message names its line.
    InvalidDataError
        If a direction is missing, a value is infinite, or lines contradict each other.
    """
    family = space_of(space)
    records = Records()
    prefix = dataset or source.name.partition(".")[0]
    with open_text(source) as file:
        lines = _lines(source, file)
        _, header = next(lines)
        if architecture not in header:
            raise TableFormatError(f"{str(source)!r} has no column {architecture!r}, it has {', '.join(header)}")
        if set(header) >= _TIDY:
            _read_tidy(records, header, lines, architecture, prefix, higher, lower)
        else:
            _read_wide(records, header, lines, architecture, prefix, higher, lower)
    return records.to_imported(family, duplicates, {"source": source.name})


def _lines(source: Path, file: Any) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(file, strict=True)
    width = 0
    try:
        for fields in reader:
            if not fields:
                continue
            if not width:
                fields = [name.strip() for name in fields]  # noqa: PLW2901
                width = len(fields)
                if len(set(fields)) != width:
                    raise TableFormatError(f"{str(source)!r} has repeated column names: {', '.join(fields)}")
            if len(fields) != width:
                raise TableFormatError(
                    f"line {reader.line_num} of {str(source)!r} has {len(fields)} fields, expected {width}"
                )
            yield reader.line_num, fields
    except csv.Error as error:
        raise TableFormatError(f"line {reader.line_num} of {str(source)!r} is not CSV: {error}") from None
    if not width:
        raise TableFormatError(f"{str(source)!r} has no header line")


def _read_tidy(
    records: Records,
    header: Sequence[str],
    lines: Iterator[tuple[int, list[str]]],
    architecture: str,
    dataset: str,
    higher: Names,
    lower: Names,
) -> None:
    at = {name: position for position, name in enumerate(header)}
    infos: dict[tuple[str, str, str], MetricInfo] = {}
    said: dict[str, MetricInfo] = records.infos

    for line, fields in lines:
        place = f"line {line}"
        about = tuple(fields[at[name]].strip() if name in at else "" for name in ("metric", "unit", "direction"))
        metric, unit, direction = about
        info = infos.get((metric, unit, direction))
        if info is None:
            info = describe_metric(metric, dataset, unit, direction, "", higher, lower)
            if said.setdefault(info.name, info) != info:
                raise TableFormatError(f"{place} gives metric {metric!r} another unit or direction than lines before")
            infos[metric, unit, direction] = info
        records.architectures.append(fields[at[architecture]])
        records.places.append(place)
        records.add(
            len(records.places) - 1,
            info.name,
            label(fields[at["seed"]] if "seed" in at else None, "seed", place, 0),
            label(fields[at["epoch"]] if "epoch" in at else None, "epoch", place, -1),
            number(fields[at["value"]], "value", place),
        )


def _read_wide(
    records: Records,
    header: Sequence[str],
    lines: Iterator[tuple[int, list[str]]],
    architecture: str,
    dataset: str,
    higher: Names,
    lower: Names,
) -> None:
    at = {name: position for position, name in enumerate(header)}
    columns: list[tuple[int, str]] = []
    for position, title in enumerate(header):
        if title in (architecture, "seed", "epoch"):
            continue
        match = _HEADER.fullmatch(title)
        if match is None:
            raise TableFormatError(f"column {title!r} is not written 'name [unit] (higher)' or 'name [unit] (lower)'")
        info = describe_metric(
            match["name"].strip(), dataset, match["unit"] or "", match["direction"] or "", "", higher, lower
        )
        if records.infos.setdefault(info.name, info) is not info:
            raise TableFormatError(f"two columns hold metric {info.name!r}")
        columns.append((position, info.name))
    if not columns:
        raise TableFormatError(f"there is no column with a metric, only {', '.join(header)}")
    for line, fields in lines:
        place = f"line {line}"
        seed = label(fields[at["seed"]] if "seed" in at else None, "seed", place, 0)
        epoch = label(fields[at["epoch"]] if "epoch" in at else None, "epoch", place, -1)
        records.architectures.append(fields[at[architecture]])
        records.places.append(place)
        for position, metric in columns:
            records.add(len(records.places) - 1, metric, seed, epoch, number(fields[position], metric, place))
