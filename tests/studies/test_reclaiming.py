"""What workers lose is trained by others, and nothing else twice."""

import pytest
from archcast.trainers import CallableTrainer, Status
from toy_studies import METRIC, change, learn


def test_what_a_worker_process_dies_of_is_tried_twice(make):
    study = make()
    trial = study.ask()
    request = study.request(trial)
    assert study.tell(trial, request.record(Status.KILLED, message="killed by SIGKILL"))
    assert study.candidates()[0].state == "waiting"
    assert study.history().status.tolist() == [0]
    again = study.ask()
    assert (again.architecture, again.attempt, again.root) == (trial.architecture, 1, 0)
    study.tell(again, request.record(Status.KILLED))
    assert study.candidates()[0].state == "failed"
    assert study.history().status.tolist() == [2]
    assert study.ask().architecture != trial.architecture


def test_an_interrupted_training_is_given_back(make):
    calls = []

    def interrupt(architecture, fidelity, seed, report):
        calls.append(architecture)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return learn(architecture, fidelity, seed, report)

    study = make()
    with pytest.raises(KeyboardInterrupt):
        study.run(CallableTrainer(interrupt), trainings=5)
    assert [candidate.state for candidate in study.candidates()] == ["finished", "finished", "waiting"]
    study.run(CallableTrainer(interrupt), trainings=5)
    assert calls[3] == calls[2]
    assert len(calls) == 6
    assert [len(candidate.attempts) for candidate in study.candidates()] == [1, 1, 2, 1, 1]


OLD = "UPDATE trial_heartbeats SET heartbeat = '2001-01-01 00:00:00'"


def test_the_trial_of_a_silent_worker_is_trained_by_another_and_never_twice(make, path):
    study, other = make(grace=20), make()
    trial = study.ask()
    assert other.ask().architecture != trial.architecture  # alive
    change(path, f"{OLD} WHERE trial_id = {trial.id}")
    taken = other.ask()
    assert (taken.architecture, taken.root, taken.attempt) == (trial.architecture, trial.number, 1)
    record = study.request(trial).record(Status.FINISHED, curves={METRIC: [0.9]})
    assert not study.tell(trial, record)  # too late
    assert other.tell(taken, record)
    (candidate, _) = study.candidates()
    assert [attempt.state for attempt in candidate.attempts] == ["lost", "finished"]
    assert candidate.last.value == 0.9


def test_a_worker_that_was_taken_for_dead_says_so(make, path):
    study, said, seen = make(), [], []

    def fall_asleep(architecture, fidelity, seed, report):
        seen.append(architecture)
        if len(seen) == 1:
            change(path, OLD)
            assert make().ask().architecture == architecture
        return learn(architecture, fidelity, seed, report)

    ended = study.run(CallableTrainer(fall_asleep), trainings=2, wait=False, notify=said.append)
    assert len(ended) == 1
    assert any("trial 0 was given to another worker" in text for text in said)


def test_a_worker_that_dies_after_its_record_has_trained(make, path):
    study = make()
    trial = study.ask()
    record = study.request(trial).record(Status.FINISHED, curves={METRIC: [0.25, 0.75]}, seconds=3.0)
    study.storage._open(lambda: study.storage._rdb.set_trial_user_attr(trial.id, "record", record.to_dict()))
    change(path, OLD)
    assert study.ask().number == 1
    assert study.trials()[0].value == 0.75


def test_a_worker_that_dies_before_its_first_sign_of_life_is_found(make, path):
    study = make()
    trial = study.ask()
    change(path, "DELETE FROM trial_heartbeats")
    assert study.ask().architecture != trial.architecture
    assert study.storage.silence(study.optuna_study)[trial.id] is not None
    change(path, OLD)
    assert study.ask().architecture == trial.architecture


def test_running_trials_of_others_are_theirs(make, path):
    study = make()
    theirs = study.optuna_study.ask(study._distributions)
    study.ask()
    change(path, OLD)
    study.ask()
    assert study.storage.stored(theirs._trial_id).state.name == "RUNNING"


def test_two_workers_that_propose_the_same_do_not_train_the_same(make, monkeypatch):
    study, slow = make(), make()
    stale = slow.trials()
    first = study.ask()
    trials = [stale]  # what the slow one has read before the other asked
    monkeypatch.setattr(slow, "trials", lambda: trials.pop() if trials else type(slow).trials(slow))
    second = slow.ask()
    assert second.architecture != first.architecture
    assert {trial.state for trial in study.trials()} == {"running"}
    assert study.history().status.tolist() == [0, 0]
