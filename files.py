"""Files that appear under their name only once they are complete."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .errors import InvalidDataError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the path of a temporary file that takes the place of `path` if the block ends well, and is removed if not.

    The content is on the disk before the name is; permissions are those of any new file.

    Raises
    ------
    InvalidDataError
        If nothing can be written there.
    """
    if not path.parent.is_dir():
        raise InvalidDataError(f"cannot write {str(path)!r}: its folder does not exist")
    if path.is_dir():
        raise InvalidDataError(f"cannot write {str(path)!r}: it is a folder")
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise InvalidDataError(f"cannot write {str(path)!r}: {error.strerror}") from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    InvalidDataError
        If it cannot be written.
    """
    with replacing(path) as temporary:
        try:
            temporary.write_bytes(content)
        except OSError as error:
            raise InvalidDataError(f"cannot write {str(path)!r}: {error.strerror}") from None


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
