"""Benchmark tables: published measurements of architectures, in one format."""

from __future__ import annotations

from pathlib import Path

from ..errors import TableFormatError
from ..registry import Entry, Registry
from .observation import Observation, write_observations
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
        "nasbench_graph_cora": Entry(
            _SHIPPED, "NAS-Bench-Graph: 26,206 graph neural networks on cora", {"name": "nasbench_graph_cora"}
        ),
        "nasbench_graph_citeseer": Entry(
            _SHIPPED, "NAS-Bench-Graph: 26,206 graph neural networks on citeseer", {"name": "nasbench_graph_citeseer"}
        ),
        "nasbench_graph_pubmed": Entry(
            _SHIPPED, "NAS-Bench-Graph: 26,206 graph neural networks on pubmed", {"name": "nasbench_graph_pubmed"}
        ),
        "nasbench_graph_arxiv": Entry(
            _SHIPPED, "NAS-Bench-Graph: 26,206 graph neural networks on arxiv", {"name": "nasbench_graph_arxiv"}
        ),
        "nasbench_graph_proteins": Entry(
            _SHIPPED, "NAS-Bench-Graph: 2,021 graph neural networks on proteins", {"name": "nasbench_graph_proteins"}
        ),
        "accel_nasbench": Entry(
            _SHIPPED,
            "Accel-NASBench: 5,125 MnasNet-like chains on ImageNet, with speed on six accelerators",
            {"name": "accel_nasbench"},
        ),
        "nasbench_nlp": Entry(
            _SHIPPED, "NAS-Bench-NLP: learning curves of 277 recurrent cells on WikiText-2", {"name": "nasbench_nlp"}
        ),
        "mnist1d_nasbench201": Entry(
            _SHIPPED,
            "6,466 NAS-Bench-201 cells on MNIST-1D, trained by archcast: 4 seeds, curves, proxies",
            {"name": "mnist1d_nasbench201"},
        ),
    },
)
register_table = TABLES.register

SURROGATE = ".surrogate"
"""The suffix of files that stand for a table, which rooms above this one open."""


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
        If the file is no readable table, or is a surrogate benchmark.
    """
    text = str(name_or_path)
    if text.endswith(SURROGATE):
        raise TableFormatError(
            f"{text!r} is a surrogate benchmark, which answers queries and has no rows: expected a table here; "
            "archcast.load_surrogate_table opens it"
        )
    if isinstance(name_or_path, Path) or (
        text not in TABLES and ("/" in text or "\\" in text or text.endswith((".h5", ".hdf5")) or Path(text).is_file())
    ):
        return Table(name_or_path)
    return TABLES.make(Table, text)


__all__ = [
    "SURROGATE",
    "TABLES",
    "Column",
    "MetricInfo",
    "Observation",
    "Table",
    "load_table",
    "register_table",
    "write_observations",
    "write_table",
]
