"""`Database`: a SQLite file or a PostgreSQL server with Optuna's tables, patient with faults."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import InvalidDataError, StorageUnavailableError, UnknownNameError
from ..optional import missing, require
from .locks import AdvisoryLock, FileLock, Lock

if TYPE_CHECKING:
    import optuna

T = TypeVar("T")
Notify = Callable[[str], None]

CLAIM = "archcast:claim"
_INDEX = "archcast_claims"
_LOCK_PATIENCE = 60.0
_OPENING_PATIENCE = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0


class Database:
    """One database of studies.

    Beside what Optuna stores it has one unique index, `archcast_claims`, on the trial attribute `archcast:claim`.

    Parameters
    ----------
    url : str or Path
        The path of a SQLite file, which is created if need be, or a URL: `sqlite:///studies.db`,
        `postgresql://user@host/database`.
    patience : float
        Seconds for which a database that does not answer is tried again; at most ten while it is being opened.
    create : bool
        Create the SQLite file if it is not there.
    notify : callable, optional
        Called with a sentence when the database does not answer; by default it becomes a warning.

    Raises
    ------
    InvalidDataError
        If the database is neither SQLite nor PostgreSQL, its folder does not exist, or it is no database of studies.
    MissingDependencyError
        If Optuna or the driver of the database is not installed.
    StorageUnavailableError
        If it does not answer.
    """

    def __init__(
        self, url: str | Path, *, patience: float = 300.0, create: bool = True, notify: Notify | None = None
    ) -> None:
        if not patience >= 0:
            raise InvalidDataError(f"patience must be a number of seconds from 0 on, got {patience!r}")
        self.optuna: Any = require("optuna", "a live study", "optuna")
        self.patience = patience
        self._notify = notify or (lambda text: warnings.warn(text, stacklevel=2))
        self.url, self.name, self.path = _parsed(str(url))
        self._identity: tuple[int, int] | None = None
        if self.path is not None and not self.path.exists():
            if not create:
                raise UnknownNameError(f"there is no storage {self.name!r}: the file does not exist")
            if not self.path.parent.is_dir():
                raise InvalidDataError(f"cannot make the storage {self.name!r}: its folder does not exist")
        self._rdb: Any = None
        self._rdb = self._answered(self._connect, min(patience, _OPENING_PATIENCE))
        if self.path is not None:
            self._identity = _identity(self.path)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    # ---- opening ------------------------------------------------------------------------------------------------

    def _connect(self) -> Any:
        import sqlalchemy

        # One engine after the other, under a lock: several workers that open a fresh database must not all make it.
        try:
            self._lock_engine = sqlalchemy.create_engine(
                self.url, pool_pre_ping=True, connect_args=_connecting(self.url)
            )
        except ImportError as error:
            raise missing(error.name or "psycopg", f"the storage {self.name!r}", "postgresql") from error
        lock = self._lock("opening")
        lock.acquire(_LOCK_PATIENCE)
        try:
            with quiet(self.optuna):
                storage = self.optuna.storages.RDBStorage(
                    self.url, engine_kwargs={"pool_pre_ping": True, "connect_args": _connecting(self.url)}
                )
            self._prepare(storage)
        except RuntimeError as error:  # an older or newer schema, in Optuna's words
            raise InvalidDataError(f"the storage {self.name!r} cannot be used: {error}") from None
        finally:
            lock.release()
        return storage

    def _prepare(self, storage: optuna.storages.RDBStorage) -> None:
        import sqlalchemy

        if self.path is None:  # heartbeats are told and read in one time zone, whatever the clients' settings are
            sqlalchemy.event.listen(storage.engine, "connect", _in_utc)
            storage.engine.dispose()
        known = {index["name"] for index in sqlalchemy.inspect(storage.engine).get_indexes("trial_user_attributes")}
        if _INDEX not in known:
            with storage.engine.begin() as connection:
                connection.execute(
                    sqlalchemy.text(
                        f"CREATE UNIQUE INDEX IF NOT EXISTS {_INDEX} ON trial_user_attributes (value_json) "
                        f"WHERE \"key\" = '{CLAIM}'"
                    )
                )

    def _lock(self, name: str) -> Lock:
        if self.path is not None:
            return FileLock(self.path.with_name(self.path.name + ".lock"))
        return AdvisoryLock(self._lock_engine, name)

    # ---- patience -----------------------------------------------------------------------------------------------

    def _answered(self, action: Callable[[], T], patience: float | None = None) -> T:
        """Return what `action` returns, trying again while the database does not answer.

        Raises
        ------
        StorageUnavailableError
            If it did not for too long, refuses for good, or is not the database that was opened.
        """
        limit = self.patience if patience is None else patience
        end, pause, told = time.monotonic() + limit, _FIRST_PAUSE, False
        while True:
            try:
                self._require_same_file()
                return action()
            except Exception as error:
                reason = self._fault(error)
                if reason is None:
                    raise
                self.forget_thread()
                if time.monotonic() + pause > end:
                    waited = f" for {limit:g} s" if limit else ""
                    advice = (
                        "" if self._rdb is None else "; what was told to it before is safe, and can be gone on from"
                    )
                    raise StorageUnavailableError(
                        f"the storage {self.name!r} did not answer{waited} ({reason}){advice}"
                    ) from error
                if not told and pause >= 4 * _FIRST_PAUSE:  # a collision of two writers is over before that
                    told = True
                    self._notify(f"the storage {self.name!r} does not answer ({reason}); trying for {limit:g} s")
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _fault(self, error: Exception) -> str | None:
        """Return what is wrong with the database in one line if trying again may help, None for any other error."""
        from sqlalchemy import exc

        if isinstance(error, _FileGoneError):
            return str(error)
        cause: BaseException | None = error
        if isinstance(error, self.optuna.exceptions.StorageInternalError):
            cause = error.__cause__
        if not isinstance(cause, exc.SQLAlchemyError) or isinstance(cause, exc.IntegrityError):
            return None
        first = " ".join(str(getattr(cause, "orig", None) or cause).split())[:300]
        if isinstance(cause, (exc.ProgrammingError, exc.DataError)) or "not a database" in first:
            raise StorageUnavailableError(f"the storage {self.name!r} refuses: {first}") from error
        return first

    def _require_same_file(self) -> None:
        if self.path is None or self._identity is None:
            return
        now = _identity(self.path)
        if now is None:
            raise _FileGoneError("the file does not exist any more")
        if now != self._identity:
            raise StorageUnavailableError(f"the storage {self.name!r} was replaced by another file while it was in use")

    def close(self) -> None:
        """Close all connections; what is asked for later opens new ones."""
        self._lock_engine.dispose()
        self._rdb.remove_session()
        self._rdb.engine.dispose()

    def forget_thread(self) -> None:
        """Give back what the calling thread holds of the database."""
        if self._rdb is not None:
            with contextlib.suppress(Exception):
                self._rdb.remove_session()

    # ---- locking ------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def locked(self, study: str) -> Iterator[None]:
        """Hold the lock of a study in the block.

        Raises
        ------
        StorageUnavailableError
            If the database does not answer.
        """
        lock = self._lock(f"study {study}")
        if not self._answered(lambda: lock.acquire(_LOCK_PATIENCE)):
            self._notify(f"another worker of study {study!r} seems to be stuck; going on without waiting for it")
        try:
            yield
        finally:
            with contextlib.suppress(Exception):  # a connection that is gone has released it
                lock.release()


class _FileGoneError(Exception):
    """The SQLite file is not there any more."""


@contextlib.contextmanager
def quiet(optuna: Any) -> Iterator[None]:
    """Let Optuna say only what is wrong in the block."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def _parsed(text: str) -> tuple[str, str, Path | None]:
    """Return the URL, the name to show (without a password) and, for SQLite, the path of the file."""
    from sqlalchemy import URL, make_url
    from sqlalchemy.exc import ArgumentError

    if "://" not in text:
        if not text or Path(text).is_dir():
            raise InvalidDataError(f"a study is stored in a file, expected its path, got {text!r}")
        return URL.create("sqlite", database=text).render_as_string(), text, Path(text)
    if text.startswith("postgres://"):
        text = f"postgresql://{text.removeprefix('postgres://')}"
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise InvalidDataError(f"expected the path of a file or the URL of a database, got {text!r}") from None
    backend = url.get_backend_name()
    if backend == "sqlite":
        if not url.database or url.database == ":memory:":
            raise InvalidDataError(f"a study is stored in a file, expected its path in the URL, got {text!r}")
        return text, url.database, Path(url.database)
    if backend != "postgresql":
        raise InvalidDataError(f"expected a SQLite file or a URL of PostgreSQL, got one of {backend!r}")
    if url.drivername == "postgresql":
        url = url.set(drivername=f"postgresql+{_driver()}")
    return url.render_as_string(hide_password=False), url.set(drivername="postgresql").render_as_string(), None


def _connecting(url: str) -> dict[str, Any]:
    """Return what the driver is told: to wait for other writers, but not for ever for a machine that is gone."""
    if url.startswith("sqlite"):
        return {"timeout": 30}
    if "psycopg" not in url.partition("://")[0]:
        return {}
    alive = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}
    return {"connect_timeout": 10, **alive}


def _driver() -> str:
    from importlib.util import find_spec

    return next((name for name in ("psycopg", "psycopg2") if find_spec(name) is not None), "psycopg")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _in_utc(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("SET TIME ZONE 'UTC'")
    cursor.close()
    connection.commit()
