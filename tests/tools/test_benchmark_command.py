"""`archcast benchmark`: what goes to standard output, what to files, and how bad input ends."""

import csv
import json
import re

import numpy as np
import pytest
import typer
from archcast import get_space, load_table, make_predictor, replay
from archcast.errors import ArchcastError, InvalidDataError, UnknownNameError
from archcast.tools.cli import app as whole
from archcast.tools.commands.benchmark import benchmark
from typer.testing import CliRunner

app = typer.Typer()
app.command()(benchmark)
USUAL = ["--table", "nasbench201", "--metric", "cifar10/test_accuracy", "--epoch", "200"]


def run(*arguments):
    return CliRunner().invoke(app, [*arguments])


def test_json_is_one_object_a_run_and_nothing_else():
    result = run(*USUAL, "--searcher", "random", "--budget", "15", "--seeds", "3", "--json")
    assert result.exit_code == 0
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(r["searcher"], r["seed"]) for r in records] == [("random", seed) for seed in range(3)]
    table = load_table("nasbench201")
    y = table.values("cifar10/test_accuracy", epoch=200)
    for record in records:
        assert record["regret"] == (y.max() - np.maximum.accumulate(y[record["rows"]])).tolist()
        same = replay(table, "cifar10/test_accuracy", "random", epoch=200, budget=15, seed=record["seed"])
        assert record["rows"] == same.rows.tolist()
        assert record["queries_to_target"] is None or record["regret"][record["queries_to_target"] - 1] <= 0.05


def test_sources_warm_start_the_searchers_that_take_them():
    usual = ["--table", "nasbench_nlp", "--metric", "wikitext2/test_loss", "--budget", "4", "--seeds", "1", "--json"]
    usual_source = ["--source", "nasbench_nlp:wikitext2/valid_loss"]
    result = run(*usual, "--searcher", "bo_transfer", *usual_source)
    assert result.exit_code == 0
    losses = load_table("nasbench_nlp").values("wikitext2/test_loss")
    first = json.loads(result.stdout)["rows"][0]
    assert losses[first] < np.nanquantile(losses, 0.1)
    result = run(*usual, "--searcher", "warm:random", "--searcher", "random", *usual_source)
    warm, plain = [json.loads(line)["rows"] for line in result.stdout.splitlines()]
    assert warm[0] == first
    assert warm[0] not in plain
    for searcher, more in (("bo", []), ("bo_transfer", ["--scheduler", "asha"])):
        refused = run(*usual, "--searcher", searcher, *more, *usual_source)
        assert isinstance(refused.exception, InvalidDataError)
        assert ("learns from sources, such as bo_transfer" if not more else "no --scheduler") in str(refused.exception)


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("nowhere:cifar10/test_accuracy", UnknownNameError, "unknown table 'nowhere'"),
        ("nasbench201:cifar100/taste", UnknownNameError, "no metric 'cifar100/taste'"),
        ("nasbench201:cifar100/test_accuracy@13", UnknownNameError, "has no epoch 13"),
        ("nasbench201", InvalidDataError, "a source must read TABLE:METRIC[@EPOCH] or be the file of a predictor"),
        ("chains.archcast", InvalidDataError, "is a predictor of space 'mnasnet_chain', and the target is of space"),
        ("losses.archcast", InvalidDataError, "whose lower values are better, and is needed as one whose higher"),
    ],
)
def test_bad_sources_are_reported_before_anything_is_run(source, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for space, direction in (("mnasnet_chain", None), ("nasbench201", "lower")):
        known = get_space(space).sample(12, seed=0)
        model = make_predictor("ridge@operations").fit(known, np.arange(12.0))
        if direction is not None:
            model.metadata_ = {"metric": "loss", "direction": direction}
        model.save("chains.archcast" if direction is None else "losses.archcast")
    result = run(*USUAL, "--searcher", "warm:tpe", "--source", source, "--json")
    assert isinstance(result.exception, error)
    assert message in str(result.exception)
    assert result.stdout == ""


def test_a_table_for_people_with_two_tables():
    proteins = "nasbench_graph_proteins:proteins/test_roc_auc"
    arguments = ["--searcher", "random", "--searcher", "bo", "--budget", "12", "--seeds", "0,1,5"]
    result = run(*USUAL, "--table", proteins, *arguments)
    assert result.exit_code == 0
    assert "nasbench201:cifar10/test_accuracy@200: median regret in % points" in result.stdout
    assert f"{proteins}: median regret" in result.stdout
    assert "3 seeds; target: regret of at most 0.0005" in result.stdout
    assert len(re.findall("Wilcoxon's signed-rank test after 12 queries", result.stdout)) == 2
    assert "Average ranks over 2 problems" in result.stdout


def test_files_and_pictures(tmp_path):
    output, pictures, cache = tmp_path / "runs.csv", tmp_path / "new" / "pictures", tmp_path / "cache.jsonl"
    arguments = ["-t", "nasbench_nlp", "-m", "wikitext2/test_loss", "--searcher", "random", "--budget", "8"]
    arguments += ["--seeds", "2", "--workers", "3", "--json", "--cache", str(cache)]
    arguments += ["--output", str(output), "--plot", str(pictures)]
    result = run(*arguments)
    assert result.exit_code == 0
    with output.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [json.loads(row["regret"]) for row in rows] == [json.loads(x)["regret"] for x in result.stdout.splitlines()]
    assert {path.name for path in pictures.iterdir()} == {
        "regret_nasbench_nlp_wikitext2_test_loss.png",
        "regret_over_time_nasbench_nlp_wikitext2_test_loss.png",
    }
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures.iterdir())
    assert run(*arguments).stdout == result.stdout  # from the cache, seconds and all


def test_the_incumbent_may_be_selected_by_validation():
    arguments = ["-t", "nasbench201:cifar10/test_accuracy@12", "-t", "nasbench_graph_proteins:proteins/test_roc_auc"]
    for select in (["valid_accuracy", None], ["cifar10/valid_accuracy@12", 12]):
        tables = arguments if select[1] is None else arguments[:2]
        result = run(
            *tables[:2], "--searcher", "random", "-b", "5", "--seeds", "1", "--json", "--select-metric", select[0]
        )
        (record,) = [json.loads(line) for line in result.stdout.splitlines()]
        assert (record["select_metric"], record["select_epoch"]) == ("cifar10/valid_accuracy", 12)
    result = run(*arguments, "--searcher", "random", "-b", "5", "--seeds", "1", "--select-metric", "valid_accuracy")
    assert isinstance(result.exception, UnknownNameError)
    assert "no metric 'proteins/valid_accuracy'" in str(result.exception)


def test_the_incumbent_may_be_selected_by_one_training_of_each():
    signals = ["-t", "mnist1d_nasbench201:mnist1d/test_accuracy", "--select-metric", "valid_accuracy", "-b", "6"]
    table = load_table("mnist1d_nasbench201")
    for chosen, trainings in (("each", (0, 1, 2)), ("3", (3, 3, 3))):
        result = run(*signals, "--searcher", "random", "--seeds", "3", "--select-seed", chosen, "--json")
        for line, training in zip(result.stdout.splitlines(), trainings, strict=True):
            record = json.loads(line)
            assert str(record["select_seed"]) == chosen
            told = table.values("mnist1d/valid_accuracy", seed=training)
            best = table.query([record["best"]], "mnist1d/valid_accuracy", seed=training, by="canonical")
            assert best[0] == told[record["rows"]].max()
    for more, message in (
        (["--select-seed", "all"], "--select-seed must be an integer or 'each', got 'all'"),
        (["--select-seed", "0", "--scheduler", "asha"], "--select-seed is for searchers that train fully"),
        (["--select-seed", "each", "-t", "nasbench201:cifar10/test_accuracy@12"], "has one value of each architecture"),
    ):
        refused = run(*signals, *more, "--searcher", "random", "--json")
        assert isinstance(refused.exception, InvalidDataError)
        assert message in str(refused.exception)
        assert refused.stdout == ""


def test_several_objectives_under_a_constraint(tmp_path):
    aims = ["--objective", "cifar10/test_accuracy@200", "--objective", "params", "--constraint", "flops<=1e8"]
    usual = ["-t", "nasbench201", *aims, "--reference", "params=1.2e6", "--searcher", "random", "-b", "12"]
    result = run(*usual, "--seeds", "2", "--json", "--plot", str(tmp_path), "--output", str(tmp_path / "runs.csv"))
    assert result.exit_code == 0
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["seed"] for record in records] == [0, 1]
    for record in records:
        assert len(record["hypervolume"]) == len(record["regret"]) == 12
        assert record["constraints"] == ["flops<=1e+08"]
        assert record["reference"][1] == 1.2e6
        assert set(record["front"]) <= set(record["rows"])
    names = {path.name.partition("_nasbench201")[0] for path in tmp_path.glob("*.png")}
    assert names == {"hypervolume", "front", "regret"}
    shown = run("-t", "nasbench201", *aims, "--searcher", "random", "-b", "5", "--seeds", "2").stdout
    assert "median regret in hypervolume" in " ".join(shown.split())
    alone = run(*USUAL, "--constraint", "params<=5e5", "--searcher", "random", "-b", "5", "--seeds", "1", "--json")
    assert json.loads(alone.stdout)["objectives"] == ["cifar10/test_accuracy@200"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--objective", "params", "--searcher", "bo"], "searcher 'bo' takes one metric without bounds"),
        (["--objective", "params", "-m", "cifar10/test_accuracy"], "expected --objective or a metric, got both"),
        (["--constraint", "params<=1e6"], "expected --objective or --metric to say what to search for"),
        (["--objective", "params", "--constraint", "params<1e6"], "must read NAME<=VALUE"),
        (["--objective", "params", "--reference", "params"], "--reference must read NAME=VALUE, got 'params'"),
        (["--objective", "params", "--select-metric", "valid_accuracy"], "--select-metric goes with one metric"),
        (["--objective", "params", "--select-seed", "each"], "--select-seed goes with one metric, expected none"),
        (["--objective", "taste"], "does not know 'taste' of an architecture, expected 'params' or 'flops'"),
        (["--objective", "params", "--constraint", "params<=1"], "no architecture with values that are feasible"),
    ],
)
def test_bad_objectives(arguments, message):
    result = run("-t", "nasbench201", "--searcher", "random", "--json", *arguments)
    assert isinstance(result.exception, InvalidDataError)
    assert message in str(result.exception)
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--searcher", "oracle"], UnknownNameError, "unknown searcher 'oracle'"),
        (["--metric", "cifar10/taste"], UnknownNameError, "no metric 'cifar10/taste'"),
        (["--table", "nasbench201:cifar10/test_accuracy@late"], InvalidDataError, "integer epoch after '@'"),
        (["--seeds", "x"], InvalidDataError, "--seeds must be integers"),
        (["--budget", "0"], InvalidDataError, "budget must be integers of at least 1, got 0"),
        (["--table", "nasbench201"], InvalidDataError, "comes twice"),
        (["--output", "runs.xlsx"], InvalidDataError, "got 'runs.xlsx'"),
        (["--plot", "/dev/null/x"], ArchcastError, "cannot make the folder /dev/null/x"),
        (["--cache", "/nowhere/runs.jsonl"], InvalidDataError, "the folder of the run file"),
    ],
)
def test_bad_input_is_reported_before_anything_is_run(arguments, error, message):
    result = run(*USUAL, "--json", "--searcher", "random", *arguments)
    assert isinstance(result.exception, error)
    assert message in str(result.exception)
    assert result.stdout == ""


def test_a_metric_is_needed():
    result = run("--table", "nasbench201", "--searcher", "random")
    assert isinstance(result.exception, InvalidDataError)
    assert "expected --metric, or --table nasbench201:METRIC[@EPOCH]" in str(result.exception)


def test_it_is_a_command():
    text = CliRunner().invoke(whole, ["benchmark", "--help"], env={"COLUMNS": "200"}).stdout
    assert "archcast benchmark --table nasbench201 --metric cifar10/test_accuracy" in text
    assert "--select-metric" in text
