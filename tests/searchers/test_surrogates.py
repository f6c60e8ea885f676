import numpy as np
import pytest
from archcast import History, get_space, make_predictor, make_searcher
from archcast.encoders import make_encoder
from archcast.errors import ArchcastError, InvalidDataError
from archcast.predictors.kernels import Stationary
from archcast.searchers import gaussian
from archcast.searchers.content import content
from archcast.searchers.feasibility import log_success
from archcast.searchers.features import SpaceEncoder, is_of_space
from archcast.searchers.gaussian import GaussianSurrogate, Posterior, last_renewal, suits
from archcast.searchers.surrogate import PredictorSurrogate, training_set

SPACE = get_space("nasbench201")
CANDIDATES = SPACE.sample(300, seed=9, canonical=True)
PROCESSES = ("gp", "gp_graph@semantic+random_walk", "gp_shortest_path")


def value(batch):
    return (batch.genotypes == 3).sum(axis=1) - 0.7 * (batch.genotypes == 0).sum(axis=1) + 0.1 * batch.genotypes[:, 0]


def told(n, seed=0):
    batch = SPACE.sample(n, seed=seed, canonical=True)
    return History.start(SPACE).tell(batch, value(batch))


# ---- features ----------------------------------------------------------------------------------------------------


def test_a_remembered_encoding_is_the_encoding():
    encoder = SpaceEncoder("path_multiset")
    plain = make_encoder("path_multiset").transform(CANDIDATES)
    everything = SPACE.enumerate()
    np.testing.assert_array_equal(encoder.transform(CANDIDATES), plain)
    encoder.transform(everything)  # now remembered
    np.testing.assert_array_equal(SpaceEncoder("path_multiset").transform(CANDIDATES), plain)
    assert encoder.columns(SPACE) is not None
    assert encoder.columns(SPACE).names == make_encoder("path_multiset").columns(SPACE).names


def test_scaled_features_are_standardised_over_the_space_and_keep_flags():
    columns = make_encoder("semantic").columns(SPACE)
    scaled = SpaceEncoder("semantic", scaled=True)
    plain, features = make_encoder("semantic").transform(SPACE.enumerate()), scaled.transform(SPACE.enumerate())
    np.testing.assert_array_equal(features[:, columns.indicator], plain[:, columns.indicator])
    quantities = features[:, ~columns.indicator & (plain.std(axis=0) > 0)].astype(float)
    np.testing.assert_allclose(quantities.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(quantities.std(axis=0), 1, atol=1e-4)
    assert scaled.columns(SPACE).indicator.all()
    assert scaled.columns(SPACE).groups == columns.groups


def test_counted_parts_are_those_of_the_space_and_may_stay_counts():
    everything = SPACE.enumerate()
    walks = make_encoder("random_walk").fit(everything)
    plain = walks.transform(CANDIDATES)
    width = len(make_encoder("semantic").columns(SPACE))
    raw = SpaceEncoder("semantic+random_walk", scaled=True, raw_counts=True).fit(CANDIDATES[:5])
    np.testing.assert_array_equal(raw.transform(CANDIDATES)[:, width:], plain)
    np.testing.assert_array_equal(
        raw.transform(CANDIDATES)[:, :width], SpaceEncoder("semantic", scaled=True).transform(CANDIDATES)
    )
    assert [label for label, _ in raw.leaves("")] == ["semantic", "random_walk"]
    assert len(raw.columns(SPACE)) == width + plain.shape[1]
    scaled = SpaceEncoder("random_walk", scaled=True).transform(everything).astype(float)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-4)


def test_what_is_learned_otherwise_is_not_remembered():
    assert is_of_space(make_encoder("semantic+wl"))
    assert not is_of_space(make_encoder("semantic+gnn"))
    with pytest.raises(TypeError, match="learns its columns"):
        SpaceEncoder("gnn").transform(CANDIDATES)


def test_keys_tell_settings_apart_however_deep_and_long():
    def key(n, **parameters):
        encoder = make_encoder("semantic+wl" if n % 2 else "semantic")
        return content(make_predictor("gp", encoder=encoder, **parameters))

    assert key(1) == key(1) and hash(key(1)) == hash(key(1))
    assert len({key(0), key(1), key(1, restarts=2), content(make_predictor("gp_graph")), content("gp")}) == 5
    names = [f"gp@path{i}" for i in range(400)]  # more than scikit-learn's `repr` shows
    changed = [*names[:200], "ridge", *names[201:]]
    assert content(make_predictor("auto", candidates=names)) != content(make_predictor("auto", candidates=changed))
    fitted = make_predictor("gp@adjacency").fit(CANDIDATES[:20], np.arange(20.0))
    assert content(fitted) == content(make_predictor("gp@adjacency"))


# ---- the growing posterior ---------------------------------------------------------------------------------------


def naive_posterior(kernel, theta, noise, X, z, Q):
    K = kernel.covariance(theta, X, X) + noise * np.eye(len(X))
    k = kernel.covariance(theta, Q, X)
    return k @ np.linalg.solve(K, z), np.sqrt(kernel.diagonal(theta, Q) - (k * np.linalg.solve(K, k.T).T).sum(axis=1))


def test_posterior_grown_row_by_row_equals_the_textbook():
    rng = np.random.default_rng(0)
    X, Q, z = rng.normal(size=(30, 5)), rng.normal(size=(80, 5)), rng.normal(size=30)
    kernel = Stationary("matern52", "one")
    kernel.setup(X, np.zeros(5, dtype=np.intp))
    theta, noise = kernel.prior_mean, 0.05
    grown = Posterior(kernel, theta, noise, Q).extended(X[:12])
    for row in X[12:]:
        grown = grown.extended(row[None])
    mean, std = naive_posterior(kernel, theta, noise, X, z, Q)
    np.testing.assert_allclose(grown.mean(grown.solve(z)), mean, atol=1e-8)
    np.testing.assert_allclose(grown.std(), std, atol=1e-8)

    # An earlier posterior is what it was, and two continuations of it do not disturb each other.
    base = Posterior(kernel, theta, noise, Q).extended(X[:12])
    first, second = base.extended(X[12:13]), base.extended(X[20:21])
    for posterior, rows in ((base, [*range(12)]), (first, [*range(13)]), (second, [*range(12), 20])):
        mean, std = naive_posterior(kernel, theta, noise, X[rows], z[rows], Q)
        np.testing.assert_allclose(posterior.mean(posterior.solve(z[rows])), mean, atol=1e-8)
        np.testing.assert_allclose(posterior.std(), std, atol=1e-8)


def test_believing_its_own_forecast_changes_only_the_deviation():
    rng = np.random.default_rng(1)
    X, Q, z = rng.normal(size=(10, 3)), rng.normal(size=(40, 3)), rng.normal(size=10)
    kernel = Stationary("rbf", "one")
    kernel.setup(X, np.zeros(3, dtype=np.intp))
    posterior = Posterior(kernel, kernel.prior_mean, 0.1, Q).extended(X)
    mean, _ = naive_posterior(kernel, kernel.prior_mean, 0.1, X, z, Q)
    believed = posterior.extended(Q[:1])
    expected = naive_posterior(kernel, kernel.prior_mean, 0.1, np.r_[X, Q[:1]], np.r_[z, mean[0]], Q)
    np.testing.assert_allclose(believed.mean(believed.solve(z)), expected[0], atol=1e-8)
    np.testing.assert_allclose(believed.std(), expected[1], atol=1e-8)


def test_joint_draws_have_the_posterior_covariance():
    rng = np.random.default_rng(2)
    X, Q = rng.normal(size=(6, 2)), rng.normal(size=(4, 2))
    kernel = Stationary("rbf", "one")
    kernel.setup(X, np.zeros(2, dtype=np.intp))
    posterior = Posterior(kernel, kernel.prior_mean, 0.1, Q).extended(X)
    draws = np.array([posterior.draw(np.zeros(4), rng) for _ in range(6000)])
    k = kernel.covariance(kernel.prior_mean, Q, X)
    K = kernel.covariance(kernel.prior_mean, X, X) + 0.1 * np.eye(6)
    expected = kernel.covariance(kernel.prior_mean, Q, Q) - k @ np.linalg.solve(K, k.T)
    np.testing.assert_allclose(np.cov(draws.T), expected, atol=0.04)


@pytest.mark.parametrize("name", PROCESSES)
def test_the_surrogate_is_the_predictor_where_hyperparameters_are_fresh(name):
    """At a renewal the forecast is that of the Gaussian process itself, fitted to the same features."""
    history = told(30)
    known, z = training_set(history, "rank_gaussian")
    plain = make_predictor(name)
    surrogate = GaussianSurrogate(plain, history, CANDIDATES, "rank_gaussian", refit=0.0)
    encoder = SpaceEncoder(plain._new_encoder(), scaled=True, raw_counts=name != "gp")
    direct = make_predictor(name).set_params(encoder=encoder, target_transform="none")
    mean, std = direct.fit(known, z).predict(CANDIDATES, return_std=True)
    said = surrogate.forecast()
    np.testing.assert_allclose(said.mean, mean, atol=1e-6)
    assert (said.std < std).all()  # without the noise of a training
    assert said.incumbent == z.max()


@pytest.mark.parametrize("name", PROCESSES)
def test_a_kept_posterior_gives_the_same_bits_as_a_fresh_one(name):
    histories = [told(n) for n in range(20, 32)]
    assert histories[0].architectures == histories[-1].architectures[:20]

    def forecasts(keep):
        gaussian._POSTERIORS._kept.clear()
        return [
            GaussianSurrogate(make_predictor(name), h, CANDIDATES, "rank_gaussian", keep=keep).forecast()
            for h in histories
        ]

    for kept, fresh in zip(forecasts(True), forecasts(False), strict=True):
        np.testing.assert_array_equal(kept.mean, fresh.mean)
        np.testing.assert_array_equal(kept.std, fresh.std)


def test_hyperparameters_are_renewed_after_growth_by_a_share():
    assert [last_renewal(n, 0.5, least=4) for n in (4, 5, 6, 8, 9, 12, 13)] == [4, 4, 6, 6, 9, 9, 13]
    assert [last_renewal(n, 0.0, least=2) for n in (2, 3, 50)] == [2, 3, 50]


@pytest.mark.parametrize("predictor", ["gp", "ridge"])
def test_pending_trials_are_believed(predictor):
    history, near = told(25), CANDIDATES[:5]
    kind = GaussianSurrogate if predictor == "gp" else PredictorSurrogate
    before = kind(make_predictor(predictor), history, CANDIDATES, "rank_gaussian")
    after = kind(make_predictor(predictor), history.ask(near), CANDIDATES, "rank_gaussian")
    one_by_one = kind(make_predictor(predictor), history, CANDIDATES, "rank_gaussian")
    one_by_one.believe(0)
    if predictor == "gp":
        assert (after.forecast().std[:5] < before.forecast().std[:5]).all()
        np.testing.assert_allclose(after.forecast().mean, before.forecast().mean, atol=1e-9)
        assert one_by_one.forecast().std[0] < before.forecast().std[0]
    else:
        assert not np.array_equal(after.forecast().mean, before.forecast().mean)
        assert not np.array_equal(one_by_one.forecast().mean, before.forecast().mean)


def test_failures_do_not_reach_the_surrogate_but_lower_the_chance_around_them():
    history = told(25)
    failing = CANDIDATES[:3]
    failed = history.tell(failing, [np.nan] * 3)
    for before, after in zip(
        training_set(history, "rank_gaussian"), training_set(failed, "rank_gaussian"), strict=True
    ):
        assert np.array_equal(getattr(before, "genotypes", before), getattr(after, "genotypes", after))
    assert (log_success(history, CANDIDATES) == 0).all()
    chances = np.exp(log_success(failed, CANDIDATES))
    assert (chances[:3] < 0.75).all()
    assert ((chances > 0) & (chances <= 1)).all()
    distance = (CANDIDATES.genotypes[:, None] != failing.genotypes).sum(axis=2).min(axis=1)
    assert chances[distance <= 1].mean() < chances[distance >= 4].mean()


def test_gaussian_processes_on_features_of_the_space_take_the_fast_way():
    for name in ("gp", "gp_ard@adjacency", "gp@path_multiset", "gp@wl", "gp_graph", "gp_random_walk"):
        assert suits(make_predictor(name)), name
    for name in ("gp_wl", "gp_tanimoto", "gp_hamming", "gp_trend", "gp@gnn", "ridge"):
        assert not suits(make_predictor(name)), name


@pytest.mark.parametrize("predictor", ["gp_wl", "gp_tanimoto", "random_forest@adjacency", make_predictor("knn")])
def test_bayesian_optimisation_runs_on_any_predictor(predictor):
    searcher = make_searcher("bo", predictor=predictor)
    asked = searcher.ask(told(20), 2)
    assert len(asked) == 2
    assert searcher.ask(told(20), 2) == asked


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"predictor": 3}, "predictor must be a name or a Predictor, got int"),
        ({"acquisition": "best"}, "acquisition must be one of ei, log_ei.*got 'best'"),
        ({"acquisition": 7}, "acquisition"),
        ({"acquisition": "ucb", "acquisition_options": {"kappa": 1}}, "takes beta, got 'kappa'"),
        ({"initial": 0}, "initial must be an integer of at least 1, got 0"),
        ({"refit": -0.5}, "refit must be a number of at least 0, got -0.5"),
        ({"target_transform": "log"}, "target_transform must be one of"),
    ],
)
def test_bad_parameters_are_named(parameters, message):
    with pytest.raises(InvalidDataError, match=message):
        make_searcher("bo", **parameters).ask(told(15))


def test_options_reach_the_acquisition():
    history = told(20)
    exploiting = make_searcher("bo_ucb", acquisition_options={"beta": 0.0}).ask(history)
    greedy = make_searcher("bo", acquisition="mean").ask(history)
    own = make_searcher("bo", acquisition=lambda forecast, rng: forecast.mean).ask(history)
    assert exploiting.keys() == greedy.keys() == own.keys()


# ---- named after a colon -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bo", "npenas", "bananas", "brp", "hybrid"])
def test_a_predictor_after_the_colon_is_the_parameter(name):
    history = told(24)
    asked = make_searcher(f"{name}:ridge@path").ask(history, 2, seed=4)
    assert asked == make_searcher(name, predictor="ridge@path").ask(history, 2, seed=4)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("random:gp", "searcher 'random' takes neither a searcher nor a predictor, got 'random:gp'"),
        ("bo:oracle", "unknown predictor 'oracle'"),
        ("npenas:gp@oracle", "unknown encoder 'oracle'"),
        ("oracle:gp", "unknown searcher 'oracle'"),
    ],
)
def test_what_cannot_follow_the_colon_is_named(name, message):
    with pytest.raises(ArchcastError, match=message):
        make_searcher(name)
