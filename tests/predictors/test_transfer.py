"""Sources: related history helps, unrelated history has no say, and clones and files keep it."""

import pickle
from itertools import pairwise

import archcast
import numpy as np
import pytest
from archcast import Source, get_space, make_predictor
from archcast.errors import InvalidDataError, ModelFormatError
from archcast.predictors.rank_weighted import rank_weights
from archcast.predictors.sources import as_sources
from scipy.stats import kendalltau
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

NAMES = ("gp_transfer", "gp_multitask", "rgpe")
SPACE = get_space("nasbench201")
POOL = SPACE.sample(500, seed=3)
TEST = SPACE.sample(200, seed=4)


def worth(architectures, task=0, noise=0.1):
    """A metric with what all tasks share, something of its own, and noise."""
    genes = architectures.genotypes
    shared = np.array([-1.0, 0.1, 0.4, 1.0, -0.3])[genes] @ np.array([0.6, 0.8, 0.5, 1.2, 0.7, 0.6])
    own = np.cos(2.0 * np.arange(5) + task)[genes].sum(axis=1)
    return shared + 0.3 * own + noise * np.random.default_rng(task).normal(size=len(genes))


RELATED = Source(POOL, worth(POOL, 1), name="related")
SHUFFLED = Source(POOL, np.random.default_rng(0).permutation(worth(POOL, 1)), name="shuffled")
OPPOSITE = Source(POOL, -worth(POOL, 1), name="opposite")
TRUTH = worth(TEST, noise=0)


def build(name, sources=(), **parameters):
    size = 60 if name == "gp_multitask" else 200
    return make_predictor(f"{name}@adjacency", sources=sources, source_size=size, **parameters)


def tau(name, n, seed, sources=()):
    train = SPACE.sample(n, seed=100 + seed)
    predictor = make_predictor(name, encoder="adjacency") if name == "gp" else build(name, sources)
    return kendalltau(predictor.fit(train, worth(train)).predict(TEST), TRUTH)[0]


# ---- what history does ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_ten_trainings_and_a_history_beat_ten_trainings(name):
    gains = [tau(name, 10, seed, [RELATED]) - tau("gp", 10, seed) for seed in range(2)]
    assert np.mean(gains) > 0.08
    assert min(gains) > -0.05


@pytest.mark.parametrize("name", NAMES)
def test_a_shuffled_history_does_not_hurt(name):
    losses = [tau("gp", 40, seed) - tau(name, 40, seed, [SHUFFLED]) for seed in range(2)]
    assert np.mean(losses) < 0.02


def test_weights_of_a_shuffled_history_go_to_zero():
    train = SPACE.sample(40, seed=5)
    y = worth(train)
    for name, least in (("gp_transfer", 0.5), ("gp_multitask", 0.5)):
        related, shuffled = build(name, [RELATED, SHUFFLED]).fit(train, y).weights_
        assert related > least
        assert abs(shuffled) < 0.25
    ensemble = build("rgpe", [RELATED, SHUFFLED]).fit(train, y)
    weights = dict(zip(ensemble.members_, ensemble.weights_, strict=True))
    assert weights["shuffled"] == 0
    assert weights["target on sources"] > 0.5
    assert sum(weights.values()) == pytest.approx(1)


def test_the_opposite_of_the_target_is_turned_or_dropped():
    train = SPACE.sample(40, seed=5)
    y = worth(train)
    assert build("gp_transfer", [OPPOSITE]).fit(train, y).weights_[0] < -0.5
    assert build("gp_multitask", [OPPOSITE]).fit(train, y).weights_[0] < -0.4
    assert build("rgpe", [OPPOSITE]).fit(train, y).weights_[2] == 0


@pytest.mark.parametrize("name", NAMES)
def test_deviation_stays_honest_with_sources(name):
    train = SPACE.sample(40, seed=6)
    predictor = build(name, [RELATED, SHUFFLED]).fit(train, worth(train))
    low, high = predictor.predict_quantiles(TEST, [0.1, 0.9]).T
    observed = worth(TEST, noise=0.1)
    assert 0.6 < ((low <= observed) & (observed <= high)).mean() < 0.97


def test_without_sources_all_are_the_plain_gaussian_process():
    train = SPACE.sample(30, seed=7)
    plain = make_predictor("gp@adjacency").fit(train, worth(train)).predict(TEST, return_std=True)
    for name in ("gp_transfer", "rgpe"):
        for found, expected in zip(
            build(name).fit(train, worth(train)).predict(TEST, return_std=True), plain, strict=True
        ):
            np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_ranking_weights_prefer_who_ranks_best():
    rng = np.random.default_rng(0)
    target = rng.normal(size=30)

    def member(noise, sign=1):
        return np.stack([sign * target + noise * rng.normal(size=30), np.full(30, 0.3)], axis=1)

    weights = rank_weights(target, [member(2.0)], [member(0.1), member(1.0), member(0.1, -1)], rng)
    assert weights[1] > 0.9
    assert weights[3] == 0
    equal = rank_weights(target, [member(0.0)], [member(0.0) + np.array([5.0, 0.0])], rng)
    assert equal.sum() == pytest.approx(1)
    assert (equal > 0.2).all()  # the scale of a source does not matter


# ---- what a source may be -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_sources_are_data_or_fitted_predictors(name):
    train = SPACE.sample(15, seed=8)
    fitted = make_predictor("ridge@adjacency").fit(POOL, worth(POOL, 1))
    predictor = build(name, [fitted, (POOL, worth(POOL, 2))]).fit(train, worth(train))
    assert kendalltau(predictor.predict(TEST), TRUTH)[0] > 0.4
    assert [source.predictor is fitted for source in predictor.sources] == [True, False]
    assert len(predictor.weights_) == (4 if name == "rgpe" else 2)


@pytest.mark.parametrize("name", NAMES)
def test_another_space_teaches_by_the_columns_it_shares(name):
    cells = get_space("cell", nodes=4, operations=["none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3"])
    history = cells.sample(120, seed=0)
    train = SPACE.sample(15, seed=9)
    encoder = archcast.make_encoder("statistics")
    assert len(set(encoder.columns(cells).names) & set(encoder.columns(SPACE).names)) > 5
    y = worth_of_counts(cells, history)
    predictor = make_predictor(f"{name}@statistics", sources=[(history, y)]).fit(train, worth_of_counts(SPACE, train))
    assert kendalltau(predictor.predict(TEST), worth_of_counts(SPACE, TEST))[0] > 0.5
    foreign = make_predictor("ridge@statistics").fit(history, y)
    with pytest.raises(
        InvalidDataError, match="is a predictor of space 'cell', and the target is of space 'nasbench201'"
    ):
        make_predictor(f"{name}@statistics", sources=[foreign]).fit(train, worth(train))


def worth_of_counts(space, architectures):
    columns = archcast.make_encoder("statistics").columns(space).names
    features = archcast.make_encoder("statistics").transform(architectures)
    return features[:, [columns.index(c) for c in columns if "nor_conv_3x3" in c]].sum(axis=1) + 0.01 * np.arange(
        len(features)
    )


@pytest.mark.parametrize("name", NAMES)
def test_feature_matrices(name):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 3))
    f = X @ [1.0, -1.0, 0.5]
    predictor = make_predictor(name, sources=[(X, f)]).fit(X[:12], f[:12] + X[:12, 0])
    assert np.isfinite(predictor.predict(X)).all()
    with pytest.raises(InvalidDataError, match="is architectures, and the target is a feature matrix"):
        make_predictor(name, sources=[RELATED]).fit(X[:12], f[:12])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (RELATED, "sources must be a list, got Source"),
        (["nasbench201"], "source 0: expected a Source, a fitted predictor or"),
        (
            [RELATED, make_predictor("ridge@adjacency")],
            "source 1: expected a fitted predictor, got a LinearPredictor not",
        ),
        ([(POOL, worth(POOL)[:-1])], r"source 0: expected one value for each of 500 architectures, got shape \(499,\)"),
        ([(POOL, np.ones(500))], "source 0: targets must not all be equal"),
        ([(POOL[:3], [1.0, np.nan, 2.0])], "source 0: targets must be finite, got nan for architecture 1"),
        ([(POOL[:1], [1.0])], "source 0: expected at least 2 observations, got 1"),
    ],
)
def test_bad_sources(given, said):
    with pytest.raises(InvalidDataError, match=said):
        as_sources(given)
    train = SPACE.sample(5, seed=0)
    with pytest.raises(InvalidDataError, match=said):
        build("gp_transfer", given).fit(train, worth(train))


def test_predictors_that_cannot_be_sources():
    train = SPACE.sample(10, seed=0)
    with_info = make_predictor("ridge@adjacency").fit(train, worth(train), info={"early": worth(train)})
    with pytest.raises(InvalidDataError, match=r"needs info \['early'\] cannot be a source"):
        Source(predictor=with_info)
    raw = make_predictor("ridge@adjacency", target_transform="none").fit(train, worth(train))
    with pytest.raises(InvalidDataError, match="target_transform 'none' cannot be a source"):
        Source(predictor=raw)
    with pytest.raises(InvalidDataError, match="either architectures with their values, or a fitted predictor"):
        Source()


# ---- as any other predictor -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_clones_files_and_pickles_keep_the_sources(name, tmp_path):
    train = SPACE.sample(15, seed=10)
    y = worth(train)
    fitted = make_predictor("ridge@adjacency").fit(POOL, worth(POOL, 2))
    predictor = build(name, [RELATED, fitted], seed=3).fit(train, y)
    expected = predictor.predict(TEST, return_std=True)
    predictor.save(tmp_path / "m")
    loaded = archcast.load_predictor(tmp_path / "m")
    again = clone(loaded).fit(train, y)
    for other in (loaded, pickle.loads(pickle.dumps(predictor)), clone(predictor).fit(train, y), again):
        for found, wanted in zip(other.predict(TEST, return_std=True), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)
    assert loaded.sources == predictor.sources
    assert repr(loaded) == repr(predictor)
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "m").read_bytes()


def test_cross_validation_keeps_the_sources():
    train = SPACE.sample(16, seed=10)
    assert np.mean(cross_val_score(build("gp_transfer", [RELATED]), train, worth(train), cv=2)) > 0.5


def test_a_file_without_one_of_its_models_is_refused(tmp_path):
    train = SPACE.sample(10, seed=0)
    predictor = build("rgpe", [RELATED]).fit(train, worth(train))
    state = predictor._get_state()
    del state["model 0.archcast"]
    predictor._get_state = lambda: state
    predictor.save(tmp_path / "m")
    with pytest.raises(ModelFormatError, match="expected a model of each of 1 sources, got 0"):
        archcast.load_predictor(tmp_path / "m")


def test_what_is_shown_of_a_source_tells_its_content():
    names = [repr(source) for source in (RELATED, SHUFFLED, Source(POOL, worth(POOL, 2), name="related"))]
    assert all(first != second for first, second in pairwise(sorted(names)))
    assert repr(Source(POOL, worth(POOL, 1), name="related")) == names[0]


def test_info_of_the_target_goes_together_with_sources():
    train = SPACE.sample(20, seed=11)
    for name in NAMES:
        predictor = build(name, [RELATED]).fit(train, worth(train), info={"early": worth(train, 5)})
        assert np.isfinite(predictor.predict(TEST, info={"early": worth(TEST, 5)})).all()


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"source_size": 1}, "source_size must be a whole number from 2, got 1"),
        ({"source_predictor": 3}, "source_predictor must be a name or a Predictor, got int"),
    ],
)
def test_bad_parameters(parameters, said):
    train = SPACE.sample(5, seed=0)
    with pytest.raises(InvalidDataError, match=said):
        make_predictor("rgpe@adjacency", sources=[RELATED], **parameters).fit(train, worth(train))
