import json
import math
import time

import archcast as ac
import numpy as np
import optuna
import pytest
from archcast.errors import (
    ExhaustedSpaceError,
    InvalidDataError,
    SearcherFailedError,
    TrainingsFailError,
)
from archcast.searchers import Searcher
from archcast.studies import Budget, open_study, pruner_spec
from archcast.studies.explanation import _contributions, explain
from archcast.trainers import CallableTrainer, Fidelity, ProcessPool, Status
from toy_studies import METRIC, SPACE, TRAINER, accuracy, fail_sometimes


def silent(_text):
    pass


# ---- what is stored ----------------------------------------------------------------------


def test_optuna_reads_a_study(make, path):
    study = make(direction="higher")
    ended = study.run(TRAINER, trainings=6)
    loaded = optuna.load_study(study_name="study", storage=f"sqlite:///{path}")
    assert [trial.number for trial in ended] == [trial.number for trial in loaded.trials] == list(range(6))
    for trial, own in zip(loaded.trials, study.trials(), strict=True):
        assert trial.state is optuna.trial.TrialState.COMPLETE
        assert tuple(trial.params.values()) == tuple(
            gene.choices[value] for gene, value in zip(SPACE.genes, own.architecture.genotype, strict=True)
        )
        full = accuracy(own.architecture.genotype)
        assert trial.intermediate_values == pytest.approx({1: full / 2, 2: full * 0.75, 3: full * 0.875})
        assert trial.value == pytest.approx(full * 0.875)
        assert trial.user_attrs["architecture"] == str(own.architecture)
        assert trial.user_attrs["status"] == "finished"
        assert trial.user_attrs["parameters"] == 7
        assert trial.user_attrs["seconds"] > 0
    assert loaded.best_value == study.best().value == max(trial.value for trial in loaded.trials)
    assert loaded.direction is optuna.study.StudyDirection.MAXIMIZE
    records = study.records()
    assert [record.genotype for record in records] == [trial.architecture.genotype for trial in study.trials()]
    assert all(record.curves["valid/loss"][-1] == 1 - record.final(METRIC) for record in records)


@pytest.mark.parametrize("space", ["darts", "nasbench101", "mnasnet_chain", "nasbench_nlp", "nasbench_graph"])
def test_any_space_can_be_stored(path, space):
    study = open_study(space, path, space=ac.get_space(space), metric="loss", searcher="random")
    study.run(CallableTrainer(lambda architecture, *_: {"loss": sum(architecture.genotype)}), trainings=3)
    history = open_study(space, path).history()
    assert history.values.tolist() == history.architectures.genotypes.sum(axis=1).tolist()
    assert not history.higher_is_better


@pytest.mark.parametrize("searcher", ["bo", "regularized_evolution"])
def test_a_search_in_parts_is_the_search_at_once(make, searcher):
    make("whole", searcher=searcher).run(TRAINER, trainings=12)
    make("parts", searcher=searcher).run(TRAINER, trainings=5, notify=silent)
    ended = make("parts", searcher=searcher).run(TRAINER, trainings=12)
    assert [trial.number for trial in ended] == list(range(5, 12))
    assert make("parts", searcher=None).run(TRAINER, trainings=12) == []
    assert make("whole", searcher=None).history() == make("parts", searcher=None).history()


def test_picks_are_explained(make):
    study = make(searcher="bo")
    study.run(TRAINER, trainings=14)
    trials = study.trials()
    assert [trial.about["known"] for trial in trials] == list(range(14))
    assert all("forecast_mean" not in trial.about for trial in trials[:4])
    assert [trial.about["initial"] for trial in trials] == [True] * 5 + [False] * 9
    assert "acquisition" not in trials[4].about
    explained = trials[5:]
    errors = np.array([abs(trial.about["forecast_mean"] - trial.value) for trial in explained])
    deviations = np.array([trial.about["forecast_std"] for trial in explained])
    assert (deviations > 0).all()
    assert (errors < 3 * deviations + 0.02).mean() > 0.7
    for trial in explained:
        near = trial.about["neighbors"]
        assert len(near) == 3
        assert max(near) < trial.number
        parts = trial.about["contributions"]
        assert 1 <= len(parts) <= 5
        assert [abs(value) for _, value in parts] == sorted((abs(value) for _, value in parts), reverse=True)
        genes = dict(zip((gene.name for gene in SPACE.genes), trial.architecture.genotype, strict=True))
        for words, _ in parts:
            gene, operation = words.removeprefix("edge ").split(": ")
            assert operation == SPACE.genes[0].choices[genes[gene]]
    assert np.isfinite([trial.about["acquisition"] for trial in explained]).all()


def test_contributions_add_up_to_the_forecast(make):
    """With all genes shown they add up to the forecast minus the mean forecast of those trained before."""
    study = make(searcher="bo")
    study.run(TRAINER, trainings=14)
    searcher, history = study.settings.searcher, study.history()
    new = SPACE.sample(40, seed=5, canonical=True)
    new = new[~history.seen(new)][:1]
    about = explain(searcher, history, new, range(14))
    before = [explain(searcher, history, history.architectures[row : row + 1], range(14)) for row in range(14)]
    mean = np.mean([each["forecast_mean"] for each in before])
    total = sum(value for _, value in _contributions(searcher, history, new, n=None))
    assert len(about["contributions"]) == 5
    assert total == pytest.approx(about["forecast_mean"] - mean, abs=1e-6)


def test_the_pick_has_the_largest_acquisition_of_all(make):
    study = make(searcher="bo")
    study.run(TRAINER, trainings=12)
    trial = study.ask()
    history = study.history()
    before = history.first(12)
    others = SPACE.sample(40, seed=1, canonical=True)
    others = others[~before.seen(others)]
    scores = [
        explain(study.settings.searcher, before, others[row : row + 1], range(12))["acquisition"]
        for row in range(len(others))
    ]
    assert len(scores) > 30
    assert trial.about["acquisition"] >= max(scores) - 1e-6


def test_the_forecast_is_in_the_units_of_a_metric_where_lower_is_better(make):
    study = make(searcher="bo", metric="valid/loss")
    study.run(TRAINER, trainings=12)
    assert study.best().value == min(trial.value for trial in study.trials())
    for trial in study.trials()[5:]:
        assert abs(trial.about["forecast_mean"] - trial.value) < 0.4


# ---- budgets and ends --------------------------------------------------------------------


def test_budgets(make):
    def train(architecture, fidelity, seed, report):
        time.sleep(0.02)
        return {METRIC: 0.5, "energy": 2.0}

    trainer = CallableTrainer(train)
    study = make("cost")
    study.run(trainer, cost=0.1)
    assert 4 <= len(study.trials()) <= 5
    assert study.budget() == Budget(cost=0.1)
    energy = make("energy", cost_metric="energy")
    energy.run(trainer, cost=7)
    assert len(energy.trials()) == 4
    timed = make("seconds")
    timed.run(trainer, seconds=0.3)
    assert 1 <= len(timed.trials()) < 15
    counted = make("trainings")
    counted.run(trainer, trainings=3)
    assert counted.run(trainer) == []  # the budget of the last run is spent
    assert len(counted.run(trainer, trainings=5)) == 2


def test_a_budget_is_needed_and_checked(make):
    study = make()
    with pytest.raises(InvalidDataError, match="expected a budget"):
        study.run(TRAINER)
    for budget in ({"trainings": 0}, {"trainings": 1.5}, {"cost": -1}, {"seconds": math.nan}, {"trainings": True}):
        with pytest.raises(InvalidDataError, match=f"the budget of {next(iter(budget))} must be"):
            study.run(TRAINER, **budget)
    with pytest.raises(InvalidDataError, match="max_failures must be"):
        study.run(TRAINER, trainings=1, max_failures=0)
    assert study.trials() == []


def test_a_budget_within_the_initial_design_is_remarked(make):
    said = []
    study = make(searcher="bo")
    study.run(TRAINER, trainings=4, notify=said.append)
    assert said == [
        "a budget of 4 trainings does not go beyond the 5 architectures that the searcher begins with: nothing "
        "will be forecast"
    ]
    assert len(study.trials()) == 4


def test_a_space_that_is_exhausted_ends_the_search(path):
    space = ac.get_space("cell", nodes=3, operations=["none", "skip_connect"], operations_on="edges")
    said = []
    study = open_study("tiny", path, space=space, metric=METRIC, searcher="random")
    study.run(TRAINER, trainings=1000, notify=said.append)
    history = study.history()
    assert len(history) == len(np.unique(space.enumerate().keys()))
    assert [text for text in said if "the search ends before its budget" in text]
    with pytest.raises(ExhaustedSpaceError):
        study.ask()
    assert study.run(TRAINER, trainings=1000, notify=silent) == []


def test_a_searcher_that_breaks_is_named(path):
    class Broken(Searcher):
        def _propose(self, history, n, rng):
            raise ZeroDivisionError("no trials")

    study = open_study("broken", path, space=SPACE, metric=METRIC, searcher=Broken())
    with pytest.raises(SearcherFailedError, match="failed in study 'broken' after 0 architectures: ZeroDivisionError"):
        study.run(TRAINER, trainings=1)
    stored = open_study("broken", path)  # whoever does not have the searcher can read the study
    assert stored.summary().content["study"]["searcher"] == {"name": "Broken", "parameters": {}}
    with pytest.raises(InvalidDataError, match="cannot be made from what is stored, pass it when opening"):
        stored.run(TRAINER, trainings=1)
    assert open_study("broken", path, searcher=Broken()).trials() == []


# ---- failures ----------------------------------------------------------------------------


def test_failed_trainings_are_told_avoided_and_do_no_harm(make):
    study = make(searcher="bo")
    study.run(CallableTrainer(fail_sometimes), trainings=25, max_failures=25)
    history = study.history()
    failed = history.architectures.genotypes[:, :3].min(axis=1) == 0
    assert 2 <= failed.sum() <= 20
    assert (history.status == np.where(failed, 2, 1)).all()
    assert len(np.unique(history.keys)) == 25
    assert np.isnan(history.values[failed]).all()
    stored = study.optuna_study.trials
    assert [trial.state is optuna.trial.TrialState.FAIL for trial in stored] == failed.tolist()
    messages = {trial.user_attrs["message"] for trial in stored if trial.state is optuna.trial.TrialState.FAIL}
    assert messages <= {
        "ValueError: no input",
        "valid/accuracy is nan at the end",
        "valid/loss is inf after epoch 1",
    }
    assert study.best().value > 0.5


def test_a_row_of_failures_ends_the_run(make):
    def fail(architecture, fidelity, seed, report):
        raise OSError("no GPU")

    study = make()
    with pytest.raises(TrainingsFailError, match=r"4 trainings of study 'study' failed in a row.*OSError: no GPU"):
        study.run(CallableTrainer(fail), trainings=20, max_failures=4)
    assert [candidate.state for candidate in study.candidates()] == ["failed"] * 4


def test_a_training_without_the_metric_is_not_held_against_the_architecture(make):
    study = make()
    other = CallableTrainer(lambda *_: {"test/accuracy": 0.5})
    with pytest.raises(TrainingsFailError, match=r"without the metric 'valid/accuracy' .* it has test/accuracy"):
        study.run(other, trainings=3)
    assert [candidate.state for candidate in study.candidates()] == ["waiting"]
    study.run(TRAINER, trainings=3)
    assert [candidate.state for candidate in study.candidates()] == ["finished"] * 3
    assert [trial.about.get("retry_of") for trial in study.trials()] == [None, 0, None, None]
    study.run(other, trainings=4)  # now that others have it, it is the fault of the training
    assert study.candidates()[-1].state == "failed"
    assert study.trials()[-1].about["message"] == "the training has no curve 'valid/accuracy', it has test/accuracy"


def test_processes_train_at_once(make):
    study = make()
    with ProcessPool(2) as pool:
        assert len(study.run(TRAINER, trainings=6, executor=pool)) == 6
    assert {candidate.state for candidate in study.candidates()} == {"finished"}


# ---- early stopping ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("median", {"n_startup_trials": 3}),
        ("successive_halving", {"min_resource": 1, "reduction_factor": 2}),
        ("hyperband", {"min_resource": 1, "max_resource": 6}),
    ],
)
def test_pruners_stop_what_will_not_be_among_the_best(make, name, parameters):
    study = make(pruner=pruner_spec(name, parameters), fidelity=Fidelity(epochs=6))
    study.run(TRAINER, trainings=16)
    states = [candidate.state for candidate in study.candidates()]
    assert set(states) == {"finished", "pruned"}
    pruned = [trial for trial in study.trials() if trial.state == "pruned"]
    assert all(len(trial.epochs) < 6 and trial.record.status is Status.STOPPED for trial in pruned)
    history = study.history()
    assert len(history.finished) == 16
    complete = history.values[np.array(states) == "finished"]
    stopped = history.values[np.array(states) == "pruned"]
    assert stopped.max() <= complete.max()
    # What was stopped is told as it would have ended: close to the truth, far from the value it had reached.
    truth = [accuracy(trial.architecture.genotype) for trial in pruned]
    reached = [trial.epochs[max(trial.epochs)] for trial in pruned]
    assert np.abs(stopped - truth).mean() < np.abs(np.subtract(reached, truth)).mean() + 1e-9


# ---- export ------------------------------------------------------------------------------


def test_a_study_becomes_a_table(make, tmp_path):
    study = make(task="toy")
    study.run(CallableTrainer(fail_sometimes), trainings=12, max_failures=12)
    table = study.to_table(tmp_path / "toy.h5")
    again = ac.load_table(tmp_path / "toy.h5")
    history = study.history()
    rows = again.rows(history.architectures)
    values = again.values("toy/valid_accuracy", epoch=3)[rows]
    assert values[history.status == 1] == pytest.approx(history.values[history.status == 1])
    assert table.info("toy/valid_accuracy").direction == "higher"
    replayed = ac.replay(again, "toy/valid_accuracy", "random", epoch=3, budget=5)
    assert len(replayed) == 5
    with pytest.raises(InvalidDataError, match="no training to write"):
        make("empty").to_table(tmp_path / "empty.h5")


def test_records_are_strict_json(make):
    study = make()
    study.run(CallableTrainer(fail_sometimes), trainings=6, max_failures=6)
    for record in study.records():
        json.dumps(record.to_dict(), allow_nan=False)
