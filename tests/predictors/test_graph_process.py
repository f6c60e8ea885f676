"""The Gaussian process on sums and products of graph kernels: its formulas, what the fit gives each term, and files."""

import archcast as ac
import numpy as np
import pytest
from archcast.encoders import make_encoder
from archcast.errors import InvalidDataError
from archcast.explanations import attribute, relevance
from archcast.predictors import make_predictor
from archcast.predictors.kernels import GroupedLinear, OnUnitGroups, Stationary
from archcast.predictors.marginal_likelihood import NoisePrior, Posterior
from scipy.stats import kendalltau

SPACE = ac.get_space("nasbench201")
TRAIN, TEST = SPACE.sample(60, seed=1), SPACE.sample(40, seed=2)


def worth(batch):
    """A metric that pairs of operations decide: 3x3 convolutions that follow one another, and how far apart."""
    names = make_encoder("shortest_path").fit(TRAIN).get_feature_names_out().tolist()
    X = make_encoder("shortest_path").fit(TRAIN).transform(batch)
    pair = X[:, names.index("nor_conv_3x3 > nor_conv_3x3 at distance 1")]
    return pair + 0.5 * X[:, names.index("nor_conv_3x3")] - X[:, names.index("avg_pool_3x3")]


Y = worth(TRAIN)


@pytest.mark.parametrize("combine", ["sum", "product", "both"])
@pytest.mark.parametrize("graph_kernel", ["linear", "rbf"])
def test_the_covariance_is_the_documented_one(combine, graph_kernel):
    parameters = {"combine": combine, "graph_kernel": graph_kernel}
    predictor = make_predictor("gp_graph@operations+wl+random_walk", **parameters).fit(TRAIN, Y)
    encoders = [make_encoder(name).fit(TRAIN) for name in ("operations", "wl", "random_walk")]
    parts = [encoder.transform(TRAIN).astype(float) for encoder in encoders]
    groups = [np.unique(encoder.columns(SPACE).groups, return_inverse=True)[1] for encoder in encoders]
    indicator = encoders[0].columns(SPACE).indicator
    standard = (parts[0] - parts[0].mean(axis=0)) / np.where(parts[0].std(axis=0) > 0, parts[0].std(axis=0), 1)
    parts[0] = np.where(indicator, parts[0], standard)
    theta = list(predictor.parameters_[0][:-1])

    def term(kernel, columns, kinds):
        kernel.setup(columns, kinds)
        own = np.array([theta.pop(0) for _ in range(kernel.n_parameters)])
        return kernel.covariance(own, columns, columns)

    def graph(columns, kinds):
        kernel = GroupedLinear() if graph_kernel == "linear" else OnUnitGroups(Stationary("rbf"))
        return term(kernel, columns, kinds)

    joint = np.column_stack(parts[1:]), np.concatenate([100 + groups[1], groups[2]])  # random_walk before wl
    expected = np.zeros((60, 60))
    if combine != "product":
        expected += term(Stationary("matern32"), parts[0], groups[0])
        expected += graph(parts[1], groups[1])
        expected += graph(parts[2], groups[2])
    if combine != "sum":
        other = term(Stationary("matern32"), parts[0], groups[0])
        expected += other * graph(*joint)
    assert not theta
    kernel, own = predictor.kernels_[0], predictor.parameters_[0][:-1]
    np.testing.assert_allclose(kernel.covariance(own, predictor._X, predictor._X), expected, atol=1e-7)


@pytest.mark.parametrize("combine", ["sum", "product", "both"])
def test_gradient_of_the_marginal_likelihood_agrees_with_finite_differences(combine):
    predictor = make_predictor("gp_graph", combine=combine).fit(TRAIN, Y)
    z = (Y - Y.mean()) / Y.std()
    posterior = Posterior(predictor.kernels_[0], predictor._X, z, NoisePrior())
    rng = np.random.default_rng(0)
    theta = posterior.prior_mean + 0.5 * rng.normal(size=len(posterior.prior_mean))
    _, gradient = posterior(theta)
    steps = 1e-5 * np.eye(len(theta))
    numeric = [(posterior(theta + step)[0] - posterior(theta - step)[0]) / 2e-5 for step in steps]
    np.testing.assert_allclose(gradient, numeric, rtol=1e-4, atol=1e-5)


def test_report_tells_what_each_term_is_worth():
    predictor = make_predictor("gp_graph@adjacency+shortest_path").fit(TRAIN, Y)
    shares = {record["term"]: record["share"] for record in predictor.report_}
    assert list(shares) == ["adjacency", "shortest_path"]
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["shortest_path"] > 0.8  # what decides here are pairs, which edges one by one tell badly
    names = [record["term"] for record in make_predictor("gp_graph", combine="both").fit(TRAIN, Y).report_]
    assert names == ["semantic", "wl", "shortest_path", "(semantic) x (wl + shortest_path)"]
    several = make_predictor("gp_graph").fit(TRAIN, np.stack([Y, -Y], axis=1))
    assert [record["output"] for record in several.report_] == [0, 0, 0, 1, 1, 1]


def test_a_kernel_that_says_nothing_vanishes():
    noise = np.random.default_rng(0).integers(0, 9, size=len(SPACE.genes))
    decided = TRAIN.genotypes @ (1 + noise)  # depends on edges, not on what is computed
    alone = make_predictor("gp_graph@wl").fit(TRAIN, decided)
    both = make_predictor("gp_graph@adjacency_continuous+wl").fit(TRAIN, decided)
    assert {record["term"]: record["share"] for record in both.report_}["wl"] < 0.05
    truth = TEST.genotypes @ (1 + noise)
    assert kendalltau(both.predict(TEST), truth)[0] > kendalltau(alone.predict(TEST), truth)[0] + 0.3


def test_counts_stay_raw_and_quantities_are_standardised():
    predictor = make_predictor("gp_graph@statistics+random_walk").fit(TRAIN, Y)
    counted = np.array([name.startswith("random_walk") for name in predictor.columns_.names])
    np.testing.assert_array_equal(predictor._X[:, counted], make_encoder("random_walk").fit(TRAIN).transform(TRAIN))
    quantities = predictor._X[:, ~counted & ~predictor.columns_.indicator]
    assert np.abs(quantities.mean(axis=0)).max() < 1e-9


def test_extras_are_no_counts():
    early = Y + 0.01 * np.arange(60)
    predictor = make_predictor("gp_shortest_path").fit(TRAIN, Y, info={"early": early})
    assert [record["term"] for record in predictor.report_] == ["other columns", "shortest_path"]
    assert kendalltau(predictor.predict(TEST, info={"early": worth(TEST)}), worth(TEST))[0] > 0.85


def test_without_counts_it_is_the_plain_process():
    plain = make_predictor("gp@adjacency").fit(TRAIN, Y).predict(TEST, return_std=True)
    for combine in ("sum", "product", "both"):
        found = make_predictor("gp_graph@adjacency", combine=combine).fit(TRAIN, Y).predict(TEST, return_std=True)
        np.testing.assert_allclose(found, plain, rtol=1e-8)
    matrix = make_encoder("adjacency").transform(TRAIN)
    assert make_predictor("gp_graph").fit(matrix, Y).report_[0]["term"] == "other columns"


def test_through_inducing_rows():
    whole = make_predictor("gp_graph", combine="both").fit(TRAIN, Y)
    sparse = make_predictor("gp_graph", combine="both", sparse_from=50, inducing=60).fit(TRAIN, Y)
    for found, exact in zip(sparse.predict(TEST, True), whole.predict(TEST, True), strict=True):
        np.testing.assert_allclose(found, exact, rtol=0.02, atol=0.02)
    polished = make_predictor("gp_graph", combine="both", sparse_from=50, inducing=30, polish=3).fit(TRAIN, Y)
    assert kendalltau(polished.predict(TEST), worth(TEST))[0] > 0.7


@pytest.mark.parametrize("name", ["gp_graph@semantic+wl+shortest_path", "gp_random_walk"])
@pytest.mark.parametrize("parameters", [{"combine": "both"}, {"graph_kernel": "matern52", "combine": "product"}])
def test_files_restore_the_kernel(name, parameters, tmp_path):
    predictor = make_predictor(name, **parameters).fit(TRAIN, Y)
    predictor.save(tmp_path / "m")
    loaded = ac.load_predictor(tmp_path / "m")
    np.testing.assert_array_equal(loaded.predict(TEST, return_std=True), predictor.predict(TEST, return_std=True))
    assert loaded.report_ == predictor.report_


def test_explanations_answer_or_say_why_not():
    predictor = make_predictor("gp_graph").fit(TRAIN, Y)
    assert {record["feature"].split(":")[0] for record in relevance(predictor)} == {"semantic"}
    found = attribute(predictor, TEST[:1], TEST[1:5])
    assert found.values.sum() + found.base == pytest.approx(found.forecast[0], abs=1e-8)
    with pytest.raises(InvalidDataError, match="the kernel of wl and random_walk has no lengthscales"):
        relevance(make_predictor("gp_graph@wl+random_walk").fit(TRAIN, Y))
    radial = relevance(make_predictor("gp_shortest_path", graph_kernel="matern32").fit(TRAIN, Y))
    assert {record["feature"] for record in radial} <= {f"distance {steps}" for steps in range(5)}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"combine": "mean"}, "combine must be one of sum, product, both, got 'mean'"),
        ({"graph_kernel": "cosine"}, "graph_kernel must be one of linear, rbf, matern32, matern52, got 'cosine'"),
        ({"kernel": "cubic"}, "kernel must be one of matern52, .*, got 'cubic'"),
    ],
)
def test_unknown_settings_are_named(parameters, message):
    with pytest.raises(InvalidDataError, match=message):
        make_predictor("gp_graph", **parameters).fit(TRAIN, Y)
