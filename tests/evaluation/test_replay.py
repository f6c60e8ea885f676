"""Replay: what is asked, told and counted; simulated time and workers; failures; the draws of random search."""

import math

import numpy as np
import pytest
from archcast import get_space, make_searcher, replay
from archcast.benchmarks_data import Column, MetricInfo, Table, write_table
from archcast.errors import InvalidDataError, SearcherFailedError, UnknownNameError
from archcast.evaluation import SearchProblem
from archcast.searchers import Searcher, Status
from archcast.spaces import Architectures


class Scripted(Searcher):
    """Proposes the rows of a table in a given order, and notes what it was shown."""

    seen: list  # per test

    def __init__(self, architectures=None, order=(), mood="fine"):
        self.architectures = architectures
        self.order = order
        self.mood = mood

    def _propose(self, history, n, rng):
        Scripted.seen.append((len(history), n, history.pending.tolist(), history.values.tolist()))
        if self.mood == "raise":
            raise RuntimeError("the compass is broken")
        if self.mood == "repeat" and len(history):
            return history.architectures[:1]
        if self.mood == "greedy":
            n += 1
        return self.architectures[list(self.order[len(history) : len(history) + n])]


@pytest.fixture(autouse=True)
def _fresh():
    Scripted.seen = []


def distinct(n, seed=0):
    return get_space("nasbench201").sample(n, seed=seed, canonical=True)


def table_of(path, architectures, **columns):
    """Write a table; a column is its values, and `cost` counts the seconds of a training."""
    infos = {
        "accuracy": MetricInfo("toy/accuracy", unit="%"),
        "valid": MetricInfo("toy/valid", unit="%"),
        "loss": MetricInfo("toy/loss", direction="lower"),
        "cost": MetricInfo("toy/cost", unit="s", direction="lower"),
    }
    about = {"name": "toy"} | ({"cost_metric": "toy/cost"} if "cost" in columns else {})
    written = [Column(infos[name], np.asarray(values, dtype=float)) for name, values in columns.items()]
    return Table(write_table(path, architectures.space, architectures, written, about=about))


@pytest.fixture
def eight(tmp_path):
    """Eight architectures; row 5 is the best in accuracy, row 2 by validation."""
    accuracy = [10.0, 20.0, 50.0, 40.0, 30.0, 60.0, 5.0, 15.0]
    valid = [11.0, 21.0, 70.0, 41.0, 31.0, 61.0, 6.0, 16.0]
    cost = [4.0, 1.0, 2.0, 3.0, 1.0, 1.0, 1.0, 1.0]
    loss = [-value for value in accuracy]
    return table_of(tmp_path / "toy.h5", distinct(8), accuracy=accuracy, valid=valid, cost=cost, loss=loss)


def script(table, order, mood="fine"):
    return Scripted(table.architectures, tuple(order), mood)


# ---- what is counted ----------------------------------------------------------------------------------------------


def test_regret_follows_the_incumbent(eight):
    found = replay(eight, "toy/accuracy", script(eight, [0, 1, 3, 4, 5, 2]), budget=6)
    assert found.rows.tolist() == [0, 1, 3, 4, 5, 2]
    assert found.values.tolist() == [10, 20, 40, 30, 60, 50]
    assert found.incumbents.tolist() == [0, 1, 3, 3, 5, 5]
    assert found.regret.tolist() == [50, 40, 20, 20, 0, 0]
    assert found.queries_to(20) == 3
    assert found.queries_to(0) == found.queries_to_optimum() == 5
    assert found.queries_to(45) == 2
    assert not found.exhausted
    assert found.failed == 0
    assert len(found.ask_seconds) == 6
    assert found.overhead_seconds == pytest.approx(found.ask_seconds.sum())
    assert replay(eight, "toy/accuracy", script(eight, [0, 1]), budget=2).queries_to(20) is None
    with pytest.raises(InvalidDataError, match="tolerance must be a number of at least 0, got -1"):
        found.queries_to(-1)


def test_a_lower_metric_is_the_same_search(eight):
    found = replay(eight, "toy/loss", script(eight, [0, 1, 3, 4, 5, 2]), budget=6)
    assert found.values.tolist() == [-10, -20, -40, -30, -60, -50]
    assert found.regret.tolist() == [50, 40, 20, 20, 0, 0]


def test_selected_by_validation_and_judged_by_test(eight):
    found = replay(eight, "toy/accuracy", script(eight, [1, 5, 2, 3]), budget=4, select_metric="toy/valid")
    assert found.selected.tolist() == [21, 61, 70, 41]
    assert found.values.tolist() == [20, 60, 50, 40]
    # Validation prefers row 2, which tests worse than row 5: the regret rises, and the optimum is lost again.
    assert found.regret.tolist() == [40, 0, 10, 10]
    assert found.optimal.tolist() == [False, True, False, False]
    assert Scripted.seen[-1][3] == [21, 61, 70]
    # Directions may differ: told a loss, judged by an accuracy.
    other = replay(eight, "toy/accuracy", script(eight, [1, 5, 2]), budget=3, select_metric="toy/loss")
    assert other.incumbents.tolist() == [1, 5, 5]


def test_failed_queries_cost_and_count_for_nothing(tmp_path):
    accuracy = [np.nan, 20.0, np.nan, 40.0]
    table = table_of(tmp_path / "t.h5", distinct(4), accuracy=accuracy, cost=[5.0, 1.0, np.nan, 3.0])
    searcher = script(table, [0, 1, 2, 3])
    found = replay(table, "toy/accuracy", searcher, budget=4)
    np.testing.assert_array_equal(found.selected, accuracy)
    assert found.failed == 2
    assert found.incumbents.tolist() == [-1, 1, 1, 3]
    assert found.regret.tolist() == [20, 20, 20, 0]  # with nothing in hand, as bad as the worst
    # An unknown cost is the median of those known.
    assert found.finished.tolist() == [5, 6, 9, 12]
    assert math.isnan(Scripted.seen[1][3][0])


def test_a_row_without_either_metric_fails(tmp_path):
    table = table_of(tmp_path / "t.h5", distinct(3), accuracy=[1.0, np.nan, 3.0], valid=[np.nan, 2.0, 3.0])
    found = replay(table, "toy/accuracy", script(table, [0, 1, 2]), budget=3, select_metric="toy/valid")
    assert found.failed == 2
    assert found.incumbents.tolist() == [-1, -1, 2]
    with pytest.raises(InvalidDataError, match="no architecture with values of both"):
        replay(table.select(np.array([0, 1])), "toy/accuracy", "random", select_metric="toy/valid")


# ---- twins and pools ----------------------------------------------------------------------------------------------


def test_each_twin_answers_from_its_own_row(tmp_path):
    space = get_space("nasbench201")
    everything = space.enumerate()
    keys = everything.keys()
    key, counts = np.unique(keys, return_counts=True)
    twins = np.flatnonzero(keys == key[np.argmax(counts >= 3)])[:3]
    others = np.flatnonzero(keys != keys[twins[0]])[:2]
    batch = everything[np.concatenate([twins, others])]
    table = table_of(tmp_path / "t.h5", batch, accuracy=[1.0, 9.0, 5.0, 2.0, 3.0])
    for row, regret in ((0, 8.0), (1, 0.0), (2, 4.0)):
        found = replay(table, "toy/accuracy", script(table, [row]), budget=1)
        assert found.rows.tolist() == [row]
        assert found.regret.tolist() == [regret]
        assert found.queries_to_optimum() == 1  # its class is that of the best row
        assert (found.queries_to(0) == 1) == (row == 1)


def test_a_table_of_a_sample_is_a_pool(eight):
    problem = SearchProblem.of(eight, "toy/accuracy")
    assert problem.pooled
    found = replay(problem, searcher="random", budget=20)
    assert sorted(found.rows.tolist()) == list(range(8))
    assert found.exhausted
    assert len(found) == 8
    assert found.regret[-1] == 0


def test_a_table_with_a_twin_of_everything_is_the_whole_space():
    assert not SearchProblem.of("nasbench201", "cifar10/test_accuracy").pooled
    problem = SearchProblem.of("nasbench_graph_proteins", "proteins/test_roc_auc")
    space = problem.architectures.space
    assert len(problem.architectures) < space.size
    assert not problem.pooled
    everything = space.enumerate()
    rows = problem.rows(everything)
    np.testing.assert_array_equal(problem.keys[rows], everything.keys())
    own = problem.rows(problem.architectures)
    np.testing.assert_array_equal(own, np.arange(len(own)))


# ---- simulated time -----------------------------------------------------------------------------------------------


def test_trainings_take_what_the_table_says(eight):
    found = replay(eight, "toy/accuracy", script(eight, [0, 1, 2, 3]), budget=4)
    assert found.started.tolist() == [0, 4, 5, 7]
    assert found.finished.tolist() == [4, 5, 7, 10]
    assert found.time_unit == "s"
    assert found.regret_at_time([0, 3.9, 4, 4.5, 5, 100]).tolist()[2:] == [50, 50, 40, 10]
    assert np.isnan(found.regret_at_time([0, 3.9])).all()


def test_workers_are_asynchronous_and_see_what_is_pending(eight):
    # Costs 4, 1, 2, 3, 1: worker A trains row 0 until 4; B trains 1 (to 1), 2 (to 3), 3 (to 6); A takes 4 (to 5).
    found = replay(eight, "toy/accuracy", script(eight, [0, 1, 2, 3, 4]), budget=5, workers=2)
    assert found.rows.tolist() == [1, 2, 0, 4, 3]
    assert found.started.tolist() == [0, 1, 0, 4, 3]
    assert found.finished.tolist() == [1, 3, 4, 5, 6]
    trials = [(length, n, pending) for length, n, pending, _ in Scripted.seen]
    assert trials == [(0, 1, []), (1, 1, [0]), (2, 1, [0]), (3, 1, [0]), (4, 1, [3])]
    assert Scripted.seen[3][3][1:] == [20, 50]  # told as soon as known


def test_what_ends_at_the_same_moment_is_told_before_anything_is_asked(tmp_path):
    table = table_of(tmp_path / "t.h5", distinct(6), accuracy=np.arange(6.0))
    found = replay(table, "toy/accuracy", script(table, range(6)), budget=6, workers=3)
    assert found.time_unit == "trainings"
    assert found.finished.tolist() == [1, 1, 1, 2, 2, 2]
    assert [pending for _, _, pending, _ in Scripted.seen] == [[], [0], [0, 1], [], [3], [3, 4]]


def test_batches_are_asked_when_the_last_is_started(eight):
    replay(eight, "toy/accuracy", script(eight, range(8)), budget=7, batch=3)
    assert [(length, n, pending) for length, n, pending, _ in Scripted.seen] == [(0, 3, []), (3, 3, []), (6, 1, [])]
    Scripted.seen = []
    found = replay(eight, "toy/accuracy", script(eight, range(8)), budget=8, batch=4, workers=2)
    assert [(length, n) for length, n, _, _ in Scripted.seen] == [(0, 4), (4, 4)]
    assert found.finished[-1] < eight.costs.sum()
    assert sorted(found.rows.tolist()) == list(range(8))


def test_costs_of_the_epoch_that_is_searched(tmp_path):
    batch = distinct(3)
    curve = np.array([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]])[:, None, :]
    columns = [
        Column(MetricInfo("toy/accuracy", unit="%", epochs=(5, 10)), 10 * curve),
        Column(MetricInfo("toy/time", unit="s", direction="lower", epochs=(5, 10)), curve),
    ]
    path = write_table(tmp_path / "t.h5", batch.space, batch, columns, about={"cost_metric": "toy/time"})
    for epoch, last in ((5, 6.0), (10, 12.0), (None, 12.0)):
        assert replay(path, "toy/accuracy", "random", epoch=epoch, budget=3).finished[-1] == last


# ---- searchers that misbehave -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mood", "message"),
    [
        ("raise", "seed = 7, after 0 queries: RuntimeError: the compass is broken"),
        ("repeat", "after 1 queries: it proposed .* although that or a twin was proposed before"),
        ("greedy", "after 0 queries: it was asked for 1 and proposed 2"),
    ],
)
def test_a_failing_searcher_is_named(eight, mood, message):
    with pytest.raises(SearcherFailedError, match=r"searcher 'Scripted' failed on toy:toy/accuracy, .*" + message):
        replay(eight, "toy/accuracy", script(eight, range(8), mood), budget=5, seed=7)


def test_what_the_table_does_not_hold_is_refused(eight):
    space = eight.space
    absent = space.enumerate()
    foreign = absent[np.flatnonzero(eight.rows(absent, missing="-1") < 0)[:2]]
    with pytest.raises(SearcherFailedError, match="which the table does not hold"):
        replay(eight, "toy/accuracy", Scripted(foreign, (0, 1)), budget=2)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"budget": 0}, InvalidDataError, "budget must be integers of at least 1, got 0"),
        ({"workers": 0}, InvalidDataError, "workers must be"),
        ({"batch": 1.5}, InvalidDataError, "batch must be"),
        ({"seed": -1}, InvalidDataError, "seed must be"),
        ({"metric": "toy/taste"}, UnknownNameError, "no metric 'toy/taste'"),
        ({"metric": None}, InvalidDataError, "expected the metric"),
        ({"searcher": "oracle"}, UnknownNameError, "unknown searcher 'oracle'"),
        ({"select_metric": "toy/taste"}, UnknownNameError, "no metric 'toy/taste'"),
    ],
)
def test_bad_arguments(eight, change, error, message):
    usual = {"metric": "toy/accuracy", "searcher": "random", "budget": 3}
    with pytest.raises(error, match=message):
        replay(eight, **(usual | change))


def test_a_problem_brings_its_metric(eight):
    problem = SearchProblem.of(eight, "toy/accuracy")
    with pytest.raises(InvalidDataError, match="has its metrics and epochs already"):
        replay(problem, "toy/loss", "random")


# ---- random search ------------------------------------------------------------------------------------------------


def test_random_search_is_drawing_without_replacement(tmp_path):
    """The best of k of n is row n - j with probability C(n - j, k - 1) / C(n, k)."""
    n, runs = 12, 400
    table = table_of(tmp_path / "t.h5", distinct(n), accuracy=np.arange(n, dtype=float))
    problem = SearchProblem.of(table, "toy/accuracy")
    regrets = np.stack([replay(problem, searcher="random", budget=6, seed=seed).regret for seed in range(runs)])
    for k in (1, 2, 6):
        possible = math.comb(n, k)
        probabilities = np.array([math.comb(n - 1 - gap, k - 1) / possible for gap in range(n - k + 1)])
        expected = float((np.arange(n - k + 1) * probabilities).sum())
        assert expected == pytest.approx((n - k) / (k + 1))  # the known mean
        spread = math.sqrt(float((np.arange(n - k + 1) ** 2 * probabilities).sum()) - expected**2)
        assert abs(regrets[:, k - 1].mean() - expected) < 4 * spread / math.sqrt(runs)
        found = float((regrets[:, k - 1] == 0).mean())
        assert abs(found - k / n) < 4 * math.sqrt(k / n * (1 - k / n) / runs)


def test_random_search_on_nasbench201():
    """Twins make a draw of genotypes no uniform draw of classes; the first query is uniform over all rows."""
    problem = SearchProblem.of("nasbench201", "cifar10/test_accuracy", epoch=200)
    searcher = make_searcher("random")
    first = [replay(problem, searcher=searcher, budget=1, seed=seed).regret[0] for seed in range(150)]
    spread = problem.gaps.std() / math.sqrt(len(first))
    assert abs(np.mean(first) - problem.gaps.mean()) < 4 * spread
    long = replay(problem, searcher=searcher, budget=60, seed=3)
    assert len(np.unique(problem.keys[long.rows])) == 60
    assert (np.diff(long.regret) <= 0).all()
    again = replay(problem, searcher=searcher, budget=60, seed=3)
    np.testing.assert_array_equal(long.rows, again.rows)
    np.testing.assert_array_equal(replay(problem, searcher=searcher, budget=30, seed=3).rows, long.rows[:30])
    assert not np.array_equal(long.rows, replay(problem, searcher=searcher, budget=60, seed=4).rows)


def test_pending_trials_are_pending(eight):
    class Watch(Scripted):
        def _propose(self, history, n, rng):
            assert (history.status != Status.FAILED).all()
            assert history.pool is not None
            assert isinstance(history.architectures, Architectures)
            return super()._propose(history, n, rng)

    replay(eight, "toy/accuracy", Watch(eight.architectures, tuple(range(8))), budget=8, workers=3)
    assert max(len(pending) for _, _, pending, _ in Scripted.seen) == 2
