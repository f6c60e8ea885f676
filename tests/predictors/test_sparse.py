"""The sparse Gaussian process: its bound and gradient, agreement with the exact one, and what it costs."""

import tracemalloc

import archcast as ac
import numpy as np
import pytest
from archcast.errors import InvalidDataError
from archcast.predictors import gaussian_process, sparse
from archcast.predictors.gaussian_process import GaussianProcess
from archcast.predictors.kernels import Hamming, Linear, Stationary, Tanimoto
from archcast.predictors.marginal_likelihood import NoisePrior, Posterior
from scipy.stats import multivariate_normal

KERNELS = {
    "matern32": lambda: Stationary("matern32"),
    "rbf * tanimoto + linear": lambda: Stationary("rbf") * Tanimoto() + Linear(),
    "hamming": Hamming,
}


@pytest.fixture(autouse=True)
def _formula(monkeypatch):
    """Leave out by the formula, as of many observations."""
    monkeypatch.setattr(gaussian_process, "_REFITTED", 0)


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    return rng.integers(0, 4, size=(50, 6)).astype(float), np.array([0, 0, 1, 1, 1, 2])


@pytest.fixture(params=list(KERNELS))
def problem(request, rows):
    """A kernel, its rows, targets, the shape of the noise, and parameters."""
    kernel = KERNELS[request.param]()
    kernel.setup(*rows)
    rng = np.random.default_rng(1)
    theta = np.r_[kernel.prior_mean, -2.0] + 0.2 * rng.normal(size=kernel.n_parameters + 1)
    return kernel, rows[0], rng.normal(size=50), rng.uniform(0.3, 2.0, size=50), theta


@pytest.fixture
def data():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(200, 3))
    return X, np.sin(X[:, 0]) + X[:, 1] + 0.2 * rng.normal(size=200)


def prior_of(bound, theta):
    return 0.5 * (((theta - bound.prior_mean) / bound.prior_std) ** 2).sum()


def test_bound_follows_its_formula(problem):
    kernel, X, z, shape, theta = problem
    bound = sparse.CollapsedBound(X[:13], kernel, X, z, NoisePrior(), shape)
    K, cross = kernel.covariance(theta[:-1], X, X), kernel.covariance(theta[:-1], X[:13], X)
    inducing = kernel.covariance(theta[:-1], X[:13], X[:13]) + 1e-6 * np.eye(13)
    Q, noise = cross.T @ np.linalg.solve(inducing, cross), np.exp(theta[-1]) * shape + NoisePrior().floor
    log_density = multivariate_normal(np.zeros(50), Q + np.diag(noise)).logpdf(z) + 0.5 * 50 * np.log(2 * np.pi)
    expected = -log_density + 0.5 * ((np.diag(K) - np.diag(Q)) / noise).sum() + prior_of(bound, theta)
    assert bound(theta)[0] == pytest.approx(expected, rel=1e-8)


def test_gradient_agrees_with_finite_differences(problem, monkeypatch):
    monkeypatch.setattr(sparse, "_ROWS", 17)  # several parts
    kernel, X, z, shape, theta = problem
    bound = sparse.CollapsedBound(X[:13], kernel, X, z, NoisePrior(), shape)
    steps = 1e-5 * np.eye(len(theta))
    numeric = [(bound(theta + step)[0] - bound(theta - step)[0]) / 2e-5 for step in steps]
    np.testing.assert_allclose(bound(theta)[1], numeric, rtol=1e-4, atol=1e-4)


def test_bound_is_one_and_is_tight_if_all_rows_are_inducing(problem):
    kernel, X, z, shape, theta = problem
    exact, gradient = Posterior(kernel, X, z, NoisePrior(), shape=shape)(theta)
    values = [sparse.CollapsedBound(X[:m], kernel, X, z, NoisePrior(), shape)(theta)[0] for m in (5, 20, 50)]
    assert values[0] > values[1] > values[2] > exact - 1e-6
    tight, slope = sparse.CollapsedBound(X, kernel, X, z, NoisePrior(), shape)(theta)
    assert tight == pytest.approx(exact, rel=1e-4)
    np.testing.assert_allclose(slope, gradient, rtol=1e-3, atol=1e-2)


def test_inducing_rows_leave_less_variance_than_random_ones():
    X = np.random.default_rng(3).normal(size=(600, 4)) ** 3
    kernel = Stationary("matern32")
    kernel.setup(X, np.zeros(4, dtype=int))
    theta = kernel.prior_mean
    chosen = sparse.choose_inducing(kernel, theta, X, 150, seed=0)
    assert len(chosen) == 150
    assert (np.diff(chosen) > 0).all()
    np.testing.assert_array_equal(sparse.choose_inducing(kernel, theta, X, 150, seed=0), chosen)

    def left(rows):
        K = kernel.covariance(theta, X[rows], X[rows]) + 1e-8 * np.eye(len(rows))
        cross = kernel.covariance(theta, X[rows], X)
        return (kernel.diagonal(theta, X) - np.einsum("ij,ij->j", cross, np.linalg.solve(K, cross))).mean()

    at_random = [left(np.random.default_rng(seed).permutation(600)[:150]) for seed in range(3)]
    assert left(chosen) < 0.9 * min(at_random)


def test_few_distinct_rows_need_few_inducing_ones():
    X = np.tile(np.random.default_rng(4).normal(size=(30, 3)), (10, 1))
    kernel = Stationary("rbf")
    kernel.setup(X, np.zeros(3, dtype=int))
    chosen = sparse.choose_inducing(kernel, kernel.prior_mean, X, 100, seed=0)
    assert len(np.unique(X[chosen], axis=0)) == len(chosen) <= 30


@pytest.mark.parametrize("with_noise", [False, True])
def test_all_rows_inducing_give_the_exact_process(data, with_noise):
    X, y = data
    noise = {"noise_std": np.random.default_rng(5).uniform(0.1, 0.3, 200)} if with_noise else {}
    exact = GaussianProcess().fit(X, y, **noise)
    thin = GaussianProcess(sparse_from=200, inducing=200).fit(X, y, **noise)
    assert len(exact._sparse) == 0
    assert len(thin._sparse[0].rows) == 200
    query, folds, z = X[:40] + 0.3, np.arange(200) % 4, exact._targets.fit_transform(y[:, None])
    pairs = [
        (model.predict_latent(query), model._predict_joint(query), model._left_out(X, z, folds))
        for model in (exact, thin)
    ]
    for ours, theirs in zip(*pairs, strict=True):
        np.testing.assert_allclose(ours[0], theirs[0], atol=1e-3)
        np.testing.assert_allclose(ours[1], theirs[1], atol=1e-3)


def test_left_out_forecasts_are_those_without_the_fold(data):
    X, y = data
    model = GaussianProcess(sparse_from=100, inducing=30).fit(X, y)
    z, folds = model._targets.fit_transform(y[:, None]), np.arange(200) % 5
    mean, std = model._left_out(X, z, folds)
    standard, theta, kernel = (z - model._z_mean) / model._z_scale, model.parameters_[0], model.kernels_[0]
    rest, inside, scaled = folds != 2, folds == 2, model._scaled(X)
    noise = np.full(rest.sum(), model._noise(theta))
    rows = model._sparse[0].rows
    found = sparse.condition(kernel, theta[:-1], scaled[rest], standard[rest, 0], rows, noise)
    cross = kernel.covariance(theta[:-1], scaled[inside], rows)
    variance = kernel.diagonal(theta[:-1], scaled[inside]) - ((found.root @ cross.T) ** 2).sum(axis=0) + noise[0]
    np.testing.assert_allclose(mean[inside, 0], cross @ found.weights * model._z_scale[0] + model._z_mean[0], atol=1e-4)
    np.testing.assert_allclose(std[inside, 0], np.sqrt(variance) * model._z_scale[0], rtol=1e-4)


def test_several_outputs_have_rows_of_their_own(data):
    X, y = data
    model = GaussianProcess(sparse_from=100, inducing=60).fit(X, np.column_stack([y, X[:, 2] ** 2]))
    mean, std = model.predict(X, return_std=True)
    assert mean.shape == std.shape == (200, 2)
    assert np.corrcoef(mean[:, 0], y)[0, 1] > 0.9
    assert np.corrcoef(mean[:, 1], X[:, 2] ** 2)[0, 1] > 0.9


def test_polishing_improves_the_bound(data):
    X, y = data
    plain, polished = (GaussianProcess(sparse_from=100, inducing=25, polish=steps).fit(X, y) for steps in (0, 3))
    z = plain._targets.fit_transform(y[:, None])[:, 0]
    z = (z - z.mean()) / z.std()
    bound = sparse.CollapsedBound(plain._sparse[0].rows, plain.kernels_[0], plain._X, z, NoisePrior())
    assert bound(polished.parameters_[0])[0] < bound(plain.parameters_[0])[0]


def test_it_begins_where_it_is_told_to(data):
    X, y = data
    assert GaussianProcess().sparse_from == 5000
    assert not GaussianProcess(sparse_from=201).fit(X, y)._sparse
    assert not GaussianProcess(sparse_from=None).fit(X, y)._sparse
    model = GaussianProcess(sparse_from=200, inducing=20).fit(X, y)
    assert len(model._sparse[0].rows) == 20
    assert not model.fit(X[:100], y[:100])._sparse
    assert model._seconds(20_000, 50) < 0.1 * GaussianProcess(sparse_from=None)._seconds(20_000, 50)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"sparse_from": 1}, "sparse_from must be a whole number from 2, got 1"),
        ({"inducing": 0}, "inducing must be a whole number from 1, got 0"),
        ({"polish": 0.5}, "polish must be a whole number from 0, got 0.5"),
    ],
)
def test_bad_parameters_are_named(data, parameters, said):
    with pytest.raises(InvalidDataError, match=said):
        GaussianProcess(**parameters).fit(*data)


def test_saved_and_loaded_it_forecasts_the_same(data, tmp_path):
    X, y = data
    model = ac.make_predictor("gp", sparse_from=100, inducing=20).fit(X, y, noise_std=np.linspace(0.1, 0.3, 200))
    model.save(tmp_path / "m.archcast")
    loaded = ac.load_predictor(tmp_path / "m.archcast")
    for ours, theirs in zip(model.predict(X, return_std=True), loaded.predict(X, return_std=True), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    z, folds = model._targets.fit_transform(y[:, None]), np.arange(200) % 3
    np.testing.assert_array_equal(model._left_out(X, z, folds)[1], loaded._left_out(X, z, folds)[1])


@pytest.mark.parametrize("change", [{"root": np.zeros((3, 3))}, {"weights": np.zeros(3)}, {"rows": np.zeros((20, 7))}])
def test_a_state_that_does_not_fit_together_is_refused(data, change):
    state = GaussianProcess(sparse_from=100, inducing=20).fit(*data)._sparse[0]._asdict()
    with pytest.raises(ValueError, match="inducing rows"):
        sparse.restored({**state, **change}, 3)


def test_auto_weighs_it_by_what_it_leaves_out(data):
    X, y = data
    auto = ac.make_predictor("auto", candidates=(GaussianProcess(sparse_from=100, inducing=50), "ridge")).fit(X, y)
    assert auto.report_[0]["kendall_tau"] > auto.report_[1]["kendall_tau"]
    assert np.isfinite(auto.predict(X, return_std=True)[1]).all()


def test_memory_does_not_grow_with_the_observations():
    rng = np.random.default_rng(6)
    X = rng.normal(size=(12_000, 3))
    kernel = Stationary("matern32")
    kernel.setup(X, np.zeros(3, dtype=int))
    theta, z = np.r_[kernel.prior_mean, -3.0], X[:, 0]

    def peak(n):
        tracemalloc.start()
        chosen = sparse.choose_inducing(kernel, theta[:-1], X[:n], 64, seed=0)
        sparse.condition(kernel, theta[:-1], X[:n], z[:n], X[chosen], np.full(n, 0.1))
        sparse.CollapsedBound(X[chosen], kernel, X[:n], z[:n], NoisePrior())(theta)
        sparse.left_out(kernel, theta[:-1], X[:n], z[:n], X[chosen], np.full(n, 0.1), np.arange(n) % 2)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    few, many = peak(3_000), peak(12_000)
    assert many - few < 8 * 9_000 * 20  # a few numbers an observation; its covariances alone would be 64
    assert many < 8e6
