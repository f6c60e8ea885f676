"""A JSON-lines file of finished runs, so that interrupted work goes on where it stopped."""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError

NULLABLE = frozenset(
    {"epoch", "test_epoch", "select_epoch", "select_seed", "unit", "queries_to_target", "queries_to_optimum"}
)
"""Fields of a run that may be null; in any other field null stands for NaN, which JSON does not know."""


def content_key(content: Mapping[str, Any]) -> str:
    """Return a key that is equal for equal content, whatever the process: the SHA-256 of its sorted JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=repr).encode()).hexdigest()


def described(estimator: Any) -> dict[str, Any]:
    """Return what tells an estimator from others: its class, its parameters, and the code of classes not our own.

    The version stands for the code of the package; a predictor or searcher that somebody is working on changes
    without one, and so do those in its parameters. Where there is no source file, its class and parameters must do.
    """
    parameters = estimator.get_params(deep=True)
    kinds = {base for part in (estimator, *parameters.values()) for base in type(part).__mro__}
    own = __name__.partition(".")[0]
    modules = sorted({kind.__module__ for kind in kinds if hasattr(kind, "get_params")})
    sources = [_source(module) for module in modules if module.partition(".")[0] not in (own, "sklearn")]
    kind = type(estimator)
    found: dict[str, Any] = {"class": f"{kind.__module__}.{kind.__qualname__}", "parameters": parameters}
    return found | ({"code": hashlib.sha256(b"|".join(sources)).hexdigest()} if any(sources) else {})


def _source(module: str) -> bytes:
    try:
        return Path(inspect.getsourcefile(sys.modules[module]) or "").read_bytes()
    except (KeyError, OSError, TypeError):
        return b""


def content_digest(description: Mapping[str, Any], arrays: Iterable[NDArray[Any]]) -> str:
    """Return the SHA-256 of a JSON-able description and of arrays, their shapes included."""
    digest = hashlib.sha256(content_key(description).encode())
    for array in arrays:
        digest.update(f"{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def json_line(record: Mapping[str, Any]) -> str:
    """Return a record as one line of strict JSON; NaN and infinities become null."""
    return json.dumps({key: _plain(value) for key, value in record.items()}, allow_nan=False, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


class RunCache:
    """Finished runs on disk, by the key of what they were asked.

    Each line is the run with its key; a line is written as soon as its run is finished. A last line that an
    interruption cut short is dropped.

    Parameters
    ----------
    path : str or Path
        Created with the first run; its folder must exist.

    Raises
    ------
    InvalidDataError
        If the file exists and is not one of runs, naming the line, or if it cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._runs: dict[str, dict[str, Any]] = {}
        if not self.path.parent.is_dir():
            raise InvalidDataError(f"the folder of the run file {str(self.path)!r} does not exist")
        try:
            content = self.path.read_bytes() if self.path.exists() else b""
        except OSError as error:
            raise InvalidDataError(f"cannot read the run file {str(self.path)!r}: {error.strerror}") from None
        self._whole = content.rfind(b"\n") + 1
        self._torn = self._whole < len(content)
        for number, line in enumerate(content[: self._whole].splitlines(), start=1):
            self._read(line, number)
        if self._torn and not self._looks_torn(content[self._whole :]):
            raise InvalidDataError(f"{str(self.path)!r} is not a file of runs: its last line is no JSON object")

    @staticmethod
    def _looks_torn(tail: bytes) -> bool:
        """Tell a run that was cut short from a foreign file, which must not be overwritten."""
        start = b'{"key": "'
        return tail.startswith(start) or start.startswith(tail)

    def _read(self, line: bytes, number: int) -> None:
        if not line.strip():
            return
        try:
            record = json.loads(line)
            key = record.pop("key")
        except (ValueError, AttributeError, KeyError, TypeError):
            raise InvalidDataError(
                f"{str(self.path)!r} is not a file of runs: line {number} is no JSON object with a key"
            ) from None
        self._runs[key] = {
            name: math.nan if value is None and name not in NULLABLE else value for name, value in record.items()
        }

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the run with this key, or None."""
        found = self._runs.get(key)
        return None if found is None else dict(found)

    def add(self, key: str, record: Mapping[str, Any]) -> None:
        """Append a run to the file.

        Raises
        ------
        InvalidDataError
            If the file cannot be written.
        """
        try:
            if self._torn:
                with self.path.open("r+b") as stream:
                    stream.truncate(self._whole)
                self._torn = False
            with self.path.open("ab") as stream:
                stream.write((json_line({"key": key, **record}) + "\n").encode())
        except OSError as error:
            raise InvalidDataError(f"cannot write the run file {str(self.path)!r}: {error.strerror}") from None
        self._runs[key] = dict(record)
