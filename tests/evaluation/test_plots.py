"""Plots: the right artists with the right data, and files that are pictures."""

import subprocess
import sys

import numpy as np
import pytest
from archcast.errors import InvalidDataError, UnknownNameError
from archcast.evaluation import Comparison, ComparisonPlan, Forecast
from archcast.evaluation.calibration import LEVELS, gaussian_quantiles
from archcast.evaluation.plots import plot_forecast, plot_measure, plot_reliability


@pytest.fixture
def comparison(toy):
    predictors = [("knn", "knn@adjacency"), ("ridge", "ridge@adjacency"), "constant"]
    plan = ComparisonPlan(toy, "toy/accuracy", epoch=10, predictors=predictors, n=[20, 40], seeds=3)
    return plan.run()


def forecast(n_test=2000, *, higher_is_better=True, spread=1.0, name="gp"):
    rng = np.random.default_rng(0)
    truth = 90 + rng.normal(size=n_test)
    truth[: n_test // 50] = 10  # failed trainings
    truth = truth if higher_is_better else -truth
    std = np.full(n_test, 0.5)
    mean = truth + std * rng.normal(size=n_test)
    rows = np.arange(n_test)
    return Forecast(
        predictor=name,
        metric="d/acc",
        unit="%",
        higher_is_better=higher_is_better,
        n=78,
        seed=3,
        train=rows[:0],
        test=rows,
        truth=truth,
        mean=mean,
        std=std * spread,
        levels=LEVELS,
        quantiles=gaussian_quantiles(mean, std * spread),
        fit_seconds=1.0,
        predict_seconds=1.0,
    )


def is_png(path):
    return path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 5_000


def test_measure_over_n(comparison, tmp_path):
    figure = plot_measure(comparison)
    axes = figure.axes[0]
    assert [line.get_label() for line in axes.lines] == ["knn", "ridge"]  # a constant has no rank correlation
    for line in axes.lines:
        assert line.get_xdata().tolist() == [20, 40]
        means = [comparison.interval("kendall_tau", line.get_label(), n).mean for n in (20, 40)]
        assert line.get_ydata().tolist() == pytest.approx(means)
    assert len(axes.collections) == 2
    low, high = (comparison.interval("kendall_tau", "knn", 40).__dict__[end] for end in ("low", "high"))
    corners = axes.collections[0].get_paths()[0].vertices
    assert {round(low, 9), round(high, 9)} <= set(np.round(corners[corners[:, 0] == 40, 1], 9))
    assert axes.get_ylabel() == "Kendall tau"
    assert axes.get_xlabel() == "training architectures"
    assert "toy: toy/accuracy, epoch 10" in axes.get_title(loc="left")
    assert "mean of 3 seeds, bands: 95 % confidence" in axes.get_title(loc="left")
    figure.savefig(tmp_path / "tau.png")
    assert is_png(tmp_path / "tau.png")
    assert [label.get_text() for label in axes.get_xticklabels()] == ["20", "40"]


def test_the_legend_lists_the_best_first(comparison):
    best = max(("knn", "ridge"), key=lambda p: comparison.interval("kendall_tau", p, 40).mean)
    texts = [text.get_text() for text in plot_measure(comparison).legends[0].get_texts()]
    assert texts[0] == best
    assert sorted(texts) == ["knn", "ridge"]


def test_other_measures_carry_their_unit(comparison):
    axes = plot_measure(comparison, "rmse").axes[0]
    assert axes.get_ylabel() == "RMSE (% points)"
    assert len(axes.lines) == 3
    with pytest.raises(UnknownNameError, match="unknown measure 'taste'"):
        plot_measure(comparison, "taste")


def test_a_measure_that_exists_for_nobody_is_refused(comparison):
    constant = Comparison([r for r in comparison.records if r["predictor"] == "constant"])
    with pytest.raises(InvalidDataError, match="'kendall_tau' exists for none of constant"):
        plot_measure(constant)


def test_many_predictors_stay_apart(comparison):
    first = comparison.records[0]
    records = [first | {"predictor": f"p{i}", "n": n, "kendall_tau": 0.5} for i in range(20) for n in (20, 40)]
    lines = plot_measure(Comparison(records)).axes[0].lines
    assert len({(line.get_color(), line.get_linestyle(), line.get_marker()) for line in lines}) == 20


def test_forecast_against_truth_as_density(tmp_path):
    one = forecast()
    figure = plot_forecast(one)
    axes = figure.axes[0]
    assert axes.get_xlabel() == "true d/acc (%)"
    assert axes.get_ylabel() == "forecast (%)"
    assert "gp, 78 training architectures (seed 3)" in axes.get_title(loc="left")
    assert "Kendall tau 0.7" in axes.get_title(loc="left")
    assert "over 2,000 others" in axes.get_title(loc="left")
    assert "(40 far worse ones lie outside the axes)" in axes.get_title(loc="left")
    hexagons = axes.collections[0]
    assert hexagons.get_array().sum() == 2000 - 40
    assert figure.axes[1].get_ylabel() == "architectures in a cell"
    low, high = axes.get_xlim()
    assert axes.get_ylim() == (low, high)
    assert 80 < low < high
    assert max(one.truth.max(), one.mean.max()) < high
    figure.savefig(tmp_path / "f.png")
    assert is_png(tmp_path / "f.png")


def test_lower_is_better_keeps_the_lowest_in_view():
    one = forecast(higher_is_better=False)
    low, high = plot_forecast(one).axes[0].get_xlim()
    assert low < min(one.truth.min(), one.mean.min())
    assert high < -80


def test_few_architectures_get_error_bars():
    one = forecast(100)
    axes = plot_forecast(one).axes[0]
    (container,) = axes.containers
    segments = container.lines[2][0].get_segments()
    assert len(segments) == 100
    # Central 70 %: Phi^-1(0.85) = 1.0364 deviations to each side.
    assert segments[5][1][1] - segments[5][0][1] == pytest.approx(2 * 1.0364334 * 0.5)
    assert container.lines[0].get_xdata().tolist() == one.truth.tolist()


def test_missing_truth_is_left_out():
    one = forecast(100)
    one.truth[:30] = np.nan
    assert "over 70 others" in plot_forecast(one).axes[0].get_title(loc="left")
    one.truth[:99] = np.nan
    with pytest.raises(InvalidDataError, match="expected at least 2 known true values to draw, got 1"):
        plot_forecast(one)


def test_reliability(tmp_path):
    honest, bold = forecast(name="honest"), forecast(spread=0.2, name="bold")
    figure = plot_reliability([honest, bold])
    axes = figure.axes[0]
    diagonal, first, second = axes.lines
    assert diagonal.get_label() == "calibrated"
    assert first.get_xdata().tolist() == pytest.approx((100 * LEVELS).tolist())
    assert np.abs(first.get_ydata() - first.get_xdata()).max() < 5
    assert second.get_ydata()[1] > 30  # at level 10 %: too sure of itself
    assert second.get_ydata()[-2] < 70  # at level 90 %
    assert first.get_label().startswith("honest, n = 78 (mean distance ")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [line.get_label() for line in axes.lines]
    assert axes.get_xlabel() == "level of the forecast's quantile (%)"
    figure.savefig(tmp_path / "r.png")
    assert is_png(tmp_path / "r.png")
    assert len(plot_reliability(honest).axes[0].lines) == 2
    with pytest.raises(InvalidDataError, match="expected at least one forecast"):
        plot_reliability([])


def test_matplotlib_is_loaded_by_drawing_only():
    code = "import sys, archcast.evaluation, archcast.evaluation.plots; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
