import functools
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest
import trainer_functions as functions
from archcast.errors import InvalidDataError
from archcast.trainers import Status
from archcast.trainers.executors import InProcess
from archcast.trainers.process_pool import ProcessPool
from archcast.trainers.ray_executor import RayExecutor


@pytest.fixture(scope="module")
def pool():
    with ProcessPool(2) as executor:
        yield executor


@pytest.fixture(scope="module")
def ray_executor(ray_cluster):
    with RayExecutor(workers=2, max_retries=1) as executor:
        yield executor


@pytest.fixture(params=["in process", "pool", "ray"])
def executor(request):
    if request.param == "in process":
        with InProcess() as executor:
            yield executor
    else:
        yield request.getfixturevalue({"pool": "pool", "ray": "ray_executor"}[request.param])


@pytest.fixture(params=["pool", "ray"])
def workers(request):
    """Executors that run calls in other processes, two at a time."""
    return request.getfixturevalue({"pool": "pool", "ray": "ray_executor"}[request.param])


@pytest.fixture(params=["in process", "pool", "ray"])
def new_executor(request):
    if request.param == "ray":
        request.getfixturevalue("ray_cluster")
    return {"in process": InProcess, "pool": lambda: ProcessPool(2), "ray": lambda: RayExecutor(workers=2)}[
        request.param
    ]


def outcomes(executor, on_report=None):
    return {outcome.handle: outcome for outcome in executor.results(on_report)}


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# ---- what all executors promise ------------------------------------------------------------


def test_each_call_has_one_outcome(executor):
    handles = [executor.submit(functions.double, value) for value in range(20)]
    assert len(set(handles)) == 20
    found = list(executor.results())
    assert sorted(outcome.handle for outcome in found) == handles
    assert {outcome.handle: outcome.value for outcome in found} == {h: 2 * i for i, h in enumerate(handles)}
    assert {outcome.status for outcome in found} == {Status.FINISHED}
    assert list(executor.results()) == []


def test_calls_submitted_while_results_come_are_included(executor):
    first = executor.submit(functions.double, 1)
    values = {}
    for outcome in executor.results():
        values[outcome.handle] = outcome.value
        if outcome.value < 16:
            executor.submit(functions.double, outcome.value)
    assert list(values.values()) == [2, 4, 8, 16]
    assert next(iter(values)) == first


def test_reports_come_in_order_and_before_the_outcome(executor):
    seen = []
    handles = [executor.submit(functions.square_after_reports, value) for value in (3, 4)]
    for outcome in executor.results(lambda handle, payload: seen.append((handle, *payload))):
        seen.append((outcome.handle, "end", outcome.value))
    for handle, value in zip(handles, (3, 4), strict=True):
        assert [event[1:] for event in seen if event[0] == handle] == [
            (1, value),
            (2, value),
            (3, value),
            ("end", value * value),
        ]


@pytest.mark.parametrize(
    ("function", "arguments", "status", "message"),
    [
        (functions.raise_error, ("no class 7\nhere",), Status.FAILED, "ValueError: no class 7 here"),
        (functions.leave, (), Status.FAILED, "SystemExit: 3"),
        (functions.raise_memory_error, (), Status.OUT_OF_MEMORY, "MemoryError"),
        (functions.exhaust_memory, (1 << 60,), Status.OUT_OF_MEMORY, "Unable to allocate"),
        (functions.torch_out_of_memory, (), Status.OUT_OF_MEMORY, "can't allocate memory"),
    ],
)
def test_a_call_that_fails_says_how_and_the_others_go_on(executor, function, arguments, status, message):
    before = executor.submit(functions.double, 1)
    failing = executor.submit(function, *arguments)
    after = executor.submit(functions.double, 2)
    found = outcomes(executor)
    assert (found[failing].status, found[failing].value, found[failing].began) == (status, None, True)
    assert message in found[failing].message
    assert (found[before].value, found[after].value) == (2, 4)


def test_a_call_that_exceeds_its_time_is_ended(executor):
    handle = executor.submit(functions.spin_without_reports, timeout=0.2)
    after = executor.submit(functions.double, 2, timeout=30)
    start = time.perf_counter()
    found = outcomes(executor)
    assert found[handle].status is Status.TIMEOUT
    assert found[handle].message == "did not end within 0.2 s"
    assert 0.15 < found[handle].seconds < 1.5
    assert found[after].value == 4
    assert time.perf_counter() - start < 3


def test_a_true_answer_to_a_report_stops_the_call_with_what_it_has(executor):
    handle = executor.submit(functions.count_until_stopped)
    outcome = outcomes(executor, lambda _, epoch: epoch == 3)[handle]
    assert outcome.status is Status.FINISHED
    assert 3 <= outcome.value < 100


def test_a_running_call_is_cancelled(executor):
    handle = executor.submit(functions.count_until_stopped)
    outcome = outcomes(executor, lambda running, epoch: executor.cancel(running) and False)[handle]
    assert (outcome.status, outcome.message, outcome.began) == (Status.STOPPED, "cancelled", True)
    assert not executor.cancel(handle)
    assert not executor.stop(handle)


def test_a_queued_call_is_cancelled_before_it_begins(executor):
    handles = [executor.submit(functions.double, value) for value in range(6)]
    running = [executor.submit(functions.sleep, 0.05) for _ in range(3)]
    waiting = executor.submit(functions.double, 7)
    assert executor.cancel(waiting)
    found = outcomes(executor)
    assert (found[waiting].status, found[waiting].began, found[waiting].seconds) == (Status.STOPPED, False, 0.0)
    assert all(found[handle].status is Status.FINISHED for handle in handles + running)


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan")])
def test_a_timeout_must_be_positive(executor, timeout):
    with pytest.raises(InvalidDataError, match="positive number of seconds"):
        executor.submit(functions.double, 1, timeout=timeout)


def test_a_closed_executor_takes_nothing(new_executor):
    with new_executor() as executor:
        executor.submit(functions.double, 1)
    executor.close()
    assert list(executor.results()) == []
    with pytest.raises(InvalidDataError, match="closed"):
        executor.submit(functions.double, 1)


# ---- those with workers ------------------------------------------------------------


def test_workers_run_at_the_same_time_with_one_thread_each(workers):
    for _ in range(2):
        workers.submit(functions.sleep, 0.05)  # both have started when they have ended
    outcomes(workers)
    start = time.perf_counter()
    for _ in range(2):
        workers.submit(functions.sleep, 0.5)
    pids = {outcome.value for outcome in workers.results()}
    assert len(pids) == 2
    assert os.getpid() not in pids
    assert time.perf_counter() - start < 0.95
    handle = workers.submit(functions.threads_of_libraries)
    assert outcomes(workers)[handle].value == ("1", {1})


def test_functions_without_a_module_are_sent_by_value(workers):
    handle = workers.submit(eval("lambda report, value: value + 1"), 5)
    assert outcomes(workers)[handle].value == 6


def test_a_large_function_is_sent_once(workers):
    counter = functions.Counter()
    list(workers.results())
    for value in range(2):
        workers.submit(counter, value)
    outcomes(workers)
    before = counter.sent
    handles = [workers.submit(counter, value) for value in range(50)]
    found = outcomes(workers)
    assert [found[handle].value for handle in handles] == [3_000_000 + value for value in range(50)]
    assert counter.sent - before <= 1


def test_what_cannot_be_sent_is_said(workers):
    with pytest.raises(InvalidDataError, match="arguments of a call cannot be sent"):
        workers.submit(functions.double, (item for item in [1]))
    with pytest.raises(InvalidDataError, match=r"the function functools.partial\(.*\) cannot be sent"):
        workers.submit(functools.partial(functions.double, threading.Lock()))
    handle = workers.submit(functions.return_unpicklable)
    outcome = outcomes(workers)[handle]
    assert outcome.status is Status.FAILED
    assert "generator" in outcome.message


def test_closing_ends_the_workers_whatever_they_do(new_executor):
    pids = set()
    with new_executor() as executor:
        if isinstance(executor, InProcess):
            pytest.skip("it has no workers")
        for _ in range(2):
            executor.submit(functions.say_who_until_stopped)
        executor.submit(functions.double, 1)

        def remember_and_leave(_handle, pid):
            pids.add(pid)
            if len(pids) == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            list(executor.results(remember_and_leave))
        assert all(map(is_running, pids))
    end = time.perf_counter() + 5
    while any(map(is_running, pids)) and time.perf_counter() < end:
        time.sleep(0.02)
    assert not any(map(is_running, pids))


# ---- the pool ------------------------------------------------------------


def test_ctrl_c_does_not_reach_workers(pool):
    handle = pool.submit(functions.ignores_interrupts)
    assert outcomes(pool)[handle].value is True


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (functions.kill_itself, (), "its worker was killed by SIGKILL"),
        (functions.exit_process, (7,), "its worker ended with exit status 7"),
    ],
)
def test_a_worker_that_dies_costs_its_call_alone(pool, function, arguments, message):
    handles = []
    for value in range(4):
        handles.append(pool.submit(functions.double, value))
        pool.submit(function, *arguments)
    found = outcomes(pool)
    assert [found[handle].value for handle in handles] == [0, 2, 4, 6]
    lost = [outcome for outcome in found.values() if outcome.handle not in handles]
    assert {(outcome.status, outcome.message) for outcome in lost} == {(Status.KILLED, message)}


def test_a_worker_killed_from_outside_while_it_sleeps_is_replaced(pool):
    handle = pool.submit(functions.count_until_stopped)
    pids = []

    def kill(_handle, epoch):
        if epoch == 2:
            busy = next(process for process in pool._processes if process.call is not None)
            pids.append(busy.process.pid)
            os.kill(busy.process.pid, signal.SIGKILL)

    assert outcomes(pool, kill)[handle].status is Status.KILLED
    handle = pool.submit(functions.sleep, 0)
    assert outcomes(pool)[handle].value not in pids


def test_a_worker_that_dies_before_processes_of_its_own_is_noticed(pool, tmp_path):
    handle = pool.submit(functions.leave_a_child_and_die, str(tmp_path / "child"))
    start = time.perf_counter()
    assert outcomes(pool)[handle].status is Status.KILLED
    assert time.perf_counter() - start < 5
    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


def test_an_idle_worker_that_died_costs_nothing():
    with ProcessPool(1) as executor:
        executor.submit(functions.sleep, 0)
        (outcome,) = executor.results()
        os.kill(outcome.value, signal.SIGKILL)
        executor._processes[0].process.wait()
        executor.submit(functions.double, 4)
        assert [outcome.value for outcome in executor.results()] == [8]


def test_a_kill_for_memory_is_told_from_other_kills(monkeypatch, tmp_path):
    events = tmp_path / "memory.events"
    events.write_text("low 0\noom 1\noom_kill 4\n")
    monkeypatch.setattr("archcast.trainers.process_pool._MEMORY_EVENTS", events)
    with ProcessPool(1) as executor:
        executor.submit(functions.count_until_stopped)

        def kill_for_memory(_handle, epoch):
            if epoch == 1:
                events.write_text("low 0\noom 2\noom_kill 5\n")
                os.kill(executor._processes[0].process.pid, signal.SIGKILL)

        (outcome,) = executor.results(kill_for_memory)
    assert outcome.status is Status.OUT_OF_MEMORY


def test_the_memory_limit_fails_one_call_and_renews_its_worker():
    with ProcessPool(1, memory_limit=1 << 30) as executor:
        large = executor.submit(functions.exhaust_memory, 2 << 30)
        small = executor.submit(functions.exhaust_memory, 1 << 20)
        first = executor._processes[0]
        found = outcomes(executor)
        assert found[large].status is Status.OUT_OF_MEMORY
        assert found[small].value == 1 << 20
        assert executor._processes[0] is not first


@pytest.mark.parametrize(("name", "value"), [("workers", 0), ("memory_limit", -5), ("threads", 0)])
def test_parameters_of_the_pool_are_checked(name, value):
    with pytest.raises(InvalidDataError, match=f"{name} of a process pool must be at least 1, got {value}"):
        ProcessPool(**{name: value})


def test_workers_end_with_their_parent(tmp_path):
    # the parent has no guard against being imported again, and its function is its own
    script = textwrap.dedent(
        """
        import os, time
        from archcast.trainers.process_pool import ProcessPool

        def say_and_sleep(report):
            report(os.getpid())
            time.sleep(60)

        executor = ProcessPool(1)
        executor.submit(say_and_sleep)
        list(executor.results(lambda _, pid: print(pid, flush=True)))
        """
    )
    path = tmp_path / "script.py"
    path.write_text(script)
    parent = subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE, text=True)
    worker = int(parent.stdout.readline())
    assert is_running(worker)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    end = time.perf_counter() + 10
    while is_running(worker) and time.perf_counter() < end:
        time.sleep(0.02)
    assert not is_running(worker)
