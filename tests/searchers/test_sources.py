"""Sources are given to searchers that can use them, and any searcher can begin with what they think best."""

import numpy as np
import pytest
from archcast import History, Source, get_space, make_predictor, make_searcher
from archcast.errors import InvalidDataError, UnknownNameError
from archcast.searchers.sources import with_sources
from archcast.searchers.warm_start import source_scores

SPACE = get_space("nasbench201")
POOL = SPACE.sample(150, seed=9, canonical=True)
VALUES = (POOL.genotypes == 3).sum(axis=1) - 0.7 * (POOL.genotypes == 0).sum(axis=1) + 0.1 * POOL.genotypes[:, 0]
SOURCE = Source(POOL, VALUES, name="earlier")


@pytest.mark.parametrize("inner", ["tpe", "regularized_evolution", "grid", "local_search"])
def test_every_other_of_the_first_is_the_best_of_the_sources_and_the_rest_is_the_searcher_itself(inner):
    plain = make_searcher(inner)
    warm = with_sources(make_searcher(f"warm:{inner}", initial=4), [SOURCE], SPACE)
    history = History.start(SPACE, pool=POOL)
    six = warm.ask(history, 6, seed=1)
    scores = source_scores(warm.reader(), POOL)
    ranked = POOL[np.argsort(-scores)]
    assert six[0] == ranked[0]
    assert six[2] in ranked[:3]
    assert scores[np.argsort(-scores)[:2]].min() > np.quantile(scores, 0.95)
    told = history.ask(six).tell(six, six.genotypes.sum(axis=1))
    assert warm.ask(told, 3, seed=1) == plain.ask(told, 3, seed=1)
    assert warm.ask(history, 6, seed=1) == six
    assert warm.ask(history.ask(six[:3]), 1, seed=1) not in (six[:1], six[1:2], six[2:3])


def test_without_sources_it_is_the_searcher_alone():
    history = History.start(SPACE, pool=POOL)
    assert make_searcher("warm:tpe").ask(history, 3, seed=1) == make_searcher("tpe").ask(history, 3, seed=1)


def test_the_searcher_may_be_an_object():
    evolution = make_searcher("regularized_evolution", population=7)
    warm = make_searcher("warm", searcher=evolution)
    assert warm.inner() is evolution
    assert make_searcher("warm", searcher=warm).inner() is evolution
    with pytest.raises(InvalidDataError, match="searcher must be a name or a Searcher, got int"):
        make_searcher("warm", searcher=3).ask(History.start(SPACE))


def test_surrogates_that_learn_from_sources_are_given_them_and_nobody_else():
    for searcher in (
        make_searcher("bo_transfer"),
        make_searcher("hybrid", predictor="rgpe@adjacency"),
        make_searcher("npenas", predictor=make_predictor("gp_multitask", source_size=20)),
    ):
        before = repr(searcher)
        given = with_sources(searcher, [SOURCE, (POOL, VALUES)], SPACE)
        assert [source.name for source in given.reader().sources] == ["earlier", "1"]
        assert repr(searcher) == before
        with pytest.raises(InvalidDataError, match="expected a searcher without sources to be given some"):
            with_sources(given, [SOURCE])
    for name in ("bo", "random", "hybrid", "tpe"):
        with pytest.raises(InvalidDataError, match=f"searcher '{name}' takes no sources"):
            with_sources(make_searcher(name), [SOURCE])


def test_bad_names_and_sources_of_no_use_are_refused():
    with pytest.raises(UnknownNameError, match="unknown searcher 'oracle'"):
        make_searcher("warm:oracle")
    with pytest.raises(UnknownNameError, match="unknown predictor 'tpe'"):
        make_searcher("bo:tpe")
    with pytest.raises(InvalidDataError, match="sources must be a list, got Source"):
        with_sources(make_searcher("warm:tpe"), SOURCE)
    with pytest.raises(InvalidDataError, match="source '0' is a feature matrix, and the target is architectures"):
        with_sources(make_searcher("warm:tpe"), [(np.eye(3), np.arange(3.0))], SPACE)
    with pytest.raises(InvalidDataError, match="initial must be an integer of at least 1, got 0"):
        make_searcher("warm:tpe", initial=0).ask(History.start(SPACE))
