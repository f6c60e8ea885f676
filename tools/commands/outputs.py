"""Printing results: a table for people, CSV and JSON for programs."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from ...errors import ArchcastError, InvalidDataError


class Format(StrEnum):
    """How records are written."""

    table = "table"
    csv = "csv"
    json = "json"


def plain(value: Any) -> Any:
    """Return a value as JSON knows it: numpy scalars become Python's, NaN and infinities become null."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def print_json(value: Any) -> None:
    """Print one JSON document on standard output."""
    print(json.dumps(plain(value), indent=2, ensure_ascii=False))


def print_records(records: Sequence[Mapping[str, Any]], form: Format, *, title: str | None = None) -> None:
    """Print records with the same keys, as a table, CSV or a JSON list."""
    if form is Format.json:
        print_json(list(records))
    elif form is Format.csv:
        sys.stdout.write(as_csv(records))
    else:
        print_table(records, title=title)


def as_csv(records: Sequence[Mapping[str, Any]]) -> str:
    """Return records as CSV text with a header."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(records[0]) if records else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: "" if plain(value) is None else plain(value) for key, value in r.items()} for r in records)
    return stream.getvalue()


def print_table(records: Sequence[Mapping[str, Any]], *, title: str | None = None) -> None:
    """Print records as a table; plain tab-separated columns where standard output is not a terminal."""
    from rich.console import Console
    from rich.table import Table

    if not records:
        print("(nothing)")
        return
    if not sys.stdout.isatty():
        print("\t".join(records[0]))
        for record in records:
            print("\t".join(_show(value) for value in record.values()))
        return
    table = Table(title=title, title_justify="left")
    for key, value in records[0].items():
        numeric = isinstance(plain(value), (int, float)) and not isinstance(value, bool)
        table.add_column(key, justify="right" if numeric else "left", overflow="fold")
    for record in records:
        table.add_row(*(_show(value) for value in record.values()))
    Console().print(table)


def _show(value: Any) -> str:
    value = plain(value)
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(map(_show, value))
    return str(value)


def require_writable(path: Path) -> None:
    """Refuse a path that cannot be written, before anything long is computed for it.

    Raises
    ------
    ArchcastError
        If its folder does not exist or takes no files, or it is a folder itself.
    """
    if path.is_dir():
        raise ArchcastError(f"cannot write {path}: it is a folder")
    if not path.parent.is_dir():
        raise ArchcastError(f"cannot write {path}: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise ArchcastError(f"cannot write {path}: the folder {path.parent} is read-only")


def require_suffix(path: Path, expected: Sequence[str]) -> str:
    """Return the suffix of a path if it is one of those expected.

    Raises
    ------
    InvalidDataError
        Otherwise.
    """
    if path.suffix not in expected:
        raise InvalidDataError(f"expected a file name ending in {' or '.join(expected)}, got {path.name!r}")
    return path.suffix
