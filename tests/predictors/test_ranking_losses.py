"""Ranking losses against their formulas, computed pair by pair and item by item."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from archcast.predictors.neural import ensemble, losses  # noqa: E402

RNG = np.random.default_rng(0)
FORECAST = RNG.normal(size=(2, 7))
TARGET = np.stack([RNG.permutation(7).astype(float), np.array([1.0, 1, 2, 2, 3, 0, 0])])


def pairs(target):
    return [(i, j) for i in range(len(target)) for j in range(len(target)) if target[i] > target[j]]


def per_pair(term):
    return [np.mean([term(f[i] - f[j]) for i, j in pairs(t)]) for f, t in zip(FORECAST, TARGET, strict=True)]


def plackett_luce(forecast, target):
    order = np.argsort(-target, kind="stable")
    scores = forecast[order]
    return -np.mean([scores[k] - math.log(np.exp(scores[k:]).sum()) for k in range(len(scores))])


def smooth_ndcg(forecast, target):
    n = len(target)
    gain = [2 ** (4 * np.mean(np.delete(target, i) < target[i])) - 1 for i in range(n)]
    rank = [
        1 + sum(1 / (1 + math.exp(-(forecast[j] - forecast[i]) / 0.1)) for j in range(n) if j != i) for i in range(n)
    ]
    ideal = sum(g / math.log2(2 + k) for k, g in enumerate(sorted(gain, reverse=True)))
    return 1 - sum(g / math.log2(1 + r) for g, r in zip(gain, rank, strict=True)) / ideal


EXPECTED = {
    "hinge": per_pair(lambda d: max(0.0, 0.1 - d)),
    "logistic": per_pair(lambda d: math.log1p(math.exp(-d))),
    "kendall": per_pair(lambda d: 1 - math.tanh(2 * d)),
    "list_mle": [plackett_luce(f, t) for f, t in zip(FORECAST, TARGET, strict=True)],
    "approx_ndcg": [smooth_ndcg(f, t) for f, t in zip(FORECAST, TARGET, strict=True)],
}


@pytest.mark.parametrize("name", EXPECTED)
def test_values_follow_the_formula(name):
    values = losses.LOSSES[name](torch.tensor(FORECAST), torch.tensor(TARGET))
    np.testing.assert_allclose(values.numpy(), EXPECTED[name], rtol=1e-6)


@pytest.mark.parametrize("name", EXPECTED)
def test_descending_the_loss_ranks_perfectly(name):
    target = torch.tensor(TARGET[:1])
    forecast = torch.zeros(1, 7, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        forecast += 0.01 * torch.tensor(FORECAST[:1])
    for _ in range(300):
        (gradient,) = torch.autograd.grad(losses.LOSSES[name](forecast, target).sum(), forecast)
        with torch.no_grad():
            forecast -= 0.3 * gradient
    assert (forecast[0].argsort() == target[0].argsort()).all()


@pytest.mark.parametrize("name", EXPECTED)
def test_equal_targets_give_a_finite_loss_and_gradient(name):
    forecast = torch.tensor(FORECAST, requires_grad=True)
    losses.LOSSES[name](forecast, torch.ones(2, 7)).sum().backward()
    assert torch.isfinite(forecast.grad).all()


def test_every_loss_can_be_chosen_by_name():
    assert set(ensemble.LOSS_NAMES) == set(losses.LOSSES) == {"mse", *EXPECTED}
