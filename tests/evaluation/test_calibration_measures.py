"""Calibration measures against integrals, closed cases and simulation."""

import numpy as np
import pytest
from archcast.errors import InvalidDataError
from archcast.evaluation import calibration as c
from archcast.evaluation import metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

checks = settings(deadline=None, max_examples=40)


@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0.05, 5))
@checks
def test_crps_is_the_integral_of_its_definition(y, mean, std):
    """CRPS = integral of (F(x) - [x >= y])^2 dx."""
    below, _ = integrate.quad(lambda x: stats.norm.cdf(x, mean, std) ** 2, mean - 12 * std - 10, y, limit=200)
    above, _ = integrate.quad(lambda x: stats.norm.sf(x, mean, std) ** 2, y, mean + 12 * std + 10, limit=200)
    assert c.gaussian_crps([y], [mean], [std]) == pytest.approx(below + above, abs=1e-6)


def test_crps_by_hand():
    # At the mean: s (2 phi(0) - 1 / sqrt(pi)) = s (sqrt(2) - 1) / sqrt(pi).
    assert c.gaussian_crps([3.0], [3.0], [2.0]) == pytest.approx(2 * (2**0.5 - 1) / np.pi**0.5)
    assert c.gaussian_crps([3.0, 1.0], [2.5, 3.0], [0.0, 0.0]) == pytest.approx(1.25)  # the absolute error
    assert c.gaussian_crps([3.0], [2.5], [1e-12]) == pytest.approx(0.5)


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9), st.floats(0.01, 9)), min_size=1, max_size=9))
@checks
def test_nll_is_the_mean_log_density(rows):
    truth, mean, std = (np.array(column) for column in zip(*rows, strict=True))
    assert c.gaussian_nll(truth, mean, std) == pytest.approx(-np.mean(stats.norm.logpdf(truth, mean, std)))


def test_nll_of_a_point_mass_is_undefined():
    assert np.isnan(c.gaussian_nll([1.0, 2.0], [1.0, 2.0], [0.0, 1.0]))


@given(st.floats(0.1, 10), st.floats(-5, 5))
@checks
def test_scores_follow_the_unit(scale, shift):
    truth, mean, std = np.array([1.0, 2.0, 4.0]), np.array([1.5, 2.0, 3.0]), np.array([0.5, 1.0, 2.0])
    moved = truth * scale + shift, mean * scale + shift, std * scale
    assert c.gaussian_crps(*moved) == pytest.approx(scale * c.gaussian_crps(truth, mean, std))
    assert c.gaussian_nll(*moved) == pytest.approx(c.gaussian_nll(truth, mean, std) + np.log(scale))
    assert c.sharpness(moved[2]) == pytest.approx(scale * c.sharpness(std))
    curve, moved_curve = (c.calibration_error(t, c.gaussian_quantiles(m, s)) for t, m, s in ((truth, mean, std), moved))
    assert moved_curve == pytest.approx(curve)


def test_coverage_by_hand():
    assert c.coverage([1.0, 2.0, 3.0, 4.0], [1.0, 0.0, 3.5, 0.0], [1.0, 1.9, 4.0, 9.0]) == 0.5
    with pytest.raises(InvalidDataError, match=r"got \[2.0, 1.0\] at position 1"):
        c.coverage([1.0, 1.0], [0.0, 2.0], [1.0, 1.0])


def test_sharpness_is_the_root_mean_square():
    assert c.sharpness([3.0, 4.0]) == pytest.approx(12.5**0.5)


def test_curve_and_error_by_hand():
    levels, observed = c.calibration_curve([1.0, 2.0, 3.0, 4.0], [[0.5, 3.5]] * 4, [0.2, 0.8])
    assert levels.tolist() == [0.2, 0.8]
    assert observed.tolist() == [0.0, 0.75]
    assert c.calibration_error([1.0, 2.0, 3.0, 4.0], [[0.5, 3.5]] * 4, [0.2, 0.8]) == pytest.approx(0.125)


def test_a_true_model_is_calibrated_and_a_false_one_is_not():
    rng = np.random.default_rng(0)
    mean, std = rng.normal(size=20_000), rng.uniform(0.5, 2, size=20_000)
    truth = mean + std * rng.normal(size=20_000)
    honest = metrics.evaluate(truth, mean, std, higher_is_better=True)
    assert honest["calibration_error"] < 0.01
    assert honest["coverage_90"] == pytest.approx(0.9, abs=0.01)
    assert honest["coverage_50"] == pytest.approx(0.5, abs=0.015)
    assert honest["interval_width_90"] == pytest.approx(2 * 1.6448536 * std.mean())
    timid, bold = (metrics.evaluate(truth, mean, std * f, higher_is_better=True) for f in (3, 1 / 3))
    assert bold["coverage_90"] < 0.5
    assert timid["coverage_90"] > 0.99
    for other in (timid, bold):
        assert other["calibration_error"] > 0.1
        assert other["nll"] > honest["nll"]
        assert other["crps"] > honest["crps"]


def test_given_quantiles_replace_the_gaussian_ones():
    truth = np.array([1.0, 2.0, 3.0])
    quantiles = truth[:, None] + np.array([-1.0, -0.25, 0.5, 1.0])
    result = metrics.evaluate(
        truth, truth, np.ones(3), quantiles, [0.05, 0.25, 0.75, 0.95], higher_is_better=True, ks=(1,)
    )
    assert result["coverage_50"] == result["coverage_90"] == 1.0
    assert result["interval_width_90"] == pytest.approx(2.0)
    narrow = metrics.evaluate(truth, truth, np.ones(3), quantiles[:, 1:3], [0.25, 0.75], higher_is_better=True, ks=(1,))
    assert np.isnan(narrow["coverage_90"])  # the levels do not reach that far
    between = metrics.evaluate(
        truth, truth, np.ones(3), quantiles[:, [0, 3]], [0.01, 0.99], higher_is_better=True, ks=(1,)
    )
    assert between["interval_width_90"] == pytest.approx(2 * 0.9 / 0.98)  # linear between the given levels


@pytest.mark.parametrize("levels", [[0.0, 0.5], [0.5, 1.0], [0.5, 0.4], [0.5, 0.5], [], [np.nan]])
def test_bad_levels_are_named(levels):
    with pytest.raises(InvalidDataError, match="levels must increase strictly between 0 and 1"):
        c.check_levels(levels)


def test_quantiles_must_be_finite():
    with pytest.raises(InvalidDataError, match=r"quantiles must be finite, got nan at position \(1, 0\)"):
        c.calibration_error([1.0, 2.0], [[1.0], [np.nan]], [0.5])
