"""The HDF5 layout of a benchmark table, and what describes one of its columns.

One file holds one table:

- attributes of `/`: `format` ("archcast table"), `format_version`, `space` (JSON spec of the search space), `name`,
  `description`, `source`, `licence`, `citation`, `conversion` (the command that made the file) and `cost_metric` (the
  metric that counts training seconds, or "");
- `/genotypes`: `(n, d)` int8 or int16, one architecture a row, all distinct and valid;
- `/metrics/<dataset>/<name>`: `(n, seeds, epochs)` float32 or float64, NaN where nothing was measured, with the
  attributes `unit`, `direction` ("higher" or "lower" is better), `note` (fidelity, schedule, what was averaged),
  `seeds` (int labels), `epochs` (ints; empty for a metric without epochs, whose last axis then has length 1) and
  `decimals` (-1, or the number of decimals to which the values are exact);
- `/index/keys` and `/index/rows`, only in tables of more than 65,536 rows: the sorted 64-bit row keys of the genotypes
  and the row of each.

Values whose published form has at most six decimals are stored as float32 together with `decimals` if rounding the
float32 to so many decimals gives back exactly the published number; readers return the rounded number. Small tables are
compressed throughout. In large ones everything lies uncompressed and contiguous, so that a lookup maps the few pages it
touches into memory instead of reading the file: they take more disk, and answer as fast as small ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError

FORMAT = "archcast table"
FORMAT_VERSION = 1
TEXT_ATTRIBUTES = ("name", "description", "source", "licence", "citation", "conversion", "cost_metric")
"""Text attributes of the file; all are there, empty where there is nothing to say."""

DIRECTIONS = ("higher", "lower")
LARGE = 65_536
"""Tables with more rows carry an index and are not compressed."""

MAX_DECIMALS = 6


@dataclass(frozen=True)
class MetricInfo:
    """What a metric means; the numbers stay in the file.

    Parameters
    ----------
    name : str
        `"<dataset>/<name>"`.
    unit : str
        `"%"`, `"s"`, `"fraction"` ...; empty for a plain number such as a loss.
    direction : str
        `"higher"` or `"lower"`: which values are better.
    note : str
        Fidelity, schedule and what was averaged.
    epochs : tuple of int
        Epochs (or schedules, see `note`) for which there are values, increasing; empty if it has no epochs.
    seeds : tuple of int
        Labels of the repetitions.
    """

    name: str
    unit: str = ""
    direction: str = "higher"
    note: str = ""
    epochs: tuple[int, ...] = ()
    seeds: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        parts = self.name.split("/")
        if len(parts) != 2 or not all(part and part.isprintable() and part not in {".", ".."} for part in parts):
            raise InvalidDataError(f"a metric needs a name like 'cifar10/test_accuracy', got {self.name!r}")
        if self.direction not in DIRECTIONS:
            raise InvalidDataError(
                f"metric {self.name!r} needs a direction 'higher' or 'lower', got {self.direction!r}"
            )
        if any(a >= b for a, b in zip(self.epochs, self.epochs[1:], strict=False)) or min(self.epochs, default=0) < 0:
            raise InvalidDataError(f"epochs of metric {self.name!r} must increase from 0 on, got {list(self.epochs)}")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise InvalidDataError(f"metric {self.name!r} needs distinct seed labels, got {list(self.seeds)}")

    @property
    def higher_is_better(self) -> bool:
        """Whether larger values are better."""
        return self.direction == "higher"

    @property
    def dataset(self) -> str:
        """The part of the name before the slash."""
        return self.name.partition("/")[0]

    @property
    def shape(self) -> tuple[int, int]:
        """`(seeds, epochs)`: the lengths of the last two axes of the column."""
        return len(self.seeds), max(len(self.epochs), 1)


@dataclass(frozen=True)
class Column:
    """A metric with its values, on the way into a file.

    Parameters
    ----------
    info : MetricInfo
    values : float array
        `(n,)`, or `(n, seeds, epochs)`; NaN where nothing was measured.
    single : bool
        Store single precision although it rounds (relative error up to 6e-8): for averages of long decimals and for
        timings, whose noise is far larger. Otherwise nothing is rounded.
    """

    info: MetricInfo
    values: NDArray[Any]
    single: bool = False

    def checked(self, n: int) -> NDArray[np.float64]:
        """Return the values as `(n, seeds, epochs)` float64.

        Raises
        ------
        InvalidDataError
            If the shape does not fit, or a value is infinite.
        """
        values = np.asarray(self.values, dtype=np.float64)
        shape = (n, *self.info.shape)
        if values.ndim == 1:
            values = values[:, None, None]
        if values.shape != shape:
            raise InvalidDataError(f"values of metric {self.info.name!r} must have shape {shape}, got {values.shape}")
        infinite = np.isinf(values)
        if infinite.any():
            row = int(np.flatnonzero(infinite.any(axis=(1, 2)))[0])
            raise InvalidDataError(
                f"metric {self.info.name!r} is infinite in row {row}, expected finite numbers or NaN for a missing one"
            )
        return values

    def stored(self, n: int) -> tuple[NDArray[Any], int]:
        """Return the array to store and its `decimals` (-1 if it is taken as it is)."""
        values = self.checked(n)
        with np.errstate(over="ignore"):  # numbers too large for either test fail it
            single = values.astype(np.float32)
            for decimals in range(MAX_DECIMALS + 1):
                if same_numbers(np.round(values, decimals), values):
                    if same_numbers(np.round(single.astype(np.float64), decimals), values):
                        return single, decimals
                    break
        if (self.single and not np.isinf(single).any()) or same_numbers(single.astype(np.float64), values):
            return single, -1
        return values, -1


def same_numbers(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Return whether two float arrays agree exactly, NaN where NaN."""
    return a.shape == b.shape and bool(((a == b) | (np.isnan(a) & np.isnan(b))).all())
