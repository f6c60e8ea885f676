"""`archcast search` and `archcast study`: what they print, how they end, and that Ctrl-C loses nothing."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import archcast as ac
import pytest
from archcast.studies import open_study

PROGRAM = """
    import json, sys
    wanted = json.load(sys.stdin)
    genes = wanted["genotype"]
    if genes[0] == 0:
        sys.exit("no input")
    score = genes.count(3) / 6 + sum(genes) / 1000
    for epoch in (1, 2):
        print(json.dumps({"epoch": epoch, "valid/accuracy": score * epoch / 2}))
"""


@pytest.fixture
def given(tmp_path, monkeypatch):
    """The folder in which a program trains, and the options of a search in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(textwrap.dedent(PROGRAM))
    command = f"{sys.executable} -S -E train.py"
    return ["--space", "nasbench201", "--metric", "valid/accuracy", "--searcher", "random", "--command", command]


def test_a_search_prints_one_object_a_training_and_goes_on(cli, given):
    code, out, err = cli("search", *given, "--trainings", "6", "--json")
    assert (code, err) == (0, "")
    records = [json.loads(line) for line in out.splitlines()]
    study = open_study("search", "studies.db")
    trials = study.trials()
    assert [record["number"] for record in records] == [trial.number for trial in trials] == list(range(6))
    for record, trial in zip(records, trials, strict=True):
        assert record["architecture"] == str(trial.architecture)
        assert record["value"] == trial.value
        assert record["state"] == ("failed" if trial.architecture.genotype[0] == 0 else "finished")
        assert record["message"] == "" or record["message"].endswith("no input")
    assert cli("search", *given, "--trainings", "6", "--json") == (0, "", "")
    code, out, _ = cli("search", *given, "--trainings", "8")
    assert code == 0
    assert out.splitlines()[-2].startswith("study 'search': ")
    assert out.splitlines()[-2].endswith("2 of them trained by this command")
    assert out.splitlines()[-1] == f"best valid/accuracy: {study.best().value:.6g}  {study.best().architecture}"


def test_studies_are_listed_shown_resumed_exported_and_plotted(cli, given, tmp_path):
    assert cli("search", *given, "--study", "a", "-n", "7", "--json")[0] == 0
    listed = json.loads(cli("study", "list", "--json")[1])
    study = open_study("a", "studies.db")
    assert listed == [
        {
            "study": "a",
            "space": "nasbench201",
            "metric": "valid/accuracy",
            "searcher": "random",
            **study.summary().content["counts"],
            "best": study.best().value,
        }
    ]
    shown = cli("study", "show", "a", "--table", "nasbench201:cifar10/test_accuracy@200", "--json")
    assert json.loads(shown[1])["regret"]["table"] == "nasbench201:cifar10/test_accuracy@200"
    assert cli("study", "show", "a")[1] == study.summary().to_markdown()

    code, _, err = cli("study", "resume", "a", "-n", "9")
    assert code == 2
    assert "was trained by" in err
    code, out, _ = cli("study", "resume", "a", "-n", "9", "--stored-command", "--json")
    assert [json.loads(line)["number"] for line in out.splitlines()] == [7, 8]
    assert cli("study", "resume", "a", "--stored-command", "--json") == (0, "", "")

    for suffix in ("h5", "jsonl", "csv", "html", "md", "json"):
        assert cli("study", "export", "a", f"a.{suffix}")[:2] == (0, f"a.{suffix}\n")
    table = ac.load_table(tmp_path / "a.h5")
    assert len(table) == 9
    assert table.metrics
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 9
    rows = list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text())))
    assert [int(row["number"]) for row in rows] == list(range(9))
    assert (tmp_path / "a.html").read_text().startswith("<!doctype html>")
    code, out, _ = cli("study", "plot", "a", "--output", "pictures")
    assert out.splitlines() == ["pictures/a_anytime.png", "pictures/a_forecasts.png", "pictures/a_curves.png"]
    assert all((tmp_path / line).read_bytes().startswith(b"\x89PNG") for line in out.splitlines())


def test_seeds_are_trained_for_each_architecture_and_shown(cli, given):
    given[-1] = given[-1].replace("train.py", "seeded.py")
    seeded = Path("train.py").read_text().replace("score * epoch / 2", "score * epoch / 2 + wanted['seed'] / 1000")
    Path("seeded.py").write_text(seeded.replace("if genes[0] == 0", "if False"))
    code, out, err = cli("search", *given, "--seeds", "0,2", "-n", "5", "--json")
    assert (code, err) == (0, "")
    records = [json.loads(line) for line in out.splitlines()]
    assert len(records) == 2
    for record in records:
        low, high = record["seed_values"].values()
        assert high - low == pytest.approx(0.002)
        assert record["value"] == pytest.approx((low + high) / 2)
        assert record["spread"] == pytest.approx(0.002 / 2**0.5)
    code, out, _ = cli("search", *given, "-n", "6")
    assert code == 0
    assert "± 0.0014" in out.splitlines()[0]
    assert "± 0.0014" in out.splitlines()[-1]


def test_a_search_begins_with_what_another_study_found(cli, given):
    """The table of a finished study is the source of the next, which goes on without naming it."""
    assert cli("search", *given, "--study", "first", "-n", "8", "--json")[0] == 0
    assert cli("study", "export", "first", "first.h5")[0] == 0
    source = ["--source", "first.h5:training/valid_accuracy"]
    warm = [*given[:5], "warm:random", *given[6:], "--searcher-option", "initial=1", "--study", "second"]
    assert cli("search", *warm, *source, "-n", "2", "--json")[0] == 0
    code, out, err = cli("search", *warm, "-n", "3", "--json")
    assert (code, err) == (0, "")
    assert [json.loads(line)["number"] for line in out.splitlines()] == [2]
    study = open_study("second", "studies.db")
    assert [item.name for item in study.settings.sources] == source[1:]
    forecasts = study.settings.asked.reader().forecast_sources(study.space.enumerate())
    assert forecasts[study.space.enumerate().keys() == study.history().keys[0]].max() == forecasts.max()
    Path("first.h5").unlink()
    code, _, err = cli("search", *warm, "-n", "4", "--json")
    assert code == 2
    assert "first.h5" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--space", "darts"], "study 'search' has space 'nasbench201', and was opened with 'darts'"),
        (["--metric", "valid/loss"], "has metric 'valid/accuracy'"),
        (["--searcher", "bo"], "has searcher random()"),
        (["--searcher-option", "initial"], "expected --searcher-option NAME=VALUE, got 'initial'"),
        (["--searcher-option", "initial=3"], "searcher 'random' has no parameter 'initial'"),
        (["--recipe", "[1]"], "--recipe must be a JSON object"),
        (["--recipe", "{"], "--recipe is not valid JSON"),
        (["--pruner", "mean"], "unknown pruner 'mean'"),
        (["--seeds", "0,1"], "has seeds [0], and was opened with [0, 1]"),
        (["--trainings", "0"], "the budget of trainings must be an integer of at least 1, got 0"),
        (["--timeout", "-1"], "a timeout must be a positive number of seconds"),
        (["--report", "report.pdf"], "expected a file name ending in .html or .md or .json"),
        (["--storage", "nowhere/studies.db"], "its folder does not exist"),
        (["--seed", "-1"], "seed"),
        (["--source", "nasbench201:cifar100/test_accuracy@12"], "has sources none, and was opened with nasbench201:"),
        (["--source", "nowhere:cifar100/test_accuracy"], "unknown table 'nowhere'"),
        (["--source", "nasbench201"], "a source must read TABLE:METRIC[@EPOCH] or be the file of a predictor"),
        (["--study", "new", "--source", "nasbench201:cifar100/test_accuracy"], "searcher 'random' takes no sources"),
    ],
)
def test_bad_input_is_one_sentence(cli, refused, given, arguments, message):
    open_study("search", "studies.db", space=ac.get_space("nasbench201"), metric="valid/accuracy", searcher="random")
    refused(message, "search", *given, *([] if "--trainings" in arguments else ["-n", "3"]), *arguments)
    assert open_study("search", "studies.db").trials() == []


def test_what_is_missing_is_named(refused, given):
    refused("expected --command, a shell command that trains, or --task; got none", "search", *given[:-2], "-n", "3")
    refused("a new study needs a space, such as 'nasbench201'", "search", *given[2:], "-n", "3")
    refused("there is no storage 'studies.db'", "study", "list")
    open_study("a", "studies.db", space=ac.get_space("nasbench201"), metric="valid/accuracy")
    refused("expected a budget of trainings, seconds or cost, got none", "search", *given, "--study", "new")
    refused("there is no study 'b' in 'studies.db', there is a", "study", "show", "b")
    refused("unknown task 'training'", "study", "resume", "a", "-n", "1")
    refused("has no stored command", "study", "resume", "a", "--stored-command")
    refused("has no finished training to draw", "study", "plot", "a")
    refused("there is no training to write as a table", "study", "export", "a", "a.h5")
    refused("expected --table TABLE:METRIC[@EPOCH]", "study", "show", "a", "--table", "nasbench201")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_gives_back_what_it_trains(given, tmp_path, number):
    given[-1] = f"sleep 0.3; {given[-1]}"
    program = [sys.executable, "-m", "archcast", "search", *given, "-n", "50", "--json", "--workers", "2"]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    lines = [process.stdout.readline() for _ in range(2)]
    process.send_signal(number)
    began = time.monotonic()
    rest, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert time.monotonic() - began < 10
    assert "interrupted; the same command goes on" in err
    lines += rest.splitlines()
    found = open_study("search", "studies.db").candidates()
    states = [candidate.state for candidate in found]
    assert states.count("waiting") >= 1
    assert states.count("running") == 0
    assert len(lines) == len(states) - states.count("waiting")


def test_help_has_examples(cli):
    for command in (["search"], *(["study", name] for name in ("list", "show", "resume", "export", "plot"))):
        code, out, _ = cli(*command, "--help")
        assert code == 0
        assert f"archcast {' '.join(command)}" in out.replace("\n", " ").partition("Example")[2]
