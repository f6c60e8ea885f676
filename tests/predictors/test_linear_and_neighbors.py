"""Linear and neighbour predictors against what they are defined to be."""

import numpy as np
import pytest
from archcast.predictors import make_predictor
from sklearn.linear_model import Ridge

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 6))
Y = X @ np.array([1.0, -2.0, 0.5, 0, 0, 0]) + RNG.normal(0, 0.3, 40)


@pytest.mark.parametrize("name", ["ridge", "bayesian_linear"])
@pytest.mark.parametrize("rows", [40, 5])
def test_mean_is_ridge_and_deviation_its_posterior(name, rows):
    predictor = make_predictor(name, target_transform="none").fit(X[:rows], Y[:rows])
    centre, scale = X[:rows].mean(axis=0), X[:rows].std(axis=0)
    design, query = (X[:rows] - centre) / scale, (X - centre) / scale
    penalty = float(predictor.penalty_[0])
    mean, std = predictor.predict(X, return_std=True)
    np.testing.assert_allclose(mean, Ridge(alpha=penalty).fit(design, Y[:rows]).predict(query), rtol=1e-6)
    inverse = np.linalg.inv(design.T @ design + penalty * np.eye(6))
    leverage = np.einsum("ij,jk,ik->i", query, inverse, query)
    np.testing.assert_allclose(std**2, predictor.variance_[0] * (1 + 1 / rows + leverage), rtol=1e-6)


def test_noise_is_found():
    for name in ("ridge", "bayesian_linear"):
        predictor = make_predictor(name, target_transform="none").fit(X, Y)
        assert 0.2 < np.sqrt(predictor.variance_[0]) < 0.4


def test_ties_do_not_depend_on_the_order():
    points = RNG.integers(0, 2, (60, 5)).astype(float)
    y = points.sum(axis=1) + RNG.normal(size=60)
    order = RNG.permutation(60)
    first = make_predictor("knn", n_neighbors=3).fit(points, y).predict(points, return_std=True)
    second = make_predictor("knn", n_neighbors=3).fit(points[order], y[order]).predict(points, return_std=True)
    np.testing.assert_allclose(first, second, rtol=1e-9)


def test_one_neighbour_repeats_what_it_saw():
    mean = make_predictor("knn", n_neighbors=1).fit(X, Y).predict(X)
    np.testing.assert_allclose(mean, Y)
