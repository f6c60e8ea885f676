"""Several trainings of each architecture: what is told, stored, counted and shown, and what is refused."""

import math

import numpy as np
import optuna
import pytest
from archcast.errors import InvalidDataError, StudyMismatchError
from archcast.studies import open_study, pruner_spec
from archcast.trainers import CallableTrainer, Fidelity, Recipe, Status, TorchTrainer, make_task
from toy_studies import METRIC, accuracy


def noisy(architecture, fidelity, seed, report):
    for epoch in range(1, (fidelity.epochs or 3) + 1):
        report(epoch, {METRIC: accuracy(architecture.genotype) * epoch / 4 + 0.01 * seed})
    return {"parameters": 7}


def fails_with_seed_4(architecture, fidelity, seed, report):
    if seed == 4 or architecture.genotype[0] == 0:
        raise ValueError(f"no luck with {seed}")
    return noisy(architecture, fidelity, seed, report)


class AtOnce(CallableTrainer):
    """Reports an epoch of all seeds before the next, as those do that train them together."""

    seeds_at_once = 8

    def __call__(self, report, requests):
        curves = {request.seed: [] for request in requests}
        for epoch in range(1, 7):
            answers = []
            for request in requests:
                value = accuracy(request.architecture.genotype) * (1 - 0.5**epoch) + 0.01 * request.seed
                curves[request.seed].append(value)
                answers.append(report((request.seed, epoch, {METRIC: value})))
            if any(answers):
                break
        status = Status.FINISHED if epoch == 6 else Status.STOPPED
        return [request.record(status, curves={METRIC: curves[request.seed]}, seconds=1.0) for request in requests]


def test_the_mean_is_told_and_every_seed_is_stored(make, path, tmp_path):
    study = make(seeds=[1, 3, 4], task="toy")
    ended = []
    study.run(
        CallableTrainer(noisy), trainings=10, on_end=lambda trial, records: ended.append([r.seed for r in records])
    )
    assert ended == [[1, 3, 4]] * 3  # nine trainings: the tenth would be an architecture by halves
    spread = np.std([0.01, 0.03, 0.04], ddof=1)
    for stored, trial in zip(
        optuna.load_study(study_name="study", storage=f"sqlite:///{path}").trials, study.trials(), strict=True
    ):
        full = accuracy(trial.architecture.genotype)
        expected = {str(seed): full * 0.75 + 0.01 * seed for seed in (1, 3, 4)}
        assert stored.user_attrs["seed_values"] == pytest.approx(expected)
        assert stored.value == trial.value == pytest.approx(np.mean(list(expected.values())))
        assert stored.user_attrs["spread"] == trial.spread == pytest.approx(spread)
        means = {epoch: full * epoch / 4 + 0.08 / 3 for epoch in (1, 2, 3)}
        assert stored.intermediate_values == pytest.approx(means)
        assert stored.user_attrs["parameters"] == 7
        assert stored.user_attrs["seconds"] == pytest.approx(sum(record.seconds for record in trial.records))
    assert study.history().values.tolist() == [trial.value for trial in study.trials()]
    assert len(study.records()) == 9
    table = study.to_table(tmp_path / "seeds.h5")
    assert table.info("toy/valid_accuracy").seeds == (1, 3, 4)
    assert table.values("toy/valid_accuracy", epoch=3) == pytest.approx(
        study.history().values[table.rows(study.history().architectures)]
    )
    best = study.summary().content["best"]
    assert best["spread"] == pytest.approx(spread)
    shown = study.summary().to_markdown()
    assert f"- outcome: {best['value']:.4g} ± {spread:.4g}" in shown
    assert "- seeds of each architecture: 1, 3, 4" in shown


def test_seeds_belong_to_the_study(make, path):
    assert make().settings.seeds == (0,)
    assert make("seven", seed=7).settings.seeds == (7,)
    make("two", seeds=(0, 1))
    assert open_study("two", path).settings.seeds == (0, 1)
    with pytest.raises(StudyMismatchError, match=r"has seeds \[0, 1\], and was opened with \[0, 2\]"):
        make("two", seeds=[0, 2])
    with pytest.raises(StudyMismatchError, match=r"has seeds \[0\], and was opened with \[0, 1\]"):
        make(seeds=[0, 1])
    for wrong, message in (([0, 0], "distinct"), ([-1], "at least 0, got -1"), ([], "at least one"), (3, "a list of")):
        with pytest.raises(InvalidDataError, match=f"seeds must .*{message}"):
            make("new", seeds=wrong)


def test_a_seed_that_fails_is_said_and_the_others_count(make):
    study = make(seeds=[1, 3, 4])
    study.run(CallableTrainer(fails_with_seed_4), trainings=30, max_failures=10)
    for trial in study.trials():
        if trial.architecture.genotype[0] == 0:
            assert (trial.state, trial.about["message"]) == ("failed", "ValueError: no luck with 1")
            continue
        full = accuracy(trial.architecture.genotype) * 0.75
        assert (trial.state, trial.value) == ("finished", pytest.approx(full + 0.02))
        assert trial.about["message"] == "1 of 3 seeds failed: ValueError: no luck with 4"
        assert [str(record.status) for record in trial.records] == ["finished", "finished", "failed"]
    assert {trial.state for trial in study.trials()} == {"finished", "failed"}
    partial = make("partial", seeds=[1, 4])
    trial = partial.ask()
    good, bad = partial.requests(trial)
    good = good.record(Status.FINISHED, curves={METRIC: [0.25, 0.5]}, seconds=2.0)
    assert partial.tell(trial, [good, bad.record(Status.DIVERGED, message="loss is nan", curves={METRIC: [0.1]})])
    (told,) = partial.trials()
    assert (told.state, told.value, told.spread) == ("finished", 0.5, None)
    assert told.about["message"] == "1 of 2 seeds failed: loss is nan"
    assert told.about["seed_values"] == {"1": 0.5}
    assert told.epochs == {1: 0.25, 2: 0.5}
    trial = partial.ask()
    lost = [request.record(Status.KILLED, message="killed by SIGKILL") for request in partial.requests(trial)]
    assert partial.tell(trial, lost)
    assert [candidate.state for candidate in partial.candidates()] == ["finished", "waiting"]


def test_costs_and_budgets_count_every_seed(make):
    study = make(seeds=[0, 1], cost_metric="energy")
    trainer = CallableTrainer(lambda *_: {METRIC: 0.5, "energy": 2.0})
    study.run(trainer, cost=7)
    assert len(study.trials()) == 2
    with pytest.raises(InvalidDataError, match="the budget of 1 trainings does not reach for one architecture with 2"):
        study.run(trainer, trainings=1)


def test_pruners_judge_the_mean_of_seeds_that_train_together(make):
    median = pruner_spec("median", {"n_startup_trials": 3})
    study = make(seeds=[0, 1], pruner=median, fidelity=Fidelity(epochs=6))
    with pytest.raises(InvalidDataError, match=r"pruner 'median' judges the mean of 2 seeds .* takes 1 at once"):
        study.run(CallableTrainer(noisy), trainings=8)
    assert study.trials() == []
    study.run(AtOnce(noisy), trainings=24)
    states = [trial.state for trial in study.trials()]
    assert set(states) == {"finished", "pruned"}
    for trial in study.trials():
        full = accuracy(trial.architecture.genotype)
        assert trial.epochs == pytest.approx({e: full * (1 - 0.5**e) + 0.005 for e in range(1, len(trial.epochs) + 1)})
        assert {record.status for record in trial.records} == {
            Status.STOPPED if trial.state == "pruned" else Status.FINISHED
        }
    assert math.isfinite(study.history().values.sum())


def test_networks_train_their_seeds_at_once(make):
    task = make_task("mnist1d", train=64, valid=32, test=32, length=20)
    recipe = Recipe(epochs=1, channels=4, stages=1, cells=1)
    study = make(seeds=[0, 1], task=task.name, recipe=recipe.to_dict())
    study.run(TorchTrainer(task, recipe), trainings=2)
    (trial,) = study.trials()
    assert [record.seed for record in trial.records] == [0, 1]
    assert trial.value == pytest.approx(np.mean([record.final(METRIC) for record in trial.records]))
