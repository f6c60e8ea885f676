import numpy as np
import pytest
from archcast.searchers.acquisition import (
    ACQUISITIONS,
    Forecast,
    expected_improvement,
    gumbel_maxima,
    independent_thompson_sampling,
    log_expected_improvement,
    log_improvement,
    max_value_entropy,
    probability_of_improvement,
    thompson_sampling,
    upper_confidence_bound,
)
from scipy.integrate import quad
from scipy.stats import norm


def forecast(mean, std, incumbent=0.0):
    mean, std = np.asarray(mean, float), np.asarray(std, float)
    return Forecast(mean, std, incumbent, lambda rng: rng.normal(mean, std))


RNG = np.random.default_rng(0)
SOME = forecast([-1.0, 0.0, 0.5, 2.0], [0.3, 1.0, 0.1, 0.5], 0.4)


def test_expected_improvement_is_the_integral():
    by_quadrature = [
        quad(lambda f, m=m, s=s: (f - 0.4) * norm.pdf(f, m, s), 0.4, m + 12 * s, points=[m])[0]
        for m, s in zip(SOME.mean, SOME.std, strict=True)
    ]
    np.testing.assert_allclose(expected_improvement(SOME, RNG), by_quadrature, rtol=1e-6)
    np.testing.assert_allclose(log_expected_improvement(SOME, RNG), np.log(by_quadrature), rtol=1e-6)


@pytest.mark.parametrize("z", [3.0, 0.0, -0.999, -1.001, -5.0, -20.0, -37.0])
def test_log_improvement_in_high_precision(z):
    # phi(z) + z Phi(z) is the integral of Phi up to z; scaled by its largest value it does not underflow.
    scaled, _ = quad(lambda t: np.exp(norm.logcdf(z - t) - norm.logcdf(z)), 0, 40, epsabs=0, epsrel=1e-11, limit=400)
    assert log_improvement(np.array([z]))[0] == pytest.approx(np.log(scaled) + norm.logcdf(z), abs=1e-7)


def test_log_improvement_is_finite_smooth_and_increasing_where_the_improvement_underflows():
    z = -np.geomspace(1e8, 1e-3, 2000)
    values = log_improvement(z)
    assert np.isfinite(values).all()
    assert (np.diff(values) > 0).all()
    for seam in (-1.0, -1e4):
        around = log_improvement(np.array([seam * (1 + 1e-9), seam * (1 - 1e-9)]))
        assert around[0] == pytest.approx(around[1], rel=1e-7)


def test_probability_and_confidence_bound():
    np.testing.assert_allclose(
        np.exp(probability_of_improvement(SOME, RNG, margin=0.2)), norm.sf(0.6, SOME.mean, SOME.std), rtol=1e-9
    )
    np.testing.assert_allclose(upper_confidence_bound(SOME, RNG, beta=2.0), SOME.mean + 2 * SOME.std)


def test_thompson_sampling_chooses_with_the_probability_of_being_best():
    two = forecast([0.0, 0.5], [1.0, 0.7])
    best = norm.sf(0, 0.5, np.hypot(1.0, 0.7))
    for acquisition in (thompson_sampling, independent_thompson_sampling):
        rng = np.random.default_rng(1)
        chosen = np.mean([np.argmax(acquisition(two, rng)) for _ in range(4000)])
        assert chosen == pytest.approx(best, abs=0.03)


def test_gumbel_maxima_have_the_quartiles_of_the_maximum():
    rng = np.random.default_rng(2)
    mean, std = rng.normal(size=300), rng.uniform(0.2, 0.8, 300)
    drawn = rng.normal(mean, std, size=(20_000, 300)).max(axis=1)
    approximate = gumbel_maxima(mean, std, 20_000, rng)
    np.testing.assert_allclose(
        np.quantile(approximate, [0.25, 0.5, 0.75]), np.quantile(drawn, [0.25, 0.5, 0.75]), atol=0.03
    )


def test_max_value_entropy_is_the_reduction_of_a_truncated_gaussians_entropy():
    """For one value of the maximum: entropy of the Gaussian minus that of the same, cut off above the maximum."""
    mean, std, top = 0.3, 0.8, 1.0

    def density(f):
        return norm.pdf(f, mean, std) / norm.cdf(top, mean, std)

    truncated = -quad(lambda f: density(f) * np.log(density(f)), mean - 12 * std, top)[0]
    # All samples of the maximum are below the incumbent, so that each is replaced by it.
    score = max_value_entropy(forecast([mean, -50.0], [std, 1e-3], incumbent=top), np.random.default_rng(0), samples=1)
    lower = forecast([mean - 20, -50.0], [std, 1e-3], incumbent=top)
    if score[0] == pytest.approx(norm.entropy(mean, std) - truncated, rel=1e-6):
        assert max_value_entropy(lower, np.random.default_rng(0), samples=1)[0] < 1e-6
    else:
        pytest.fail(f"{score[0]} is not {norm.entropy(mean, std) - truncated}")


@pytest.mark.parametrize("name", ACQUISITIONS)
def test_all_are_finite_and_prefer_the_better_of_equally_sure_candidates(name):
    obvious = forecast([-9.0, 9.0, -9.0], [0.5, 0.5, 0.5], incumbent=1.0)
    scores = ACQUISITIONS[name](obvious, np.random.default_rng(0))
    assert scores.shape == (3,)
    assert np.isfinite(scores).all()
    assert np.argmax(scores) == 1
