"""The Gaussian process over two fidelities: what cheap results teach, and what happens where they are missing."""

import archcast
import numpy as np
import pytest
from archcast.errors import InvalidDataError
from archcast.predictors import make_predictor
from archcast.spaces import get_space
from scipy.stats import kendalltau

SPACE = get_space("nasbench201")
WORTH = np.array([-0.8, 0.1, 0.5, 1.0, -0.3])


def results(architectures, seed=0):
    """Full results, and cheap ones that agree with them in part."""
    rng = np.random.default_rng(seed)
    common = WORTH[architectures.genotypes] @ np.array([0.6, 0.8, 0.5, 1.2, 0.7, 0.6])
    more = 0.6 * (architectures.genotypes[:, 3] > 1)
    n = len(architectures)
    return 90 + common + more + rng.normal(0, 0.1, n), np.exp(common / 3 + rng.normal(0, 0.05, n))


TRAIN, TEST = SPACE.sample(30, seed=1), SPACE.sample(200, seed=2)
Y, CHEAP = results(TRAIN)
Y_TEST, CHEAP_TEST = results(TEST, 1)


def build(**parameters):
    return make_predictor("multi_fidelity", encoder="adjacency", **parameters)


@pytest.fixture(scope="module")
def fitted():
    return build().fit(TRAIN, Y, info={"cheap": CHEAP})


def test_cheap_results_help(fitted):
    alone = kendalltau(make_predictor("gp@adjacency").fit(TRAIN, Y).predict(TEST), Y_TEST)[0]
    assert kendalltau(fitted.predict(TEST, info={"cheap": CHEAP_TEST}), Y_TEST)[0] > alone + 0.05


def test_without_info_it_is_the_plain_process():
    plain = make_predictor("gp@adjacency").fit(TRAIN, Y).predict(TEST, return_std=True)
    np.testing.assert_array_equal(build().fit(TRAIN, Y).predict(TEST, return_std=True), plain)


def test_where_a_cheap_result_is_missing_its_forecast_stands_in(fitted):
    half = np.arange(200) % 2 == 0
    mean, std = fitted.predict(TEST, info={"cheap": np.where(half, np.nan, CHEAP_TEST)}, return_std=True)
    known, known_std = fitted.predict(TEST, info={"cheap": CHEAP_TEST}, return_std=True)
    np.testing.assert_allclose(mean[~half], known[~half])
    assert std[half].mean() > 1.1 * known_std[half].mean()
    assert kendalltau(mean[half], Y_TEST[half])[0] > 0.5
    low, high = fitted.predict_quantiles(TEST, [0.1, 0.9], info={"cheap": np.full(200, np.nan)}).T
    assert 0.6 < ((low <= Y_TEST) & (high >= Y_TEST)).mean() < 0.97


def test_cheap_results_of_architectures_that_were_never_trained_teach_as_well(tmp_path):
    others = SPACE.sample(300, seed=3)
    cheap = results(others, 4)[1]
    together = archcast.Architectures.concatenate([TRAIN, others])
    targets = np.concatenate([Y, np.full(300, np.nan)])
    many = build().fit(together, targets, info={"cheap": np.concatenate([CHEAP, cheap])})
    few = build().fit(TRAIN, Y, info={"cheap": CHEAP})
    nothing = {"cheap": np.full(200, np.nan)}
    taus = [kendalltau(predictor.predict(TEST, info=nothing), Y_TEST)[0] for predictor in (few, many)]
    assert taus[1] > taus[0] + 0.03
    many.save(tmp_path / "m")
    loaded = archcast.load_predictor(tmp_path / "m")
    for info in (nothing, {"cheap": CHEAP_TEST}):
        np.testing.assert_array_equal(loaded.predict(TEST, info=info), many.predict(TEST, info=info))


def test_the_most_telling_entry_is_the_lower_fidelity():
    noise = np.random.default_rng(0).normal(size=30)
    fitted = build().fit(TRAIN, Y, info={"a": noise, "b": np.stack([noise, -CHEAP], axis=1)})
    assert fitted.columns_.names[fitted._column] == "info b[1]"
    assert build().fit(TRAIN, Y, info={"a": np.full(30, np.nan)})._column is None


def test_bad_input():
    holed = np.where(np.arange(30) == 4, np.nan, Y)
    with pytest.raises(InvalidDataError, match="targets must be finite, got nan for architecture 4"):
        build().fit(TRAIN, holed)
    with pytest.raises(InvalidDataError, match="neither target nor info is known of architecture 4"):
        build().fit(TRAIN, holed, info={"cheap": np.where(np.arange(30) == 4, np.nan, CHEAP)})
    with pytest.raises(InvalidDataError, match="trust must be a positive number, got -1"):
        build(trust=-1).fit(TRAIN, Y)
    with pytest.raises(InvalidDataError, match="'cheap' must have 30 rows"):
        build().fit(TRAIN, holed, info={"cheap": CHEAP[:3]})
