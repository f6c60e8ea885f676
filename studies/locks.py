"""Locks across processes and machines: one holder at a time, and free as soon as its holder is dead.

A lock only keeps workers from doing the same work at the same time. What must never happen twice is guarded by the
storage itself (see `StudyStorage.begin`), so that a worker which waits too long for a holder that is stuck may go on.
"""

from __future__ import annotations

import hashlib
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ..errors import InvalidDataError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_POLL_SECONDS = 0.01
_ONE_WAIT_SECONDS = 3.0
_LOCK_NOT_AVAILABLE = "55P03"


class Lock(ABC):
    """A lock that `acquire` takes and `release` gives back; not reentrant."""

    @abstractmethod
    def acquire(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for the lock, and return whether it is held."""

    @abstractmethod
    def release(self) -> None:
        """Give the lock back; nothing happens where it is not held."""


class FileLock(Lock):
    """An exclusive `flock` on a file beside a SQLite database, which the kernel releases when its holder ends.

    Systems without `fcntl` have no such lock: `acquire` returns at once.

    Parameters
    ----------
    path : Path
        It is created if need be, and stays.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] | None = None

    def acquire(self, timeout: float) -> bool:
        """Open the file and poll for the lock."""
        try:
            import fcntl
        except ImportError:
            return True
        try:
            file = self.path.open("ab")
        except OSError as error:
            raise InvalidDataError(f"cannot write {str(self.path)!r} beside the storage: {error.strerror}") from None
        end = time.monotonic() + timeout
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= end:
                    file.close()
                    return False
                time.sleep(_POLL_SECONDS)
            except BaseException:
                file.close()
                raise
            else:
                self._file = file
                return True

    def release(self) -> None:
        """Close the file, and the lock with it."""
        if self._file is not None:
            self._file.close()
            self._file = None


class AdvisoryLock(Lock):
    """An advisory lock of PostgreSQL: the server queues those who wait, and frees it when its holder's connection ends.

    Parameters
    ----------
    engine : sqlalchemy.Engine
    name : str
        Locks of different names do not meet.
    """

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._key = int.from_bytes(hashlib.sha256(f"archcast {name}".encode()).digest()[:8], "big", signed=True)
        self._connection: Connection | None = None

    def acquire(self, timeout: float) -> bool:
        """Ask the server for the lock, for a few seconds at a time, so that Ctrl-C is heard meanwhile."""
        from sqlalchemy import text
        from sqlalchemy.exc import DBAPIError

        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        end = time.monotonic() + timeout
        try:
            # The server asks after silent clients: the lock of a machine without power is free after half a minute.
            for setting in ("tcp_keepalives_idle = 10", "tcp_keepalives_interval = 5", "tcp_keepalives_count = 3"):
                connection.execute(text(f"SET {setting}"))
            while (left := end - time.monotonic()) > 0:
                connection.execute(text(f"SET lock_timeout = {max(1, round(1000 * min(left, _ONE_WAIT_SECONDS)))}"))
                try:
                    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": self._key})
                except DBAPIError as error:
                    code = getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)
                    if code != _LOCK_NOT_AVAILABLE:
                        raise
                else:
                    self._connection = connection
                    return True
            connection.close()
        except BaseException:
            connection.invalidate()  # it may hold the lock
            connection.close()
            raise
        return False

    def release(self) -> None:
        """Give the lock back; a connection that cannot do that is closed, and the lock with it."""
        if self._connection is None:
            return
        from sqlalchemy import text

        connection, self._connection = self._connection, None
        try:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": self._key})
        except BaseException:
            connection.invalidate()
            raise
        finally:
            connection.close()
