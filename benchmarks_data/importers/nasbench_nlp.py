"""NAS-Bench-NLP in its published form: a zip archive with one JSON log per training."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import TableFormatError
from ...spaces import get_space
from ..schema import Column, MetricInfo
from . import Imported
from .repeats import group_repeats

_LOSSES = {"train_loss": "train_losses", "valid_loss": "val_losses", "test_loss": "test_losses"}
_LOSS_NOTE = "cross-entropy per word (nat) at the end of each epoch; a training whose loss became NaN ends there"
_TIME_NOTE = "seconds from the start of the training to the end of each epoch"
_REQUIRED = ("data", "recepie", "recepie_id", "init_time", "num_params", "wall_times", *_LOSSES.values())

_ABOUT = {
    "description": "NAS-Bench-NLP: recurrent cells as language models, whole learning curves",
    "source": "github.com/fmsnew/nas-bench-nlp-release@a6d90a3b, train_logs_wikitext-2/logs.zip",
    "licence": "Apache-2.0",
    "citation": "Klyuchnikov, Trofimov, Artemova, Salnikov, Fedorov, Filippov and Burnaev. NAS-Bench-NLP: Neural "
    "Architecture Search Benchmark for Natural Language Processing. IEEE Access 10, 2022.",
}


def read_nasbench_nlp(source: Path) -> Imported:
    """Read the archive of logs: per training the recipe, the losses and wall times of each epoch, and the parameters.

    Trainings are ordered by recipe and start time. Several trainings of one cell (also under several recipe numbers,
    with other node names) are seeds of one row. What a training did not reach is missing.

    Raises
    ------
    TableFormatError
        If a file of the archive is not such a log, or logs are of different data.
    """
    logs = _logs(source)
    data = {Path(str(log["data"])).name.replace("-", "") for log in logs}
    if len(data) != 1:
        raise TableFormatError(f"{str(source)!r} holds trainings on different data: {', '.join(sorted(data))}")
    dataset = data.pop()
    space = get_space("nasbench_nlp")
    batch = space.parse([log["recepie"] for log in logs])
    first, group, seed = group_repeats(batch.genotypes)
    last = max(len(log["wall_times"]) for log in logs)
    seeds, epochs = tuple(range(int(seed.max()) + 1)), tuple(range(1, last + 1))

    def curves(key: str) -> NDArray[np.float64]:
        values = np.full((len(first), len(seeds), last), np.nan)
        for log, row, which in zip(logs, group, seed, strict=True):
            values[row, which, : len(log[key])] = _numbers(log, key)
        return values

    columns = [
        Column(MetricInfo(f"{dataset}/{name}", "", "lower", _LOSS_NOTE, epochs, seeds), curves(key), single=True)
        for name, key in _LOSSES.items()
    ]
    times = np.cumsum(curves("wall_times"), axis=2)  # NaN stays NaN from there on
    columns.append(
        Column(MetricInfo(f"{dataset}/train_time", "s", "lower", _TIME_NOTE, epochs, seeds), times, single=True)
    )
    parameters = np.full((len(first), len(seeds), 1), np.nan)
    parameters[group, seed, 0] = [_numbers(log, "num_params") / 1e6 for log in logs]
    columns.append(
        Column(MetricInfo("model/parameters", "million", "lower", "trainable parameters", (), seeds), parameters)
    )
    return Imported(space, batch[first], columns, {**_ABOUT, "cost_metric": f"{dataset}/train_time"})


def _logs(source: Path) -> list[Mapping[str, Any]]:
    logs = []
    try:
        with zipfile.ZipFile(source) as archive:
            for name in sorted(archive.namelist()):
                if name.endswith(".json"):
                    logs.append((name, _log(name, archive.read(name))))
    except (zipfile.BadZipFile, EOFError, OSError, zlib.error) as error:
        raise TableFormatError(f"{str(source)!r} is not a readable zip archive: {error}") from None
    if not logs:
        raise TableFormatError(f"{str(source)!r} holds no .json log")
    logs.sort(key=lambda item: (item[1]["recepie_id"], str(item[1]["init_time"]), item[0]))
    return [log for _, log in logs]


def _log(name: str, content: bytes) -> Mapping[str, Any]:
    try:
        log = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise TableFormatError(f"{name!r} in the archive is not JSON: {error}") from None
    absent = [key for key in _REQUIRED if not isinstance(log, Mapping) or key not in log]
    if absent:
        raise TableFormatError(f"{name!r} in the archive is not a training log: it has no {absent[0]!r}")
    lengths = {key: len(log[key]) for key in ("wall_times", *_LOSSES.values()) if isinstance(log[key], list)}
    if len(lengths) != 1 + len(_LOSSES) or len(set(lengths.values())) != 1:
        raise TableFormatError(f"the curves of {name!r} must be lists of one length, got {lengths}")
    if isinstance(log["recepie_id"], bool) or not isinstance(log["recepie_id"], int):
        raise TableFormatError(f"'recepie_id' of {name!r} must be a whole number, got {log['recepie_id']!r}")
    return log  # type: ignore[no-any-return]


def _numbers(log: Mapping[str, Any], key: str) -> NDArray[np.float64]:
    try:
        return np.array(log[key], dtype=np.float64)  # null becomes NaN
    except (TypeError, ValueError) as error:
        raise TableFormatError(
            f"{key!r} of recipe {log['recepie_id']} holds something else than numbers: {error}"
        ) from None
