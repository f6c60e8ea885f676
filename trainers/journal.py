"""`Journal`: every training that was ever run, in a file that survives whatever happens to the process or machine.

The file is text, one entry a line: eight hexadecimal digits (the CRC-32 of the rest of the line without its end), a
blank, a JSON object, a line feed. The first line is `{"format": "archcast journal", "version": 1}`. Each later object
has its number `n` (1, 2, ...) and either `record`, a whole training, or `epoch`: one more epoch of a training that is
still running. Lines are only ever added at the end, and each is on the disk (`fsync`) before `append` returns. So
whatever kills the process or the machine, everything that was acknowledged is there; at most the last line is torn,
and is cut off when the file is next opened for writing.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Protocol, Self, TypeVar

from ..errors import InvalidDataError, JournalError
from .records import Status, TrainingRecord

if TYPE_CHECKING:
    from ..benchmarks_data import Table

FORMAT = "archcast journal"
VERSION = 1

BAD_LUCK = (Status.KILLED, Status.OUT_OF_MEMORY, Status.TIMEOUT, Status.FAILED)
"""Ends that another attempt may not meet. One that diverged usually does so again."""


class _Keyed(Protocol):
    @property
    def key(self) -> str: ...


K = TypeVar("K", bound=_Keyed)


class Journal:
    """An append-only file of trainings; a context manager that closes it.

    One process writes, any number read. A later record of the same training takes the place of one that is not
    FINISHED (a second attempt); a FINISHED one is never replaced.

    Parameters
    ----------
    path : str or Path
    mode : {"append", "read"}
        `"append"` creates the file if need be, cuts off a torn tail and locks out other writers until closed. `"read"`
        needs no lock, changes nothing, and may look on while another process writes (`refresh`).

    Attributes
    ----------
    repaired : int
        Bytes of a torn tail that were cut off (mode `"append"`) or passed over (mode `"read"`).

    Raises
    ------
    JournalError
        If the file cannot be opened, another process is writing it, it is no journal, of a newer version, or damaged
        anywhere but at its end.
    """

    def __init__(self, path: str | Path, mode: Literal["append", "read"] = "append") -> None:
        if mode not in ("append", "read"):
            raise InvalidDataError(f"the mode of a journal must be 'append' or 'read', got {mode!r}")
        self.path = Path(path)
        self.mode = mode
        self.repaired = 0
        self._records: dict[str, TrainingRecord] = {}
        self._attempts: dict[str, int] = {}
        self._unfinished: dict[str, dict[str, list[float]]] = {}
        self._end = 0
        self._count = 0
        self._pid = os.getpid()
        new = not self.path.exists()
        try:
            self._file: BinaryIO = open(self.path, "rb" if mode == "read" else "a+b", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise JournalError(f"cannot open journal {str(path)!r}: {error.strerror}") from None
        try:
            if mode == "append":
                _lock(self._file, self.path)
            self._load()
            if mode == "append":
                self._repair()
                if not self._end:
                    self._write(_line({"format": FORMAT, "version": VERSION}))
                if new:
                    _sync_folder(self.path)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, key: object) -> bool:
        return key in self._records

    def __repr__(self) -> str:
        return f"<Journal {str(self.path)!r}: {len(self)} trainings>"

    def close(self) -> None:
        """Close the file and let others write."""
        self._file.close()

    # ---- what is there ----------------------------------------------------------------------------------------------

    def records(self) -> list[TrainingRecord]:
        """Return the last record of each training, in the order in which trainings were first recorded."""
        return list(self._records.values())

    def get(self, key: str) -> TrainingRecord | None:
        """Return the record of the training with this key, or None."""
        return self._records.get(key)

    def unfinished(self) -> dict[str, dict[str, list[float]]]:
        """Return the curves of trainings that have epochs but no record yet, by key: what a killed one reached."""
        return {
            key: {name: list(values) for name, values in curves.items()} for key, curves in self._unfinished.items()
        }

    def attempts(self, key: str) -> int:
        """Return how many records of the training with this key were ever written."""
        return self._attempts.get(key, 0)

    def missing(
        self, requests: Iterable[K], *, retry: Iterable[Status | str] = (Status.KILLED,), attempts: int | None = None
    ) -> list[K]:
        """Return the requests that remain to be done, each once, in their order.

        Parameters
        ----------
        requests : iterable
            Anything with a `key`.
        retry : iterable of Status
            Trainings whose last record ended so are to be done again.
        attempts : int, optional
            But not those that have so many records already.

        Raises
        ------
        InvalidDataError
            If `attempts` is not an integer of at least 1.
        """
        if attempts is not None and (isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1):
            raise InvalidDataError(f"attempts must be an integer of at least 1, got {attempts!r}")
        again = {Status(status) for status in retry} - {Status.FINISHED}
        wanted: dict[str, K] = {}
        for request in requests:
            record = self._records.get(request.key)
            spent = attempts is not None and self.attempts(request.key) >= attempts
            if record is None or (record.status in again and not spent):
                wanted.setdefault(request.key, request)
        return list(wanted.values())

    def refresh(self) -> int:
        """Read what another process has written since; return how many entries that was."""
        before = self._count
        self._load()
        return self._count - before

    # ---- writing ----------------------------------------------------------------------------------------------------

    def append(self, *records: TrainingRecord) -> None:
        """Write records; when this returns they are on the disk.

        Raises
        ------
        InvalidDataError
            If one of the trainings is FINISHED in this journal, or appears twice.
        JournalError
            If they cannot be written (a full disk): none of them is in the journal then, which stays usable.
        """
        keys = [record.key for record in records]
        for record, key in zip(records, keys, strict=True):
            known = self._records.get(key)
            if (known is not None and known.status is Status.FINISHED) or keys.count(key) > 1:
                raise InvalidDataError(
                    f"training {record.architecture} with seed {record.seed} on {record.task!r} is recorded already"
                )
        entries = [{"n": self._count + 1 + i, "record": record.to_dict()} for i, record in enumerate(records)]
        self._write(b"".join(map(_line, entries)))
        self._count += len(entries)
        for key, record in zip(keys, records, strict=True):
            self._note(key, record)

    def append_epoch(self, key: str, epoch: int, metrics: Mapping[str, float]) -> None:
        """Write one epoch of a training that is still running.

        Parameters
        ----------
        key : str
            Of the training.
        epoch : int
            How many epochs are complete, from 1 on.
        metrics : mapping of str to float
            By name of the curve.

        Raises
        ------
        JournalError
            If it cannot be written.
        """
        values = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        self._write(_line({"n": self._count + 1, "epoch": {"key": key, "epoch": epoch, "metrics": values}}))
        self._count += 1
        self._note_epoch(key, epoch, metrics)

    def to_table(self, path: str | Path, **options: Any) -> Table:
        """Write the trainings as a benchmark table; see `journal_table.write_journal_table` for the options."""
        from .journal_table import write_journal_table

        return write_journal_table(path, self.records(), **options)

    def _write(self, data: bytes) -> None:
        if self.mode != "append" or self._file.closed:
            raise JournalError(f"journal {str(self.path)!r} is not open for writing")
        if os.getpid() != self._pid:
            raise JournalError(f"journal {str(self.path)!r} was opened by another process, which alone may write it")
        descriptor = self._file.fileno()
        try:
            # What stands behind the end was never acknowledged: the rest of a write that was interrupted.
            if os.fstat(descriptor).st_size != self._end:
                os.ftruncate(descriptor, self._end)
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, self._end)
            raise JournalError(f"cannot write journal {str(self.path)!r}: {error.strerror}") from error
        self._end += len(data)

    # ---- reading ----------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        """Read the lines behind `_end`; leave `_end` behind the last good one."""
        try:
            self._file.seek(self._end)
            data = self._file.read()
        except OSError as error:
            raise JournalError(f"cannot read journal {str(self.path)!r}: {error.strerror}") from None
        position = 0
        while position < len(data):
            stop = data.find(b"\n", position) + 1
            entry = _entry(data[position:stop]) if stop else None
            if entry is None:
                break
            if not self._end and not position:
                self._check_header(entry)
            else:
                if entry.get("n") != self._count + 1:
                    raise JournalError(
                        f"journal {str(self.path)!r} is damaged: entry {entry.get('n')} follows entry {self._count}"
                    )
                self._take(entry)
                self._count += 1
            position = stop
        self._refuse_damage(data, position)
        self._end += position
        self.repaired = len(data) - position

    def _check_header(self, entry: dict[str, Any]) -> None:
        if entry.get("format") != FORMAT:
            raise JournalError(f"{str(self.path)!r} is not a journal of trainings")
        if not isinstance(entry.get("version"), int) or entry["version"] > VERSION:
            raise JournalError(
                f"journal {str(self.path)!r} is of version {entry.get('version')}, expected at most {VERSION}; "
                "a newer archcast wrote it"
            )

    def _refuse_damage(self, data: bytes, position: int) -> None:
        """Raise if what follows `position` is more than one line that was torn while it was written."""
        tail = data[position:]
        if not self._end and not position:  # no header: nothing was acknowledged, if this is a journal at all
            header = _line({"format": FORMAT, "version": VERSION})
            if tail.strip(b"\0") and not header.startswith(tail.rstrip(b"\0")):
                raise JournalError(f"{str(self.path)!r} is not a journal of trainings")
            return
        for later in tail.splitlines(keepends=True)[1:]:
            entry = _entry(later)
            if entry is not None and "n" in entry:
                raise JournalError(
                    f"journal {str(self.path)!r} is damaged between entry {self._count} and entry {entry['n']}; "
                    "restore it from a copy"
                )

    def _take(self, entry: dict[str, Any]) -> None:
        try:
            if "record" in entry:
                record = TrainingRecord.from_dict(entry["record"])
                self._note(record.key, record)
            else:
                item = entry["epoch"]
                values = {name: math.nan if value is None else value for name, value in item["metrics"].items()}
                self._note_epoch(item["key"], item["epoch"], values)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise JournalError(
                f"entry {entry['n']} of journal {str(self.path)!r} cannot be understood: {error}"
            ) from None

    def _note(self, key: str, record: TrainingRecord) -> None:
        self._records[key] = record
        self._attempts[key] = self.attempts(key) + 1
        self._unfinished.pop(key, None)

    def _note_epoch(self, key: str, epoch: int, metrics: Mapping[str, float]) -> None:
        curves = self._unfinished.setdefault(key, {})
        if any(len(curve) > epoch for curve in curves.values()):  # the training was begun anew
            curves.clear()
        add_epoch(curves, epoch, metrics)

    def _repair(self) -> None:
        if self.repaired:
            try:
                os.ftruncate(self._file.fileno(), self._end)
                os.fsync(self._file.fileno())
            except OSError as error:
                raise JournalError(f"cannot repair journal {str(self.path)!r}: {error.strerror}") from None


def add_epoch(curves: dict[str, list[float]], epoch: int, metrics: Mapping[str, float]) -> None:
    """Put the metrics of one epoch into curves, in place: that of epoch e stands at e - 1, NaN where there is none.

    Raises
    ------
    InvalidDataError
        If `epoch` is not a whole number from 1 on.
    """
    if isinstance(epoch, bool) or not isinstance(epoch, int) or epoch < 1:
        raise InvalidDataError(f"epochs are counted from 1 on, got {epoch!r}")
    for name, value in metrics.items():
        curve = curves.setdefault(name, [])
        curve.extend([math.nan] * (epoch - len(curve)))
        curve[epoch - 1] = value


def _line(entry: Mapping[str, Any]) -> bytes:
    text = json.dumps(entry, separators=(",", ":"), allow_nan=False).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _entry(line: bytes) -> dict[str, Any] | None:
    """Return the object of a line, or None if it is not whole."""
    if not line.endswith(b"\n") or line[8:9] != b" ":
        return None
    text = line[9:-1]
    if line[:8] != b"%08x" % zlib.crc32(text):
        return None
    try:
        entry = json.loads(text)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _lock(file: BinaryIO, path: Path) -> None:
    """Lock the open file until it is closed, or raise JournalError if another one holds it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(1 << 62)  # a byte far behind any content, so that readers are not disturbed
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise JournalError(
            f"journal {str(path)!r} is being written by another process; wait for it, or open it with mode='read'"
        ) from None


def _sync_folder(path: Path) -> None:
    """Make the name of a new file as durable as its content."""
    if sys.platform != "win32":
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
