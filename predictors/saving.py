"""Saving and loading fitted predictors: one zip file of JSON, safetensors and library-own formats, never pickle.

A file holds

- `manifest.json`: format version, the registered names of predictor, encoder and space, their parameters, what the
  columns are, the user's `metadata_`, and the size and SHA-256 of every other member;
- `manifest.sha256`: the SHA-256 of the manifest;
- `arrays.safetensors`: everything learned that is an array;
- `blobs/<name>`: what a library writes in its own safe format, e.g. an XGBoost model as UBJSON.

Reading builds objects from registered classes alone, so that a file can name no code to run. The hashes find damage
and careless edits; they are no signature.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from .._version import __version__
from ..encoders import ENCODERS, Columns, ConcatenatedEncoder, Encoder, make_encoder
from ..errors import ArchcastError, InvalidDataError, ModelFormatError
from ..files import write_whole
from ..registry import Registry
from ..spaces import space_from_spec
from . import PREDICTORS, make_predictor
from .base import Predictor
from .info import InfoColumns
from .nested import under
from .novelty import Novelty
from .targets import TargetTransforms

FORMAT = "archcast predictor"
FORMAT_VERSION = 1
_MANIFEST, _DIGEST, _ARRAYS, _BLOBS = "manifest.json", "manifest.sha256", "arrays.safetensors", "blobs/"
_MANIFEST_LIMIT = 64 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)
_COMPONENTS: Mapping[str, tuple[type, Registry, Callable[..., Any]]] = {
    "encoder": (Encoder, ENCODERS, make_encoder),
    "predictor": (Predictor, PREDICTORS, make_predictor),
}
"""What a parameter may hold besides plain values: how it is known, named and made."""


def save(predictor: Predictor, path: str | PathLike[str]) -> None:
    """Write a fitted predictor to `path`, replacing the file in one step or not at all.

    The same fitted predictor gives the same bytes.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    InvalidDataError
        If its class is not registered, a parameter cannot be written as JSON, or nothing can be written to `path`.
    """
    write_whole(Path(path), to_bytes(predictor))


def to_bytes(predictor: Predictor) -> bytes:
    """Return what `save` writes; errors are those of `save`."""
    if not isinstance(predictor, Predictor):
        raise InvalidDataError(f"expected a Predictor to save, got {type(predictor).__name__}")
    check_is_fitted(predictor, "_targets")
    return pack(_members(predictor))


def pack(members: Mapping[str, bytes]) -> bytes:
    """Return a zip file of members; the same members give the same bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content, compresslevel=6)
    return stream.getvalue()


def load(path: str | PathLike[str]) -> Predictor:
    """Read a predictor that `save` wrote; it forecasts exactly what the saved one did.

    Raises
    ------
    ModelFormatError
        If the file is missing, is not a saved predictor, is truncated or was changed, was written in a newer format,
        or needs a predictor, encoder or space that is not registered here.
    """
    shown = repr(os.fspath(path))
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ModelFormatError(f"cannot read a predictor from {shown}: {error.strerror or error}") from None
    return from_bytes(content, shown)


def from_bytes(content: bytes, shown: str) -> Predictor:
    """Return the predictor that `to_bytes` described; errors are those of `load`, and call the file `shown`."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _restore(*_checked_members(archive, shown), shown)
    except ModelFormatError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError):
        raise ModelFormatError(f"{shown} is not a saved predictor: not a zip file, or a truncated one") from None
    except ArchcastError as error:
        raise ModelFormatError(f"{shown} cannot be loaded: {error}") from error
    except Exception as error:  # whatever a library says of contents that do not fit together
        said = str(error).strip().partition("\n")[0]
        raise ModelFormatError(f"{shown} holds contents that do not fit together: {said}") from error


# ---- writing ----------------------------------------------------------------------------------------------------


def _members(predictor: Predictor) -> dict[str, bytes]:
    from safetensors.numpy import save as to_safetensors

    name = PREDICTORS.name_of(type(predictor))
    if name is None:
        raise InvalidDataError(
            f"cannot save a {type(predictor).__name__}: its class is not registered, so that no file could name it"
        )
    arrays: dict[str, NDArray[Any]] = {f"targets/{key}": array for key, array in predictor._targets.arrays().items()}
    arrays |= {f"info/{key}": medians for key, medians in predictor._info.medians.items()}
    if predictor._novelty is not None:
        arrays |= {f"novelty/{key}": array for key, array in predictor._novelty.arrays().items()}
    if predictor.encoder_ is not None:
        arrays |= {f"encoder/{key}": array for key, array in predictor.encoder_._get_state().items()}
    members: dict[str, bytes] = {}
    for key, value in predictor._get_state().items():
        if isinstance(value, bytes):
            members[_BLOBS + key] = value
        else:
            arrays[f"state/{key}"] = value
    members[_ARRAYS] = to_safetensors({key: np.asarray(array, order="C") for key, array in sorted(arrays.items())})
    columns = predictor.columns_
    parameters = {k: v for k, v in predictor.get_params(deep=False).items() if k not in predictor.saved_in_state}
    manifest = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "archcast_version": __version__,
        "predictor": name,
        "parameters": {key: _to_json(value, key) for key, value in parameters.items()},
        "space": predictor.space_.spec if predictor.space_ is not None else None,
        "encoder": _to_json(predictor.encoder_, "encoder"),
        "columns": {"names": columns.names, "groups": columns.groups, "indicator": columns.indicator.tolist()},
        "feature_names": getattr(predictor, "feature_names_in_", np.array([])).tolist() or None,
        "n_features": int(predictor.n_features_in_),
        "outputs": len(predictor._targets.columns),
        "single_output": bool(predictor._single_output_),
        "info": predictor._info.names,
        "metadata": _checked_metadata(predictor.metadata_),
        "members": {
            key: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for key, content in members.items()
        },
    }
    text = json.dumps(manifest, indent=1).encode()
    return {_MANIFEST: text, _DIGEST: hashlib.sha256(text).hexdigest().encode(), **members}


def _checked_metadata(metadata: Any) -> Any:
    """Return the metadata if JSON gives back exactly the same."""
    try:
        same = isinstance(metadata, dict) and json.loads(json.dumps(metadata, allow_nan=False)) == metadata
    except (TypeError, ValueError):
        same = False
    if not same:
        raise InvalidDataError(f"metadata_ must be a dict of text keys and finite JSON values, got {metadata!r:.200}")
    return metadata


def _to_json(value: Any, where: str) -> Any:
    """Return a JSON-able description of a parameter; what JSON has no word for becomes a tagged object."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        return [_to_json(item, where) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [_to_json(item, where) for item in value]}
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {"mapping": {key: _to_json(item, where) for key, item in value.items()}}
    if isinstance(value, ConcatenatedEncoder):
        parts = [_to_json(part, where) for part in value.encoders]
        return {"encoders": parts, "labels": _to_json(value.labels, where)}
    for kind, (base, registry, _) in _COMPONENTS.items():
        if isinstance(value, base):
            return _component_to_json(value, kind, registry, where)
    raise InvalidDataError(f"cannot save parameter {where!r}: a {type(value).__name__} has no form in JSON")


def _component_to_json(value: Any, kind: str, registry: Registry, where: str) -> dict[str, Any]:
    name = registry.name_of(type(value))
    if name is None:
        raise InvalidDataError(f"cannot save parameter {where!r}: {kind} {type(value).__name__} is not registered")
    parameters = {key: _to_json(item, key) for key, item in value.get_params(deep=False).items()}
    return {kind: name, "parameters": parameters}


# ---- reading ----------------------------------------------------------------------------------------------------


def _checked_members(archive: zipfile.ZipFile, shown: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the manifest and the other members, once sizes and hashes agree."""
    present = set(archive.namelist())
    for name in (_MANIFEST, _DIGEST):
        if name not in present:
            raise ModelFormatError(f"{shown} is not a saved predictor: it has no member {name!r}")
    text = _read(archive, _MANIFEST, _MANIFEST_LIMIT, shown)
    if hashlib.sha256(text).hexdigest().encode() != _read(archive, _DIGEST, 64, shown):
        raise ModelFormatError(f"{shown} was changed after it was saved: {_MANIFEST!r} does not match its SHA-256")
    manifest = json.loads(text)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ModelFormatError(f"{shown} is not a saved predictor: {_MANIFEST!r} does not say {FORMAT!r}")
    version = manifest.get("format_version")
    if not isinstance(version, int) or version < 1:
        raise ModelFormatError(f"{shown} has format version {version!r}, expected a whole number from 1")
    if version > FORMAT_VERSION:
        raise ModelFormatError(
            f"{shown} has format version {version}, written by archcast {manifest.get('archcast_version')}; "
            f"archcast {__version__} reads up to version {FORMAT_VERSION}"
        )
    members = {}
    for name, promised in manifest["members"].items():
        if name not in present:
            raise ModelFormatError(f"{shown} is incomplete: it has no member {name!r}")
        content = _read(archive, name, promised["bytes"], shown)
        if len(content) != promised["bytes"] or hashlib.sha256(content).hexdigest() != promised["sha256"]:
            raise ModelFormatError(f"{shown} was changed after it was saved: {name!r} does not match its SHA-256")
        members[name] = content
    return manifest, members


def _read(archive: zipfile.ZipFile, name: str, limit: int, shown: str) -> bytes:
    """Return a member of at most `limit` bytes, so that a crafted file cannot unpack into more than it declares."""
    with archive.open(name) as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise ModelFormatError(f"{shown} was changed after it was saved: {name!r} is longer than {limit} bytes")
    return content


def _restore(manifest: dict[str, Any], members: dict[str, bytes], shown: str) -> Predictor:
    from safetensors.numpy import load as from_safetensors

    name = manifest["predictor"]
    factory = PREDICTORS.factory(name)
    if not (isinstance(factory, type) and issubclass(factory, Predictor)):
        raise ModelFormatError(f"{shown} names {name!r}, which is registered with something other than a predictor")
    parameters = {key: _from_json(value) for key, value in manifest["parameters"].items()}
    predictor = PREDICTORS.create(name, **parameters)
    if not isinstance(predictor, Predictor):  # pragma: no cover - create calls the factory checked above
        raise ModelFormatError(f"{shown} names {name!r}, which made a {type(predictor).__name__}")
    arrays = from_safetensors(members[_ARRAYS])

    predictor.space_ = None if manifest["space"] is None else space_from_spec(manifest["space"])
    predictor.encoder_ = _from_json(manifest["encoder"])
    if (predictor.encoder_ is None) != (predictor.space_ is None):
        raise ModelFormatError(f"{shown} must name both a space and an encoder, or neither")
    if predictor.encoder_ is not None:
        assert predictor.space_ is not None
        predictor.encoder_.space_ = predictor.space_
        predictor.encoder_._set_state(under("encoder/", arrays))
    columns = manifest["columns"]
    indicator = np.array(columns["indicator"], dtype=np.bool_)
    predictor.columns_ = Columns(tuple(columns["names"]), tuple(columns["groups"]), indicator)
    predictor._info = InfoColumns({key: arrays[f"info/{key}"] for key in manifest["info"]})
    predictor.n_features_in_ = int(manifest["n_features"])
    if manifest["feature_names"] is not None:
        predictor.feature_names_in_ = np.array(manifest["feature_names"], dtype=object)
    predictor._single_output_ = bool(manifest["single_output"])
    predictor.metadata_ = manifest.get("metadata", {})  # absent from files of archcast before it noted any
    if not isinstance(predictor.metadata_, dict):
        raise ModelFormatError(f"{shown} holds metadata that is no JSON object")
    predictor._targets = TargetTransforms(predictor.target_transform, int(manifest["outputs"]))
    predictor._targets.restore(under("targets/", arrays))
    blobs = {key.removeprefix(_BLOBS): content for key, content in members.items() if key.startswith(_BLOBS)}
    predictor._set_state(under("state/", arrays) | blobs)
    novelty = under("novelty/", arrays)  # absent from files of archcast before it told novelty
    predictor._novelty = Novelty.restored(novelty, len(predictor.columns_)) if novelty else None
    return predictor


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "tuple" in value:
        return tuple(_from_json(item) for item in value["tuple"])
    if "mapping" in value:
        return {key: _from_json(item) for key, item in value["mapping"].items()}
    if "encoders" in value:
        return ConcatenatedEncoder([_from_json(part) for part in value["encoders"]], _from_json(value["labels"]))
    kind = next(kind for kind in _COMPONENTS if kind in value)
    parameters = {key: _from_json(item) for key, item in value["parameters"].items()}
    return _COMPONENTS[kind][2](value[kind], **parameters)
