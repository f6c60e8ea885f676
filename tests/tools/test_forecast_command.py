"""`archcast forecast`: what it prints and writes, how it ends, and how it refuses."""

import json
import sys
import textwrap

import archcast as ac
import numpy as np
import pytest
from archcast.benchmarks_data import Column, MetricInfo, write_table
from archcast.trainers import Journal

PROGRAM = """
    import json, sys
    wanted = json.load(sys.stdin)
    with open("seen.txt", "a") as file:
        print(wanted["architecture"], file=file)
    if wanted["recipe"].get("fails"):
        sys.exit("no data")
    print(json.dumps({"valid/accuracy": sum(g * w for g, w in zip(wanted["genotype"], (3, 1, 2, 1, 1, 3))) / 50}))
"""
GIVEN = ["--space", "nasbench201", "--command", f"{sys.executable} -S -E train.py", "--searcher", "random"]
GIVEN += ["--predictor", "bayesian_linear@adjacency"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(textwrap.dedent(PROGRAM))
    return tmp_path


def test_report_file_and_picture_and_going_on(cli, folder):
    given = [*GIVEN, "--budget", "6", "--journal", "a.journal"]
    code, out, err = cli(
        "forecast", *given, "--output", "r.json", "--plot", "r.png", "-t", "nasbench201:cifar10/test_accuracy@200"
    )
    assert code == 0
    content = json.loads((folder / "r.json").read_text())
    assert (folder / "r.png").read_bytes().startswith(b"\x89PNG")
    cells = (folder / "seen.txt").read_text().splitlines()
    assert [item["architecture"] for item in content["trained"]] == cells
    assert [item["forecast"] is None for item in content["trained"]] == [True] * 3 + [False] * 3
    assert content["best"]["value"] == max(item["value"] for item in content["trained"])
    table = ac.load_table("nasbench201")
    values = table.values("cifar10/test_accuracy", epoch=200)
    (row,) = table.rows(table.space.parse([content["best"]["architecture"]]))
    assert content["standing"]["value"] == values[row]
    assert content["standing"]["better"] == int((values > values[row]).sum())
    assert f"in table nasbench201, {content['standing']['better']} of 15,625 rows are better" in out
    assert len(err.splitlines()) == 6
    assert err.splitlines()[3].startswith("forecast ")
    code, out, err = cli("forecast", *given, "--budget", "7", "--json")
    again = json.loads(out)
    assert (code, err) == (0, "")
    assert again["trained"][:6] == content["trained"]
    assert len((folder / "seen.txt").read_text().splitlines()) == 7
    with Journal("a.journal", mode="read") as journal:
        assert len(journal) == 7


def test_where_no_training_finishes(cli):
    code, out, err = cli(
        "forecast", *GIVEN, "-b", "3", "--set", "fails=1", "-t", "nasbench201:cifar10/test_accuracy@200", "--json"
    )
    content = json.loads(out)
    assert (code, content["best"], content["standing"]) == (3, None, None)
    assert all(item["message"].endswith("no data") for item in content["trained"])
    assert "no training finished" in err


def test_a_table_that_lacks_the_best_found(cli, folder):
    space = ac.get_space("nasbench201")
    other = write_table(
        folder / "t.h5", space, space.sample(2, seed=99), [Column(MetricInfo("toy/accuracy"), np.array([1.0, 2.0]))]
    )
    code, out, err = cli("forecast", *GIVEN, "-b", "3", "--table", f"{other}:toy/accuracy", "--json")
    assert (code, json.loads(out)["standing"]) == (0, None)
    assert "is not in table" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budget", "2"], "'budget' of a forecast must be an integer of at least 3, got 2"),
        (["--budget", "8", "--initial", "9"], "the budget of 8 architectures is less than the 9"),
        (["--seed", "-1"], "'seed' of a forecast must be an integer of at least 0, got -1"),
        (["--predictor", "gpp"], "unknown predictor 'gpp'"),
        (["--searcher", "rand"], "did you mean 'random'"),
        (["--space", "nasbench210"], "did you mean 'nasbench201'"),
        (["--metric", "valid/foo"], "say it by higher_is_better (--direction)"),
        (["--direction", "up"], "--direction must be higher or lower, got 'up'"),
        (["--table", "nasbench201"], "expected --table TABLE:METRIC[@EPOCH], got 'nasbench201'"),
        (["--table", "nasbench201:cifar10/test_accuracy@x"], "must name an integer epoch after '@'"),
        (["--table", "nasbench201:cifar10/test_accuracy@7"], "has no epoch 7"),
        (["--table", "nasbench201:cifar10/speed"], "cifar10/speed"),
        (["--table", "nasbench_nlp:ptb/val_loss"], "nasbench_nlp"),
        (["--output", "r.csv"], "expected a file name ending in .json"),
        (["--plot", "no/r.png"], "there is no folder no"),
        (["--journal", "no/a.journal"], "cannot open journal 'no/a.journal'"),
        (["--timeout", "-3"], "a timeout must be a positive number of seconds"),
        (["--seeds", "0"], "--seeds must be a number of trainings"),
        (["--function", "a:b"], "expected either --command or --function, got both"),
    ],
)
def test_bad_input_is_one_sentence_and_trains_nothing(refused, folder, arguments, message):
    refused(message, "forecast", *GIVEN, *arguments)
    assert [path.name for path in folder.iterdir()] == ["train.py"]


def test_networks_are_refused_before_they_are_trained(refused):
    task = ["--space", "nasbench201", "--task", "digits"]
    refused("expected --task, --command or --function", "forecast", *task[:2])
    refused(
        "no number of channels for it to multiply", "forecast", *task, "--recipe", "nasbench201_12", "--width", "0.5"
    )
    refused("device must be auto or one of cpu, got 'mps'", "forecast", *task, "--device", "mps")
    refused(
        "the trainings will have no 'valid/error', expected one of train/loss", "forecast", *task, "-m", "valid/error"
    )
