from __future__ import annotations

import json

import archcast as ac
import numpy as np
import pytest
from archcast.benchmarks_data import load_table
from archcast.benchmarks_data.importers import import_table
from archcast.errors import (
    ArchcastError,
    InvalidArchitectureError,
    InvalidDataError,
    TableFormatError,
    UnknownNameError,
)

A = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
B = "|none~0|+|none~0|none~1|+|none~0|none~1|skip_connect~2|"


def read_csv(tmp_path, text, name="mine.csv", **options):
    (tmp_path / name).write_text(text)
    return import_table("csv", tmp_path / name, tmp_path / "mine.h5", **({"space": "nasbench201"} | options))


def read_json(tmp_path, document, **options):
    (tmp_path / "mine.json").write_text(json.dumps(document))
    return import_table("json", tmp_path / "mine.json", tmp_path / "mine.h5", **options)


def test_wide_csv(tmp_path):
    text = (
        "architecture,seed,epoch,acc [%] (higher),toy/loss (lower),seconds [s] (lower)\n"
        f"{A},0,1,50.5,0.5,10\n{A},0,2,60.25,,20\n\n{B},0,1,nan,0.25,10\n{B},3,2,70,0.125,\n"
    )
    table = read_csv(tmp_path, text)
    nan = np.nan
    assert table.architectures.strings() == [A, B]
    assert {name: info.unit for name, info in table.metrics.items()} == {
        "mine/acc": "%",
        "mine/seconds": "s",
        "toy/loss": "",
    }
    info = table.info("mine/acc")
    assert (info.seeds, info.epochs, info.direction) == ((0, 3), (1, 2), "higher")
    np.testing.assert_array_equal(table.values("mine/acc", epoch="all"), [[50.5, 60.25], [nan, 70]])
    np.testing.assert_array_equal(table.values("toy/loss", epoch="all", seed=0), [[0.5, nan], [0.25, nan]])
    assert not table.is_higher_better("toy/loss") and table.about["source"] == "mine.csv"


def test_plain_csv_with_directions_as_options(tmp_path):
    text = f"cell,acc,loss\n{A},1,2\n{B},3,4\n"
    for higher, lower in (("acc", "loss"), (["mine/acc"], ["mine/loss"]), (" acc ,", " loss")):
        table = read_csv(tmp_path, text, higher=higher, lower=lower, architecture="cell")
        assert table.values("mine/loss").tolist() == [2, 4] and not table.is_higher_better("mine/loss")
        assert table.info("mine/acc").epochs == () and table.info("mine/acc").seeds == (0,)


def test_dataset_option_and_any_notation(tmp_path):
    text = f'architecture,acc (higher)\n{A},1\n"[0, 0, 0, 0, 0, 1]",2\n'
    table = read_csv(tmp_path, text, dataset="cifar10")
    assert table.architectures.strings() == [A, B] and table.values("cifar10/acc").tolist() == [1, 2]
    spec = json.dumps({"space": "cell", "parameters": {"operations_on": "edges", "nodes": 2, "operations": ["a", "b"]}})
    table = read_csv(tmp_path, "architecture,acc (higher)\n|a~0|,1\n[1],2\n", space=spec)
    assert table.architectures.genotypes.tolist() == [[0], [1]]


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("", TableFormatError, "is empty"),
        ("\n\n", TableFormatError, "no header line"),
        ("arch,acc (higher)\n", TableFormatError, "no column 'architecture', it has arch, acc"),
        ("architecture,acc\nx,1\n", InvalidDataError, "better must be said once, got nothing; write 'acc"),
        ("architecture\nx\n", TableFormatError, "no column with a metric"),
        ("architecture,acc (higher),acc (higher)\n", TableFormatError, "repeated column names"),
        ("architecture,acc (higher),acc [%] (higher)\n", TableFormatError, "two columns hold metric 'mine/acc'"),
        ("architecture,acc (up)\n", TableFormatError, r"'acc \(up\)' is not written"),
        (f"architecture,acc (higher)\n{A}\n", TableFormatError, "line 2 of .* has 1 fields, expected 2"),
        (f"architecture,acc (higher)\n{A},good\n", TableFormatError, "'mine/acc' of line 2 must be a number or empty"),
        (f"architecture,acc (higher)\n{A},1\n{B},inf\n", InvalidDataError, "'mine/acc' of line 3 is infinite"),
        (f"architecture,seed,acc (higher)\n{A},-1,2\n", TableFormatError, "'seed' of line 2 must be a whole number"),
        (f"architecture,epoch,acc (higher)\n{A},1.5,2\n", TableFormatError, "'epoch' of line 2"),
        (f"architecture,epoch,acc (higher)\n{A},1,2\n{B},,3\n", InvalidDataError, "of line 3 has no epoch"),
        (f"architecture,acc (higher)\n{A},1\n|x~0|,2\n", InvalidArchitectureError, "of line 3 is not valid"),
        ('architecture,acc (higher)\n"[0, 1",1\n', InvalidArchitectureError, "line 2.*neither a native string"),
        ("architecture,acc (higher)\n", InvalidDataError, "no value to import"),
        (f'architecture,acc (higher)\n"{A},1\n', TableFormatError, "is not CSV"),
        (
            f"architecture,acc (higher)\n{A},1\n{B},2\n{A},3\n",
            InvalidDataError,
            "line 2 and line 4 give the same architecture different values of 'mine/acc': 1 and 3",
        ),
    ],
)
def test_csv_faults(tmp_path, text, error, said):
    with pytest.raises(error, match=said):
        read_csv(tmp_path, text)
    assert not (tmp_path / "mine.h5").exists()


def test_csv_options_are_checked(tmp_path):
    text = f"architecture,acc (higher)\n{A},1\n"
    with pytest.raises(InvalidDataError, match="needs the search space"):
        read_csv(tmp_path, text, space=None)
    with pytest.raises(UnknownNameError, match="unknown space 'nasbench2'"):
        read_csv(tmp_path, text, space="nasbench2")
    with pytest.raises(InvalidDataError, match="not a JSON spec"):
        read_csv(tmp_path, text, space="{")
    with pytest.raises(InvalidDataError, match="got higher and lower"):
        read_csv(tmp_path, text, lower="acc")
    with pytest.raises(InvalidDataError, match="'refuse' or 'mean', got 'first'"):
        read_csv(tmp_path, text, duplicates="first")


def test_duplicates(tmp_path):
    same = f'architecture,acc (higher)\n{A},0.1\n{B},2\n"[0,0,0,0,0,0]",0.1\n{A},\n'
    assert read_csv(tmp_path, same).values("mine/acc").tolist() == [0.1, 2.0]
    differ = f"architecture,acc (higher)\n{A},1\n{B},2\n{A},4\n{A},nan\n"
    assert read_csv(tmp_path, differ, duplicates="mean").values("mine/acc").tolist() == [2.5, 2.0]
    seeds = f"architecture,seed,acc (higher)\n{A},0,1\n{B},0,2\n{A},1,4\n"
    np.testing.assert_array_equal(read_csv(tmp_path, seeds).values("mine/acc", seed="all"), [[1, 4], [2, np.nan]])


def test_tidy_csv_faults(tmp_path):
    head = "architecture,metric,value,unit,direction\n"
    with pytest.raises(TableFormatError, match="line 3 gives metric 'acc' another unit or direction"):
        read_csv(tmp_path, head + f"{A},acc,1,%,higher\n{B},acc,1,,higher\n")
    with pytest.raises(InvalidDataError, match="metric 'acc' are better must be said once"):
        read_csv(tmp_path, head + f"{A},acc,1,%,\n")


def same_tables(a, b):
    assert a.architectures == b.architectures and a.metrics == b.metrics
    for metric in a.metrics:
        np.testing.assert_array_equal(
            a.values(metric, epoch="all", seed="all"), b.values(metric, epoch="all", seed="all")
        )


@pytest.mark.parametrize("name", ["nasbench201", "accel_nasbench", "nasbench_nlp", "nasbench_graph_proteins"])
def test_exports_read_back_exactly(tmp_path, name):
    table = load_table(name)
    part = table.select(np.random.default_rng(0).permutation(len(table))[:40])
    part.to_json(tmp_path / "part.json")
    same_tables(import_table("json", tmp_path / "part.json", tmp_path / "a.h5"), part)
    part.to_csv(tmp_path / "part.csv")
    back = import_table("csv", tmp_path / "part.csv", tmp_path / "b.h5", space=table.space.name)
    assert back.architectures == part.architectures
    for metric, info in back.metrics.items():
        assert (info.unit, info.direction) == (table.info(metric).unit, table.info(metric).direction)
        for seed in info.seeds:
            for epoch in info.epochs or (None,):
                np.testing.assert_array_equal(back.values(metric, epoch, seed), part.values(metric, epoch, seed))


def test_exports_are_atomic(tmp_path, monkeypatch):
    table = load_table("nasbench_nlp").select(np.arange(3))
    with pytest.raises(InvalidDataError, match="its folder does not exist"):
        table.to_csv(tmp_path / "none" / "x.csv")
    monkeypatch.setattr(type(table), "values", lambda *_, **__: 1 / 0)
    for export in (table.to_csv, table.to_json):
        with pytest.raises(ZeroDivisionError):
            export(tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_json_records(tmp_path):
    records = [
        {"architecture": A, "acc": 1.5, "loss": 0.5},
        {"architecture": [0, 0, 0, 0, 0, 1], "acc": None},
    ]
    table = read_json(tmp_path, records, space="nasbench201", higher="acc", lower="loss")
    assert table.architectures.strings() == [A, B]
    np.testing.assert_array_equal(table.values("mine/acc"), [1.5, np.nan])
    np.testing.assert_array_equal(table.values("mine/loss"), [0.5, np.nan])


def test_json_table_in_all_shapes(tmp_path):
    metrics = {
        "toy/a": {"direction": "higher", "values": [1, None]},
        "b": {"direction": "lower", "seeds": [4, 5], "values": [[1, 2], [3, None]]},
        "toy/c": {"direction": "lower", "epochs": [1, 2], "unit": "s", "note": "n", "values": [[[1, 2]], [[3, 4]]]},
    }
    document = {"space": ac.get_space("nasbench201").spec, "architectures": [A, B], "metrics": metrics}
    table = read_json(tmp_path, document | {"about": {"licence": "CC-BY", "name": "mine too"}})
    np.testing.assert_array_equal(table.values("toy/a"), [1, np.nan])
    np.testing.assert_array_equal(table.values("mine/b"), [1.5, 3])
    np.testing.assert_array_equal(table.values("toy/c", epoch="all"), [[1, 2], [3, 4]])
    assert (table.about["licence"], table.name, table.info("toy/c").note) == ("CC-BY", "mine too", "n")


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (3, "holds a int"),
        ({}, "no list 'architectures'"),
        ([1], "record 0 .* is not an object with 'architecture'"),
        ([{"architecture": A, "acc": "x"}], "'acc' of record 0 must be a number"),
        ([{"architecture": A, "acc": True}], "'acc' of record 0 must be a number"),
        ([{"architecture": "x", "acc": 1}], "architecture of record 0 is not valid"),
        ([{"architecture": A, "acc": float("inf")}], "'mine/acc' of record 0 is infinite"),
        ({"architectures": [A], "metrics": {"acc": 3}}, "metric 'acc' .* is not an object with 'values'"),
        ({"architectures": [A], "metrics": {"acc": {"values": [1, 2]}}}, r"numbers or null in shape \(n,\)"),
        ({"architectures": [A], "metrics": {"acc": {"values": ["x"]}}}, "numbers or null"),
        ({"architectures": [A], "metrics": {"acc": {"values": [[1, 2]]}}}, r"shape \(1, 1, 1\), got \(1, 2, 1\)"),
        ({"architectures": [A, A], "metrics": {"acc": {"values": [1, 2]}}}, "rows 0 and 1 are the same"),
    ],
)
def test_json_faults(tmp_path, document, said):
    with pytest.raises(ArchcastError, match=said):
        read_json(tmp_path, document, space="nasbench201", higher="acc")
    assert not (tmp_path / "mine.h5").exists()


def test_json_that_is_none(tmp_path):
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(TableFormatError, match="is not JSON"):
        import_table("json", tmp_path / "x.json", tmp_path / "x.h5")
