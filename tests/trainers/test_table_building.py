"""Tables that are made by training: built, continued, in parts, and checked by training some rows again."""

import json
from dataclasses import replace

import archcast as ac
import numpy as np
import pytest
from archcast.benchmarks_data import Column, MetricInfo, write_table
from archcast.errors import ArchcastError, InvalidArchitectureError, InvalidDataError, UnknownNameError
from archcast.spaces import register_space
from archcast.trainers import Fidelity, InProcess, Journal, Status
from archcast.trainers.journal_table import write_journal_table
from archcast.trainers.plans import register_plan
from archcast.trainers.recipes import make_recipe
from archcast.trainers.requests import requests_for
from archcast.trainers.table_building import Agreement, build_table, retrain_sample
from archcast.trainers.table_plan import Part, TablePlan

RECIPE = make_recipe("signals", epochs=2, channels=4, batch_size=32)


@register_space("tiny_cell_for_tables")
def tiny_cell():
    return ac.get_space("cell", nodes=2, operations=["none", "skip_connect", "nor_conv_1x1"])


@register_plan("tiny_plan_for_tables")
def tiny_plan():
    return TablePlan(
        name="tiny",
        space="tiny_cell_for_tables",
        task="mnist1d",
        task_parameters={"train": 64, "valid": 32, "test": 32, "length": 20},
        parts=(Part(Fidelity(), (0, 1), RECIPE), Part(Fidelity(epochs=1), (3,), replace(RECIPE, test="last_epoch"))),
        proxies=("l2_norm", "snip"),
        proxy_batch=8,
        about={"licence": "MIT"},
    )


PLAN = tiny_plan()


class Counting(InProcess):
    """An executor that counts calls, and is interrupted before one of them."""

    def __init__(self, interrupt=None):
        super().__init__()
        self.calls, self.interrupt = 0, interrupt

    def _run(self, handle, *arguments):
        if self.calls == self.interrupt:
            raise KeyboardInterrupt
        self.calls += 1
        return super()._run(handle, *arguments)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The whole table, whose journal is at rest."""
    path = tmp_path_factory.mktemp("built") / "tiny.h5"
    progress = []
    with Journal(path.with_suffix(".journal")) as journal:
        table = build_table(PLAN, path, journal, on_progress=lambda *numbers: progress.append(numbers))
    assert progress == [(done, 9) for done in range(1, 10)]
    return table


def test_a_table_holds_what_was_trained(built):
    assert (built.name, len(built), built.space.spec) == ("tiny", 3, tiny_cell().spec)
    assert built.architectures.strings() == PLAN.architectures.strings()
    curves = {f"{split}_{name}" for split in ("train", "valid", "test") for name in ("accuracy", "loss")}
    numbers = {"training_seconds", "parameters", "flops"}
    assert set(built.metrics) == {f"mnist1d/{name}" for name in curves | numbers | {"l2_norm", "snip"}} | {
        f"mnist1d-epochs1/{name}" for name in curves | numbers
    }
    with Journal(built.path.with_suffix(".journal"), mode="read") as journal:
        records = journal.records()
    assert len(records) == 9
    for record in records:
        name = "mnist1d" if record.fidelity == Fidelity() else "mnist1d-epochs1"
        row = built.rows(built.space.parse([record.architecture]))[0]
        for curve, values in record.curves.items():
            found = built.values(f"{name}/{curve.replace('/', '_')}", seed=record.seed, epoch="all")[row]
            np.testing.assert_allclose(found, values, rtol=1e-6)
    norms = built.values("mnist1d/l2_norm")
    assert np.isfinite(norms).all()
    assert norms[2] > norms[0] == norms[1]


def test_an_interrupted_build_goes_on(built, tmp_path):
    path = tmp_path / "again.h5"
    used = 0
    for interrupt in (1, 3):  # after one pair of seeds; then among the part of one epoch
        executor = Counting(interrupt)
        with Journal(path.with_suffix(".journal")) as journal, pytest.raises(KeyboardInterrupt):
            build_table(PLAN, path, journal, executor)
        used += executor.calls
        assert not path.exists()
    executor = Counting()
    with Journal(path.with_suffix(".journal")) as journal:
        table = build_table(PLAN, path, journal, executor)
        assert used + executor.calls == 3 + 3 + 1  # pairs of seeds, trainings of one epoch, a block of proxies
        executor = Counting()
        build_table(PLAN, path, journal, executor)
        assert executor.calls == 0
    for name in set(built.metrics) - {"mnist1d/training_seconds", "mnist1d-epochs1/training_seconds"}:
        np.testing.assert_allclose(table.values(name), built.values(name), rtol=1e-5)


def test_rows_and_parts(tmp_path):
    path, plan = tmp_path / "some.h5", replace(PLAN, proxies=("l2_norm",))
    with Journal(tmp_path / "some.journal") as journal:
        first = build_table(plan, path, journal, parts=[1], rows=np.array([2]))
        assert first.architectures.strings() == [PLAN.architectures.strings()[2]]
        assert not any(name.startswith("mnist1d/valid") for name in first.metrics)
        both = build_table(plan, path, journal, parts=[1], rows=[0])
    assert both.architectures.strings() == [PLAN.architectures.strings()[row] for row in (0, 2)]
    with np.load(tmp_path / "some.journal.proxies.npz") as file:
        assert file["known"].tolist() == [True, False, True]
        np.testing.assert_allclose(file["l2_norm"][[0, 2]], both.values("mnist1d/l2_norm"))


def test_what_does_not_exist_is_refused(tmp_path):
    with Journal(tmp_path / "a.journal") as journal:
        for options, message in (
            ({"parts": [2]}, "table 'tiny' has parts 0..1, got 2"),
            ({"parts": [-1]}, "has parts 0..1, got -1"),
            ({"rows": [0, 3]}, "table 'tiny' has rows 0..2, got 3"),
            ({"rows": []}, "has no training of table 'tiny'"),
        ):
            with pytest.raises(InvalidDataError, match=message):
                build_table(replace(PLAN, proxies=()), tmp_path / "a.h5", journal, **options)
        with pytest.raises(UnknownNameError, match="unknown proxy 'snap'"):
            build_table(replace(PLAN, proxies=("snap",)), tmp_path / "a.h5", journal, rows=[])
        assert len(journal) == 0


def test_a_damaged_file_of_proxies_is_refused(tmp_path):
    path = tmp_path / "a.journal.proxies.npz"
    with Journal(tmp_path / "a.journal") as journal:
        for content in (b"", b"PK\3\4 something", b"\x80\x04N."):
            path.write_bytes(content)
            with pytest.raises(InvalidDataError, match="does not hold the proxies of table 'tiny'; remove it"):
                build_table(PLAN, tmp_path / "a.h5", journal, rows=[])
        np.savez(path, known=np.zeros(3, dtype=bool))
        with pytest.raises(InvalidDataError, match="does not hold the proxies"):
            build_table(PLAN, tmp_path / "a.h5", journal, rows=[])
        np.savez(path, known=np.zeros(4, dtype=bool), l2_norm=np.zeros(4), snip=np.zeros(4))
        with pytest.raises(InvalidDataError, match="holds proxies of 4 architectures, and table 'tiny' has 3"):
            build_table(PLAN, tmp_path / "a.h5", journal, rows=[])


# ---- training rows again --------------------------------------------------------------------------------------------


def tampered(table, path, change):
    columns = []
    for name in ("mnist1d/test_accuracy", "mnist1d/test_loss"):
        values = change(name, table.values(name, seed="all", epoch="all").copy())
        columns.append(Column(table.info(name), values))
    write_table(path, table.space, table.architectures, columns, about={"name": "tampered"})
    return ac.load_table(path)


def test_trainings_agree_with_themselves_and_not_with_others(built, tmp_path):
    for result in retrain_sample(PLAN, built, 2, seed=1):
        assert (result.architectures, result.agrees) == (2, True)
        assert abs(result.difference) < 1e-4 * max(result.noise, 1)
    false = tampered(built, tmp_path / "false.h5", lambda name, values: values + (0.5 if "loss" in name else 0))
    accuracy, loss = retrain_sample(PLAN, false, 3)
    assert (accuracy.agrees, loss.agrees) == (True, False)
    assert loss.difference == pytest.approx(-0.5, abs=1e-3)
    values = built.values("mnist1d/test_loss", seed="all")
    assert loss.noise == pytest.approx(np.sqrt(values.var(axis=1, ddof=1).mean()), rel=1e-5)
    assert loss.spread == pytest.approx(0.5, abs=1e-3)
    assert loss.largest > 2


def test_seeds_that_failed_for_the_table_are_left_out(built, tmp_path):
    def lose(name, values):
        values[0, 1], values[1] = np.nan, np.nan
        return values

    gaps = tampered(built, tmp_path / "gaps.h5", lose)
    assert all(result.agrees and result.architectures == 2 for result in retrain_sample(PLAN, gaps, 2))
    with pytest.raises(InvalidDataError, match="the sample must be 1 to 2 rows, got 3"):
        retrain_sample(PLAN, gaps, 3)


def test_a_sample_that_cannot_be_compared_is_refused(built, tmp_path):
    class Failing(InProcess):
        def _run(self, *arguments):
            return replace(super()._run(*arguments), status=Status.FAILED, value=None, message="no room")

    with pytest.raises(InvalidDataError, match="which finished for the table, ended with failed: no room"):
        retrain_sample(PLAN, built, 1, executor=Failing())
    for n in (0, 4):
        with pytest.raises(InvalidDataError, match=f"the sample must be 1 to 3 rows, got {n}"):
            retrain_sample(PLAN, built, n)
    info = replace(built.info("mnist1d/test_loss"), epochs=(), seeds=(0,))
    lone = write_table(tmp_path / "one.h5", built.space, built.architectures, [Column(info, np.ones((3, 1, 1)))])
    with pytest.raises(InvalidDataError, match="has one seed, which does not tell how much seeds differ"):
        retrain_sample(PLAN, ac.load_table(lone), 1, metrics=["test_loss"])
    with pytest.raises(UnknownNameError, match="mnist1d/test_accuracy"):
        retrain_sample(PLAN, ac.load_table("nasbench201"), 1)
    space = ac.get_space("nasbench201")
    info = replace(built.info("mnist1d/test_loss"), epochs=())
    other = write_table(tmp_path / "o.h5", space, space.sample(3, 0), [Column(info, np.ones((3, 2, 1)))])
    with pytest.raises(InvalidArchitectureError):
        retrain_sample(PLAN, ac.load_table(other), 1, metrics=["test_loss"])


@pytest.mark.parametrize(
    ("difference", "spread", "agrees"), [(0.1, 0.3, True), (0.1, 2.1, False), (1.6, 1.6, False), (0.0, 0.0, True)]
)
def test_agreement_is_within_twice_the_noise(difference, spread, agrees):
    assert Agreement("test_loss", 4, difference, spread, 1.0, 0.0).agrees is agrees


# ---- names and columns of a journal's table -------------------------------------------------------------------------


def records(task):
    requests = requests_for(tiny_cell(), tiny_cell().enumerate(), task, seeds=(0,))
    return [request.record(Status.FINISHED, curves={"valid/loss": [1.0]}, seconds=1.0) for request in requests]


def test_names_and_columns_of_a_journal_table(tmp_path):
    column = Column(MetricInfo("short/rank"), np.array([3.0, 1.0, 2.0]))
    found = records("a-long-name")
    table = write_journal_table(tmp_path / "t.h5", found[::-1], names={"a-long-name": "short"}, columns=[column])
    assert set(table.metrics) == {"short/valid_loss", "short/training_seconds", "short/rank"}
    assert table.architectures.strings() == [record.architecture for record in found[::-1]]
    assert table.values("short/rank").tolist() == [3, 1, 2]
    with pytest.raises(InvalidDataError, match="expected another name for each task, got 'one' for a, b"):
        write_journal_table(tmp_path / "u.h5", [*records("a"), *records("b")], names={"a": "one", "b": "one"})
    wrong = Column(MetricInfo("short/rank"), np.array([3.0, 1.0]))
    with pytest.raises(InvalidDataError, match="short/rank"):
        write_journal_table(tmp_path / "u.h5", found, columns=[wrong])
    assert not (tmp_path / "u.h5").exists()


# ---- the command ----------------------------------------------------------------------------------------------------


@pytest.fixture
def archcast(capsys, monkeypatch, tmp_path):
    """Run `archcast table build ARGUMENTS` in a folder of its own, with trainings in this process."""
    from archcast.tools.cli import app

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("archcast.trainers.ProcessPool", lambda workers: InProcess())

    def run(*arguments):
        code = app(["table", "build", *map(str, arguments)], standalone_mode=False)
        return code or 0, capsys.readouterr().out

    return run


def test_the_command_builds_and_checks(archcast, built, tmp_path):
    code, out = archcast("tiny_plan_for_tables", "t.h5", "--first", "1", "--part", "0", "--json")
    assert code == 0
    assert json.loads(out)["architectures"] == len(ac.load_table("t.h5")) == 1
    with Journal("t.journal", mode="read") as journal:
        assert len(journal) == 2
    code, out = archcast("tiny_plan_for_tables", "--sample", "1", "--table", built.path, "--json")
    assert code == 0
    assert [(row["metric"], row["agrees"]) for row in json.loads(out)] == [("test_accuracy", True), ("test_loss", True)]
    false = tampered(built, tmp_path / "false.h5", lambda name, values: values + 1)
    assert archcast("tiny_plan_for_tables", "--sample", "2", "--table", false.path)[0] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tiny_plan"], "unknown plan 'tiny_plan'"),
        (["tiny_plan_for_tables"], "expected either TARGET, to make the table, or --sample, to check it"),
        (["tiny_plan_for_tables", "t.h5", "--sample", "1"], "expected either TARGET"),
        (["tiny_plan_for_tables", "t.h5", "--table", "a"], "got 'a' without --sample"),
        (["tiny_plan_for_tables", "--sample", "1", "--part", "1"], "--part is for making a table"),
        (["tiny_plan_for_tables", "--sample", "1", "--table", "none.h5"], "none.h5"),
        (["tiny_plan_for_tables", "--sample", "1", "--table", "nasbench201"], "mnist1d/test_accuracy"),
        (["tiny_plan_for_tables", "t.csv"], "expected a file name ending in .h5"),
        (["tiny_plan_for_tables", "no/t.h5"], "there is no folder no"),
        (["tiny_plan_for_tables", "t.h5", "-j", "no/a.journal"], "there is no folder no"),
        (["tiny_plan_for_tables", "t.h5", "--part", "2"], "table 'tiny' has parts 0..1, got 2"),
    ],
)
def test_the_command_refuses(archcast, tmp_path, arguments, message):
    with pytest.raises(ArchcastError) as raised:
        archcast(*arguments)
    assert message in str(raised.value)
    assert list(tmp_path.iterdir()) == []
