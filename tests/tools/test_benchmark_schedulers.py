"""`archcast benchmark --scheduler`: the fidelity dimension of the command."""

import json

import pytest
import typer
from archcast.errors import InvalidDataError, UnknownNameError
from archcast.evaluation import FidelityPlan
from archcast.tools.cli import app as whole
from archcast.tools.commands.benchmark import benchmark
from typer.testing import CliRunner

app = typer.Typer()
app.command()(benchmark)
CURVES = ["-t", "nasbench_nlp", "-m", "wikitext2/valid_loss", "--searcher", "random", "--seeds", "1"]


def run(*arguments):
    return CliRunner().invoke(app, [*arguments])


def test_schedulers_beside_full_trainings(tmp_path):
    settings = ["--scheduler", "asha", "--min-epochs", "3", "--eta", "4", "--budget", "4", "--workers", "2"]
    result = run(*CURVES, *settings, "--json", "--plot", str(tmp_path))
    assert result.exit_code == 0
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["searcher"] for record in records] == ["asha", "random"]
    plan = FidelityPlan(
        "nasbench_nlp",
        "wikitext2/valid_loss",
        schedulers=["asha"],
        min_epochs=3,
        eta=4,
        budget=4,
        workers=2,
        seeds=1,
    )
    for record in records:
        trace = plan.trace(record["searcher"], 0)
        assert record["rows"] == trace.rows.tolist()
        assert record["spent_epochs"] == trace.spent[-1] <= 200
        assert len(record["regret"]) == 4
    assert set(records[0]["reached"]) <= {3, 12, 50}
    assert set(records[1]["reached"]) == {50}
    assert len(list(tmp_path.glob("regret_*.png"))) == 2


def test_epochs_that_are_separate_trainings():
    arguments = ["-t", "nasbench201:cifar10/test_accuracy@200", "--scheduler", "asha@regularized_evolution"]
    result = run(*arguments, "--searcher", "random", "-b", "2", "--seeds", "1", "--no-resume")
    assert result.exit_code == 0
    assert "asha@regularized_evolution" in " ".join(result.stdout.split())
    assert "after the 200 epochs of each of n full" in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--scheduler", "ascha"], UnknownNameError, "did you mean 'asha'"),
        (["--scheduler", "asha@oracle"], UnknownNameError, "unknown searcher 'oracle'"),
        (["--scheduler", "asha", "--eta", "1"], InvalidDataError, "eta must be a number of at least 2"),
        (
            ["--scheduler", "asha", "--min-epochs", "51"],
            InvalidDataError,
            "min_epochs must be an integer between 1 and",
        ),
        (["--scheduler", "asha", "--batch", "2"], InvalidDataError, "--batch must be 1 with --scheduler"),
        (["--scheduler", "asha", "--scheduler", "asha"], InvalidDataError, "scheduler 'asha' comes twice"),
        (["--scheduler", "asha", "-t", "accel_nasbench:imagenet/top1"], InvalidDataError, "has no learning curves"),
        (["--scheduler", "asha", "-m", "model/parameters"], InvalidDataError, "has no learning curves"),
        (["--scheduler", "asha", "--objective", "wikitext2/valid_loss"], InvalidDataError, "searches for one metric"),
        (["--min-epochs", "3"], InvalidDataError, "--min-epochs is for multi-fidelity search"),
        (["--eta", "3"], InvalidDataError, "--eta is for multi-fidelity search"),
        (["--no-resume"], InvalidDataError, "--no-resume is for multi-fidelity search"),
    ],
)
def test_bad_input_is_reported_before_anything_is_run(arguments, error, message):
    result = run(*CURVES, "--json", *arguments)
    assert isinstance(result.exception, error)
    assert message in str(result.exception)
    assert result.stdout == ""


def test_schedulers_are_listed():
    listed = CliRunner().invoke(whole, ["list", "schedulers", "--json"]).stdout
    assert "hyperband" in listed
    assert "median" in listed
