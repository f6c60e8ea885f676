"""What a searcher itself costs: seconds of an ask, over the trainings so far and over the size of the table.

A search is begun with random trainings, asked once, which does what is done once per table, and then measured while it
grows by a tenth: long enough for everything that is done now and then to be part of the mean. The peers are asked in
the same way for the same trainings; they never look at the whole table.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ...errors import MissingDependencyError
from ...evaluation import SearchProblem
from ...searchers import make_searcher
from .measurement import Measurement

TABLES = {
    "mnist1d_nasbench201": "mnist1d/test_accuracy",
    "nasbench201": "cifar10/test_accuracy",
    "nasbench_graph_cora": "cora/test_accuracy",
}
PEERS = ("tpe", "smac")
OBSERVATIONS = (50, 100, 200, 400)
TABLE, OBSERVED = "nasbench201", 200
LIMIT = 0.1
"""Seconds of a mean ask on `TABLE` with `OBSERVED` trainings."""
LEAST = 8


def measure(
    observations: Sequence[int] = OBSERVATIONS, tables: Sequence[str] = tuple(TABLES), observed: int = OBSERVED
) -> Iterator[Measurement]:
    """Yield the growth with the trainings on one table, then with the table; a line for each peer."""
    problems = {name: SearchProblem.of(name, TABLES[name]) for name in dict.fromkeys((TABLE, *tables))}
    for n in observations:
        yield from _beside_peers(f"ask auto after {n}", problems[TABLE], n)
    for name in tables:
        yield from _beside_peers(f"ask auto after {observed}, {name}", problems[name], observed)


def _beside_peers(what: str, problem: SearchProblem, n: int) -> Iterator[Measurement]:
    seconds, first = ask_seconds(problem, "auto", n)
    limit = LIMIT if (problem.table, n) == (TABLE, OBSERVED) else None
    note = f"the slowest {seconds.max():.2g} s, the first {first:.2g} s"
    size, ours = len(problem.architectures), float(seconds.mean())
    found: list[tuple[str, float | None]] = []
    for peer in PEERS:
        with suppress(MissingDependencyError):
            found.append((peer, float(ask_seconds(problem, peer, n)[0].mean())))
    for peer, peer_seconds in found or [("", None)]:
        yield Measurement(what, size, ours, peer, peer_seconds, limit=limit, note=note)


def ask_seconds(problem: SearchProblem, name: str, n: int) -> tuple[NDArray[np.float64], float]:
    """Return the seconds of each ask while a search grows from `n` trainings by a tenth, and of the one before."""
    searcher = make_searcher(name)
    begun = problem.architectures.space.sample(n, seed=0, canonical=True)
    history = problem.start().tell(begun, problem.selected[problem.rows(begun)])
    seconds = []
    with threadpool_limits(limits=1):
        for _ in range(1 + max(LEAST, n // 10)):
            start = time.perf_counter()
            asked = searcher.ask(history)
            seconds.append(time.perf_counter() - start)
            history = history.tell(asked, problem.selected[problem.rows(asked)])
    return np.array(seconds[1:]), seconds[0]
