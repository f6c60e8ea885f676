"""Accel-NASBench in its published form: a tar archive of one JSON file per trained network."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import TableFormatError
from ...spaces import get_space
from ..schema import Column, MetricInfo
from . import Imported
from .files import open_binary
from .repeats import group_repeats

_PROXY = "ImageNet under the published training proxy, one training a seed"
_DEVICE = "mean of repeated measurements of one network"
_SPREAD = "standard deviation of these measurements"

# metric -> (path in the JSON document, unit, direction, note)
_METRICS: dict[str, tuple[tuple[str, ...], str, str, str]] = {
    "imagenet/top1": (("metrics", "val_top1"), "%", "higher", f"validation, {_PROXY}"),
    "imagenet/top5": (("metrics", "val_top5"), "%", "higher", f"validation, {_PROXY}"),
    "imagenet/train_time": (("metrics", "train_time"), "s", "lower", _PROXY),
    "model/macs": (("model_info", "macs"), "million", "lower", "multiply-accumulates of one inference"),
    "model/parameters": (("model_info", "params"), "million", "lower", "trainable parameters"),
}
for _device in ("a100", "3090", "tpuv2", "tpuv3", "zcu102", "vck190"):
    _path = ("platform_perf", f"throughput_{_device}")
    _METRICS[f"{_device}/throughput"] = ((*_path, "throughput_mean"), "images/s", "higher", _DEVICE)
    _METRICS[f"{_device}/throughput_std"] = ((*_path, "throughput_std"), "images/s", "lower", _SPREAD)
for _device in ("zcu102", "vck190"):
    _path = ("platform_perf", f"latency_{_device}")
    _METRICS[f"{_device}/latency"] = ((*_path, "latency_mean"), "ms", "lower", _DEVICE)
    _METRICS[f"{_device}/latency_std"] = ((*_path, "latency_std"), "ms", "lower", _SPREAD)

_ABOUT = {
    "description": "Accel-NASBench: MnasNet-like networks on ImageNet under a training proxy, throughput on six "
    "accelerators, latency on two",
    "source": "github.com/afzalxo/Accel-NASBench@42603572, anb_dataset/anb_dataset_jsons.tar.gz",
    "licence": "Apache-2.0",
    "citation": "Ahmad, Du, Xie and Zhang. Accel-NASBench: Sustainable Benchmarking for Accelerator-Aware NAS. "
    "DAC 2024.",
    "cost_metric": "imagenet/train_time",
}


def read_accel_nasbench(source: Path) -> Imported:
    """Read the archive of `result_<i>.json` files, in the order of `<i>`.

    `null` is a missing value; a column that is missing throughout is left out. An architecture that was measured more
    than once has its further measurements under the seeds 1, 2 ...

    Raises
    ------
    TableFormatError
        If a file of the archive is not such a document.
    """
    documents = _documents(source)
    space = get_space("mnasnet_chain")
    batch = space.parse([document["architecture"] for _, document in documents])
    first, group, seed = group_repeats(batch.genotypes)
    shape = (len(first), int(seed.max()) + 1, 1)
    columns = []
    for metric, (path, unit, direction, note) in _METRICS.items():
        flat = np.array([_value(name, document, path) for name, document in documents])
        if np.isnan(flat).all():
            continue
        values: NDArray[np.float64] = np.full(shape, np.nan)
        values[group, seed, 0] = flat
        info = MetricInfo(metric, unit, direction, note, seeds=tuple(range(shape[1])))
        columns.append(Column(info, values, single=unit in ("images/s", "ms", "s")))
    return Imported(space, batch[first], columns, _ABOUT)


def _documents(source: Path) -> list[tuple[str, Mapping[str, Any]]]:
    documents = []
    with open_binary(source) as file:
        try:
            with tarfile.open(fileobj=file, mode="r|") as archive:
                for member in archive:
                    content = archive.extractfile(member) if member.isfile() and member.name.endswith(".json") else None
                    if content is not None:
                        documents.append((member.name, _document(member.name, content.read())))
        except tarfile.TarError as error:
            raise TableFormatError(f"{str(source)!r} is not a readable tar archive: {error}") from None
    if not documents:
        raise TableFormatError(f"{str(source)!r} holds no .json file")
    return sorted(documents, key=lambda item: [int(number) for number in re.findall(r"\d+", item[0])])


def _document(name: str, content: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise TableFormatError(f"{name!r} in the archive is not JSON: {error}") from None
    if not isinstance(document, Mapping) or not isinstance(document.get("architecture"), Mapping):
        raise TableFormatError(f"{name!r} in the archive has no 'architecture'")
    return document


def _value(name: str, document: Mapping[str, Any], path: tuple[str, ...]) -> float:
    node: Any = document
    for key in path:
        node = node.get(key) if isinstance(node, Mapping) else None
    if node is None:
        return np.nan
    if isinstance(node, bool) or not isinstance(node, (int, float)):
        raise TableFormatError(f"{'.'.join(path)} of {name!r} must be a number or null, got {node!r:.100}")
    return float(node)
