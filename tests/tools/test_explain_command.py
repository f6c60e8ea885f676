"""`archcast explain`: what Python says, as text, JSON and picture."""

import json

import archcast
import numpy as np
import pytest
from archcast.explanations import attribute, best_edits, partial_dependence

METRIC = "cifar10/test_accuracy"
SPACE = archcast.get_space("nasbench201")
CELLS = SPACE.sample(2, seed=0).strings()
TABLE = ["--table", "nasbench201", "-m", METRIC, "--epoch", "200", "-n", "60", "-p", "gp@adjacency"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    table = archcast.load_table("nasbench201")
    y = table.values(METRIC, epoch=200)
    rows, _ = table.split(60, 0)
    predictor = archcast.make_predictor("gp@adjacency").fit(table.architectures[rows], y[rows])
    predictor.metadata_ = {"metric": METRIC, "epoch": 200, "unit": "%", "direction": "higher"}
    path = tmp_path_factory.mktemp("models") / "m.archcast"
    predictor.save(path)
    return path


def test_json_is_what_python_says(cli, model):
    code, out, err = cli("explain", model, *CELLS, "--top", "4", "--json")
    assert (code, err) == (0, "")
    content = json.loads(out)
    predictor, batch = archcast.load_predictor(model), SPACE.parse(CELLS)
    found = attribute(predictor, batch)
    assert content["model"]["metric"] == METRIC
    for row, record in enumerate(content["architectures"]):
        assert record["architecture"] == CELLS[row]
        assert record["contributions"] == found.top(row, 4)
        assert record["base"] + sum(g["contribution"] for g in record["groups"]) == pytest.approx(record["forecast"])
        assert record["edits"] == best_edits(predictor, batch[row], 4).records()
        assert len(record["genes"]) == 6


def test_a_table_in_place_of_a_model(cli, model):
    saved = json.loads(cli("explain", model, CELLS[0], "--by", "genes", "--json")[1])["architectures"]
    fitted = json.loads(cli("explain", *TABLE, CELLS[0], "--by", "genes", "--json")[1])
    assert fitted["model"]["table"] == "nasbench201"
    assert fitted["architectures"] == saved
    values = [record["contribution"] for record in saved[0]["contributions"]]
    assert saved[0]["base"] + np.sum(values) == pytest.approx(saved[0]["forecast"])


def test_text(cli, model):
    out = cli("explain", model, CELLS[0], "--by", "groups", "--background", "10")[1]
    assert out.splitlines()[0] == f"{METRIC} in %, epoch 200, higher is better"
    assert CELLS[0] in out.splitlines()
    assert "what each gene is worth beside its alternatives:" in out
    assert "best edits:" in out
    assert " -> " in out


def test_the_model_itself(cli, model, tmp_path):
    content = json.loads(cli("explain", model, "--json")[1])
    expected = partial_dependence(archcast.load_predictor(model)).records()
    assert content["partial_dependence"] == expected
    assert content["relevance"][0]["feature"] == "gene"
    code, out, _ = cli("explain", model, "--plot", tmp_path / "pd.png")
    assert code == 0
    assert "mean forecasts by gene and choice:" in out
    assert (tmp_path / "pd.png").read_bytes()[:4] == b"\x89PNG"


def test_pictures(cli, model, tmp_path):
    code, _, err = cli("explain", model, CELLS[0], "--plot", tmp_path / "one.svg", "--json")
    assert (code, err.strip()) == (0, str(tmp_path / "one.svg"))
    assert "<svg" in (tmp_path / "one.svg").read_text()


def test_bad_input(refused, model, tmp_path):
    refused("expected a model written by `archcast fit`, or --table; got neither", "explain")
    refused("expected --metric with --table", "explain", "--table", "nasbench201", CELLS[0])
    refused("--plot draws one architecture, got 2", "explain", model, *CELLS, "--plot", tmp_path / "a.png")
    refused(
        "expected a picture ending in .png, .pdf, .svg, got 'a.jpg'", "explain", model, "--plot", tmp_path / "a.jpg"
    )
    refused("argument: architecture 0", "explain", model, "|no_such~0|")
    refused("higher values are better, got direction 'lower'", "explain", model, CELLS[0], "--direction", "lower")
