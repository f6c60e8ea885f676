"""Edits, effects of genes and partial dependence, against what can be counted by hand."""

import archcast as ac
import numpy as np
import pytest
from archcast.errors import InvalidDataError
from archcast.explanations import all_edits, best_edits, gene_effects, native_spans, partial_dependence
from archcast.predictors import make_predictor
from scipy.special import ndtr

SPACE = ac.get_space("nasbench201")


def accuracy(batch):
    return 90 + np.array([-4.0, 0.1, 0.5, 1.0, -0.3])[batch.genotypes] @ np.array([0.6, 0.8, 0.5, 1.2, 0.7, 0.6])


TRAIN = SPACE.sample(80, seed=1)
ONE = SPACE.parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|")


@pytest.fixture(scope="module")
def ridge():
    """Knows what every operation is worth on every edge, nearly exactly."""
    options = {"penalty": 1e-6, "target_transform": "standardize"}
    return make_predictor("ridge@adjacency", **options).fit(TRAIN, accuracy(TRAIN))


@pytest.fixture(scope="module")
def process():
    noise = np.random.default_rng(0).normal(0, 0.3, 80)
    return make_predictor("gp@adjacency").fit(TRAIN, accuracy(TRAIN) + noise)


def test_the_best_edit_of_a_known_function(ridge):
    found = best_edits(ridge, ONE, 3)
    assert found.words()[0] == "edge 0->3: none -> nor_conv_3x3"
    np.testing.assert_allclose(found.gain, accuracy(found.architectures) - accuracy(ONE), atol=1e-3)
    assert list(found.gain) == sorted(found.gain, reverse=True)
    record = found.records()[0]
    assert SPACE.parse(record["architecture"]) == found.architectures[:1]
    assert record["forecast"] - found.forecast == pytest.approx(record["gain"])
    # with lower values better the same edit is the worst
    assert best_edits(ridge, ONE, None, direction="lower").words()[-1] == "edge 0->3: none -> nor_conv_3x3"


def test_all_edits_are_the_neighbours_but_twins(ridge):
    near, _ = SPACE.neighbors(ONE)
    found = all_edits(ridge, ONE)
    assert set(found.architectures) == {a for a in near if a.batch().keys()[0] != ONE.keys()[0]}
    assert found.changed.sum(axis=1).tolist() == [1] * len(found)
    rest = best_edits(ridge, ONE[0], None, exclude=found.architectures[:5])
    assert len(rest) < len(found)
    assert not np.isin(rest.architectures.keys(), found.architectures[:5].keys()).any()


def test_the_joint_covariance_is_that_of_draws(process):
    """Deviation and probability agree with drawing both outcomes many times."""
    found = all_edits(process, ONE)
    batch = ac.Architectures.concatenate([ONE, found.architectures])
    mean, covariance = process._predict_joint(process.features(batch))
    std = process.predict(batch, return_std=True)[1]
    inverse = process._targets.columns[0].inverse
    draws = np.random.default_rng(0).multivariate_normal(mean, covariance, 40_000)
    change = inverse(draws[:, 1:]) - inverse(draws[:, :1])
    expected = np.sqrt(((change - found.gain) ** 2).mean(axis=0))
    np.testing.assert_allclose(found.deviation, expected, rtol=0.03)
    np.testing.assert_allclose(found.probability, (change > 0).mean(axis=0), atol=0.01)
    assert (found.deviation < np.hypot(std[0], std[1:]) + 1e-9).all()  # similar architectures err alike
    other = all_edits(process, ONE, direction="lower")
    np.testing.assert_allclose(other.probability, 1 - found.probability)
    np.testing.assert_allclose(np.diag(covariance), process._predict(process.features(batch))[1][:, 0] ** 2)


def test_other_predictors_count_as_independent(ridge):
    found = all_edits(ridge, ONE)
    mean, std = ridge.predict(ac.Architectures.concatenate([ONE, found.architectures]), return_std=True)
    np.testing.assert_allclose(found.deviation, np.hypot(std[0], std[1:]))
    np.testing.assert_allclose(found.probability, ndtr((mean[1:] - mean[0]) / found.deviation))


def test_effects_of_genes(ridge):
    found = gene_effects(ridge, ONE)
    worth = np.array([-4.0, 0.1, 0.5, 1.0, -0.3])
    weights = np.array([0.6, 0.8, 0.5, 1.2, 0.7, 0.6])
    own = worth[ONE.genotypes[0]]
    expected = weights * (own - (worth.sum() - own) / 4)
    np.testing.assert_allclose(found.effect, expected, atol=1e-3)
    assert (found.alternatives == 4).all()
    np.testing.assert_allclose(found.highest[0], found.forecast + 0.6 * (0.5 - 1.0), atol=1e-3)
    assert found.records()[5]["gene"] == "edge 2->3: avg_pool_3x3"


@pytest.mark.parametrize("name", ["nasbench201", "nasbench101", "nasbench_graph", "nasbench_macro", "mnasnet_chain"])
def test_spans_hold_what_changes(name):
    """Whatever a gene is changed to, the text outside its span stays as it is."""
    space = ac.get_space(name)
    batch = space.sample(1, seed=3)
    text, spans = batch.strings()[0], native_spans(batch)
    assert sum(span is not None for span in spans) >= space.dimension / 2
    places = [place for span in spans if span is not None for place in range(*span)]
    assert len(places) == len(set(places))
    near, _ = space.neighbors(batch)
    for other, row in zip(near.strings(), near.genotypes != batch.genotypes, strict=True):
        if row.sum() == 1 and (span := spans[int(row.argmax())]) is not None:
            assert other.startswith(text[: span[0]])
            assert other.endswith(text[span[1] :])


def test_spans_are_whole_operations():
    text = ONE.strings()[0]
    assert [text[slice(*span)] for span in native_spans(ONE)] == [
        "nor_conv_3x3", "none", "skip_connect", "none", "none", "avg_pool_3x3",
    ]  # fmt: skip
    macro = ac.get_space("nasbench_macro").parse("01222211")
    assert native_spans(macro) == [(i, i + 1) for i in range(8)]


def test_partial_dependence_of_a_known_function(ridge):
    whole = partial_dependence(ridge)
    worth, weights = np.array([-4.0, 0.1, 0.5, 1.0, -0.3]), np.array([0.6, 0.8, 0.5, 1.2, 0.7, 0.6])
    np.testing.assert_allclose(whole.mean - whole.overall, weights[:, None] * (worth - worth.mean()), atol=1e-3)
    assert (whole.counts == 3125).all()
    others = [np.sqrt((np.delete(weights, i) ** 2).sum() * worth.var()) for i in range(6)]
    np.testing.assert_allclose(whole.deviation, np.repeat(others, 5).reshape(6, 5), rtol=1e-2)
    np.testing.assert_allclose(whole.importance, 5 * weights, atol=2e-3)
    sample = partial_dependence(ridge, n=50, seed=1)
    centred = whole.mean - whole.mean.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(sample.mean - sample.mean.mean(axis=1, keepdims=True), centred, atol=1e-3)
    assert whole.records()[3]["choice"] == "nor_conv_3x3"
    assert len(whole.records()) == 30


def test_partial_dependence_where_not_all_is_valid():
    space = ac.get_space("nasbench101")
    batch = space.sample(40, seed=0)
    predictor = make_predictor("ridge@operations").fit(batch, np.arange(40.0))
    found = partial_dependence(predictor, n=20)
    assert (found.counts <= 20).all()
    assert (found.counts.sum(axis=1) >= 20).all()
    assert np.isnan(found.mean[found.counts == 0]).all()


def test_bad_input(ridge):
    with pytest.raises(InvalidDataError, match="expected one architecture to explain, got 2"):
        best_edits(ridge, TRAIN[:2])
    with pytest.raises(InvalidDataError, match=r"expected an Architecture .* got str"):
        best_edits(ridge, "|nor_conv_3x3~0|")
    with pytest.raises(InvalidDataError, match="n must be a whole number from 1, got 0"):
        best_edits(ridge, ONE, 0)
    with pytest.raises(InvalidDataError, match="direction must be one of higher, lower, got 'up'"):
        best_edits(ridge, ONE, direction="up")
    matrix = make_predictor("ridge").fit(np.eye(5), np.arange(5.0))
    with pytest.raises(InvalidDataError, match="expected a space"):
        partial_dependence(matrix)
    knowing = make_predictor("ridge@adjacency").fit(TRAIN, accuracy(TRAIN))
    knowing.metadata_ = {"direction": "lower"}
    with pytest.raises(InvalidDataError, match="lower values are better, got direction 'higher'"):
        best_edits(knowing, ONE, direction="higher")
