"""Surrogate benchmarks: what they answer, how noisy, from where regret counts, and that files bring back the same."""

import zipfile

import archcast as ac
import numpy as np
import pytest
from archcast import make_predictor, make_searcher, replay
from archcast.benchmarks_data import Column, MetricInfo, Table, write_table
from archcast.errors import InvalidArchitectureError, InvalidDataError, ModelFormatError, UnknownNameError
from archcast.evaluation import SearchPlan, fit_surrogate_table, load_surrogate_table
from archcast.evaluation.problems import as_problem
from archcast.evaluation.surrogate_noise import NoiseModel, standard_normals
from archcast.studies import open_study
from archcast.trainers import CallableTrainer

SPACE = ac.get_space("mnasnet_chain")
METRIC = "toy/accuracy"
NOISE = 0.5


def truth(architectures):
    """A metric that is linear in the genes."""
    weights = np.random.default_rng(3).normal(size=SPACE.dimension)
    return 60 + architectures.genotypes @ weights


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A sample of a space too large to enumerate, each trained with two seeds; a loss of one seed."""
    batch = SPACE.sample(160, seed=1)
    noise = np.random.default_rng(2).normal(size=(2, 160)) * NOISE
    y = truth(batch)
    epochs = np.stack([y - 5 + noise, y + noise], axis=2)
    seconds = 10.0 + batch.genotypes.sum(axis=1)
    columns = [
        Column(MetricInfo(METRIC, unit="%", epochs=(1, 9), seeds=(0, 1)), epochs.transpose(1, 0, 2)),
        Column(MetricInfo("toy/loss", direction="lower"), 100 - y + noise[0]),
        Column(MetricInfo("toy/cost", unit="s", direction="lower"), seconds),
    ]
    path = tmp_path_factory.mktemp("surrogate") / "toy.h5"
    return Table(write_table(path, SPACE, batch, columns, about={"name": "toy", "cost_metric": "toy/cost"}))


@pytest.fixture(scope="module")
def surrogate(table):
    return fit_surrogate_table(table, METRIC, "ridge@adjacency", samples=500, starts=3, folds=4)


# ---- fitting ------------------------------------------------------------------------------------------------------


def test_it_says_how_good_it_is_where_it_was_not_fitted(surrogate, table):
    assert surrogate.measures["kendall_tau"] > 0.85
    assert surrogate.measures["cost_kendall_tau"] > 0.9
    assert 0.7 < surrogate.measures["coverage_90"] <= 1
    assert 0 <= surrogate.measures["calibration_error"] < 0.2
    assert surrogate.about["architectures"] == len(table)
    assert (surrogate.name, surrogate.epoch, surrogate.info.unit) == ("toy_surrogate", 9, "%")
    fresh = SPACE.sample(300, seed=9)
    assert np.corrcoef(surrogate.query(fresh), truth(fresh))[0, 1] > 0.95
    assert np.corrcoef(surrogate.query_costs(fresh), 10 + fresh.genotypes.sum(axis=1))[0, 1] > 0.95


def test_noise_is_that_between_seeds_or_of_held_out_errors(surrogate, table):
    assert surrogate.noise.kind == "seeds"
    assert np.mean(surrogate.noise.deviations) == pytest.approx(NOISE, rel=0.15)
    loss = fit_surrogate_table(table, "toy/loss", "ridge@adjacency", samples=10, folds=2, cost=None)
    assert (loss.noise.kind, loss.epoch, loss.cost) == ("residuals", None, None)
    assert np.mean(np.square(loss.noise.deviations)) ** 0.5 == pytest.approx(loss.measures["rmse"], rel=0.05)
    assert np.isnan(loss.query_costs(SPACE.sample(2, seed=0))).all()
    assert loss.best_known.value <= loss.query(table.architectures).min()
    constant = fit_surrogate_table(table, METRIC, "constant", samples=10, folds=2, cost=30.0, noise="none")
    batch = SPACE.sample(3, seed=0)
    assert (constant.query(batch, seed=5) == constant.query(batch)).all()
    assert constant.query_costs(batch).tolist() == [30.0] * 3


def test_the_best_known_is_better_than_all_that_are_looked_at(surrogate, table):
    best = surrogate.best_known
    assert surrogate.query([best.architecture])[0] == pytest.approx(best.value)
    assert best.value >= surrogate.query(table.architectures).max()
    assert best.value >= surrogate.query(SPACE.sample(500, seed=0)).max()
    around, _ = SPACE.neighbors(best.architecture.batch())
    assert best.value >= surrogate.query(around).max()  # no single change of it is better
    assert "steepest ascent" in best.found


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"metric": "toy/nothing"}, UnknownNameError, "has no metric 'toy/nothing'"),
        ({"epoch": 5}, UnknownNameError, "has no epoch 5"),
        ({"predictor": "oracle"}, UnknownNameError, "oracle"),
        ({"noise": "loud"}, InvalidDataError, "noise must be one of auto, seeds, residuals, none, got 'loud'"),
        ({"metric": "toy/loss", "noise": "seeds"}, InvalidDataError, "with several seeds .* table 'toy' has 0"),
        ({"folds": 1}, InvalidDataError, "folds must be integers of at least 2, got 1"),
        ({"folds": 50}, InvalidDataError, "expected at least 200 architectures to hold out 50 folds of"),
        ({"cost": -1.0}, InvalidDataError, "cost must be a number of seconds"),
        ({"starts": 0}, InvalidDataError, "starts must be integers of at least 1"),
    ],
)
def test_what_cannot_be_fitted_is_refused(table, options, error, message):
    with pytest.raises(error, match=message):
        fit_surrogate_table(table, **{"metric": METRIC, "predictor": "constant", "samples": 5} | options)


# ---- queries ------------------------------------------------------------------------------------------------------


def test_normals_are_the_same_everywhere():
    keys = np.array([0, 1, 2**64 - 1], dtype=np.uint64)
    assert standard_normals(keys, 0) == pytest.approx(standard_normals(keys[::-1], 0)[::-1], abs=0)
    # By another implementation, in whole numbers of Python.
    assert standard_normals(keys, 0) == pytest.approx([-1.0861360155993325, -0.8988485261558162, 0.5675075974226211])
    assert standard_normals(keys, 7) == pytest.approx([0.27774130482670895, 1.7909796865332421, 1.825075023551114])
    many = np.concatenate([standard_normals(np.arange(500, dtype=np.uint64), seed) for seed in range(40)])
    assert abs(many.mean()) < 0.03
    assert many.std() == pytest.approx(1, abs=0.02)
    assert len(np.unique(many)) == len(many)


def test_a_query_gives_the_same_alone_and_among_others(surrogate):
    batch = SPACE.sample(40, seed=5)
    told = surrogate.query(batch, METRIC, 9, seed=3)
    assert told.tolist() == [surrogate.query(batch[i : i + 1], seed=3)[0] for i in range(40)]
    assert told.tolist() == surrogate.query(batch.strings(), seed=3).tolist()
    assert (told != surrogate.query(batch, seed=4)).all()
    many = np.stack([surrogate.query(batch, seed=seed) for seed in range(400)])
    assert np.abs(many.mean(axis=0) - surrogate.query(batch)).max() < 4 * NOISE / 20
    assert np.median(many.std(axis=0)) == pytest.approx(
        np.median(surrogate.noise.deviation(surrogate.query(batch))), rel=0.1
    )


def test_twins_are_one_architecture():
    table = ac.load_table("nasbench201")
    rows = np.sort(np.random.default_rng(0).permutation(len(table))[:60])
    small = fit_surrogate_table(
        table.select(rows), "cifar10/test_accuracy", "ridge", epoch=200, samples=20, folds=2, noise="residuals"
    )
    classes, counts = np.unique(table.canonical_keys, return_counts=True)
    twins = table.architectures[np.flatnonzero(table.canonical_keys == classes[counts.argmax()])[:2]]
    assert twins[0] != twins[1]
    answers = small.problem().open(0)
    assert answers.rows(twins).tolist() == [0, 0]
    assert len(answers.values) == 1
    assert (small.query(twins) <= 100).all()


def test_queries_refuse(surrogate):
    batch = SPACE.sample(1, seed=0)
    with pytest.raises(UnknownNameError, match="surrogate 'toy_surrogate' has no metric 'toy/loss', it has 'toy/acc"):
        surrogate.query(batch, "toy/loss")
    with pytest.raises(UnknownNameError, match="has no epoch 1, it has epoch 9"):
        surrogate.query(batch, epoch=1)
    with pytest.raises(InvalidDataError, match="the seed of a query must be an integer of at least 0, got -1"):
        surrogate.query(batch, seed=-1)
    with pytest.raises(InvalidArchitectureError):
        surrogate.query(["?"])
    with pytest.raises(InvalidDataError, match="noise by seeds needs ascending levels"):
        NoiseModel("seeds", (2.0, 1.0), (0.1, 0.1))


# ---- searching ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("searcher", ["random", "regularized_evolution"])
def test_searches_are_told_trainings_and_judged_without_noise(surrogate, searcher):
    found = replay(surrogate, searcher=searcher, budget=25, seed=4, workers=2)
    assert len(found) == 25
    assert found.time_unit == "s"
    assert found.selected.tolist() == surrogate.query(found.architectures, seed=4).tolist()
    assert found.values.tolist() == surrogate.query(found.architectures).tolist()
    places = [int(np.argmax(found.selected[: i + 1])) for i in range(25)]
    assert found.regret == pytest.approx(surrogate.best_known.value - found.values[places])
    assert found.best == str(found.architectures[places[-1]])
    lengths = surrogate.query_costs(found.architectures)
    assert found.finished - found.started == pytest.approx(lengths)
    again = replay(as_problem(surrogate, METRIC, epoch=9), searcher=searcher, budget=25, seed=4, workers=2)
    assert again.architectures == found.architectures


def test_asking_and_telling_by_hand(surrogate):
    history = ac.History.start(surrogate.space, higher_is_better=surrogate.is_higher_better())
    for _ in range(6):
        asked = make_searcher("local_search").ask(history, n=2, seed=0)
        history = history.ask(asked).tell(asked, surrogate.query(asked, seed=0))
    assert len(history) == 12
    assert np.isfinite(history.values).all()


def test_benchmarks_compare_tables_and_surrogates(surrogate, table, tmp_path):
    path = surrogate.save(tmp_path / "toy.surrogate")
    plan = SearchPlan([surrogate, table], METRIC, searchers=["random"], budget=5, seeds=2)
    assert list(plan.problems) == ["toy_surrogate:toy/accuracy@9", "toy:toy/accuracy"]
    result = plan.run()
    alone = SearchPlan(path, searchers=["random"], budget=5, seeds=2)
    assert alone.run(cache=tmp_path / "runs.jsonl").regrets("random").tolist() == result.regrets("random").tolist()
    lines = (tmp_path / "runs.jsonl").read_text()
    alone.run(cache=tmp_path / "runs.jsonl")
    assert (tmp_path / "runs.jsonl").read_text() == lines  # known by their content
    with pytest.raises(UnknownNameError, match="has no metric 'toy/loss'"):
        SearchPlan(path, "toy/loss")


def test_a_study_counts_its_regret_from_the_best_known(surrogate, tmp_path):
    study = open_study("s", tmp_path / "s.db", space=SPACE, metric="valid/accuracy", searcher="random")
    study.run(CallableTrainer(lambda a, *_: {"valid/accuracy": float(surrogate.query([a])[0])}), trainings=3)
    regret = study.summary(surrogate).content["regret"]
    assert regret["table"] == "toy_surrogate:toy/accuracy@9"
    assert regret["best_in_table"] == surrogate.best_known.value
    assert regret["regret"] == pytest.approx(surrogate.best_known.value - study.best().value)


# ---- files --------------------------------------------------------------------------------------------------------


def test_a_file_brings_back_the_same(surrogate, tmp_path):
    path = surrogate.save(tmp_path / "toy.surrogate")
    again = ac.load_surrogate_table(path)
    batch = SPACE.sample(30, seed=2)
    assert again.query(batch, seed=1).tolist() == surrogate.query(batch, seed=1).tolist()
    assert again.query_costs(batch).tolist() == surrogate.query_costs(batch).tolist()
    assert again.digest == surrogate.digest
    assert again.best_known == surrogate.best_known
    assert (again.measures, again.about, again.noise) == (surrogate.measures, surrogate.about, surrogate.noise)
    again.save(tmp_path / "again.surrogate")
    assert (tmp_path / "again.surrogate").read_bytes() == path.read_bytes()
    assert not any(name.endswith((".pkl", ".pickle")) for name in zipfile.ZipFile(path).namelist())


def test_other_files_are_refused(surrogate, tmp_path):
    path = surrogate.save(tmp_path / "toy.surrogate")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelFormatError, match="is no surrogate benchmark: not a zip file, or a truncated one"):
        load_surrogate_table(path)
    make_predictor("constant").fit(SPACE.sample(3, seed=0), [1.0, 2.0, 3.0]).save(path)
    with pytest.raises(ModelFormatError, match=r"has no member 'surrogate.json'"):
        load_surrogate_table(path)
    surrogate.save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["surrogate.json"] = members["surrogate.json"].replace(b'"unit": "%"', b'"unit": "s"')
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(ModelFormatError, match=r"was changed after it was saved: 'surrogate.json'"):
        load_surrogate_table(path)
    with pytest.raises(ModelFormatError, match=r"cannot read a surrogate from .*: No such file"):
        load_surrogate_table(tmp_path / "none.surrogate")
