"""Searches for several objectives on a table: fronts, hypervolume, constraints, determinism, pictures."""

import json

import numpy as np
import pytest
from archcast import benchmark, replay
from archcast.benchmarks_data import Column, MetricInfo, Table, write_table
from archcast.errors import InvalidDataError, UnknownNameError
from archcast.evaluation import ParetoProblem, SearchPlan, SearchProblem
from archcast.evaluation.pareto_plots import _median_attainment, plot_front, plot_hypervolume
from archcast.searchers.pareto import hypervolume

AIMS = ["toy/score", "toy/time"]


@pytest.fixture(scope="module")
def path(tmp_path_factory, table_path):
    """A row of each class of the common toy, with a score, a time that is to be low, and a few without a time."""
    toy = Table(table_path)
    batch = toy.architectures[np.sort(np.unique(toy.canonical_keys, return_index=True)[1])]
    genes = batch.genotypes.astype(float)
    time = 10 + (genes * [1.0, 2.1, 0.4, 1.3, 0.7, 2.6]).sum(axis=1)
    score = np.sqrt(time) + np.sin(3 * genes[:, 0]) + 0.3 * genes[:, 3]
    time[::17] = np.nan
    columns = [
        Column(MetricInfo("toy/score", unit="%"), score),
        Column(MetricInfo("toy/time", unit="ms", direction="lower"), time),
    ]
    target = tmp_path_factory.mktemp("tables") / "two.h5"
    return write_table(target, toy.space, batch, columns, about={"name": "two"})


@pytest.fixture(scope="module")
def both(path):
    table = Table(path)
    return np.stack([table.values("toy/score"), table.values("toy/time")], axis=1)


def front_of(rows, both, allowed):
    """Which of the rows are allowed and not dominated, by the definition."""
    rows = [row for row in rows if allowed(both[row])]
    signed = both * [1, -1]
    return {
        row
        for row in rows
        if not any((signed[other] >= signed[row]).all() and (signed[other] > signed[row]).any() for other in rows)
    }


@pytest.mark.parametrize("constraints", [[], ["toy/time<=17"], ["toy/time<=17", "toy/time>=12", "params<=9e5"]])
def test_a_trajectory_is_judged_by_what_is_feasible(path, both, constraints):
    problem = ParetoProblem.of(path, AIMS, constraints=constraints)
    params = problem.architectures.space.complexity(problem.architectures)["params"]
    ok = np.isfinite(both[:, 1])
    if constraints:
        ok &= both[:, 1] <= 17
    if len(constraints) == 3:
        ok &= (both[:, 1] >= 12) & (params <= 9e5)
    at = {tuple(pair): good for pair, good in zip(both.tolist(), ok.tolist(), strict=True)}

    def allowed(pair):
        return at.get(tuple(pair), False)

    assert set(problem.front) == front_of(range(len(both)), both, allowed)
    reference = np.array([quantity.reference for quantity in problem.quantities[:2]])
    ends = both[problem.front]
    span = np.ptp(ends, axis=0)
    np.testing.assert_allclose(reference, [ends[:, 0].min() - 0.1 * span[0], ends[:, 1].max() + 0.1 * span[1]])
    found = replay(problem, searcher="random", budget=30, seed=1)
    assert set(found.front) == front_of(found.rows.tolist(), both, allowed)
    np.testing.assert_array_equal(found.front_values, both[found.front])
    whole = hypervolume(ends * [1, -1], reference * [1, -1])
    for count in (1, 5, 17, 30):
        rows = [row for row in found.rows[:count] if ok[row]]
        volume = hypervolume((both[rows] * [1, -1]).reshape(-1, 2), reference * [1, -1])
        assert found.hypervolume[count - 1] == pytest.approx(volume / whole, abs=1e-12)
    assert (np.diff(found.hypervolume) >= 0).all()
    np.testing.assert_allclose(found.regret, 1 - found.hypervolume, atol=1e-12)
    assert found.failed == int(np.isnan(both[found.rows, 1]).sum())


def test_the_whole_table_leaves_nothing(path, both):
    problem = ParetoProblem.of(path, AIMS)
    found = replay(problem, searcher="random", budget=len(both))
    assert found.regret[-1] == 0
    assert found.hypervolume[-1] == 1
    assert found.optimal[-1]
    assert not found.optimal[0]
    assert set(found.front) == set(problem.front)


def test_searchers_are_told_quantities_and_a_reference_only_if_it_is_given(path):
    problem = ParetoProblem.of(path, [*AIMS, "params"], constraints=["toy/time<=17"], reference={"params": 2e6})
    told = problem.start().quantities
    assert [(q.name, q.higher_is_better, q.known, q.high, q.reference) for q in told] == [
        ("toy/score", True, False, np.inf, None),
        ("toy/time", False, False, 17.0, None),
        ("params", False, True, np.inf, 2e6),
    ]
    assert problem.start().pool is not None
    assert problem.label == "two:toy/score, toy/time, params | toy/time<=17"


@pytest.mark.parametrize("searcher", ["ehvi", "nsga2"])
def test_replays_are_determined_by_the_seed(path, searcher):
    problem = ParetoProblem.of(path, AIMS, constraints=["toy/time<=17"])
    first = replay(problem, searcher=searcher, budget=12, seed=3, workers=2)
    again = replay(problem, searcher=searcher, budget=12, seed=3, workers=2)
    assert first.rows.tolist() == again.rows.tolist()
    assert len(np.unique(problem.keys[first.rows])) == 12


def test_a_benchmark_compares_hypervolumes(path, tmp_path):
    problem = ParetoProblem.of(path, AIMS)
    usual = {"searchers": ["random", "grid"], "budget": 10, "seeds": 3}
    result = benchmark(problem, **usual, cache=tmp_path / "runs.jsonl")
    assert result.hypervolumes("grid").shape == (3, 10)
    record = result.records[0]
    np.testing.assert_allclose(record["hypervolume"], 1 - np.array(record["regret"]), atol=1e-12)
    assert (record["unit"], record["tolerance"]) == ("hypervolume", 0.01)
    assert record["objectives"] == AIMS
    assert record["directions"] == ["higher", "lower"]
    assert record["hypervolume_of_table"] == pytest.approx(problem.volume)
    json.dumps(result.records, allow_nan=False)
    again = benchmark(problem, **usual, cache=tmp_path / "runs.jsonl")
    assert again.records == result.records
    other = ParetoProblem.of(path, AIMS, reference={"toy/time": 30.0})
    benchmark(other, **usual, cache=tmp_path / "runs.jsonl")
    assert len((tmp_path / "runs.jsonl").read_text().splitlines()) == 12
    assert len(result.pairs()) == 1
    text = " ".join(str(result).split())
    assert "hypervolume from toy/score" in text
    assert "target: regret of at most 0.01 hypervolume" in text
    result.save(tmp_path / "runs.csv")
    single = benchmark(path, "toy/score", searchers=["random"], budget=3, seeds=1)
    with pytest.raises(InvalidDataError, match="have no hypervolume"):
        single.hypervolumes("random")


def test_pictures(path, tmp_path):
    result = benchmark(ParetoProblem.of(path, AIMS), searchers=["random", "grid"], budget=12, seeds=3)
    axes = plot_hypervolume(result).axes[0]
    assert [line.get_label() for line in axes.lines] == ["random", "grid"]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), np.median(result.hypervolumes("random"), axis=0))
    front = plot_front(result).axes[0]
    assert [line.get_label() for line in front.lines] == ["random", "grid", "front of the table", "reference"]
    assert "lower is better" in front.get_ylabel()
    alone = benchmark(ParetoProblem.of(path, AIMS[:1]), searchers=["random"], budget=3, seeds=1)
    with pytest.raises(InvalidDataError, match="a front is drawn of two objectives, got 1"):
        plot_front(alone)


def test_what_half_of_the_seeds_attain():
    fronts = [np.array([[1.0, 3.0], [2.0, 1.0]]), np.array([[1.5, 2.0]]), np.array([[1.0, 1.0]])]
    assert _median_attainment(fronts).tolist() == [[1.0, 2.0], [1.5, 1.0]]
    assert _median_attainment(fronts[:2]).tolist() == [[1.0, 2.0], [1.5, 1.0]]
    assert _median_attainment(fronts[:1]).tolist() == fronts[0].tolist()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"objectives": ["toy/taste"]}, UnknownNameError, "no metric 'toy/taste'"),
        ({"objectives": ["toy/score@late"]}, InvalidDataError, "integer epoch after '@', got 'toy/score@late'"),
        ({"objectives": ["toy/score", "toy/score"]}, InvalidDataError, "quantity 'toy/score' comes twice"),
        ({"objectives": []}, InvalidDataError, "expected at least one objective"),
        ({"objectives": ["size"]}, InvalidDataError, "does not know 'size' of an architecture"),
        ({"constraints": ["toy/time<=1"]}, InvalidDataError, "no architecture with values that are feasible of"),
        ({"constraints": ["toy/time<=1", "toy/time>=2"]}, InvalidDataError, "must leave room"),
        ({"reference": {"params": 1.0}}, InvalidDataError, "a reference needs an objective, got 'params'"),
        ({"reference": {"toy/score": 1e9}}, InvalidDataError, "must be worse than the best of table 'two'"),
    ],
)
def test_bad_problems(path, change, error, message):
    with pytest.raises(error, match=message):
        ParetoProblem.of(path, **({"objectives": AIMS} | change))


def test_plans_refuse_what_does_not_go_together(path):
    problem = ParetoProblem.of(path, AIMS)
    with pytest.raises(InvalidDataError, match="searcher 'bo' takes one metric without bounds, got the objectives"):
        SearchPlan(problem, searchers=["random", "bo"])
    with pytest.raises(InvalidDataError, match="expected one kind in a benchmark"):
        SearchPlan([problem, SearchProblem.of(path, "toy/score")], searchers=["random"])
