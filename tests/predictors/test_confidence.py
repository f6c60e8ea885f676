"""Probabilities of order, against simulation, and novelty, against what it promises."""

import archcast as ac
import numpy as np
import pytest
from archcast.errors import InvalidDataError
from archcast.predictors import expected_kendall_tau, make_predictor, probability_better, top_k_probability
from scipy.stats import kendalltau

MEAN, STD = np.array([0.0, 1.0, 1.5, -2.0]), np.array([1.0, 0.5, 2.0, 0.1])
DRAWN = MEAN + STD * np.random.default_rng(1).normal(size=(200_000, 4))


def test_probability_better_is_the_share_of_simulated_wins():
    wins = (DRAWN[:, :, None] > DRAWN[:, None, :]).mean(axis=0)
    found = probability_better(MEAN, STD)
    np.testing.assert_allclose(found + found.T, 1)
    np.testing.assert_allclose(found - np.eye(4) / 2, wins, atol=0.005)
    np.testing.assert_allclose(probability_better(MEAN, STD, higher_is_better=False), found.T)
    np.testing.assert_allclose(probability_better(MEAN, STD, MEAN[1:2], STD[1:2]), found[:, 1:2])


def test_expected_tau_is_the_mean_tau_of_simulated_trainings():
    simulated = np.mean([kendalltau(MEAN, draw)[0] for draw in DRAWN[:500]])
    assert expected_kendall_tau(MEAN, STD) == pytest.approx(simulated, abs=0.04)
    rng = np.random.default_rng(0)
    mean, std = rng.normal(size=500), rng.uniform(0.2, 1, size=500)
    assert expected_kendall_tau(mean, std, pairs=50_000, seed=1) == pytest.approx(
        expected_kendall_tau(mean, std), abs=0.01
    )
    assert expected_kendall_tau(mean, std, pairs=99, seed=1) == expected_kendall_tau(mean, std, pairs=99, seed=1)


@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("higher", [True, False])
def test_probability_of_the_top_is_that_of_simulation(k, higher):
    found = top_k_probability(MEAN, STD, k, higher_is_better=higher, draws=20_000, seed=3)
    assert found.sum() == pytest.approx(k)
    place = np.argsort(np.argsort(-DRAWN if higher else DRAWN, axis=1), axis=1)
    np.testing.assert_allclose(found, (place < k).mean(axis=0), atol=0.015)
    np.testing.assert_array_equal(found, top_k_probability(MEAN, STD, k, higher_is_better=higher, draws=20_000, seed=3))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: probability_better([1.0, np.nan], [1.0, 1.0]), "mean must be finite, got nan at position 1"),
        (lambda: probability_better([1.0, 2.0], [1.0, 0.0]), "std must be finite and positive, got 0.0 at position 1"),
        (lambda: probability_better([1.0], [1.0, 2.0]), r"vectors of one length, got shapes \(1,\) and \(2,\)"),
        (lambda: probability_better([1.0], [1.0], [2.0]), "both other_mean and other_std"),
        (lambda: expected_kendall_tau([1.0], [1.0]), "at least 2 forecasts to rank, got 1"),
        (lambda: top_k_probability([1.0, 2.0], [1.0, 1.0], 3), r"k must be a whole number in 1\.\.2, got 3"),
        (lambda: top_k_probability([1.0, 2.0], [1.0, 1.0], 1, draws=0), "draws must be a whole number from 1"),
    ],
)
def test_bad_forecasts_are_named(call, said):
    with pytest.raises(InvalidDataError, match=said):
        call()


def test_latent_forecasts_map_to_the_forecasts():
    space = ac.get_space("nasbench201")
    train, test = space.sample(40, seed=0), space.sample(30, seed=1)
    y = np.exp(train.genotypes.sum(axis=1) / 4)
    model = make_predictor("ridge@adjacency").fit(train, y)
    mean, std = model.predict_latent(test)
    assert mean.shape == std.shape == (30,)
    assert kendalltau(mean, model.predict(test))[0] == pytest.approx(1)


# ---- novelty -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model():
    space = ac.get_space("nasbench201")
    rows = space.sample(1500, seed=0)
    usual = rows[(rows.genotypes != 3).all(axis=1)]
    return make_predictor("ridge@adjacency").fit(usual[:150], usual[:150].genotypes.sum(axis=1)), usual[150:], rows


def test_few_of_the_same_kind_are_called_unlike(model):
    predictor, others, _ = model
    p = predictor.predict_novelty(others)
    assert ((p > 0) & (p <= 1)).all()
    assert np.mean(p <= 0.1) < 0.2
    assert np.mean(p <= 0.5) < 0.6  # less where many are equally far


def test_what_training_never_held_is_called_unlike(model):
    predictor, others, rows = model
    strange = rows[(rows.genotypes == 3).sum(axis=1) >= 4]
    assert len(strange) > 5
    assert np.median(predictor.predict_novelty(strange)) < 0.05
    assert predictor.predict_novelty(others[:0]).shape == (0,)


def test_novelty_survives_saving_and_files_without_it_say_so(model, tmp_path):
    predictor, others, _ = model
    predictor.save(tmp_path / "m")
    loaded = ac.load_predictor(tmp_path / "m")
    np.testing.assert_array_equal(loaded.predict_novelty(others), predictor.predict_novelty(others))
    loaded._novelty = None
    loaded.save(tmp_path / "old")
    with pytest.raises(InvalidDataError, match="fit and save it again"):
        ac.load_predictor(tmp_path / "old").predict_novelty(others)
