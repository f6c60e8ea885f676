import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace

import archcast as ac
import pytest
import trainer_functions as functions
from archcast.errors import ExecutorError, InvalidDataError, MissingDependencyError
from archcast.trainers import CallableTrainer, Journal, RayExecutor, Status, requests_for, stream
from archcast.trainers.ray_cluster import Connection, room_for

SPACE = ac.get_space("nasbench201")


@pytest.fixture(scope="module")
def executor(ray_cluster):
    with RayExecutor(workers=2, max_retries=1) as executor:
        yield executor


def test_a_call_whose_worker_is_killed_is_begun_again(executor, tmp_path):
    handle = executor.submit(functions.die_at_first, str(tmp_path / "mark"))
    others = [executor.submit(functions.double, value) for value in range(10)]
    seen = []

    def kill(reporting, payload):
        seen.append(payload)
        if reporting == handle and len(seen) == 2:
            os.kill(payload[1], signal.SIGKILL)

    found = {outcome.handle: outcome for outcome in executor.results(kill)}
    assert [epoch for epoch, _ in seen] == [1, 2, 1, 2, 3]
    first, second = seen[0][1], seen[-1][1]
    assert first != second
    assert (found[handle].status, found[handle].value) == (Status.FINISHED, second)
    assert [found[other].value for other in others] == [2 * value for value in range(10)]


def test_a_worker_that_dies_each_time_costs_its_call_alone(executor):
    dying = [executor.submit(functions.kill_itself), executor.submit(functions.exit_process, 7)]
    others = [executor.submit(functions.double, value) for value in range(4)]
    found = {outcome.handle: outcome for outcome in executor.results()}
    assert [found[handle].value for handle in others] == [0, 2, 4, 6]
    for handle in dying:
        assert (found[handle].status, found[handle].began) == (Status.KILLED, True)
        assert found[handle].message == "its worker died, in each of 2 attempts"


def test_what_a_training_raises_is_not_tried_again(executor, tmp_path):
    handle = executor.submit(functions.raise_error, "no class 7")
    assert [(outcome.handle, outcome.status) for outcome in executor.results()] == [(handle, Status.FAILED)]


def test_an_idle_worker_that_died_costs_nothing(ray_cluster):
    with RayExecutor(workers=1, max_retries=0) as executor:
        executor.submit(functions.sleep, 0)
        (outcome,) = executor.results()
        os.kill(outcome.value, signal.SIGKILL)
        executor.submit(functions.double, 4)
        assert [outcome.value for outcome in executor.results()] == [8]


def test_a_call_between_two_attempts_is_cancelled(ray_cluster, tmp_path):
    with RayExecutor(workers=1) as executor:
        handle = executor.submit(functions.die_at_first, str(tmp_path / "mark"))

        def kill_and_cancel(_, payload):
            os.kill(payload[1], signal.SIGKILL)
            executor.cancel(handle)

        (outcome,) = executor.results(kill_and_cancel)
        assert (outcome.status, outcome.message, outcome.began) == (Status.STOPPED, "cancelled", True)


def test_a_call_of_a_lost_node_is_begun_again_on_another(ray_cluster, tmp_path):
    nodes = [ray_cluster.add_node(num_cpus=16, include_dashboard=False)]
    ray_cluster.wait_for_nodes()
    visited = []

    def lose_the_first(_, node):
        visited.append(node)
        if len(nodes) == 1:
            ray_cluster.remove_node(nodes[0], allow_graceful=False)
            nodes.append(ray_cluster.add_node(num_cpus=16, include_dashboard=False))

    try:
        with RayExecutor(num_cpus=16, workers=1, max_retries=1) as executor:
            executor.submit(functions.say_node_and_wait_at_first, str(tmp_path / "mark"))
            (outcome,) = executor.results(lose_the_first)
    finally:
        ray_cluster.remove_node(nodes[-1])
    assert visited == [node.node_id for node in nodes]
    assert (outcome.status, outcome.value) == (Status.FINISHED, nodes[1].node_id)


def test_the_memory_limit_fails_one_call_and_renews_its_worker(ray_cluster):
    with RayExecutor(workers=1, memory_limit=1 << 29) as executor:
        executor.submit(functions.sleep, 0)
        executor.submit(functions.exhaust_memory, 1 << 30)
        executor.submit(functions.exhaust_memory, 1 << 20)
        executor.submit(functions.sleep, 0)
        found = list(executor.results())
    assert [outcome.status for outcome in found] == [
        Status.FINISHED,
        Status.OUT_OF_MEMORY,
        Status.FINISHED,
        Status.FINISHED,
    ]
    assert found[2].value == 1 << 20
    assert found[0].value != found[3].value


def test_fractions_of_a_processor_share_it(ray_cluster):
    with RayExecutor(num_cpus=0.5, workers=3) as executor:
        for _ in range(3):
            executor.submit(functions.say_who_until_stopped)
        pids = set()
        results = executor.results(lambda _, pid: pids.add(pid) or len(pids) == 3)
        assert {outcome.value for outcome in results} == pids
    with RayExecutor(num_cpus=0.5) as executor:
        assert executor.workers == 16


def test_trainings_of_every_end_reach_the_journal(ray_cluster, tmp_path):
    requests = requests_for(SPACE, SPACE.sample(1, seed=0), "toy", seeds=range(9))
    with Journal(tmp_path / "study.journal") as journal, RayExecutor(workers=2, max_retries=0) as executor:
        trainer = CallableTrainer(functions.train_by_seed)
        records = {record.seed: record for record in stream(requests, trainer, executor, journal, timeout=1)}
        assert {record.key for record in journal.records()} == {request.key for request in requests}
        assert journal.missing(requests) == [requests[2]]
    assert [records[seed].status for seed in range(9)] == [
        Status.FINISHED,
        Status.FAILED,
        Status.KILLED,
        Status.TIMEOUT,
        Status.OUT_OF_MEMORY,
        Status.DIVERGED,
        Status.FAILED,
        Status.FAILED,
        Status.FINISHED,
    ]
    assert all(records[seed].curves["valid/loss"] == [1.0] for seed in (1, 2, 3, 4))


# ---- what is refused ------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers of a Ray executor must be at least 1, got 0"),
        ({"memory_limit": -5}, "memory_limit of a Ray executor must be at least 1, got -5"),
        ({"max_retries": -1}, "max_retries of a Ray executor must be at least 0, got -1"),
        ({"num_cpus": 0}, "num_cpus of a Ray executor must be greater than 0, .* got 0"),
        ({"num_cpus": 1.5}, "num_cpus .* a whole number if above 1, got 1.5"),
        ({"num_gpus": -0.5}, "num_gpus of a Ray executor must be at least 0, .* got -0.5"),
        ({"num_gpus": float("nan")}, "num_gpus .* got nan"),
    ],
)
def test_parameters_are_checked(options, message):
    with pytest.raises(InvalidDataError, match=message):
        RayExecutor(**options)


def test_more_than_any_node_has_is_said(ray_cluster):
    with (
        pytest.warns(UserWarning, match=r"no node .* has what a worker needs \(CPU 64\); the most on a node is CPU 8:"),
        RayExecutor(num_cpus=64) as executor,
    ):
        waiting = executor.submit(functions.double, 1)
        executor.cancel(waiting)
        assert [outcome.began for outcome in executor.results()] == [False]


def test_room_is_counted_by_node():
    nodes = [
        {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 1.0, "memory": 32e9}},
        {"Alive": True, "Resources": {"CPU": 3.0, "memory": 8e9}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0, "memory": 512e9}},
    ]
    ray = SimpleNamespace(nodes=lambda: nodes)
    for needs, room in (
        ({"CPU": 2, "GPU": 0, "memory": 0}, 5),
        ({"CPU": 1, "GPU": 0.25, "memory": 0}, 4),
        ({"CPU": 1, "GPU": 0, "memory": 8e9}, 5),
    ):
        assert room_for(ray, needs, Connection.STARTED) == room
    with pytest.raises(InvalidDataError, match=r"needs \(CPU 1, GPU 2\); the most on a node is CPU 8, GPU 1"):
        room_for(ray, {"CPU": 1, "GPU": 2, "memory": 0}, Connection.STARTED)


def test_another_cluster_than_the_connected_one_is_refused(ray_cluster):
    with RayExecutor(ray_cluster.address) as executor:
        assert executor.workers == 8
    with pytest.raises(
        InvalidDataError, match=r"is connected to the Ray cluster at .*, it cannot join '192.0.2.7:6379'"
    ):
        RayExecutor("192.0.2.7:6379")


def test_nodes_that_start_no_worker_are_said(ray_cluster, monkeypatch):
    monkeypatch.setattr("archcast.trainers.ray_executor.RayWorker", BrokenWorker)
    with RayExecutor(workers=1) as executor:
        executor.submit(functions.double, 1)
        with pytest.raises(ExecutorError, match="no worker starts on the Ray cluster: ModuleNotFoundError: "):
            list(executor.results())


class BrokenWorker:
    def __init__(self, *arguments):
        raise ModuleNotFoundError("no archcast here")

    def start(self):
        pass


def test_ray_is_asked_for_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'archcast\[ray\]'"):
        RayExecutor()


# ---- a cluster of its own ------------------------------------------------------------


def run_script(text, *arguments):
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(Path(functions.__file__).parent), environment.get("PYTHONPATH", "")]
    )
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(text), *arguments], stdout=subprocess.PIPE, text=True, env=environment
    )


def test_a_cluster_is_started_used_quietly_and_ended(tmp_path):
    pytest.importorskip("ray")
    script = """
        import json
        import ray
        import trainer_functions as functions
        from archcast.errors import ArchcastError
        from archcast.trainers import RayExecutor

        def error_of(*arguments, **options):
            try:
                RayExecutor(*arguments, **options)
            except ArchcastError as error:
                return type(error).__name__, str(error), ray.is_initialized()

        with RayExecutor(workers=1, max_retries=1) as executor:
            executor.submit(functions.kill_itself)
            executor.submit(functions.double, 2)
            values = [str(outcome.status) for outcome in executor.results()]
            usable = ray.is_initialized()
        result = {"values": values, "usable": [usable, ray.is_initialized()]}
        result["unreachable"] = error_of("127.0.0.1:9"), error_of("ray://127.0.0.1:9")
        print(json.dumps(result))
    """
    script = run_script(script)
    output, _ = script.communicate(timeout=60)
    result = json.loads(output)  # nothing else was printed
    assert result["values"] == ["killed", "finished"]
    assert result["usable"] == [True, False]
    for kind, message, connected in result["unreachable"]:
        assert (kind, connected) == ("ExecutorError", False)
        assert "no Ray cluster answers at '" in message


def test_workers_end_with_their_parent(ray_cluster):
    script = """
        import os, sys, time
        from archcast.trainers import RayExecutor

        def say_and_sleep(report):
            report(os.getpid())
            time.sleep(60)

        executor = RayExecutor(sys.argv[1], workers=1)
        executor.submit(say_and_sleep)
        list(executor.results(lambda _, pid: print(pid, flush=True)))
    """
    parent = run_script(script, ray_cluster.address)
    worker = Path("/proc", parent.stdout.readline().strip())
    assert worker.exists()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    end = time.perf_counter() + 15
    while worker.exists() and time.perf_counter() < end:
        time.sleep(0.05)
    assert not worker.exists()
