"""The Gaussian process: exact formulas, agreement with scikit-learn's, several outputs, and what it cannot do."""

import archcast as ac
import numpy as np
import pytest
from archcast.errors import InvalidDataError
from archcast.predictors.gaussian_process import GaussianProcess
from archcast.predictors.kernels import Stationary, Tanimoto
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    return X, np.sin(X[:, 0]) + 0.5 * X[:, 1] ** 2 + 0.1 * rng.normal(size=60)


def test_forecasts_are_those_of_the_textbook_at_the_found_parameters(data):
    X, y = data
    ours = GaussianProcess(kernel="rbf", lengthscales="one", target_transform="standardize").fit(X, y)
    scale, weight, noise = np.exp(ours.parameters_[0])
    unit = np.sqrt(2 * 3)  # standardised columns: the root mean square distance of two rows
    kernel = ConstantKernel(scale) * RBF(unit / np.sqrt(weight)) + WhiteKernel(noise + 1e-4)
    theirs = GaussianProcessRegressor(kernel, optimizer=None, alpha=0)
    standard = (X - X.mean(axis=0)) / X.std(axis=0)
    query = np.random.default_rng(1).normal(size=(20, 3))
    theirs.fit(standard, (y - y.mean()) / y.std())
    mean, std = theirs.predict((query - X.mean(axis=0)) / X.std(axis=0), return_std=True)
    found_mean, found_std = ours.predict(query, return_std=True)
    np.testing.assert_allclose(found_mean, mean * y.std() + y.mean(), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(found_std, std * y.std(), rtol=1e-6)


def test_several_outputs_are_independent(data):
    X, y = data
    both = GaussianProcess().fit(X, np.column_stack([y, -3 * y + 1]))
    mean, std = both.predict(X[:10], return_std=True)
    assert mean.shape == std.shape == (10, 2)
    alone_mean, alone_std = GaussianProcess().fit(X, y).predict(X[:10], return_std=True)
    np.testing.assert_allclose(mean[:, 0], alone_mean)
    np.testing.assert_allclose(std[:, 0], alone_std)
    assert both.predict_quantiles(X[:10], [0.1, 0.9]).shape == (10, 2, 2)


def test_the_mean_alone_is_the_mean(data):
    X, y = data
    model = GaussianProcess().fit(X, y)
    np.testing.assert_array_equal(model.predict(X), model.predict(X, return_std=True)[0])


def test_uncertainty_grows_away_from_the_data_and_with_noise(data):
    X, y = data
    model = GaussianProcess(target_transform="standardize").fit(X, y)
    _, near = model.predict(X, return_std=True)
    _, far = model.predict(X + 30, return_std=True)
    assert near.max() < far.min()


def test_equal_rows_with_different_targets_are_noisy_repetitions():
    X = np.repeat(np.eye(4), 5, axis=0)
    y = np.tile([0.0, 0.1, 0.2, 0.3, 0.4], 4) + np.repeat([1.0, 2.0, 3.0, 4.0], 5)
    model = GaussianProcess(target_transform="standardize").fit(X, y)
    mean, std = model.predict(np.eye(4), return_std=True)
    np.testing.assert_allclose(mean, [1.2, 2.2, 3.2, 4.2], atol=0.15)
    assert (std > 0.1).all()


def test_kernel_objects_combine(data):
    X, y = data
    model = GaussianProcess(kernel=Stationary("rbf", "column") + Stationary("matern52", "one")).fit(X, y)
    assert np.corrcoef(model.predict(X), y)[0, 1] > 0.95
    with pytest.raises(InvalidDataError, match="kernel object cannot be saved"):
        model.save("never-written.archcast")


def test_kernel_object_is_not_changed_by_fitting(data):
    kernel = Tanimoto()
    X, y = data
    GaussianProcess(kernel=kernel).fit(np.abs(X), y)
    assert not hasattr(kernel, "prior_mean")


def test_unknown_kernel_is_named(data):
    with pytest.raises(InvalidDataError, match=r"kernel must be one of matern52, .*got 'cubic'"):
        GaussianProcess(kernel="cubic").fit(*data)


@pytest.mark.parametrize(
    "name",
    ["gp", "gp_rbf", "gp_hamming", "gp_tanimoto", "gp_wl", "gp_shortest_path", "gp_random_walk", "gp_graph"],
)
def test_every_kernel_ranks_real_architectures(name):
    table = ac.load_table("nasbench201")
    y = table.values("cifar10/test_accuracy", epoch=200)
    train, test = table.split(100, seed=0)
    test = test[:2000]
    from scipy.stats import kendalltau

    forecaster = ac.make_predictor(name).fit(table.architectures[train], y[train])
    mean, std = forecaster.predict(table.architectures[test], return_std=True)
    floor = {"gp": 0.8, "gp_rbf": 0.78, "gp_graph": 0.8, "gp_shortest_path": 0.7, "gp_random_walk": 0.7}.get(name, 0.55)
    assert kendalltau(mean, y[test]).statistic > floor
    low, high = forecaster.predict_quantiles(table.architectures[test], [0.1, 0.9]).T
    assert 0.7 < ((y[test] > low) & (y[test] < high)).mean() < 0.92
    assert (std > 0).all()
