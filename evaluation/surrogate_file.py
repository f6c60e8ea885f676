"""Saving and loading surrogate benchmarks: one zip file of JSON and saved predictors, never pickle.

A file holds `surrogate.json` (format and version, what is forecast, noise, best known architecture, measures, the
SHA-256 of every other member), its SHA-256 as `surrogate.sha256`, `metric.archcast` (a saved predictor), and
`cost.archcast` where costs are forecast. The hashes find damage and careless edits; they are no signature.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

from .._version import __version__
from ..benchmarks_data import SURROGATE, MetricInfo
from ..errors import ArchcastError, ModelFormatError
from ..files import write_whole
from ..predictors import Predictor
from ..predictors.saving import from_bytes, pack, to_bytes
from .surrogate_noise import NoiseModel
from .surrogate_table import BestKnown, SurrogateTable

FORMAT = "archcast surrogate"
FORMAT_VERSION = 1
_MANIFEST, _DIGEST, _METRIC, _COST = "surrogate.json", "surrogate.sha256", "metric.archcast", "cost.archcast"
_LIMIT = 1 << 30
"""Bytes that a member may unpack into."""


def is_surrogate(source: Any) -> bool:
    """Return whether this is the path of a surrogate benchmark, by its suffix."""
    return isinstance(source, (str, Path)) and Path(source).suffix == SURROGATE


def parts_of(surrogate: SurrogateTable) -> dict[str, bytes]:
    """Return the saved predictors of a surrogate, by the name of the member."""
    parts = {_METRIC: to_bytes(surrogate.predictor)}
    if isinstance(surrogate.cost, Predictor):
        parts[_COST] = to_bytes(surrogate.cost)
    return parts


def members_of(surrogate: SurrogateTable) -> dict[str, bytes]:
    """Return what a surrogate is made of, by the name of the member."""
    parts = parts_of(surrogate)
    info, best = surrogate.info, surrogate.best_known
    manifest = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "archcast_version": __version__,
        "name": surrogate.name,
        "metric": {"name": info.name, "unit": info.unit, "direction": info.direction, "note": info.note},
        "epoch": surrogate.epoch,
        "noise": surrogate.noise.to_dict(),
        "cost": None if isinstance(surrogate.cost, Predictor) else surrogate.cost,
        "best_known": {"architecture": str(best.architecture), "value": best.value, "found": best.found},
        "measures": dict(surrogate.measures),
        "about": dict(surrogate.about),
        "members": {name: hashlib.sha256(content).hexdigest() for name, content in parts.items()},
    }
    text = json.dumps(manifest, indent=1, allow_nan=False).encode()
    return {_MANIFEST: text, _DIGEST: hashlib.sha256(text).hexdigest().encode(), **parts}


def save(surrogate: SurrogateTable, path: str | Path) -> Path:
    """Write a surrogate to `path`, replacing the file in one step or not at all, and return the path.

    Raises
    ------
    InvalidDataError
        If a predictor's class is not registered, or the file cannot be written.
    """
    write_whole(Path(path), pack(members_of(surrogate)))
    return Path(path)


def load_surrogate_table(path: str | Path) -> SurrogateTable:
    """Open a surrogate benchmark; it answers exactly what the saved one did.

    Parameters
    ----------
    path : str or Path
        A file that `SurrogateTable.save` or `archcast table surrogate` wrote.

    Raises
    ------
    ModelFormatError
        If the file is missing, is no surrogate, is truncated or was changed, was written in a newer format, or needs a
        predictor, encoder or space that is not registered here.
    """
    shown = repr(str(path))
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ModelFormatError(f"cannot read a surrogate from {shown}: {error.strerror or error}") from None
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _restore(archive, shown)
    except ModelFormatError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError):
        raise ModelFormatError(f"{shown} is no surrogate benchmark: not a zip file, or a truncated one") from None
    except ArchcastError as error:
        raise ModelFormatError(f"{shown} cannot be loaded: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFormatError(f"{shown} holds contents that do not fit together: {error!r:.200}") from error


def _restore(archive: zipfile.ZipFile, shown: str) -> SurrogateTable:
    text = _read(archive, _MANIFEST, shown)
    if hashlib.sha256(text).hexdigest().encode() != _read(archive, _DIGEST, shown):
        raise ModelFormatError(f"{shown} was changed after it was saved: {_MANIFEST!r} does not match its SHA-256")
    manifest = json.loads(text)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ModelFormatError(f"{shown} is no surrogate benchmark: {_MANIFEST!r} does not say {FORMAT!r}")
    version = manifest.get("format_version")
    if not isinstance(version, int) or not 1 <= version <= FORMAT_VERSION:
        raise ModelFormatError(
            f"{shown} has format version {version!r}, written by archcast {manifest.get('archcast_version')}; archcast "
            f"{__version__} reads up to version {FORMAT_VERSION}"
        )
    parts = {name: _read(archive, name, shown) for name in manifest["members"]}
    for name, content in parts.items():
        if hashlib.sha256(content).hexdigest() != manifest["members"][name]:
            raise ModelFormatError(f"{shown} was changed after it was saved: {name!r} does not match its SHA-256")
    predictor = from_bytes(parts[_METRIC], shown)
    if predictor.space_ is None:
        raise ModelFormatError(f"{shown} holds a predictor of feature matrices, expected one of architectures")
    best, cost = manifest["best_known"], manifest["cost"]
    return SurrogateTable(
        name=str(manifest["name"]),
        info=MetricInfo(**manifest["metric"]),
        epoch=None if manifest["epoch"] is None else int(manifest["epoch"]),
        predictor=predictor,
        noise=NoiseModel.from_dict(manifest["noise"]),
        best_known=BestKnown(predictor.space_.parse([best["architecture"]])[0], float(best["value"]), best["found"]),
        cost=from_bytes(parts[_COST], shown) if _COST in parts else None if cost is None else float(cost),
        measures=dict(manifest["measures"]),
        about=dict(manifest["about"]),
    )


def _read(archive: zipfile.ZipFile, name: str, shown: str) -> bytes:
    if name not in archive.namelist():
        raise ModelFormatError(f"{shown} is no surrogate benchmark: it has no member {name!r}")
    with archive.open(name) as stream:
        content = stream.read(_LIMIT + 1)
    if len(content) > _LIMIT:
        raise ModelFormatError(f"{shown} cannot be loaded: member {name!r} is longer than {_LIMIT} bytes")
    return content
