"""Reading the files of published data sets: found where they were unpacked, bounded in size, and never executed."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...benchmarks_data.safe_pickle import safe_load
from ...errors import InvalidDataError, TableFormatError, UnsafeFileError

_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK = 1 << 24
SIZE_LIMIT = 1 << 31
"""Most bytes of one file, decompressed; the largest published one has a twentieth of it."""


@dataclass(frozen=True)
class FileSet:
    """Files of a published archive.

    Parameters
    ----------
    folder : str
        Into which the archive unpacks.
    train, test : tuple of str
        Names of the files.
    """

    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]


def existing_folder(root: str | Path, task: str) -> Path:
    """Return `root` as a path.

    Raises
    ------
    InvalidDataError
        If it is no folder.
    """
    try:
        folder = Path(root).expanduser()
    except (TypeError, RuntimeError):
        raise InvalidDataError(f"the root of task {task!r} must be a folder, got {root!r:.200}") from None
    if not folder.is_dir():
        state = "is a file" if folder.exists() else "does not exist"
        raise InvalidDataError(f"the root of task {task!r} must be a folder, and {str(root)!r} {state}")
    return folder


def find_file_set(root: str | Path, task: str, choices: Sequence[FileSet]) -> tuple[Path, FileSet]:
    """Return the folder that holds the files, `root` itself or the archive's folder in it, and which files they are.

    Raises
    ------
    InvalidDataError
        If the root is no folder, holds none of the files, or not all of one set.
    """
    top = existing_folder(root, task)
    places = [(folder, choice) for choice in choices for folder in (top / choice.folder, top)]
    missing = [
        [name for name in (*choice.train, *choice.test) if not (folder / name).is_file()] for folder, choice in places
    ]
    for place, lacking in zip(places, missing, strict=True):
        if not lacking:
            return place
    for (folder, choice), lacking in zip(places, missing, strict=True):
        if len(lacking) < len(choice.train) + len(choice.test):
            names = ", ".join((*choice.train, *choice.test))
            raise InvalidDataError(
                f"{str(folder / lacking[0])!r} of task {task!r} does not exist, expected all of {names}"
            )
    expected = ", or ".join(f"{choice.train[0]!r} and its like (folder {choice.folder!r})" for choice in choices)
    raise InvalidDataError(f"no files of task {task!r} in {str(root)!r}, expected {expected}")


def find_file(root: Path, task: str, folders: Sequence[str], names: Sequence[str]) -> Path:
    """Return the first file there is of these names in these folders of `root`.

    Raises
    ------
    InvalidDataError
        If there is none.
    """
    for folder in folders:
        for name in names:
            if (root / folder / name).is_file():
                return root / folder / name
    others = ", ".join(repr(folder) for folder in folders if folder)
    raise InvalidDataError(
        f"no file {names[0]!r} of task {task!r} in {str(root)!r} or its folders {others}, "
        f"expected it or {', '.join(map(repr, names[1:]))}"
    )


def read_bytes(path: Path) -> bytes:
    """Return the content of a file, decompressed if its first bytes say that it is gzip.

    Raises
    ------
    InvalidDataError
        If it cannot be read, is empty, truncated, corrupt, or larger than any published file.
    """
    content = bytearray()
    try:
        with path.open("rb") as raw:
            compressed = raw.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
        with gzip.open(path) if compressed else path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                content += chunk
                if len(content) > SIZE_LIMIT:
                    raise InvalidDataError(f"{str(path)!r} holds more than {SIZE_LIMIT:,} bytes")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InvalidDataError(f"{str(path)!r} is truncated or corrupt: {error}") from None
    except OSError as error:
        raise InvalidDataError(f"{str(path)!r} cannot be read: {error.strerror or error}") from None
    if not content:
        raise InvalidDataError(f"{str(path)!r} is empty")
    return bytes(content)


def read_batch(path: Path, entries: Sequence[str]) -> dict[str, Any]:
    """Return the named entries of a pickled dictionary, of which nothing is executed.

    Raises
    ------
    UnsafeFileError
        If the pickle asks for anything but plain data.
    InvalidDataError
        If it cannot be read, or is no dictionary with these entries.
    """
    try:
        batch = safe_load(read_bytes(path))
    except UnsafeFileError as error:
        raise UnsafeFileError(f"{str(path)!r} is refused: {error}") from None
    except TableFormatError as error:
        raise InvalidDataError(f"{str(path)!r} is truncated or corrupt: {error}") from None
    if not isinstance(batch, dict):
        raise InvalidDataError(f"{str(path)!r} must hold a dictionary, got {type(batch).__name__}")
    named = {key.decode("latin-1") if isinstance(key, bytes) else key: value for key, value in batch.items()}
    for entry in entries:
        if entry not in named:
            raise InvalidDataError(f"{str(path)!r} has no entry {entry!r}, it has {', '.join(map(str, named))}")
    return {entry: named[entry] for entry in entries}
