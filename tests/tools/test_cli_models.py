"""`archcast fit` and `archcast predict`: models know what they forecast, and bad input leaves nothing behind."""

import csv
import io
import json

import archcast
import numpy as np
import pytest

METRIC = "cifar10/test_accuracy"
CELLS = archcast.get_space("nasbench201").sample(8, seed=0).strings()


@pytest.fixture
def trainings(tmp_path):
    def write(values, name="mine.csv", cells=CELLS):
        lines = [f"{cell},{value}" for cell, value in zip(cells, values, strict=True)]
        (tmp_path / name).write_text("\n".join(["architecture,loss [nat]", *lines]) + "\n")
        return tmp_path / name

    return write


@pytest.fixture
def model(tmp_path):
    """A model fitted in Python, which knows nothing of its metric."""
    table = archcast.load_table("nasbench201")
    y = table.values(METRIC, epoch=200)
    predictor = archcast.make_predictor("ridge@adjacency").fit(table.architectures[:60], y[:60])
    predictor.save(tmp_path / "model.archcast")
    return tmp_path / "model.archcast"


def fit_data(path, target, *more):
    usual = ["fit", "--data", path, "--space", "nasbench201", "--metric", "loss", "-p", "ridge@adjacency"]
    return [*usual, "-o", target, *more]


def test_fit_notes_what_the_model_forecasts(cli, tmp_path):
    target = tmp_path / "r.archcast"
    arguments = ["--table", "nasbench201", "-m", METRIC, "-n", "40", "-p", "ridge@adjacency", "-o", target]
    code, out, err = cli("fit", *arguments, "--epoch", "200", "--json")
    assert (code, err) == (0, "")
    known = {"table": "nasbench201", "metric": METRIC, "epoch": 200, "unit": "%", "direction": "higher"}
    assert json.loads(out).items() >= known.items()
    assert archcast.load_predictor(target).metadata_ == known
    out = cli("predict", target, *CELLS[:2])[1]
    assert out.splitlines()[0] == f"{METRIC} in %, epoch 200, higher is better"


def test_fit_weighs_values_by_the_spread_of_their_seeds(cli, refused, tmp_path):
    target = tmp_path / "noise.archcast"
    usual = [
        "fit",
        "-t",
        "mnist1d_nasbench201",
        "-m",
        "mnist1d/test_accuracy",
        "-n",
        "30",
        "--seed-noise",
        "-o",
        target,
    ]
    refused("LinearPredictor makes no use of noise_std", *usual, "-p", "ridge@adjacency")
    assert not target.exists()
    assert cli(*usual, "-p", "gp@adjacency")[0] == 0
    shape = archcast.load_predictor(target)._noise_shape
    assert shape.shape == (30, 1)
    assert shape.max() > 2 * shape.min()


def test_own_trainings_rank_by_their_direction(cli, refused, trainings, tmp_path):
    target = tmp_path / "mine.archcast"
    data = trainings([0.1, 0.9, 0.5, 0.2, 0.8, 0.4, 0.3, 0.6])
    assert cli(*fit_data(data, target, "--direction", "lower"))[0] == 0
    records = json.loads(cli("predict", target, "--all", "--top", "3", "--json")[1])
    assert [record["rank"] for record in records] == [1, 2, 3]
    means = archcast.load_predictor(target).predict(archcast.get_space("nasbench201").enumerate())
    assert records[0]["mean"] == pytest.approx(means.min())
    refused("lower values of mine/loss are better", "predict", target, CELLS[0], "--direction", "higher")


def test_arguments_file_and_standard_input_agree(cli, model, tmp_path):
    (tmp_path / "cells.txt").write_text("\n".join(CELLS) + "\n")
    expected = json.loads(cli("predict", model, *CELLS, "--json")[1])
    assert json.loads(cli("predict", model, "--file", tmp_path / "cells.txt", "--json")[1]) == expected
    assert json.loads(cli("predict", model, "-", "--format", "json", text="\n".join(CELLS))[1]) == expected
    rows = list(csv.DictReader(io.StringIO(cli("predict", model, *CELLS, "--format", "csv")[1])))
    assert [row["architecture"] for row in rows] == CELLS
    np.testing.assert_allclose([float(row["mean"]) for row in rows], [record["mean"] for record in expected])
    assert sorted(record["rank"] for record in expected) == list(range(1, 9))


def test_probabilities_and_novelty_join_where_they_are_asked_for(cli, refused, model):
    asked = ("--versus", CELLS[0], "--in-top", "2", "--novelty", "--json")
    records = json.loads(cli("predict", model, *CELLS, *asked)[1])
    assert records[0]["p_better"] == pytest.approx(0.5)
    assert sum(record["p_in_top"] for record in records) == pytest.approx(2)
    assert max(records, key=lambda r: r["p_in_top"])["rank"] <= 2
    assert all(record["unlike_training"] == (record["novelty_p"] <= 0.05) for record in records)
    lower = json.loads(cli("predict", model, *CELLS, *asked, "--direction", "lower")[1])
    assert [r["p_better"] for r in lower] == pytest.approx([1 - r["p_better"] for r in records])
    assert "p_better" not in json.loads(cli("predict", model, CELLS[0], "--json")[1])[0]
    refused("k must be a whole number in 1..1, got 2", "predict", model, CELLS[0], "--in-top", "2")


def test_fit_tells_what_a_predictor_chose(cli, trainings, tmp_path):
    data = trainings([0.1, 0.9, 0.5, 0.2, 0.8, 0.4, 0.3, 0.6])
    usual = (
        "fit",
        "--data",
        data,
        "--space",
        "nasbench201",
        "--metric",
        "loss",
        "-p",
        "auto",
        "-o",
        tmp_path / "m",
        "--direction",
        "lower",
    )
    out = cli(*usual)[1]
    assert "gp@semantic" in out
    assert "not tried" in out
    chosen = json.loads(cli(*usual, "--json")[1])["chosen"]
    assert [record["weight"] for record in chosen] == [0.5, 0.5, 0.0, 0.0, 1.0]


def test_a_model_that_knows_no_metric_takes_the_direction(cli, model):
    high = json.loads(cli("predict", model, *CELLS, "--json")[1])
    low = json.loads(cli("predict", model, *CELLS, "--json", "--direction", "lower")[1])
    assert max(high, key=lambda r: r["mean"])["rank"] == 1
    assert min(low, key=lambda r: r["mean"])["rank"] == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.5] * 8, "must not all be equal"),
        (["inf", 1, 2, 3, 4, 5, 6, 7], "inf"),
        (["nan"] * 8, "at least 2 observations"),
    ],
)
def test_useless_targets(refused, trainings, tmp_path, values, message):
    data, target = trainings(values), tmp_path / "m.archcast"
    refused(message, *fit_data(data, target, "--direction", "lower"))
    assert sorted(tmp_path.iterdir()) == [data]


def test_bad_requests_leave_nothing_behind(refused, trainings, tmp_path):
    data, target = trainings(range(8)), tmp_path / "m.archcast"
    usual = ["fit", "-m", METRIC, "-p", "ridge@adjacency", "-o", target]
    refused("either --table or --data, got neither", *usual)
    refused("either --table or --data, got both", *usual, "--table", "nasbench201", "--data", data)
    refused("expected --space with --data", *usual, "--data", data)
    refused("must be said once", *fit_data(data, target))
    refused("did you mean 'nasbench201'", *usual, "--table", "nasbench20")
    refused("no metric 'cifar10/taste'", "fit", "-t", "nasbench201", "-m", "cifar10/taste", "-o", target)
    refused("did you mean 'ridge'", *usual[:3], "-o", target, "-t", "nasbench201", "-p", "rigde")
    refused("expected --n of at most 15625", *usual, "--table", "nasbench201", "--n", "20000")
    refused("there is no folder", *usual[:-1], tmp_path / "no" / "m", "--table", "nasbench201")
    twice = trainings([1, 2], "twice.csv", cells=[CELLS[0]] * 2)
    refused("twice", *fit_data(twice, target, "--direction", "lower"))
    assert sorted(tmp_path.iterdir()) == [data, twice]


def test_bad_models_and_architectures(refused, model, tmp_path):
    content = model.read_bytes()
    (tmp_path / "cut").write_bytes(content[:200])
    refused("truncated", "predict", tmp_path / "cut", CELLS[0])
    (tmp_path / "run").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    refused("not a saved predictor", "predict", tmp_path / "run", CELLS[0])
    refused("No such file", "predict", tmp_path / "none", CELLS[0])
    refused("conv_9x9", "predict", model, CELLS[0].replace(CELLS[0].split("~")[0][1:], "conv_9x9", 1))
    refused("argument", "predict", model, "8:16:24:64:40")
    refused("either --all or architectures", "predict", model, CELLS[0], "--all")
    refused("got none", "predict", model)


def test_fit_learns_from_sources_too(cli, tmp_path, trainings):
    data, first, second = trainings([0.5, 0.7, 0.2, 0.9, 0.4, 0.6, 0.1, 0.8]), tmp_path / "a", tmp_path / "b"
    more = ["--direction", "lower", "-p", "gp_transfer@adjacency"]
    usual = ["fit", "--data", data, "--space", "nasbench201", "--metric", "loss", *more]
    table = "nasbench201:imagenet16/valid_accuracy@12"
    assert cli(*usual, "-o", first, "--source", table)[0] == 0
    loaded = archcast.load_predictor(first)
    assert loaded.metadata_["sources"] == [table]
    values = archcast.load_table("nasbench201").values("imagenet16/valid_accuracy", epoch=12)
    np.testing.assert_array_equal(loaded.sources[0].y, -values)  # the target is a loss
    assert cli(*usual, "-o", second, "--source", first)[0] == 0  # a fitted predictor is a source as well
    assert np.isfinite(archcast.load_predictor(second).predict(loaded.space_.sample(5, seed=0))).all()


def test_fit_refuses_sources_that_nobody_takes(refused, tmp_path, trainings):
    arguments = fit_data(trainings([0.5, 0.7, 0.2, 0.9, 0.4, 0.6, 0.1, 0.8]), tmp_path / "m", "--direction", "lower")
    refused(
        "expected a predictor that learns from sources", *arguments, "--source", "nasbench201:cifar10/test_accuracy"
    )
    assert not (tmp_path / "m").exists()
