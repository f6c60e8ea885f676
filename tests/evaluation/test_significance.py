"""Significance: published values, brute force, and what ties and zeros do."""

from itertools import product

import numpy as np
import pytest
from archcast.errors import InvalidDataError
from archcast.evaluation.significance import average_ranks, critical_difference, holm, pairwise, wilcoxon_p

# Demsar 2006, table 6: AUC of C4.5 with and without tuning on 14 data sets (one tie, which its ranks break, is broken).
DEMSAR = {
    "C4.5": [0.763, 0.599, 0.954, 0.628, 0.882, 0.936, 0.661, 0.583, 0.775, 1.0, 0.940, 0.619, 0.972, 0.957],
    "C4.5+m": [0.768, 0.591, 0.971, 0.661, 0.888, 0.931, 0.668, 0.583, 0.838, 1.0, 0.962, 0.666, 0.981, 0.978],
    "C4.5+cf": [0.771, 0.590, 0.968, 0.654, 0.886, 0.916, 0.609, 0.563, 0.866, 1.0, 0.965, 0.614, 0.9751, 0.946],
    "C4.5+m+cf": [0.798, 0.569, 0.967, 0.657, 0.898, 0.931, 0.685, 0.625, 0.875, 1.0, 0.962, 0.669, 0.975, 0.970],
}


def test_the_example_of_demsar():
    test = average_ranks({name: -np.array(auc) for name, auc in DEMSAR.items()})
    ranks = dict(zip(test.methods, test.ranks, strict=True))
    assert ranks["C4.5"] == pytest.approx(3.143, abs=5e-4)
    assert ranks["C4.5+m"] == pytest.approx(2.000, abs=5e-4)
    assert ranks["C4.5+cf"] == pytest.approx(2.893, abs=5e-4)
    assert ranks["C4.5+m+cf"] == pytest.approx(1.964, abs=5e-4)
    assert test.methods[-1] == "C4.5"
    assert test.blocks == 14
    assert test.critical_difference == pytest.approx(1.25, abs=5e-3)
    assert test.p < 0.05


@pytest.mark.parametrize(
    ("k", "q"),
    [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (7, 2.949), (8, 3.031), (9, 3.102), (10, 3.164)],
)
def test_critical_values_are_those_of_demsar(k, q):
    blocks = 17
    assert critical_difference(k, blocks) == pytest.approx(q * (k * (k + 1) / (6 * blocks)) ** 0.5, rel=4e-4)
    assert critical_difference(k, 4 * blocks) == pytest.approx(critical_difference(k, blocks) / 2)


def test_wilcoxon_is_the_share_of_sign_patterns_at_least_as_extreme():
    rng = np.random.default_rng(3)
    for n in (5, 8, 10):
        a, b = rng.normal(size=n), rng.normal(0.5, size=n)
        ranks = np.argsort(np.argsort(np.abs(a - b))) + 1.0
        observed = abs(float((np.sign(a - b) * ranks).sum()))
        extremes = [abs(np.dot(signs, ranks)) >= observed - 1e-9 for signs in product((-1, 1), repeat=n)]
        assert wilcoxon_p(a, b) == pytest.approx(np.mean(extremes))
        assert wilcoxon_p(b, a) == pytest.approx(wilcoxon_p(a, b))


def test_wilcoxon_with_zeros_and_ties():
    assert wilcoxon_p([1.0, 2.0], [1.0, 2.0]) == 1.0
    assert wilcoxon_p([0.0] * 30, [1.0] * 30) < 1e-6  # all differences tied
    # Zeros take the lowest ranks and are dropped: they do not make 12 losses less certain.
    tied = wilcoxon_p(np.r_[np.zeros(10), np.arange(1, 13)], np.zeros(22))
    assert 1e-5 < tied < 0.01
    with pytest.raises(InvalidDataError, match="as many scores of both methods and at least one, got 2 and 1"):
        wilcoxon_p([1.0, 2.0], [1.0])


def test_holm_by_hand():
    # 0.01 * 4, 0.03 * 3 = 0.09, max(0.09, 0.04 * 2), max(0.09, 0.05).
    assert holm([0.04, 0.01, 0.05, 0.03]).tolist() == pytest.approx([0.09, 0.04, 0.09, 0.09])
    assert holm([0.6, 0.9]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []


def test_pairs_say_who_won():
    rng = np.random.default_rng(0)
    base = rng.random(20)
    tests = pairwise({"slow": base + 1, "fast": base, "same": base})
    assert [(t.better, t.worse, t.wins, t.losses, t.ties) for t in tests] == [
        ("fast", "slow", 20, 0, 0),
        ("same", "slow", 20, 0, 0),
        ("fast", "same", 0, 0, 20),
    ]
    assert tests[0].difference == pytest.approx(1.0)
    assert tests[0].significant
    assert tests[0].p_holm == pytest.approx(3 * tests[0].p)
    assert (tests[2].p, tests[2].significant) == (1.0, False)


def test_methods_that_are_not_told_apart():
    turn = np.arange(40) % 5 < 2  # in two blocks of five the second comes before the first
    scores = {"a": 1.0 + turn, "b": 2.0 - turn, "c": 5.0 + turn, "d": 6.0 - turn}
    test = average_ranks(scores)
    assert test.methods == ("a", "b", "c", "d")
    assert test.ranks == pytest.approx((1.4, 1.6, 3.4, 3.6))
    assert test.critical_difference == pytest.approx(0.742, abs=1e-3)
    assert test.cliques() == [(0, 1), (2, 3)]
    # With fewer blocks the middle two are not told apart either: bars overlap.
    few = average_ranks({name: values[:5] for name, values in scores.items()})
    assert few.critical_difference == pytest.approx(2.098, abs=1e-3)
    assert few.cliques() == [(0, 2), (1, 3)]


def test_one_block_tells_nothing():
    test = average_ranks({"a": [1.0], "b": [0.5], "c": [0.5]})
    assert dict(zip(test.methods, test.ranks, strict=True)) == {"a": 3.0, "b": 1.5, "c": 1.5}
    assert np.isnan([test.p, test.critical_difference]).all()
    assert test.cliques() == []
    equal = average_ranks({"a": [1.0, 1.0], "b": [1.0, 1.0], "c": [1.0, 1.0]})
    assert np.isnan(equal.p)
    assert equal.ranks == (2.0, 2.0, 2.0)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({"a": [1.0]}, "expected at least 2 methods to rank, got 1"),
        ({"a": [1.0], "b": [1.0, 2.0]}, r"the same blocks for every method, got \[1, 2\] scores"),
        ({"a": [1.0], "b": [np.nan]}, "scores of 'b' must be finite, got nan at position 0"),
    ],
)
def test_bad_scores(scores, message):
    with pytest.raises(InvalidDataError, match=message):
        average_ranks(scores)
