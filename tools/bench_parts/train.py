"""Trainings: four seeds at once against one after another, what an executor adds to each, two workers against one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import torch

from ...spaces import Architectures, get_space
from ...trainers import Executor, InProcess, ProcessPool, Recipe, Task, TorchTrainer, TrainingRecord, make_task, run
from ...trainers.external import CallableTrainer, UserReport
from ...trainers.records import Fidelity
from ...trainers.requests import requests_for
from .measurement import Measurement, best_of

RECIPE = Recipe(
    optimizer="adamw", learning_rate=0.02, schedule="one_cycle", batch_size=100, channels=16, stages=1, cells=1
)
SEEDS, SEEDS_TARGET = 4, 2.5
WORKERS, WORKERS_TARGET = 2, 1.8
OVERHEAD_LIMIT = 0.005
"""Seconds for each training that an executor may add."""

_PRODUCTS = """
import time, torch
torch.set_num_threads(1)
matrix = torch.randn(256, 256)
end = time.perf_counter() + {seconds}
count = 0
while time.perf_counter() < end:
    for _ in range(20):
        torch.mm(matrix, matrix)
    count += 20
print(count)
"""


def measure(
    cells: int = 4, epochs: int = 2, train: int = 2000, calls: int = 200, trainings: int = 6, repeats: int = 2
) -> Iterator[Measurement]:
    """Yield trainings on MNIST-1D and calls that do nothing; each line is the fastest of some runs."""
    task = make_task("mnist1d", train=train, valid=train // 2, test=2 * train)
    architectures = get_space("nasbench201").sample(max(cells, trainings), seed=0, canonical=True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield _seeds_at_once(task, architectures[:cells], epochs, repeats)
    finally:
        torch.set_num_threads(threads)
    yield _overhead("in this process", InProcess(), calls, repeats)
    with ProcessPool(1) as pool:
        yield _overhead("in a pool", pool, calls, repeats)
    yield _workers(task, architectures[:trainings], epochs)


def _seeds_at_once(task: Task, architectures: Architectures, epochs: int, repeats: int) -> Measurement:
    fidelity = Fidelity(epochs=epochs)
    at_once, one_by_one = (TorchTrainer(task, RECIPE, device="cpu", seeds_at_once=n) for n in (SEEDS, 1))
    requests = at_once.requests(architectures.space, architectures, fidelity, range(SEEDS))
    seconds: list[float] = []
    peer_seconds: list[float] = []
    found: list[list[TrainingRecord]] = [[], []]
    for trainer in (at_once, one_by_one):
        run(requests[:SEEDS], trainer)  # what is slow only the first time
    for _ in range(repeats):  # in turns, and in processor time, so that what else runs here matters little
        for number, (trainer, times) in enumerate(((at_once, seconds), (one_by_one, peer_seconds))):
            start = time.process_time()
            found[number] = run(requests, trainer)
            times.append(time.process_time() - start)
    first = [[record.curves["train/loss"][0] for record in records] for records in found]
    apart = max(abs(a - b) / b for a, b in zip(*first, strict=True))
    return Measurement(
        f"{SEEDS} seeds at once, {len(architectures)} cells",
        len(requests),
        min(seconds),
        "one after another",
        min(peer_seconds),
        target=SEEDS_TARGET,
        note=f"losses of the first epoch agree within {apart:.0e}",
    )


def _do_nothing(_architecture: object, _fidelity: Fidelity, _seed: int, _report: UserReport) -> dict[str, float]:
    return {"valid/loss": 0.0}


def _overhead(where: str, executor: Executor, calls: int, repeats: int) -> Measurement:
    space = get_space("nasbench201")
    requests = requests_for(space, space.sample(calls, seed=0), "nothing")
    trainer = CallableTrainer(_do_nothing)
    run(requests[:1], trainer, executor)  # starts the worker
    seconds = best_of(lambda: run(requests, trainer, executor), repeats) / calls
    return Measurement(f"overhead per training {where}", calls, seconds, limit=OVERHEAD_LIMIT)


def _workers(task: Task, architectures: Architectures, epochs: int) -> Measurement:
    trainer = TorchTrainer(task, RECIPE, device="cpu")
    requests = trainer.requests(architectures.space, architectures, Fidelity(epochs=2 * epochs), range(SEEDS))
    seconds = {}
    for workers in (WORKERS, 1):
        with ProcessPool(workers, threads=1) as pool:
            run(requests[: workers * SEEDS], trainer, pool)  # starts the workers
            seconds[workers] = best_of(lambda pool=pool: run(requests, trainer, pool), 1)  # type: ignore[misc]
    scaling = _products(WORKERS) / _products(1)
    return Measurement(
        f"{WORKERS} workers",
        len(requests),
        seconds[WORKERS],
        "one worker",
        seconds[1],
        target=WORKERS_TARGET,
        note=f"{WORKERS} processes of plain matrix products do {scaling:.1f}x as many as one here",
    )


def _products(processes: int, seconds: float = 0.5) -> int:
    """Return how many matrix products some processes do together in a time."""
    program, environment = _PRODUCTS.format(seconds=seconds), os.environ | {"OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(processes)
    ]
    return sum(int(process.communicate()[0]) for process in started)
