"""Predictors that are given the beginning of a learning curve as info."""

import archcast
import numpy as np
import pytest
from archcast.benchmarks_data import load_table
from archcast.errors import InvalidDataError
from archcast.predictors import make_predictor
from scipy.stats import kendalltau


@pytest.fixture(scope="module")
def data():
    """Sixty trainings to learn from and two hundred others: architectures, final losses, curves."""
    table = load_table("nasbench_nlp")
    curves = table.values("wikitext2/valid_loss", epoch="all")
    rows = np.random.default_rng(0).permutation(np.flatnonzero(np.isfinite(curves[:, -1])))[:260]
    return table.architectures[rows], curves[rows, -1], curves[rows]


@pytest.fixture(scope="module")
def fitted(data):
    architectures, y, curves = data
    return make_predictor("curve_gp@operations").fit(architectures[:60], y[:60], info={"loss": curves[:60, :12]})


def test_the_curve_ranks_better_than_its_last_value(data, fitted):
    architectures, y, curves = data
    mean = fitted.predict(architectures[60:], info={"loss": curves[60:, :12]})
    assert kendalltau(mean, y[60:])[0] > kendalltau(curves[60:, 11], y[60:])[0] + 0.01


def test_curves_may_be_seen_to_different_epochs(data, fitted, tmp_path):
    architectures, _, curves = data
    lengths = np.arange(200) % 3 * 6
    part = np.where(np.arange(12) < lengths[:, None], curves[60:, :12], np.nan)
    mean, std = fitted.predict(architectures[60:], info={"loss": part}, return_std=True)
    typical = [np.median(std[lengths == length]) for length in (0, 6, 12)]
    assert typical[0] > typical[1] > typical[2]
    full = fitted.predict(architectures[60:], info={"loss": curves[60:, :12]})
    np.testing.assert_allclose(mean[lengths == 12], full[lengths == 12])
    fitted.save(tmp_path / "m")
    loaded = archcast.load_predictor(tmp_path / "m")
    np.testing.assert_array_equal(loaded.predict(architectures[60:], info={"loss": part}), mean)


def test_unseen_architectures_are_forecast_without_a_curve(data, fitted):
    architectures, y, _ = data
    nothing = {"loss": np.full((200, 12), np.nan)}
    alone = make_predictor("gp@operations").fit(architectures[:60], y[:60]).predict(architectures[60:])
    assert kendalltau(fitted.predict(architectures[60:], info=nothing), alone)[0] > 0.95


def test_other_entries_are_features(data):
    architectures, y, curves = data
    info = {"parameters": np.arange(60.0), "curve": curves[:60, :4]}
    predictor = make_predictor("curve_svr@operations").fit(architectures[:60], y[:60], info=info)
    later = {"parameters": np.zeros(200), "curve": curves[60:, :4]}
    assert np.isfinite(predictor.predict(architectures[60:], info=later)).all()
    assert "info parameters[0]" in [predictor.columns_.names[i] for i in predictor._others]
    assert len(predictor._values) == 4


def test_bad_regressor(data):
    architectures, y, _ = data
    with pytest.raises(InvalidDataError, match="regressor must be a name or a Predictor, got int"):
        make_predictor("curve_gp", regressor=3).fit(architectures[:60], y[:60])
