"""Trees as arrays against scikit-learn, and the deviations against their definitions."""

import numpy as np
import pytest
from archcast.errors import InvalidDataError
from archcast.predictors import make_predictor
from archcast.predictors.resampling import model_variance, resample
from archcast.predictors.trees import TreeEnsemble
from sklearn.ensemble import RandomForestRegressor

RNG = np.random.default_rng(0)
X = RNG.integers(0, 3, (80, 6)).astype(float)
Y = X[:, 0] - X[:, 1] * X[:, 2] + RNG.normal(0, 0.3, 80)
QUERY = RNG.normal(1, 1, (200, 6))


def test_arrays_forecast_what_scikit_learn_does():
    forest = RandomForestRegressor(12, random_state=0).fit(X, Y)
    trees = TreeEnsemble.grown(forest.estimators_, 6)
    leaves = trees.leaves(QUERY)
    for i, estimator in enumerate(forest.estimators_):
        np.testing.assert_array_equal(leaves[i] - trees.roots[i], estimator.apply(QUERY))
        np.testing.assert_array_equal(trees.value[leaves[i]], estimator.predict(QUERY))


def test_total_variance_adds_leaves_and_trees():
    forest = RandomForestRegressor(12, random_state=0, min_samples_leaf=5).fit(X, Y)
    predictor = make_predictor(
        "random_forest", n_estimators=12, max_features=1.0, min_samples_leaf=5, target_transform="none"
    ).fit(X, Y)
    mean, std = predictor.predict(QUERY, return_std=True)
    each = np.array([tree.predict(QUERY) for tree in forest.estimators_])
    within = np.array([tree.tree_.impurity[tree.apply(QUERY)] for tree in forest.estimators_])
    np.testing.assert_allclose(mean, forest.predict(QUERY), rtol=1e-6)
    np.testing.assert_allclose(std**2, within.mean(axis=0) + each.var(axis=0), rtol=1e-6)


def test_folds_leave_each_out_once_and_give_the_jackknife():
    counts = resample("folds", 23, 5, seed=0)
    assert counts.shape == (5, 23)
    assert ((counts == 0).sum(axis=0) == 1).all()
    y = RNG.normal(size=40)
    counts = resample("folds", 40, 40, seed=0)  # leaving out one each: of a mean, the textbook variance
    members = (counts @ y / counts.sum(axis=1))[:, None]
    np.testing.assert_allclose(model_variance("folds", np.array([y.mean()]), members), y.var(ddof=1) / 40)


@pytest.mark.parametrize("name", ["gradient_boosting", "xgboost"])
def test_bootstrap_members(name):
    predictor = make_predictor(name, n_estimators=30, learning_rate=0.2, resampling="bootstrap", n_members=6)
    std = predictor.fit(X, Y).predict(QUERY, return_std=True)[1]
    assert (std > 0.1).all()
    assert std.std() > 0


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("random_forest", {"n_estimators": 1}),
        ("random_forest", {"max_features": 1.5}),
        ("random_forest", {"deviation": "guess"}),
        ("gradient_boosting", {"subsample": 0.0}),
        ("xgboost", {"max_depth": 2.5}),
        ("xgboost", {"resampling": "none"}),
        ("knn", {"n_neighbors": 0}),
        ("knn", {"bandwidth": 0.0}),
        ("ridge", {"penalty": -1.0}),
        ("ridge", {"criterion": "aic"}),
    ],
)
def test_parameters_out_of_range_are_named(name, parameters):
    (parameter,) = parameters
    with pytest.raises(InvalidDataError, match=f"{parameter} must be"):
        make_predictor(name, **parameters).fit(X, Y)
