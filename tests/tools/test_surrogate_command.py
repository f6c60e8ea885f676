"""`archcast table surrogate`: it fits, says how good it is, and other commands take what it wrote."""

import json

import archcast as ac
import pytest

TABLE = ["nasbench_graph_proteins", "proteins.surrogate", "--metric", "proteins/test_roc_auc"]
QUICK = ["--predictor", "ridge@adjacency", "--samples", "50", "--starts", "2", "--folds", "2"]


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_surrogate_is_fitted_shown_queried_and_searched(cli):
    code, out, err = cli("table", "surrogate", *TABLE, *QUICK, "--cost", "20", "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    surrogate = ac.load_surrogate_table("proteins.surrogate")
    assert told["measures"] == dict(surrogate.measures)
    assert 0.2 < told["measures"]["kendall_tau"] < 1
    assert (told["cost"], told["noise"]["kind"], told["about"]["predictor"]) == (20.0, "residuals", "ridge@adjacency")
    assert json.loads(cli("table", "info", "proteins.surrogate", "--json")[1]) == told
    shown = cli("table", "info", "proteins.surrogate")[1]
    assert f"best known: {surrogate.best_known.value:.6g}  {surrogate.best_known.architecture}" in shown
    assert "kendall_tau" in shown

    batch = surrogate.space.sample(2, seed=0)
    asked = cli("table", "query", "proteins.surrogate", *batch.strings(), "--seed", "3", "--json")[1]
    assert [record["proteins/test_roc_auc"] for record in json.loads(asked)] == surrogate.query(batch, seed=3).tolist()

    search = ["--searcher", "random", "--searcher", "local_search", "--budget", "6", "--seeds", "2"]
    code, out, err = cli("benchmark", "--table", "proteins.surrogate", *search, "--json")
    assert (code, err) == (0, "")
    runs = [json.loads(line) for line in out.splitlines()]
    assert len(runs) == 4
    for run in runs:
        assert run["metric"] == "proteins/test_roc_auc"
        assert run["finished"] == [20.0 * (i + 1) for i in range(6)]
        best = surrogate.space.parse([run["best"]])
        assert surrogate.best_known.value - surrogate.query(best)[0] == pytest.approx(run["regret"][-1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--predictor", "oracle"], "unknown predictor 'oracle'"),
        (["--predictor-option", "trees=3"], "predictor 'ridge' has no parameter 'trees'"),
        (["--cost", "much"], "--cost must be a number of seconds, table or none, got 'much'"),
        (["--noise", "loud"], "noise must be one of auto, seeds, residuals, none, got 'loud'"),
        (["--epoch", "3"], "has no epoch 3"),
        (["--folds", "1"], "folds must be integers of at least 2"),
    ],
)
def test_bad_input_is_one_sentence(refused, arguments, message):
    refused(message, "table", "surrogate", *TABLE, *QUICK, *arguments)


def test_other_files_are_refused(refused, tmp_path):
    refused("expected a file name ending in .surrogate", "table", "surrogate", TABLE[0], "a.h5", *TABLE[2:])
    (tmp_path / "a.surrogate").write_text("nothing")
    refused("is no surrogate benchmark", "benchmark", "--table", "a.surrogate", "--searcher", "random")
    refused("is no surrogate benchmark", "table", "info", "a.surrogate")
    several = ["--objective", "proteins/test_roc_auc", "--objective", "params"]
    for options in (several, ["--metric", "proteins/test_roc_auc", "--scheduler", "asha"]):
        refused("'a.surrogate' is a surrogate benchmark", "benchmark", "--table", "a.surrogate", *options)
