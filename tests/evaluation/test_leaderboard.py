"""The leaderboard: who is on which board, who is level with whom, and what the page says of it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from archcast.errors import InvalidDataError, UnknownNameError
from archcast.evaluation import BOARDS, Board, ComparisonPlan, LeaderboardPlan, write_leaderboard
from archcast.evaluation.boards import PUBLISHED, STANDARD, Reference
from archcast.evaluation.cache import json_line
from archcast.evaluation.leaderboard import estimated_seconds, expand, find_boards
from archcast.evaluation.leaderboard_page import markdown
from archcast.evaluation.leaderboard_plots import plot_board
from archcast.evaluation.leaderboard_report import Ceiling, Leaderboard
from archcast.predictors import PREDICTORS, make_predictor, register_predictor
from archcast.predictors.constant import ConstantPredictor

KNOWN = Reference("Other", {20: 0.41, 99: 0.52}, PUBLISHED, "Somebody, somewhere, table 7")


class Failing(ConstantPredictor):
    """Fails with few architectures."""

    def _fit(self, features, z):
        if len(z) < 30:
            raise RuntimeError("too few for me")
        super()._fit(features, z)


@pytest.fixture
def boards(table_path):
    return [
        Board("first", table_path, "toy/accuracy", 10, (20, 40), references=(KNOWN,)),
        Board("second", table_path, "toy/loss", None, (20,), info=("toy/accuracy@1",)),
    ]


@pytest.fixture
def registered():
    """A predictor that another package might have registered."""
    register_predictor("of_mine")(ConstantPredictor)
    yield "of_mine"
    PREDICTORS._registered.pop("of_mine")


def records(**taus):
    """Runs of one board by predictor: Kendall tau by seed, at one n."""
    head = {"board": "b", "table": "t", "metric": "m", "epoch": None, "unit": "%", "higher_is_better": True, "n": 20}
    rest = {
        "test_metric": "m", "test_epoch": None, "n_test": 100, "leaked": 0, "precision_at_50": 0.5, "coverage_80": 0.81,
        "coverage_95": 0.96, "calibration_error": 0.012, "fit_seconds": 0.5, "predict_seconds": 0.25,
    }  # fmt: skip
    return [
        {**head, "predictor": label, "seed": seed, "kendall_tau": tau, **rest}
        for label, values in taus.items()
        for seed, tau in enumerate(values)
    ]


def leaderboard(**taus):
    return Leaderboard(
        records(**taus), boards=(Board("b", "t", "m"),), left_out=(), ceilings={"b": Ceiling(None, None)}
    )


# ---- what is run -----------------------------------------------------------------------------------------------------


def test_runs_are_those_of_a_comparison(boards, table_path, tmp_path):
    cache = tmp_path / "runs.jsonl"
    plan = LeaderboardPlan(boards, ["ridge@adjacency", "constant"], seeds=2)
    found = plan.run(cache=cache)
    assert len(found.records) == plan.total == 12
    own = [record for record in found.records if record["board"] == "first"]
    compared = ComparisonPlan(
        table_path, "toy/accuracy", epoch=10, predictors=["ridge@adjacency", "constant"], n=[20, 40], seeds=2
    )
    before = cache.read_bytes()
    expected = compared.run(cache=cache).records
    assert cache.read_bytes() == before  # found there, not run again
    assert [json_line({k: v for k, v in record.items() if k != "board"}) for record in own] == list(
        map(json_line, expected)
    )
    assert {record["info"] for record in found.records if record["board"] == "second"} == {"toy/accuracy@1"}


def test_interrupted_work_is_level_and_goes_on(boards, tmp_path):
    cache = tmp_path / "runs.jsonl"
    plan = LeaderboardPlan(boards, ["constant"], seeds=1)
    runs = plan.iter_runs(cache=cache)
    assert [(record["board"], record["n"]) for record in (next(runs), next(runs))] == [("first", 20), ("second", 20)]
    runs.close()
    shown = LeaderboardPlan(boards, ["constant"], seeds=1, cached_only=True)
    found = shown.run(cache=cache)
    assert (len(found.records), found.unfinished) == (2, 1)
    assert "2 runs of 1 predictor on 2 boards" in markdown(found)
    assert "1 run of the command not yet done" in markdown(found)
    assert len(LeaderboardPlan(boards, ["constant"], seeds=1).run(cache=cache).records) == 3
    with pytest.raises(InvalidDataError, match="at least one finished run"):
        LeaderboardPlan(boards, ["knn@adjacency"], seeds=1, cached_only=True).run(cache=cache)


def test_processes_give_the_same(boards):
    def taus(n_jobs):
        found = LeaderboardPlan(boards, ["ridge@adjacency", "constant"], seeds=2).run(n_jobs=n_jobs)
        return [(r["board"], r["predictor"], r["n"], r["seed"], r["rmse"]) for r in found.records]

    assert taus(1) == taus(2)


def test_failures_are_told_and_not_cached(boards, tmp_path):
    cache = tmp_path / "runs.jsonl"
    plan = LeaderboardPlan(boards, [("mine", Failing("adjacency")), "constant"], seeds=1)
    found = plan.run(cache=cache)
    assert [(item.board, item.predictor, item.n) for item in found.left_out] == [
        ("first", "mine", 20),
        ("second", "mine", 20),
    ]
    assert "too few for me" in found.left_out[0].reason
    assert found.unfinished == 0
    mine = next(standing for standing in found.standings("first") if standing.predictor == "mine")
    assert list(mine.tau) == [40]
    assert np.isnan(mine.mean)
    assert "failure" not in cache.read_text()
    assert "too few for me" in markdown(found)
    with pytest.raises(InvalidDataError, match="too few for me"):
        LeaderboardPlan(boards[1:], [("mine", Failing("adjacency"))], seeds=1).run()


def test_registered_predictors_are_on_it_by_themselves(boards, registered):
    for names in (["all"], ["standard"]):
        assert registered in LeaderboardPlan(boards[:1], names, seeds=1).plans["first"].predictors
    assert set(expand(["all"])) == set(PREDICTORS.names())
    assert expand(["standard", "auto", "knn@path"]) == [*STANDARD, registered, "knn@path"]


def test_who_cannot_show_what_it_is_for_is_left_out(boards, table_path):
    about_sources = Board("history", table_path, "toy/accuracy", 10, (20,), sources=(f"{table_path}:toy/accuracy@1",))
    names = ["constant", "gp_transfer", "multi_fidelity", "curve_gp"]
    plan = LeaderboardPlan([*boards, about_sources], names, seeds=1)
    assert list(plan.plans["first"].predictors) == ["constant"]
    assert list(plan.plans["second"].predictors) == ["constant", "multi_fidelity"]
    assert list(plan.plans["history"].predictors) == ["gp_transfer"]
    reasons = {(item.board, item.predictor): item.reason for item in plan.left_out}
    assert reasons["first", "gp_transfer"] == "learns from sources, and this board has none"
    assert reasons["first", "multi_fidelity"] == "needs an entry of info, and this board gives none"
    assert reasons["second", "curve_gp"] == "needs 2 columns of info, and this board gives 1"
    assert reasons["history", "constant"] == "takes no sources, which this board is about"


def test_the_budget_counts_work(boards):
    plan = LeaderboardPlan(boards[:1], ["gp_wl"], seeds=1)
    few, many = (estimated_seconds(plan.plans["first"], "gp_wl", n) for n in (20, 40))
    assert 0 < few < many
    limited = LeaderboardPlan(boards[:1], ["gp_wl"], seeds=1, max_seconds=(few + many) / 2)
    assert [(item.predictor, item.n) for item in limited.left_out] == [("gp_wl", 40)]
    assert limited.total == 1


def test_sizes_that_do_not_fit(boards):
    plan = LeaderboardPlan(boards, ["constant"], max_n=20, seeds=1)
    assert [plan.plans[name].sizes for name in ("first", "second")] == [(20,), (20,)]
    assert LeaderboardPlan(boards, ["constant"], n=[30, 5000], seeds=1).plans["first"].sizes == (30,)
    with pytest.raises(InvalidDataError, match=r"expected at least one run, got none \(no n of 5000 fits"):
        LeaderboardPlan(boards, ["constant"], n=5000)


def test_fewer_tests_where_there_are_enough(boards):
    for asked, given in ((50, 50), (100, None)):
        assert LeaderboardPlan(boards, ["constant"], seeds=1, n_test=asked).plans["first"].n_test == given


# ---- boards ----------------------------------------------------------------------------------------------------------


def test_boards_are_found_by_name_table_and_metric(table_path):
    assert find_boards(()) == list(BOARDS)
    assert [board.table for board in find_boards(["nasbench201"])] == ["nasbench201"] * 3
    assert [board.name for board in find_boards(["nasbench_nlp", "nasbench_nlp"])] == ["nasbench_nlp"]
    found = find_boards([f"{table_path}:toy/accuracy@1"])[0]
    assert (found.table, found.metric, found.epoch) == (str(table_path), "toy/accuracy", 1)
    with pytest.raises(UnknownNameError, match="unknown board 'nasbench7'"):
        find_boards(["nasbench7"])
    with pytest.raises(InvalidDataError, match="distinct names, got 'x' twice"):
        find_boards([Board("x", "t", "m"), Board("x", "t", "n")])


def test_shipped_boards_can_be_run():
    plan = LeaderboardPlan(predictors=["constant", "gp_transfer"], max_n=100, seeds=1)
    assert [board.name for board in plan.boards] == [board.name for board in BOARDS]


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan")])
def test_bad_budget(boards, seconds):
    with pytest.raises(InvalidDataError, match="max_seconds must be a positive number"):
        LeaderboardPlan(boards, ["constant"], max_seconds=seconds)


# ---- standings -------------------------------------------------------------------------------------------------------


def test_level_is_who_the_seeds_do_not_tell_from_the_best():
    found = leaderboard(
        best=[0.80, 0.70, 0.75],
        close=[0.79, 0.71, 0.74],
        steady=[0.78, 0.68, 0.73],
        wild=[0.9, 0.1, 0.5],
        mute=[np.nan] * 3,
    ).standings("b")
    assert [standing.predictor for standing in found] == ["best", "close", "steady", "wild", "mute"]
    # `steady` is worse by the same 0.02 with every draw, and `wild` far below the interval of the best.
    assert [standing.predictor for standing in found if standing.tied] == ["best", "close"]
    assert [standing.best for standing in found[:3]] == [{20}, {20}, frozenset()]
    assert np.isnan(found[-1].mean)


def test_one_seed_tells_of_no_ties():
    found = leaderboard(a=[0.8], b=[0.8], c=[0.79]).standings("b")
    assert [standing.tied for standing in found] == [True, True, False]


def test_overall_counts_boards():
    rows = leaderboard(a=[0.8, 0.7], b=[0.5, 0.4], mute=[np.nan, np.nan]).overall()
    assert [row["predictor"] for row in rows] == ["a", "b"]
    assert [row["level"] for row in rows] == [1, 0]
    assert rows[1]["behind"] == pytest.approx(0.3)


def test_unknown_board():
    with pytest.raises(UnknownNameError, match="no board 'c' here, expected one of b"):
        leaderboard(a=[0.8]).standings("c")


# ---- the page --------------------------------------------------------------------------------------------------------


def test_page_and_data(boards, tmp_path):
    found = LeaderboardPlan(boards, ["ridge@adjacency", "constant", "gp_transfer"], seeds=2, n_test=50).run()
    written = write_leaderboard(found, tmp_path / "page", command="archcast leaderboard --seeds 2", note="On a laptop.")
    assert all(path.is_file() for path in written)
    text = written[0].read_text()
    assert "```sh\narchcast leaderboard --seeds 2\n```" in text
    assert "On a laptop." in text
    assert "6 runs" not in text
    assert "12 runs of 2 predictors on 2 boards; seeds 0, 1; 50 test architectures a run" in text
    assert "| 1 | `ridge@adjacency` |" in text
    assert f"*Other, {PUBLISHED}* (1) | *0.41* |  |" in text  # nothing of n = 99, which was not run
    assert f"1. Other: *{PUBLISHED}*. Somebody, somewhere, table 7." in text
    assert "Left out: `gp_transfer` (learns from sources, and this board has none)." in text
    assert "Known besides: `toy/accuracy@1` of every architecture." in text
    assert "](images/leaderboard_first.png)" in text
    assert max(map(len, text.split("## At a glance")[0].splitlines())) <= 120
    content = json.loads((tmp_path / "page" / "leaderboard.json").read_text())
    first = content["boards"][0]
    assert first["standings"][0]["predictor"] == "ridge@adjacency"
    assert first["standings"][1]["kendall_tau"] is None
    assert first["standings"][0]["at_largest_n"]["coverage_80"] == pytest.approx(
        found.comparison("first").interval("coverage_80", "ridge@adjacency", 40).mean
    )
    assert first["references"][0]["kendall_tau"] == {"20": 0.41, "99": 0.52}
    assert len((tmp_path / "page" / "leaderboard.csv").read_text().splitlines()) == 13
    assert "ridge@adjacency" in str(found)


def test_pictures_show_references_and_noise(boards):
    run = LeaderboardPlan(boards[:1], ["ridge@adjacency", "knn@adjacency"], seeds=2).run()
    found = replace(run, ceilings={"first": Ceiling(0.875, None)})
    figure = plot_board(found, "first")
    labels = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert {"ridge@adjacency", "knn@adjacency"} < set(labels)
    assert any(label.startswith("Other") and PUBLISHED in label for label in labels)
    assert "isomorphic twins agree: 0.875" in labels
    assert not any("two seeds agree" in label for label in labels)
    assert "isomorphic twins agree at tau 0.875." in markdown(found)
    assert plot_board(LeaderboardPlan(boards[1:], ["constant"], seeds=1).run(), "second") is None


def test_names_of_predictors_make_no_columns():
    found = leaderboard(**{"a|b": [0.8]})
    line = next(line for line in markdown(found).splitlines() if "a\\|b" in line)
    assert line.replace("\\|", "").count("|") == 6


def test_least_info_is_what_predictors_need():
    assert make_predictor("curve_svr").least_info == 2
    assert make_predictor("gp").least_info == 0
