"""Acquisition functions: how much each candidate is worth a training, given a forecast of all of them.

All work on the scale of the surrogate, where larger is better and errors are Gaussian. Each is a function of a
`Forecast` and a random generator, and returns one score per candidate, `(m,)` float64; the largest is trained next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, log_ndtr, ndtr

Floats: TypeAlias = NDArray[np.float64]

_LOG_SQRT_2PI = 0.5 * np.log(2 * np.pi)


@dataclass(frozen=True)
class Forecast:
    """What a surrogate says about `m` candidates.

    Parameters
    ----------
    mean, std : float64 array `(m,)`
        Of the candidates' outcomes; deviations are positive.
    incumbent : float
        The best outcome so far, on the same scale.
    draw : callable
        Maps a random generator to one joint sample `(m,)` of the outcomes. Surrogates that know no covariances draw
        the candidates independently. Candidates without a chance to be the best may be left at minus infinity.
    """

    mean: Floats
    std: Floats
    incumbent: float
    draw: Callable[[np.random.Generator], Floats]


ForecastT = TypeVar("ForecastT")
Acquisition: TypeAlias = Callable[[ForecastT, np.random.Generator], Floats]


def expected_improvement(forecast: Forecast, rng: np.random.Generator) -> Floats:
    """Return `E[max(f - incumbent, 0)] = std (phi(z) + z Phi(z))` with `z = (mean - incumbent) / std`.

    Jones, Schonlau and Welch, "Efficient Global Optimization of Expensive Black-Box Functions", 1998.
    """
    z = (forecast.mean - forecast.incumbent) / forecast.std
    density = np.exp(-0.5 * z**2 - _LOG_SQRT_2PI)
    return np.asarray(np.maximum(forecast.std * (density + z * ndtr(z)), 0.0))


def log_expected_improvement(forecast: Forecast, rng: np.random.Generator) -> Floats:
    """Return the logarithm of the expected improvement, exact where the improvement itself underflows.

    Ament, Daulton, Eriksson, Balandat and Bakshy, "Unexpected Improvements to Expected Improvement for Bayesian
    Optimization", NeurIPS 2023, section 4.1.
    """
    return log_improvement((forecast.mean - forecast.incumbent) / forecast.std) + np.log(forecast.std)


def log_improvement(z: Floats) -> Floats:
    """Return `log(phi(z) + z Phi(z))` for any `z`, to an absolute error of about 1e-8.

    Directly above -1; below, as `log phi(z) + log(1 - |z| sqrt(pi / 2) erfcx(|z| / sqrt 2))`; below -1e4, where the
    difference cancels, it is replaced by its limit `1 / z^2`.
    """
    result = np.empty_like(z)
    upper = z > -1
    top = z[upper]
    result[upper] = np.log(np.exp(-0.5 * top**2 - _LOG_SQRT_2PI) + top * ndtr(top))
    depth = -z[~upper]
    far = depth > 1e4
    near = np.where(far, 1.0, depth)
    rest = np.where(far, -2 * np.log(depth), np.log1p(-near * np.sqrt(np.pi / 2) * erfcx(near / np.sqrt(2))))
    result[~upper] = -0.5 * depth**2 - _LOG_SQRT_2PI + rest
    return result


def upper_confidence_bound(forecast: Forecast, rng: np.random.Generator, beta: float = 1.5) -> Floats:
    """Return `mean + beta std`.

    Srinivas, Krause, Kakade and Seeger, "Gaussian Process Optimization in the Bandit Setting", ICML 2010.
    """
    return forecast.mean + beta * forecast.std


def probability_of_improvement(forecast: Forecast, rng: np.random.Generator, margin: float = 0.1) -> Floats:
    """Return the logarithm of the probability to exceed the incumbent by `margin`.

    Kushner, "A New Method of Locating the Maximum Point of an Arbitrary Multipeak Curve in the Presence of Noise",
    1964. Without a margin it prefers what is sure to be a little better.
    """
    return np.asarray(log_ndtr((forecast.mean - forecast.incumbent - margin) / forecast.std))


def thompson_sampling(forecast: Forecast, rng: np.random.Generator) -> Floats:
    """Return one joint draw of all outcomes.

    Thompson, "On the Likelihood that One Unknown Probability Exceeds Another", Biometrika 1933.
    """
    return forecast.draw(rng)


def independent_thompson_sampling(forecast: Forecast, rng: np.random.Generator) -> Floats:
    """Return one draw of each outcome by itself.

    White, Neiswanger and Savani, "BANANAS", AAAI 2021, section 4.
    """
    return np.asarray(rng.normal(forecast.mean, forecast.std))


def max_value_entropy(forecast: Forecast, rng: np.random.Generator, samples: int = 16) -> Floats:
    """Return the information that an outcome carries about the value of the best architecture, in nats.

    `mean over y* of [g phi(g) / (2 Phi(g)) - log Phi(g)]` with `g = (y* - mean) / std`.

    Wang and Jegelka, "Max-value Entropy Search for Efficient Bayesian Optimization", ICML 2017, equation 6, with the
    maximum `y*` drawn from its Gumbel approximation.
    """
    total = np.zeros(len(forecast.mean))
    for maximum in gumbel_maxima(forecast.mean, forecast.std, samples, rng):
        g = (max(maximum, forecast.incumbent) - forecast.mean) / forecast.std
        log_below = log_ndtr(g)
        total += 0.5 * g * np.exp(-0.5 * g**2 - _LOG_SQRT_2PI - log_below) - log_below
    return total / samples


def gumbel_maxima(mean: Floats, std: Floats, samples: int, rng: np.random.Generator) -> Floats:
    """Return samples of the maximum of independent Gaussians, `(samples,)`, by a Gumbel fit to its quartiles."""
    quartiles = [_quantile_of_maximum(mean, std, level) for level in (0.25, 0.5, 0.75)]
    spread = np.log(np.log(4.0)) - np.log(np.log(4.0 / 3.0))
    scale = max((quartiles[2] - quartiles[0]) / spread, 1e-12)
    location = quartiles[1] + scale * np.log(np.log(2.0))
    return np.asarray(location - scale * np.log(-np.log(rng.random(samples))))


def _quantile_of_maximum(mean: Floats, std: Floats, level: float) -> float:
    """Return where `prod_i Phi((y - mean_i) / std_i) = level`, by bisection."""
    # The maximum is below any candidate's mean - std with a probability of at most Phi(-1) = 0.16, less than any level
    # asked for; candidates that cannot come near that bound do not matter.
    low, high = float((mean - std).max()), float((mean + 8 * std).max())
    chance = mean + 7 * std > low
    mean, std = mean[chance], std[chance]
    for _ in range(40):
        middle = 0.5 * (low + high)
        if log_ndtr((middle - mean) / std).sum() < np.log(level):
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


ACQUISITIONS: Mapping[str, Acquisition[Forecast]] = {
    "ei": expected_improvement,
    "log_ei": log_expected_improvement,
    "ucb": upper_confidence_bound,
    "pi": probability_of_improvement,
    "thompson": thompson_sampling,
    "independent_thompson": independent_thompson_sampling,
    "mes": max_value_entropy,
    "mean": lambda forecast, rng: forecast.mean,
}
"""Acquisition functions by the name under which searchers take them."""
