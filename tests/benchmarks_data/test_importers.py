from __future__ import annotations

import gzip
import io
import json
import lzma
import os
import pickle
import tarfile
import zipfile

import archcast as ac
import numpy as np
import pytest
from archcast.benchmarks_data.importers import IMPORTERS, Imported, import_table, register_importer
from archcast.errors import (
    InvalidArchitectureError,
    InvalidDataError,
    TableFormatError,
    UnknownNameError,
    UnsafeFileError,
)

HEADER = (
    "index,arch,canonical_index,cifar10_200ep_test,cifar10_200ep_train,cifar10_12ep_valid,cifar10_12ep_test,"
    "cifar100_12ep_valid,cifar100_12ep_test,imagenet16_12ep_valid,imagenet16_12ep_test\n"
)
CELLS = ["|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", "|none~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|"]


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# ---- NAS-Bench-201 --------------------------------------------------------------------------------------------------


def test_nasbench201(tmp_path):
    text = HEADER + f"0,{CELLS[0]},0,10.0,10.5,11,69.55,1,1.5,0.8333,0.9\n1,{CELLS[1]},1,94.3733,,12,70,2,3,4,5\n"
    source = write(tmp_path / "n.csv.gz", gzip.compress(text.encode()))
    table = import_table("nasbench201", source, tmp_path / "n.h5")
    assert table.architectures.strings() == CELLS
    assert table.values("cifar10/test_accuracy", epoch="all").tolist() == [[69.55, 10.0], [70.0, 94.3733]]
    assert np.isnan(table.values("cifar10/train_accuracy")[1])  # an empty field is missing
    assert table.info("cifar10/test_accuracy").epochs == (12, 200)
    assert "not two points of one curve" in table.info("cifar10/test_accuracy").note
    assert table.about["conversion"] == "archcast table import nasbench201 n.csv.gz n.h5"


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("", TableFormatError, "is empty"),
        ("arch,accuracy\n", TableFormatError, "no column 'cifar10_12ep_test'"),
        (HEADER + f"0,{CELLS[0]},0,high,1,1,1,1,1,1,1\n", TableFormatError, "'cifar10_200ep_test' .* than numbers"),
        (HEADER + f"0,{CELLS[0]},0,1\n", TableFormatError, "row 0 .* too few or too many fields"),
        (HEADER + "0,|conv~0|,0,1,1,1,1,1,1,1,1\n", InvalidArchitectureError, "architecture 0"),
        (HEADER + f"0,{CELLS[0]},0,inf,1,1,1,1,1,1,1\n", InvalidDataError, "infinite in row 0"),
        (HEADER + f"0,{CELLS[0]},0,1,1,1,1,1,1,1,1\n" * 2, InvalidDataError, "rows 0 and 1 are the same"),
        (HEADER, InvalidDataError, "at least one architecture"),
        (b"\xff\xfe\xfa", TableFormatError, "not UTF-8"),
        (gzip.compress(HEADER.encode() * 50)[:60], TableFormatError, "truncated or corrupt"),
    ],
)
def test_nasbench201_faults(tmp_path, text, error, said):
    source = write(tmp_path / "n.csv", text)
    with pytest.raises(error, match=said):
        import_table("nasbench201", source, tmp_path / "n.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["n.csv"]


# ---- NAS-Bench-Graph ------------------------------------------------------------------------------------------------

ENTRY = {"valid_perf": 0.7733333333333334, "perf": 0.797, "latency": 0.0059, "para": np.float64(1.736711)}


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("compress", [bytes, lzma.compress])
def test_nasbench_graph(tmp_path, protocol, compress):
    bench = {30178: ENTRY, 10000: {**ENTRY, "perf": np.float64(0.5)}}
    source = write(tmp_path / "cora.bench", compress(pickle.dumps(bench, protocol)))
    table = import_table("nasbench_graph", source, tmp_path / "g.h5")
    assert table.architectures == table.space.parse(["0012:gat-gcn-fc-skip", "0001:gat-gat-gat-gat"])
    np.testing.assert_allclose(table.values("cora/test_accuracy"), [0.797, 0.5], rtol=6e-8)
    assert table.values("cora/parameters").tolist() == [1.736711] * 2
    assert not table.is_higher_better("cora/latency") and table.info("cora/latency").unit == "s"


def test_nasbench_graph_proteins_has_its_own_space_and_score(tmp_path):
    source = write(tmp_path / "any.bench", pickle.dumps({1111: ENTRY}))
    table = import_table("nasbench_graph", source, tmp_path / "g.h5", dataset="proteins")
    assert table.space.name == "nasbench_graph_proteins" and "proteins/test_roc_auc" in table.metrics


class Evil:
    def __reduce__(self):
        return os.system, ("touch was_here",)


@pytest.mark.parametrize(
    ("bench", "error", "said"),
    [
        ({1: Evil()}, UnsafeFileError, r"system"),
        ([1], TableFormatError, "holds a list"),
        ({}, TableFormatError, "holds a dict"),
        ({1: {"perf": 1}}, TableFormatError, "entry 1 .* is not an integer hash with valid_perf"),
        ({"a": ENTRY}, TableFormatError, "entry 'a'"),
        ({1: {**ENTRY, "perf": "high"}}, TableFormatError, "'perf' .* must be a number, got 'high'"),
        ({99999: ENTRY}, InvalidArchitectureError, "architecture 0"),
        ({1: {**ENTRY, "perf": np.inf}}, InvalidDataError, "infinite"),
    ],
)
def test_nasbench_graph_faults(tmp_path, monkeypatch, bench, error, said):
    monkeypatch.chdir(tmp_path)
    source = write(tmp_path / "cora.bench", pickle.dumps(bench))
    with pytest.raises(error, match=said):
        import_table("nasbench_graph", source, tmp_path / "g.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["cora.bench"]


# ---- Accel-NASBench -------------------------------------------------------------------------------------------------


def network(expansion=1, top1=60.0, latency=5.0):
    block = {"e": expansion, "k": 3, "l": 1, "se": False}
    speed = {f"throughput_{d}": {"throughput_mean": 100.5, "throughput_std": None} for d in ("a100", "zcu102")}
    return {
        "architecture": {f"block{b}_{key}": value for b in range(7) for key, value in block.items()},
        "metrics": {"val_top1": top1, "val_top5": 80.0, "train_time": 2000.0},
        "model_info": {"macs": 415.361072, "params": 2.50116},
        "platform_perf": {**speed, "latency_zcu102": {"latency_mean": latency, "latency_std": None}},
    }


def tar(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def test_accel_nasbench(tmp_path):
    files = {
        "r/result_10.json": network(1, 61.0, None),
        "r/result_2.json": network(4, 62.0),
        "r/result_1.json": network(1, 60.0),
        "r/readme.txt": b"hello",
    }
    table = import_table("accel_nasbench", tar(tmp_path / "a.tar.gz", files), tmp_path / "a.h5")
    assert len(table) == 2 and table.architectures[0] == table.space.parse([network(1)["architecture"]])[0]
    assert table.info("imagenet/top1").seeds == (0, 1)
    np.testing.assert_array_equal(table.values("imagenet/top1", seed="all"), [[60, 61], [62, np.nan]])
    np.testing.assert_array_equal(table.values("zcu102/latency"), [5, 5])  # the missing second measurement is left out
    assert table.values("model/macs").tolist() == [415.361072] * 2
    assert "a100/throughput_std" not in table.metrics and table.is_higher_better("a100/throughput")
    np.testing.assert_array_equal(table.costs, [2000, 2000])


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "no .json file"),
        ({"result_0.json": b"{"}, "'result_0.json' in the archive is not JSON"),
        ({"result_0.json": [1]}, "has no 'architecture'"),
        ({"result_0.json": {**network(), "metrics": {"val_top1": "x"}}}, "metrics.val_top1 of 'result_0.json'"),
    ],
)
def test_accel_nasbench_faults(tmp_path, files, said):
    with pytest.raises(TableFormatError, match=said):
        import_table("accel_nasbench", tar(tmp_path / "a.tar.gz", files), tmp_path / "a.h5")


def test_broken_archives(tmp_path):
    whole = tar(tmp_path / "a.tar.gz", {f"result_{i}.json": network() for i in range(50)}).read_bytes()
    for name, content in (("cut.tar.gz", whole[: len(whole) // 2]), ("no.tar", b"hello" * 300)):
        with pytest.raises(TableFormatError, match=r"truncated or corrupt|not a readable tar|no \.json"):
            import_table("accel_nasbench", write(tmp_path / name, content), tmp_path / "a.h5")
    with pytest.raises(TableFormatError, match="not a readable zip"):
        import_table("nasbench_nlp", write(tmp_path / "x.zip", b"hello"), tmp_path / "a.h5")


# ---- NAS-Bench-NLP --------------------------------------------------------------------------------------------------


def log(number, node="f", losses=(5.0, 4.0, 3.0), start="2020-04-28", **changes):
    recipe = {
        node: {"op": "linear", "input": ["x", "h_prev_0"]},
        "h_new_0": {"op": f"activation_{'tanh' if number < 2 else 'sigm'}", "input": [node]},
    }
    curve = list(losses)
    entry = {
        "data": "data/wikitext-2", "recepie": json.dumps(recipe), "recepie_id": number, "init_time": start,
        "num_params": 15066078, "wall_times": [10.0] * len(curve), "train_losses": curve, "val_losses": curve,
        "test_losses": [loss + 1 for loss in curve], "status": "OK",
    }  # fmt: skip
    return entry | changes


def zipped(path, logs):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in logs.items():
            archive.writestr(name, content if isinstance(content, bytes) else json.dumps(content))
    return path


def test_nasbench_nlp(tmp_path):
    logs = {
        "b.json": log(1, "g", (6.0, 5.0, 4.0), "2020-05-01"),  # the same cell under another number and node name
        "a.json": log(0),
        "c.json": log(2, losses=(9.0, float("nan"))),
    }
    table = import_table("nasbench_nlp", zipped(tmp_path / "l.zip", logs), tmp_path / "l.h5")
    assert len(table) == 2 and table.info("wikitext2/valid_loss").seeds == (0, 1)
    assert table.info("wikitext2/valid_loss").epochs == (1, 2, 3)
    nan = np.nan
    np.testing.assert_array_equal(table.values("wikitext2/valid_loss", epoch="all", seed=1), [[6, 5, 4], [nan] * 3])
    np.testing.assert_array_equal(table.values("wikitext2/test_loss", epoch="all")[1], [10, nan, nan])
    np.testing.assert_array_equal(table.values("wikitext2/train_time", epoch="all"), [[10, 20, 30], [10, 20, nan]])
    assert not table.is_higher_better("wikitext2/valid_loss")
    np.testing.assert_array_equal(table.values("model/parameters"), [15.066078] * 2)
    np.testing.assert_array_equal(table.costs, [30, nan])


@pytest.mark.parametrize(
    ("logs", "error", "said"),
    [
        ({}, TableFormatError, "no .json log"),
        ({"a.json": b"{"}, TableFormatError, "'a.json' in the archive is not JSON"),
        ({"a.json": {"data": "x"}}, TableFormatError, "not a training log: it has no 'recepie'"),
        ({"a.json": log(0, val_losses=[1.0])}, TableFormatError, "must be lists of one length"),
        ({"a.json": log(0, val_losses=["x"] * 3)}, TableFormatError, "'val_losses' of recipe 0"),
        ({"a.json": log(0), "b.json": log(2, data="data/ptb")}, TableFormatError, "different data: ptb, wikitext2"),
        ({"a.json": log(0, recepie="{}")}, InvalidArchitectureError, "architecture 0"),
    ],
)
def test_nasbench_nlp_faults(tmp_path, logs, error, said):
    with pytest.raises(error, match=said):
        import_table("nasbench_nlp", zipped(tmp_path / "l.zip", logs), tmp_path / "l.h5")


# ---- NAS-Bench-Macro ------------------------------------------------------------------------------------------------


def test_nasbench_macro(tmp_path):
    bench = {
        "00000000": {"test_acc": [88.1, 88.3], "mean_acc": 88.2, "std": 0.1, "params": 1_234_567, "flops": 10_000_000},
        "21000102": {"test_acc": [93.13, 92.5, 92.75], "mean_acc": 92.8, "std": 0.2, "params": 3, "flops": None},
    }
    table = import_table("nasbench_macro", write(tmp_path / "m.json", json.dumps(bench)), tmp_path / "m.h5")
    assert table.architectures.strings() == list(bench)
    accuracy = table.values("cifar10/test_accuracy", seed="all")
    np.testing.assert_array_equal(accuracy, [[88.1, 88.3, np.nan], [93.13, 92.5, 92.75]])
    np.testing.assert_allclose(table.values("cifar10/test_accuracy"), [88.2, 92.79333], atol=1e-5)
    assert table.values("model/parameters").tolist() == [1.234567, 3e-6]
    assert np.isnan(table.values("model/flops")[1])


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("[]", TableFormatError, "not a JSON object"),
        ("{", TableFormatError, "is not JSON"),
        ('{"00000000": {"mean_acc": 3}}', TableFormatError, "entry '00000000' .* no list 'test_acc'"),
        ('{"00000000": {"test_acc": ["x"]}}', TableFormatError, "'test_acc' of '00000000' must be a number"),
        ('{"00000003": {"test_acc": [1], "params": 1, "flops": 1}}', InvalidArchitectureError, "architecture 0"),
    ],
)
def test_nasbench_macro_faults(tmp_path, text, error, said):
    with pytest.raises(error, match=said):
        import_table("nasbench_macro", write(tmp_path / "m.json", text), tmp_path / "m.h5")


# ---- the registry ---------------------------------------------------------------------------------------------------


def test_import_table_refuses(tmp_path):
    source = write(tmp_path / "x", "x")
    with pytest.raises(UnknownNameError, match=r"unknown importer 'nasbench2011'.*did you mean 'nasbench201'"):
        import_table("nasbench2011", source, tmp_path / "x.h5")
    with pytest.raises(InvalidDataError, match="there is no file"):
        import_table("csv", tmp_path / "none.csv", tmp_path / "x.h5")
    with pytest.raises(InvalidDataError, match="has no option 'spce', expected one of space, higher"):
        import_table("csv", source, tmp_path / "x.h5", spce="nasbench201")


def test_a_registered_importer(tmp_path):
    from archcast.benchmarks_data import Column, MetricInfo

    @register_importer("importer_for_a_test")
    def read(source, scale=1.0):
        space = ac.get_space("nasbench201")
        values = np.array([float(source.read_text()) * scale])
        return Imported(space, space.parse([[0] * 6]), [Column(MetricInfo("a/b"), values)], {"licence": "MIT"})

    try:
        source = write(tmp_path / "x.txt", "2.5")
        table = import_table("importer_for_a_test", source, tmp_path / "x.h5", scale=2)
        assert table.values("a/b").tolist() == [5.0] and table.about["licence"] == "MIT" and table.name == "x"
    finally:
        del IMPORTERS._registered["importer_for_a_test"]
