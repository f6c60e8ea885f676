"""SMAC3 through its ask and tell: what it is told, and that nothing but the history has a say."""

import builtins
import json
import logging
import os
import subprocess
import sys

import numpy as np
import pytest
from archcast import History, get_space, make_searcher
from archcast.errors import InvalidDataError, MissingDependencyError
from archcast.searchers import smac as module

SPACE = get_space("nasbench201")
QUICK = {"initial": 5, "challengers": 20, "climbs": 1}


def told(n, seed=0):
    batch = SPACE.sample(n, seed=seed, canonical=True)
    return History.start(SPACE).tell(batch, np.cos(np.arange(n)))


def test_without_smac_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest, **others):
        if name.split(".")[0] in ("smac", "ConfigSpace"):
            raise ImportError(name)
        return real(name, *rest, **others)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingDependencyError, match=r"'smac' needs the package smac: pip install 'archcast\[smac\]'"):
        make_searcher("smac").ask(History.start(SPACE))


@pytest.mark.parametrize(("name", "value"), [("initial", 0), ("retrain", 0), ("challengers", 1), ("retrain", 1.5)])
def test_senseless_parameters_are_named(name, value):
    with pytest.raises(InvalidDataError, match=f"{name} must be an integer of at least"):
        make_searcher("smac", **{name: value}).ask(History.start(SPACE))


def test_smac_is_told_everything():
    batch = SPACE.sample(5, seed=0)
    history = History.start(SPACE).tell(batch[:4], [1.0, 3.0, np.nan, 2.0]).ask(batch[4:])
    run = make_searcher("smac")._run(module._import_smac(), history, seed=0)
    trials = list(run.runhistory.values())
    assert [trial.status.name for trial in trials] == ["SUCCESS", "SUCCESS", "CRASHED", "SUCCESS", "RUNNING"]
    assert [trial.cost for trial in trials[:4]] == [-1.0, -3.0, -1.0, -2.0]  # what failed counts as the worst
    asked = [[int(gene) for gene in config.values()] for config in run.runhistory.get_configs()]
    assert asked == batch.genotypes.tolist()
    assert run.scenario.deterministic


def test_ordered_genes_are_ordinal():
    chain = get_space("mnasnet_chain")
    kinds = [type(gene).__name__ for gene in module._parameters(module._import_smac(), chain).values()]
    expected = ["OrdinalHyperparameter" if gene.ordered else "CategoricalHyperparameter" for gene in chain.genes]
    assert kinds == expected


def test_a_kept_run_answers_as_a_new_one_does_and_the_forest_is_renewed_in_time(monkeypatch):
    searcher, history, answers = make_searcher("smac", retrain=3, **QUICK), told(8), []
    for step in range(5):
        asked = searcher.ask(history, seed=1)
        answers.append((history, asked))
        history = history.ask(asked) if step == 1 else history.tell(asked, [float(step)])
    runs = []
    original = module.SMAC._run
    monkeypatch.setattr(module.SMAC, "_run", lambda self, *rest: runs.append(len(rest[1])) or original(self, *rest))
    for before, asked in reversed(answers):
        monkeypatch.setattr(module, "_RUNS", module.ContentCache(1))
        assert searcher.ask(before, seed=1) == asked
    assert runs == [11, 11, 8, 8, 8]


def test_improvements_rounded_below_zero_are_none():
    class Improvement:
        def _compute(self, X):
            if (X < 0).any():
                raise ValueError("Expected Improvement is smaller than 0 for at least one sample.")
            if (X > 9).any():
                raise ValueError("something else")
            return X[:, :1]

    improvement = Improvement()
    module._not_below_zero(improvement)
    X = np.array([[3.0], [-1.0], [2.0], [5.0], [-2.0]])
    np.testing.assert_array_equal(improvement._compute(X), X.clip(0))
    with pytest.raises(ValueError, match="something else"):
        improvement._compute(np.array([[1.0], [10.0]]))


def test_no_traces_are_left_and_nothing_is_said(tmp_path, monkeypatch, capfd):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    level = logging.getLogger("smac").level
    make_searcher("smac", **QUICK).ask(told(7), n=2)
    assert [path.name for path in tmp_path.iterdir()] == ["temporary"]
    assert not list(temporary.iterdir())
    assert logging.getLogger("smac").level == level
    assert capfd.readouterr() == ("", "")


def test_processes_agree_however_they_hash(tmp_path):
    history = told(15)
    (tmp_path / "history.json").write_text(json.dumps(history.to_dict()))
    script = (
        "import json, sys, archcast as ac\n"
        "history = ac.History.from_dict(json.load(open(sys.argv[1])))\n"
        "asked = ac.make_searcher('smac', initial=5, challengers=20, climbs=1).ask(history, 4)\n"
        "print(json.dumps(asked.genotypes.tolist()))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "history.json")]
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    answer = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    assert json.loads(answer) == make_searcher("smac", **QUICK).ask(history, 4).genotypes.tolist()


def test_in_a_pool_the_best_members_are_found():
    """The acquisition is maximised over the members, so that few are needed to find what is clearly best."""
    chain = get_space("mnasnet_chain")
    pool = chain.sample(60, seed=0, canonical=True)
    worth = pool.genotypes[:, 0] + 0.01 * np.arange(60)
    history = History.start(chain, pool=pool).tell(pool[:30], worth[:30])
    asked = make_searcher("smac", initial=5, retrain=6, challengers=60).ask(history, 6)
    rows = [int(np.flatnonzero((pool.genotypes == genotype).all(axis=1))[0]) for genotype in asked.genotypes]
    assert min(rows) >= 30
    assert worth[rows].mean() > worth[30:].mean()
