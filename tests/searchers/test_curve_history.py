"""Curve histories: how they grow, what they refuse, and that they come back from JSON."""

import json

import numpy as np
import pytest
from archcast import CurveHistory, get_space
from archcast.errors import InvalidDataError
from archcast.searchers import Status

SPACE = get_space("nasbench201")
THREE = SPACE.sample(3, seed=0, canonical=True)


@pytest.fixture
def history():
    """Trial 0 is paused at epoch 3, trial 1 runs, trial 2 has failed in its second report."""
    begun = CurveHistory.start(SPACE, [1, 3, 9]).begin(THREE, 3)
    told = begun.tell(0, 1, 50.0).tell(0, 3, 60.0).tell(1, 1, 55.0)
    return told.tell(2, 1, 40.0).tell(2, 3, np.nan)


def test_grows_by_reports_and_grants(history):
    assert history.reached.tolist() == [3, 1, 1]
    assert history.running.tolist() == [1]
    assert history.endings.tolist() == [0, 0, 1]
    assert history.best() == 0
    more = history.grant(0, 9)
    assert more.running.tolist() == [0, 1]
    assert more.tell(0, 9, 70.0).reached.tolist() == [9, 1, 1]
    assert history.stop(1).running.tolist() == []
    assert history.granted.tolist() == [3, 3, 3]  # nothing above has changed it
    assert len(CurveHistory.start(SPACE, [1])) == 0
    assert CurveHistory.start(SPACE, [1]).best() is None


def test_is_a_history_at_each_epoch(history):
    first, second = history.at(1), history.at(3)
    assert first.status.tolist() == [Status.FINISHED, Status.FINISHED, Status.FAILED]
    assert first.values[:2].tolist() == [50, 55]
    assert second.status.tolist() == [Status.FINISHED, Status.PENDING, Status.FAILED]
    assert (second.keys == THREE.keys()).all()


def test_comes_back_from_json(history):
    stored = json.loads(json.dumps(history.to_dict()))
    again = CurveHistory.from_dict(stored)
    assert again == history
    assert again.curves.tobytes() == history.curves.tobytes()
    assert again != history.grant(0, 9)
    with pytest.raises(InvalidDataError, match="format 1, got 7"):
        CurveHistory.from_dict({**stored, "format": 7})
    with pytest.raises(InvalidDataError, match="lacks 'granted'"):
        CurveHistory.from_dict({name: value for name, value in stored.items() if name != "granted"})
    with pytest.raises(InvalidDataError, match="malformed"):
        CurveHistory.from_dict({**stored, "curves": [[1, 2, 3, 4], [], []]})
    with pytest.raises(InvalidDataError, match="expected a history of space"):
        CurveHistory.from_dict(stored, space=get_space("darts"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h.tell(1, 9, 1.0), "goes on with epoch 3, got a value of epoch 9"),
        (lambda h: h.tell(1, 3, np.inf), "must be finite or NaN, got inf"),
        (lambda h: h.tell(0, 9, 1.0), "trial 0 was not asked to train beyond epoch 3"),
        (lambda h: h.tell(2, 3, 1.0), "trial 2 has failed"),
        (lambda h: h.stop(3), "expected a trial between 0 and 2, got 3"),
        (lambda h: h.grant(1, 9), "trial 1 is still training to epoch 3"),
        (lambda h: h.grant(0, 3), "trial 0 has reached epoch 3, got 3 as its next"),
        (lambda h: h.grant(0, 4), "expected one of the epochs 1, 3, 9, got 4"),
        (lambda h: h.begin(THREE, 2), "expected one of the epochs 1, 3, 9, got 2"),
        (lambda h: CurveHistory.start(SPACE, [3, 1]), r"increasing positive integers, at least one, got \(3, 1\)"),
        (lambda h: CurveHistory.start(SPACE, []), "increasing positive integers"),
    ],
)
def test_refuses_what_cannot_be(history, change, message):
    with pytest.raises(InvalidDataError, match=message):
        change(history)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("curves", [[1, np.nan, 3], [1, 2, 3], [1, 2, 3]], "trial 0 has a gap"),
        ("curves", [[1, 2, 3], [1, 2, np.inf], [1, 2, 3]], "curve of trial 1 must be finite"),
        ("curves", [[1, 2], [1, 2], [1, 2]], "needs curves"),
        ("granted", [9, 9, 3], "trial 2 has reached epoch 9 and was granted 3"),
        ("granted", [9, 10, 9], "trial 1 has reached epoch 9 and was granted 10"),
        ("endings", [0, 3, 0], "the ending of trial 1 must be 0, 1 or 2, got 3"),
    ],
)
def test_refuses_arrays_that_contradict(field, value, message):
    parts = {"curves": np.arange(9.0).reshape(3, 3), "granted": [9, 9, 9], "endings": [0, 0, 0], field: value}
    with pytest.raises(InvalidDataError, match=message):
        CurveHistory(SPACE, (1, 3, 9), THREE, **parts)
