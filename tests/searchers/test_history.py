import json

import numpy as np
import pytest
from archcast import History, get_space
from archcast.errors import InvalidArchitectureError, InvalidDataError
from archcast.searchers import Status
from hypothesis import given, settings
from hypothesis import strategies as st

SPACE = get_space("nasbench201")
ARCHS = SPACE.sample(6, seed=0, canonical=True)


def test_ask_and_tell_follow_each_trial():
    start = History.start(SPACE)
    asked = start.ask(ARCHS[:4])
    told = asked.tell(ARCHS[[2, 0, 1]], [3.0, 1.0, np.nan])
    assert len(start) == 0
    assert asked.status.tolist() == [Status.PENDING] * 4
    assert told.status.tolist() == [Status.FINISHED, Status.FAILED, Status.FINISHED, Status.PENDING]
    np.testing.assert_array_equal(told.values, [1.0, np.nan, 3.0, np.nan])
    assert told.best() == 2
    assert (told.finished.tolist(), told.failed.tolist(), told.pending.tolist()) == ([0, 2], [1], [3])
    assert told.first(1).values.tolist() == [1.0]


def test_telling_what_was_never_asked_appends_it():
    history = History.start(SPACE).ask(ARCHS[:1]).tell(ARCHS[:3], [1.0, 2.0, np.nan])
    assert history.architectures == ARCHS[:3]
    assert history.status.tolist() == [Status.FINISHED, Status.FINISHED, Status.FAILED]


def test_repeated_genotypes_are_answered_one_by_one():
    history = History.start(SPACE).ask(ARCHS[[0, 0]]).tell(ARCHS[:1], [1.0])
    assert history.values[0] == 1.0
    assert history.pending.tolist() == [1]
    assert history.tell(ARCHS[:1], [2.0]).values.tolist() == [1.0, 2.0]


def test_direction():
    history = History.start(SPACE, higher_is_better=False).tell(ARCHS[:3], [2.0, 1.0, 3.0])
    assert history.best() == 1
    assert history.utilities.tolist() == [-2.0, -1.0, -3.0]
    assert History.start(SPACE).best() is None


def test_seen_knows_isomorphic_twins():
    rows = SPACE.enumerate()
    keys = rows.keys()
    twins = rows[np.flatnonzero(keys == keys[0])[:2]]
    history = History.start(SPACE).ask(twins[:1])
    assert len(twins) == 2
    assert history.seen(twins).all()
    assert not history.seen(ARCHS[:1]).any()
    np.testing.assert_array_equal(history.tell(twins[:1], [0.0]).keys, history.keys)


def test_arrays_are_read_only():
    values = np.zeros(1)
    history = History(SPACE, ARCHS[:1], values, np.array([Status.FINISHED]))
    values[0] = 5
    assert history.values[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        history.values[0] = 1


@settings(deadline=None, max_examples=40)
@given(
    values=st.lists(st.one_of(st.none(), st.floats(-1e300, 1e300), st.just(float("nan"))), max_size=8),
    higher=st.booleans(),
    pooled=st.booleans(),
)
def test_json_round_trip(values, higher, pooled):
    batch = SPACE.sample(len(values), seed=1)
    history = History.start(SPACE, higher_is_better=higher, pool=ARCHS if pooled else None).ask(batch)
    for row, value in enumerate(values):
        if value is not None:
            history = history.tell(batch[row : row + 1], [value])
    again = History.from_dict(json.loads(json.dumps(history.to_dict(), allow_nan=False)))
    assert again == history
    np.testing.assert_array_equal(again.values, history.values)
    assert (again.pool is not None) == pooled
    assert History.from_dict(history.to_dict(), space=SPACE) == history


def test_histories_differ_by_any_part():
    history = History.start(SPACE).tell(ARCHS[:2], [1.0, 2.0])
    assert history != History.start(SPACE).tell(ARCHS[:2], [1.0, 2.5])
    assert history != History.start(SPACE, higher_is_better=False).tell(ARCHS[:2], [1.0, 2.0])
    assert history != "history"
    assert hash(history) == hash(History.from_dict(history.to_dict()))


OTHER = get_space("darts").sample(2, seed=0)
GOOD = History.start(SPACE).tell(ARCHS[:2], [1.0, 2.0]).to_dict()


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: History.start(SPACE).ask(OTHER), InvalidArchitectureError, "'darts'"),
        (lambda: History.start(SPACE, pool=OTHER), InvalidArchitectureError, "'darts'"),
        (lambda: History.start(SPACE, pool=ARCHS[:0]), InvalidDataError, "at least one"),
        (lambda: History.start(SPACE).tell(ARCHS[:2], [1.0]), InvalidDataError, r"2 architectures.*\(1,\)"),
        (lambda: History.start(SPACE).tell(ARCHS[:2], [1.0, np.inf]), InvalidDataError, "architecture 1.*inf"),
        (lambda: History.start(SPACE).tell(ARCHS[:1], ["good"]), InvalidDataError, "must be numbers"),
        (lambda: History(SPACE, ARCHS[:2], np.zeros(1), np.zeros(2)), InvalidDataError, "shapes"),
        (lambda: History(SPACE, ARCHS[:1], np.zeros(1), np.array([7])), InvalidDataError, "trial 0.*got 7"),
        (lambda: History(SPACE, ARCHS[:1], np.zeros(1), np.array([0])), InvalidDataError, "trial 0 is pending"),
        (lambda: History(SPACE, ARCHS[:1], np.array([np.nan]), np.array([1])), InvalidDataError, "trial 0 is finished"),
        (lambda: History.from_dict({}), InvalidDataError, "format 1, got None"),
        (lambda: History.from_dict([]), InvalidDataError, "format 1, got 'list'"),
        (lambda: History.from_dict({**GOOD, "format": 3}), InvalidDataError, "got 3"),
        (lambda: History.from_dict({"format": 1, "space": SPACE.spec}), InvalidDataError, "lacks 'pool'"),
        (lambda: History.from_dict(GOOD, space=OTHER.space), InvalidDataError, "expected a history of space"),
        (lambda: History.from_dict({**GOOD, "values": [1.0, "x"]}), InvalidDataError, "malformed"),
        (lambda: History.from_dict({**GOOD, "genotypes": [[0] * 6, [9] * 6]}), InvalidArchitectureError, "got 9"),
        (lambda: History.from_dict({**GOOD, "genotypes": [[0.5] * 6] * 2}), InvalidArchitectureError, "integers"),
        (lambda: History.from_dict({**GOOD, "status": [1]}), InvalidDataError, "shapes"),
    ],
)
def test_bad_input_is_named(act, error, message):
    with pytest.raises(error, match=message):
        act()
