"""The benchmark of searchers: determinism, resuming, what a run is known by, summaries and pictures."""

import io
import json
import math

import numpy as np
import pytest
from archcast import benchmark
from archcast.benchmarks_data import Column, MetricInfo, Table, write_table
from archcast.errors import InvalidDataError, SearcherFailedError, UnknownNameError
from archcast.evaluation import SearchComparison, SearchPlan, SearchProblem
from archcast.evaluation.search_plots import plot_ranks, plot_regret
from archcast.evaluation.significance import average_ranks
from archcast.searchers import Searcher
from archcast.searchers.candidates import candidate_set, first_new
from rich.console import Console

METRIC = "toy/accuracy"


class Nearly(Searcher):
    """Proposes what has the largest sum of genes, after `start` random ones."""

    calls = 0

    def __init__(self, start=1, broken_at=None):
        self.start = start
        self.broken_at = broken_at

    def _propose(self, history, n, rng):
        Nearly.calls += 1
        if self.broken_at is not None and len(history) >= self.broken_at:
            raise RuntimeError("the compass is broken")
        candidates = candidate_set(history)
        rows = rng.permutation(len(candidates.keys))
        if len(history) >= self.start:
            rows = rows[np.argsort(-candidates.architectures.genotypes[rows].sum(axis=1), kind="stable")]
        return first_new(candidates.architectures[rows], candidates.keys[rows], history, n)


def searcher_of_a_script(**parameters):
    """A searcher whose class no other process can import."""

    class Homemade(Searcher):
        def __init__(self, broken_at=None):
            self.broken_at = broken_at

        def _propose(self, history, n, rng):
            if self.broken_at is not None and len(history) >= self.broken_at:
                raise RuntimeError("the compass is broken")
            candidates = candidate_set(history)
            rows = np.lexsort([rng.random(len(candidates.keys)), -candidates.architectures.genotypes[:, 0]])
            return first_new(candidates.architectures[rows], candidates.keys[rows], history, n)

    return Homemade(**parameters)


@pytest.fixture(autouse=True)
def _fresh():
    Nearly.calls = 0


@pytest.fixture(scope="module")
def costly(tmp_path_factory, table_path):
    """The common toy table with costs."""
    toy = Table(table_path)
    cost = 1.0 + toy.architectures.genotypes.sum(axis=1)
    columns = [
        Column(MetricInfo(METRIC, unit="%"), toy.values(METRIC)),
        Column(MetricInfo("toy/cost", unit="s", direction="lower"), cost),
    ]
    path = tmp_path_factory.mktemp("tables") / "costly.h5"
    return write_table(path, toy.space, toy.architectures, columns, about={"name": "costly", "cost_metric": "toy/cost"})


def without_seconds(records):
    return [{k: v for k, v in r.items() if not k.endswith("_seconds")} for r in records]


def test_each_run_is_one_record_in_order(toy):
    result = benchmark(toy, METRIC, searchers=[Nearly(), "random"], budget=12, seeds=[3, 1])
    assert [(r["seed"], r["searcher"]) for r in result.records] == [
        (3, "Nearly"),
        (3, "random"),
        (1, "Nearly"),
        (1, "random"),
    ]
    first = result.records[0]
    assert (first["problem"], first["table"], first["unit"]) == ("toy:toy/accuracy", "toy", "%")
    assert (first["budget"], first["queries"], first["tolerance"]) == (12, 12, 0.05)
    assert len(first["regret"]) == len(first["rows"]) == len(first["finished"]) == 12
    y = toy.values(METRIC)
    for record in result.records:
        best = np.maximum.accumulate(y[record["rows"]])
        assert record["regret"] == (y.max() - best).tolist()
        assert record["best"] == str(toy.architectures[record["rows"][int(np.argmax(y[record["rows"]]))]])
        met = [i + 1 for i, regret in enumerate(record["regret"]) if regret <= 0.05]
        assert record["queries_to_target"] == (met[0] if met else None)
    json.dumps(result.records, allow_nan=False)


def test_results_do_not_depend_on_the_number_of_jobs(toy):
    plan = SearchPlan(toy, METRIC, searchers=["random", searcher_of_a_script()], budget=15, seeds=3)
    alone, together = plan.run(), plan.run(n_jobs=2)
    assert without_seconds(alone.records) == without_seconds(together.records)


def test_interrupted_work_goes_on(toy, tmp_path):
    path = tmp_path / "runs.jsonl"
    plan = SearchPlan(toy, METRIC, searchers=["random", Nearly()], budget=8, seeds=3)
    expected = plan.run().records
    runs = plan.iter_runs(cache=path)
    next(runs), next(runs), next(runs)
    runs.close()
    Nearly.calls = 0
    done = []
    resumed = plan.run(cache=path, progress=lambda i, total, record: done.append((i, total)))
    assert Nearly.calls == 2 * 8  # the first seed was done
    assert done == [(i, 6) for i in range(1, 7)]
    assert without_seconds(resumed.records) == without_seconds(expected)
    again = plan.run(cache=path)
    assert again.records == resumed.records  # seconds, Nones and all
    assert len(path.read_text().splitlines()) == 6


@pytest.mark.parametrize(
    "change",
    [
        {"budget": 9},
        {"seeds": [1]},
        {"batch": 2},
        {"workers": 2},
        {"epoch": 1},
        {"tolerance": 1.0},
        {"select_metric": "toy/gaps"},
        {"searchers": [Nearly(start=2)]},
    ],
)
def test_a_run_is_known_by_everything_that_it_depends_on(toy, tmp_path, change):
    path = tmp_path / "runs.jsonl"
    usual = {"searchers": [Nearly()], "budget": 8, "seeds": [0]}
    benchmark(toy, METRIC, **usual, cache=path)
    benchmark(toy, METRIC, **(usual | change), cache=path)
    assert len(path.read_text().splitlines()) == 2


def test_the_label_is_no_part_of_what_a_run_is(toy, tmp_path):
    path = tmp_path / "runs.jsonl"
    benchmark(toy, METRIC, searchers=[("a", Nearly())], budget=8, seeds=1, cache=path)
    again = benchmark(toy, METRIC, searchers={"b": Nearly()}, budget=8, seeds=1, cache=path)
    assert again.searchers == ["b"]
    assert Nearly.calls == 8


def test_a_failing_searcher_is_named_and_finished_runs_are_kept(toy, tmp_path):
    path = tmp_path / "runs.jsonl"
    searchers = {"good": "random", "bad": Nearly(broken_at=4)}
    message = r"searcher 'bad' failed on toy:toy/accuracy, seed = 0, after 4 queries: RuntimeError: the compass"
    with pytest.raises(SearcherFailedError, match=message):
        benchmark(toy, METRIC, searchers=searchers, budget=8, seeds=2, cache=path)
    assert [json.loads(line)["searcher"] for line in path.read_text().splitlines()] == ["good"]
    with pytest.raises(SearcherFailedError, match="the compass"):
        benchmark(toy, METRIC, searchers={"bad": searcher_of_a_script(broken_at=4)}, budget=8, seeds=2, n_jobs=2)


def test_several_tables(toy, costly):
    problems = [SearchProblem.of(toy, "toy/loss"), SearchProblem.of(costly, METRIC)]
    result = benchmark(problems, searchers=["random", Nearly()], budget=10, seeds=3)
    assert result.problems == ["toy:toy/loss", "costly:toy/accuracy"]
    assert [r["tolerance"] for r in result.records[:1] + result.records[-1:]] == [0.0, 0.05]
    ranks = result.ranks()
    assert ranks.blocks == 2
    assert set(ranks.methods) == {"random", "Nearly"}
    text = str(result)
    assert "Average ranks over 2 problems after 10 queries" in text
    with pytest.raises(InvalidDataError, match="problem 'toy:toy/accuracy' comes twice"):
        SearchPlan([toy, toy], METRIC)
    with pytest.raises(InvalidDataError, match="expected at least one table"):
        SearchPlan([], METRIC)


def test_a_plan_replays_one_run(toy):
    plan = SearchPlan(toy, METRIC, searchers=["random"], budget=10, seeds=2)
    assert plan.replay("random", 1).rows.tolist() == plan.run().records[1]["rows"]
    with pytest.raises(UnknownNameError, match="no searcher 'bo' here, expected one of random"):
        plan.replay("bo", 0)
    with pytest.raises(UnknownNameError, match="no problem 'x' here"):
        plan.replay("random", 0, "x")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"budget": 0}, "budget must be integers of at least 1, got 0"),
        ({"seeds": [0, 0]}, "seeds must be distinct, got 0 twice"),
        ({"searchers": []}, "expected at least one searcher to compare, got none"),
        ({"searchers": ["random", "random"]}, "searcher 'random' comes twice"),
        ({"searchers": [3]}, "searcher 0 must be a name, a Searcher or"),
        ({"tolerance": -1.0}, "tolerance must be a number of at least 0, got -1"),
        ({"tolerance": math.nan}, "tolerance must be a number of at least 0, got nan"),
    ],
)
def test_bad_arguments(toy, change, message):
    with pytest.raises(InvalidDataError, match=message):
        SearchPlan(toy, METRIC, **({"searchers": ["random"]} | change))


# ---- summaries ----------------------------------------------------------------------------------------------------


def record(searcher, seed, regret, *, problem="t:d/a", budget=None, finished=None, workers=1, **more):
    met = [i + 1 for i, value in enumerate(regret) if value <= 0.05]
    head = {"problem": problem, "table": "t", "metric": "d/a", "epoch": None, "searcher": searcher, "seed": seed}
    conditions = {"budget": budget or len(regret), "batch": 1, "workers": workers, "select_metric": "d/a"}
    described = {"select_epoch": None, "unit": "%", "higher_is_better": True, "tolerance": 0.05}
    results = {
        "queries": len(regret),
        "failed": 0,
        "queries_to_target": met[0] if met else None,
        "queries_to_optimum": None,
        "regret": [float(value) for value in regret],
        "finished": [float(value) for value in (finished or range(1, len(regret) + 1))],
        "time_unit": "s" if finished else "trainings",
        "overhead_seconds": 0.5 * len(regret),
        "slowest_ask_seconds": 1.0,
    }
    return head | conditions | described | results | more


@pytest.fixture
def made():
    fast = [[3, 1, 0, 0], [2, 2, 0.04, 0], [5, 1, 1, 0], [4, 3, 2, 1]]
    slow = [[3, 3, 2, 2], [2, 2, 2, 2], [5, 4, 3], [4, 4, 4, 0.05]]
    lines = [record("slow", seed, regret, budget=4) for seed, regret in enumerate(slow)]
    lines += [record("fast", seed, regret) for seed, regret in enumerate(fast)]
    return SearchComparison(lines)


def test_regrets_and_queries(made):
    assert made.regrets("slow").tolist()[2] == [5, 4, 3, 3]  # nothing was left to query
    assert made.queries_to("fast").tolist() == [3, 3, 4, math.inf]
    assert made.queries_to("slow").tolist() == [math.inf, math.inf, math.inf, 4]
    assert np.isinf(made.queries_to("fast", optimum=True)).all()
    rows = made.summary([2])
    assert [(row["searcher"], row["queries"], row["runs"]) for row in rows] == [("slow", 2, 4), ("fast", 2, 4)]
    assert (rows[1]["q50"], rows[1]["mean"], rows[1]["q25"]) == (1.5, 1.75, 1.0)
    assert [row["queries"] for row in made.summary()] == [4, 4]
    with pytest.raises(InvalidDataError, match="a number of queries between 1 and 4, got 5"):
        made.summary([5])
    with pytest.raises(UnknownNameError, match="no run of searcher 'bo' on problem 't:d/a'"):
        made.regrets("bo")


def test_pairs_and_ranks(made):
    (test,) = made.pairs(at=4)
    assert (test.better, test.wins, test.losses, test.ties) == ("fast", 3, 1, 0)
    (early,) = made.pairs(at=1)
    assert (early.ties, early.p) == (4, 1.0)
    ranks = made.ranks(at=4)
    assert (ranks.methods, ranks.ranks, ranks.blocks) == (("fast", "slow"), (1.25, 1.75), 4)
    uneven = SearchComparison(made.records[:-1])
    with pytest.raises(InvalidDataError, match=r"the same blocks for every method, got \[4, 3\] scores"):
        uneven.ranks()


def test_the_table_for_people(made):
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in str(made).splitlines() if "│" in line]
    assert rows[0] == ["fast", "0", "3.5", "-", "75 %", "0.5"]
    assert rows[1] == ["slow", "2", "-", "-", "25 %", "0.5"]
    assert rows[2][:5] == ["fast", "slow", "3", "1", "0"]
    flat = " ".join(str(made).split())
    assert "4 seeds; target: regret of at most 0.05 % points" in flat
    assert "signed-rank test after 4 queries, paired by seed" in flat
    stream = io.StringIO()
    long = [record(name, seed, np.linspace(1, 0.1, 150)) for name in ("a", "b") for seed in (0, 1)]
    Console(file=stream, width=60, color_system=None).print(SearchComparison(long))
    assert "@150" in stream.getvalue()
    assert "@10 " not in stream.getvalue()
    assert max(map(len, stream.getvalue().splitlines())) <= 60
    single = SearchComparison([record("a", 0, [1.0, 0.5], workers=2, select_metric="d/v")])
    assert "One seed; incumbents are selected by d/v; target" in " ".join(str(single).split())
    assert "2 workers, asked for 1 at once" in " ".join(str(single).split())


def test_files(made, tmp_path):
    made.save(tmp_path / "runs.csv")
    lines = (tmp_path / "runs.csv").read_text().splitlines()
    assert len(lines) == 9
    assert '"[5.0, 4.0, 3.0]"' in lines[3]
    assert json.loads(made.to_json())[2]["regret"] == [5.0, 4.0, 3.0]
    parquet = pytest.importorskip("pyarrow.parquet")
    assert parquet.read_table(made.save(tmp_path / "runs.parquet")).to_pylist() == made.records


# ---- pictures -----------------------------------------------------------------------------------------------------


def test_regret_over_queries(made, tmp_path):
    figure = plot_regret(made)
    axes = figure.axes[0]
    assert axes.get_yscale() == "log"
    assert axes.get_ylabel() == "regret (% points)"
    floor = 0.02  # half of the smallest positive regret
    lines = {line.get_label(): line for line in axes.lines}
    assert lines["fast"].get_ydata().tolist() == pytest.approx([3.5, 1.5, 0.52, floor])
    assert lines["slow"].get_xdata().tolist() == [1, 2, 3, 4]
    assert axes.yaxis.get_major_formatter()(floor, 0) == "0"
    assert axes.yaxis.get_major_formatter()(1.0, 0) == "1"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["slow", "fast"]  # as they end
    figure.savefig(tmp_path / "r.png")
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InvalidDataError, match="over must be 'queries' or 'time', got 'cost'"):
        plot_regret(made, over="cost")


def test_regret_over_time():
    days = [86_400.0 * value for value in (1, 2, 4)]
    late = [86_400.0 * value for value in (2, 3, 10)]
    runs = [record("a", 0, [3, 2, 1], finished=days), record("a", 1, [5, 4, 0.5], finished=late)]
    axes = plot_regret(SearchComparison(runs), over="time").axes[0]
    assert axes.get_xlabel() == "simulated time (days)"
    (line,) = axes.lines
    # From the moment both have an architecture to the end of the run that ends first.
    assert line.get_xdata().tolist() == [2, 3, 4]
    assert line.get_ydata().tolist() == pytest.approx([3.5, 3.0, 2.5])


def test_searches_that_find_everything_are_drawn(tmp_path):
    runs = [record("a", 0, [0, 0, 0]), record("b", 0, [0, 0, 0])]
    plot_regret(SearchComparison(runs)).savefig(tmp_path / "r.png")


def test_critical_difference_diagram(tmp_path):
    rng = np.random.default_rng(0)
    test = average_ranks({name: 2.0 * i + rng.normal(size=30) for i, name in enumerate(["best", "mid", "worst"])})
    figure = plot_ranks(test, title="Three", blocks="seeds")
    (axes,) = figure.axes
    texts = [text.get_text() for text in axes.texts]
    assert [text for text in texts if "(" in text] == [
        f"best ({test.ranks[0]:.2f})",
        f"mid ({test.ranks[1]:.2f})",
        f"({test.ranks[2]:.2f}) worst",
    ]
    assert f"critical difference {test.critical_difference:.2f}" in texts
    assert axes.get_xlim()[0] > axes.get_xlim()[1]  # rank 1 at the right
    assert "average ranks over 30 seeds" in axes.get_title(loc="left")
    bars = [line for line in axes.lines if line.get_linewidth() == 4]
    assert len(bars) == len(test.cliques())
    figure.savefig(tmp_path / "r.png")
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")
    plot_ranks(average_ranks({"a": [1.0], "b": [2.0]})).savefig(tmp_path / "one.png")
