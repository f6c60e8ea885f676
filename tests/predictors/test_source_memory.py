"""What sources forecast of the same candidates is computed once, and is never that of another fit."""

import numpy as np
import pytest
from archcast import Source, get_space, make_predictor
from archcast.predictors import source_memory
from archcast.predictors.source_memory import latent_scores

SPACE = get_space("nasbench201")
MANY = SPACE.sample(700, seed=1)
KNOWN = SPACE.sample(60, seed=0)


def value(batch):
    return (batch.genotypes == 3).sum(axis=1) + 0.1 * batch.genotypes[:, 0]


class Counting:
    """Counts the rows that a predictor is asked for."""

    def __init__(self, predictor, monkeypatch):
        self.rows = 0
        ask = predictor.predict_latent

        def counted(X):
            self.rows += len(X)
            return ask(X)

        monkeypatch.setattr(predictor, "predict_latent", counted)


def test_the_same_candidates_are_forecast_once(monkeypatch):
    predictor = make_predictor("gp@adjacency").fit(KNOWN, value(KNOWN))
    expected = [values.copy() for values in predictor.predict_latent(MANY)]
    asked = Counting(predictor, monkeypatch)
    for _ in range(3):
        for said, wanted in zip(latent_scores(predictor, MANY), expected, strict=True):
            assert said.tolist() == wanted.tolist()
    assert asked.rows == 700
    assert latent_scores(predictor, MANY[:600])[0].tolist() == pytest.approx(expected[0][:600])
    assert asked.rows == 1300
    latent_scores(predictor, MANY[:20])
    latent_scores(predictor, MANY[:20])
    assert asked.rows == 1340  # few rows are not worth remembering


def test_a_predictor_that_is_fitted_anew_forgets():
    predictor = make_predictor("ridge@adjacency").fit(KNOWN, value(KNOWN))
    before = latent_scores(predictor, MANY)[0]
    predictor.fit(KNOWN, -value(KNOWN))
    after = latent_scores(predictor, MANY)[0]
    assert np.corrcoef(before, after)[0, 1] < -0.9
    assert after.tolist() == predictor.predict_latent(MANY)[0].tolist()


def test_only_the_last_answers_are_kept(monkeypatch):
    monkeypatch.setattr(source_memory, "_KEPT", 2)
    predictor = make_predictor("ridge@adjacency").fit(KNOWN, value(KNOWN))
    batches = [SPACE.sample(500, seed=seed) for seed in range(4)]
    asked = Counting(predictor, monkeypatch)
    for batch in (*batches, batches[3], batches[0]):
        latent_scores(predictor, batch)
    assert asked.rows == 5 * 500


def test_a_source_of_another_space_is_fitted_once_and_forecasts_the_same():
    cells = get_space("nasbench101").sample(40, seed=0)
    forecasts = []
    for _ in range(2):
        source = Source(cells, np.arange(40.0), name="cells")
        predictor = make_predictor("gp_transfer@statistics", sources=[source])
        forecasts.append(predictor.forecast_sources(MANY))
    assert forecasts[0].tolist() == forecasts[1].tolist()
    assert np.ptp(forecasts[0]) > 0
