import math
import os
import random
import resource
import signal
import subprocess
import sys
import textwrap
import threading
import zlib
from dataclasses import replace

import archcast as ac
import numpy as np
import pytest
from archcast.errors import InvalidDataError, JournalError
from archcast.trainers import BAD_LUCK, Fidelity, Status
from archcast.trainers.journal import Journal
from archcast.trainers.requests import TrainingRequest, requests_for

SPACE = ac.get_space("nasbench201")
ARCHITECTURES = SPACE.enumerate()[:10]


def make_record(number=0, seed=0, status=Status.FINISHED, **changes):
    architecture = ARCHITECTURES[number]
    curves = {"valid/accuracy": [0.1, number / 100], "valid/loss": [2.5, math.nan]}
    return replace(
        TrainingRequest(architecture, "toy", {"lr": 0.1}, seed=seed).record(status, curves=curves), **changes
    )


def same(first, second):
    return first.to_dict() == second.to_dict()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "study.journal"


# ---- writing and reading back ------------------------------------------------------------


def test_records_come_back_in_their_order(path):
    records = [make_record(number, seed) for number in (5, 3) for seed in (1, 0)]
    with Journal(path) as journal:
        journal.append(records[0])
        journal.append(*records[1:])
        assert all(map(same, journal.records(), records))
    with Journal(path) as again, Journal(path, "read") as reader:
        for journal in (again, reader):
            assert len(journal) == 4
            assert all(map(same, journal.records(), records))
            assert records[2].key in journal
            assert same(journal.get(records[2].key), records[2])
            assert journal.get("?") is None
            assert journal.repaired == 0


def test_each_line_carries_the_checksum_of_its_content(path):
    with Journal(path) as journal:
        journal.append(make_record(1))
    lines = path.read_bytes().splitlines()
    assert lines[0][9:] == b'{"format":"archcast journal","version":1}'
    assert all(int(line[:8], 16) == zlib.crc32(line[9:]) for line in lines)
    assert len(lines) == 2


def test_a_finished_training_is_never_recorded_again(path):
    with Journal(path) as journal:
        journal.append(make_record(1))
        for twice in ([make_record(1)], [make_record(2), make_record(2)]):
            with pytest.raises(InvalidDataError, match="with seed 0 on 'toy' is recorded already"):
                journal.append(*twice)
        assert len(journal) == 1


def test_a_second_attempt_takes_the_place_of_a_failed_one(path):
    failed = make_record(1, status=Status.FAILED, message="no space left")
    with Journal(path) as journal:
        journal.append(failed)
        journal.append(make_record(2))
        journal.append(make_record(1))
        assert [record.status for record in journal.records()] == [Status.FINISHED] * 2
    with Journal(path, "read") as journal:
        assert [record.genotype for record in journal.records()] == [
            make_record(1).genotype,
            make_record(2).genotype,
        ]
        assert journal.records()[0].status is Status.FINISHED


def test_missing_is_what_was_not_done_and_what_is_to_be_retried(path):
    requests = requests_for(SPACE, SPACE.enumerate()[:4], "toy", {"lr": 0.1}, seeds=(0, 1))
    statuses = [Status.FINISHED, Status.KILLED, Status.FAILED, Status.DIVERGED]
    with Journal(path) as journal:
        for request, status in zip(requests, statuses, strict=False):
            journal.append(request.record(status))
        assert journal.missing(requests) == [requests[1], *requests[4:]]
        assert journal.missing(requests + requests, retry=()) == requests[4:]
        assert journal.missing(requests, retry=["failed", "diverged", "finished"]) == requests[2:]
        other = TrainingRequest(requests[0].architecture, "toy", {"lr": 0.1}, Fidelity(epochs=3), 0)
        assert journal.missing([other]) == [other]


def test_attempts_are_counted_and_end_the_retries(path):
    requests = [TrainingRequest(ARCHITECTURES[n], "toy", {"lr": 0.1}) for n in range(4)]
    ends = (Status.OUT_OF_MEMORY, Status.TIMEOUT, Status.DIVERGED, Status.FINISHED)
    with Journal(path) as journal:
        for number, end in enumerate(ends):
            journal.append(make_record(number, status=end))
        journal.append(make_record(0, status=Status.FAILED))
    with Journal(path, "read") as journal:  # counted again when read
        assert [journal.attempts(request.key) for request in requests] == [2, 1, 1, 1]
        assert journal.attempts("?") == 0
        assert journal.missing(requests) == []
        assert journal.missing(requests, retry=BAD_LUCK) == requests[:2]
        assert journal.missing(requests, retry=BAD_LUCK, attempts=2) == requests[1:2]
        assert journal.missing(requests, retry=[*BAD_LUCK, "diverged"], attempts=3) == requests[:3]
        for wrong in (0, 1.5, True):
            with pytest.raises(InvalidDataError, match="attempts must be an integer of at least 1"):
                journal.missing(requests, attempts=wrong)


def test_epochs_of_an_unfinished_training_are_kept(path):
    record = make_record(1)
    with Journal(path) as journal:
        journal.append_epoch(record.key, 1, {"valid/loss": 2.0, "train/loss": math.nan})
        journal.append_epoch(record.key, 2, {"valid/loss": 1.0})
        journal.append_epoch("other", 1, {"valid/loss": 3.0})
    with Journal(path) as journal:
        curves = journal.unfinished()
        assert curves[record.key]["valid/loss"] == [2.0, 1.0]
        assert np.isnan(curves[record.key]["train/loss"]).all()
        assert len(journal) == 0
        journal.append_epoch(record.key, 1, {"valid/loss": 5.0})  # begun anew
        assert journal.unfinished()[record.key] == {"valid/loss": [5.0]}
        journal.append(record)
    with Journal(path, "read") as journal:
        assert list(journal.unfinished()) == ["other"]


# ---- one writer, many readers ------------------------------------------------------------


def test_a_second_writer_is_refused_and_readers_look_on(path):
    with Journal(path) as writer:
        writer.append(make_record(1))
        for _ in range(2):
            with pytest.raises(JournalError, match="being written by another process; wait for it, or open it with"):
                Journal(path)
        with Journal(path, "read") as reader:
            assert len(reader) == 1
            writer.append(make_record(2), make_record(3))
            writer.append_epoch("key", 1, {"loss": 1.0})
            assert len(reader) == 1
            assert reader.refresh() == 3
            assert same(reader.records()[2], make_record(3))
            assert reader.refresh() == 0
            with pytest.raises(JournalError, match="not open for writing"):
                reader.append(make_record(4))
    with pytest.raises(JournalError, match="not open for writing"):
        writer.append(make_record(4))
    with Journal(path) as journal:
        journal.append(make_record(4))
        assert len(journal) == 4


def test_a_second_process_is_refused_and_a_fork_cannot_write(path):
    program = f"from archcast.trainers.journal import Journal; Journal({str(path)!r})"
    with Journal(path) as journal:
        journal.append(make_record(1))
        found = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)
        assert found.returncode == 1
        assert "is being written by another process" in found.stderr
        journal._pid += 1  # as a forked child would see it
        with pytest.raises(JournalError, match="opened by another process"):
            journal.append(make_record(2))
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# ---- torn and damaged files --------------------------------------------------------------


def test_a_tail_torn_at_any_byte_is_cut_off_and_nothing_else(path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # nothing crashes here, and there is much to write
    records = [make_record(number, curves={}) for number in range(2)]
    extra, steps = make_record(7), 0
    ends = []
    with Journal(path) as journal:
        ends.append(path.stat().st_size)
        for record in records:
            journal.append(record)
            ends.append(path.stat().st_size)
    whole = path.read_bytes()
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        complete = sum(end <= size for end in ends)
        with Journal(path, "read") as reader:
            assert len(reader) == max(complete - 1, 0)
        assert path.stat().st_size == size  # looking on repairs nothing
        with Journal(path) as journal:
            assert [record.key for record in journal.records()] == [record.key for record in records[: len(journal)]]
            assert len(journal) == max(complete - 1, 0)
            assert journal.repaired == size - max([0, *(end for end in ends if end <= size)])
            if size % 5 and size not in ends:
                continue
            journal.append(extra)
        with Journal(path, "read") as journal:
            assert len(journal) == max(complete - 1, 0) + 1
            assert same(journal.records()[-1], extra)
            steps += 1
    assert steps > 100


def test_a_last_line_with_missing_blocks_is_cut_off(path):
    with Journal(path) as journal:
        journal.append(make_record(1))
        keep = path.stat().st_size
        journal.append(make_record(2))
    content = bytearray(path.read_bytes())
    content[keep + 20 : keep + 60] = bytes(40)  # the end was written, a block before it was not
    for tail in (content, content[:keep] + bytes(500), content[:keep] + b"\n\n", content[:keep] + b"\xff\xfe\n"):
        path.write_bytes(tail)
        with Journal(path) as journal:
            assert len(journal) == 1
            assert journal.repaired == len(tail) - keep
        assert path.stat().st_size == keep


def test_damage_before_the_last_line_is_refused_and_left_alone(path):
    with Journal(path) as journal:
        for number in range(4):
            journal.append(make_record(number))
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    flipped = bytearray(content)
    flipped[len(lines[0]) + len(lines[1]) + 40] ^= 1
    for damaged, message in (
        (bytes(flipped), "damaged between entry 1 and entry 3"),
        (b"".join([*lines[:2], *lines[3:]]), "damaged: entry 3 follows entry 1"),
        (b"".join([*lines, lines[4]]), "damaged: entry 4 follows entry 4"),
    ):
        path.write_bytes(damaged)
        for mode in ("append", "read"):
            with pytest.raises(JournalError, match=message):
                Journal(path, mode)
        assert path.read_bytes() == damaged


@pytest.mark.parametrize(
    "content", [b"hello\n", b"architecture,accuracy\n1,2\n", b"\x89HDF\r\n\x1a\n" + bytes(90), b"{"]
)
def test_other_files_are_refused_and_left_alone(path, content):
    path.write_bytes(content)
    with pytest.raises(JournalError, match="is not a journal of trainings"):
        Journal(path)
    assert path.read_bytes() == content


def test_a_newer_version_and_unknown_entries_are_refused(path):
    def line(text):
        return b"%08x %s\n" % (zlib.crc32(text), text)

    path.write_bytes(line(b'{"format":"archcast journal","version":2}'))
    with pytest.raises(JournalError, match="version 2, expected at most 1; a newer archcast"):
        Journal(path)
    header = line(b'{"format":"archcast journal","version":1}')
    for entry in (b'{"n":1}', b'{"n":1,"record":{"status":"?"}}', b'{"n":1,"record":3}', b'{"n":1,"epoch":[]}'):
        path.write_bytes(header + line(entry))
        with pytest.raises(JournalError, match="entry 1 of journal"):
            Journal(path)


def test_paths_that_cannot_be_opened_are_named(tmp_path):
    for bad, mode in ((tmp_path / "no" / "x", "append"), (tmp_path, "append"), (tmp_path / "x", "read")):
        with pytest.raises(JournalError, match="cannot open journal"):
            Journal(bad, mode)
    with pytest.raises(InvalidDataError, match="'append' or 'read', got 'w'"):
        Journal(tmp_path / "x", "w")


def test_a_full_disk_loses_nothing_that_was_acknowledged(path):
    """The limit of a file's size makes the kernel refuse the second half of a line."""
    previous = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with Journal(path) as journal:
        journal.append(make_record(1))
        size = path.stat().st_size
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, previous[1]))
            with pytest.raises(JournalError, match=r"cannot write journal .*: File too large"):
                journal.append(make_record(2))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, previous)
            signal.signal(signal.SIGXFSZ, handler)
        assert path.stat().st_size == size
        assert make_record(2).key not in journal
        journal.append(make_record(2))
    with Journal(path) as journal:
        assert (len(journal), journal.repaired) == (2, 0)


def test_what_an_interrupted_write_left_is_overwritten(path):
    with Journal(path) as journal:
        journal.append(make_record(1))
        with open(path, "ab") as file:
            file.write(b"12345678 {half")
        journal.append(make_record(2))
    with Journal(path) as journal:
        assert (len(journal), journal.repaired) == (2, 0)


# ---- kill -9 -----------------------------------------------------------------------------

WRITER = """
import os, sys
from dataclasses import replace
import archcast as ac
from archcast.trainers import Status
from archcast.trainers.journal import Journal
from archcast.trainers.requests import TrainingRequest

space = ac.get_space("nasbench201")
template = TrainingRequest(space.sample(1, seed=0)[0], "toy").record(Status.FINISHED, curves={"valid/loss": [0.5] * 50})
print("ready", flush=True)
for line in sys.stdin:  # each line: begin a new writer at this seed, in a process that can be killed alone
    child = os.fork()
    if not child:
        with Journal(sys.argv[1]) as journal:
            seed = int(line)
            while True:
                if seed % 3:
                    written = [seed]
                    journal.append(replace(template, seed=seed))
                else:
                    written = [seed, seed + 1]
                    journal.append(*(replace(template, seed=s) for s in written))
                os.write(1, "".join(f"{s}\\n" for s in written).encode())
                seed += 10
    print("child", child, flush=True)
    os.waitpid(child, 0)
    print("dead", flush=True)
"""


def test_a_hundred_kills_lose_and_double_nothing(path):
    server = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert server.stdout.readline() == b"ready\n"
    rng = random.Random(0)
    acknowledged = []
    for kill in range(100):
        server.stdin.write(b"%d\n" % (kill * 100_000))
        server.stdin.flush()
        timer = None
        while (line := server.stdout.readline()) != b"dead\n":
            if line.startswith(b"child"):
                timer = threading.Timer(rng.uniform(0, 0.03), os.kill, (int(line.split()[1]), signal.SIGKILL))
                timer.start()
            elif line.endswith(b"\n"):
                acknowledged.append(int(line))
        timer.join()
    server.stdin.close()
    server.wait()
    server.stdout.close()
    assert len(acknowledged) > 100
    with Journal(path) as journal:
        recorded = [record.seed for record in journal.records()]
    assert len(recorded) == len(set(recorded))
    assert set(acknowledged) <= set(recorded)
    assert len(recorded) - len(acknowledged) <= 200  # of each life at most the last append was not yet acknowledged
    lines = path.read_bytes().splitlines()
    assert len(lines) == 1 + len(recorded)  # nothing was written twice


# ---- as a table --------------------------------------------------------------------------


def test_a_journal_becomes_a_table(path, tmp_path):
    with Journal(path) as journal:
        for number in (4, 2):
            for seed in (7, 1):
                loss = [2.0 + seed, 1.0, number + seed / 8]
                record = make_record(number, seed, parameters=100 * number, flops=5, seconds=2.0 + seed)
                journal.append(replace(record, curves={"valid/loss": loss, "test/accuracy": [0.25, 0.5, 0.75]}))
        journal.append(
            make_record(9, 1, Status.DIVERGED, curves={"valid/loss": [3.0, math.inf]}, seconds=0.5, parameters=0)
        )
        low = replace(make_record(4, 1), fidelity=Fidelity(epochs=1, data_share=0.25), curves={"valid/loss": [9.0]})
        journal.append(low)
        table = journal.to_table(tmp_path / "study.h5", about={"name": "toy study"})
    assert table.architectures.genotypes.tolist() == SPACE.enumerate()[np.array([4, 2, 9])].genotypes.tolist()
    loss = table.values("toy/valid_loss", epoch=3, seed="all")
    assert loss[:2].tolist() == [[4.125, 4.875], [2.125, 2.875]]  # seeds 1 and 7
    assert np.isnan(loss[2]).all()
    assert table.values("toy/valid_loss", epoch=1, seed=1).tolist() == [3.0, 3.0, 3.0]
    assert np.isnan(table.values("toy/valid_loss", epoch=2, seed=1)[2])  # infinite
    assert table.values("toy/test_accuracy", epoch=2, seed=7)[:2].tolist() == [0.5, 0.5]
    assert table.values("toy/training_seconds", seed="all")[0].tolist() == [3.0, 9.0]
    assert table.values("toy/parameters")[:2].tolist() == [400.0, 200.0]
    assert np.isnan(table.values("toy/parameters")[2])
    assert table.values("toy/unfinished", seed=1).tolist() == [0.0, 0.0, 1.0]
    assert table.values("toy-epochs1-data_share0.25/valid_loss", epoch=1)[0] == 9.0
    info = table.info("toy/test_accuracy")
    assert (info.direction, info.unit, info.epochs, info.seeds) == ("higher", "fraction", (1, 2, 3), (1, 7))
    assert table.info("toy/valid_loss").direction == "lower"
    assert '"lr": 0.1' in table.info("toy/valid_loss").note


def test_what_cannot_become_one_table_is_refused(path, tmp_path):
    target = tmp_path / "study.h5"
    with Journal(path) as journal:
        with pytest.raises(InvalidDataError, match="no training"):
            journal.to_table(target)
        journal.append(replace(make_record(1), curves={"valid/niceness": [1.0]}))
        with pytest.raises(InvalidDataError, match="better for 'valid/niceness' does not follow from its name"):
            journal.to_table(target)
        table = journal.to_table(target, directions={"valid/niceness": "higher"})
        assert table.values("toy/valid_niceness", epoch=1).tolist() == [1.0]
        journal.append(replace(make_record(2), recipe={"lr": 1}))
        with pytest.raises(InvalidDataError, match="follow 2 recipes, expected one: choose with `select`"):
            journal.to_table(target, directions={"valid/niceness": "higher"})
        table = journal.to_table(target, select=lambda record: record.recipe == {"lr": 1})
        assert len(table.architectures) == 1
        macro = ac.get_space("nasbench_macro").sample(1, seed=0)[0]
        journal.append(TrainingRequest(macro, "toy").record(Status.FINISHED, curves={"valid/loss": [1.0]}))
        with pytest.raises(InvalidDataError, match="holds one space, the trainings are of 2"):
            journal.to_table(target)
