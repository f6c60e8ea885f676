"""Covariance functions: known values, positive definiteness, and gradients against finite differences."""

import numpy as np
import pytest
from archcast.errors import InvalidDataError
from archcast.predictors.kernels import (
    Coregionalised,
    GroupedLinear,
    Hamming,
    Linear,
    OnColumns,
    OnUnitGroups,
    Stationary,
    Tanimoto,
    Trend,
    WeightedDot,
)
from archcast.predictors.marginal_likelihood import NoisePrior, Posterior, cholesky, fit_parameters
from scipy.spatial.distance import cdist
from scipy.stats import multivariate_normal

KERNELS = {
    "rbf": lambda: Stationary("rbf"),
    "matern32": lambda: Stationary("matern32"),
    "matern52 ard": lambda: Stationary("matern52", "column"),
    "one": lambda: Stationary("matern52", "one"),
    "only": lambda: Stationary("rbf", only=1),
    "tanimoto": Tanimoto,
    "linear": Linear,
    "hamming": Hamming,
    "sum": lambda: Stationary("rbf") + Tanimoto() + Linear(),
    "product": lambda: Stationary("matern32") * Tanimoto() * Hamming(),
    "on columns": lambda: OnColumns(Stationary("rbf"), [0, 2, 3]) + OnColumns(WeightedDot(), [1, 5]),
    "grouped linear": GroupedLinear,
    "on unit groups": lambda: OnUnitGroups(Stationary("matern52")),
    "semantic and graph": lambda: (
        OnColumns(Stationary("matern32"), [0, 1]) * OnColumns(GroupedLinear(), [2, 3, 4, 5])
        + OnColumns(Stationary("matern32"), [0, 1])
        + OnColumns(OnUnitGroups(Stationary("rbf")), [4, 5])
    ),
    "trend": Trend,
    "on a trend": lambda: Stationary("matern32") + Trend(),
    "coregionalised": lambda: Coregionalised(Stationary("matern32"), 4),
    "sum of products": lambda: Stationary("matern32", only=0) * Tanimoto() + Hamming(),
}


@pytest.fixture
def rows():
    rng = np.random.default_rng(3)
    return rng.integers(0, 4, size=(14, 6)).astype(float), np.array([0, 0, 1, 1, 1, 2])


@pytest.fixture(params=list(KERNELS))
def kernel(request, rows):
    kernel = KERNELS[request.param]()
    kernel.setup(*rows)
    return kernel


def draw(kernel, seed=0):
    return kernel.prior_mean + 0.5 * kernel.prior_std * np.random.default_rng(seed).normal(size=kernel.n_parameters)


def test_covariance_is_symmetric_positive_semidefinite_with_the_stated_diagonal(kernel, rows):
    X, _ = rows
    theta = draw(kernel)
    K = kernel.covariance(theta, X, X)
    np.testing.assert_allclose(K, K.T, atol=1e-12)
    np.testing.assert_allclose(np.diag(K), kernel.diagonal(theta, X), atol=1e-7)
    assert np.linalg.eigvalsh(K).min() > -1e-8
    np.testing.assert_allclose(kernel.covariance(theta, X[:3], X[5:]), K[:3, 5:], atol=1e-7)
    np.testing.assert_allclose(kernel.with_gradient(theta, X)[0], K, atol=1e-7)


def test_gradient_agrees_with_finite_differences(kernel, rows):
    X, _ = rows
    theta = draw(kernel, 1)
    M = np.random.default_rng(2).normal(size=(len(X), len(X)))
    M += M.T
    _, contract = kernel.with_gradient(theta, X)
    numeric = []
    for k in range(kernel.n_parameters):
        step = np.zeros_like(theta)
        step[k] = 1e-5
        difference = kernel.covariance(theta + step, X, X) - kernel.covariance(theta - step, X, X)
        numeric.append((M * difference).sum() / 2e-5)
    np.testing.assert_allclose(contract(M), numeric, rtol=1e-5, atol=1e-6)


def test_rows_prepared_once_give_the_same(kernel, rows):
    X, _ = rows
    at = kernel.gradient_at(X)
    M = np.ones((len(X), len(X)))
    for seed in (0, 1):
        theta = draw(kernel, seed)
        covariance, contract = kernel.with_gradient(theta, X)
        prepared, contract_prepared = at(theta)
        np.testing.assert_allclose(prepared, covariance, rtol=1e-12)
        np.testing.assert_allclose(contract_prepared(M), contract(M), rtol=1e-12, atol=1e-12)


def test_stationary_kernels_follow_their_formulas(rows):
    X, groups = rows
    for radial, formula in {
        "rbf": lambda r: np.exp(-(r**2) / 2),
        "matern32": lambda r: (1 + np.sqrt(3) * r) * np.exp(-np.sqrt(3) * r),
        "matern52": lambda r: (1 + np.sqrt(5) * r + 5 / 3 * r**2) * np.exp(-np.sqrt(5) * r),
    }.items():
        kernel = Stationary(radial, "one")
        kernel.setup(X, groups)
        # With one weight of 1, the root mean square distance of two training rows is the unit.
        unit = np.sqrt(2 * X.var(axis=0).sum())
        expected = 2.0 * formula(cdist(X, X) / unit)
        np.testing.assert_allclose(kernel.covariance(np.array([np.log(2.0), 0.0]), X, X), expected, atol=1e-7)


def test_count_kernels_follow_their_formulas():
    A = np.array([[1.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    B = np.array([[2.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 3.0]])
    zero = np.zeros(1)
    np.testing.assert_allclose(Tanimoto().covariance(zero, A, B), [[4 / 6, 0, 0], [0, 1, 0]])
    np.testing.assert_allclose(Linear().covariance(zero, A, B), [[0.8, 0, 0], [0, 1, 0]], atol=1e-12)
    np.testing.assert_allclose(Hamming().covariance(np.zeros(2), A[:1], B[:1]), [[np.exp(-2 / 3)]], atol=1e-12)


def test_kernels_of_groups_follow_their_formulas():
    A = np.array([[1.0, 0.0, 3.0], [0.0, 0.0, 5.0], [0.0, 0.0, 0.0], [3.0, 4.0, 1.0]])
    groups = np.array([0, 0, 1])
    kernel, theta = GroupedLinear(), np.log([2.0, 0.3, 0.7])
    kernel.setup(A, groups)
    first = [[1, 0, 0, 0.6], [0, 1, 1, 0], [0, 1, 1, 0], [0.6, 0, 0, 1]]  # rows of zeros are like each other alone
    second = [[1, 1, 0, 1], [1, 1, 0, 1], [0, 0, 1, 0], [1, 1, 0, 1]]
    expected = 2 * (0.3 * np.array(first) + 0.7 * np.array(second))
    np.testing.assert_allclose(kernel.covariance(theta, A, A), expected, atol=1e-12)
    radial, plain = OnUnitGroups(Stationary("rbf")), Stationary("rbf")
    radial.setup(A, groups)
    units = np.array([[1, 0, 0, 1, 0], [0, 0, 1, 1, 0], [0, 0, 1, 0, 1], [0.6, 0.8, 0, 1, 0]])
    plain.setup(units, np.array([0, 0, 0, 1, 1]))
    np.testing.assert_allclose(radial.covariance(theta, A, A), plain.covariance(theta, units, units), atol=1e-12)
    found = radial.lengthscales(theta)
    assert [columns.tolist() for columns, _ in found] == [[0, 1], [2]]


def test_columns_that_never_vary_have_no_say():
    X = np.column_stack([np.arange(5.0), np.ones(5)])
    kernel = Stationary("rbf", "column")
    kernel.setup(X, np.array([0, 1]))
    assert kernel.n_parameters == 2
    moved = X.copy()
    moved[:, 1] = 7
    theta = kernel.prior_mean
    np.testing.assert_array_equal(kernel.covariance(theta, X, X), kernel.covariance(theta, moved, moved))


def test_unknown_settings_are_named():
    with pytest.raises(InvalidDataError, match="radial must be one of rbf, matern32, matern52, got 'cubic'"):
        Stationary("cubic")
    with pytest.raises(InvalidDataError, match="weights must be group, column or one, got 'many'"):
        Stationary("rbf", "many")


def test_posterior_is_the_gaussian_density_with_its_priors_and_gradient(rows):
    X, groups = rows
    kernel = Stationary("matern32")
    kernel.setup(X, groups)
    z = np.random.default_rng(5).normal(size=len(X))
    noise = NoisePrior()
    posterior = Posterior(kernel, X, z, noise)
    theta = posterior.prior_mean + 0.3
    value, gradient = posterior(theta)
    K = kernel.covariance(theta[:-1], X, X) + (np.exp(theta[-1]) + noise.floor) * np.eye(len(X))
    expected = -multivariate_normal(np.zeros(len(X)), K).logpdf(z) - 0.5 * len(X) * np.log(2 * np.pi)
    expected += 0.5 * np.sum((0.3 / posterior.prior_std) ** 2)
    assert value == pytest.approx(expected, rel=1e-9)
    steps = 1e-5 * np.eye(len(theta))
    numeric = [(posterior(theta + step)[0] - posterior(theta - step)[0]) / 2e-5 for step in steps]
    np.testing.assert_allclose(gradient, numeric, rtol=1e-4, atol=1e-6)


def test_fit_finds_what_matters_and_how_noisy_it_is():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 2))
    z = np.sin(2 * X[:, 0]) + 0.3 * rng.normal(size=120)
    scale = z.std()
    kernel = Stationary("matern52", "column")
    kernel.setup(X, np.array([0, 1]))
    theta = fit_parameters(kernel, X, (z - z.mean()) / scale, NoisePrior(), restarts=2, subset=200, seed=0)
    assert theta[1] > theta[2] + 1  # the weight of the column that matters
    assert np.exp(theta[-1] / 2) * scale == pytest.approx(0.3, rel=0.25)


def test_search_on_a_subset_ends_near_the_search_on_all():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(260, 3))
    z = X[:, 0] * X[:, 1] + 0.1 * rng.normal(size=260)
    z = (z - z.mean()) / z.std()
    kernel = Stationary("rbf", "column")
    kernel.setup(X, np.arange(3))
    posterior = Posterior(kernel, X, z, NoisePrior())
    whole = fit_parameters(kernel, X, z, NoisePrior(), restarts=0, subset=1000, seed=0)
    part = fit_parameters(kernel, X, z, NoisePrior(), restarts=0, subset=130, seed=0)
    assert posterior(part)[0] <= posterior(whole)[0] + 0.05 * len(z)
    again = fit_parameters(kernel, X, z, NoisePrior(), restarts=0, subset=130, seed=0)
    np.testing.assert_array_equal(part, again)


def test_cholesky_recovers_with_jitter_and_gives_up_clearly():
    singular = np.ones((5, 5))
    factor, jitter = cholesky(singular)
    assert jitter > 0
    np.testing.assert_allclose(factor @ factor.T, singular + jitter * np.eye(5), atol=1e-12)
    assert cholesky(np.eye(3))[1] == 0
    with pytest.raises(InvalidDataError, match="3 observations is not positive definite"):
        cholesky(-np.eye(3))


def test_coregionalised_tasks_multiply_the_kernel(rows):
    X, groups = rows
    kernel, plain = Coregionalised(Stationary("rbf"), 4), Stationary("rbf")
    kernel.setup(X, groups)
    plain.setup(X[:, :-1], groups[:-1])
    theta, task = draw(kernel), X[:, -1].astype(int)
    B = np.outer(theta[:4], theta[:4]) + np.diag(np.exp(theta[4:8]))
    expected = B[task][:, task] * plain.covariance(theta[8:], X[:, :-1], X[:, :-1])
    np.testing.assert_allclose(kernel.covariance(theta, X, X), expected)
    np.testing.assert_allclose(kernel.matrix(theta), B)


def test_noise_of_several_levels(rows):
    X, groups = rows
    kernel = Stationary("matern32")
    kernel.setup(X, groups)
    z, levels = np.sin(X.sum(axis=1)), np.arange(len(X)) % 2
    priors = [NoisePrior(), NoisePrior(mean=-1.0, std=2.0)]
    posterior = Posterior(kernel, X, z, priors, levels)
    theta = np.r_[draw(kernel, 4), -2.0, -0.5]
    noise = np.exp(theta[-2:])[levels] + priors[0].floor
    K = kernel.covariance(theta[:-2], X, X) + np.diag(noise)
    standing = (theta - posterior.prior_mean) / posterior.prior_std
    expected = -multivariate_normal(np.zeros(len(X)), K).logpdf(z) - 0.5 * len(X) * np.log(2 * np.pi)
    value, gradient = posterior(theta)
    np.testing.assert_allclose(value, expected + 0.5 * standing @ standing)
    for k in range(len(theta)):
        step = 1e-5 * (np.arange(len(theta)) == k)
        numeric = (posterior(theta + step)[0] - posterior(theta - step)[0]) / 2e-5
        np.testing.assert_allclose(gradient[k], numeric, rtol=1e-4, atol=1e-6)
    found = fit_parameters(kernel, X, z, priors, restarts=0, subset=300, seed=0, levels=levels)
    assert len(found) == kernel.n_parameters + 2
