"""Thirty searches of 150 trainings each, replayed on NAS-Bench-201 by two processes."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from ...evaluation import SearchPlan
from .measurement import Measurement

SEEDS, BUDGET, PROCESSES = 30, 150, 2
LIMIT = 120.0


def measure(seeds: int = SEEDS, budget: int = BUDGET, processes: int = PROCESSES) -> Iterator[Measurement]:
    """Yield the wall time of the whole, the start of the processes included."""
    plan = SearchPlan("nasbench201", "cifar10/test_accuracy", epoch=200, searchers=["auto"], budget=budget, seeds=seeds)
    start = time.perf_counter()
    result = plan.run(n_jobs=processes)
    seconds = time.perf_counter() - start
    overhead = sum(record["overhead_seconds"] for record in result.records)
    queries = sum(record["queries"] for record in result.records)
    median = float(np.median(result.regrets("auto")[:, -1]))
    yield Measurement(
        f"replay of {seeds} x {budget} by auto",
        queries,
        seconds,
        limit=LIMIT if (seeds, budget) == (SEEDS, BUDGET) else None,
        note=f"{processes} processes, {overhead / queries:.2g} s an ask, median regret at the end {median:.2g}",
    )
