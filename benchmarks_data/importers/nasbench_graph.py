"""NAS-Bench-Graph in its official light format: a pickled dict from hash to four numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import TableFormatError
from ...spaces import get_space
from ..safe_pickle import safe_load
from ..schema import Column, MetricInfo
from . import Imported
from .files import open_binary

_KEYS = ("valid_perf", "perf", "latency", "para")
_ROC_AUC = {"proteins"}
"""Data sets measured by the area under the ROC curve; all others by accuracy."""

_NOTE = "mean over 3 seeds"

_ABOUT = {
    "source": "github.com/THUMNLab/NAS-Bench-Graph@be42534b, nas-bench-graph/light",
    "licence": "Apache-2.0",
    "citation": "Qin, Zhang, Wang, Zhang and Zhu. NAS-Bench-Graph: Benchmarking Graph Neural Architecture Search. "
    "NeurIPS 2022 Datasets and Benchmarks.",
}


def read_nasbench_graph(source: Path, dataset: str | None = None) -> Imported:
    """Read a `.bench` file, also compressed (`.bench.xz`): `{hash: {valid_perf, perf, latency, para}}`.

    Parameters
    ----------
    source : Path
    dataset : str, optional
        Its name, e.g. `"cora"`; by default the file's name up to the first dot. `proteins` has a space of its own.

    Raises
    ------
    UnsafeFileError
        If the pickle names anything but plain data.
    TableFormatError
        If it holds something else than the light format.
    """
    dataset = dataset or source.name.partition(".")[0]
    with open_binary(source) as file:
        bench = safe_load(file)
    if not isinstance(bench, Mapping) or not bench:
        raise TableFormatError(f"{str(source)!r} holds a {type(bench).__name__}, expected a dict from hash to numbers")
    rows = list(bench.values())
    for key, row in bench.items():
        if not isinstance(key, (int, np.integer)) or not isinstance(row, Mapping) or not set(_KEYS) <= set(row):
            raise TableFormatError(
                f"entry {key!r} of {str(source)!r} is not an integer hash with {', '.join(_KEYS)}: {row!r:.200}"
            )

    def column(key: str) -> NDArray[np.float64]:
        return np.array([_number(source, row, key) for row in rows])

    counts = np.round(column("para"), 6)  # whole numbers over a million, published with the noise of a float sum
    if not np.allclose(counts, column("para"), rtol=1e-12, atol=0):
        counts = column("para")
    space = get_space("nasbench_graph_proteins" if dataset in _ROC_AUC else "nasbench_graph")
    score = "roc_auc" if dataset in _ROC_AUC else "accuracy"
    columns = [
        Column(MetricInfo(f"{dataset}/valid_{score}", "fraction", "higher", _NOTE), column("valid_perf"), single=True),
        Column(MetricInfo(f"{dataset}/test_{score}", "fraction", "higher", _NOTE), column("perf"), single=True),
        Column(
            MetricInfo(f"{dataset}/latency", "s", "lower", "one inference, mean over 3 seeds"),
            column("latency"),
            single=True,
        ),
        Column(MetricInfo(f"{dataset}/parameters", "million", "lower", "trainable parameters"), counts),
    ]
    about = {**_ABOUT, "description": f"NAS-Bench-Graph, {dataset}: graph neural networks on node classification"}
    return Imported(space, space.parse([int(key) for key in bench]), columns, about)


def _number(source: Path, row: Mapping[str, Any], key: str) -> float:
    value = row[key]
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TableFormatError(f"{key!r} in {str(source)!r} must be a number, got {value!r:.100}")
    return float(value)
