"""Importers: published formats in, one table file out."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import InvalidDataError
from ...registry import Entry, Registry
from ...spaces import ArchitecturesLike, SearchSpace
from ..schema import Column
from ..table import Table
from ..writing import write_table

IMPORTERS = Registry(
    "importer",
    {
        "nasbench201": Entry(
            ".benchmarks_data.importers.nasbench201:read_nasbench201", "NAS-Bench-201 accuracies as CSV (.csv, .csv.gz)"
        ),
        "nasbench_graph": Entry(
            ".benchmarks_data.importers.nasbench_graph:read_nasbench_graph",
            "NAS-Bench-Graph, official light format (.bench, .bench.xz)",
        ),
        "accel_nasbench": Entry(
            ".benchmarks_data.importers.accel_nasbench:read_accel_nasbench",
            "Accel-NASBench, tar archive of JSON results (.tar.gz)",
        ),
        "nasbench_nlp": Entry(
            ".benchmarks_data.importers.nasbench_nlp:read_nasbench_nlp",
            "NAS-Bench-NLP, zip archive of training logs (.zip)",
        ),
        "nasbench_macro": Entry(
            ".benchmarks_data.importers.nasbench_macro:read_nasbench_macro", "NAS-Bench-Macro, official JSON"
        ),
        "csv": Entry(".benchmarks_data.importers.generic_csv:read_csv", "your own measurements as CSV"),
        "json": Entry(
            ".benchmarks_data.importers.generic_json:read_json", "your own measurements as JSON, or an exported table"
        ),
    },
)
register_importer = IMPORTERS.register


@dataclass(frozen=True)
class Imported:
    """What an importer makes of a source: everything that goes into the table file.

    Parameters
    ----------
    space : SearchSpace
    architectures : Architectures, or native notations
        Distinct, one a row.
    columns : sequence of Column
    about : mapping of str to str
        See `write_table`; `conversion` is filled in by `import_table`.
    """

    space: SearchSpace
    architectures: ArchitecturesLike
    columns: Sequence[Column]
    about: Mapping[str, str] = field(default_factory=dict)


def import_table(format: str, source: str | Path, target: str | Path, **options: Any) -> Table:
    """Convert a published file into a table file.

    Parameters
    ----------
    format : str
        The name of an importer; `archcast list importers` shows all.
    source : str or Path
        The file to convert.
    target : str or Path
        The `.h5` file to write; it appears once it is complete.
    **options
        What the importer takes besides.

    Returns
    -------
    Table
        The table written.

    Raises
    ------
    UnknownNameError
        If there is no such importer.
    TableFormatError
        If the source cannot be read as that format.
    InvalidDataError
        If its contents contradict themselves, or the importer does not take an option.
    """
    reader = IMPORTERS.factory(format)
    path = Path(source)
    if not path.is_file():
        raise InvalidDataError(f"there is no file {str(path)!r} to import")
    accepted = list(inspect.signature(reader).parameters)[1:]
    for option in options:
        if option not in accepted:
            raise InvalidDataError(
                f"importer {format!r} has no option {option!r}, expected one of {', '.join(accepted) or 'none'}"
            )
    imported = reader(path, **options)
    if not isinstance(imported, Imported):
        raise InvalidDataError(f"importer {format!r} gave a {type(imported).__name__}, expected an Imported")
    command = f"archcast table import {format} {path.name} {Path(target).name}"
    about = {"conversion": command, "name": Path(target).stem} | dict(imported.about)
    return Table(write_table(target, imported.space, imported.architectures, imported.columns, about=about))


__all__ = ["IMPORTERS", "Imported", "import_table", "register_importer"]
