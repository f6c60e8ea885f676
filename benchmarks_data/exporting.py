"""Tables as tidy CSV and as JSON, in the forms that the importers `csv` and `json` read."""

from __future__ import annotations

import contextlib
import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from ..files import replacing

if TYPE_CHECKING:
    from .table import Table

CSV_COLUMNS = ("architecture", "metric", "seed", "epoch", "value", "unit", "direction")
JSON_FORMAT = "archcast table json"


def export_csv(table: Table, path: str | Path) -> Path:
    """Write one line per architecture, metric, seed and epoch that has a value; see `Table.to_csv`."""
    strings = table.architectures.strings()
    with _replacing(Path(path)) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(CSV_COLUMNS)
        for name, info in table.metrics.items():
            values = table.values(name, epoch="all", seed="all")
            for row, seed, epoch in np.argwhere(~np.isnan(values)).tolist():
                at = info.epochs[epoch] if info.epochs else ""
                number = repr(float(values[row, seed, epoch]))
                writer.writerow((strings[row], name, info.seeds[seed], at, number, info.unit, info.direction))
    return Path(path)


def export_json(table: Table, path: str | Path) -> Path:
    """Write one object with the space, the architectures and all metrics with their meaning; see `Table.to_json`."""
    document: dict[str, Any] = {
        "format": JSON_FORMAT,
        "about": table.about,
        "space": table.space.spec,
        "architectures": table.architectures.strings(),
        "metrics": {
            name: {
                "unit": info.unit,
                "direction": info.direction,
                "note": info.note,
                "seeds": list(info.seeds),
                "epochs": list(info.epochs),
                "values": _without_nan(table.values(name, epoch="all", seed="all").tolist()),
            }
            for name, info in table.metrics.items()
        },
    }
    with _replacing(Path(path)) as file:
        json.dump(document, file, allow_nan=False)
    return Path(path)


def _without_nan(values: Any) -> Any:
    if isinstance(values, list):
        return [_without_nan(value) for value in values]
    return None if math.isnan(values) else values


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[TextIO]:
    """Write a text file that appears under its name only once it is complete."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        yield file
