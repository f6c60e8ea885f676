import subprocess
import sys

import numpy as np
import pytest
from archcast.errors import InvalidDataError, UnknownNameError
from archcast.trainers import Task, make_task, register_task
from archcast.trainers.tasks import TASKS
from archcast.trainers.tasks.mnist1d import generate
from archcast.trainers.tasks.task import SPLITS
from scipy.interpolate import interp1d
from scipy.ndimage import gaussian_filter

TEMPLATES = {
    0: [5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5],
    1: [5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5],
    2: [5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5],
    3: [5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5],
    4: [5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5],
    5: [5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5],
    6: [5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5],
    7: [5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5],
    8: [5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5],
    9: [5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5],
}


def stretched(values, points):
    return interp1d(np.linspace(0, 1, len(values)), values)(np.linspace(0, 1, points))


def published(label, padding, amplitude, move, smooth, rough, shear):
    """One signal by the published recipe, step by step, with given draws: uniform ones from [0, 1)."""
    shape = np.array(TEMPLATES[label])
    shape = (shape - shape.mean()) / shape.std()
    shape = (shape - shape[0]) / 6
    signal = np.concatenate([shape + 1e-8, np.zeros(padding)])
    signal = stretched(signal, 12 + 60)
    signal = signal * (1 + 0.4 * (amplitude - 0.5))
    signal = np.concatenate([signal[-move:], signal[:-move]]) if move else signal
    signal = np.where(signal != 0, signal, gaussian_filter(0.25 * smooth, 2))
    signal = signal + 0.02 * rough
    signal = signal - 0.75 * (shear - 0.5) * np.linspace(-0.5, 0.5, len(signal))
    return stretched(signal, 40)


def test_signals_are_those_of_the_published_recipe():
    n = 300
    signals, labels = generate(n, np.random.default_rng(7))
    rng = np.random.default_rng(7)
    np.testing.assert_array_equal(labels, rng.permutation(np.arange(n) % 10))
    padding = rng.integers(36, 61, size=n)
    amplitude = rng.random(n)
    move = rng.integers(48, size=n)
    smooth = rng.standard_normal((n, 72))
    rough = rng.standard_normal((n, 72))
    shear = rng.random(n)
    expected = [
        published(*draws) for draws in zip(labels.tolist(), padding, amplitude, move, smooth, rough, shear, strict=True)
    ]
    assert signals.shape == (n, 1, 40) and signals.dtype == np.float32
    np.testing.assert_allclose(signals[:, 0], expected, atol=2e-6)
    assert padding.min() == 36 and padding.max() == 60 and move.min() == 0 and move.max() == 47


def test_statistics():
    signals, labels = generate(20_000, np.random.default_rng(0))
    assert np.bincount(labels).tolist() == [2000] * 10
    rng = np.random.default_rng(1)
    reference = np.stack(
        [
            published(
                number % 10,
                36 + int(rng.random() * 25),
                rng.random(),
                int(rng.integers(48)),
                rng.standard_normal(72),
                rng.standard_normal(72),
                rng.random(),
            )
            for number in range(2000)
        ]
    )
    assert signals.mean() == pytest.approx(reference.mean(), abs=0.005)
    assert signals.std() == pytest.approx(reference.std(), rel=0.03)
    for label in range(10):
        ours, theirs = signals[labels == label, 0], reference[label::10]
        error = np.sqrt(ours.var(axis=0) / len(ours) + theirs.var(axis=0) / len(theirs))
        assert (np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) / error).max() < 4.5
        np.testing.assert_allclose(ours.std(axis=0), theirs.std(axis=0), rtol=0.35)


def test_the_task():
    task = make_task("mnist1d")
    assert (task.name, task.inputs, task.outputs) == ("mnist1d", (1, 40), 10)
    assert [len(getattr(task, part)) for part in SPLITS] == [2000, 1000, 4000]
    for part in SPLITS:
        split = getattr(task, part)
        assert np.bincount(split.targets).min() > 0.07 * len(split)
    whole = np.bincount(np.concatenate([getattr(task, part).targets for part in SPLITS]))
    assert whole.tolist() == [700] * 10
    rows = np.concatenate([getattr(task, part).inputs[:, 0] for part in SPLITS])
    assert len(np.unique(rows, axis=0)) == 7000


def test_the_standard_data_never_change():
    task = make_task("mnist1d")
    assert task.train.targets[:12].tolist() == [8, 8, 4, 6, 1, 9, 9, 0, 8, 5, 2, 8]
    np.testing.assert_allclose(
        task.train.inputs[0, 0, :5], [-0.0201424, -0.0053218, -0.0015308, -0.0638993, -0.2883955], atol=1e-6
    )
    np.testing.assert_allclose([float(task.test.inputs[i].sum()) for i in (0, -1)], [-1.38766, -0.29829], atol=1e-4)


def test_other_sizes_and_seeds_have_other_names_and_data():
    tasks = [
        make_task("mnist1d", train=50, valid=20, test=30),
        make_task("mnist1d", train=50, valid=20, test=30, seed=1),
        make_task("mnist1d", train=20, valid=50, test=30),
        make_task("mnist1d", train=20, valid=50, test=30, length=20),
    ]
    assert [task.name for task in tasks] == [
        "mnist1d-train50-valid20-test30",
        "mnist1d-train50-valid20-test30-seed1",
        "mnist1d-train20-valid50-test30",
        "mnist1d-train20-valid50-test30-length20",
    ]
    assert len({task.digest for task in tasks}) == 4 and tasks[3].inputs == (1, 20)
    assert make_task("mnist1d", train=50, valid=20, test=30).digest == tasks[0].digest


@pytest.mark.parametrize("length", [1, 8, 20, 40])
def test_shorter_signals_are_means_of_neighbouring_points(length):
    sizes = {"train": 30, "valid": 20, "test": 30}
    whole, shorter = make_task("mnist1d", **sizes), make_task("mnist1d", **sizes, length=length)
    width = 40 // length
    for part in SPLITS:
        points = getattr(whole, part).inputs
        expected = [[row[0, i * width : (i + 1) * width].mean() for i in range(length)] for row in points]
        np.testing.assert_allclose(getattr(shorter, part).inputs[:, 0], expected, atol=1e-6)
        np.testing.assert_array_equal(getattr(shorter, part).targets, getattr(whole, part).targets)


def test_every_process_generates_the_same():
    script = "from archcast.trainers import make_task; print(make_task('mnist1d').digest)"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == make_task("mnist1d").digest


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"train": 0}, "'train' of mnist1d must be an integer of at least 1, got 0"),
        ({"valid": -3}, "'valid' of mnist1d must be an integer of at least 1, got -3"),
        ({"test": 10.0}, "'test' of mnist1d must be an integer of at least 1, got 10.0"),
        ({"test": True}, "'test' of mnist1d must be an integer of at least 1, got True"),
        ({"seed": -1}, "'seed' of mnist1d must be an integer of at least 0, got -1"),
        ({"length": 0}, "'length' of mnist1d must be an integer of at least 1, got 0"),
        ({"length": 80}, "'length' of mnist1d must be a divisor of 40, got 80"),
        ({"length": 12}, "'length' of mnist1d must be a divisor of 40, got 12"),
        ({"points": 40}, "task 'mnist1d' has no parameter 'points', expected one of train, valid, test, length, seed"),
    ],
)
def test_parameters(parameters, match):
    with pytest.raises(InvalidDataError, match=match):
        make_task("mnist1d", **parameters)


def test_tasks_by_name():
    with pytest.raises(UnknownNameError, match=r"unknown task 'mnist2d', .*did you mean 'mnist1d'"):
        make_task("mnist2d")
    assert {
        "mnist1d",
        "digits",
        "cifar10",
        "cifar100",
        "mnist",
        "fashion_mnist",
        "imagenet16_120",
        "folder",
        "npz",
    } <= (set(TASKS.names()))
    register_task("wrong_task")(lambda: 3)
    with pytest.raises(InvalidDataError, match="task 'wrong_task' is registered with an int, expected a Task"):
        make_task("wrong_task")
    register_task("small_mnist1d")(small)
    assert isinstance(make_task("small_mnist1d"), Task) and TASKS.summary("small_mnist1d") == "A little of MNIST-1D."


def small():
    """A little of MNIST-1D."""
    return make_task("mnist1d", train=10, valid=10, test=10)
