"""`archcast curves`, and curves as `--info` of `archcast compare`."""

import json

import archcast
import numpy as np
import pytest
from archcast.errors import InvalidDataError, PredictorFailedError
from archcast.evaluation import ComparisonPlan, CurvePlan, compare_curves
from archcast.predictors.curves import make_extrapolator
from scipy.stats import kendalltau

USUAL = ("curves", "--table", "nasbench_nlp", "--metric", "wikitext2/valid_loss")


def test_json_is_one_object_a_run_with_last_value_seen_among_them(cli):
    code, out, _ = cli(*USUAL, "-x", "power_law", "--fractions", "0.1,0.5", "--n", "40", "--seeds", "2", "--json")
    records = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [(r["extrapolator"], r["seen"]) for r in records[:4]] == [
        ("last", 5),
        ("power_law", 5),
        ("last", 25),
        ("power_law", 25),
    ]
    assert len(records) == 8
    assert {"kendall_tau", "coverage_90", "crps", "mean_std", "n_test"} <= records[0].keys()


def test_a_run_is_what_it_says():
    plan = CurvePlan(
        "nasbench_nlp", "wikitext2/valid_loss", extrapolators=["power_law"], fractions=[0.1], n=30, seeds=1
    )
    record = plan.run().records[1]
    train, test = plan.draw(30, 0)
    assert not set(train) & set(test)
    curves = archcast.load_table("nasbench_nlp").values("wikitext2/valid_loss", epoch="all")
    fitted = make_extrapolator("power_law").fit(curves[train], higher_is_better=False)
    assert record["kendall_tau"] == pytest.approx(kendalltau(fitted.predict(curves[test, :5]), curves[test, -1])[0])
    assert record["n_test"] == len(test) == 245


def test_tables_files_and_pictures(cli, tmp_path):
    arguments = (*USUAL, "-x", "best", "-x", "last", "--n", "40", "--seeds", "1", "--cache", tmp_path / "cache.jsonl")
    code, out, _ = cli(*arguments, "--output", tmp_path / "runs.csv", "--plot", tmp_path / "pictures")
    assert code == 0
    assert "the last of 50 values of wikitext2/valid_loss" in out
    assert (tmp_path / "pictures" / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert len((tmp_path / "runs.csv").read_text().splitlines()) == 7
    assert cli(*arguments)[1] == out  # from the cache, seconds and all


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--fractions", "0.1,1"), "fractions must lie strictly between 0 and 1, got 1.0"),
        (("--fractions", "some"), "--fractions must be numbers joined by commas, got 'some'"),
        (("--fractions", "0.1,0.1"), "fractions must be distinct, got 0.1 twice"),
        (("--n", "274"), "n must leave 2 curves to test on, got 274 of 275 complete ones"),
        (("-x", "lost"), "unknown extrapolator 'lost'"),
        (("--metric", "model/parameters"), "metric 'model/parameters' has no learning curve"),
    ],
)
def test_bad_input(refused, arguments, message):
    refused(message, *USUAL, *arguments)


def test_failures_name_the_extrapolator():
    with pytest.raises(PredictorFailedError, match="extrapolator 'feature_gp' failed at n = 3, seed = 0"):
        compare_curves("nasbench_nlp", "wikitext2/valid_loss", extrapolators=["feature_gp"], n=3, seeds=1)


def test_curves_as_info():
    usual = {"predictors": ["constant"], "n": 20, "seeds": 1}
    plan = ComparisonPlan("nasbench_nlp", "wikitext2/valid_loss", info=["wikitext2/valid_loss@1:5"], **usual)
    curves = archcast.load_table("nasbench_nlp").values("wikitext2/valid_loss", epoch="all")
    np.testing.assert_array_equal(plan.problem.info["wikitext2/valid_loss@1:5"], curves[:, :5])
    assert len(plan.run().records) == 1
    for text, said in (
        ("wikitext2/valid_loss@1:x", "with integer epochs, got 'wikitext2/valid_loss@1:x'"),
        ("wikitext2/valid_loss@60:70", "holds no epoch of metric 'wikitext2/valid_loss'"),
    ):
        with pytest.raises(InvalidDataError, match=said):
            ComparisonPlan("nasbench_nlp", "wikitext2/valid_loss", info=[text], **usual)
