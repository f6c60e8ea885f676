"""What every registered scheduler must do, whatever it is made of."""

import json
import subprocess
import sys

import numpy as np
import pytest
from archcast import CurveHistory, Scheduler, get_space, make_scheduler, make_searcher
from archcast.errors import InvalidDataError
from archcast.searchers import SCHEDULERS
from archcast.searchers.curve_history import Ending
from sklearn.base import clone

NAMES = SCHEDULERS.names()
SPACE = get_space("nasbench201")
EPOCHS = (1, 2, 3, 5, 9)
QUICK = {
    "bohb": {"searcher": make_searcher("bo", initial=4, pool=60, predictor="knn@operations")},
    "median": {"min_trials": 2},
    "forecast": {"min_trials": 2},
}


def build(name):
    return make_scheduler(name, **QUICK.get(name, {}))


def value(trial, epoch):
    """Curves that rise to different ends; every seventh training diverges."""
    if trial % 7 == 6 and epoch > 2:
        return float("nan")
    return 10 * np.sin(5.0 * trial) - 8 / epoch


def play(name, reports, workers=3, seed=4):
    """Workers that report in turn; return the history before each decision, and the decision."""
    scheduler, history, steps, idle = build(name), CurveHistory.start(SPACE, EPOCHS), [], 0
    for count in range(reports):
        while len(history.running) < workers:
            step = scheduler.next(history, seed)
            steps.append((history, step))
            if step is None:
                idle += 1
                break
            if step.trial is None:
                history = history.begin(step.architecture, step.epoch)
            else:
                history = history.grant(step.trial, step.epoch)
        trial = int(history.running[count % len(history.running)])
        level = int(np.isfinite(history.curves[trial]).sum())
        history = history.tell(trial, EPOCHS[level], value(trial, EPOCHS[level]))
        if history.endings[trial] == Ending.OPEN and scheduler.stops(history, trial):
            history = history.stop(trial)
    return history, steps


@pytest.fixture(scope="module")
def plays():
    found = {}

    def of(name):
        if name not in found:
            found[name] = play(name, 60)
        return found[name]

    return of


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def test_is_a_scheduler_with_parameters_stored_untouched(name):
    scheduler = build(name)
    assert isinstance(scheduler, Scheduler)
    assert repr(clone(scheduler)) == repr(scheduler)
    before = dict(vars(scheduler))
    scheduler.next(CurveHistory.start(SPACE, EPOCHS))
    assert vars(scheduler) == before


def test_decides_what_can_be_done(name, plays):
    for history, step in plays(name)[1]:
        if step is None:
            assert len(history.running)  # there is always something to begin in a large space
            continue
        assert step.epoch in EPOCHS
        assert len(step.architecture) == 1
        if step.trial is None:
            assert not np.isin(step.architecture.keys(), history.keys).any()
        else:
            assert history.architectures[step.trial : step.trial + 1] == step.architecture
            assert history.endings[step.trial] == Ending.OPEN
            assert history.reached[step.trial] == history.granted[step.trial] < step.epoch


def test_failed_trainings_never_train_again(name, plays):
    history, steps = plays(name)
    failed = np.flatnonzero(history.endings == Ending.FAILED)
    assert len(failed)
    for before, step in steps:
        if step is not None and step.trial is not None:
            assert before.endings[step.trial] == Ending.OPEN


def test_decisions_depend_on_the_history_alone(name, plays):
    """Backwards, and with another object."""
    for history, step in reversed(plays(name)[1][-12:]):
        assert build(name).next(history, 4) == step


def test_stops_only_if_it_watches(name, plays):
    history, _ = plays(name)
    stopped = bool((history.endings == Ending.STOPPED).any())
    assert stopped == build(name).watches
    complete = np.flatnonzero(history.reached == EPOCHS[-1])
    assert len(complete)
    assert not any(build(name).stops(history, int(trial)) for trial in complete)


def test_a_stored_history_goes_on_in_another_process(plays, tmp_path):
    cases = []
    for name in NAMES:
        history, _ = plays(name)[1][-1]
        cases.append({"name": name, "history": history.to_dict(), "plain": name not in QUICK})
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    script = (
        "import json, sys, archcast as ac\n"
        "for case in json.load(open(sys.argv[1])):\n"
        "    step = ac.make_scheduler(case['name']).next(ac.CurveHistory.from_dict(case['history']), 4) "
        "if case['plain'] else None\n"
        "    print(json.dumps(None if step is None else "
        "[step.trial, step.epoch, step.architecture.genotypes.tolist()]))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "cases.json")]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    for name, line in zip(NAMES, output, strict=True):
        step = plays(name)[1][-1][1]
        if name not in QUICK and step is not None:
            assert json.loads(line) == [step.trial, step.epoch, step.architecture.genotypes.tolist()], name


def test_other_seeds_begin_with_other_architectures(name):
    start = CurveHistory.start(SPACE, EPOCHS)
    assert len({build(name).next(start, seed).architecture for seed in range(4)}) == 4


def test_is_over_when_a_pool_is(name):
    pool = SPACE.sample(4, seed=0, canonical=True)
    history, scheduler = CurveHistory.start(SPACE, EPOCHS, pool=pool), build(name)
    for _ in range(40):
        step = scheduler.next(history, 0)
        if step is None:
            break
        trial = len(history) if step.trial is None else step.trial
        history = (
            history.begin(step.architecture, step.epoch) if step.trial is None else history.grant(trial, step.epoch)
        )
        while trial in history.running:
            level = int(np.isfinite(history.curves[trial]).sum())
            history = history.tell(trial, EPOCHS[level], float(trial + EPOCHS[level]))
            if scheduler.stops(history, trial):
                history = history.stop(trial)
    assert step is None
    assert len(history) == 4
    assert (history.reached == EPOCHS[-1]).any()


@pytest.mark.parametrize("seed", [-1, 1.5, True])
def test_rejects_senseless_seeds(name, seed):
    with pytest.raises(InvalidDataError, match="seed must be an integer of at least 0"):
        build(name).next(CurveHistory.start(SPACE, EPOCHS), seed)


def test_rejects_unknown_trials(name):
    with pytest.raises(InvalidDataError, match="expected a trial between 0 and"):
        build(name).stops(CurveHistory.start(SPACE, EPOCHS), 0)
