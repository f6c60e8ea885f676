"""Searches whose surrogate has sources begin with what these think best, and go on with what both have learned."""

import numpy as np
from archcast import History, Source, get_space, make_predictor, make_searcher
from archcast.searchers.warm_start import source_scores

SPACE = get_space("nasbench201")
POOL = SPACE.sample(120, seed=9, canonical=True)


def value(batch):
    return (batch.genotypes == 3).sum(axis=1) - 0.7 * (batch.genotypes == 0).sum(axis=1) + 0.1 * batch.genotypes[:, 0]


def searcher(*sources, **parameters):
    predictor = make_predictor("gp_transfer@adjacency", sources=sources, source_size=100)
    return make_searcher("bo_transfer", predictor=predictor, **parameters)


RELATED = Source(POOL, value(POOL) + 0.1 * POOL.genotypes[:, 1], name="related")
UNRELATED = Source(POOL, np.random.default_rng(0).permutation(value(POOL)), name="unrelated")


def trained(found, history, steps, seed=0):
    for _ in range(steps):
        asked = found.ask(history, 1, seed)
        history = history.ask(asked).tell(asked, value(asked))
    return history


def test_every_other_of_the_first_is_what_the_sources_forecast_highest():
    warm, start = searcher(RELATED, initial=4), History.start(SPACE, pool=POOL)
    scores = source_scores(warm.predictor, POOL)
    assert scores.shape == (120,)
    assert np.corrcoef(scores, RELATED.y)[0, 1] > 0.9
    four = warm.ask(start, 4, seed=1)
    best = POOL[np.argsort(-scores)[:2]]
    assert four[0] == best[0]
    assert best[1] in (four[1], four[2])  # unless the random one was it
    assert len(np.unique(four.keys())) == 4
    assert warm.ask(start, 4, seed=1) == four
    assert warm.ask(start, 4, seed=2)[1] != four[1]


def test_without_sources_the_beginning_is_random():
    start = History.start(SPACE, pool=POOL)
    assert searcher().ask(start, 3, seed=1) == make_searcher("bo").ask(start, 3, seed=1)


def test_large_spaces_are_begun_with_the_best_of_a_sample():
    space = get_space("darts")
    batch = space.sample(30, seed=0)
    source = Source(batch, batch.genotypes.sum(axis=1).astype(float), name="sum")
    predictor = make_predictor("gp_transfer@adjacency", sources=[source])
    first = make_searcher("bo_transfer", predictor=predictor).ask(History.start(space), 1, seed=0)
    assert first.genotypes.sum() > np.median(batch.genotypes.sum(axis=1))


def test_a_related_history_finds_the_best_at_once_and_an_unrelated_one_a_little_later():
    found = {}
    for name, source, steps in (("related", RELATED, 10), ("unrelated", UNRELATED, 20)):
        history = trained(searcher(source, initial=4), History.start(SPACE, pool=POOL), steps)
        found[name] = history.values.max()
    assert found["related"] == value(POOL).max()
    assert found["unrelated"] > np.quantile(value(POOL), 0.95)
