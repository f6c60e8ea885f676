"""Opening source files, compressed or not, and refusing broken ones with one sentence."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TextIO

from ...errors import TableFormatError

_MAGIC: dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"\xfd7zXZ\x00": lzma.open, b"BZh": bz2.open}


@contextlib.contextmanager
def open_binary(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, decompressing gzip, xz and bzip2 by their first bytes.

    Raises
    ------
    TableFormatError
        If it is empty, truncated or corrupt.
    """
    try:
        with path.open("rb") as raw:
            start = raw.read(6)
    except OSError as error:
        raise TableFormatError(f"{str(path)!r} cannot be read: {error.strerror}") from None
    if not start:
        raise TableFormatError(f"{str(path)!r} is empty")
    opener: Callable[..., Any] = next((opener for magic, opener in _MAGIC.items() if start.startswith(magic)), open)
    try:
        with opener(path, "rb") as file:
            yield file
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        raise TableFormatError(f"{str(path)!r} is truncated or corrupt: {error}") from None


@contextlib.contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    """Open a UTF-8 text file, compressed or not.

    Raises
    ------
    TableFormatError
        If it is empty, truncated, corrupt or not UTF-8.
    """
    with open_binary(path) as binary:
        try:
            yield io.TextIOWrapper(binary, encoding="utf-8-sig", newline="")
        except UnicodeDecodeError as error:
            raise TableFormatError(f"{str(path)!r} is not UTF-8 text: {error.reason} at byte {error.start}") from None
