"""The shipped tables follow from the published files, value by value."""

from __future__ import annotations

import csv
import gzip
import json
import lzma
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from archcast.benchmarks_data import load_table
from archcast.benchmarks_data.importers import import_table
from archcast.benchmarks_data.safe_pickle import safe_load

ROOT = Path(__file__).parents[2]
RAW = Path(os.environ.get("ARCHCAST_RAW_DATA") or ROOT.parent / "shared" / "data")
SOURCES = {
    "nasbench201": ("nasbench201", "nasbench201/nasbench201.csv.gz"),
    **{
        f"nasbench_graph_{data}": ("nasbench_graph", f"nasbench_graph/{data}.bench.xz")
        for data in ("cora", "citeseer", "pubmed", "arxiv", "proteins")
    },
    "accel_nasbench": ("accel_nasbench", "accel_nasbench/anb_dataset_jsons.tar.gz"),
    "nasbench_nlp": ("nasbench_nlp", "nasbench_nlp/wikitext2_logs.zip"),
}

pytestmark = pytest.mark.skipif(not RAW.is_dir(), reason=f"no published files in {RAW}")


@pytest.mark.parametrize("name", SOURCES)
def test_rebuilding_gives_the_shipped_table(tmp_path, name):
    importer, source = SOURCES[name]
    rebuilt = import_table(importer, RAW / source, tmp_path / f"{name}.h5")
    shipped = load_table(name)
    assert rebuilt.architectures == shipped.architectures
    assert rebuilt.metrics == shipped.metrics and rebuilt.about == shipped.about
    for metric in shipped.metrics:
        np.testing.assert_array_equal(
            rebuilt.values(metric, epoch="all", seed="all"), shipped.values(metric, epoch="all", seed="all")
        )


def test_nasbench201_holds_the_published_digits_and_classes():
    with gzip.open(RAW / SOURCES["nasbench201"][1], "rt") as file:
        rows = list(csv.DictReader(file))
    table = load_table("nasbench201")
    assert table.architectures.strings() == [row["arch"] for row in rows]
    for metric, epoch, column in (
        ("cifar10/test_accuracy", 200, "cifar10_200ep_test"),
        ("cifar10/test_accuracy", 12, "cifar10_12ep_test"),
        ("imagenet16/valid_accuracy", 12, "imagenet16_12ep_valid"),
    ):
        assert table.values(metric, epoch=epoch).tolist() == [float(row[column]) for row in rows]
    published = np.array([int(row["canonical_index"]) for row in rows])
    first = np.unique(table.canonical_keys, return_index=True, return_inverse=True)
    np.testing.assert_array_equal(published[first[1]][first[2]], published)  # the same partition: one label a class
    assert len(np.unique(published)) == len(first[0]) == 6_466


@pytest.mark.parametrize("data", ["cora", "proteins"])
def test_nasbench_graph_against_the_pickle(data):
    with lzma.open(RAW / "nasbench_graph" / f"{data}.bench.xz") as file:
        bench = safe_load(file)
    table = load_table(f"nasbench_graph_{data}")
    score = "roc_auc" if data == "proteins" else "accuracy"
    for metric, key, exact in (
        (f"test_{score}", "perf", False),
        (f"valid_{score}", "valid_perf", False),
        ("latency", "latency", False),
        ("parameters", "para", True),
    ):
        published = np.array([entry[key] for entry in bench.values()])
        found = table.query([int(key) for key in bench], f"{data}/{metric}")
        np.testing.assert_allclose(found, published, rtol=6e-8)
        if exact:
            np.testing.assert_array_equal(found, np.round(published, 6))


def test_accel_nasbench_against_the_archive():
    with tarfile.open(RAW / SOURCES["accel_nasbench"][1]) as archive:
        document = json.load(archive.extractfile("./anb_dataset_jsons/result_443.json"))
    table = load_table("accel_nasbench")
    # file 443 measured the network of file 0 again
    assert table.query([document["architecture"]], "imagenet/top1", seed=1).tolist() == [
        document["metrics"]["val_top1"]
    ]
    assert table.rows([document["architecture"]]).tolist() == [0]


def test_nasbench_nlp_against_the_logs():
    table = load_table("nasbench_nlp")
    with zipfile.ZipFile(RAW / SOURCES["nasbench_nlp"][1]) as archive:
        logs = [json.loads(archive.read(name)) for name in archive.namelist()]
    rows = table.rows([log["recepie"] for log in logs])
    curves = table.values("wikitext2/test_loss", epoch="all", seed="all")[rows]
    for log, seeds in zip(logs, curves, strict=True):
        length = len(log["test_losses"])
        with np.errstate(invalid="ignore"):
            matches = [np.allclose(c[:length], log["test_losses"], rtol=6e-8, equal_nan=True) for c in seeds]
        assert any(matches)
