import json
import math
import os
import signal
import sys
import textwrap
import time

import archcast as ac
import pytest
import trainer_functions as functions
from archcast.errors import InvalidDataError
from archcast.trainers import Fidelity, Status
from archcast.trainers.executors import InProcess
from archcast.trainers.external import CallableTrainer, CommandFailedError, ShellTrainer
from archcast.trainers.process_pool import ProcessPool
from archcast.trainers.requests import TrainingRequest

SPACE = ac.get_space("nasbench201")
ARCHITECTURE = SPACE.sample(1, seed=3)[0]


def request(epochs=None, seed=0):
    return TrainingRequest(ARCHITECTURE, "mine", {"lr": 1}, Fidelity(epochs=epochs), seed)


def train(trainer, wanted, report=lambda payload: False):
    (record,) = trainer(report, [wanted])
    assert record.key == wanted.key
    return record


# ---- callables ---------------------------------------------------------------------------


def test_a_callable_gives_its_curve_and_its_final_metrics():
    seen = []
    record = train(CallableTrainer(functions.train_quickly), request(epochs=2, seed=5), seen.append)
    loss = 6 + sum(ARCHITECTURE.genotype)
    assert record.status is Status.FINISHED
    assert record.curves["valid/loss"] == [loss, loss / 2]
    assert math.isnan(record.curves["test/accuracy"][0])
    assert record.curves["test/accuracy"][1] == 0.5
    assert (record.parameters, record.flops, record.seed, record.task) == (10, 20, 5, "mine")
    assert [(seed, epoch, metrics["valid/loss"]) for seed, epoch, metrics in seen] == [(5, 1, loss), (5, 2, loss / 2)]
    assert 0 <= record.seconds < 1


def test_the_function_gets_what_was_asked_for():
    def check(architecture, fidelity, seed, report):
        assert (architecture, fidelity, seed) == (ARCHITECTURE, Fidelity(epochs=4), 9)
        return {"valid/accuracy": 0.75}

    record = train(CallableTrainer(check), request(epochs=4, seed=9))
    assert [math.isnan(value) for value in record.curves["valid/accuracy"][:3]] == [True] * 3
    assert record.curves["valid/accuracy"][3] == 0.75  # of the last epoch that was asked for


def test_stop_is_answered_and_marked():
    record = train(CallableTrainer(functions.train_quickly), request(epochs=9), lambda payload: payload[1] == 2)
    assert (record.status, record.epochs, record.message) == (Status.STOPPED, 2, "stopped after epoch 2")
    record = train(CallableTrainer(functions.train_quickly), request(epochs=2), lambda payload: payload[1] == 2)
    assert record.status is Status.FINISHED  # there was nothing left to do


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_divergence_is_a_status_with_its_curve(bad):
    def diverge(architecture, fidelity, seed, report):
        report(1, {"valid/loss": 1.0, "valid/accuracy": 0.5})
        report(2, {"valid/loss": bad, "valid/accuracy": 0.1})

    record = train(CallableTrainer(diverge), request())
    assert record.status is Status.DIVERGED
    assert "valid/loss is" in record.message
    assert "after epoch 2" in record.message
    assert record.curves["valid/accuracy"] == [0.5, 0.1]


def test_a_loss_that_recovers_has_not_diverged():
    def recover(architecture, fidelity, seed, report):
        report(1, {"valid/loss": math.nan})
        return {"valid/loss": 0.5}  # of epoch 1, reported again

    assert train(CallableTrainer(recover), request()).curves["valid/loss"] == [0.5]


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (None, "returned no metric"),
        ([0.1], r"expected metrics as a mapping .*, got \[0.1\]"),
        ({"valid/accuracy": "0.9"}, "'valid/accuracy' must be a number, got '0.9'"),
        ({3: 0.9}, "3 must be a number"),
        ({"loss": 1, "flops": -1}, "flops must be a number from 0 on, got -1"),
    ],
)
def test_results_that_are_none_are_refused(result, message):
    with pytest.raises(InvalidDataError, match=message):
        train(CallableTrainer(lambda *_: result), request())


@pytest.mark.parametrize("epoch", [0, -1, 1.5, True, "2"])
def test_epochs_count_from_one(epoch):
    with pytest.raises(InvalidDataError, match="counted from 1 on"):
        train(CallableTrainer(lambda architecture, fidelity, seed, report: report(epoch, {"loss": 1})), request())


def test_what_is_no_function_is_refused():
    with pytest.raises(InvalidDataError, match="expected a function"):
        CallableTrainer("python train.py")


# ---- commands ----------------------------------------------------------------------------


def command(tmp_path, program):
    path = tmp_path / "train.py"
    path.write_text("import json, os, sys, time\n" + textwrap.dedent(program))
    return [sys.executable, "-S", "-E", str(path)]


def test_a_command_reads_the_request_and_prints_its_curve(tmp_path):
    program = """
        wanted = json.load(sys.stdin)
        json.dump(wanted, open(os.environ["COPY"], "w"))
        print("training", file=sys.stderr)
        for epoch in range(1, wanted["fidelity"]["epochs"] + 1):
            print(json.dumps({"epoch": epoch, "valid/loss": 1 / epoch, "train/loss": None}), flush=True)
        print()
        print('{"test/accuracy": 0.5, "parameters": 1e3}')
    """
    seen = []
    trainer = ShellTrainer(command(tmp_path, program), {"COPY": str(tmp_path / "copy")})
    record = train(trainer, request(epochs=3, seed=4), lambda payload: seen.append(payload[:2]))
    assert json.loads((tmp_path / "copy").read_text()) == {
        "space": SPACE.spec,
        "architecture": str(ARCHITECTURE),
        "genotype": list(ARCHITECTURE.genotype),
        "task": "mine",
        "recipe": {"lr": 1},
        "fidelity": {"epochs": 3, "data_share": 1.0, "resolution": None, "width": 1.0, "cells": None},
        "seed": 4,
    }
    assert seen == [(4, 1), (4, 2), (4, 3)]
    assert record.curves["valid/loss"] == [1, 1 / 2, 1 / 3]
    assert record.curves["test/accuracy"][2] == 0.5
    assert (record.status, record.parameters) == (Status.DIVERGED, 1000)  # its training loss is null


def test_a_shell_line_may_ignore_its_input():
    record = train(ShellTrainer("""echo '{"valid/accuracy": 0.5}' && echo "$UNIT" >&2"""), request())
    assert record.curves == {"valid/accuracy": [0.5]}
    assert record.status is Status.FINISHED


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Epoch 1: loss 0.3", "line 2 of the command's output is not JSON: Epoch 1: loss 0.3"),
        ("[1, 2]", "line 2 of the command's output is not a JSON object"),
        ("0.93", "is not a JSON object: 0.93"),
        ('{"epoch": 1, "loss": 0.', "is not JSON"),
        ('{"epoch": 0, "loss": 1}', "line 2 of the command's output needs an epoch from 1 on, got 0"),
        ('{"epoch": 1e3, "loss": 1}', "needs an epoch from 1 on, got 1000.0"),
        ('{"epoch": 99999999999, "loss": 1}', "needs an epoch from 1 on, got 99999999999"),
        ('{"epoch": 1, "loss": "low"}', "line 2 of the command's output: metric 'loss' must be a number, got 'low'"),
        ("\\377\\376\\000", "is not JSON"),
        ("[" * 5000, "is not JSON"),
    ],
)
def test_garbage_is_named_by_its_line(line, message):
    with pytest.raises(CommandFailedError, match=message):
        train(ShellTrainer(["printf", '{"epoch": 1, "loss": 1}\\n' + line + "\\n"]), request())


def test_a_command_that_fails_shows_its_last_words():
    script = "echo first >&2; echo >&2; echo 'CUDA is on fire' >&2; exit 3"
    with pytest.raises(CommandFailedError, match=r"ended with exit status 3: first \| CUDA is on fire"):
        train(ShellTrainer(script), request())
    with pytest.raises(CommandFailedError, match="was killed by signal 9"):
        train(ShellTrainer("kill -9 $$"), request())
    with pytest.raises(FileNotFoundError):
        train(ShellTrainer(["/nowhere/train"]), request())
    with pytest.raises(InvalidDataError, match="no metric"):
        train(ShellTrainer("true"), request())
    with pytest.raises(InvalidDataError, match="expected a command"):
        ShellTrainer("")


def test_a_stopped_command_is_terminated_and_keeps_its_curve(tmp_path):
    program = """
        for epoch in range(1, 1000):
            print(json.dumps({"epoch": epoch, "loss": 1}), flush=True)
            time.sleep(0.02)
    """
    record = train(ShellTrainer(command(tmp_path, program)), request(), lambda payload: payload[1] >= 3)
    assert record.status is Status.STOPPED
    assert 3 <= record.epochs < 100


def running(pid):
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@pytest.mark.parametrize("how", ["timeout", "in process", "killed worker"])
def test_a_command_does_not_outlive_its_training(tmp_path, how):
    line = (
        f"""sleep 60 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/shell; echo '{{"epoch": 1, "loss": 1}}'; wait"""
    )
    with InProcess() if how == "in process" else ProcessPool(1) as executor:
        executor.submit(ShellTrainer(line), [request()], timeout=None if how == "killed worker" else 1.0)

        def kill(_handle, _payload):
            if how == "killed worker":
                os.kill(executor._processes[0].process.pid, signal.SIGKILL)

        (outcome,) = executor.results(kill)
    assert outcome.status is (Status.KILLED if how == "killed worker" else Status.TIMEOUT)
    pids = [int((tmp_path / name).read_text()) for name in ("shell", *(["child"] if how != "killed worker" else []))]
    end = time.perf_counter() + 5
    while any(map(running, pids)) and time.perf_counter() < end:
        time.sleep(0.02)
    assert not any(map(running, pids))
    if how == "killed worker":  # what the shell itself has started is beyond the kernel's help
        os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


def test_ctrl_c_during_a_fork_is_not_lost():
    due = [True]

    def interrupt():
        if due:
            due.clear()
            os.kill(os.getpid(), signal.SIGINT)

    os.register_at_fork(after_in_parent=interrupt)  # what is raised there, Python drops
    trainer = ShellTrainer("sleep 30")
    before = signal.getsignal(signal.SIGINT)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        train(trainer, request())
    assert time.monotonic() - began < 20
    assert signal.getsignal(signal.SIGINT) is before
