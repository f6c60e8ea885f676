"""Results as tidy data, as intervals over seeds, and as a table."""

import csv
import io
import json
import math
import sys

import numpy as np
import pytest
from archcast.errors import ArchcastError, InvalidDataError, MissingDependencyError, UnknownNameError
from archcast.evaluation import Comparison, Interval
from archcast.evaluation.labels import measure_label
from rich.console import Console
from scipy import stats


def record(predictor, n, seed, tau, **more):
    head = {"table": "toy", "metric": "d/acc", "epoch": None, "predictor": predictor, "n": n, "seed": seed}
    conditions = {"test_metric": "d/acc", "test_epoch": None, "unit": "%", "higher_is_better": True}
    measures = {"n_test": 100 - n, "n_missing": 0, "leaked": 0, "kendall_tau": tau, "rmse": 2 - tau, "fit_seconds": 0.5}
    return head | conditions | measures | more


@pytest.fixture
def comparison():
    taus = {"gp": {20: [0.5, 0.6, 0.7], 40: [0.7, 0.8, 0.75]}, "knn": {20: [0.55, 0.65, 0.9], 40: [0.4, 0.4, 0.4]}}
    records = [
        record(predictor, n, seed, tau)
        for predictor, sizes in taus.items()
        for n, values in sizes.items()
        for seed, tau in enumerate(values)
    ]
    records += [record("constant", n, seed, float("nan")) for n in (20, 40) for seed in range(3)]
    return Comparison(records)


def test_the_interval_is_students(comparison):
    interval = comparison.interval("kendall_tau", "gp", 20)
    low, high = stats.t.interval(0.95, 2, loc=0.6, scale=0.1 / 3**0.5)
    assert vars(interval) == pytest.approx({"mean": 0.6, "std": 0.1, "low": low, "high": high, "runs": 3})
    # By hand: t(0.975, 2) = 4.30265.
    assert interval.high - interval.mean == pytest.approx(4.30265 * 0.1 / 3**0.5, rel=1e-5)


def test_one_run_has_a_mean_and_no_interval():
    interval = Interval.of([0.5])
    assert (interval.mean, interval.runs) == (0.5, 1)
    assert all(math.isnan(x) for x in (interval.std, interval.low, interval.high))


def test_runs_without_the_measure_are_not_counted(comparison):
    assert Interval.of([0.5, float("nan"), 0.7]).mean == pytest.approx(0.6)
    assert Interval.of([0.5, float("nan"), 0.7]).runs == 2
    none = comparison.interval("kendall_tau", "constant", 20)
    assert math.isnan(none.mean)
    assert none.runs == 0


def test_summary_is_tidy(comparison):
    rows = comparison.summary()
    assert {tuple(row) for row in rows} == {("predictor", "n", "measure", "mean", "std", "low", "high", "runs")}
    assert len(rows) == 2 * 3 * len(comparison.measures)
    assert set(comparison.measures) == {"leaked", "kendall_tau", "rmse", "fit_seconds"}
    only = comparison.summary(["rmse"])
    assert [(row["n"], row["predictor"]) for row in only] == [
        (n, p) for n in (20, 40) for p in ("gp", "knn", "constant")
    ]
    assert only[0]["mean"] == pytest.approx(1.4)


def test_unknown_names_are_named(comparison):
    with pytest.raises(UnknownNameError, match="unknown measure 'tau', expected one of leaked, kendall_tau"):
        comparison.interval("tau", "gp", 20)
    with pytest.raises(UnknownNameError, match="no run of predictor 'gp' with n = 21"):
        comparison.interval("rmse", "gp", 21)
    with pytest.raises(InvalidDataError, match="expected at least one run"):
        Comparison([])


def test_csv_has_one_row_a_run(comparison, tmp_path):
    text = comparison.to_csv(tmp_path / "runs.csv")
    assert (tmp_path / "runs.csv").read_text() == text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == len(comparison.records)
    assert list(rows[0]) == list(comparison.records[0])
    assert [float(row["kendall_tau"] or "nan") for row in rows] == pytest.approx(
        [r["kendall_tau"] for r in comparison.records], nan_ok=True, abs=0
    )
    assert rows[0]["epoch"] == rows[-1]["kendall_tau"] == ""
    assert rows[0]["higher_is_better"] == "true"


def test_csv_leaves_empty_what_an_older_run_does_not_tell(comparison):
    first, second = comparison.records[:2]
    mixed = Comparison([{k: v for k, v in first.items() if k != "leaked"}, second])
    rows = list(csv.DictReader(io.StringIO(mixed.to_csv())))
    assert rows[0]["leaked"] == ""
    assert rows[1]["leaked"] == str(second["leaked"])


def test_json_is_strict_and_complete(comparison, tmp_path):
    def refuse(name):
        raise AssertionError(name)

    whole = json.loads(comparison.to_json(tmp_path / "runs.json"), parse_constant=refuse)
    lines = [json.loads(line, parse_constant=refuse) for line in comparison.to_jsonl().splitlines()]
    assert whole == lines == json.loads((tmp_path / "runs.json").read_text())
    assert whole[0] == comparison.records[0]
    assert whole[-1]["kendall_tau"] is None


def test_json_survives_braces_in_names():
    awkward = Comparison([record("a}, {b\nc", 20, 0, 0.5), record("ü", 20, 0, 0.5)])
    assert json.loads(awkward.to_json()) == awkward.records
    assert [json.loads(line)["predictor"] for line in awkward.to_jsonl().splitlines()] == ["a}, {b\nc", "ü"]


def test_parquet_round_trip(comparison, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = comparison.save(tmp_path / "runs.parquet")
    back = parquet.read_table(path).to_pylist()
    np.testing.assert_equal(back, comparison.records)


def test_parquet_without_pyarrow_names_the_extra(comparison, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingDependencyError, match=r"needs the package pyarrow: pip install 'archcast\[parquet\]'"):
        comparison.save(tmp_path / "runs.parquet")
    assert not list(tmp_path.iterdir())


def test_save_goes_by_the_suffix(comparison, tmp_path):
    assert comparison.save(tmp_path / "a.csv").read_text() == comparison.to_csv()
    assert comparison.save(tmp_path / "a.jsonl").read_text() == comparison.to_jsonl()
    with pytest.raises(InvalidDataError, match=r"ending in \.csv, \.parquet, \.json, \.jsonl, got 'a\.xlsx'"):
        comparison.save(tmp_path / "a.xlsx")
    with pytest.raises(ArchcastError, match=r"cannot write .*: its folder does not exist"):
        comparison.save(tmp_path / "nowhere" / "a.csv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.jsonl"]


def rows_of(text):
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines() if line.startswith("│")]


def test_the_table_ranks_within_each_n(comparison):
    rows = rows_of(str(comparison))
    assert [row[:2] for row in rows] == [
        ["20", "knn"],
        ["", "gp"],
        ["", "constant"],
        ["40", "gp"],
        ["", "knn"],
        ["", "constant"],
    ]
    assert rows[1][2] == "0.600 +-0.248"
    assert rows[2][2] == "-"
    assert "toy: d/acc in %" in str(comparison)
    assert "Mean of 3 seeds (+- 95 % confidence), 60 to 80 test architectures" in " ".join(str(comparison).split())


@pytest.mark.parametrize("width", [50, 60, 80, 120])
def test_the_table_fits_the_console(comparison, width):
    wide = {"spearman": 0.5, "r2": 0.5, "crps": 1.25, "coverage_90": 0.9, "predict_seconds": 0.1, "regret_at_10": 0.2}
    stream = io.StringIO()
    console = Console(file=stream, width=width, color_system=None)
    console.print(Comparison([r | wide for r in comparison.records]))
    lines = stream.getvalue().splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    assert any("0.600 +-0.248" in line for line in lines)
    assert ("fit s" in stream.getvalue()) == (width >= 80)


def test_leakage_stands_below_the_table(comparison):
    some = [r | {"leaked": r["seed"]} for r in comparison.records]
    assert "up to 2 of them have an isomorphic twin in training" in " ".join(str(Comparison(some)).split())


@pytest.mark.parametrize(
    ("measure", "unit", "label"),
    [
        ("kendall_tau", "%", "Kendall tau"),
        ("rmse", "%", "RMSE (% points)"),
        ("rmse", "", "RMSE"),
        ("crps", "s", "CRPS (s)"),
        ("regret_at_10", "%", "regret@10 (% points)"),
        ("precision_at_50", "%", "precision@50"),
        ("n_at_1", "%", "true rank of the best in top 1"),
        ("my_measure", "%", "my measure"),
    ],
)
def test_labels(measure, unit, label):
    assert measure_label(measure, unit) == label


def test_the_table_says_what_was_chosen(comparison):
    chosen = [record("auto", n, seed, 0.5, chosen=f"1.00 gp{n}{seed}") for n in (20, 40) for seed in (0, 1)]
    console = Console(width=120, file=io.StringIO())
    console.print(Comparison([*comparison.records, *chosen]))
    said = [line.strip() for line in console.file.getvalue().splitlines() if line.startswith("auto at")]
    assert said == ["auto at n = 20, seed 0: 1.00 gp200", "auto at n = 40, seed 0: 1.00 gp400"]
