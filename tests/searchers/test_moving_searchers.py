"""Searchers that move from architecture to architecture, and what they move by."""

import sys

import numpy as np
import pytest
from archcast import History, Searcher, get_space, load_table, make_searcher, register_searcher
from archcast.errors import InvalidDataError, MissingDependencyError, UnknownNameError
from archcast.searchers import SEARCHERS
from archcast.searchers.candidates import CandidateSet, random_new
from archcast.searchers.evolution import crossed, tournament
from archcast.searchers.grid import golden_walk, recurrence
from archcast.searchers.moves import nearest_in_pool, offspring, promising_pool, ranked

SPACE = get_space("nasbench201")


def told(n, seed=0, worth=None):
    batch = SPACE.sample(n, seed=seed, canonical=True)
    return History.start(SPACE).tell(batch, np.arange(n, dtype=float) if worth is None else worth(batch))


def differing(first, second):
    return (first.genotypes[:, None] != second.genotypes).sum(axis=2)


# ---- moves -------------------------------------------------------------------------------------------------------


def test_random_architectures_are_uniform_over_genotypes():
    counts = np.bincount(
        np.concatenate(
            [random_new(History.start(SPACE), 1, np.random.default_rng(s)).genotypes[0] for s in range(500)]
        ),
        minlength=5,
    )
    np.testing.assert_allclose(counts / counts.sum(), 0.2, atol=0.03)


def test_a_random_twin_stands_for_each_class():
    candidates = CandidateSet(SPACE.enumerate())
    keys = candidates.representatives.keys()
    assert len(keys) == 6466
    sizes = np.unique(candidates.keys, return_counts=True)[1]
    largest = np.array([np.argmax(sizes)])
    drawn = [candidates.members(largest, np.random.default_rng(s)) for s in range(40)]
    assert {batch.keys()[0] for batch in drawn} == {keys[largest[0]]}
    assert len({batch.genotypes.tobytes() for batch in drawn}) > 30
    assert candidates.unseen_classes(History.start(SPACE).ask(drawn[0])).sum() == 6465


def test_nearest_in_pool_is_the_nearest_free_member():
    large = get_space("mnasnet_chain")
    pool, wanted = large.sample(50, seed=0), large.sample(8, seed=1)
    history = History.start(large, pool=pool).ask(pool[:10])
    found = nearest_in_pool(history, wanted, np.random.default_rng(0))
    distances = differing(wanted, pool[10:])
    np.testing.assert_array_equal(differing(wanted, found).diagonal(), distances.min(axis=1))


def test_offspring_falls_back_to_random_ones_where_breeding_gives_nothing_new():
    history = told(5)
    children = offspring(history, 4, np.random.default_rng(0), lambda count, attempt: history.architectures[:count])
    assert len(children) == 4
    assert not history.seen(children).any()


def test_promising_pool_holds_relatives_of_the_best():
    large = get_space("darts")
    parents = large.sample(30, seed=0)
    history = History.start(large).tell(parents, np.arange(30.0))
    pool = promising_pool(history, 200, np.random.default_rng(0))
    assert not history.seen(pool).any()
    near = differing(pool, parents[10:]).min(axis=1) <= 3
    assert 0.2 < near.mean() < 0.8


# ---- evolution ---------------------------------------------------------------------------------------------------


def test_tournaments_are_won_by_the_best_entrant():
    history = told(10)
    rng = np.random.default_rng(0)
    living = np.arange(2, 8)
    assert (tournament(living, history, 50, 6, rng) == 7).all()
    pairs = tournament(living, history, 6000, 2, rng)
    # Of two out of six, the one of rank r (from 0, best) wins with probability (5 - r) / 15.
    shares = np.bincount(pairs, minlength=8)[2:] / 6000
    np.testing.assert_allclose(shares, np.arange(6) / 15, atol=0.02)


def test_regularised_evolution_lets_the_old_die():
    """The best of all is the oldest: its children come only while it lives."""
    batch = SPACE.sample(30, seed=1, canonical=True)
    for alive, population in ((True, 30), (False, 29)):
        history = History.start(SPACE).tell(batch, np.r_[100.0, np.arange(29.0)])
        searcher = make_searcher("regularized_evolution", population=population, sample=population)
        children = searcher.ask(history, 10)
        parent = batch[:1] if alive else batch[-1:]
        assert (differing(children, parent) == 1).all()


def test_genetic_keeps_the_best_and_crosses_them():
    batch = SPACE.sample(30, seed=1, canonical=True)
    history = History.start(SPACE).tell(batch, np.r_[100.0, 99.0, np.arange(28.0)])
    children = make_searcher("genetic", population=2, sample=1, crossover=1.0, mutation=0.0).ask(history, 2)
    parents = batch[:2].genotypes
    inherited = (children.genotypes[:, None] == parents).any(axis=1)
    assert inherited.all()


def test_crossed_children_inherit_or_mutate():
    first, second = SPACE.sample(200, seed=0), SPACE.sample(200, seed=1)
    rng = np.random.default_rng(0)
    mixed = crossed(first, second, 1.0, 0.0, rng).genotypes
    assert ((mixed == first.genotypes) | (mixed == second.genotypes)).all()
    mutated = crossed(first, second, 0.0, 0.0, rng).genotypes
    assert ((mutated != first.genotypes).sum(axis=1) == 1).all()


def test_ranked_puts_the_best_first_and_failures_nowhere():
    batch = SPACE.sample(4, seed=0)
    history = History.start(SPACE, higher_is_better=False).tell(batch, [2.0, np.nan, 1.0, 2.0])
    assert ranked(history).tolist() == [2, 0, 3]


# ---- local search and grid ---------------------------------------------------------------------------------------


def test_local_search_moves_to_the_first_better_neighbour_and_restarts_at_the_top():
    def worth(batch):
        return (batch.genotypes == 3).sum(axis=1).astype(float)

    searcher, history, incumbents = make_searcher("local_search", initial=4), History.start(SPACE), []
    for _ in range(120):
        incumbents.append(searcher._climb(history)[0])
        asked = searcher.ask(history, 1, seed=3)
        history = history.ask(asked).tell(asked, worth(asked))
    assert history.values.max() == 6
    values = history.values
    restarts = 0
    for trial in range(4, 120):
        incumbent = incumbents[trial]
        distance = differing(history.architectures[trial : trial + 1], history.architectures[[incumbent]])[0, 0]
        if distance > 1 and incumbents[trial - 1] == incumbent:
            restarts += 1
            near = SPACE.neighbors(history.architectures[incumbent : incumbent + 1])[0]
            before = History.start(SPACE).ask(history.architectures[:trial])
            beginnings = searcher._climb(history.first(trial))[1]
            assert before.seen(near).all() or beginnings
        if incumbents[trial - 1] is not None and incumbents[trial - 1] != incumbent and distance <= 1:
            assert values[incumbent] > values[incumbents[trial - 1]] or trial > 4
    assert restarts >= 1


def test_local_search_stays_near_in_a_pool():
    table = load_table("accel_nasbench")
    pool = table.architectures[np.arange(0, len(table), 5)]
    history = History.start(table.space, pool=pool).tell(pool[:10], np.arange(10.0))
    asked = make_searcher("local_search", initial=1).ask(history, 5)
    degree = int((table.space.cardinalities - 1).sum())
    nearest = np.sort(differing(pool[9:10], pool)[0])[degree]
    assert (differing(asked, pool[9:10]) <= nearest).all()


@pytest.mark.parametrize("size", [1, 2, 7, 1000, 15_625])
def test_the_golden_walk_visits_everything_once_and_evenly(size):
    walk = golden_walk(size)
    assert sorted(walk) == list(range(size))
    if size >= 1000:
        gaps = np.diff(np.sort(np.r_[walk[:50], walk[0] + size]))
        assert gaps.max() < 3 * size / 50


def test_the_recurrence_balances_every_gene():
    space = get_space("darts")
    rows = recurrence(space, 4000)
    for gene, cardinality in enumerate(space.cardinalities.tolist()):
        shares = np.bincount(rows[:, gene], minlength=cardinality) / 4000
        np.testing.assert_allclose(shares, 1 / cardinality, atol=0.02)


# ---- TPE ---------------------------------------------------------------------------------------------------------


def test_tpe_without_optuna_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(
        MissingDependencyError, match=r"the searcher 'tpe' needs the package optuna: pip install 'archcast\[optuna\]'"
    ):
        make_searcher("tpe").ask(History.start(SPACE))


def test_tpe_tells_optuna_everything():
    import optuna

    batch = SPACE.sample(5, seed=0)
    history = History.start(SPACE, higher_is_better=False).tell(batch[:4], [3.0, 1.0, np.nan, 2.0]).ask(batch[4:])
    study, _ = make_searcher("tpe")._study(optuna, history, seed=0)
    assert study.direction == optuna.study.StudyDirection.MINIMIZE
    assert study.best_value == 1.0
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE", "RUNNING"]
    assert list(study.trials[3].params.values()) == batch.genotypes[3].tolist()


# ---- by name -----------------------------------------------------------------------------------------------------


def test_make_searcher_names_what_is_wrong():
    with pytest.raises(UnknownNameError, match="did you mean 'local_search'"):
        make_searcher("local_serch")
    with pytest.raises(InvalidDataError, match="no parameter 'temperature'"):
        make_searcher("random", temperature=1)
    with pytest.raises(InvalidDataError, match="sample must be an integer between 1 and 5, got 9"):
        make_searcher("regularized_evolution", population=5, sample=9).ask(History.start(SPACE))


def test_a_searcher_of_ones_own():
    @register_searcher("lexicographic_for_tests")
    class Lexicographic(Searcher):
        """The first architectures that are new."""

        def _propose(self, history, n, rng):
            rows = history.space.enumerate()
            return rows[np.flatnonzero(~history.seen(rows))[:n]]

    try:
        asked = make_searcher("lexicographic_for_tests").ask(History.start(SPACE), 2)
        assert asked == SPACE.enumerate()[:2]
        assert SEARCHERS.summary("lexicographic_for_tests") == "The first architectures that are new."
        with pytest.raises(InvalidDataError, match="registered with a str"):
            register_searcher("text_for_tests")(lambda: "text")
            make_searcher("text_for_tests")
    finally:
        for name in ("lexicographic_for_tests", "text_for_tests"):
            SEARCHERS._registered.pop(name, None)


# ---- the point of it all -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bo", "auto"])
def test_finds_the_best_of_nasbench201_in_a_few_trainings(name):
    """Within 0.05 points of the best of 15,625: at most 15 queries in the median, and the very best within 50."""
    table = load_table("nasbench201")
    accuracy = table.values("cifar10/test_accuracy", epoch=200)
    index = CandidateSet(table.architectures)
    queries = []
    for seed in range(5):
        history, searcher, found = History.start(SPACE), make_searcher(name), None
        while history.best() is None or history.values[history.best()] < accuracy.max():
            asked = searcher.ask(history, seed=seed)
            history = history.ask(asked).tell(asked, accuracy[index.locate(asked)])
            if found is None and history.values[-1] >= accuracy.max() - 0.05:
                found = len(history)
            assert len(history) <= 50
        queries.append(found)
    assert np.median(queries) <= 15
