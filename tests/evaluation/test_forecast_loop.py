"""`ForecastLoop`: forecasts are made before the fact, trainings are never wasted, and reports say what came of it."""

import json
import math

import archcast as ac
import numpy as np
import pytest
from archcast.benchmarks_data import Column, MetricInfo, write_table
from archcast.errors import InvalidDataError, UnknownNameError
from archcast.evaluation import ForecastLoop
from archcast.evaluation.forecast_report import ForecastReport, Trained
from archcast.predictors import make_predictor
from archcast.tools.commands.outputs import plain
from archcast.trainers import CallableTrainer, Journal

SPACE = ac.get_space("nasbench201")
WEIGHTS = np.array([3.0, 1.7, 2.3, 0.9, 1.3, 2.9])
FAST = {"predictor": "bayesian_linear@adjacency", "searcher": "random"}


def truth(architecture):
    return float(WEIGHTS @ architecture.genotype) / 50


class Trains:
    """A training whose outcome follows from the genes, and which counts how often it was asked."""

    def __init__(self, metric="valid/accuracy", change=None):
        self.metric, self.change, self.asked = metric, change, []

    def __call__(self, architecture, fidelity, seed, report):
        self.asked.append((str(architecture), seed))
        value = truth(architecture) + seed / 100
        if self.change is not None:
            value = self.change(len(self.asked), value)
        return {self.metric: value}


def loop(function=None, budget=8, **options):
    function = function if function is not None else Trains(options.get("metric", "valid/accuracy"))
    return ForecastLoop(
        options.pop("space", SPACE), CallableTrainer(function), budget, task="toy", **{**FAST, **options}
    )


@pytest.fixture(scope="module")
def report():
    return loop(initial=4).run()


def test_begins_with_a_design():
    found = loop(initial=4, budget=4, initial_design="variance", seed=2).run()
    expected = ac.design(SPACE, 4, 2, name="variance").strings()
    assert [item.architecture for item in found.trained] == expected
    with pytest.raises(UnknownNameError, match="unknown design 'best'"):
        loop(initial_design="best")


def test_each_forecast_knows_only_what_was_trained_before(report):
    values = [truth(SPACE.parse([item.architecture])[0]) for item in report.trained]
    np.testing.assert_allclose([item.value for item in report.trained], values)
    assert [item.picked for item in report.trained] == [False] * 4 + [True] * 4
    assert all(item.forecast is None for item in report.trained[:4])
    batch = SPACE.parse([item.architecture for item in report.trained])
    for k in range(4, 8):
        fitted = make_predictor(FAST["predictor"], seed=0).fit(batch[:k], np.array(values[:k]))
        mean, std = fitted.predict(batch[k : k + 1], return_std=True)
        low, high = fitted.predict_quantiles(batch[k : k + 1], [0.05, 0.95])[0]
        item = report.trained[k]
        np.testing.assert_allclose([item.forecast, item.std, item.low, item.high], [mean[0], std[0], low, high])


def test_later_outcomes_change_no_earlier_forecast(report):
    changed = loop(Trains(change=lambda number, value: value if number < 6 else -value), initial=4).run()
    assert changed.trained[:5] == tuple(
        Trained(**{**vars(item), "seconds": other.seconds})
        for item, other in zip(report.trained[:5], changed.trained, strict=False)
    )
    assert changed.trained[5].forecast == report.trained[5].forecast
    assert changed.trained[5].value == -report.trained[5].value
    assert changed.trained[6].std != report.trained[6].std


def test_forecasts_of_a_batch_know_nothing_of_each_other():
    found = loop(initial=3, batch=4, budget=8).run()
    batch = SPACE.parse([item.architecture for item in found.trained])
    values = np.array([item.value for item in found.trained])
    for start, stop in ((3, 7), (7, 8)):  # the last batch is what the budget leaves
        fitted = make_predictor(FAST["predictor"], seed=0).fit(batch[:start], values[:start])
        forecasts = [item.forecast for item in found.trained[start:stop]]
        np.testing.assert_allclose(forecasts, fitted.predict(batch[start:stop]))


def test_seeds_are_averaged_and_nothing_is_trained_twice():
    function, seen = Trains(), []
    found = loop(function, 5, seeds=(0, 4)).run(on_trained=seen.append)
    assert len(function.asked) == len(set(function.asked)) == 10
    assert tuple(seen) == found.trained
    for item in found.trained:
        assert item.value == pytest.approx(truth(SPACE.parse([item.architecture])[0]) + 0.02)


def test_a_journal_gives_the_same_picks(tmp_path, report):
    class StopError(Exception):
        pass

    def stop(item):
        if item.architecture == report.trained[5].architecture:
            raise StopError

    first, second = Trains(), Trains()
    with Journal(tmp_path / "a.journal") as journal, pytest.raises(StopError):
        loop(first, initial=4).run(journal=journal, on_trained=stop)
    with Journal(tmp_path / "a.journal") as journal:
        found = loop(second, initial=4).run(journal=journal)
    assert [cell for cell, _ in first.asked + second.asked] == [item.architecture for item in report.trained]
    for item, other in zip(found.trained, report.trained, strict=True):
        assert Trained(**{**vars(item), "seconds": other.seconds}) == other


def test_lower_may_be_better():
    found = loop(metric="valid/loss", budget=6, searcher="auto", predictor="gp@semantic").run()
    assert not found.higher_is_better
    values = [item.value for item in found.trained]
    assert found.best.value == min(values)
    assert found.measures()["gain"] == pytest.approx(min(values[:3]) - min(values[3:]))
    forecasts = [item.forecast for item in found.promising]
    assert forecasts == sorted(forecasts)
    assert len(found.promising) == 5
    assert not {item.architecture for item in found.promising} & {item.architecture for item in found.trained}
    assert all((item.chance > 0.5) == (item.forecast < found.best.value) for item in found.promising)


@pytest.mark.parametrize("initial", [4, 12, None])
def test_a_tiny_space_is_trained_whole(initial):
    space = ac.get_space("cell", nodes=3, operations=["skip_connect", "nor_conv_3x3"])
    classes = len(np.unique(space.enumerate().keys()))

    def train(architecture, fidelity, seed, report):
        return {"valid/accuracy": sum(architecture.genotype) / 3}

    found = loop(train, 30, space=space, initial=initial).run()
    assert len(found.trained) == len({item.architecture for item in found.trained}) == classes
    assert found.promising == ()
    assert found.best.value == 1.0


def test_failing_trainings_are_part_of_the_report():
    def train(architecture, fidelity, seed, report):
        if architecture.genotype[5] < 2:
            raise ValueError("no class 7")
        return {"valid/accuracy": truth(architecture)}

    found = loop(train, 14, initial=8).run()
    failed = [item for item in found.trained if item.status == "failed"]
    assert failed
    assert all(item.value is None and item.message == "ValueError: no class 7" for item in failed)
    assert len(found.judged) == sum(item.picked and item.value is not None for item in found.trained)
    assert str(found).count("failed") == len(failed)


def test_where_all_trainings_fail_there_is_a_report():
    def train(architecture, fidelity, seed, report):
        raise ValueError("no data")

    found = loop(train, 5).run()
    assert (len(found.trained), found.best, found.best_forecast, found.promising) == (5, None, None, ())
    assert [item.picked for item in found.trained] == [False] * 3 + [True] * 2
    assert all(math.isnan(value) for value in found.measures().values())
    assert "no training finished" in str(found)
    assert found.plot().axes
    with pytest.raises(InvalidDataError, match="no training finished"):
        found.standing(ac.load_table("nasbench201"), "cifar10/test_accuracy", 200)
    json.dumps(plain(found.to_dict()), allow_nan=False)


def test_equal_outcomes_teach_nothing():
    found = loop(lambda *_: {"valid/accuracy": 0.5}, 5).run()
    assert [(item.picked, item.forecast) for item in found.trained[3:]] == [(True, None)] * 2
    assert found.judged == []
    assert found.measures()["gain"] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": 2}, "'budget' of a forecast must be an integer of at least 3, got 2"),
        ({"budget": "20"}, "'budget' of a forecast must be an integer of at least 3, got '20'"),
        ({"budget": True}, "got True"),
        ({"budget": 5.5}, "got 5.5"),
        ({"initial": 2}, "'initial' of a forecast must be an integer of at least 3, got 2"),
        ({"initial": 9}, "the budget of 8 architectures is less than the 9 that are drawn at first"),
        ({"batch": 0}, "'batch' of a forecast must be an integer of at least 1, got 0"),
        ({"seed": -1}, "'seed' of a forecast must be an integer of at least 0, got -1"),
        ({"metric": "valid/foo"}, "whether higher or lower is better for 'valid/foo' does not follow from its name"),
    ],
)
def test_parameters_are_checked(options, message):
    with pytest.raises(InvalidDataError, match=message):
        loop(Trains(), **options)


def test_names_are_checked():
    with pytest.raises(UnknownNameError, match="unknown predictor 'gb'"):
        loop(predictor="gb")
    with pytest.raises(UnknownNameError, match="unknown searcher 'bro'"):
        loop(searcher="bro")
    with pytest.raises(InvalidDataError, match="distinct seeds"):
        loop(seeds=(1, 1)).run()


def test_a_missing_metric_costs_one_training():
    function = Trains("valid/accuracy")
    with pytest.raises(InvalidDataError, match="no curve 'valid/error', expected one of valid/accuracy"):
        loop(function, 8, metric="valid/error").run()
    assert len(function.asked) == 1


# ---- the report -----------------------------------------------------------------------------------------------------

CELLS = SPACE.sample(5, seed=0).strings()


def made(higher=True):
    """Two drawn, three picked, of which one failed."""
    rows = [
        Trained(CELLS[0], False, 0.5, "finished", seconds=1),
        Trained(CELLS[1], False, 0.7, "finished", seconds=2),
        Trained(CELLS[2], True, 0.8, "finished", "", 3, 0.6, 0.1, 0.5, 0.7),
        Trained(CELLS[3], True, None, "diverged", "valid/loss is nan", 4, 0.9, 0.1, 0.8, 1.0),
        Trained(CELLS[4], True, 0.6, "finished", "", 5, 0.65, 0.1, 0.55, 0.75),
    ]
    return ForecastReport("nasbench201", "[bold]", "valid/accuracy", higher, "gp", "auto", (0,), tuple(rows), None, ())


def test_measures_by_hand():
    found = made().measures()
    assert found == {
        "kendall_tau": pytest.approx(-1),
        "mae": pytest.approx((0.2 + 0.05) / 2),
        "coverage": 0.5,
        "gain": pytest.approx(0.1),
    }
    assert made().best.architecture == CELLS[2]
    assert made(higher=False).best.architecture == CELLS[0]
    assert made(higher=False).measures()["gain"] == pytest.approx(0.5 - 0.6)
    assert [item.architecture for item in made().judged] == [CELLS[2], CELLS[4]]


def test_what_is_said():
    text = str(made())
    assert "2 forecasts made before training: Kendall tau with the outcome -1" in text
    assert "50% of outcomes inside the 90 % interval" in text
    assert f"best found: {CELLS[2]}" in text
    assert "the best picked less the best drawn at random: +0.1" in text
    assert "diverged" in text


def test_brackets_of_a_notation_are_printed():
    item = Trained("cell[red]x[/red]", False, 0.5, "finished")
    found = ForecastReport("s", "t", "valid/accuracy", True, "gp", "auto", (0,), (item,), None, ())
    assert str(found).count("cell[red]x[/red]") == 2


def test_json_is_strict(report):
    content = json.loads(json.dumps(plain(made().to_dict()), allow_nan=False))
    assert content["best"]["architecture"] == CELLS[2]
    assert [item["value"] for item in content["trained"]] == [0.5, 0.7, 0.8, None, 0.6]
    json.dumps(plain(report.to_dict()), allow_nan=False)


def test_standing_in_a_table(tmp_path):
    values = np.array([90.0, 91.0, 92.0, np.nan, 95.0])
    columns = [Column(MetricInfo("toy/accuracy"), values), Column(MetricInfo("toy/loss", direction="lower"), -values)]
    table = ac.load_table(write_table(tmp_path / "toy.h5", SPACE, SPACE.parse(CELLS), columns, about={"name": "toy"}))
    for metric, sign in (("toy/accuracy", 1), ("toy/loss", -1)):
        found = made().standing(table, metric)
        assert (found.value, found.best, found.better, found.rows) == (sign * 92.0, sign * 95.0, 1, 5)
    best = Trained(CELLS[3], False, 0.9, "finished")
    alone = ForecastReport("nasbench201", "t", "valid/accuracy", True, "gp", "auto", (0,), (best,), None, ())
    with pytest.raises(InvalidDataError, match="has no toy/accuracy of"):
        alone.standing(table, "toy/accuracy")


def test_the_plot_shows_forecasts_and_the_best_so_far():
    left, right = made().plot().axes
    (bars,) = left.containers
    np.testing.assert_allclose(bars.lines[0].get_xdata().astype(float), [0.8, 0.6])
    np.testing.assert_allclose(bars.lines[0].get_ydata().astype(float), [0.6, 0.65])
    np.testing.assert_allclose(right.lines[2].get_ydata(), [0.5, 0.7, 0.8, 0.8, 0.8])
    np.testing.assert_allclose(made(higher=False).plot().axes[1].lines[2].get_ydata(), [0.5] * 5)
