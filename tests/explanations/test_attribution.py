"""Contributions are Shapley values: compared with those by definition, over all sets of players."""

from itertools import combinations
from math import factorial

import archcast as ac
import numpy as np
import pytest
from archcast.errors import InvalidDataError
from archcast.explanations import attribute, relevance
from archcast.explanations.sampling import sampled_contributions
from archcast.predictors import PREDICTORS, make_predictor
from archcast.predictors.tree_shap import _as_booster, booster_contributions
from archcast.spaces import Architectures

SPACE = ac.get_space("nasbench201")
QUICK = {
    "random_forest": {"n_estimators": 16},
    "random_forest_ij": {"n_estimators": 30},
    "gradient_boosting": {"n_estimators": 40, "n_members": 2},
    "xgboost": {"n_estimators": 40, "n_members": 2, "learning_rate": 0.2},
    "xgboost_quantile": {"n_estimators": 40, "n_members": 2, "learning_rate": 0.2},
}
EXACT = {*QUICK, "ridge", "bayesian_linear"}


def accuracy(batch):
    worth = np.array([-0.8, 0.1, 0.5, 1.0, -0.3])[batch.genotypes] @ np.array([0.6, 0.8, 0.5, 1.2, 0.7, 0.6])
    return 94 - 6 * np.exp(-0.7 * worth - 0.5 * (batch.genotypes[:, 3] == 3) * (batch.genotypes[:, 0] == 3))


TRAIN = SPACE.sample(60, seed=1)
Y = accuracy(TRAIN)
NEW, OTHERS = SPACE.sample(3, seed=2), SPACE.sample(8, seed=3)


def shapley(worth, players):
    """Return the Shapley values of a game by their definition."""
    values = np.zeros(players)
    for player in range(players):
        rest = [other for other in range(players) if other != player]
        for size in range(players):
            weight = factorial(size) * factorial(players - size - 1) / factorial(players)
            for chosen in combinations(rest, size):
                values[player] += weight * (worth({*chosen, player}) - worth({*chosen}))
    return values


def conditional(tree, row, known, node=0):
    """Return what a tree of XGBoost forecasts with some columns known, all others following the covers."""
    left, right = tree["left_children"][node], tree["right_children"][node]
    if left < 0:
        return tree["split_conditions"][node]
    column = tree["split_indices"][node]
    if column in known:
        return conditional(tree, row, known, left if row[column] < tree["split_conditions"][node] else right)
    covers = [tree["sum_hessian"][child] for child in (left, right)]
    parts = [conditional(tree, row, known, child) for child in (left, right)]
    return np.average(parts, weights=covers)


@pytest.mark.parametrize("name", ["random_forest", "gradient_boosting", "xgboost"])
def test_trees_against_the_definition(name, monkeypatch):
    """The worth of a set of columns is the forecast with the others left to the background's shares."""
    import json

    import xgboost

    rng = np.random.default_rng(0)
    X, rows, background = rng.integers(0, 3, (80, 5)), rng.integers(0, 3, (4, 5)), rng.integers(0, 3, (30, 5))
    y = X[:, 0] * X[:, 1] - X[:, 2] + 0.1 * rng.normal(size=80)
    options = {**QUICK[name], "n_estimators": 5} | ({"min_child_weight": 1.0} if name == "xgboost" else {})
    predictor = make_predictor(name, **options, target_transform="none").fit(X.astype(float), y)
    loaded = []
    original = xgboost.Booster.load_model
    monkeypatch.setattr(
        xgboost.Booster, "load_model", lambda self, content: (loaded.append(content), original(self, content))[1]
    )
    found, base = predictor._contributions(rows.astype(float), background.astype(float))
    trees = json.loads(bytes(loaded[-1]))["learner"]["gradient_booster"]["model"]["trees"]
    scale = predictor._scale if name == "xgboost" else 1.0
    for row, values in zip(rows, found, strict=True):
        expected = shapley(lambda known, row=row: sum(conditional(tree, row, known) for tree in trees), 5)
        np.testing.assert_allclose(values, scale * expected, atol=2e-6)
    forecasts = predictor.predict(np.concatenate([rows, background]).astype(float))
    np.testing.assert_allclose(found.sum(axis=1) + base, forecasts[:4], atol=1e-5)
    assert base[0] == pytest.approx(forecasts[4:].mean(), abs=0.01 * Y.std())


def test_a_forest_keeps_its_forecasts_as_a_booster():
    import xgboost

    predictor = make_predictor("random_forest", n_estimators=20, target_transform="none").fit(TRAIN, Y)
    rows = predictor.features(SPACE.sample(500, seed=9))
    booster = _as_booster(predictor._trees, 20, 1 / 20, rows.shape[1])
    np.testing.assert_allclose(booster.predict(xgboost.DMatrix(rows)), predictor.predict_features(rows), rtol=1e-5)
    values, base = booster_contributions(booster, rows[:3], rows)
    np.testing.assert_allclose(values.sum(axis=1) + base, predictor.predict_features(rows[:3]), rtol=1e-5)


def game(rows):
    return rows[:, 0] * rows[:, 1] * np.exp(rows[:, 2]) + np.sin(rows[:, 2]) * rows[:, 3] - rows[:, 4] ** 2


def test_sampling_converges_to_the_definition():
    rng = np.random.default_rng(5)
    target, background = rng.normal(size=5), rng.normal(size=(6, 5))

    def worth(known):
        rows = background.copy()
        rows[:, list(known)] = target[list(known)]
        return game(rows).mean()

    exact = shapley(worth, 5)
    misses = []
    for rounds in (4, 64):
        draws = sampled_contributions(game, target, background, np.arange(5), rounds=rounds, rng=rng)
        assert draws.shape == (6 * rounds, 5)
        error = draws.std(axis=0, ddof=1) / np.sqrt(len(draws))
        assert (abs(draws.mean(axis=0) - exact) <= 4 * error + 1e-12).all()
        assert draws.mean(axis=0).sum() == pytest.approx(game(target[None])[0] - game(background).mean())
        misses.append(abs(draws.mean(axis=0) - exact).max())
    assert misses[1] < misses[0] / 2
    groups = sampled_contributions(game, target, background, np.array([0, 0, 1, 1, 2]), rounds=1, rng=rng)
    alone = worth({4}) - worth(set())
    assert groups.mean(axis=0)[2] == pytest.approx(alone)  # it interacts with none of the others


def test_invalid_hybrids_are_credited_to_what_mends_them():
    def forecast(rows):
        return np.where(rows[:, 0] != rows[:, 1], np.nan, rows.sum(axis=1))

    draws = sampled_contributions(
        forecast, np.ones(3), np.zeros((4, 3)), np.arange(3), rounds=2, rng=np.random.default_rng(0)
    )
    np.testing.assert_allclose(draws.sum(axis=1), 3.0)
    # the third, if it comes between the first two, changes what is not valid and is credited to what mends it
    assert set(draws[:, 2]) == {0.0, 1.0}
    assert (np.sort(draws[:, :2], axis=1)[:, 1] >= 1).all()


@pytest.mark.parametrize("name", PREDICTORS.names())
def test_contributions_of_every_predictor_add_up(name):
    predictor = make_predictor(name, **QUICK.get(name, {})).fit(TRAIN, Y)
    forecast = predictor.predict(NEW)
    for by in ("columns", "genes"):
        found = attribute(predictor, NEW, OTHERS, by=by)
        assert found.values.shape == found.errors.shape == (3, len(found.names))
        np.testing.assert_allclose(found.values.sum(axis=1) + found.base, forecast)
        np.testing.assert_allclose(found.group_values.sum(axis=1) + found.base, forecast)
        np.testing.assert_array_equal(found.forecast, forecast)
        assert found.method == ("exact" if by == "columns" and name in EXACT else "sampling")
        assert (found.errors == 0).all() or found.method == "sampling"


def test_exact_and_sampled_contributions_of_a_linear_model_agree():
    predictor = make_predictor("ridge@adjacency", target_transform="standardize").fit(TRAIN, Y)
    exact, sampled = (attribute(predictor, NEW, OTHERS, method=method) for method in ("exact", "sampling"))
    assert exact.base == pytest.approx(sampled.base)
    np.testing.assert_allclose(exact.values, sampled.values, atol=1e-9)
    groups = attribute(predictor, NEW, OTHERS, by="groups")
    np.testing.assert_allclose(groups.values, exact.group_values, atol=1e-9)


def test_the_units_are_those_of_the_targets():
    """A forecast of thousands with the same order has contributions a thousand times as large."""
    small = make_predictor("gradient_boosting", **QUICK["gradient_boosting"]).fit(TRAIN, Y)
    large = make_predictor("gradient_boosting", **QUICK["gradient_boosting"]).fit(TRAIN, 1000 * Y)
    a, b = attribute(small, NEW, OTHERS), attribute(large, NEW, OTHERS)
    np.testing.assert_allclose(b.values, 1000 * a.values, rtol=1e-6, atol=1e-9)
    assert b.base == pytest.approx(1000 * a.base)


def test_genes_against_the_definition():
    predictor = make_predictor("ridge@semantic").fit(TRAIN, Y)
    found = attribute(predictor, NEW[:1], OTHERS[:2], by="genes", rounds=15)

    def worth(known):
        rows = OTHERS[:2].genotypes.copy()
        rows[:, list(known)] = NEW.genotypes[0, list(known)]
        return predictor.predict(Architectures(SPACE, rows)).mean()

    assert (abs(found.values[0] - shapley(worth, 6)) <= 4 * found.errors[0] + 1e-9).all()
    assert found.texts[0][0] == f"edge 0->1: {SPACE.genes[0].choices[NEW.genotypes[0, 0]]}"
    assert found.words(0, 2)[0] == f"{found.top(0)[0]['feature']}: {found.top(0)[0]['contribution']:+.3g}"


def test_the_same_seed_gives_the_same():
    predictor = make_predictor("gp@adjacency").fit(TRAIN, Y)
    first, same, other = (attribute(predictor, NEW[:1], seed=seed) for seed in (4, 4, 5))
    np.testing.assert_array_equal(first.values, same.values)
    assert not np.array_equal(first.values, other.values)


def test_bad_input():
    predictor = make_predictor("gp@adjacency").fit(TRAIN, Y)
    with pytest.raises(InvalidDataError, match="by must be one of columns, groups, genes, got 'edges'"):
        attribute(predictor, NEW, by="edges")
    with pytest.raises(InvalidDataError, match="rounds must be a whole number from 1, got 0"):
        attribute(predictor, NEW, rounds=0)
    with pytest.raises(InvalidDataError, match="GaussianProcess has no exact contributions"):
        attribute(predictor, NEW, method="exact")
    with pytest.raises(InvalidDataError, match="exact contributions are those of columns, got by='genes'"):
        attribute(predictor, NEW, by="genes", method="exact")
    with pytest.raises(InvalidDataError, match="expected at least 1 architecture in the background, got none"):
        attribute(predictor, NEW, OTHERS[:0])
    with pytest.raises(InvalidDataError, match="of space 'nasbench201', got 'nasbench_macro'"):
        attribute(predictor, NEW, ac.get_space("nasbench_macro").sample(3, seed=0), by="genes")
    matrix = make_predictor("ridge").fit(np.eye(5), np.arange(5.0))
    with pytest.raises(InvalidDataError, match="expected a background"):
        attribute(matrix, np.eye(5))
    both = make_predictor("ridge").fit(np.eye(5), np.arange(10.0).reshape(5, 2))
    with pytest.raises(InvalidDataError, match="contributions are those to one target, got 2"):
        attribute(both, np.eye(5), np.eye(5))


def test_extras_are_attributed_like_features():
    early = Y + 0.1
    predictor = make_predictor("ridge@adjacency").fit(TRAIN, Y, info={"early": early})
    found = attribute(
        predictor, NEW, OTHERS, info={"early": accuracy(NEW)}, background_info={"early": accuracy(OTHERS)}
    )
    assert found.group_names[-2:] == ("info", "info missing")
    assert abs(found.group_values[:, -2]).max() > 0
    with pytest.raises(InvalidDataError, match=r"expected info \['early'\] as in fit, got none"):
        attribute(predictor, NEW, OTHERS, info={"early": accuracy(NEW)})


def test_relevance_shares():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    predictor = make_predictor("gp_ard").fit(X, np.sin(2 * X[:, 1]) + 0.1 * X[:, 0])
    table = relevance(predictor)
    assert table[0]["feature"] == "x1"
    assert sum(record["share"] for record in table) == pytest.approx(1)
    assert [record["lengthscale"] for record in table] == sorted(record["lengthscale"] for record in table)
    groups = relevance(make_predictor("gp@semantic").fit(TRAIN, Y))
    assert {"paths", "topology"} <= {record["feature"] for record in groups}
    with pytest.raises(InvalidDataError, match="XGBoostPredictor has no lengthscales"):
        relevance(make_predictor("xgboost@adjacency", **QUICK["xgboost"]).fit(TRAIN, Y))
    with pytest.raises(InvalidDataError, match="the kernel 'tanimoto' has no lengthscales"):
        relevance(make_predictor("gp_tanimoto").fit(TRAIN, Y))
