"""Builds of many trainings are killed at random moments, or their disk fills up, and the same call continues them."""

import contextlib
import errno
import json
import operator
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import archcast as ac
import pytest
import trainer_functions as functions
from archcast.errors import JournalError
from archcast.trainers import CallableTrainer, Journal, Status, TrainingRecord, requests_for, stream

SPACE = ac.get_space("nasbench201")

BUILD = """
import json, os, sys
import archcast as ac
import trainer_functions as functions
from archcast.trainers import CallableTrainer, InProcess, Journal, ProcessPool, requests_for, stream

journal_path, acknowledged_path, kind = sys.argv[1:]
space = ac.get_space("nasbench201")
requests = requests_for(space, space.sample(300, seed=0), "toy", seeds=range(4))
trainer = CallableTrainer(functions.train_for_a_moment)
assert len({(request.key, request.group) for request in requests}) == len(requests)  # hashed once, for all lives

def build():  # the same call each time
    acknowledged = os.open(acknowledged_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with Journal(journal_path) as journal, ProcessPool(2) if kind == "pool" else InProcess() as executor:
        for record in stream(requests, trainer, executor, journal, record_epochs=True):
            os.write(acknowledged, json.dumps(record.to_dict()).encode() + b"\\n")
            os.fsync(acknowledged)

print("ready", flush=True)
for line in sys.stdin:  # each line begins the build, in a process that has imported what it needs and can be killed
    child = os.fork()
    if not child:
        build()
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Builder:
    """Starts the build again and again, each time in a process of its own."""

    def __init__(self, *arguments):
        path = os.pathsep.join([str(Path(functions.__file__).parent), os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, "-c", BUILD, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path},
        )
        assert self.process.stdout.readline() == b"ready\n"

    def run(self, seconds=None, progress=None):
        """Run the build, kill it after so many seconds if it has not ended, and return its exit status.

        The seconds count from when `progress()` changes, if it is given.
        """
        before = progress() if progress else None
        self.process.stdin.write(b"build\n")
        self.process.stdin.flush()
        child = int(self.process.stdout.readline())
        if seconds is not None:
            while progress and progress() == before:
                time.sleep(0.001)
            time.sleep(seconds)
            with contextlib.suppress(ProcessLookupError):  # it has ended
                os.kill(child, signal.SIGKILL)
        return int(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


@pytest.mark.parametrize(
    ("kind", "kills", "shorter", "longer"), [("in process", 100, 0.01, 0.06), ("pool", 6, 0.15, None)]
)
def test_a_build_killed_again_and_again_loses_and_doubles_nothing(tmp_path, kind, kills, shorter, longer):
    path, acknowledged_path = tmp_path / "study.journal", tmp_path / "acknowledged"
    requests = requests_for(SPACE, SPACE.sample(300, seed=0), "toy", seeds=range(4))
    builder = Builder(path, acknowledged_path, kind)
    rng = random.Random(0)
    sizes = []

    def size():
        return path.stat().st_size if path.exists() else 0

    for life in range(kills):
        # Half of the lives end anywhere, the others where they have just got on (workers take long to start).
        if life % 2 or kind == "pool":
            status = builder.run(rng.uniform(0, shorter), size)
        else:
            status = builder.run(rng.uniform(0, longer))
        assert status == -signal.SIGKILL
        sizes.append(size())
    assert len(set(sizes)) >= kills / 2  # it did get on between the kills
    assert builder.run() == 0
    builder.close()

    acknowledged = [json.loads(line) for line in acknowledged_path.read_bytes().splitlines()]
    with Journal(path) as journal:
        recorded = {record.key: record for record in journal.records()}
        assert journal.repaired == 0
        assert journal.unfinished() == {}
        assert journal.missing(requests, retry=Status) == []
    keys = [TrainingRecord.from_dict(content).key for content in acknowledged]
    assert len(set(keys)) == len(keys)
    assert all(recorded[key].to_dict() == content for key, content in zip(keys, acknowledged, strict=True))
    assert len(requests) - kills <= len(acknowledged)  # of each life at most one record was not acknowledged any more
    assert {request.key for request in requests} == recorded.keys()
    assert {record.status for record in recorded.values()} == {Status.FINISHED}
    assert path.read_bytes().count(b'"record":{') == len(requests)


class FullDisk:
    """Stands in for `os.write` and `os.fsync` on a disk that has so many bytes left."""

    def __init__(self, monkeypatch, path, free, late):
        self.path, self.free, self.late = path, free, late
        self.write, self.fsync = os.write, os.fsync
        monkeypatch.setattr(os, "write", self.write_what_fits)
        monkeypatch.setattr(os, "fsync", self.fsync_what_fits)

    def is_journal(self, descriptor):
        return os.path.samestat(os.fstat(descriptor), self.path.stat())

    def write_what_fits(self, descriptor, data):
        if not self.is_journal(descriptor) or self.late:
            return self.write(descriptor, data)
        if not self.free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self.write(descriptor, bytes(data)[: self.free])
        self.free -= written
        return written

    def fsync_what_fits(self, descriptor):
        """Some file systems allocate late, and say only now that there is no room."""
        if self.is_journal(descriptor) and self.late and os.fstat(descriptor).st_size > self.free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.fsync(descriptor)


@pytest.mark.parametrize("late", [False, True])
def test_a_build_whose_disk_fills_up_continues_when_there_is_room(tmp_path, monkeypatch, late):
    path = tmp_path / "study.journal"
    requests = requests_for(SPACE, SPACE.sample(10, seed=0), "toy", seeds=range(2))
    trainer = CallableTrainer(functions.train_quickly)
    with Journal(path) as journal:
        with monkeypatch.context() as patch:
            FullDisk(patch, path, 5000, late)
            with pytest.raises(JournalError, match=r"cannot write journal .*: No space left on device"):
                list(stream(requests, trainer, journal=journal, record_epochs=True))
        assert 0 < len(journal) < len(requests)
        with Journal(path, "read") as reader:
            assert reader.repaired == 0
            assert [record.key for record in reader.records()] == [record.key for record in journal.records()]
        done = set(map(operator.attrgetter("key"), journal.records()))
        rest = list(stream(requests, trainer, journal=journal, record_epochs=True))
        assert {record.key for record in rest} == {request.key for request in requests} - done
    with Journal(path) as journal:
        assert (len(journal), journal.repaired, journal.missing(requests)) == (len(requests), 0, [])


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file whose reading fails")
def test_a_journal_on_a_disk_that_cannot_be_read_is_named():
    with pytest.raises(JournalError, match="cannot read journal '/proc/self/mem': Input/output error"):
        Journal("/proc/self/mem", "read")
