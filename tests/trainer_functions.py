"""Trainings that workers can import: each takes what a trainer or an executor gives it, and behaves in its own way."""

import os
import signal
import time

import numpy as np
import threadpoolctl


def double(report, value):
    return 2 * value


def square_after_reports(report, value):
    for epoch in range(1, 4):
        report((epoch, value))
    return value * value


def raise_error(report, text):
    raise ValueError(text)


def exit_process(report, status):
    os._exit(status)


def leave(report):
    raise SystemExit(3)


def kill_itself(report):
    os.kill(os.getpid(), signal.SIGKILL)


def leave_a_child_and_die(report, path):
    child = os.fork()
    if not child:
        time.sleep(30)
        os._exit(0)
    with open(path, "w") as file:
        file.write(str(child))
    os.kill(os.getpid(), signal.SIGKILL)


def sleep(report, seconds):
    time.sleep(seconds)
    return os.getpid()


def spin_without_reports(report):
    while True:
        pass


def count_until_stopped(report):
    epoch = 0
    while True:
        epoch += 1
        if report(epoch):
            return epoch
        time.sleep(0.005)


def exhaust_memory(report, size):
    return int(np.ones(size, dtype=np.uint8).sum())


def raise_memory_error(report):
    raise MemoryError


def torch_out_of_memory(report):
    raise RuntimeError("[enforce fail at alloc_cpu.cpp:116] DefaultCPUAllocator: can't allocate memory: you tried ...")


def return_unpicklable(report):
    return (item for item in [1])


def threads_of_libraries(report):
    return os.environ["OMP_NUM_THREADS"], {library["num_threads"] for library in threadpoolctl.threadpool_info()}


def say_who_until_stopped(report):
    while not report(os.getpid()):
        time.sleep(0.005)
    return os.getpid()


def ignores_interrupts(report):
    return signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def die_at_first(report, path):
    """Report three times; the process of the first attempt is to be killed at its second report."""
    first = is_first(path)
    for epoch in (1, 2, 3):
        report((epoch, os.getpid()))
        if epoch == 2 and first:
            time.sleep(60)
    return os.getpid()


def say_node_and_wait_at_first(report, path):
    import ray

    first, node = is_first(path), ray.get_runtime_context().get_node_id()
    report(node)
    if first:
        time.sleep(60)
    return node


def is_first(path):
    """Return True at the first call with this path, also of those in other processes."""
    try:
        open(path, "x").close()
    except FileExistsError:
        return False
    return True


class Counter:
    """A callable with a state that is large to send, which counts how often it is."""

    def __init__(self):
        self.data = np.zeros(3_000_000)
        self.sent = 0

    def __getstate__(self):
        self.sent += 1
        return self.__dict__

    def __call__(self, report, value):
        return value + len(self.data)


# ---- trainings of users: f(architecture, fidelity, seed, report) ----------------------------------------------------


def train_quickly(architecture, fidelity, seed, report):
    for epoch in range(1, (fidelity.epochs or 3) + 1):
        loss = (1 + sum(architecture.genotype) + seed) / epoch
        if report(epoch, {"valid/loss": loss, "valid/accuracy": 1 / (1 + loss)}) == "stop":
            return None
    return {"test/accuracy": 0.5, "parameters": 10, "flops": 20}


def train_for_a_moment(architecture, fidelity, seed, report):
    time.sleep(0.002)
    return train_quickly(architecture, fidelity, seed, report)


def train_by_seed(architecture, fidelity, seed, report):
    """Fail in a way of its own for each seed; seed 0 goes well."""
    report(1, {"valid/loss": 1.0})
    actions = {
        1: lambda: raise_error(report, "class 7 of 5"),
        2: lambda: kill_itself(report),
        3: lambda: time.sleep(60),
        4: lambda: raise_memory_error(report),
        5: lambda: {"valid/loss": float("nan")},
        6: lambda: {"valid/accuracy": "high"},
        7: lambda: [0.1],
    }
    action = actions.get(seed)
    result = action() if action else None
    report(2, {"valid/loss": 0.5})
    return result


def train_with_marks(architecture, fidelity, seed, report):
    """Leave a mark for each training that is begun, in the folder named in the environment."""
    with open(os.path.join(os.environ["MARKS"], f"{'_'.join(map(str, architecture.genotype))}-{seed}"), "a") as file:
        file.write("x")
    return {"valid/accuracy": seed / 10}
