"""`archcast train` and `archcast proxies`: what they train, record and print, and how they refuse."""

import csv
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import archcast as ac
import numpy as np
import pytest
from archcast.tools.commands.train import sparkline
from archcast.trainers import Journal, ProcessPool

CELLS = ac.get_space("nasbench201").sample(4, seed=3).strings()
TINY = ["--task", "mnist1d", "--set", "epochs=1", "--set", "channels=4"]
TINY += [item for size in ("train=64", "valid=32", "test=32", "length=20") for item in ("--task-option", size)]
OWN = ["--space", "nasbench201", "--command", f"{sys.executable} -S -E train.py"]
PROGRAM = """
    import json, sys
    wanted = json.load(sys.stdin)
    with open("seen.txt", "a") as file:
        print(wanted["architecture"], wanted["seed"], file=file)
    if wanted["recipe"].get("fails") == wanted["seed"]:
        sys.exit("no room")
    for epoch in range(1, (wanted["fidelity"]["epochs"] or 2) + 1):
        print(json.dumps({"epoch": epoch, "valid/accuracy": (sum(wanted["genotype"]) + wanted["seed"]) * epoch / 100}))
"""


def accuracy(cell, seed, epochs=2):
    genotype = ac.get_space("nasbench201").parse([cell]).genotypes[0]
    return (int(genotype.sum()) + seed) * epochs / 100


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder of its own, in which a program trains that notes what it was asked for."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.py").write_text(textwrap.dedent(PROGRAM))
    return tmp_path


def seen():
    return Path("seen.txt").read_text().splitlines()


def records(out):
    return [json.loads(line) for line in out.splitlines()]


def test_arguments_a_file_and_standard_input_are_trained_once(cli, folder):
    (folder / "cells.txt").write_text(f"{CELLS[1]}\n{CELLS[0]}\n")
    given = [CELLS[0], "-", "--file", "cells.txt", *OWN, "--seeds", "0,7", "--json"]
    code, out, err = cli("train", *given, text=json.dumps([CELLS[2]]))
    assert (code, err) == (0, "")
    found = records(out)
    expected = [(cell, seed) for cell in (CELLS[0], CELLS[1], CELLS[2]) for seed in (0, 7)]
    assert [(record["architecture"], record["seed"]) for record in found] == expected
    assert seen() == [f"{cell} {seed}" for cell, seed in expected]
    for record in found:
        assert record["curves"]["valid/accuracy"][-1] == accuracy(record["architecture"], record["seed"])
    code, out, err = cli("train", *CELLS, *OWN, "--seeds", "0,7", "--json")
    assert (code, err) == (0, "trainings.journal: has 6 of 8 trainings\n")
    assert [record["architecture"] for record in records(out)] == [CELLS[3]] * 2
    assert len(seen()) == 8


def test_the_fidelity_and_the_recipe_reach_the_training(cli):
    fidelity = ["--epochs", "3", "--data-share", "0.5", "--width", "2", "--cells", "1", "--resolution", "9"]
    own = ["--recipe", '{"rate": 0.1, "kind": "a"}', "--set", "rate=0.2", "--set", "text=NaN", "--task", "mine"]
    (record,) = records(cli("train", CELLS[0], *OWN, *fidelity, *own, "--json")[1])
    assert record["fidelity"] == {"epochs": 3, "data_share": 0.5, "resolution": 9, "width": 2.0, "cells": 1}
    assert (record["task"], record["recipe"]) == ("mine", {"rate": 0.2, "kind": "a", "text": "NaN"})
    assert len(record["curves"]["valid/accuracy"]) == 3


def test_failed_trainings_stand_beside_the_others(cli):
    code, out, err = cli("train", *CELLS[:2], *OWN, "--seeds", "2", "--set", "fails=0", "-o", "table.h5")
    assert code == 3
    assert err.count("failed: CommandFailedError: the command ended with exit status 1: no room") == 2
    assert "table.h5: 2 architectures" in err
    assert err.endswith("archcast: 2 of 4 trainings did not finish\n")
    rows = list(csv.DictReader(out.splitlines(), delimiter="\t"))
    assert [row["status"] for row in rows] == ["failed", "finished"] * 2
    assert [row["valid/accuracy"] for row in rows] == [
        text for cell in CELLS[:2] for text in ("-", f"{accuracy(cell, 1):.6g}")
    ]
    assert all(row["message"].endswith("no room") == (row["status"] == "failed") for row in rows)
    table = ac.load_table("table.h5")
    values = table.values("own/valid_accuracy")
    np.testing.assert_allclose(values, [accuracy(cell, 1) for cell in CELLS[:2]])
    np.testing.assert_array_equal(table.values("own/unfinished", seed="all"), [[1, 0]] * 2)
    assert cli("train", "--resume")[0] == 3
    assert len(seen()) == 4


def test_retry_trains_again_what_failed_so_often(cli, folder, refused):
    given = [*CELLS[:2], *OWN, "--seeds", "0,7", "--set", "fails=7", "--json"]
    assert cli("train", *given)[0] == 3
    assert len(seen()) == 4
    assert cli("train", *given) == (
        3,
        "",
        "trainings.journal: has 4 of 4 trainings\narchcast: 2 of 4 trainings did not finish\n",
    )
    code, out, _ = cli("train", "--resume", "--retry", "--json")
    assert code == 3
    assert [(record["architecture"], record["seed"], record["status"]) for record in records(out)] == [
        (cell, 7, "failed") for cell in CELLS[:2]
    ]
    assert cli("train", "--resume", "--retry", "--attempts", "2", "--json")[1] == ""  # both are there already
    program = (folder / "train.py").read_text()
    (folder / "train.py").write_text(program.replace('sys.exit("no room")', "pass"))
    code, out, err = cli("train", "--resume", "--retry", "--json")
    assert (code, err) == (0, "trainings.journal: has 2 of 4 trainings\n")
    assert [record["status"] for record in records(out)] == ["finished"] * 2
    assert cli("train", "--resume", "--retry", "--json")[:2] == (0, "")
    assert len(seen()) == 8
    refused("--attempts is for --retry or --retry-diverged, got 2", "train", *given, "--attempts", "2")
    refused("--retry goes with --journal", "forecast", *OWN, "--retry")


def test_what_diverged_is_trained_again_only_if_asked(cli, folder):
    program = (
        (folder / "train.py")
        .read_text()
        .replace('sys.exit("no room")', 'print(json.dumps({"epoch": 1, "loss": float("nan")})); sys.exit()')
    )
    (folder / "train.py").write_text(program)
    given = [CELLS[0], *OWN, "--set", "fails=0", "--json"]
    assert records(cli("train", *given)[1])[0]["status"] == "diverged"
    assert cli("train", *given, "--retry")[1] == ""
    assert records(cli("train", *given, "--retry-diverged")[1])[0]["status"] == "diverged"
    assert len(seen()) == 2


def test_a_function_trains_in_workers(cli):
    code, out, _ = cli(
        "train", CELLS[0], "-s", "nasbench201", "--function", "trainer_functions:train_quickly", "--json"
    )
    assert code == 0
    (record,) = records(out)
    assert (record["parameters"], record["flops"], record["curves"]["test/accuracy"][-1]) == (10, 20, 0.5)
    assert len(record["curves"]["valid/loss"]) == 3


def test_arrays_of_the_user_become_a_table(cli):
    rng = np.random.default_rng(0)
    arrays = {f"{name}_{part}": None for part in ("train", "valid", "test") for name in "xy"}
    for part, n in (("train", 48), ("valid", 24), ("test", 24)):
        arrays[f"y_{part}"] = rng.integers(0, 3, n)
        arrays[f"x_{part}"] = rng.normal(size=(n, 2, 12)).astype(np.float32)
    np.savez("mine.npz", **arrays)
    given = ["-s", "nasbench201", "--task", "mine.npz", *TINY[2:6], "--seeds", "2", "-o", "mine.h5"]
    code, _, err = cli("train", *CELLS[:2], *given, "--json")
    assert (code, err.count("\n")) == (0, 1)
    table = ac.load_table("mine.h5")
    task = next(iter(table.metrics)).partition("/")[0]
    with Journal("trainings.journal", mode="read") as journal:
        found = journal.records()
    assert {record.task for record in found} == {task}
    assert [(record.recipe["epochs"], record.recipe["channels"]) for record in found] == [(1, 4)] * 4
    for record in found:
        row = table.rows(table.space.parse([record.architecture]))[0]
        for metric in ("valid/accuracy", "test/loss"):
            value = table.values(f"{task}/{metric.replace('/', '_')}", seed=record.seed)[row]
            assert value == pytest.approx(record.final(metric), rel=1e-6)


# ---- interruptions --------------------------------------------------------------------------------------------------


def test_ctrl_c_loses_nothing_and_resume_goes_on(cli):
    slow = [*OWN[:3], f"sleep 0.2; {OWN[3]}"]
    program = [sys.executable, "-m", "archcast", "train", *CELLS, *slow, "--seeds", "5", "--json"]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    first = [process.stdout.readline() for _ in range(2)]
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "archcast: interrupted; --resume goes on with what is missing\n"
    done = records("".join(first) + rest)
    assert 2 <= len(done) < 20
    code, out, err = cli("train", "--resume", "--json")
    assert (code, err) == (0, f"trainings.journal: has {len(done)} of 20 trainings\n")
    both = [(record["architecture"], record["seed"]) for record in done + records(out)]
    assert both == [(cell, seed) for cell in CELLS for seed in range(5)]
    assert {f"{cell} {seed}" for cell, seed in both} == set(seen())
    assert cli("train", "--resume", "--json") == (0, "", "trainings.journal: has 20 of 20 trainings\n")


def test_a_broken_stream_is_gone_on_with(cli, monkeypatch):
    from archcast import trainers

    whole = trainers.stream

    def broken(*arguments, **options):
        for number, record in enumerate(whole(*arguments, **options)):
            yield record
            if number == 2:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(trainers, "stream", broken)
        code, out, err = cli("train", *CELLS, *OWN, "--json")
    assert (code, len(records(out))) == (130, 3)
    assert "--resume goes on" in err
    code, out, _ = cli("train", "--resume", "--json")
    assert (code, [record["architecture"] for record in records(out)]) == (0, CELLS[3:])
    assert len(seen()) == 4


def test_resume_refuses_what_it_cannot_understand(cli, refused, folder):
    refused("cannot resume: there is no trainings.journal.request.json", "train", "--resume")
    assert cli("train", CELLS[0], *OWN)[0] == 0
    path = folder / "trainings.journal.request.json"
    asked = json.loads(path.read_text())
    for option, value in (
        ("--seeds", "3"),
        ("--epochs", "2"),
        ("--set", "a=1"),
        ("--width", "2"),
        ("--task", "digits"),
    ):
        refused(f"takes no {option}", "train", "--resume", option, value)
    refused("takes no ARCHITECTURE", "train", "--resume", CELLS[0])
    for changed in (
        "{",
        "[" * 100_000,
        "[]",
        json.dumps({**asked, "more": 1}),
        json.dumps({**asked, "architectures": 3}),
        json.dumps({**asked, "training": {**asked["training"], "task": 5}}),
        json.dumps({**asked, "training": {"task": "digits"}}),
        json.dumps({**asked, "seeds": ["0"]}),
    ):
        path.write_text(changed)
        refused("trainings.journal.request.json is damaged; give the first command again", "train", "--resume")
    path.write_text(json.dumps({**asked, "fidelity": {"years": 1}}))
    refused("unknown fidelity 'years'", "train", "--resume")
    path.write_text(json.dumps({**asked, "architectures": ["|oh~0|"]}))
    refused("|oh~0|", "train", "--resume")
    path.write_bytes(b"\xff\xfe")
    refused("not UTF-8 text", "train", "--resume")
    assert len(seen()) == 1


# ---- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "mnist2d"], "did you mean 'mnist1d'"),
        (["--task", "none.npz"], "cannot read arrays from 'none.npz'"),
        (["--task", "train.npz", "--task-option", "path=a"], "expected no --task-option path=a"),
        ([*TINY, "--task-option", "name=a"], "has no parameter 'name'"),
        ([*TINY, "--task-option", "train"], "expected --task-option NAME=VALUE, got 'train'"),
        ([*TINY, "--recipe", "signal"], "did you mean 'signals'"),
        ([*TINY, "--recipe", "{"], "the recipe is not valid JSON"),
        ([*TINY, "--recipe", "none.json"], "cannot read the recipe 'none.json'"),
        ([*TINY, "--recipe", "signals", "--set", "text=1"], "unknown value 'text' of a recipe"),
        ([*TINY, "--set", "epochs"], "expected --set NAME=VALUE, got 'epochs'"),
        ([*TINY, "--set", "epochs=few"], "'epochs' of a recipe must be an integer of at least 1, got 'few'"),
        ([*TINY, "--set", "learning_rate=NaN"], "'learning_rate' of a recipe must be a number greater than 0"),
        ([*TINY, "--set", "rate=1"], "unknown value 'rate' of a recipe"),
        (
            ["--task", "digits", "--recipe", "nasbench201_12", "--width", "0.5"],
            "no number of channels for it to multiply",
        ),
        ([*TINY, "--device", "tpu"], "the device must be one of"),
        ([*TINY, "--device", "mps"], "device must be auto or one of cpu, got 'mps'"),
        ([*OWN[2:], "--seeds", "0"], "--seeds must be a number of trainings, or distinct seeds from 0 on, got '0'"),
        ([*OWN[2:], "--seeds", "-1,2"], "distinct seeds from 0 on, got '-1,2'"),
        ([*OWN[2:], "--seeds", "1,1"], "distinct seeds from 0 on, got '1,1'"),
        ([*OWN[2:], "--seeds", "few"], "--seeds must be integers joined by commas, got 'few'"),
        ([*OWN[2:], "--function", "a:b"], "expected either --command or --function, got both"),
        ([*OWN[2:], "--recipe", "signals"], "must be a JSON object, got 'signals'"),
        ([*OWN[2:], "--recipe", '{"a": NaN}'], "must be a JSON object"),
        ([*OWN[2:], "--recipe", "{"], "must be a JSON object, got '{'"),
        ([*OWN[2:], "--epochs", "0"], "fidelity 'epochs' must be an integer of at least 1"),
        ([*OWN[2:], "--data-share", "2"], "fidelity 'data_share' must be a number in (0, 1], got 2.0"),
        ([*OWN[2:], "--timeout", "0"], "a timeout must be a positive number of seconds, got 0.0"),
        ([*OWN[2:], "-o", "table.csv"], "expected a file name ending in .h5 or .hdf5"),
        ([*OWN[2:], "-o", "no/table.h5"], "there is no folder no"),
        ([*OWN[2:], "-j", "no/a.journal"], "there is no folder no"),
        ([*OWN[2:], "-j", "train.py"], "'train.py' is not a journal of trainings"),
        (["--command", ""], "expected a command to run, got an empty one"),
        (["--function", "trainer_functions"], "expected --function MODULE:NAME, got 'trainer_functions'"),
        (["--function", "trainer_functions:nothing"], "module 'trainer_functions' has no function 'nothing'"),
        (["--function", "broken_module:f"], "cannot import --function 'broken_module:f': SyntaxError"),
        (["--function", "no_such_module:f"], "cannot import --function 'no_such_module:f': ModuleNotFoundError"),
        (["--function", "math:pi"], "expected a function f(architecture, fidelity, seed, report), got 3.14"),
        ([], "expected --task, --command or --function to say what trains, got none"),
    ],
)
def test_bad_input_is_one_sentence_and_trains_nothing(refused, folder, arguments, message):
    (folder / "broken_module.py").write_text("def f(:\n")
    refused(message, "train", CELLS[0], "--space", "nasbench201", *arguments)
    assert sorted(path.name for path in folder.iterdir() if path.name != "__pycache__") == [
        "broken_module.py",
        "train.py",
    ]


def test_architectures_must_be_of_the_space(refused):
    refused("expected --space, to say what the architectures are", "train", CELLS[0], *TINY)
    refused("unknown space 'nasbench210'", "train", CELLS[0], "-s", "nasbench210", *TINY)
    refused("argument: ", "train", CELLS[0], "-s", "darts", *TINY)
    refused("standard input: ", "train", "-", "-s", "nasbench201", *TINY, text='{"a": 1}')
    refused("got none", "train", "-s", "nasbench201", *TINY)


# ---- what is shown --------------------------------------------------------------------------------------------------


def test_curves_as_text():
    assert sparkline([]) == sparkline([math.nan]) == ""
    assert sparkline([0, 1, math.nan, 0.5]) == "▁█?▅"
    assert sparkline([3.0, 3.0]) == "▁▁"
    assert len(sparkline(range(50))) == 20


def test_workers_keep_memory_unless_told_otherwise(monkeypatch):
    names = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_")
    for name in names:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MALLOC_TOP_PAD_", "123")

    def settings(report):
        return [os.environ.get(name) for name in names]

    with ProcessPool(1) as pool:
        pool.submit(settings)
        (outcome,) = pool.results()
    assert outcome.value == ["4294967296", "33554432", "123"]
    assert "MALLOC_TRIM_THRESHOLD_" not in os.environ


# ---- proxies --------------------------------------------------------------------------------------------------------


def test_proxies_are_printed_and_written(cli):
    names = ["--proxy", "l2_norm", "--proxy", "synflow", "--proxy", "flops"]
    given = ["proxies", *CELLS[:2], *TINY, *names, "--batch", "8"]
    printed = json.loads(cli(*given, "--json")[1])
    assert [list(row) for row in printed] == [["architecture", "l2_norm", "synflow", "flops"]] * 2
    assert [row["architecture"] for row in printed] == CELLS[:2]
    assert printed[0]["flops"] != printed[1]["flops"]
    assert cli(*given, "-o", "p.csv")[:2] == cli(*given, "-o", "p.json")[:2] == (0, "")
    assert json.loads(Path("p.json").read_text()) == printed
    rows = [
        {k: v if k == "architecture" else float(v) for k, v in row.items()}
        for row in csv.DictReader(Path("p.csv").read_text().splitlines())
    ]
    assert rows == printed
    assert json.loads(cli(*given, "--json", "--seed", "1")[1])[0]["l2_norm"] != printed[0]["l2_norm"]


def test_proxies_of_a_regression_use_its_loss(cli):
    import torch
    from archcast.trainers import make_task
    from archcast.trainers.recipes import make_recipe

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 1, 8)).astype(np.float32), rng.normal(size=(60, 3)).astype(np.float32)
    np.savez("numbers.npz", x_train=x, y_train=y)
    given = ["--task", "numbers.npz", "--task-option", "loss=mse", "--recipe", "signals", "--set", "channels=4"]
    (found,) = json.loads(cli("proxies", CELLS[0], *given, "--batch", "8", "--json")[1])
    assert found["epe_nas"] is None
    task, recipe = make_task("npz", path="numbers.npz", loss="mse"), make_recipe("signals", channels=4)
    space = ac.get_space("nasbench201")
    torch.manual_seed(0)
    network = space.build(space.parse([CELLS[0]])[0], recipe.skeleton(task)).train()
    inputs, targets = (torch.from_numpy(array[:8]) for array in (task.train.inputs, task.train.targets))
    torch.nn.functional.mse_loss(network(inputs), targets).backward()
    layers = [layer for layer in network.modules() if isinstance(layer, (torch.nn.Conv1d, torch.nn.Linear))]
    expected = sum(
        (layer.weight * layer.weight.grad).abs().sum().item() for layer in layers if layer.weight.grad is not None
    )
    assert found["snip"] == pytest.approx(expected, rel=1e-5)


def test_proxies_refuse(refused):
    refused("did you mean 'synflow'", "proxies", CELLS[0], *TINY, "--proxy", "sinflow")
    refused("unknown task 'mnist2d'", "proxies", CELLS[0], "--task", "mnist2d")
    refused("expected a file name ending in .csv or .json", "proxies", CELLS[0], *TINY, "-o", "p.h5")
    refused("there is no folder no", "proxies", CELLS[0], *TINY, "-o", "no/p.csv")
    refused("argument: ", "proxies", "|oh~0|", *TINY)
