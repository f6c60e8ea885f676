"""Fitting an ensemble of graph networks, its pre-training included, on one thread."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from scipy.stats import kendalltau

from ...benchmarks_data import load_table
from ...predictors import make_predictor
from .measurement import Measurement

NAMES = ("gin", "graph_transformer")
SIZES = (156, 1563)
LIMIT = 60.0


def measure(sizes: Sequence[int] = SIZES, **parameters: object) -> Iterator[Measurement]:
    """Yield the fit of each graph network; the first of each pre-trains, all later ones remember it."""
    table = load_table("nasbench201")
    y = table.values("cifar10/test_accuracy", epoch=200)
    for name in NAMES:
        for n in sizes:
            train, test = table.split(n, seed=0)
            start = time.perf_counter()
            model = make_predictor(name, **parameters).fit(table.architectures[train], y[train])
            seconds = time.perf_counter() - start
            tau = kendalltau(model.predict(table.architectures[test]), y[test]).statistic
            yield Measurement(f"fit {name}", n, seconds, limit=LIMIT, note=f"Kendall tau {tau:.3f}")
