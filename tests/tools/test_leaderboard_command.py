"""`archcast leaderboard`: what is printed and written, and how bad input ends."""

import json

import pytest

USUAL = (
    "leaderboard",
    "--table",
    "nasbench_nlp",
    "--predictor",
    "ridge@adjacency",
    "--predictor",
    "constant",
    "--n",
    "20",
)


def test_page_from_one_command(cli, tmp_path):
    folder, cache = tmp_path / "my page", tmp_path / "runs.jsonl"
    arguments = (*USUAL, "--seeds", "2", "--n-test", "100", "--note", "On a laptop.", "--output", folder)
    code, out, err = cli(*arguments, "--cache", cache)
    assert code == 0
    assert "NAS-Bench-NLP" in out
    assert "ridge@adjacency" in out
    page = (folder / "leaderboard.md").read_text()
    command = (
        "archcast leaderboard --table nasbench_nlp --predictor ridge@adjacency --predictor constant --n 20 --seeds 2"
    )
    assert f"{command} --n-test 100 --note 'On a laptop.' --output '{folder}'" in page
    assert "cache" not in page
    assert {path.name for path in folder.iterdir()} == {
        "leaderboard.md", "leaderboard.json", "leaderboard.csv", "images"
    }  # fmt: skip
    assert str(folder / "leaderboard.md") in err
    (folder / "leaderboard.md").unlink()
    cli(*arguments, "--cache", cache, "--cached-only")
    assert (folder / "leaderboard.md").read_text() == page


def test_json_is_one_object_a_run(cli):
    code, out, _ = cli(*USUAL, "--seeds", "2", "--n-test", "100", "--json")
    assert code == 0
    records = [json.loads(line) for line in out.splitlines()]
    assert [(r["board"], r["seed"], r["predictor"]) for r in records] == [
        ("nasbench_nlp", seed, predictor) for seed in (0, 1) for predictor in ("ridge@adjacency", "constant")
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--table", "oracle"), "unknown board 'oracle'"),
        (("--predictor", "oracle"), "unknown predictor 'oracle'"),
        (("--n", "x"), "--n must be integers joined by commas, got 'x'"),
        (("--max-n", "1"), "max_n must be integers of at least 2, got 1"),
        (("--max-seconds", "0"), "max_seconds must be a positive number, got 0.0"),
        (("--max-n", "10"), "expected at least one run, got none (no n of 50, 100 fits: max_n is 10, 275 are known)"),
        (("--predictor", "gp_transfer"), "learns from sources, and this board has none"),
        (("--cached-only",), "--cached-only shows what --cache FILE holds, got no --cache"),
        (("--output", "/dev/null/x"), "cannot make the folder /dev/null/x"),
    ],
)
def test_bad_input_is_one_sentence(refused, arguments, message):
    table = () if "--table" in arguments else ("--table", "nasbench_nlp")
    predictor = () if "--predictor" in arguments else ("--predictor", "constant")
    refused(message, "leaderboard", *table, *predictor, *arguments)
