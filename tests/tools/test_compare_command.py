"""`archcast compare`: what goes to standard output, what to files, and how bad input ends."""

import csv
import json

import pytest
import typer
from archcast.errors import ArchcastError, InvalidDataError, UnknownNameError
from archcast.tools.commands.compare import compare
from typer.testing import CliRunner

app = typer.Typer()
app.command()(compare)
USUAL = ["--table", "nasbench201", "--metric", "cifar10/test_accuracy", "--epoch", "200", "--n-test", "300"]


def run(*arguments):
    return CliRunner().invoke(app, [*USUAL, *arguments])


def test_json_is_one_object_a_run_and_nothing_else():
    result = run("-p", "constant", "-p", "ridge@adjacency", "--n", "20,40", "--seeds", "2", "--json")
    assert result.exit_code == 0
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(r["n"], r["seed"], r["predictor"]) for r in records] == [
        (n, seed, p) for n in (20, 40) for seed in (0, 1) for p in ("constant", "ridge@adjacency")
    ]
    assert records[0]["kendall_tau"] is None
    assert 0.2 < records[1]["kendall_tau"] < 1
    assert {"metric", "epoch", "spearman", "n_test", "leaked", "fit_seconds", "predict_seconds"} <= set(records[0])


def test_a_table_for_people():
    result = run("-p", "ridge@adjacency", "--n", "20", "--seeds", "7,8")
    assert result.exit_code == 0
    assert "nasbench201: cifar10/test_accuracy in %, epoch 200" in result.stdout
    assert "ridge@adjacency" in result.stdout
    assert "Mean of 2 seeds" in result.stdout


def test_files_and_pictures(tmp_path):
    output, pictures, cache = tmp_path / "runs.csv", tmp_path / "new" / "pictures", tmp_path / "cache.jsonl"
    arguments = ["-p", "constant", "-p", "knn@adjacency", "--n", "20", "--seeds", "2", "--json"]
    arguments += ["--output", str(output), "--plot", str(pictures), "--cache", str(cache)]
    result = run(*arguments)
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 4
    with output.open() as stream:
        assert [row["predictor"] for row in csv.DictReader(stream)] == ["constant", "knn@adjacency"] * 2
    names = {"kendall_tau.png", "reliability.png", "forecast_constant.png", "forecast_knn@adjacency.png"}
    assert {path.name for path in pictures.iterdir()} == names
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures.iterdir())
    assert run(*arguments).stdout == result.stdout  # from the cache, seconds and all


def test_seeds_may_be_listed():
    lines = run("-p", "constant", "--n", "20", "--seeds", "7,", "--json").stdout.splitlines()
    assert [json.loads(line)["seed"] for line in lines] == [7]


def test_sources_go_to_the_predictors_that_take_them():
    arguments = ["-p", "ridge@adjacency", "-p", "gp_transfer@adjacency", "--n", "10", "--seeds", "1", "--json"]
    source = "nasbench201:cifar10/valid_accuracy@12"
    alone, with_source = (
        [json.loads(line) for line in run(*arguments, *more).stdout.splitlines()] for more in ([], ["--source", source])
    )
    assert [record["sources"] for record in alone + with_source] == ["", "", source, source]
    assert with_source[0]["kendall_tau"] == alone[0]["kendall_tau"]
    assert with_source[1]["kendall_tau"] > alone[1]["kendall_tau"] + 0.1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--n", "many"], InvalidDataError, "--n must be integers joined by commas, got 'many'"),
        (["--n", ","], InvalidDataError, "--n must be integers joined by commas, got ','"),
        (["--seeds", "x"], InvalidDataError, "--seeds must be integers"),
        (["--predictor", "oracle"], UnknownNameError, "unknown predictor 'oracle'"),
        (["--metric", "cifar10/taste"], UnknownNameError, "no metric 'cifar10/taste'"),
        (["--n", "15624"], InvalidDataError, "n must leave 2 architectures to test on, got 15624 of 15625"),
        (["--source", "nasbench201"], InvalidDataError, "must read TABLE:METRIC[@EPOCH] or be the file of a predictor"),
        (["--source", "nasbench201:cifar100/test_accuracy@x"], InvalidDataError, "a source must name an integer epoch"),
        (["--source", "nasbench201:cifar7/test_accuracy"], UnknownNameError, "no metric 'cifar7/test_accuracy'"),
        (
            ["--source", "nasbench201:cifar100/test_accuracy@12"],
            InvalidDataError,
            "expected a predictor that learns from sources, such as gp_transfer",
        ),
        (["--seed-noise"], InvalidDataError, "seed_noise needs a predictor that makes use of it, such as 'gp'"),
        (
            ["-p", "gp", "--seed-noise"],
            InvalidDataError,
            "seed_noise needs outcomes of several seeds, 'cifar10/test_accuracy' has one",
        ),
        (["--output", "runs.xlsx"], InvalidDataError, "got 'runs.xlsx'"),
        (["--output", "/nowhere/runs.csv"], ArchcastError, "there is no folder /nowhere"),
        (["--plot", "/dev/null/x"], ArchcastError, "cannot make the folder /dev/null/x"),
    ],
)
def test_bad_input_is_reported_before_anything_is_fitted(arguments, error, message):
    result = run("-p", "constant", "--json", *arguments)
    assert isinstance(result.exception, error)
    assert message in str(result.exception)
    assert result.stdout == ""


def test_help_shows_examples():
    text = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).stdout
    assert "archcast compare --table nasbench201 --metric cifar10/test_accuracy" in text
    assert "--avoid-twins" in text
