"""Histories of several quantities, and the searchers that take them."""

import json
import math
import sys

import numpy as np
import pytest
from archcast import History, get_space, make_searcher
from archcast.errors import InvalidDataError, MissingDependencyError
from archcast.searchers import SEARCHERS, Quantity, takes_several
from archcast.searchers.moves import ranked
from archcast.searchers.pareto import hypervolume
from archcast.searchers.quantities import parse_bound

SPACE = get_space("nasbench201")
ABLE = [name for name in SEARCHERS.names() if takes_several(name)]
QUICK = {
    "ehvi": {"initial": 6, "pool": 60},
    "parego": {"initial": 6, "pool": 60},
    "nsga2": {"population": 6},
    "tpe": {"initial": 6},
}
TWO = (Quantity("score"), Quantity("params", higher_is_better=False, known=True))


def build(name, **parameters):
    return make_searcher(name, **{**QUICK.get(name, {}), **parameters})


def score(architectures):
    genes = architectures.genotypes / (architectures.space.cardinalities - 1).clip(1)
    return np.sin(2 * genes).sum(axis=1) + genes[:, 0] * genes[:, -1]


def outcomes(architectures):
    return np.stack([score(architectures), SPACE.complexity(architectures)["params"]], axis=1)


def advance(searcher, history, steps, n=1, outcome=outcomes):
    for _ in range(steps):
        asked = searcher.ask(history, n, seed=0)
        history = history.ask(asked).tell(asked, outcome(asked))
    return history


def history_of(values, quantities):
    batch = SPACE.sample(len(values), seed=1, canonical=True)
    return History.start(SPACE, quantities=quantities).tell(batch, values)


# ---- quantities and histories -------------------------------------------------------------------------------------


def test_bounds_are_read():
    assert parse_bound("a100/latency<=4.5") == ("a100/latency", -math.inf, 4.5)
    assert parse_bound(" params >= 1e6 ") == ("params", 1e6, math.inf)
    for text in ("latency", "latency<4", "<=4", "a<=b<=4", "latency=4"):
        with pytest.raises(InvalidDataError, match="must read NAME<=VALUE or NAME>=VALUE"):
            parse_bound(text)
    for text in ("latency<=fast", "latency<=nan", "latency>=inf"):
        with pytest.raises(InvalidDataError, match="must be a finite number, got"):
            parse_bound(text)


def test_a_front_holds_the_feasible_trials_that_none_dominates():
    quantities = (Quantity("a"), Quantity("b", higher_is_better=False), Quantity("c", objective=False, high=1.0))
    values = [[1, 5, 0], [2, 6, 0], [3, 9, 2], [1, 6, 0], [2, 6, 0], [np.nan, 1, 1], [2, 4, 1.0]]
    history = history_of(values, quantities)
    assert history.feasible.tolist() == [True, True, False, True, True, False, True]
    assert history.front().tolist() == [6]
    assert history.failed.tolist() == [5]
    assert np.isnan(history.values[5]).all()
    assert history.objectives[0].tolist() == [1, -5]
    assert history.column(1).utilities[:2].tolist() == [-5, -6]
    assert history.column(1).best() == 6
    assert ranked(history)[0] == 6
    assert ranked(history)[-1] == 2  # not feasible
    with pytest.raises(InvalidDataError, match="has a front, and no best trial"):
        history.best()


def test_a_history_is_stored_with_its_quantities():
    history = history_of([[1.0, 2.0], [np.nan, 1.0]], (Quantity("a", reference=0.5), Quantity("b", high=3.0)))
    history = history.ask(SPACE.sample(1, seed=9))
    again = History.from_dict(json.loads(json.dumps(history.to_dict(), allow_nan=False)))
    assert again == history
    assert again.quantities == history.quantities
    empty = History.start(SPACE, quantities=TWO)
    assert History.from_dict(empty.to_dict()) == empty
    assert history.first(1).values.tolist() == [[1.0, 2.0]]
    broken = history.to_dict() | {"quantities": [{"name": "a"}]}
    with pytest.raises(InvalidDataError, match="a quantity is described by"):
        History.from_dict(broken)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Quantity("a", low=2, high=1), "bounds of 'a' must leave room, got at least 2 and at most 1"),
        (lambda: Quantity("a", reference=math.nan), "the reference of 'a' must be finite"),
        (lambda: History.start(SPACE, quantities=[Quantity("a", objective=False)]), "at least one objective"),
        (lambda: History.start(SPACE, quantities=[Quantity("a"), Quantity("a")]), "quantity 'a' comes twice"),
        (lambda: history_of([1.0, 2.0], TWO), r"expected 2 values for each of 2 architectures, got shape \(2,\)"),
        (lambda: history_of([[1.0, np.inf]], TWO), "the value of architecture 0 must be finite"),
        (lambda: Quantity("taste", known=True).exact(SPACE.sample(1, seed=0)), "expected 'params' or 'flops'"),
    ],
)
def test_bad_quantities(make, message):
    with pytest.raises(InvalidDataError, match=message):
        make()


# ---- searchers ----------------------------------------------------------------------------------------------------


def test_searchers_for_one_metric_refuse():
    assert set(ABLE) >= {"random", "grid", "tpe", "ehvi", "parego", "nsga2"}
    assert not takes_several("bo")
    with pytest.raises(InvalidDataError, match="BayesianOptimization takes one metric without bounds, got a history"):
        make_searcher("bo").ask(History.start(SPACE, quantities=TWO))


@pytest.mark.parametrize("name", ABLE)
def test_several_objectives_with_pending_and_failed_trials(name):
    history, steps = History.start(SPACE, quantities=TWO), []
    for step in range(12):
        asked = build(name).ask(history, 3 if step == 8 else 1, seed=2)
        steps.append((history, asked))
        assert not np.isin(asked.keys(), history.keys).any()
        history = history.ask(asked)
        if step == 7:
            history = history.tell(asked, np.full((1, 2), np.nan))
        elif step != 6:
            history = history.tell(asked, outcomes(asked))
    for before, asked in (steps[8], steps[11]):
        again = History.from_dict(before.to_dict())
        assert build(name).ask(again, len(asked), seed=2) == asked


@pytest.mark.parametrize("name", ["ehvi", "parego", "nsga2", "tpe"])
def test_the_mirror_image_has_the_same_answer(name):
    history = history_of(outcomes(SPACE.sample(12, seed=1, canonical=True)), (Quantity("a"), Quantity("b")))
    turned = (Quantity("a", higher_is_better=False), Quantity("b"))
    mirrored = History(SPACE, history.architectures, history.values * [-1, 1], history.status, quantities=turned)
    assert build(name).ask(history, 2) == build(name).ask(mirrored, 2)


@pytest.mark.parametrize("name", ["ehvi", "parego"])
def test_bounds_are_learned_and_kept(name):
    """A known bound is kept exactly as long as anything is feasible, one that is forecast mostly."""
    params = np.quantile(SPACE.complexity(SPACE.enumerate())["params"], 0.3)
    known = (Quantity("score"), Quantity("params", higher_is_better=False, objective=False, known=True, high=params))
    history = advance(build(name), History.start(SPACE, quantities=known), 10)
    assert history.feasible[6:].all()
    unknown = (Quantity("score"), Quantity("size", higher_is_better=False, objective=False, high=params))
    history = advance(build(name), History.start(SPACE, quantities=unknown), 14)
    assert history.feasible[8:].mean() > 0.6


def test_the_front_is_found_sooner_than_by_chance():
    every = SPACE.enumerate()
    both = outcomes(every)
    reference = (Quantity("score", reference=float(np.median(both[:, 0]))), TWO[1])
    volumes = {}
    for name in ("ehvi", "parego", "random"):
        history = advance(build(name), History.start(SPACE, quantities=reference), 18)
        start = np.array([np.median(both[:, 0]), -both[:, 1].max()])
        volumes[name] = hypervolume(history.objectives[history.finished], start)
    assert min(volumes["ehvi"], volumes["parego"]) > volumes["random"]


@pytest.mark.parametrize("name", ["ehvi", "parego", "nsga2", "tpe"])
def test_three_objectives_in_a_huge_space_and_in_a_pool(name):
    huge = get_space("mnasnet_chain")
    three = (Quantity("a"), Quantity("b", higher_is_better=False), Quantity("c", high=4.0))

    def told(batch):
        genes = batch.genotypes.astype(float)
        return np.stack([genes[:, :6].sum(axis=1), genes[:, 3:9].sum(axis=1), genes[:, 6:].std(axis=1)], axis=1)

    for pool in (None, huge.sample(60, seed=0)):
        start = huge.sample(10, seed=3) if pool is None else pool[:10]
        history = History.start(huge, quantities=three, pool=pool).tell(start, told(start))
        asked = build(name).ask(history, 2, seed=1)
        assert len(asked) == 2
        assert huge.is_valid(asked.genotypes).all()
        assert not np.isin(asked.keys(), history.keys).any()


@pytest.mark.parametrize("name", ["ehvi", "parego", "nsga2", "tpe"])
def test_nothing_feasible_and_a_constant_quantity_are_survived(name):
    quantities = (Quantity("a"), Quantity("same"), Quantity("size", objective=False, high=-1.0))

    def told(batch):
        genes = batch.genotypes.astype(float)
        return np.stack([genes[:, 0], np.ones(len(batch)), genes.sum(axis=1)], axis=1)

    history = advance(build(name), History.start(SPACE, quantities=quantities), 3, n=4, outcome=told)
    assert len(history.front()) == 0
    assert len(build(name).ask(history, 2)) == 2


def test_what_is_hardly_ever_feasible_is_found():
    """Of four in a hundred architectures, by the probability of feasibility alone until there is one."""
    small = np.quantile(SPACE.complexity(SPACE.enumerate())["params"], 0.04)
    quantities = (Quantity("score"), Quantity("size", higher_is_better=False, objective=False, high=small))
    start = SPACE.sample(6, seed=4)
    history = History.start(SPACE, quantities=quantities).tell(start, outcomes(start))
    assert not history.feasible.any()
    history = advance(build("ehvi"), history, 8)
    assert history.feasible[6:].sum() >= 3


def test_pymoo_is_asked_for_by_name(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymoo.algorithms.moo.nsga2", None)
    with pytest.raises(MissingDependencyError, match=r"needs the package pymoo: pip install 'archcast\[pymoo\]'"):
        make_searcher("nsga2").ask(History.start(SPACE))
