"""The comparison protocol: fair draws, determinism, resuming, leakage, failures with a name."""

import json
from collections.abc import Mapping

import numpy as np
import pytest
from archcast.benchmarks_data import load_table
from archcast.errors import InvalidDataError, PredictorFailedError, UnknownNameError
from archcast.evaluation import Comparison, ComparisonPlan, compare, evaluate
from archcast.evaluation.calibration import LEVELS
from archcast.predictors import Predictor, make_predictor, standard_errors

METRIC = "toy/accuracy"


class Scripted(Predictor):
    """Forecasts a weighted sum of its features plus noise from its seed, and keeps what it was fitted on."""

    default_encoder = "adjacency_categorical"
    fitted: list  # per test

    def __init__(self, encoder=None, *, target_transform="none", seed=0, mood="fine"):
        super().__init__(encoder, target_transform=target_transform, seed=seed)
        self.mood = mood

    def _fit(self, features, z):
        Scripted.fitted.append((self.seed, features.copy(), z.copy()))
        if self.mood == "raise":
            raise RuntimeError("the well is dry")
        self.scale_ = float(z.std())

    def _predict(self, features):
        mean = features.sum(axis=1) + np.random.default_rng(self.seed).normal(size=len(features))
        if self.mood == "nan":
            mean[3] = np.nan
        return mean[:, None], np.full((len(features), 1), self.scale_)

    def _get_state(self):
        return {"scale": np.array(self.scale_)}

    def _set_state(self, state: Mapping):
        self.scale_ = float(state["scale"])


def predictor_of_a_script(**parameters):
    """A predictor whose class no other process can import, as one defined in a script or a notebook."""

    class Homemade(Predictor):
        def __init__(self, encoder="adjacency_categorical", *, target_transform="none", seed=0, broken=False):
            super().__init__(encoder, target_transform=target_transform, seed=seed)
            self.broken = broken

        def _fit(self, features, z):
            if self.broken:
                raise RuntimeError("the well is dry")

        def _predict(self, features):
            noise = np.random.default_rng(self.seed).normal(size=len(features))
            return (features.sum(axis=1) + noise)[:, None], np.ones((len(features), 1))

        def _get_state(self):
            return {}

        def _set_state(self, state):
            pass

    return Homemade(**parameters)


@pytest.fixture(autouse=True)
def _fresh():
    Scripted.fitted = []


def without_seconds(records):
    return [{k: v for k, v in r.items() if not k.endswith("_seconds")} for r in records]


def same(first, second):
    """Compare records, NaN equal to itself."""
    np.testing.assert_equal(without_seconds(first), without_seconds(second))


def test_each_run_is_one_flat_record_in_order(toy):
    result = compare(toy, METRIC, predictors=["ridge@adjacency", "constant"], n=[20, 40], seeds=2)
    assert [(r["n"], r["seed"], r["predictor"]) for r in result.records] == [
        (n, seed, p) for n in (20, 40) for seed in (0, 1) for p in ("ridge@adjacency", "constant")
    ]
    first = result.records[0]
    assert (first["table"], first["metric"], first["epoch"], first["unit"]) == ("toy", METRIC, None, "%")
    assert first["n_test"] == len(toy) - 20
    assert first["fit_seconds"] > 0
    assert first["predict_seconds"] > 0
    assert all(isinstance(value, (str, int, float, bool, type(None))) for r in result.records for value in r.values())
    assert {tuple(r) for r in result.records} == {tuple(first)}


def test_a_record_is_what_fitting_and_measuring_by_hand_gives(toy):
    record = compare(toy, METRIC, predictors=["ridge@adjacency"], n=30, seeds=[4]).records[0]
    y = toy.values(METRIC)
    train, test = toy.split(30, 4)
    model = make_predictor("ridge@adjacency", seed=4).fit(toy.architectures[train], y[train])
    mean, std = model.predict(toy.architectures[test], return_std=True)
    levels = LEVELS
    quantiles = model.predict_quantiles(toy.architectures[test], levels)
    expected = evaluate(y[test], mean, std, quantiles, levels, higher_is_better=True, resolution=0.1)
    assert record["kendall_tau"] > 0.5
    for name, value in expected.items():
        assert record[name] == pytest.approx(value, nan_ok=True), name


def test_epoch_and_direction_reach_the_measures(toy):
    early, late = (
        compare(toy, METRIC, epoch=epoch, predictors=["ridge@adjacency"], n=40, seeds=1).records[0] for epoch in (1, 10)
    )
    assert early["epoch"] == 1
    assert early["rmse"] != late["rmse"]
    lower = compare(toy, "toy/loss", predictors=[("r", "ridge@adjacency")], n=40, seeds=1).records[0]
    assert not lower["higher_is_better"]
    assert np.isnan(lower["sparse_kendall_tau"])  # 0.1 points mean nothing for a loss
    # The loss is the negated accuracy: what is found at the top is the same.
    for measure in ("kendall_tau", "n_at_1", "regret_at_10", "precision_at_10"):
        assert lower[measure] == pytest.approx(late[measure], abs=1e-6)


def test_all_predictors_see_the_same_draw(toy):
    compare(toy, METRIC, predictors={"a": Scripted(), "b": Scripted(mood="other")}, n=[20], seeds=[3, 5])
    seeds, features, targets = zip(*Scripted.fitted, strict=True)
    assert seeds == (3, 3, 5, 5)
    for a, b in ((0, 1), (2, 3)):
        np.testing.assert_array_equal(features[a], features[b])
        np.testing.assert_array_equal(targets[a], targets[b])
    assert not np.array_equal(features[0], features[2])


def test_given_predictors_are_left_unfitted_and_seeded_by_the_run(toy):
    mine = Scripted(seed=99)
    result = compare(toy, METRIC, predictors=[mine], n=20, seeds=[0, 1])
    assert result.predictors == ["Scripted"]
    assert mine.seed == 99
    assert not hasattr(mine, "scale_")
    assert [seed for seed, _, _ in Scripted.fitted] == [0, 1]


@pytest.mark.parametrize(
    ("table", "metric", "predictors"),
    [
        ("toy", METRIC, ["ridge@adjacency", "gp@adjacency", "constant"]),
        ("nasbench201", "cifar10/test_accuracy", ["gp@adjacency"]),  # large enough for BLAS to split its sums
    ],
)
def test_results_do_not_depend_on_the_number_of_jobs(table_path, table, metric, predictors):
    source = table_path if table == "toy" else table
    alone, together = (
        compare(source, metric, predictors=predictors, n=[20, 30], seeds=2, n_jobs=jobs) for jobs in (1, 2)
    )
    same(alone.records, together.records)


def test_an_unregistered_predictor_travels_to_other_processes(toy):
    plan = ComparisonPlan(toy, METRIC, predictors=[predictor_of_a_script()], n=[20], seeds=2)
    same(plan.run(n_jobs=2).records, plan.run().records)


def test_interrupted_work_goes_on(toy, tmp_path):
    path = tmp_path / "runs.jsonl"
    plan = ComparisonPlan(toy, METRIC, predictors=[Scripted(), "constant"], n=[20], seeds=3)
    expected = plan.run().records
    Scripted.fitted.clear()
    runs = plan.iter_runs(cache=path)
    next(runs), next(runs), next(runs)
    runs.close()
    assert len(Scripted.fitted) == 2  # seeds 0 and 1; the constant was the run between
    assert len(path.read_text().splitlines()) == 3
    done = []
    resumed = plan.run(cache=path, progress=lambda i, total, record: done.append((i, total)))
    assert [seed for seed, _, _ in Scripted.fitted] == [0, 1, 2]
    assert done == [(i, 6) for i in range(1, 7)]
    same(resumed.records, expected)
    assert len(path.read_text().splitlines()) == 6
    same(plan.run(cache=path).records, expected)
    assert len(Scripted.fitted) == 3


def test_a_line_cut_short_is_run_again(toy, tmp_path):
    path = tmp_path / "runs.jsonl"
    plan = ComparisonPlan(toy, METRIC, predictors=["constant"], n=[20], seeds=2)
    expected = plan.run(cache=path).records
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    same(plan.run(cache=path).records, expected)
    assert len(path.read_text().splitlines()) == 2
    assert all(json.loads(line)["key"] for line in path.read_text().splitlines())


@pytest.mark.parametrize(
    "change",
    [
        {"n": [21]},
        {"seeds": [1]},
        {"avoid_twins": True},
        {"n_test": 30},
        {"info": ["toy/loss"]},
        {"epoch": 1},
        {"test_metric": "toy/gaps"},
        {"predictors": [("Scripted", Scripted(mood="other"))]},
        {"ks": [3]},
    ],
)
def test_a_run_is_known_by_everything_that_it_depends_on(toy, tmp_path, change):
    path = tmp_path / "runs.jsonl"
    usual = {"predictors": [Scripted()], "n": [20], "seeds": [0]}
    compare(toy, METRIC, **usual, cache=path)
    compare(toy, METRIC, **(usual | change), cache=path)
    assert len(Scripted.fitted) == 2
    assert len(path.read_text().splitlines()) == 2


def test_the_label_is_no_part_of_what_a_run_is(toy, tmp_path):
    path = tmp_path / "runs.jsonl"
    compare(toy, METRIC, predictors=[("a", Scripted())], n=20, seeds=1, cache=path)
    again = compare(toy, METRIC, predictors=[("b", Scripted())], n=20, seeds=1, cache=path)
    assert again.predictors == ["b"]
    assert len(Scripted.fitted) == 1


@pytest.mark.parametrize("content", ["predictor,n\na,1\n", '{"n": 1}\n', "[1]\n", "no newline at the end"])
def test_a_foreign_file_is_neither_used_nor_touched(toy, tmp_path, content):
    path = tmp_path / "precious.jsonl"
    path.write_text(content)
    with pytest.raises(InvalidDataError, match=r"precious\.jsonl' is not a file of runs"):
        compare(toy, METRIC, predictors=["constant"], n=20, seeds=1, cache=path)
    assert path.read_text() == content


def test_twins_are_reported_and_avoided(toy):
    leaky = compare(toy, METRIC, predictors=["constant"], n=40, seeds=3)
    strict = compare(toy, METRIC, predictors=["constant"], n=40, seeds=3, avoid_twins=True)
    keys = toy.architectures.keys()
    for record, other in zip(leaky.records, strict.records, strict=True):
        train, test = toy.split(40, record["seed"])
        twins = sum(key in set(keys[train].tolist()) for key in keys[test].tolist())
        assert record["leaked"] == twins > 0
        assert other["leaked"] == 0
        assert other["n_test"] == record["n_test"] - twins
    assert "have an isomorphic twin in training" in str(leaky)
    assert "twin" not in str(strict)


def test_missing_values_are_neither_trained_on_nor_judged(toy):
    plan = ComparisonPlan(toy, "toy/gaps", predictors=[Scripted()], n=[20], seeds=3)
    known = np.isfinite(toy.values("toy/gaps"))
    for record in plan.run().records:
        draw = plan.draw(20, record["seed"])
        assert known[draw.train].all()
        assert known[draw.test].all()
        assert record["n_test"] == known.sum() - 20
        assert record["n_missing"] == (~known).sum()


def test_judged_by_another_metric(toy):
    plan = ComparisonPlan(toy, "toy/gaps", predictors=["ridge@adjacency"], n=[30], seeds=1, test_metric=METRIC)
    draw = plan.draw(30, 0)
    # Where the training metric is missing but the truth is known, forecasts are judged all the same.
    assert len(draw.train) + len(draw.test) == len(toy)
    assert draw.missing == 0
    np.testing.assert_array_equal(plan.forecast("ridge@adjacency", 30, 0).truth, toy.values(METRIC)[draw.test])
    strict = ComparisonPlan(
        toy, "toy/gaps", predictors=["constant"], n=[30], seeds=1, test_metric=METRIC, avoid_twins=True
    ).draw(30, 0)
    assert toy.leakage(strict.train, strict.test) == 0
    assert len(strict.test) == len(draw.test) - toy.leakage(draw.train, draw.test)


def test_a_sample_of_test_architectures(toy):
    plan = ComparisonPlan(toy, METRIC, predictors=["constant"], n=[20, 30], seeds=2, n_test=25)
    whole = ComparisonPlan(toy, METRIC, predictors=["constant"], n=[20, 30], seeds=2)
    draw, full = plan.draw(20, 1), whole.draw(20, 1)
    assert len(draw.test) == 25
    assert set(draw.test) < set(full.test)
    np.testing.assert_array_equal(draw.test, plan.draw(20, 1).test)
    assert not np.array_equal(draw.test, plan.draw(20, 0).test)


def test_info_helps_everybody(toy):
    plain = compare(toy, METRIC, epoch=10, predictors=["ridge@complexity"], n=40, seeds=1).records[0]
    for info in (["toy/loss"], ["toy/accuracy@10"], "toy/loss"):
        helped = compare(toy, METRIC, epoch=10, predictors=["ridge@complexity"], n=40, seeds=1, info=info).records[0]
        assert helped["kendall_tau"] > max(0.9, plain["kendall_tau"] + 0.1)


def test_the_spread_of_the_seeds_goes_to_predictors_that_make_use_of_it():
    table, metric = load_table("mnist1d_nasbench201"), "mnist1d/test_accuracy"
    usual = {"predictors": ["gp@adjacency", "ridge@adjacency"], "n": 30, "seeds": 1, "n_test": 50}
    plain, told = (compare(table, metric, seed_noise=noise, **usual).records for noise in (False, True))
    assert told[0]["crps"] != plain[0]["crps"]
    assert told[1]["crps"] == plain[1]["crps"]
    assert [record.get("seed_noise", False) for record in plain + told] == [False, False, True, True]
    train, _ = table.split(30, seed=0)
    outcomes = table.values(metric, seed="all")[train]
    by_hand = make_predictor("gp@adjacency").fit(
        table.architectures[train], outcomes.mean(axis=1), noise_std=standard_errors(outcomes)
    )
    forecast = ComparisonPlan(table, metric, seed_noise=True, **usual).forecast("gp@adjacency", 30, 0)
    np.testing.assert_allclose(forecast.mean, by_hand.predict(table.architectures[forecast.test]), rtol=1e-6)


def test_a_failing_predictor_is_named_and_finished_runs_are_kept(toy, tmp_path):
    path = tmp_path / "runs.jsonl"
    with pytest.raises(
        PredictorFailedError, match="'bad' failed at n = 20, seed = 0: RuntimeError: the well is dry"
    ) as caught:
        compare(
            toy, METRIC, predictors=[("good", Scripted()), ("bad", Scripted(mood="raise"))], n=20, seeds=2, cache=path
        )
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert [json.loads(line)["predictor"] for line in path.read_text().splitlines()] == ["good"]


def test_a_failure_in_another_process_is_named_too(toy):
    with pytest.raises(PredictorFailedError, match=r"predictor 'bad' failed at n = 20, seed = \d: RuntimeError"):
        compare(toy, METRIC, predictors=[("bad", predictor_of_a_script(broken=True))], n=20, seeds=2, n_jobs=2)


def test_a_predictor_that_cannot_leave_its_process_is_reported(toy):
    class Stuck(Scripted):
        def __getstate__(self):
            raise TypeError("I stay")

    with pytest.raises(PredictorFailedError, match="n_jobs=1 needs no other process"):
        compare(toy, METRIC, predictors=[Stuck()], n=20, seeds=2, n_jobs=2)


def test_a_forecast_that_is_no_number_is_a_failure(toy):
    with pytest.raises(PredictorFailedError, match="mean must be finite, got nan at position 3"):
        compare(toy, METRIC, predictors=[Scripted(mood="nan")], n=20, seeds=1)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n": 119}, InvalidDataError, r"n must leave 2 architectures to test on, got 119 of 1\d\d"),
        ({"n": 1}, InvalidDataError, "n must be integers of at least 2, got 1"),
        ({"n": []}, InvalidDataError, "n must hold at least one integer"),
        ({"n": [20, 20]}, InvalidDataError, "n must be distinct, got 20 twice"),
        ({"n": [20.5]}, InvalidDataError, "n must be integers of at least 2, got 20.5"),
        ({"seeds": 0}, InvalidDataError, "seeds must hold at least one integer"),
        ({"seeds": [-1]}, InvalidDataError, "seeds must be integers of at least 0, got -1"),
        ({"n_test": 5000}, InvalidDataError, r"n_test must not exceed the \d+ architectures left at n = 20, got 5000"),
        ({"n_jobs": 0}, InvalidDataError, "n_jobs must be a positive integer, or -1"),
        ({"predictors": []}, InvalidDataError, "expected at least one predictor"),
        ({"predictors": ["constant", "constant"]}, InvalidDataError, "predictor 'constant' comes twice"),
        ({"predictors": [3]}, InvalidDataError, "predictor 0 must be a name, a Predictor or .* got int"),
        ({"predictors": ["oracle"]}, UnknownNameError, "unknown predictor 'oracle'"),
        ({"predictors": ["gp@tea"]}, UnknownNameError, "unknown encoder 'tea'"),
        ({"test_metric": "toy/loss"}, InvalidDataError, "must have the same direction"),
        ({"test_metric": "toy/los"}, UnknownNameError, "no metric 'toy/los'"),
        ({"epoch": 3}, UnknownNameError, "has no epoch 3"),
        (
            {"info": ["toy/accuracy@x"]},
            InvalidDataError,
            "'metric@first:last' with integer epochs, got 'toy/accuracy@x'",
        ),
        ({"info": ["toy/nothing"]}, UnknownNameError, "no metric 'toy/nothing'"),
        ({"cache": "/nowhere/at/all/runs.jsonl"}, InvalidDataError, "folder of the run file .* does not exist"),
    ],
)
def test_bad_arguments_are_named(toy, change, error, message):
    usual = {"predictors": ["constant"], "n": 20, "seeds": 1}
    with pytest.raises(error, match=message):
        compare(toy, METRIC, **(usual | change))


def test_tables_are_found_by_path(table_path):
    assert compare(str(table_path), METRIC, predictors=["constant"], n=20, seeds=1).records[0]["table"] == "toy"


def test_unknown_label_of_a_forecast(toy):
    plan = ComparisonPlan(toy, METRIC, predictors=["constant"], n=20, seeds=1)
    with pytest.raises(UnknownNameError, match="no predictor 'gp' here, expected one of constant"):
        plan.forecast("gp", 20, 0)


def test_on_the_shipped_table():
    result = compare(
        "nasbench201", "cifar10/test_accuracy", epoch=200, predictors=["constant", "gp@adjacency"], n=78, seeds=3
    )
    assert isinstance(result, Comparison)
    assert np.isnan(result.interval("kendall_tau", "constant", 78).mean)
    assert 0.5 < result.interval("kendall_tau", "gp@adjacency", 78).mean < 0.7
    assert 0.8 < result.interval("coverage_90", "gp@adjacency", 78).mean < 1
