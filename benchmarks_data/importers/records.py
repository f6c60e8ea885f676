"""Loose measurements to columns: what the CSV and JSON importers share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...errors import ArchcastError, InvalidArchitectureError, InvalidDataError, TableFormatError
from ...spaces import Architectures, SearchSpace, get_space, space_from_spec
from ..schema import Column, MetricInfo
from . import Imported
from .repeats import group_repeats

Duplicates: TypeAlias = Literal["refuse", "mean"]
Names: TypeAlias = str | Sequence[str]


@dataclass
class Records:
    """Single values, each of one architecture, metric, seed and epoch.

    Parameters
    ----------
    architectures : list
        One a line, in any notation of the space.
    places : list of str
        Where each line stands in its source, for error messages: `"line 7"`.
    lines : list of int
        For each value the line it belongs to.
    metrics, seeds, epochs, values : lists
        For each value its metric, its seed, its epoch or -1, and itself (NaN where missing).
    infos : dict of str to MetricInfo
        What is known of the metrics; seeds and epochs are filled in from the values.
    """

    architectures: list[Any] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    metrics: list[str] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    infos: dict[str, MetricInfo] = field(default_factory=dict)

    def add(self, line: int, metric: str, seed: int, epoch: int, value: float) -> None:
        """Add one value."""
        self.lines.append(line)
        self.metrics.append(metric)
        self.seeds.append(seed)
        self.epochs.append(epoch)
        self.values.append(value)

    def to_imported(self, space: SearchSpace, duplicates: Duplicates, about: Mapping[str, str]) -> Imported:
        """Arrange the values by architecture, seed and epoch.

        Raises
        ------
        InvalidArchitectureError
            If an architecture is malformed; the message names its line.
        InvalidDataError
            If a value is infinite, or two lines contradict each other while `duplicates` is `"refuse"`.
        """
        if duplicates not in ("refuse", "mean"):
            raise InvalidDataError(f"duplicates must be 'refuse' or 'mean', got {duplicates!r}")
        if not self.values:
            raise InvalidDataError("there is no value to import")
        batch = self._parse(space)
        first, group, _ = group_repeats(batch.genotypes)
        lines, values = np.array(self.lines, dtype=np.intp), np.array(self.values)
        if np.isinf(values).any():
            at = int(np.argmax(np.isinf(values)))
            raise InvalidDataError(
                f"{self.metrics[at]!r} of {self.places[lines[at]]} is infinite, expected a finite number or nothing"
            )
        names = np.array(self.metrics)
        columns = []
        for metric, info in self.infos.items():
            chosen = np.flatnonzero(names == metric)
            columns.append(self._column(info, chosen, group[lines[chosen]], lines, values, len(first), duplicates))
        return Imported(space, batch[first], columns, about)

    def _parse(self, space: SearchSpace) -> Architectures:
        numbers: dict[str, int] = {}
        names = [item if isinstance(item, str) else repr(item) for item in self.architectures]
        which = [numbers.setdefault(name, len(numbers)) for name in names]
        lines = np.unique(which, return_index=True)[1].tolist()  # of each distinct item the first line
        items = [self.architectures[line] for line in lines]
        try:
            return space.parse(items)[np.array(which)]
        except ArchcastError:
            pass  # now one by one, to read JSON and to say where
        rows = []
        for item, line in zip(items, lines, strict=True):
            try:
                rows.append(_parse_one(space, item))
            except InvalidArchitectureError as error:
                reason = str(error).removeprefix("architecture 0 ")
                raise InvalidArchitectureError(
                    f"the architecture of {self.places[line]} is not valid: {reason}"
                ) from None
        return Architectures.concatenate(rows)[np.array(which)]

    def _column(
        self,
        info: MetricInfo,
        chosen: NDArray[np.intp],
        rows: NDArray[np.intp],
        lines: NDArray[np.intp],
        values: NDArray[np.float64],
        n: int,
        duplicates: Duplicates,
    ) -> Column:
        if not len(chosen):
            return Column(replace(info, seeds=(0,), epochs=()), np.full(n, np.nan))
        seed_of, epoch_of = np.array(self.seeds)[chosen], np.array(self.epochs)[chosen]
        seeds, seed = np.unique(seed_of, return_inverse=True)
        epochs, epoch = np.unique(epoch_of, return_inverse=True)
        if len(epochs) > 1 and epochs[0] < 0:
            line = self.places[lines[chosen[int(np.argmin(epoch_of))]]]
            raise InvalidDataError(f"{info.name!r} of {line} has no epoch, but other values of this metric have one")
        shape = (n, len(seeds), len(epochs))
        place = np.ravel_multi_index((rows, seed, epoch), shape)
        known = ~np.isnan(values[chosen])
        place, used = place[known], chosen[known]
        order = np.argsort(place, kind="stable")
        place, used = place[order], used[order]
        if duplicates == "refuse":
            clash = np.flatnonzero((place[1:] == place[:-1]) & (values[used[1:]] != values[used[:-1]]))
            if len(clash):
                a, b = used[clash[0]], used[clash[0] + 1]
                raise InvalidDataError(
                    f"{self.places[lines[a]]} and {self.places[lines[b]]} give the same architecture different values "
                    f"of {info.name!r}: {values[a]:g} and {values[b]:g}; average them with duplicates='mean', or tell "
                    "them apart by seed"
                )
        size = n * len(seeds) * len(epochs)
        counts = np.bincount(place, minlength=size)
        sums = np.bincount(place, weights=values[used], minlength=size)
        mean = np.divide(sums, counts, out=np.full(size, np.nan), where=counts > 0)
        once = used[np.searchsorted(place, np.flatnonzero(counts > 0))]
        if duplicates == "refuse":
            mean[counts > 0] = values[once]  # equal duplicates: exactly that value, not a rounded mean of it
        found = tuple(int(epoch) for epoch in epochs) if epochs[0] >= 0 else ()
        info = replace(info, seeds=tuple(int(seed) for seed in seeds), epochs=found)
        return Column(info, mean.reshape(shape))


def _parse_one(space: SearchSpace, item: Any) -> Architectures:
    if isinstance(item, str) and item.lstrip()[:1] in ("[", "{"):
        try:
            return space.parse([item])
        except InvalidArchitectureError:
            try:
                item = json.loads(item)
            except ValueError:
                raise InvalidArchitectureError(f"{item!r:.100} is neither a native string nor JSON") from None
    return space.parse([item])


def space_of(text: str | Mapping[str, Any] | SearchSpace | None) -> SearchSpace:
    """Return the space that an option names: a registered name, a JSON spec, or a space.

    Raises
    ------
    InvalidDataError
        If there is none.
    """
    if isinstance(text, SearchSpace):
        return text
    if text is None or text == "":
        raise InvalidDataError("an importer of CSV or JSON needs the search space, e.g. space='nasbench201'")
    if isinstance(text, Mapping):
        return space_from_spec(text)
    if not text.lstrip().startswith("{"):
        return get_space(text)
    try:
        return space_from_spec(json.loads(text))
    except ValueError as error:
        raise InvalidDataError(f"the search space {text!r:.100} is not a JSON spec: {error}") from None


def describe_metric(
    name: str, dataset: str, unit: str, direction: str, note: str, higher: Names, lower: Names
) -> MetricInfo:
    """Return what a metric means, from what its source and the user said.

    Parameters
    ----------
    name : str
        Gets `dataset` before it if it has no slash.
    direction : str
        "" if the source did not say.
    higher, lower : str or sequence of str
        Names, also separated by commas, whose direction the user said.

    Raises
    ------
    InvalidDataError
        If nobody said which direction is better, or both ways.
    """
    full = name if "/" in name else f"{dataset}/{name}"
    said = {direction.strip().lower()} - {""}
    for word, names in (("higher", higher), ("lower", lower)):
        if {name, full} & set(split_names(names)):
            said.add(word)
    if len(said) != 1:
        told = " and ".join(sorted(said)) or "nothing"
        raise InvalidDataError(
            f"whether higher or lower values of metric {name!r} are better must be said once, got {told}; write "
            f"'{name} [unit] (higher)' as the column's name, or pass higher='{name}' or lower='{name}'"
        )
    return MetricInfo(full, unit.strip(), said.pop(), note)


def split_names(names: Names) -> list[str]:
    """Return the names of a sequence, or of a text separated by commas."""
    parts = names.split(",") if isinstance(names, str) else names
    return [part.strip() for part in parts if part.strip()]


def number(text: Any, what: str, place: str) -> float:
    """Return a value, NaN where there is none.

    Raises
    ------
    TableFormatError
        If it is not a number.
    """
    if text is None or (isinstance(text, str) and text.strip().lower() in ("", "nan", "null", "none", "na", "n/a")):
        return np.nan
    try:
        if isinstance(text, bool):
            raise ValueError
        return float(text)
    except (TypeError, ValueError):
        raise TableFormatError(f"{what!r} of {place} must be a number or empty, got {text!r:.100}") from None


def label(text: Any, what: str, place: str, default: int) -> int:
    """Return a seed or an epoch, `default` where there is none.

    Raises
    ------
    TableFormatError
        If it is not a whole number from 0 on.
    """
    value = number(text, what, place)
    if np.isnan(value):
        return default
    if value < 0 or value != int(value):
        raise TableFormatError(f"{what!r} of {place} must be a whole number from 0 on, got {text!r:.100}")
    return int(value)
