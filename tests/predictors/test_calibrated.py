"""Recalibration: coverage on new data, what the maps do by hand, and a wrapper that leaves the ranking alone."""

import archcast as ac
import numpy as np
import pytest
from archcast.errors import InvalidDataError, UnknownNameError
from archcast.predictors import make_predictor
from archcast.predictors.calibrated import CalibratedPredictor
from archcast.predictors.recalibration import METHODS, Recalibration
from scipy.special import ndtri
from scipy.stats import norm


def coverage(recalibration, residuals, percent):
    low, high = recalibration(ndtri(np.array([0.5 - percent / 200, 0.5 + percent / 200])))
    return np.mean((low <= residuals) & (residuals <= high))


@pytest.mark.parametrize("percent", [50, 80, 95])
@pytest.mark.parametrize("method", ["conformal", "isotonic"])
@pytest.mark.parametrize("tails", ["wide", "heavy", "lopsided"])
def test_intervals_cover_what_they_say(method, tails, percent):
    rng = np.random.default_rng(0)
    draw = {
        "wide": lambda n: 0.4 * rng.normal(size=n),
        "heavy": lambda n: 0.5 * rng.standard_t(3, size=n),
        "lopsided": lambda n: np.where(rng.uniform(size=n) < 0.5, -1.2, 0.4) * np.abs(rng.normal(size=n)),
    }[tails]
    found = [coverage(Recalibration.learn(method, draw(400)), draw(4000), percent) for _ in range(10)]
    assert np.mean(found) == pytest.approx(percent / 100, abs=0.02)


def test_isotonic_knows_left_from_right():
    rng = np.random.default_rng(0)
    residuals = np.where(np.arange(1000) % 2, -1.0, 0.2) * np.abs(rng.normal(size=1000))
    low, high = Recalibration.learn("isotonic", residuals)(ndtri(np.array([0.1, 0.9])))
    assert -low > 3 * high
    low, high = Recalibration.learn("conformal", residuals)(ndtri(np.array([0.1, 0.9])))
    assert -low == pytest.approx(high)


def test_conformal_half_widths_are_order_statistics():
    residuals = np.array([0.5, -1.0, 2.0] * 500)
    recalibration = Recalibration.learn("conformal", residuals)
    share = 1500 / 1520
    expected = share * 1.0 + (1 - share) * recalibration.scale * ndtri(0.75)
    assert recalibration(ndtri(np.array([0.75])))[0] == pytest.approx(expected, rel=1e-6)
    assert recalibration.scale == pytest.approx(np.sqrt((np.sum(residuals**2) + 20) / 1520))


@pytest.mark.parametrize("method", METHODS)
def test_nothing_left_out_changes_nothing_and_little_changes_little(method):
    scores = ndtri(np.array([0.01, 0.3, 0.5, 0.9, 0.999]))
    np.testing.assert_allclose(Recalibration.learn(method, np.zeros(0))(scores), scores)
    few = Recalibration.learn(method, 0.1 * norm.rvs(size=10, random_state=0))
    assert 0.4 < few.deviation < 0.95


@pytest.mark.parametrize("method", METHODS)
def test_quantiles_rise_strictly_through_the_median(method):
    for residuals in (np.full(30, 0.7), np.zeros(30), norm.rvs(size=11, random_state=1), np.r_[np.zeros(20), 9.0]):
        found = Recalibration.learn(method, residuals)(np.linspace(-4, 4, 81))
        assert (np.diff(found) > 0).all()
        assert found[40] == pytest.approx(0, abs=1e-12)


# ---- the predictor -----------------------------------------------------------------------------------------------


def test_a_forecaster_that_is_too_cautious_is_corrected_and_ranks_as_before():
    table = ac.load_table("nasbench201")
    y = table.values("cifar10/test_accuracy", epoch=200)
    train, test = table.split(300, seed=0)
    architectures, test = table.architectures, test[:1500]
    plain = make_predictor("knn@semantic").fit(architectures[train], y[train])
    calibrated = make_predictor("calibrated:knn@semantic").fit(architectures[train], y[train])
    np.testing.assert_array_equal(calibrated.predict(architectures[test]), plain.predict(architectures[test]))
    levels = [0.025, 0.1, 0.25, 0.75, 0.9, 0.975]
    for percent, low, high in ((50, 2, 3), (80, 1, 4), (95, 0, 5)):
        errors = []
        for model in (plain, calibrated):
            quantiles = model.predict_quantiles(architectures[test], levels)
            inside = (quantiles[:, low] <= y[test]) & (y[test] <= quantiles[:, high])
            errors.append(abs(inside.mean() - percent / 100))
        assert errors[1] < 0.04
        assert errors[1] < errors[0] + 0.005


def test_the_name_of_the_other_predictor_follows_a_colon(tmp_path):
    named = make_predictor("calibrated:ridge@path", method="isotonic", seed=3)
    assert (named.predictor, named.encoder, named.method) == ("ridge", "path", "isotonic")
    with pytest.raises(UnknownNameError, match="did you mean 'ridge'"):
        make_predictor("calibrated:rigde")
    with pytest.raises(InvalidDataError, match="'ridge' has no parameter 'predictor'"):
        make_predictor("ridge:gp")


def test_around_a_mixture_and_around_an_object(tmp_path):
    space = ac.get_space("nasbench201")
    train, test = space.sample(40, seed=0), space.sample(20, seed=1)
    y = train.genotypes.sum(axis=1) + np.random.default_rng(0).normal(size=40)
    mixture = make_predictor("auto", candidates=("ridge@path", "knn@adjacency"))
    for predictor in (mixture, make_predictor("knn@path", n_neighbors=3)):
        calibrated = CalibratedPredictor(predictor=predictor).fit(train, y)
        alone = predictor.fit(train, y)
        np.testing.assert_allclose(calibrated.predict(test), alone.predict(test))
        assert [r["candidate"] for r in calibrated.report_] == [r["candidate"] for r in alone.report_]
        calibrated.save(tmp_path / "m")
        np.testing.assert_array_equal(ac.load_predictor(tmp_path / "m").predict(test), calibrated.predict(test))


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"method": "platt"}, "method must be one of scale, conformal, isotonic, got 'platt'"),
        ({"predictor": 3}, "predictor must be a name or a Predictor, got int"),
        ({"folds": 1}, "folds must be a whole number from 2, got 1"),
    ],
)
def test_bad_parameters(parameters, said):
    with pytest.raises(InvalidDataError, match=said):
        CalibratedPredictor(**parameters).fit(np.eye(12), np.arange(12.0))
