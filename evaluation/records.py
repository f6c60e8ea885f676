"""Finished runs as tidy data: one flat record a run, written as CSV, Parquet, JSON or JSON lines."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InvalidDataError
from ..files import write_whole
from ..optional import require
from .cache import json_line


@dataclass(frozen=True, repr=False)
class Records:
    """The records of some runs; subclasses know what they mean.

    Parameters
    ----------
    records : list of dict
        One a run, all with the same keys; values are numbers, text, None or lists of numbers.
    """

    records: list[dict[str, Any]]

    def __post_init__(self) -> None:
        if not self.records:
            raise InvalidDataError("expected at least one run, got none")

    def save(self, path: str | Path) -> Path:
        """Write the records as `.csv`, `.parquet`, `.json` or `.jsonl`, by the suffix of `path`, and return the path.

        Raises
        ------
        InvalidDataError
            For any other suffix.
        """
        target = Path(path)
        require_known_suffix(target)
        _WRITERS[target.suffix](self, target)
        return target

    def to_csv(self, path: str | Path | None = None) -> str:
        """Return the records as CSV with a header, NaN as empty cells; also write them to `path` if given."""
        stream = io.StringIO()
        # Runs out of an older cache may lack what newer ones tell.
        fields = dict.fromkeys(key for record in self.records for key in record)
        writer = csv.DictWriter(stream, list(fields), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _cell(value) for key, value in record.items()} for record in self.records)
        return _write_text(stream.getvalue(), path)

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the records as a JSON list, NaN as null; also write them to `path` if given."""
        return _write_text("[" + ",\n ".join(json_line(record) for record in self.records) + "]\n", path)

    def to_jsonl(self, path: str | Path | None = None) -> str:
        """Return the records as JSON lines, NaN as null; also write them to `path` if given."""
        return _write_text("".join(json_line(record) + "\n" for record in self.records), path)

    def to_parquet(self, path: str | Path) -> None:
        """Write the records as a Parquet file.

        Raises
        ------
        MissingDependencyError
            If pyarrow is not installed.
        """
        require_parquet()
        import pyarrow
        from pyarrow import parquet

        stream = io.BytesIO()
        parquet.write_table(pyarrow.Table.from_pylist(self.records), stream)
        write_whole(Path(path), stream.getvalue())

    def __str__(self) -> str:
        from rich.console import Console

        stream = io.StringIO()
        Console(file=stream, width=140, color_system=None).print(self)
        return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def require_known_suffix(path: Path) -> None:
    """Raise InvalidDataError unless results can be written under this name, MissingDependencyError without pyarrow."""
    if path.suffix not in _WRITERS:
        raise InvalidDataError(f"expected a file name ending in {', '.join(_WRITERS)}, got {path.name!r}")
    if path.suffix == ".parquet":
        require_parquet()


def require_parquet() -> None:
    """Raise MissingDependencyError if pyarrow is not installed."""
    require("pyarrow.parquet", "writing Parquet", "parquet")


_WRITERS: Mapping[str, Any] = {
    ".csv": Records.to_csv,
    ".parquet": Records.to_parquet,
    ".json": Records.to_json,
    ".jsonl": Records.to_jsonl,
}


def _cell(value: Any) -> Any:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return json.dumps(value) if isinstance(value, (bool, list)) else value


def _write_text(content: str, path: str | Path | None) -> str:
    if path is not None:
        write_whole(Path(path), content.encode())
    return content
