import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import archcast as ac
import pytest
import trainer_functions as functions
from archcast.errors import InvalidArchitectureError, InvalidDataError, JournalError
from archcast.trainers import Fidelity, Status
from archcast.trainers.external import CallableTrainer
from archcast.trainers.journal import Journal
from archcast.trainers.process_pool import ProcessPool
from archcast.trainers.requests import TrainingRequest, requests_for
from archcast.trainers.run import run, stream

SPACE = ac.get_space("nasbench201")


def wanted(n=3, seeds=(0, 1), **options):
    return requests_for(SPACE, SPACE.sample(n, seed=0), "toy", seeds=seeds, **options)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "study.journal"


def test_records_come_back_in_the_order_of_the_requests():
    requests = wanted()
    records = run([*requests, requests[0]], CallableTrainer(functions.train_quickly))
    assert [record.key for record in records] == [request.key for request in [*requests, requests[0]]]
    assert {record.status for record in records} == {Status.FINISHED}
    assert [record.curves["valid/loss"][0] for record in records[:2]] == [
        1 + sum(requests[0].architecture.genotype),
        2 + sum(requests[0].architecture.genotype),
    ]


def test_each_training_is_done_once_over_many_runs(path, tmp_path, monkeypatch):
    monkeypatch.setenv("MARKS", str(tmp_path))
    requests = wanted(4)
    trainer = CallableTrainer(functions.train_with_marks)
    with Journal(path) as journal:
        first = []
        for record in stream(requests, trainer, journal=journal):
            first.append(record)
            if len(first) == 3:
                break
        assert len(journal) == 3
        assert len(run(requests[:5], trainer, journal=journal)) == 5
    with Journal(path) as journal, ProcessPool(2) as pool:
        records = run(requests, trainer, pool, journal)
        assert [record.key for record in records] == [request.key for request in requests]
        assert len(journal) == 8
        assert run(requests, trainer, pool, journal) == records
    marks = [file.read_text() for file in tmp_path.iterdir() if file != path]
    assert marks == ["x"] * 8


def test_every_way_to_fail_is_recorded_and_the_others_go_on(path):
    requests = wanted(1, seeds=range(9))
    with Journal(path) as journal, ProcessPool(2) as pool:
        records = run(requests, CallableTrainer(functions.train_by_seed), pool, journal, timeout=1.5)
        statuses = [record.status for record in records]
        assert journal.missing(requests) == [requests[2]]  # the killed one
    assert statuses == [
        Status.FINISHED,
        Status.FAILED,
        Status.KILLED,
        Status.TIMEOUT,
        Status.OUT_OF_MEMORY,
        Status.DIVERGED,
        Status.FAILED,
        Status.FAILED,
        Status.FINISHED,
    ]
    assert records[1].message == "ValueError: class 7 of 5"
    assert records[3].message == "did not end within 1.5 s"
    assert "'valid/accuracy' must be a number" in records[6].message
    assert "expected metrics as a mapping" in records[7].message
    assert records[0].curves["valid/loss"] == [1.0, 0.5]
    assert all(records[seed].curves["valid/loss"] == [1.0] for seed in (1, 2, 3, 4))  # what they reached
    assert 1.4 < records[3].seconds < 5


class OtherRecords:
    seeds_at_once = 3

    def __init__(self, answer):
        self.answer = answer

    def __call__(self, report, requests):
        return self.answer(requests)


def test_seeds_go_to_the_trainer_together():
    sizes = []

    def answer(requests):
        sizes.append([request.seed for request in requests])
        assert len({request.group for request in requests}) == 1
        return [request.record(Status.FINISHED) for request in requests]

    requests = wanted(2, seeds=range(5))
    assert len(run(requests, OtherRecords(answer))) == 10
    assert sizes == [[0, 1, 2], [3, 4]] * 2


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda requests: None, "the trainer returned None, expected a list of records"),
        (lambda requests: [1, 2], "the trainer returned \\[1, 2\\], expected a list of records"),
        (lambda requests: [requests[0].record(Status.FINISHED)], "returned 1 records of other trainings than asked"),
        (lambda requests: [r.record(Status.FINISHED) for r in requests[::-1]], "records of other trainings"),
    ],
)
def test_a_trainer_that_answers_something_else_has_failed(answer, message, path):
    with Journal(path) as journal:
        records = run(wanted(1), OtherRecords(answer), journal=journal)
        assert len(journal) == 2
    for record in records:
        assert record.status is Status.FAILED
        assert re.search(message, record.message)


def test_epochs_are_passed_on_stopped_and_recorded(path):
    requests = wanted(1, seeds=(0, 1), fidelity=Fidelity(epochs=5))
    seen = []

    def on_epoch(request, epoch, metrics):
        seen.append((request.seed, epoch, metrics["valid/loss"]))
        if request.seed == 1 and epoch == 2:
            return "stop"
        return None

    with Journal(path) as journal:
        records = run(
            requests, CallableTrainer(functions.train_quickly), journal=journal, on_epoch=on_epoch, record_epochs=True
        )
        assert journal.unfinished() == {}
    assert [(seed, epoch) for seed, epoch, _ in seen] == [(0, 1), (0, 2), (0, 3), (0, 4), (0, 5), (1, 1), (1, 2)]
    assert [record.status for record in records] == [Status.FINISHED, Status.STOPPED]
    assert records[1].curves["valid/loss"] == [loss for seed, _, loss in seen if seed == 1]
    assert path.read_bytes().count(b'"epoch":{') == 7


class BegunAnew:
    seeds_at_once = 1

    def __call__(self, report, requests):
        for epoch, loss in ((1, 0.5), (2, 0.4), (1, 0.6)):
            report((requests[0].seed, epoch, {"valid/loss": loss}))
        raise ValueError("it did not get on this time")


def test_a_training_begun_anew_has_the_curve_of_its_last_attempt():
    (record,) = run(wanted(1, seeds=(0,)), BegunAnew())
    assert (record.status, record.curves) == (Status.FAILED, {"valid/loss": [0.6]})


def test_a_failing_callback_stops_the_run_and_keeps_the_journal(path):
    requests = wanted(2)

    def on_epoch(request, epoch, metrics):
        if request == requests[2]:
            raise RuntimeError("the progress display broke")

    with Journal(path) as journal:
        with pytest.raises(RuntimeError, match="display broke"):
            run(requests, CallableTrainer(functions.train_quickly), journal=journal, on_epoch=on_epoch)
        assert len(journal) == 2
        assert len(run(requests, CallableTrainer(functions.train_quickly), journal=journal)) == 4


def test_what_cannot_be_run_is_refused(path):
    with Journal(path) as journal:
        with pytest.raises(InvalidDataError, match="timeout must be a positive"):
            run(wanted(), CallableTrainer(functions.train_quickly), journal=journal, timeout=0)
        with pytest.raises(InvalidDataError, match=r"expected distinct seeds, at least one, got \[1, 1\]"):
            wanted(seeds=(1, 1))
        with pytest.raises(InvalidArchitectureError):
            requests_for(SPACE, "|none~9|", "toy")
    with pytest.raises(JournalError, match="not open for writing"):
        run(wanted(), CallableTrainer(functions.train_quickly), journal=journal)


def test_keys_of_requests_are_those_of_their_records():
    request = TrainingRequest(SPACE.sample(1, seed=0)[0], "toy", {"lr": 1}, Fidelity(width=0.5), 3, "parent")
    assert request.record(Status.FAILED, message="x").key == request.key
    assert TrainingRequest(request.architecture, "toy", {"lr": 1}, Fidelity(width=0.5), 4, "parent").key != request.key
    assert TrainingRequest(request.architecture, "toy", {"lr": 1}, Fidelity(width=0.5), 3).key != request.key


BUILD = """
import sys, time
import archcast as ac
from archcast.trainers.external import CallableTrainer
from archcast.trainers.journal import Journal
from archcast.trainers.process_pool import ProcessPool
from archcast.trainers.requests import requests_for
from archcast.trainers.run import stream

def train(architecture, fidelity, seed, report):
    report(1, {"valid/loss": 1.0})
    time.sleep(0.002)
    return {"valid/loss": 0.5}

space = ac.get_space("nasbench201")
requests = requests_for(space, space.sample(2000, seed=0), "toy", seeds=(0, 1))
with Journal(sys.argv[1]) as journal, ProcessPool(2) as pool:
    for record in stream(requests, CallableTrainer(train), pool, journal, record_epochs=True):
        print(record.key, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_build_ends_its_workers_and_continues(path, number):
    acknowledged = []
    for _ in range(3):
        build = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(BUILD), str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        acknowledged += [build.stdout.readline().strip() for _ in range(20)]
        os.killpg(build.pid, number) if number == signal.SIGINT else build.send_signal(number)
        rest, errors = build.communicate()  # ends when the workers have closed their standard error as well
        assert ("KeyboardInterrupt" in errors) == (number == signal.SIGINT), errors
        assert build.returncode == -number
        acknowledged += [line for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    acknowledged = [key.strip() for key in acknowledged]
    assert len(set(acknowledged)) == len(acknowledged) >= 60
    with Journal(path, "read") as journal:
        recorded = {record.key for record in journal.records()}
        assert set(acknowledged) <= recorded
        assert len(recorded) < 4000
        assert path.read_bytes().count(b'"record":{') == len(recorded)
    start = time.perf_counter()
    while time.perf_counter() - start < 5 and _workers_of(path):
        time.sleep(0.05)
    assert not _workers_of(path)


def _workers_of(path):
    """Return the processes that have the journal open or in their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(path) in entry.read_text():
                found.append(entry)
        except OSError:
            continue
    return found
