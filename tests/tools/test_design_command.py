"""`archcast space design`, and designs in other commands."""

import json

import archcast as ac
from archcast.tools.cli import app
from typer.testing import CliRunner


def run(*arguments, **options):
    return CliRunner().invoke(app, [*arguments], **options)


def test_prints_what_python_chooses():
    expected = ac.design(ac.get_space("mnasnet_chain"), 5, 2, name="max_min").strings()
    lines = run("space", "design", "mnasnet_chain", "--n", "5", "--design", "max_min", "--seed", "2")
    assert lines.exit_code == 0
    assert lines.stdout.splitlines() == expected
    output = run("space", "design", "mnasnet_chain", "-n", "5", "--design", "max_min", "--seed", "2", "--json").stdout
    assert json.loads(output) == expected


def test_chooses_among_the_architectures_of_a_file(tmp_path):
    pool = ac.get_space("nasbench201").sample(30, seed=0, canonical=True)
    (tmp_path / "pool.txt").write_text("\n".join(pool.strings()))
    common = ("space", "design", "nasbench201", "--file", str(tmp_path / "pool.txt"), "--design", "dpp@adjacency")
    result = run(*common, "--n", "4")
    assert result.stdout.splitlines() == ac.design(pool, 4, name="dpp@adjacency").strings()
    assert "got 30 among 30" in str(run(*common, "--n", "31").exception)


def test_designs_are_listed():
    assert "kmeans" in {record["name"] for record in json.loads(run("list", "designs", "--json").stdout)}


def test_compare_takes_a_design():
    arguments = ["--table", "nasbench201", "--metric", "cifar10/test_accuracy", "--n", "10", "--seeds", "1", "--json"]
    result = run("compare", *arguments, "-p", "constant", "--n-test", "50", "--design", "variance")
    assert json.loads(result.stdout)["design"] == "variance"
