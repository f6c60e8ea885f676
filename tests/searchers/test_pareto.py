"""Dominance, hypervolume, boxes and expected improvements against brute force and Monte Carlo."""

import itertools

import numpy as np
import pytest
from archcast.searchers.acquisition import Forecast, expected_improvement
from archcast.searchers.pareto import (
    crowding,
    free_boxes,
    front_numbers,
    hypervolume,
    hypervolume_curve,
    nondominated,
)
from archcast.searchers.pareto_surrogate import (
    ParetoForecast,
    expected_hypervolume_improvement,
    log_expected_hypervolume_improvement,
)


def dominated(points):
    """Whether another point is at least as good everywhere and better somewhere."""
    worse = [any((q >= p).all() and (q > p).any() for q in points) for p in points]
    return np.array(worse, dtype=bool)


def cells(points, reference, side):
    """The hypervolume of integer points, as a count of unit cells."""
    corners = np.array(list(itertools.product(range(side), repeat=len(reference)))) + reference + 1
    return int((corners[:, None] <= points).all(axis=2).any(axis=1).sum())


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_fronts_are_those_of_the_definition(m):
    rng = np.random.default_rng(m)
    for _ in range(20):
        points = rng.integers(0, 4, size=(12, m)).astype(float)
        front = nondominated(points)
        first = np.unique(points, axis=0, return_index=True)[1]
        assert front.tolist() == (~dominated(points) & np.isin(np.arange(12), first)).tolist()
        numbers, left = front_numbers(points), np.arange(12)
        for number in range(numbers.max() + 1):
            good = ~dominated(points[left])
            assert left[good].tolist() == np.flatnonzero(numbers == number).tolist()
            left = left[~good]


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_the_hypervolume_counts_cells(m):
    rng = np.random.default_rng(10 + m)
    reference = np.full(m, 1)
    for _ in range(10):
        points = rng.integers(0, 6, size=(int(rng.integers(0, 9)), m)).astype(float)
        assert hypervolume(points, reference.astype(float)) == pytest.approx(cells(points, reference, 5), abs=1e-9)
    series = rng.integers(0, 6, size=(15, m)).astype(float)
    series[4] = np.nan
    curve = hypervolume_curve(series, reference.astype(float))
    for count in range(1, 16):
        there = series[:count][np.isfinite(series[:count]).all(axis=1)]
        assert curve[count - 1] == pytest.approx(hypervolume(there, reference.astype(float)))


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_boxes_hold_what_the_front_leaves_and_nothing_twice(m):
    rng = np.random.default_rng(20 + m)
    front = rng.random((7, m))
    reference = np.full(m, 0.1)
    lower, upper = free_boxes(front, reference)
    probes = rng.random((2000, m)) * 1.5 - 0.1
    inside = ((probes[:, None] > lower) & (probes[:, None] <= upper)).all(axis=2).sum(axis=1)
    free = (probes > reference).all(axis=1) & ~(probes[:, None] <= front).all(axis=2).any(axis=1)
    assert inside.tolist() == free.astype(int).tolist()
    none = free_boxes(front[:0], reference)
    assert none[0].tolist() == [reference.tolist()]
    assert np.isinf(none[1]).all()


@pytest.mark.parametrize("m", [1, 2, 3])
def test_the_expected_improvement_is_the_mean_of_improvements(m):
    rng = np.random.default_rng(30 + m)
    front, reference = rng.normal(size=(5, m)), np.full(m, -1.5)
    front = front[nondominated(front)]
    mean, std = rng.normal(size=(6, m)), rng.uniform(0.2, 1.0, size=(6, m))
    found = expected_hypervolume_improvement(ParetoForecast(mean, std, front, reference, np.zeros(6)))
    before, draws = hypervolume(front, reference), 400
    for i in range(4):
        outcomes = rng.normal(mean[i], std[i], size=(draws, m))
        gains = [hypervolume(np.concatenate([front, outcome[None]]), reference) - before for outcome in outcomes]
        assert abs(found[i] - np.mean(gains)) < 4 * np.std(gains) / np.sqrt(draws) + 1e-6


def test_one_objective_is_expected_improvement():
    rng = np.random.default_rng(0)
    mean, std = rng.normal(size=20), rng.uniform(0.1, 1.0, size=20)
    several = ParetoForecast(mean[:, None], std[:, None], np.array([[0.4]]), np.array([-5.0]), np.zeros(20))
    single = expected_improvement(Forecast(mean, std, 0.4, lambda _: mean), rng)
    np.testing.assert_allclose(expected_hypervolume_improvement(several), single, rtol=1e-9, atol=1e-12)


def test_what_is_certain_improves_by_what_it_adds():
    front, reference = np.array([[1.0, 3.0], [2.0, 2.0]]), np.zeros(2)
    mean = np.array([[3.0, 1.0], [1.0, 1.0], [1.5, 2.5], [4.0, 4.0]])
    forecast = ParetoForecast(mean, np.full((4, 2), 1e-9), front, reference, np.zeros(4))
    gains = [hypervolume(np.concatenate([front, row[None]]), reference) - 5.0 for row in mean]
    np.testing.assert_allclose(expected_hypervolume_improvement(forecast), gains, atol=1e-7)


def test_feasibility_weighs_and_decides_alone_while_nothing_is_feasible():
    rng = np.random.default_rng(0)
    mean, std, reference = rng.normal(size=(5, 2)), np.ones((5, 2)), np.full(2, -3.0)
    likely = np.log([0.1, 0.9, 0.5, 0.2, 0.3])
    some = ParetoForecast(mean, std, np.zeros((1, 2)), reference, likely)
    np.testing.assert_allclose(
        log_expected_hypervolume_improvement(some, rng), np.log(expected_hypervolume_improvement(some)) + likely
    )
    none = ParetoForecast(mean, std, np.zeros((0, 2)), reference, likely)
    assert log_expected_hypervolume_improvement(none, rng).tolist() == likely.tolist()


def test_crowding_prefers_the_lonely():
    points = np.array([[0.0, 4.0], [1.0, 3.0], [1.1, 2.9], [4.0, 0.0]])
    assert crowding(points).argsort()[:2].tolist() == [1, 2]
    assert np.isinf(crowding(points)[[0, 3]]).all()
    assert crowding(np.ones((3, 2))).tolist() == [0.0, 0.0, 0.0]
