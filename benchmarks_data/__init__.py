"""Benchmark tables: published measurements of architectures, in one format."""

from __future__ import annotations

from pathlib import Path

from ..errors import InvalidDataError
from ..registry import Entry, Registry
from .schema import Column, MetricInfo
from .table import Table
from .writing import write_table

_SHIPPED = ".benchmarks_data.shipped:open_shipped"

TABLES = Registry(
    "table",
    {
        "nasbench201": Entry(
            _SHIPPED,
            "NAS-Bench-201: 15,625 cells on CIFAR-10, CIFAR-100, ImageNet16-120",
            {"name": "nasbench201"},
        ),
    },
)
register_table = TABLES.register


def load_table(name_or_path: str | Path) -> Table:
    """Open a benchmark table.

    Parameters
    ----------
    name_or_path : str or Path
        A registered name (`archcast table list` shows all), or the path of an `.h5` file.

    Returns
    -------
    Table
        Opening reads attributes only, a few milliseconds whatever the size.

    Raises
    ------
    UnknownNameError
        If it is neither a registered name nor looks like a path.
    TableFormatError
        If the file is no readable table.
    """
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or (
        text not in TABLES and ("/" in text or "\\" in text or text.endswith((".h5", ".hdf5")) or Path(text).is_file())
    ):
        return Table(name_or_path)
    table = TABLES.create(text)
    if not isinstance(table, Table):
        raise InvalidDataError(f"table {text!r} is registered with a {type(table).__name__}, expected a Table")
    return table


__all__ = ["TABLES", "Column", "MetricInfo", "Table", "load_table", "register_table", "write_table"]
