"""The mixture of predictors: weights from left-out forecasts, columns of each candidate, budget, and what it says."""

import archcast as ac
import numpy as np
import pytest
from archcast.errors import InvalidDataError
from archcast.predictors import make_predictor
from archcast.predictors.auto import AutoPredictor
from archcast.predictors.stacking import chosen_weights, criterion, log_score, pooled, prior_weights
from scipy.stats import kendalltau

SPACE = ac.get_space("nasbench201")


def accuracies(architectures, seed=0):
    genotypes = architectures.genotypes
    worth = np.array([-0.8, 0.1, 0.5, 1.0, -0.3])[genotypes] @ np.array([0.6, 0.8, 0.5, 1.2, 0.7, 0.6])
    worth = worth + 0.8 * (genotypes[:, 3] > 0) * (genotypes[:, 0] == 3)
    return worth + np.random.default_rng(seed).normal(0, 0.25, len(genotypes))


@pytest.fixture(scope="module")
def data():
    train, test = SPACE.sample(60, seed=1), SPACE.sample(200, seed=2)
    return train, accuracies(train), test, accuracies(test, 1)


# ---- weights -----------------------------------------------------------------------------------------------------


def forecasts(n, errors, seed=0):
    rng = np.random.default_rng(seed)
    target = rng.normal(size=n)
    means = np.stack([target + error * rng.normal(size=n) for error in errors])
    return target, means, np.repeat(np.array(errors)[:, None], n, axis=1)


def test_pooled_forecasts_have_the_moments_of_the_mixture():
    weights, means, stds = np.array([0.3, 0.7]), np.array([[0.0], [2.0]]), np.array([[1.0], [0.5]])
    drawn = np.random.default_rng(0)
    first = drawn.uniform(size=400_000) < 0.3
    sample = np.where(first, drawn.normal(0, 1, 400_000), drawn.normal(2, 0.5, 400_000))
    mean, std = pooled(weights, means, stds)
    assert mean[0] == pytest.approx(sample.mean(), abs=0.01)
    assert std[0] == pytest.approx(sample.std(), abs=0.01)


def test_weights_maximise_the_criterion():
    target, means, _ = forecasts(300, [0.5, 0.6])
    shares = np.linspace(0.05, 0.95, 181)
    best = max(shares, key=lambda share: criterion(np.array([share, 1 - share]), target, means, prior_weights(2)))
    assert chosen_weights(target, means, prior_weights(2))[0] == pytest.approx(best, abs=0.06)


def test_the_criterion_is_a_log_likelihood_of_order_and_of_values():
    target, means, _ = forecasts(50, [0.5, 0.7])
    mean, prior = means[0], prior_weights(2)
    found = criterion(np.array([1.0, 0.0]), target, means, prior) - 20 * 0.3 * np.log(0.05)
    tau = kendalltau(target, mean)[0]
    score = log_score(target, mean, np.full(50, np.sqrt(np.mean((target - mean) ** 2))))
    by_score = 50 * (score + 0.5 * np.log(2 * np.pi) + 0.5)
    by_ranking = -25 * np.log(1 - np.sin(np.pi * tau / 2) ** 2)  # the correlation of a Gaussian pair with this tau
    assert found == pytest.approx(0.5 * (by_score + by_ranking))


def test_few_observations_leave_the_weights_near_the_prior_and_many_do_not():
    assert prior_weights(1).tolist() == [1.0]
    assert prior_weights(4).tolist() == pytest.approx([0.7, 0.1, 0.1, 0.1])
    assert prior_weights(4, 2).tolist() == pytest.approx([0.35, 0.35, 0.15, 0.15])
    assert prior_weights(2, 3).tolist() == [0.5, 0.5]
    few = chosen_weights(*forecasts(10, [0.6, 0.5])[:2], prior_weights(2))
    assert 0.5 < few[0] < 0.9
    for better, errors in ((0, [0.2, 1.0, 1.0]), (1, [1.0, 0.2, 1.0])):
        many = chosen_weights(*forecasts(800, errors)[:2], prior_weights(3))
        assert many[better] > 0.9
        assert ((many == 0) | (many >= 0.05)).all()
        assert many.sum() == pytest.approx(1)
    assert chosen_weights(*forecasts(20, [0.5])[:2], prior_weights(1)).tolist() == [1.0]


# ---- left-out forecasts ------------------------------------------------------------------------------------------


def test_few_observations_are_left_out_of_the_hyperparameters_too(data):
    train, y, *_ = data
    features = ac.make_encoder("adjacency").transform(train).astype(float)
    model = make_predictor("gp", target_transform="none").fit(features, y)
    folds = np.arange(60) % 3
    found, _ = model._left_out(features, y[:, None], folds)
    apart = make_predictor("gp", target_transform="none").fit(features[folds != 1], y[folds != 1])
    np.testing.assert_allclose(found[folds == 1, 0], apart.predict(features[folds == 1]), rtol=1e-9)


def test_the_formula_of_the_gaussian_process_is_a_refit_at_its_hyperparameters(data, monkeypatch):
    monkeypatch.setattr("archcast.predictors.gaussian_process._REFITTED", 0)
    train, y, *_ = data
    features = ac.make_encoder("adjacency").transform(train)
    model = make_predictor("gp", target_transform="none").fit(features, y)
    folds = np.arange(60) % 3
    mean, std = model._left_out(features.astype(float), y[:, None], folds)
    kernel, theta = model.kernels_[0], model.parameters_[0]
    K = kernel.covariance(theta[:-1], model._X, model._X) + model._noise(theta) * np.eye(60)
    standard = (y - y.mean()) / y.std()
    out = folds == 1
    solved = np.linalg.solve(K[np.ix_(~out, ~out)], np.c_[standard[~out], K[np.ix_(~out, out)]])
    by_hand = K[np.ix_(out, ~out)] @ solved[:, 0] * y.std() + y.mean()
    np.testing.assert_allclose(mean[out, 0], by_hand, rtol=1e-6)
    variance = np.diag(K)[out] - np.einsum("ij,ji->i", K[np.ix_(out, ~out)], solved[:, 1:])
    np.testing.assert_allclose(std[out, 0], np.sqrt(variance) * y.std(), rtol=1e-6)


@pytest.mark.parametrize("name", ["xgboost", "knn", "ridge"])
def test_left_out_forecasts_saw_nothing_of_their_observation(data, name):
    train, y, *_ = data
    quick = {"n_estimators": 30, "learning_rate": 0.2} if "boost" in name else {}
    features = ac.make_encoder("adjacency").transform(train).astype(float)
    folds = np.arange(60) % 4
    plain = make_predictor(name, target_transform="none", **quick).fit(features, y)
    mean, std = plain._left_out(features, y[:, None], folds)
    assert mean.shape == std.shape == (60, 1)
    assert (std > 0).all()
    changed = y.copy()
    changed[7] += 50
    other, _ = (
        make_predictor(name, target_transform="none", **quick)
        .fit(features, changed)
        ._left_out(features, changed[:, None], folds)
    )
    assert other[7, 0] == pytest.approx(mean[7, 0], abs=0.05 * 50 / 4)
    assert 0.2 < kendalltau(mean[:, 0], y)[0] < 0.95
    assert np.abs((mean[:, 0] - y) / std[:, 0]).max() > 1.5  # the deviation does not know the error


# ---- the predictor -----------------------------------------------------------------------------------------------


def test_each_candidate_reads_its_own_columns_and_forecasts_as_it_would_alone(data):
    train, y, test, _ = data
    auto = AutoPredictor(candidates=["ridge@path", "ridge@adjacency", "ridge@path"], calibration="scale").fit(train, y)
    assert len(auto.encoder_.encoders) == 2
    assert len(auto.columns_) == sum(len(ac.make_encoder(name).columns(SPACE)) for name in ("path", "adjacency"))
    alone = [make_predictor(name).fit(train, y).predict_latent(test)[0] for name in auto.labels_]
    np.testing.assert_allclose(auto.predict_latent(test)[0], auto.weights_ @ alone, rtol=1e-6, atol=1e-9)
    assert auto.weights_.sum() == pytest.approx(1)


def test_the_better_candidate_weighs_more_and_the_mixture_ranks_as_well(data):
    train, y, test, truth = data
    auto = AutoPredictor("adjacency", candidates=["gp", "knn", "ridge"]).fit(train, y)
    alone = [kendalltau(make_predictor(f"{n}@adjacency").fit(train, y).predict(test), truth)[0] for n in auto.labels_]
    assert kendalltau(auto.predict(test), truth)[0] > max(alone) - 0.02
    assert auto.weights_[1] < 0.2


def test_the_report_says_what_was_chosen_and_survives_saving(data, tmp_path):
    train, y, *_ = data
    auto = AutoPredictor("adjacency", candidates=["ridge", "knn", "constant"]).fit(train, y)
    *singles, mixture = auto.report_
    assert [record["candidate"] for record in singles] == ["ridge", "knn", "constant"]
    assert singles[2]["weight"] == 0
    assert singles[2]["note"] == "dropped"
    assert mixture["kendall_tau"] > 0.3
    assert mixture["log_score"] > singles[2]["log_score"]
    auto.save(tmp_path / "m")
    assert ac.load_predictor(tmp_path / "m").report_ == auto.report_


def test_with_few_observations_the_leaders_are_alone_at_even_weights(data):
    train, y, test, _ = data
    auto = make_predictor("auto").fit(train[:9], y[:9])
    assert auto.weights_.tolist() == [0.5, 0.5, 0.0, 0.0]
    alone = [make_predictor(name).fit(train[:9], y[:9]).predict_latent(test)[0] for name in auto.labels_[:2]]
    np.testing.assert_allclose(auto.predict_latent(test)[0], np.mean(alone, axis=0), rtol=1e-6, atol=1e-9)
    assert auto.report_[2]["note"] == "not tried with fewer than 30 observations"
    assert "fewer than 10" in auto.report_[-1]["note"]
    auto = make_predictor("auto", leaders=1).fit(train[:20], y[:20])
    assert auto.weights_.tolist() == [1.0, 0.0, 0.0, 0.0]
    np.testing.assert_allclose(auto.predict(test), make_predictor("gp@semantic").fit(train[:20], y[:20]).predict(test))
    assert auto.report_[-1]["kendall_tau"] == auto.report_[0]["kendall_tau"]


def test_a_candidate_that_is_another_one_on_these_columns_is_not_fitted(data, tmp_path):
    train, y, *_ = data
    for auto in (make_predictor("auto@adjacency"), AutoPredictor(candidates=["gp@path", "gp@path", "gp_graph@path"])):
        auto.fit(train, y)
        assert auto.report_[1]["note"] == "on these columns the same as candidate 1"
        assert np.isnan(auto.report_[1]["kendall_tau"])
        auto.save(tmp_path / "m")
        assert ac.load_predictor(tmp_path / "m").report_[1]["note"] == auto.report_[1]["note"]
    apart = AutoPredictor(candidates=["gp@path", "gp_graph@path_multiset", "gp@path_multiset"]).fit(train, y)
    assert not any("the same" in record["note"] for record in apart.report_)
    assert make_predictor("auto@adjacency").fit(train[:20], y[:20]).weights_.tolist() == [1.0, 0.0, 0.0, 0.0]


def test_what_exceeds_the_budget_is_skipped_by_work_not_by_time(data):
    train, y, *_ = data
    auto = AutoPredictor("adjacency", candidates=["xgboost", "knn"], budget_s=0.5)
    assert auto.fit(train, y).weights_.tolist() == [0.0, 1.0]
    assert auto.report_[0]["note"].startswith("skipped")
    tiny = AutoPredictor("adjacency", candidates=["xgboost", "ridge"], budget_s=1e-9).fit(train, y)
    assert tiny.weights_.tolist() == [0.0, 1.0]  # the cheapest, if none fits


def test_objects_are_candidates_too(data, tmp_path):
    train, y, test, _ = data
    boosted = make_predictor("xgboost@adjacency", n_estimators=30, n_members=2, learning_rate=0.2)
    auto = AutoPredictor(candidates=(boosted, make_predictor("gp@adjacency"))).fit(train, y)
    assert auto.labels_ == ["XGBoostPredictor", "GaussianProcess"]
    auto.save(tmp_path / "m")
    loaded = ac.load_predictor(tmp_path / "m")
    np.testing.assert_array_equal(loaded.predict(test), auto.predict(test))
    assert loaded.candidates[0].get_params()["n_estimators"] == 30


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"candidates": ()}, "at least one predictor"),
        ({"candidates": "gp"}, "must be a sequence"),
        ({"candidates": ("gp", 3)}, "got a int at position 1"),
        ({"budget_s": 0}, "budget_s must be a number above 0"),
        ({"calibration": "guess"}, "calibration must be one of scale, conformal, isotonic"),
        ({"leaders": 0}, "leaders must be a whole number from 1"),
        ({"folds": 1}, "folds must be a whole number from 2"),
    ],
)
def test_bad_parameters(data, parameters, said):
    with pytest.raises(InvalidDataError, match=said):
        AutoPredictor("adjacency", **parameters).fit(*data[:2])
