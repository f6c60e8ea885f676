"""NAS-Bench-Macro in its official JSON: a string of eight digits to accuracies, parameters and FLOPs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import TableFormatError
from ...spaces import get_space
from ..schema import Column, MetricInfo
from . import Imported
from .files import open_text

_ABOUT = {
    "description": "NAS-Bench-Macro: 8 layers, each identity, MBConv k3 e3 or MBConv k5 e6, on CIFAR-10",
    "source": "github.com/xiusu/NAS-Bench-Macro, data/nas-bench-macro_cifar10.json",
    "citation": "Su, Huang, Li, You, Wang, Qian, Zhang and Xu. Prioritized Architecture Sampling with Monto-Carlo Tree "
    "Search. CVPR 2021.",
}


def read_nasbench_macro(source: Path) -> Imported:
    """Read `{"00000000": {"test_acc": [a, b, c], "mean_acc": .., "std": .., "params": .., "flops": ..}, ...}`.

    The mean and the deviation are not kept: they follow from the seeds.

    Raises
    ------
    TableFormatError
        If the document is something else.
    """
    with open_text(source) as file:
        try:
            bench = json.load(file)
        except (ValueError, RecursionError) as error:
            raise TableFormatError(f"{str(source)!r} is not JSON: {error}") from None
    if not isinstance(bench, Mapping) or not bench:
        raise TableFormatError(f"{str(source)!r} is not a JSON object from digits to results")
    for key, entry in bench.items():
        if not isinstance(entry, Mapping) or not isinstance(entry.get("test_acc"), list) or not entry["test_acc"]:
            raise TableFormatError(f"entry {key!r} of {str(source)!r} has no list 'test_acc'")
    runs = max(len(entry["test_acc"]) for entry in bench.values())
    accuracy = np.full((len(bench), runs, 1), np.nan)
    for row, (key, entry) in enumerate(bench.items()):
        for seed, value in enumerate(entry["test_acc"]):
            accuracy[row, seed, 0] = _number(value, key, "test_acc")

    def column(name: str) -> NDArray[np.float64]:
        return np.array([_number(entry.get(name), key, name) for key, entry in bench.items()])

    space = get_space("nasbench_macro")
    columns = [
        Column(
            MetricInfo("cifar10/test_accuracy", "%", "higher", "end of training", seeds=tuple(range(runs))), accuracy
        ),
        Column(MetricInfo("model/parameters", "million", "lower", "trainable parameters"), column("params") / 1e6),
        Column(MetricInfo("model/flops", "million", "lower", "as published"), column("flops") / 1e6),
    ]
    return Imported(space, space.parse(list(bench)), columns, _ABOUT)


def _number(value: Any, key: str, name: str) -> float:
    if value is None:
        return np.nan
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TableFormatError(f"{name!r} of {key!r} must be a number or null, got {value!r:.100}")
    return float(value)
