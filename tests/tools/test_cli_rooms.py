"""The other commands of `archcast`: what they print, how bad input ends, and what they leave unimported."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import archcast
import numpy as np
import pytest
from archcast.benchmarks_data import TABLES
from archcast.spaces import SPACES

CELL = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|"
HEAVY = ("torch", "gpytorch", "xgboost", "sklearn", "matplotlib", "h5py")


class Runs:
    """Creates a file when unpickled without care."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


@pytest.mark.parametrize("program", ["import archcast", "from archcast.tools.cli import main; main()"])
def test_help_and_import_are_light(program):
    code = f"import sys; sys.argv = ['archcast', '--help']\ntry:\n    exec({program!r})\nexcept SystemExit: pass\n"
    code += f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stderr.strip() == "[]"


def test_a_reader_that_leaves_is_no_error():
    script = f"set -o pipefail; {sys.executable} -m archcast space sample nasbench201 -n 15000 | head -1"
    ended = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert ended.stderr == ""
    assert len(ended.stdout.splitlines()) == 1


@pytest.mark.parametrize("kind", ["spaces", "encoders", "predictors", "searchers", "tables", "importers", "tasks"])
def test_list(cli, kind):
    code, out, _ = cli("list", kind, "--json")
    records = json.loads(out)
    assert code == 0
    assert records
    assert all(record["kind"] == kind and record["name"] and record["summary"] for record in records)
    assert {record["name"] for record in records} <= {record["name"] for record in json.loads(cli("list", "--json")[1])}


@pytest.mark.parametrize("name", sorted(set(SPACES.names()) - {"cell", "chain", "node_cell"}))
def test_space_commands_agree(cli, name, tmp_path):
    shown = json.loads(cli("space", "show", name, "--json")[1])
    sampled = json.loads(cli("space", "sample", name, "-n", "3", "--seed", "1", "--json")[1])
    assert len(shown["genes"]) == archcast.get_space(name).sample(1, 0).genotypes.shape[1]
    assert sampled == archcast.get_space(name).sample(3, 1).strings()
    checked = json.loads(cli("space", "validate", name, "-", "--json", text="\n".join(sampled))[1])
    assert [record["architecture"] for record in checked] == sampled
    assert "digraph" in cli("space", "draw", name, sampled[0])[1]
    code, out, _ = cli("encode", "--space", name, "--json", *sampled)
    assert code == 0
    encoded = json.loads(out)
    assert {len(row["features"]) for row in encoded["rows"]} == {len(encoded["columns"])}


def test_table_query_and_export_round_trip(cli, tmp_path):
    code, out, _ = cli("table", "query", "nasbench201", CELL, "-m", "cifar10/test_accuracy", "--epoch", "200", "--json")
    table = archcast.load_table("nasbench201")
    row = table.rows(table.space.parse([CELL]))[0]
    assert code == 0
    expected = table.values("cifar10/test_accuracy", epoch=200)[row]
    assert json.loads(out)[0]["cifar10/test_accuracy"] == pytest.approx(expected)
    assert cli("table", "export", "nasbench_graph_cora", tmp_path / "t.csv", "--json")[0] == 0
    options = ["-o", "space=nasbench_graph", "--json"]
    code, out, _ = cli("table", "import", "csv", tmp_path / "t.csv", tmp_path / "t.h5", *options)
    assert code == 0
    assert json.loads(out)["architectures"] == len(archcast.load_table("nasbench_graph_cora"))


def test_encode_writes_what_it_prints(cli, tmp_path):
    assert cli("encode", "-s", "nasbench201", CELL, "-e", "adjacency", "-o", tmp_path / "f.npy")[0] == 0
    printed = json.loads(cli("encode", "-s", "nasbench201", CELL, "-e", "adjacency", "--json")[1])
    np.testing.assert_allclose(np.load(tmp_path / "f.npy"), [printed["rows"][0]["features"]])


def test_bad_architectures_and_names(refused):
    refused("did you mean 'nasbench201'", "space", "show", "nasbench210")
    refused("did you mean 'semantic'", "encode", "-s", "nasbench201", "-e", "semantics", CELL)
    refused("nor_conv_9x9", "space", "validate", "nasbench201", CELL.replace("conv_3x3", "conv_9x9"))
    refused("argument", "space", "validate", "nasbench201", CELL[:40])
    refused("argument", "space", "validate", "nasbench201", "8:16:24:64:40")
    operations = ["input", "conv3x3-bn-relu", "output"]
    for matrix in ([[0, 1, 0], [1, 0, 1], [0, 0, 0]], [[0, 0, 0], [0, 0, 1], [0, 0, 0]]):
        refused("standard input", "space", "validate", "nasbench101", "-", text=json.dumps([[matrix, operations]]))
    refused("No such file", "encode", "-s", "nasbench201", "-f", "/nowhere/cells")
    refused("unknown kind", "list", "spoons")


def test_bad_files_leave_nothing_behind(refused, tmp_path):
    (tmp_path / "empty.h5").write_bytes(b"")
    content = archcast.load_table("nasbench_graph_cora").path.read_bytes()
    (tmp_path / "cut.h5").write_bytes(content[: len(content) // 2])
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps(Runs(tmp_path / "ran")))
    before = sorted(tmp_path.iterdir())
    refused("empty.h5", "table", "info", tmp_path / "empty.h5")
    refused("cut.h5", "table", "info", tmp_path / "cut.h5")
    refused("none.h5", "table", "info", tmp_path / "none.h5")
    refused("evil.pkl", "table", "import", "nasbench_nlp", tmp_path / "evil.pkl", tmp_path / "t.h5")
    refused("there is no file", "table", "import", "csv", tmp_path / "none.csv", tmp_path / "t.h5")
    refused("there is no folder", "table", "export", "nasbench_graph_cora", tmp_path / "no" / "t.csv")
    refused("there is no folder", "encode", "-s", "nasbench201", CELL, "-o", tmp_path / "no" / "t.csv")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", TABLES.names())
def test_every_shipped_table_describes_and_answers_for_itself(cli, name):
    code, out, _ = cli("table", "info", name, "--json")
    described = json.loads(out)
    assert code == 0
    assert described["about"]["licence"] in ("MIT", "Apache-2.0")
    assert all(metric["count"] > 0 for metric in described["metrics"])
    best = next(metric["best"] for metric in described["metrics"] if metric["best"])
    code, out, _ = cli("table", "query", name, best, "--json")
    assert code == 0
    assert json.loads(out)[0]["architecture"] == best


def test_twins_answer_for_each_other(cli, refused, tmp_path):
    table = archcast.load_table("nasbench201")
    _, classes, sizes = np.unique(table.canonical_keys, return_inverse=True, return_counts=True)
    first, twin = np.flatnonzero(classes == np.argmax(sizes > 1))[:2]
    rows = np.setdiff1d(np.arange(200), [twin])
    alone = table.select(np.union1d(rows, [first])).to_json(tmp_path / "some.json")
    assert cli("table", "import", "json", alone, tmp_path / "some.h5")[0] == 0
    asked = str(table.architectures[twin])
    refused("is not in table", "table", "query", tmp_path / "some.h5", asked)
    code, out, _ = cli("table", "query", tmp_path / "some.h5", asked, "--twins", "--json")
    assert code == 0
    metric = "cifar10/train_accuracy"
    assert json.loads(out)[0][metric] == pytest.approx(table.values(metric)[first])


def test_plugins_are_listed(tmp_path):
    package = tmp_path / "toy-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[archcast.encoders]\ntoy = toy:Toy\n")
    (tmp_path / "toy.py").write_text(
        "from archcast.encoders.adjacency import AdjacencyEncoder\n"
        "class Toy(AdjacencyEncoder):\n    'A toy of somebody else.'\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    listed = subprocess.run(
        [sys.executable, "-m", "archcast", "list", "encoders", "--json"],
        env=environment, cwd=tmp_path, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert {"kind": "encoders", "name": "toy", "summary": "A toy of somebody else."} in json.loads(listed)


def test_numbers_of_the_wrong_kind(refused):
    table = ("compare", "--table", "nasbench201", "--metric", "cifar10/test_accuracy")
    refused("--n must be integers joined by commas, got 'few'", *table, "--n", "few")
    refused("--seeds must be integers joined by commas, got 'x'", *table, "--n", "20", "--seeds", "x")
    refused("20000", *table, "--n", "20000")
