"""Noise of each label: standard errors from few seeds, their trend, and Gaussian processes that know of them."""

import archcast as ac
import numpy as np
import pytest
from archcast.errors import InvalidDataError
from archcast.predictors import standard_errors
from archcast.predictors.gaussian_process import GaussianProcess
from archcast.predictors.seed_noise import NoiseTrend
from archcast.predictors.targets import RankGaussian, Standardize


@pytest.fixture
def outcomes():
    """Outcomes of three seeds, whose deviation falls with the level, and the true standard errors."""
    rng = np.random.default_rng(0)
    level = rng.normal(size=400)
    deviation = np.exp(-0.7 * level + 0.2 * rng.normal(size=400)) / 4
    return 90 + level[:, None] + deviation[:, None] * rng.normal(size=(400, 3)), deviation / np.sqrt(3)


@pytest.fixture
def noisy():
    """Targets of which half have ten times the noise of the others, the truth, and the standard errors."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(160, 2))
    truth = np.sin(X[:, 0]) + 0.5 * X[:, 1]
    errors = np.where(np.arange(160) % 2, 0.1, 1.0)
    return X, truth + errors * rng.normal(size=160), truth, errors


# ---- standard errors ---------------------------------------------------------------------------------------------


def test_moderated_errors_are_nearer_to_the_truth_than_raw_ones(outcomes):
    values, truth = outcomes
    raw = values.std(axis=1, ddof=1) / np.sqrt(3)

    def off(errors):
        return np.abs(np.log(errors / truth)).mean()

    assert off(standard_errors(values)) < 0.5 * off(raw)
    assert np.mean(np.log(standard_errors(values) / truth)) == pytest.approx(0, abs=0.15)


def test_variances_that_differ_by_themselves_are_believed_more():
    rng = np.random.default_rng(2)
    deviation = np.exp(rng.normal(size=500))
    values = rng.normal(size=(500, 1)) + deviation[:, None] * rng.normal(size=(500, 8))
    raw = values.std(axis=1, ddof=1) / np.sqrt(8)
    assert np.corrcoef(np.log(standard_errors(values)), np.log(raw))[0, 1] > 0.95


def test_missing_seeds_are_filled_in_by_the_trend(outcomes):
    values, truth = outcomes
    values[::4, 1:] = np.nan
    values[1, :] = np.nan
    errors = standard_errors(values)
    assert np.isnan(errors[1])
    assert np.isfinite(np.delete(errors, 1)).all()
    single = errors[::4] / (truth[::4] * np.sqrt(3))
    assert 0.7 < np.median(single) < 1.4
    assert np.corrcoef(np.log(errors[::4]), np.log(truth[::4]))[0, 1] > 0.7


def test_units_pass_through(outcomes):
    values, _ = outcomes
    np.testing.assert_allclose(standard_errors(100 * values - 7), 100 * standard_errors(values), rtol=1e-6)


def test_two_architectures_are_enough():
    errors = standard_errors([[1.0, 1.2], [3.0, np.nan]])
    assert np.isfinite(errors).all()
    assert errors[1] > errors[0] > 0


def test_equal_outcomes_by_chance_are_not_taken_for_certainty(outcomes):
    values, _ = outcomes
    values[:5] = values[:5, :1]
    assert (standard_errors(values)[:5] > 0.02).all()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.ones(5), r"of shape \(architectures, seeds\), got shape \(5,\)"),
        (np.ones((5, 1)), "got 0 of 5 with more than one"),
        (np.ones((5, 3)), "got 5 of 5 with more than one, and all of these equal"),
        (np.where(np.eye(3) > 0, np.inf, 1.0), "must be finite or NaN, got inf for architecture 0"),
    ],
)
def test_outcomes_that_tell_nothing_are_refused(values, said):
    with pytest.raises(InvalidDataError, match=said):
        standard_errors(values)


# ---- the trend, and the scale of the surrogate --------------------------------------------------------------------


def test_the_trend_finds_a_parabola_and_stays_level_outside():
    level = np.linspace(-2, 2, 60)
    trend = NoiseTrend.learn(level, np.where(np.arange(60) % 3 == 0, np.nan, np.exp(0.3 * level**2 - level - 1)))
    np.testing.assert_allclose(trend(level)[3:-3], np.exp(0.3 * level**2 - level - 1)[3:-3], rtol=0.05)
    assert trend(np.array([50.0])) == trend(np.array([2.0]))
    np.testing.assert_array_equal(NoiseTrend.learn(level, np.full(60, np.nan))(level), 1.0)


def test_noise_is_mapped_by_the_slope():
    y = np.random.default_rng(3).normal(size=300) ** 3
    std = np.full(300, 0.05)
    np.testing.assert_allclose(Standardize().fit(y).noise(y, std), 0.05 / y.std())
    ranks = RankGaussian().fit(y)
    noise = ranks.noise(y, std)
    assert (noise > 0).all()
    dense = np.abs(y) < 0.1
    assert noise[dense].mean() > 10 * noise[np.abs(y) > 3].mean()
    assert np.isnan(ranks.noise(y, np.full(300, np.nan))).all()


# ---- Gaussian processes --------------------------------------------------------------------------------------------


def test_noisy_labels_weigh_less(noisy):
    X, y, _, errors = noisy
    plain = GaussianProcess(target_transform="standardize").fit(X, y)
    told = GaussianProcess(target_transform="standardize").fit(X, y, noise_std=errors)
    query = np.random.default_rng(4).normal(size=(300, 2))
    wanted = np.sin(query[:, 0]) + 0.5 * query[:, 1]
    off = [np.sqrt(np.mean((model.predict(query) - wanted) ** 2)) for model in (plain, told)]
    assert off[1] < 0.7 * off[0]
    rows = told._noise_of_rows(0)
    assert rows[errors == 1.0].min() > 10 * rows[errors == 0.1].max()


def test_errors_that_say_nothing_of_the_noise_do_not_rule(noisy):
    X, y, _, errors = noisy
    wrong = np.random.default_rng(5).permutation(errors)
    told, misled = (GaussianProcess(target_transform="standardize").fit(X, y, noise_std=e) for e in (errors, wrong))
    spread = [model._noise_shape.max() / model._noise_shape.min() for model in (told, misled)]
    assert spread[1] < 0.2 * spread[0]


def test_equal_errors_change_nothing_and_their_level_is_learned(noisy):
    X, y, _, errors = noisy
    plain = GaussianProcess().fit(X, y)
    equal = GaussianProcess(target_transform="standardize").fit(X, y, noise_std=np.full(160, 0.3))
    np.testing.assert_allclose(
        equal.predict(X, return_std=True),
        GaussianProcess(target_transform="standardize").fit(X, y).predict(X, return_std=True),
        rtol=1e-6,
    )
    unknown = GaussianProcess().fit(X, y, noise_std=np.full(160, np.nan))
    np.testing.assert_array_equal(unknown.predict(X, return_std=True), plain.predict(X, return_std=True))
    once, twice = (
        GaussianProcess(target_transform="standardize").fit(X, y, noise_std=f * errors).predict(X) for f in (1, 2)
    )
    np.testing.assert_allclose(once, twice, rtol=1e-6)


def test_unknown_errors_are_those_of_the_level(noisy):
    X, y, _, _ = noisy
    errors = np.exp(0.5 * (y - y.mean()))
    model = GaussianProcess(target_transform="standardize").fit(X, y, noise_std=np.where(y > 0.5, np.nan, errors))
    unknown = y > 0.5
    shape = model._noise_shape[:, 0]
    assert np.isfinite(shape).all()
    assert shape[unknown].min() >= 0.99 * shape[~unknown].max()
    _, std = model.predict_latent(X)
    low, high = (std[order].mean() for order in (np.argsort(y)[:30], np.argsort(y)[-30:]))
    assert high > low


def test_each_output_has_errors_of_its_own(noisy):
    X, y, _, errors = noisy
    both = np.column_stack([errors, np.full(160, np.nan)])
    model = GaussianProcess(target_transform="standardize").fit(X, np.column_stack([y, -y]), noise_std=both)
    alone = GaussianProcess(target_transform="standardize").fit(X, y, noise_std=errors)
    np.testing.assert_allclose(model.predict(X)[:, 0], alone.predict(X), rtol=1e-6)
    np.testing.assert_array_equal(model._noise_shape[:, 1], 1.0)


def test_left_out_and_joint_forecasts_know_the_noise(noisy):
    X, y, _, errors = noisy
    model = GaussianProcess(target_transform="standardize").fit(X, y, noise_std=errors)
    _, std = model._left_out(X, (y[:, None] - y.mean()) / y.std(), np.arange(160) % 5)
    assert std[errors == 1.0].mean() > 2 * std[errors == 0.1].mean()
    covariance = model._predict_joint(X)[1]
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), model.predict_latent(X)[1], rtol=1e-6)


def test_saved_and_loaded_it_forecasts_the_same(noisy, tmp_path):
    X, y, _, errors = noisy
    model = ac.make_predictor("gp").fit(X, y, noise_std=errors)
    model.save(tmp_path / "m.archcast")
    loaded = ac.load_predictor(tmp_path / "m.archcast")
    np.testing.assert_array_equal(loaded.predict(X, return_std=True), model.predict(X, return_std=True))
    assert model.fit(X, y)._noise_shape is None


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        (np.ones(159), r"noise_std must have the shape of the targets, \(160,\), got shape \(159,\)"),
        (np.ones((160, 2)), r"the shape of the targets, \(160,\), got shape \(160, 2\)"),
        (np.where(np.arange(160) == 7, -1.0, 1.0), "finite number from 0, or NaN, got -1.0 for architecture 7"),
        (np.where(np.arange(160) == 9, np.inf, 1.0), "finite number from 0, or NaN, got inf for architecture 9"),
        (["little"] * 160, "noise_std must be numbers"),
    ],
)
def test_bad_errors_are_refused(noisy, errors, said):
    X, y, _, _ = noisy
    with pytest.raises(InvalidDataError, match=said):
        GaussianProcess().fit(X, y, noise_std=errors)
