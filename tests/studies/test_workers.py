"""Many workers on one study, killed at random moments: no trial is lost, and none is trained twice."""

import collections
import multiprocessing
import os
import random
import signal
import time
import uuid

import archcast as ac
import pytest
from archcast.studies import open_study
from archcast.trainers import CallableTrainer

SPACE = ac.get_space("nasbench201")
WORKERS = 8
TRAININGS = 32


def train_with_marks(path):
    """Return a training of 50 ms that notes in a file when it begins and ends."""

    def mark(text):
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, text.encode())
        os.close(file)

    def train(architecture, fidelity, seed, report):
        name = "".join(map(str, architecture.genotype))
        mark(f"{name} begin\n")
        for epoch in (1, 2):
            time.sleep(0.025)
            report(epoch, {"valid/accuracy": sum(architecture.genotype) / 24 * epoch / 2})
        mark(f"{name} end\n")

    return CallableTrainer(train)


def work(name, url, marks):
    study = open_study(name, url, space=SPACE, metric="valid/accuracy", searcher="regularized_evolution", grace=4)
    study.run(train_with_marks(marks), trainings=TRAININGS)
    os._exit(0)


@pytest.fixture
def begin_worker():
    """Begin workers as forks of this process, which has imported everything; none outlives the test."""
    processes = []

    def begin(*arguments):
        process = multiprocessing.get_context("fork").Process(target=work, args=arguments)
        process.start()
        processes.append(process)
        return process

    yield begin
    for process in processes:
        if process.is_alive():
            process.kill()
        process.join()


def test_killed_workers_lose_and_double_nothing(url, tmp_path, begin_worker):
    name, marks = f"study-{uuid.uuid4().hex}", tmp_path / "marks"
    open_study(name, url, space=SPACE, metric="valid/accuracy", searcher="regularized_evolution", heartbeat=1, grace=4)
    rng = random.Random(0)
    workers = [begin_worker(name, url, marks) for _ in range(WORKERS)]
    kills = 0
    while kills < 9:
        time.sleep(rng.uniform(0.02, 0.25))
        victim = rng.randrange(WORKERS)
        if not workers[victim].is_alive():
            break  # the budget is spent
        os.kill(workers[victim].pid, signal.SIGKILL)
        kills += 1
        workers[victim] = begin_worker(name, url, marks)
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0

    found = open_study(name, url).candidates()
    assert len(found) == TRAININGS
    keys = [int(candidate.first.architecture.batch().keys()[0]) for candidate in found]
    assert len(set(keys)) == TRAININGS
    noted = collections.Counter(marks.read_text().splitlines())
    for candidate in found:
        states = [attempt.state for attempt in candidate.attempts]
        assert states in (["finished"], ["lost", "finished"], ["lost", "lost"])
        genes = "".join(map(str, candidate.first.architecture.genotype))
        assert noted[f"{genes} begin"] <= len(states)
        if states == ["finished"]:
            assert (noted[f"{genes} begin"], noted[f"{genes} end"]) == (1, 1)
            assert candidate.last.epochs == {1: candidate.last.value / 2, 2: candidate.last.value}
    numbers = sorted(trial.number for trial in open_study(name, url).trials())
    assert numbers == list(range(len(numbers)))
    assert sum(len(candidate.attempts) > 1 for candidate in found) <= kills
