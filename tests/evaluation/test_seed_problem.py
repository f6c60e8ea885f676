"""Searches that are told one training of each architecture and judged by the others."""

import numpy as np
import pytest
from archcast import benchmark, load_table, replay
from archcast.benchmarks_data import Column, MetricInfo, write_table
from archcast.errors import InvalidDataError, UnknownNameError
from archcast.evaluation import SearchPlan, SeedProblem

TEST, VALID = "mnist1d/test_accuracy", "mnist1d/valid_accuracy"


@pytest.fixture(scope="module")
def table():
    return load_table("mnist1d_nasbench201")


@pytest.mark.parametrize("seed", [0, 2, 5])
def test_one_training_is_told_and_the_mean_of_the_others_judges(table, seed):
    found = replay(SeedProblem.of(table, TEST, select_metric=VALID), searcher="random", budget=30, seed=seed)
    told, tests = table.values(VALID, seed=seed % 4), table.values(TEST, seed="all")
    judged = np.delete(tests, seed % 4, axis=1).mean(axis=1)
    assert found.selected.tolist() == told[found.rows].tolist()
    incumbents = [found.rows[np.argmax(told[found.rows[: k + 1]])] for k in range(30)]
    assert found.regret == pytest.approx(judged.max() - judged[incumbents], abs=1e-12)
    assert found.values == pytest.approx(judged[found.rows])


def test_a_training_may_be_the_same_in_all_searches(table):
    fixed = SeedProblem.of(table, TEST, select_seed=3)
    assert (fixed.select_metric, fixed.select_seed) == (TEST, 3)
    for seed in (0, 1):
        opened = fixed.open(seed)
        assert opened.selected.tolist() == table.values(TEST, seed=3).tolist()
        assert opened.values == pytest.approx(table.values(TEST, seed="all")[:, :3].mean(axis=1))
    digests = {SeedProblem.of(table, TEST, select_seed=chosen).digest for chosen in (0, 3, "each")}
    assert len(digests | {fixed.digest}) == 3


def test_runs_and_captions_say_so_and_cached_ones_are_told_apart(table, tmp_path):
    cache = tmp_path / "runs.jsonl"
    found = {}
    for chosen in ("each", 1, "each"):
        problem = SeedProblem.of(table, TEST, select_metric=VALID, select_seed=chosen)
        plan = SearchPlan(problem, searchers=["random"], budget=5, seeds=2)
        found[chosen] = plan.run(cache=cache)
        assert [record["select_seed"] for record in found[chosen].records] == [chosen] * 2
    assert len(cache.read_text().splitlines()) == 4
    plain = benchmark(table, TEST, searchers=["random"], select_metric=VALID, budget=5, seeds=2, cache=cache)
    assert [record["select_seed"] for record in plain.records] == [None] * 2
    assert (
        found["each"]
        ._caption(problem.label, found["each"].records[0])
        .startswith("2 seeds; incumbents are selected by mnist1d/valid_accuracy, one training each;")
    )


def test_missing_trainings_fail_and_are_no_part_of_the_mean(tmp_path):
    architectures = load_table("nasbench201").architectures[:6]
    values = np.array([[1, 2, 3], [4, np.nan, 6], [np.nan, 8, 9], [1, np.nan, np.nan], [2, 2, 2], [np.nan] * 3], float)
    column = Column(MetricInfo("toy/accuracy", "%", "higher", "", (), (10, 11, 12)), values[:, :, None])
    path = write_table(tmp_path / "toy.h5", architectures.space, architectures, [column])
    problem = SeedProblem.of(path, "toy/accuracy")
    opened = [problem.open(seed) for seed in range(3)]
    nan = pytest.approx(np.nan, nan_ok=True)
    assert opened[0].selected.tolist() == [1, 4, nan, nan, 2, nan]
    assert opened[0].values.tolist() == [2.5, 6, nan, nan, 2, nan]
    assert opened[1].values.tolist() == [2, nan, 9, nan, 2, nan]
    assert opened[2].values.tolist() == [1.5, 4, 8, nan, 2, nan]


@pytest.mark.parametrize(
    ("name", "metric", "options", "error", "message"),
    [
        ("nasbench201", "cifar10/test_accuracy", {}, InvalidDataError, "has one value of each architecture: expected"),
        ("mnist1d_nasbench201", TEST, {"select_seed": 9}, UnknownNameError, "has no seed 9; its seeds are: 0, 1, 2, 3"),
        ("mnist1d_nasbench201", TEST, {"select_seed": "any"}, InvalidDataError, "must be an integer or 'each'"),
        ("mnist1d_nasbench201", "mnist1d/taste", {}, UnknownNameError, "no metric 'mnist1d/taste'"),
    ],
)
def test_bad_input(name, metric, options, error, message):
    with pytest.raises(error, match=message):
        SeedProblem.of(name, metric, **options)
