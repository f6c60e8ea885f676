"""Measurements as JSON, for tables that come in no format of their own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import ArchcastError, InvalidDataError, TableFormatError
from ...spaces import SearchSpace
from ..schema import TEXT_ATTRIBUTES, Column, MetricInfo
from . import Imported
from .files import open_text
from .records import Duplicates, Names, Records, describe_metric, label, number, space_of


def read_json(
    source: Path,
    space: str | SearchSpace | None = None,
    higher: Names = (),
    lower: Names = (),
    duplicates: Duplicates = "refuse",
    dataset: str | None = None,
) -> Imported:
    """Read a JSON file, also compressed, in one of two forms.

    *A list of records*, the wide form of CSV::

        [{"architecture": "0012:gat-gcn-skip-fc", "seed": 0, "epoch": 10, "accuracy": 0.81}, ...]

    *A whole table*, which is what `Table.to_json` writes; `seeds`, `epochs`, `unit`, `note`, `space` (if given as an
    option) and `about` may be left out, and `values` may be `(n,)`, `(n, seeds)` or `(n, seeds, epochs)`::

        {"space": {"space": "nasbench201", "parameters": {}}, "about": {"licence": "MIT"},
         "architectures": ["|nor_conv_3x3~0|+...", ...],
         "metrics": {"cifar10/test_accuracy": {"unit": "%", "direction": "higher", "seeds": [0], "epochs": [12, 200],
                                               "values": [[[88.2, 93.6]], [[null, 91.0]], ...]}}}

    An architecture is a native string, a genotype, or a native object of the space; `null` is a missing value.

    Parameters
    ----------
    source : Path
    space, higher, lower, duplicates, dataset
        As for CSV.

    Raises
    ------
    TableFormatError
        If the document has another form.
    InvalidArchitectureError
        If an architecture is malformed.
    InvalidDataError
        If a direction or the space is missing, or entries contradict each other.
    """
    with open_text(source) as file:
        try:
            document = json.load(file, parse_constant=_constant)
        except (ValueError, RecursionError) as error:
            raise TableFormatError(f"{str(source)!r} is not JSON: {error}") from None
    prefix = dataset or source.name.partition(".")[0]
    if isinstance(document, list):
        records = _records(source, document, prefix, higher, lower)
        return records.to_imported(space_of(space), duplicates, {"source": source.name})
    if isinstance(document, Mapping):
        return _table(source, document, space, prefix, higher, lower)
    raise TableFormatError(f"{str(source)!r} holds a {type(document).__name__}, expected a list of records or a table")


def _constant(text: str) -> float | None:
    return None if text == "NaN" else float(text.replace("Infinity", "inf"))


def _records(source: Path, document: list[Any], dataset: str, higher: Names, lower: Names) -> Records:
    records = Records()
    names: dict[str, str] = {}
    for position, entry in enumerate(document):
        place = f"record {position}"
        if not isinstance(entry, Mapping) or "architecture" not in entry:
            raise TableFormatError(f"{place} of {str(source)!r} is not an object with 'architecture'")
        seed = label(entry.get("seed"), "seed", place, 0)
        epoch = label(entry.get("epoch"), "epoch", place, -1)
        records.architectures.append(entry["architecture"])
        records.places.append(place)
        for key, value in entry.items():
            if key in ("architecture", "seed", "epoch"):
                continue
            if key not in names:
                info = describe_metric(key, dataset, "", "", "", higher, lower)
                if info.name in records.infos:
                    raise TableFormatError(f"two keys hold metric {info.name!r}")
                names[key], records.infos[info.name] = info.name, info
            records.add(position, names[key], seed, epoch, number(value, key, place))
    return records


def _table(
    source: Path,
    document: Mapping[str, Any],
    space: str | SearchSpace | None,
    dataset: str,
    higher: Names,
    lower: Names,
) -> Imported:
    items, metrics, about = document.get("architectures"), document.get("metrics"), document.get("about", {})
    if not isinstance(items, list) or not isinstance(metrics, Mapping) or not isinstance(about, Mapping):
        raise TableFormatError(f"{str(source)!r} has no list 'architectures' and object 'metrics'")
    family = space_of(space if space is not None else document.get("space"))
    columns = []
    for name, entry in metrics.items():
        if not isinstance(entry, Mapping) or "values" not in entry:
            raise TableFormatError(f"metric {name!r} of {str(source)!r} is not an object with 'values'")
        texts = {key: entry.get(key, "") for key in ("unit", "direction", "note")}
        if not all(isinstance(text, str) for text in texts.values()):
            raise TableFormatError(f"metric {name!r} of {str(source)!r} needs texts as unit, direction and note")
        info = describe_metric(name, dataset, **texts, higher=higher, lower=lower)
        columns.append(_column(info, entry, len(items)))
    texts = {key: str(about[key]) for key in TEXT_ATTRIBUTES if about.get(key)}
    return Imported(family, family.parse(items), columns, {"source": source.name} | texts)


def _column(info: MetricInfo, entry: Mapping[str, Any], n: int) -> Column:
    try:
        values = np.array(entry["values"], dtype=np.float64)
        seeds, epochs = (tuple(int(item) for item in entry.get(key, ())) for key in ("seeds", "epochs"))
        filled = MetricInfo(info.name, info.unit, info.direction, info.note, epochs, seeds or (0,))
        if values.ndim == 2:
            values = values[:, :, None]
        return Column(filled, values if values.ndim == 3 else values.reshape(n))
    except ArchcastError:
        raise
    except (TypeError, ValueError) as error:
        raise InvalidDataError(
            f"values of metric {info.name!r} must be numbers or null in shape (n,), (n, seeds) or (n, seeds, epochs), "
            f"its seeds and epochs whole numbers: {error}"
        ) from None
