"""Extrapolators one by one: what they know of curves, and how they do on real ones."""

import numpy as np
import pytest
from archcast.benchmarks_data import load_table
from archcast.errors import InvalidDataError
from archcast.predictors.curves import make_extrapolator
from archcast.predictors.curves.base import typical_distance
from archcast.predictors.curves.correction import Correction
from archcast.predictors.curves.epoch_process import EpochProcess
from archcast.predictors.curves.families import FAMILIES, shape_grid
from archcast.predictors.curves.features import CURVE_FEATURES, FeatureExtrapolator, curve_features
from archcast.predictors.curves.parametric import ParametricExtrapolator, Prior, condition
from scipy.stats import kendalltau, multivariate_t


def power(final, change, exponent, epochs, noise=0.0, seed=0):
    times = np.asarray(epochs) / epochs[-1]
    wiggle = np.random.default_rng(seed).normal(0, noise, len(epochs)) if noise else 0
    return final + change * (times**-exponent - 1) + wiggle


def test_typical_distance_is_not_moved_by_a_diverged_training():
    assert typical_distance(np.random.default_rng(0).normal(0, 2, 4000)) == pytest.approx(2, rel=0.05)
    assert typical_distance(np.array([1.0, 2, 3, 4, 1e9])) < 2
    assert typical_distance(np.ones(5)) == 0


# ---- parametric families -------------------------------------------------------------------------------------------


def test_shapes_go_from_one_to_zero():
    for epochs in (range(1, 51), (1, 3, 9, 27), (12, 200)):
        shapes, weights = shape_grid(list(FAMILIES), epochs)
        np.testing.assert_allclose(shapes[:, 0], 1)
        np.testing.assert_allclose(shapes[:, -1], 0, atol=1e-12)
        assert np.isfinite(shapes).all()
        assert np.exp(weights).sum() == pytest.approx(1)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_each_family_forecasts_its_own_members(family):
    epochs = range(1, 31)
    shapes, _ = shape_grid([family], epochs)
    curves = 90 - 20 * shapes
    mean, std = ParametricExtrapolator(scale=5.0).fit(np.empty((0, 30))).predict(curves[:, :15], return_std=True)
    assert (np.abs(mean - 90) < 4 * std + 0.05).mean() > 0.8
    assert np.abs(mean - 90).mean() < np.abs(curves[:, 14] - 90).mean() + 1e-3


def test_forecasts_of_power_laws():
    epochs = range(1, 31)
    batch = np.stack([power(90 + k, -(3 + k), 0.5, epochs, noise=0.05, seed=k) for k in range(6)])
    alone = make_extrapolator("power_law", scale=5.0).fit(np.empty((0, 30)), epochs)
    for seen, tolerance in ((5, 3.0), (12, 1.0), (25, 0.3)):
        mean, std = alone.predict(batch[:, :seen], return_std=True)
        assert np.abs(mean - batch[:, -1]).max() < tolerance
        assert (np.abs(mean - batch[:, -1]) < 4 * std).all()
    early, late = (alone.predict(batch[:, :seen], return_std=True)[1] for seen in (4, 20))
    assert (late < early).all()
    mean, std = alone.predict(np.full((1, 9), 70.0), return_std=True)  # a flat curve stays
    assert mean[0] == pytest.approx(70, abs=0.01)
    assert std[0] < 1


def test_evidence_is_the_density_of_the_curve():
    """The marginal likelihood of a normal-inverse-gamma model is a multivariate t density."""
    rng = np.random.default_rng(0)
    slopes = np.array([[1.0, 0.6, 0.3], [1.0, 0.5, 0.2]])
    precision = np.tile(np.diag([0.5, 2.0]), (2, 1, 1))
    prior = Prior(rng.normal(size=(2, 2)), precision, 2.0, np.array([0.3, 0.7]), np.log([0.5, 0.5]), 0.0)
    y = rng.normal(size=(4, 3))
    belief = condition(prior, slopes, y)
    densities = np.empty((4, 2))
    for g in range(2):
        X = np.stack([np.ones(3), slopes[g]], axis=1)
        scale = prior.rate[g] / prior.shape * (np.eye(3) + X @ np.linalg.inv(precision[g]) @ X.T)
        densities[:, g] = multivariate_t(X @ prior.mean[g], scale, df=2 * prior.shape).logpdf(y)
    difference = belief.evidence - densities
    np.testing.assert_allclose(difference, difference[0, 0])


def test_complete_curves_say_what_is_typical():
    """Curves that all end up 30 higher than after two epochs: seen before, it is forecast again."""
    rng = np.random.default_rng(1)
    late = 1 / (1 + np.exp(-(np.arange(20) - 10) / 2))
    curves = rng.normal(50, 2, (40, 1)) + 30 * late + rng.normal(0, 0.2, (40, 20))
    learned = ParametricExtrapolator().fit(curves[:20]).predict(curves[20:, :3])
    stays = ParametricExtrapolator(learn=False, scale=5.0).fit(np.empty((0, 20))).predict(curves[20:, :3])
    assert np.abs(learned - curves[20:, -1]).mean() < 2
    assert np.abs(stays - curves[20:, -1]).mean() > 20


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"families": ["pow3", "pow5"]}, r"families must be some of pow3, .*, got \['pow5'\]"),
        ({"families": []}, "families must be some of"),
        ({"scale": -1.0}, "scale must be a positive number, got -1.0"),
    ],
)
def test_bad_parameters(parameters, said):
    with pytest.raises(InvalidDataError, match=said):
        ParametricExtrapolator(**parameters).fit(np.empty((0, 5)))


# ---- the process over epochs ---------------------------------------------------------------------------------------


def test_the_leading_block_is_the_factor_of_the_beginning():
    curves = np.stack([power(90 + k % 5, -(3 + k % 7), 0.5, range(1, 13), noise=0.1, seed=k) for k in range(30)])
    process = EpochProcess().fit(curves)
    K = process._covariance(process.parameters_) * (1 + 1 / 30) * process.scale_**2
    gain = np.linalg.solve(K[:4, :4], K[:4, -1])
    mean, std = process._extrapolate(curves[:, :4])
    expected = curves.mean(axis=0)
    np.testing.assert_allclose(mean, expected[-1] + (curves[:, :4] - expected[:4]) @ gain, rtol=1e-8)
    np.testing.assert_allclose(std, np.sqrt(K[-1, -1] - K[-1, :4] @ gain), rtol=1e-6)


def test_a_diverged_training_does_not_move_the_others():
    curves = np.stack([power(5 + k % 4, 3 + k % 3, 0.7, range(1, 11), noise=0.02, seed=k) for k in range(30)])
    spoilt = np.concatenate([curves[:20], np.full((1, 10), 1e6)])
    clean = EpochProcess().fit(curves[:20], higher_is_better=False).predict(curves[20:, :4])
    moved = EpochProcess().fit(spoilt, higher_is_better=False).predict(curves[20:, :4])
    assert np.abs(moved - clean).max() < 0.5


# ---- corrections and features --------------------------------------------------------------------------------------


def test_a_model_that_knows_nothing_is_not_believed():
    rng = np.random.default_rng(0)
    last, final = np.zeros(200), rng.normal(0, 1, 200)
    useless, useful = rng.normal(0, 1, 200), final + rng.normal(0, 0.1, 200)
    assert Correction.learn(last, useless, np.ones(200), final).share < 0.3
    assert Correction.learn(last, useful, np.ones(200), final).share == pytest.approx(1, abs=0.05)
    wide = Correction.learn(last, final + 3, np.full(200, 0.5), final + 1)
    assert wide.apply(np.zeros(1), np.full(1, 5.0), np.ones(1))[0][0] == pytest.approx(3, abs=0.2)


def test_curve_features_by_hand():
    features = dict(zip(CURVE_FEATURES, curve_features(np.array([[1.0, 4.0, 6.0, 5.0]]))[0], strict=True))
    assert (features["last"], features["first"], features["best"], features["mean"]) == (5, 1, 6, 4)
    assert features["mean of the later half"] == 5.5
    assert features["mean of the last three"] == 5
    assert (features["last change"], features["slope"], features["last curvature"]) == (-1, pytest.approx(4 / 3), -3)
    assert features["age of the best"] == 1
    assert curve_features(np.array([[2.0]])).shape == (1, 16)
    lower = dict(zip(CURVE_FEATURES, curve_features(np.array([[1.0, 4.0, 6.0]]), False)[0], strict=True))
    assert (lower["best"], lower["age of the best"]) == (1, 2)


def test_the_architecture_counts_where_the_curve_says_little():
    table = load_table("mnist1d_nasbench201")
    rows = np.random.default_rng(0).permutation(len(table))[:360]
    curves = table.values("mnist1d/valid_accuracy", epoch="all", seed=0)[rows]
    architectures = table.architectures[rows]
    taus = []
    for name in ("feature_gp", "feature_gp@operations"):
        fitted = make_extrapolator(name).fit(curves[:60], architectures=architectures[:60])
        mean = fitted.predict(curves[60:, :2], architectures=architectures[60:])
        taus.append(kendalltau(mean, curves[60:, -1])[0])
    assert taus[1] > taus[0] + 0.03
    with pytest.raises(InvalidDataError, match="needs the architectures of the curves"):
        fitted.predict(curves[60:, :2])
    with pytest.raises(InvalidDataError, match="regressor must be a name or a Predictor, got int"):
        FeatureExtrapolator(3).fit(curves[:60])


# ---- real curves ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def losses():
    """The curves of NAS-Bench-NLP, in an order of their own."""
    curves = load_table("nasbench_nlp").values("wikitext2/valid_loss", epoch="all")
    return np.random.default_rng(3).permutation(curves[np.isfinite(curves[:, -1])])


@pytest.mark.parametrize("name", ["parametric", "epoch_gp", "feature_gp"])
def test_real_losses_are_ranked_better_than_by_their_last_value(name, losses):
    train, test = losses[:60], losses[60:]
    fitted = make_extrapolator(name).fit(train, higher_is_better=False)
    deviations = []
    for seen in (5, 12, 25):
        mean, std = fitted.predict(test[:, :seen], return_std=True)
        deviations.append(std.mean())
        inside = (np.abs(mean - test[:, -1]) < 1.645 * std).mean()
        assert 0.8 < inside < 0.99
        if seen < 25:
            assert kendalltau(mean, test[:, -1])[0] > kendalltau(test[:, seen - 1], test[:, -1])[0]
    assert deviations == sorted(deviations, reverse=True)


@pytest.mark.parametrize("name", ["parametric", "epoch_gp"])
def test_deviations_do_not_grow_with_the_epochs(name, losses):
    fitted = make_extrapolator(name).fit(losses[:60], higher_is_better=False)
    deviations = [fitted.predict(losses[60:, :k], return_std=True)[1].mean() for k in range(1, 50, 8)]
    assert (np.diff(deviations) < 0.05 * np.array(deviations[1:])).all()
    assert deviations[-1] < 0.05 * deviations[0]
