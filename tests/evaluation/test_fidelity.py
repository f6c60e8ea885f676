"""Multi-fidelity replay: what is paid, workers, failures; benchmarks at equal cost; early stops of real trainings."""

import numpy as np
import pytest
from archcast import get_space, make_scheduler, replay
from archcast.benchmarks_data import Column, MetricInfo, Table, write_table
from archcast.errors import InvalidDataError, SearcherFailedError, UnknownNameError
from archcast.evaluation import EarlyStopper, FidelityPlan, FidelityProblem, benchmark_fidelity, replay_fidelity
from archcast.searchers import SCHEDULERS, Scheduler
from archcast.searchers.scheduler import Assignment
from archcast.trainers import CallableTrainer, Fidelity, Status, requests_for, run

EPOCHS = (1, 2, 3, 6, 9)
ROWS = 60
RNG = np.random.default_rng(0)
FINAL = RNG.permutation(ROWS).astype(float)


def write(path, *, costs=True, break_at=None):
    """Curves that rise to distinct ends, the early ones with some noise; row `7 k` diverges after epoch 2."""
    space = get_space("nasbench201")
    batch = space.sample(ROWS, seed=1, canonical=True)
    curve = FINAL[:, None] - 30 / np.array(EPOCHS) + RNG.normal(0, 4, (ROWS, 5)) * [1, 1, 1, 1, 0]
    curve[::7, 2:] = np.nan
    seconds = np.outer(1 + np.arange(ROWS) % 5, EPOCHS).astype(float)
    seconds[::7, 2:] = np.nan
    columns = [
        Column(MetricInfo("toy/valid", unit="%", epochs=EPOCHS), curve[:, None]),
        Column(MetricInfo("toy/test", unit="%", epochs=(9,)), (curve[:, -1:] + 0.5)[:, None]),
        Column(MetricInfo("toy/last", unit="%"), FINAL),
    ]
    if costs:
        columns.append(Column(MetricInfo("toy/time", unit="s", direction="lower", epochs=EPOCHS), seconds[:, None]))
    about = {"name": "toy"} | ({"cost_metric": "toy/time"} if costs else {})
    return Table(write_table(path, space, batch, columns, about=about))


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return write(tmp_path_factory.mktemp("tables") / "toy.h5")


@pytest.fixture(scope="module")
def problem(toy):
    return FidelityProblem.of(toy, "toy/valid")


class Scripted(Scheduler):
    """Decides by a list of (row or trial, epoch, whether new)."""

    def __init__(self, architectures=None, script=(), stop_at=()):
        super().__init__()
        self.architectures = architectures
        self.script = script
        self.stop_at = stop_at

    watches = True

    def _next(self, history, seed):
        done = len(history) + sum(int(granted > 3) for granted in history.granted)
        if done >= len(self.script):
            return None
        place, epoch, new = self.script[done]
        if new == "raise":
            raise RuntimeError("no idea")
        if new:
            return Assignment(self.architectures[place : place + 1], epoch)
        return Assignment(self.architectures[:1], epoch, place)

    def _stops(self, history, trial, level):
        return (trial, history.epochs[level]) in self.stop_at


# ---- problems -----------------------------------------------------------------------------------------------------


def test_a_problem_with_curves(problem, toy):
    assert problem.levels == EPOCHS
    assert problem.curves.shape == problem.elapsed.shape == (ROWS, 5)
    alive = np.arange(ROWS) % 7 != 0
    assert (problem.curves[alive, -1] == problem.values[alive]).all()
    assert np.isnan(problem.curves[~alive, 2:]).all()
    assert np.isfinite(problem.curves[~alive, :2]).all()
    assert problem.elapsed[1].tolist() == [2, 4, 6, 12, 18]
    assert (np.diff(problem.elapsed, axis=1) >= 0).all()  # what diverged has a cost after all
    early = FidelityProblem.of(toy, "toy/valid", epoch=6)
    assert early.levels == (1, 2, 3, 6)
    assert early.digest != problem.digest == FidelityProblem.of(toy, "toy/valid").digest
    judged = FidelityProblem.of(toy, "toy/test", select_metric="toy/valid")
    assert (judged.select_metric, judged.levels) == ("toy/valid", EPOCHS)


def test_time_in_proportion_to_epochs_where_it_is_not_known(tmp_path):
    problem = FidelityProblem.of(write(tmp_path / "t.h5", costs=False), "toy/valid")
    assert problem.time_unit == "trainings"
    np.testing.assert_allclose(problem.elapsed[3], np.array(EPOCHS) / 9)


def test_no_curves(toy):
    with pytest.raises(InvalidDataError, match=r"'toy/last' of table 'toy' has no learning curves.*got none"):
        FidelityProblem.of(toy, "toy/last")
    with pytest.raises(InvalidDataError, match=r"has no learning curves.*got 9"):
        FidelityProblem.of(toy, "toy/test")


# ---- what is paid -------------------------------------------------------------------------------------------------


def test_epochs_and_seconds_of_jobs(problem):
    """Rows 1 and 2 take 2 and 3 seconds an epoch; a promoted training pays what is new."""
    script = ((1, 3, True), (2, 3, True), (1, 9, False))
    found = replay_fidelity(problem, None, Scripted(problem.architectures, script), budget=5)
    assert found.rows.tolist() == [1, 2, 2]
    assert found.began.tolist() == [0, 0, 3]
    assert found.reached.tolist() == [3, 3, 9]
    assert found.spent.tolist() == [3, 6, 12]
    assert found.started.tolist() == [0, 6, 15]
    assert found.finished.tolist() == [6, 15, 33]
    assert found.selected.tolist() == [problem.curves[1, 2], problem.curves[2, 2], problem.curves[2, 4]]
    assert found.incumbents[-1] == 2
    assert found.regret[-1] == problem.gaps[2]
    anew = replay_fidelity(problem, None, Scripted(problem.architectures, script), budget=5, resume=False)
    assert anew.spent.tolist() == [3, 6, 15]
    assert anew.finished.tolist() == [6, 15, 42]
    assert anew.regret.tolist() == found.regret.tolist()
    assert found.regret_at_epochs([2, 3, 11, 12]).tolist()[1:] == [*found.regret[:1], found.regret[1], found.regret[2]]
    assert np.isnan(found.regret_at_epochs([2])[0])


def test_stopped_and_failed_trainings_give_back_what_they_did_not_train(problem):
    scheduler = Scripted(problem.architectures, ((1, 9, True), (1, 9, True), (7, 3, True), (2, 3, True)), ((0, 2),))
    found = replay_fidelity(problem, None, scheduler, budget=1)  # nine epochs: 2 + 3 + 3
    assert found.rows.tolist() == [1, 7, 2]
    assert found.reached.tolist() == [2, 3, 3]
    assert found.spent.tolist() == [2, 5, 8]
    assert np.isnan(found.selected[1])
    assert found.incumbents.tolist() == [-1, -1, 2]
    assert found.regret[0] == np.nanmax(problem.gaps)


def test_full_fidelity_is_the_plain_replay(toy, problem):
    plain = replay(toy, "toy/valid", "random", budget=12, seed=3)
    found = replay_fidelity(problem, None, "full", budget=12, seed=3)
    ok = len(found)  # failures pay less, so that there may be more of them
    assert ok >= 12
    assert found.rows[:12].tolist() == plain.rows.tolist()
    assert found.regret[:12].tolist() == plain.regret.tolist()


@pytest.mark.parametrize("name", SCHEDULERS.names())
@pytest.mark.parametrize(("workers", "resume"), [(1, True), (4, True), (3, False)])
def test_never_more_than_is_allowed(problem, name, workers, resume):
    scheduler = make_scheduler(name, **({"searcher": "random"} if name == "bohb" else {}))
    found = replay_fidelity(problem, None, scheduler, budget=8, seed=1, workers=workers, resume=resume)
    paid = found.reached - (found.began if resume else 0)
    assert found.spent[-1] == paid.sum() <= 8 * 9
    assert found.spent[-1] > 8 * 9 - 9 * (workers + 1)
    assert (np.diff(found.spent) >= 0).all()
    assert (np.diff(found.finished) >= 0).all()
    for moment in found.started:
        assert ((found.started <= moment) & (found.finished > moment)).sum() <= workers
    for trial in np.unique(found.trials):  # a trial is one row, its jobs follow each other and never overlap
        jobs = np.flatnonzero(found.trials == trial)
        assert len(np.unique(found.rows[jobs])) == 1
        assert found.began[jobs].tolist() == [0, *found.reached[jobs[:-1]]]
        assert (found.started[jobs[1:]] >= found.finished[jobs[:-1]]).all()
        assert not np.isnan(found.selected[jobs[:-1]]).any()  # nothing goes on after a failure
        seconds = problem.elapsed[found.rows[jobs[0]]]
        places = [EPOCHS.index(epoch) for epoch in found.reached[jobs]]
        expected = np.diff(seconds[places], prepend=0) if resume else seconds[places]
        np.testing.assert_allclose(found.finished[jobs] - found.started[jobs], expected)
    assert len(np.unique(problem.keys[found.rows])) == len(np.unique(found.trials))
    again = replay_fidelity(problem, None, scheduler, budget=8, seed=1, workers=workers, resume=resume)
    assert again.rows.tolist() == found.rows.tolist()
    assert again.finished.tolist() == found.finished.tolist()


def test_halving_finds_more_than_full_trainings_of_the_same_cost(problem):
    final = {
        name: np.mean([replay_fidelity(problem, None, name, budget=6, seed=seed).regret[-1] for seed in range(5)])
        for name in ("full", "asha", "successive_halving", "hyperband")
    }
    assert all(final[name] < final["full"] for name in ("asha", "successive_halving", "hyperband"))


def test_what_a_scheduler_may_not_decide(problem):
    cases = {
        ((1, 4, True),): "wants a training to epoch 4, which the table does not know",
        ((1, 3, True), (1, 3, True)): "although exactly one new architecture is needed",
        ((1, 3, True), (5, 9, False)): "wants trial 5 to go on, which is none or has ended",
        ((1, 3, True), (0, 3, False)): "wants trial 0 to train to epoch 3, which it does or did already",
        ((1, 3, "raise"),): "RuntimeError: no idea",
        (): "it did not begin any training",
    }
    for script, message in cases.items():
        with pytest.raises(SearcherFailedError, match=f"scheduler 'Scripted' failed on toy:toy/valid.*{message}"):
            replay_fidelity(problem, None, Scripted(problem.architectures, script), budget=5)


def test_bad_arguments(problem, toy):
    with pytest.raises(InvalidDataError, match="has its metrics and epochs already"):
        replay_fidelity(problem, "toy/valid")
    with pytest.raises(InvalidDataError, match="expected the metric of table"):
        replay_fidelity(toy)
    with pytest.raises(InvalidDataError, match="budget must be integers of at least 1, got 0"):
        replay_fidelity(problem, budget=0)


# ---- benchmarks ---------------------------------------------------------------------------------------------------


def test_schedulers_beside_searchers_at_equal_cost(problem, tmp_path):
    plan = FidelityPlan(problem, schedulers=["asha", "median"], searchers=["random"], budget=5, seeds=2, min_epochs=2)
    assert plan.total == 6
    assert plan.schedulers["asha"].min_epochs == plan.schedulers["median"].min_epochs == 2
    result = plan.run(cache=tmp_path / "runs.jsonl")
    assert result.searchers == ["asha", "median", "random"]
    assert result.regrets("asha").shape == (2, 5)
    for record in result.records:
        trace = plan.trace(record["searcher"], record["seed"])
        assert record["rows"] == trace.rows.tolist()
        expected = trace.regret_at_epochs(9 * np.arange(1, 6))
        assert record["regret"] == np.where(np.isnan(expected), np.nanmax(problem.gaps), expected).tolist()
        assert record["spent_epochs"] <= 45
        assert len(record["finished"]) == 5
    assert "after the 9 epochs of each of n full trainings" in " ".join(str(result).split())
    assert plan.run(cache=tmp_path / "runs.jsonl").records == result.records
    other = FidelityPlan(problem, schedulers=["asha"], searchers=["random"], budget=5, seeds=1, resume=False)
    assert {job.key for job in other._jobs()}.isdisjoint(job.key for job in plan._jobs())
    with pytest.raises(UnknownNameError, match="no scheduler 'bohb' here"):
        plan.trace("bohb", 0)


def test_a_benchmark_in_one_call(toy):
    result = benchmark_fidelity(toy, "toy/valid", schedulers={"halving": "asha"}, eta=2, budget=3, seeds=[4], workers=2)
    assert result.searchers == ["halving", "random"]
    with pytest.raises(InvalidDataError, match="'random' is the label of a scheduler and of a searcher"):
        benchmark_fidelity(toy, "toy/valid", schedulers={"random": "asha"})
    with pytest.raises(InvalidDataError, match="min_epochs must be an integer between 1 and 9, got 20"):
        benchmark_fidelity(toy, "toy/valid", schedulers=["asha"], min_epochs=20)


# ---- real trainings -----------------------------------------------------------------------------------------------


def climb(architecture, fidelity, seed, report):
    """Ends at the sum of the genes; the all-zero architecture promises most and diverges."""
    end = float(sum(architecture.genotype)) or 99.0
    for epoch in range(1, fidelity.epochs + 1):
        value = float("nan") if end == 99 and epoch == 2 else end - 10 / epoch
        if report(epoch, {"valid/accuracy": value}) == "stop":
            break


@pytest.mark.parametrize("name", ["median", "asha_stopping", "forecast"])
def test_stops_real_trainings(name):
    space = get_space("nasbench201")
    genotypes = [
        [4] * 6,
        [4, 4, 4, 4, 4, 3],
        [4, 4, 4, 4, 3, 3],
        [4, 4, 4, 3, 3, 3],
        [1] * 6,
        [0] * 6,
        [4, 4, 4, 4, 4, 2],
    ]
    requests = requests_for(space, space.parse(np.array(genotypes)), "toy", fidelity=Fidelity(epochs=9))
    parameters = {} if name == "asha_stopping" else {"min_trials": 3}
    stopper = EarlyStopper(make_scheduler(name, **parameters), space, "valid/accuracy", 9)
    records = run(requests, CallableTrainer(climb), on_epoch=stopper)
    reached = [record.epochs for record in records]
    assert reached[0] == 9  # the best, and the first
    assert reached[4] < 9  # hopeless
    assert reached[5] == 2  # NaN ends a training
    assert stopper.history.reached.tolist() == [*reached[:5], 1, reached[6]]
    assert records[0].status is Status.FINISHED
    assert stopper(requests[4], 9, {"valid/accuracy": 1.0}) == "stop"  # stays stopped
    assert stopper(requests[0], 3, {"valid/accuracy": 1.0}) is None  # begun anew


def test_early_stopper_refuses():
    space = get_space("nasbench201")
    with pytest.raises(InvalidDataError, match=r"expected a scheduler that stops running trainings.*got ASHA\(\)"):
        EarlyStopper(make_scheduler("asha"), space, "valid/accuracy", 9)
    (request,) = requests_for(space, space.sample(1, seed=0), "toy")
    stopper = EarlyStopper(make_scheduler("median"), space, "valid/accuracy", [2, 4])
    assert stopper(request, 1, {}) is None  # not looked at
    with pytest.raises(InvalidDataError, match="expected 'valid/accuracy' in each report, got valid/loss"):
        stopper(request, 2, {"valid/loss": 1.0})
    with pytest.raises(InvalidDataError, match="goes on with epoch 2, got a value of epoch 4"):
        stopper(request, 4, {"valid/accuracy": 1.0})
