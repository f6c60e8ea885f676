"""Opening a table and answering 10,000 random lookups, against parsing the file that was published.

A lookup is what a search does: architectures in any order, found by their genotypes (each match compared gene by
gene), one metric at one epoch. Each measurement starts from nothing: the table is opened anew, nothing is cached.
The published file is parsed into Python objects once, without answering anything. The generated tables show how the
cost grows with the number of rows; they have 3 seeds and 4 epochs, like the published NAS-Bench-101.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ...benchmarks_data import Column, MetricInfo, load_table, write_table
from ...benchmarks_data.importers import IMPORTERS
from ...spaces import Architectures, get_space
from .measurement import Measurement, best_of

LOOKUPS = 10_000
LIMIT = 0.05
SIZES = (10_000, 100_000, 1_000_000)
PUBLISHED = {
    "nasbench201": ("nasbench201", "nasbench201/nasbench201.csv.gz", "cifar10/test_accuracy"),
    "nasbench_graph_arxiv": ("nasbench_graph", "nasbench_graph/arxiv.bench.xz", "arxiv/test_accuracy"),
    "accel_nasbench": ("accel_nasbench", "accel_nasbench/anb_dataset_jsons.tar.gz", "imagenet/top1"),
    "nasbench_nlp": ("nasbench_nlp", "nasbench_nlp/wikitext2_logs.zip", "wikitext2/valid_loss"),
}
REPEATS = 5


def raw_data() -> Path | None:
    """Return the folder of the published files: `ARCHCAST_RAW_DATA`, or `shared/data` beside the repository."""
    folder = Path(os.environ.get("ARCHCAST_RAW_DATA") or Path(__file__).parents[3] / "shared" / "data")
    return folder if folder.is_dir() else None


def measure(sizes: Sequence[int] = SIZES) -> Iterator[Measurement]:
    """Measure the shipped tables, then generated ones of `sizes` rows."""
    raw = raw_data()
    for name, (importer, source, metric) in PUBLISHED.items():
        parse = None
        if raw is not None:
            parse = best_of(partial(IMPORTERS.factory(importer), raw / source), repeats=1)
        yield measure_table(name, metric, parse)
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            path = Path(folder) / f"{size}.h5"
            generate(path, size)
            yield measure_table(str(path), "generated/score", None)
            path.unlink()


def measure_table(name_or_path: str, metric: str, parse: float | None) -> Measurement:
    """Measure one table: the best of five attempts, each from the closed file."""
    table = load_table(name_or_path)
    rows = np.random.default_rng(0).integers(0, len(table), LOOKUPS)
    wanted = table.architectures[rows]
    expected = table.values(metric)[rows]

    def lookup() -> None:
        found = load_table(name_or_path).query(wanted, metric)
        if not np.array_equal(found, expected, equal_nan=True):
            raise AssertionError(f"lookups in {name_or_path} gave other values than the column")

    opened = best_of(partial(load_table, name_or_path), REPEATS)
    label = table.name if not Path(name_or_path).is_absolute() else "(generated)"
    return Measurement(
        f"{LOOKUPS:,} lookups {label}",
        len(table),
        best_of(lookup, REPEATS),
        "parsing the published file",
        parse,
        limit=LIMIT,
        note=f"opening alone {1e3 * opened:.1f} ms",
    )


def generate(path: Path, size: int) -> None:
    """Write a table of random cells of 7 nodes with 3 operations on every edge (21 genes)."""
    space = get_space("cell", operations_on="edges", nodes=7, operations=["none", "conv", "pool"])
    rng = np.random.default_rng(size)
    genotypes = np.unique(rng.integers(0, 3, (size + size // 50, space.dimension), dtype=np.int16), axis=0)[:size]
    batch = Architectures(space, rng.permutation(genotypes))
    values = rng.normal(90, 3, (len(batch), 3, 4)).round(4)
    info = MetricInfo("generated/score", "%", epochs=(4, 12, 36, 108), seeds=(0, 1, 2))
    write_table(path, space, batch, [Column(info, values)])
