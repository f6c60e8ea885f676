"""Ranking measures and errors against definitions spelled out naively, and against what must not change them."""

from itertools import permutations

import numpy as np
import pytest
from archcast.errors import InvalidDataError
from archcast.evaluation import metrics as m
from hypothesis import given, settings
from hypothesis import strategies as st

TRUTH = [90.0, 91.0, 92.0, 93.0, 94.0]

few_values = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=12)
checks = settings(deadline=None, max_examples=80)


def naive_tau_b(truth, prediction):
    concordant = discordant = tied_truth = tied_prediction = pairs = 0
    for i in range(len(truth)):
        for j in range(i):
            pairs += 1
            a, b = truth[i] - truth[j], prediction[i] - prediction[j]
            tied_truth += a == 0
            tied_prediction += b == 0
            concordant += a * b > 0
            discordant += a * b < 0
    norm = (pairs - tied_truth) * (pairs - tied_prediction)
    return (concordant - discordant) / norm**0.5 if norm else float("nan")


def naive_top(truth, prediction, k, score, higher_is_better):
    """Average a score of the chosen k over all orders in which tied predictions may come."""
    sign = -1 if higher_is_better else 1
    results = []
    for order in permutations(range(len(truth))):
        ranked = sorted(order, key=lambda i: sign * prediction[i])
        results.append(score(ranked[:k]))
    return float(np.mean(results))


@given(few_values)
@checks
def test_kendall_tau_is_tau_b(pairs):
    truth, prediction = map(list, zip(*pairs, strict=True))
    expected = naive_tau_b(truth, prediction)
    assert m.kendall_tau(truth, prediction) == pytest.approx(expected, nan_ok=True)


def test_kendall_tau_by_hand():
    assert m.kendall_tau(TRUTH, [1, 2, 3, 4, 5]) == pytest.approx(1.0)
    assert m.kendall_tau(TRUTH, [5, 4, 3, 2, 1]) == pytest.approx(-1.0)
    assert m.kendall_tau(TRUTH, [2, 1, 3, 4, 5]) == pytest.approx(0.8)  # 9 of 10 pairs agree
    # One tie in the prediction: 9 concordant, none discordant, sqrt(10 * 9) in the denominator.
    assert m.kendall_tau(TRUTH, [1, 1, 3, 4, 5]) == pytest.approx(9 / 90**0.5)


@pytest.mark.parametrize("measure", [m.kendall_tau, m.spearman, m.pearson])
def test_correlation_with_a_constant_is_undefined(measure):
    assert np.isnan(measure(TRUTH, [7.0] * 5))
    assert np.isnan(measure([7.0] * 5, TRUTH))


@given(few_values, st.permutations(range(12)))
@checks
def test_rank_correlations_ignore_monotone_maps_and_the_order_of_rows(pairs, order):
    truth, prediction = (np.array(side, dtype=float) for side in zip(*pairs, strict=True))
    order = [i for i in order if i < len(truth)]
    for measure in (m.kendall_tau, m.spearman):
        value = measure(truth, prediction)
        assert measure(truth, np.exp(prediction)) == pytest.approx(value, nan_ok=True)
        assert measure(-truth, -prediction) == pytest.approx(value, nan_ok=True)
        assert measure(-truth, prediction) == pytest.approx(-value, nan_ok=True)
        assert measure(prediction, truth) == pytest.approx(value, nan_ok=True)
        assert measure(truth[order], prediction[order]) == pytest.approx(value, nan_ok=True)


def test_sparse_tau_ignores_differences_below_its_resolution():
    truth = [90.00, 90.04, 91.0, 92.0]
    flipped = [90.04, 90.00, 91.0, 92.0]
    assert m.kendall_tau(truth, flipped) == pytest.approx(4 / 6)
    assert m.sparse_kendall_tau(truth, flipped) == pytest.approx(1.0)
    assert m.sparse_kendall_tau(truth, flipped, resolution=0.01) == pytest.approx(4 / 6)
    fractions = np.array(truth) / 100, np.array(flipped) / 100
    assert m.sparse_kendall_tau(*fractions, resolution=0.001) == pytest.approx(1.0)
    with pytest.raises(InvalidDataError, match="resolution must be a positive number, got 0"):
        m.sparse_kendall_tau(truth, flipped, resolution=0)


def test_spearman_and_pearson_by_hand():
    # 1 - 6 * sum(d^2) / (n (n^2 - 1)) with d = (1, -1, 0, 0, 0)
    assert m.spearman(TRUTH, [2, 1, 3, 4, 5]) == pytest.approx(1 - 6 * 2 / 120)
    assert m.spearman([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(np.corrcoef([1, 2.5, 2.5, 4], [1, 2, 3, 4])[0, 1])
    assert m.pearson([0, 1, 2], [0, 1, 5]) == pytest.approx(np.corrcoef([0, 1, 2], [0, 1, 5])[0, 1])


@given(
    st.lists(st.tuples(*[st.floats(-1e3, 1e3)] * 2), min_size=3, max_size=20),
    st.sampled_from([1e-300, 1e-6, 1.0, 1e6, 1e300]),
)
@checks
def test_pearson_ignores_the_unit_however_extreme(pairs, scale):
    truth, prediction = (np.array(side) for side in zip(*pairs, strict=True))
    truth, prediction = np.round(truth, 2), np.round(prediction, 2)
    value = m.pearson(truth, prediction)
    assert np.isnan(value) or -1 <= value <= 1
    assert m.pearson(truth * scale, prediction) == pytest.approx(value, nan_ok=True, abs=1e-6)
    assert m.pearson(truth, prediction - 7) == pytest.approx(value, nan_ok=True, abs=1e-6)


def test_errors_by_hand():
    truth, prediction = [1.0, 2.0, 6.0], [2.0, 2.0, 4.0]
    assert m.rmse(truth, prediction) == pytest.approx((5 / 3) ** 0.5)
    assert m.mae(truth, prediction) == pytest.approx(1.0)
    assert m.r2(truth, prediction) == pytest.approx(1 - 5 / 14)
    assert m.r2(truth, truth) == 1.0
    assert m.r2(truth, [3.0, 3.0, 3.0]) == 0.0
    assert np.isnan(m.r2([3.0, 3.0], [1.0, 2.0]))


def test_the_top_by_hand_in_both_directions():
    prediction = [90.0, 99.0, 91.0, 95.0, 92.0]  # likes the true 4th (91), then the true 2nd (93)
    assert m.precision_at_k(TRUTH, prediction, 2) == 0.5
    assert m.regret_at_k(TRUTH, prediction, 1) == pytest.approx(3.0)
    assert m.regret_at_k(TRUTH, prediction, 2) == pytest.approx(1.0)
    assert (m.n_at_k(TRUTH, prediction, 1), m.n_at_k(TRUTH, prediction, 2), m.n_at_k(TRUTH, prediction, 3)) == (4, 2, 1)
    # Lower is better: it likes the true best (90) most, then the true 3rd (92).
    assert m.n_at_k(TRUTH, prediction, 1, higher_is_better=False) == 1
    assert m.regret_at_k(TRUTH, prediction, 1, higher_is_better=False) == 0
    assert m.precision_at_k(TRUTH, prediction, 2, higher_is_better=False) == 0.5


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=2, max_size=6), st.integers(1, 6), st.booleans()
)
@settings(deadline=None, max_examples=60)
def test_the_top_with_ties_is_the_mean_over_all_orders(pairs, k, higher_is_better):
    truth, prediction = map(list, zip(*pairs, strict=True))
    k = min(k, len(truth))
    sign = 1 if higher_is_better else -1
    gain = [sign * t for t in truth]
    rank = [1 + sum(other > g for other in gain) for g in gain]
    arguments = {"truth": truth, "prediction": prediction, "k": k, "higher_is_better": higher_is_better}

    def score(which):
        return naive_top(truth, prediction, k, which, higher_is_better)

    assert m.precision_at_k(**arguments) == pytest.approx(score(lambda top: sum(rank[i] <= k for i in top) / k))
    assert m.n_at_k(**arguments) == pytest.approx(score(lambda top: min(rank[i] for i in top)))
    assert m.regret_at_k(**arguments) == pytest.approx(score(lambda top: max(gain) - max(gain[i] for i in top)))


@given(few_values, st.integers(1, 12))
@checks
def test_flipping_truth_forecast_and_direction_changes_nothing(pairs, k):
    truth, prediction = (np.array(side, dtype=float) for side in zip(*pairs, strict=True))
    k = min(k, len(truth))
    for measure in (m.precision_at_k, m.regret_at_k, m.n_at_k):
        up = measure(truth, prediction, k, higher_is_better=True)
        assert measure(-truth, -prediction, k, higher_is_better=False) == pytest.approx(up)


def test_a_constant_forecast_earns_what_chance_earns_whatever_the_order_of_the_rows():
    assert m.n_at_k(TRUTH, [1.0] * 5, 1) == pytest.approx(3.0)
    assert m.precision_at_k(TRUTH[::-1], [1.0] * 5, 2) == pytest.approx(0.4)
    # Best of 10 drawn from 1,000: expected rank (n + 1) / (k + 1).
    assert m.n_at_k(np.arange(1000.0), np.zeros(1000), 10) == pytest.approx(1001 / 11)


@pytest.mark.parametrize(
    ("truth", "prediction", "message"),
    [
        ([1.0, 2.0], [1.0], "prediction must have one value for each of 2 true values, got 1"),
        ([1.0], [1.0], "expected at least 2 architectures to evaluate on, got 1"),
        ([1.0, float("nan")], [1.0, 2.0], "truth must be finite, got nan at position 1"),
        ([1.0, 2.0], [float("inf"), 2.0], "prediction must be finite, got inf at position 0"),
        ([[1.0, 2.0]], [1.0, 2.0], r"truth must be one-dimensional, got shape \(1, 2\)"),
        (["a", "b"], [1.0, 2.0], "truth must be numbers"),
    ],
)
@pytest.mark.parametrize("measure", [m.kendall_tau, m.spearman, m.pearson, m.r2, m.sparse_kendall_tau])
def test_unusable_input_is_named(measure, truth, prediction, message):
    with pytest.raises(InvalidDataError, match=message):
        measure(truth, prediction)


@pytest.mark.parametrize("k", [0, 6, -1, 1.5, True])
def test_k_out_of_range_is_named(k):
    with pytest.raises(InvalidDataError, match=r"k must be an integer in 1\.\.5"):
        m.precision_at_k(TRUTH, TRUTH, k)


def test_evaluate_counts_missing_truth_and_leaves_it_out():
    truth = np.array([90.0, np.nan, 92.0, 93.0, np.nan, 94.0])
    mean = np.array([90.5, 1e9, 91.0, 95.0, -1e9, 94.0])
    known = ~np.isnan(truth)
    result = m.evaluate(truth, mean, np.full(6, 0.5), higher_is_better=True, ks=(1, 2, 10), resolution=0.1)
    assert (result["n_test"], result["n_missing"]) == (4, 2)
    assert result["kendall_tau"] == pytest.approx(4 / 6)
    assert result["rmse"] == m.rmse(truth[known], mean[known])
    assert result["n_at_1"] == 2
    assert np.isnan(result["precision_at_10"])
    assert result["nll"] == pytest.approx(
        m.evaluate(truth[known], mean[known], [0.5] * 4, higher_is_better=True)["nll"]
    )


def test_evaluate_respects_the_direction():
    up = m.evaluate(TRUTH, [90.0, 99.0, 91.0, 95.0, 92.0], higher_is_better=True, ks=(1,))
    down = m.evaluate(TRUTH, [90.0, 99.0, 91.0, 95.0, 92.0], higher_is_better=False, ks=(1,))
    assert (up["n_at_1"], down["n_at_1"]) == (4, 1)
    assert up["kendall_tau"] == down["kendall_tau"]
    assert "nll" not in up
    assert np.isnan(up["sparse_kendall_tau"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mean": [1.0, 2.0]}, "mean must have one value for each of 3 true values, got 2"),
        ({"mean": [1.0, np.nan, 2.0]}, "mean must be finite, got nan at position 1"),
        ({"std": [1.0, -1.0, 1.0]}, r"std must not be negative, got -1.0 at position 1"),
        ({"std": [1.0]}, "std must have one value for each of 3 true values, got 1"),
        ({"truth": [1.0, np.nan, np.nan]}, "expected at least 2 architectures to evaluate on, got 1"),
        ({"truth": [1.0, np.inf, 2.0]}, "truth must be finite, got inf at position 1"),
        ({"quantiles": np.zeros((3, 2)), "levels": [0.1, 0.5, 0.9]}, r"quantiles must have shape \(n, 3\)"),
        ({"levels": [0.1]}, "levels were given without the quantiles"),
    ],
)
def test_evaluate_names_what_does_not_fit(arguments, message):
    usual = {"truth": [1.0, 2.0, 3.0], "mean": [1.0, 2.0, 3.0], "std": [1.0, 1.0, 1.0], "higher_is_better": True}
    with pytest.raises(InvalidDataError, match=message):
        m.evaluate(**(usual | arguments))
