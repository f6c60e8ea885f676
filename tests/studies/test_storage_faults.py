"""Storages that go away, are replaced, or are none: recovery, or one clear sentence."""

import threading
import time
import uuid

import pytest
from archcast.errors import InvalidDataError, StorageUnavailableError
from archcast.studies import StudyStorage, open_study, pruner_spec
from archcast.studies.storage import ClaimTakenError
from archcast.trainers import CallableTrainer
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import OperationalError
from toy_studies import METRIC, SPACE, TRAINER, learn


def vanish(path):
    """Return a training after whose second call the file of the study is not there."""
    calls = []

    def train(architecture, fidelity, seed, report):
        calls.append(architecture)
        if len(calls) == 2:
            path.rename(path.with_suffix(".away"))
        return learn(architecture, fidelity, seed, report)

    return CallableTrainer(train)


def test_a_file_that_goes_away_is_waited_for_and_then_named(path):
    said = []
    study = open_study("study", path, space=SPACE, metric=METRIC, searcher="random", patience=1.5, notify=said.append)
    began = time.monotonic()
    with pytest.raises(StorageUnavailableError, match=r"did not answer for 1.5 s \(the file does not exist any more\)"):
        study.run(vanish(path), trainings=4)
    assert time.monotonic() - began < 8
    assert said[0].endswith("does not answer (the file does not exist any more); trying for 1.5 s")
    assert not path.exists()  # nothing was written to a file of that name
    path.with_suffix(".away").rename(path)
    again = open_study("study", path)
    assert [candidate.state for candidate in again.candidates()][:1] == ["finished"]
    assert len(again.candidates()) == 2


def test_a_file_that_comes_back_is_gone_on_with(path):
    study = open_study("study", path, space=SPACE, metric=METRIC, searcher="random", notify=lambda text: None)
    back = threading.Timer(1.0, lambda: path.with_suffix(".away").rename(path))
    back.start()
    study.run(vanish(path), trainings=4)
    back.join()
    assert [candidate.state for candidate in study.candidates()] == ["finished"] * 4
    assert len(study.trials()) == 4


def test_a_fault_while_pruning_stops_nothing(path, monkeypatch):
    study = open_study(
        "study", path, space=SPACE, metric=METRIC, searcher="random", pruner=pruner_spec("median"), patience=30
    )
    asked = []

    def fail(*_):
        asked.append(1)
        raise StorageInternalError from OperationalError("SELECT", {}, Exception("connection lost"))

    monkeypatch.setattr(study._pruner, "prune", fail)
    began = time.monotonic()
    study.run(TRAINER, trainings=3)
    assert time.monotonic() - began < 10
    assert len(asked) == 9
    assert [len(trial.epochs) for trial in study.trials()] == [3, 3, 3]


def test_a_file_that_is_replaced_is_not_written_to(path, empty_storage):
    study = open_study("study", path, space=SPACE, metric=METRIC, searcher="random")
    path.unlink()
    path.write_bytes(empty_storage.read_bytes())
    with pytest.raises(StorageUnavailableError, match="was replaced by another file"):
        study.run(TRAINER, trainings=2)
    assert StudyStorage(path).names() == []


def test_a_study_that_is_deleted_is_named(path):
    import optuna

    study = open_study("study", path, space=SPACE, metric=METRIC, searcher="random")
    optuna.delete_study(study_name="study", storage=f"sqlite:///{path}")
    with pytest.raises(StorageUnavailableError, match=r"study 'study' was deleted from .* while it was in use"):
        study.run(TRAINER, trainings=2)


def test_what_is_no_storage_is_refused(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("no database at all, but long enough to be looked at" * 100)
    with pytest.raises(StorageUnavailableError, match="refuses: file is not a database"):
        StudyStorage(text)
    for url, message in (
        ("mysql://me@server/studies", "expected a SQLite file or a URL of PostgreSQL, got one of 'mysql'"),
        ("sqlite://", "a study is stored in a file"),
        ("what://?", "expected"),
        (str(tmp_path), "a study is stored in a file, expected its path"),
        ("", "expected its path"),
        (str(tmp_path / "nowhere" / "studies.db"), "its folder does not exist"),
    ):
        with pytest.raises(InvalidDataError, match=message):
            StudyStorage(url)
    with pytest.raises(InvalidDataError, match="patience must be"):
        StudyStorage(tmp_path / "studies.db", patience=-1)


def test_a_password_is_not_shown():
    with pytest.raises(StorageUnavailableError) as refused:
        StudyStorage("postgresql://me:secret@127.0.0.1:9/studies", patience=0)
    assert "secret" not in str(refused.value)
    assert "me:***@127.0.0.1:9" in str(refused.value)


def test_a_claim_is_unique_and_known_as_ones_own(url):
    name = uuid.uuid4().hex
    study = open_study(name, url, space=SPACE, metric=METRIC, searcher="random")
    trial = study.ask()
    stored = study.storage.stored(trial.id)
    stored.datetime_start = stored.datetime_start.replace(microsecond=0)
    assert study.storage.begin(study.optuna_study, stored) == trial.id  # the answer to the first call was lost
    stored.user_attrs["token"] = "of another"
    with pytest.raises(ClaimTakenError):
        study.storage.begin(study.optuna_study, stored)
    assert len(study.trials()) == 1


def test_only_one_asks_at_a_time(url):
    name = uuid.uuid4().hex
    first = open_study(name, url, space=SPACE, metric=METRIC, searcher="random")
    second = open_study(name, url)
    order = []

    def ask():
        second.ask()
        order.append("second")

    thread = threading.Thread(target=ask)
    with first.storage.locked(name):
        thread.start()
        time.sleep(0.3)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_a_worker_that_is_stuck_does_not_hold_up_the_others(url, monkeypatch):
    name, said = uuid.uuid4().hex, []
    stuck = open_study(name, url, space=SPACE, metric=METRIC, searcher="random")
    study = open_study(name, url, notify=said.append)
    monkeypatch.setattr("archcast.studies.database._LOCK_PATIENCE", 0.3)
    first = stuck.ask()
    with stuck.storage.locked(name):
        assert study.ask().architecture != first.architecture
    assert said == [f"another worker of study {name!r} seems to be stuck; going on without waiting for it"]


def test_a_server_that_restarts_is_gone_on_with(cluster):
    calls = []

    def train(architecture, fidelity, seed, report):
        calls.append(architecture)
        if len(calls) == 3:
            cluster.stop()
            threading.Timer(1.0, cluster.start).start()
        return learn(architecture, fidelity, seed, report)

    said = []
    study = open_study(uuid.uuid4().hex, cluster.url, space=SPACE, metric=METRIC, searcher="random", notify=said.append)
    study.run(CallableTrainer(train), trainings=6)
    assert len(calls) == 6
    assert [candidate.state for candidate in study.candidates()] == ["finished"] * 6
    assert all(len(trial.epochs) == 3 for trial in study.trials())
    assert len(said) <= 2


def test_a_server_that_stays_away_is_named(cluster):
    study = open_study(uuid.uuid4().hex, cluster.url, space=SPACE, metric=METRIC, searcher="random", patience=1.0)
    study.storage._notify = lambda text: None

    def train(architecture, fidelity, seed, report):
        cluster.stop()
        return learn(architecture, fidelity, seed, report)

    began = time.monotonic()
    try:
        with pytest.raises(StorageUnavailableError, match=r"'postgresql://archcast@.*' did not answer for 1 s"):
            study.run(CallableTrainer(train), trainings=6)
        assert time.monotonic() - began < 15
    finally:
        cluster.start()
    assert [trial.state for trial in study.trials()] == ["running"]  # until its silence is noticed
