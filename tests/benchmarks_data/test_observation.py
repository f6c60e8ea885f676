from __future__ import annotations

import math

import archcast as ac
import numpy as np
import pytest
from archcast.benchmarks_data import MetricInfo, Observation, write_observations
from archcast.errors import InvalidArchitectureError, InvalidDataError

ACCURACY = MetricInfo("mnist1d/test_accuracy", "fraction", "higher", "10 epochs")
LOSS = MetricInfo("mnist1d/loss", "", "lower")


@pytest.fixture(scope="module")
def archs():
    return ac.get_space("nasbench201").parse([[0] * 6, [1] * 6, [2] * 6])


def test_a_study_becomes_a_table(tmp_path, archs):
    name = ACCURACY.name
    study = [
        Observation(archs[0], {name: 0.5}, fidelity=5, cost=1.0, seed=0),
        Observation(archs[0], {name: 0.75, LOSS.name: 0.25}, fidelity=10, cost=2.0, seed=0),
        Observation(archs[1], {name: 0.25}, fidelity=10, cost=3.0, seed=7),
        Observation(archs[2], {name: math.nan}, fidelity=5, status="failed"),
        Observation(archs[1], fidelity=10, status="running"),
    ]
    table = write_observations(tmp_path / "s.h5", study, [ACCURACY, LOSS], about={"name": "study"})
    assert table.architectures == archs and table.name == "study"
    info = table.info(name)
    assert (info.epochs, info.seeds, info.note, info.unit) == ((5, 10), (0, 7), "10 epochs", "fraction")
    nan = np.nan
    np.testing.assert_array_equal(table.values(name, epoch="all"), [[0.5, 0.75], [nan, 0.25], [nan, nan]])
    np.testing.assert_array_equal(table.values(LOSS.name), [0.25, nan, nan])
    np.testing.assert_array_equal(table.costs, [2, 3, nan])
    assert table.about["cost_metric"] == "training/cost" and not table.is_higher_better("training/cost")


def test_metrics_that_nobody_measured_are_missing(tmp_path, archs):
    table = write_observations(tmp_path / "s.h5", [Observation(archs[0], {ACCURACY.name: 1.0})], [ACCURACY, LOSS])
    assert np.isnan(table.values(LOSS.name)).all() and set(table.metrics) == {ACCURACY.name, LOSS.name}
    assert table.about["cost_metric"] == "" and np.isnan(table.costs).all()


def test_studies_that_contradict_themselves_are_refused(tmp_path, archs):
    def write(*observations):
        write_observations(tmp_path / "s.h5", observations, [ACCURACY])

    name = ACCURACY.name
    with pytest.raises(
        InvalidDataError, match=r"observation 0 and observation 2 .* 'mnist1d/test_accuracy': 0.5 and 1"
    ):
        write(Observation(archs[0], {name: 0.5}), Observation(archs[1], {name: 0}), Observation(archs[0], {name: 1}))
    with pytest.raises(InvalidDataError, match="observation 0 has metric 'a/b'"):
        write(Observation(archs[0], {"a/b": 1}))
    with pytest.raises(InvalidDataError, match="no finished observation"):
        write(Observation(archs[0], status="running"))
    other = ac.get_space("nasbench_macro").sample(1, seed=0)[0]
    with pytest.raises(InvalidArchitectureError, match="architecture of observation 1 is not valid"):
        write(Observation(archs[0], {name: 1}), Observation(other, {name: 1}))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"values": {"a/b": math.inf}}, "'a/b' of .* is infinite"),
        ({"cost": -1.0}, "number of seconds, got -1"),
        ({"status": "done"}, "status must be one of complete, running, failed, pruned, got 'done'"),
    ],
)
def test_observations_are_checked(archs, arguments, said):
    with pytest.raises(InvalidDataError, match=said):
        Observation(archs[0], **arguments)
