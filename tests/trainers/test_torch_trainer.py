"""`TorchTrainer`: the same seeds give the same curves; knobs do what they say; whatever goes wrong is recorded."""

import math
import random
from dataclasses import replace

import archcast as ac
import numpy as np
import pytest
import torch
from archcast.errors import InvalidArchitectureError, InvalidDataError
from archcast.spaces.networks.operations import register_operation
from archcast.trainers import (
    Fidelity,
    ProcessPool,
    Recipe,
    Status,
    TorchTrainer,
    loop,
    make_task,
    measures,
    requests_for,
    run,
    task_from_arrays,
    train,
)
from archcast.trainers.torch_trainer import network_size
from torch import nn

SPACE = ac.get_space("nasbench201")
ALL_CONVOLUTIONS = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
CELL = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|nor_conv_1x1~1|none~2|"
RECIPE = Recipe(epochs=3, batch_size=32, channels=4, stages=1, cells=1, learning_rate=0.05)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def task():
    return make_task("mnist1d", train=64, valid=32, test=32)


def trained(task, architecture=CELL, recipe=RECIPE, fidelity=None, seeds=(0,), *, executor=None, **options):
    """Return the records of one architecture, one a seed."""
    known = {name: options.pop(name) for name in ("on_epoch", "timeout") if name in options}
    trainer = TorchTrainer(task, recipe, device="cpu", **options)
    return run(trainer.requests(SPACE, [architecture], fidelity, seeds), trainer, executor, **known)


def images(n=40, size=8, classes=2):
    labels = np.arange(n) % classes
    pixels = np.random.default_rng(0).normal(size=(n, 3, size, size)) + labels[:, None, None, None]
    return task_from_arrays("images", (pixels, labels))


# ---- the same training -----------------------------------------------------------------------------------------------


def test_a_record_says_what_was_trained(task):
    record = trained(task)[0]
    assert record.status is Status.FINISHED and record.message == ""
    assert (record.architecture, record.task, record.seed) == (CELL, task.name, 0)
    assert record.recipe == RECIPE.to_dict()
    assert record.warm_start is None and record.peak_memory is None
    assert record.seconds > 0
    assert list(record.curves) == list(task.curves())
    assert all(len(curve) == 3 and all(map(math.isfinite, curve)) for curve in record.curves.values())


def test_the_same_seed_gives_the_same_curves(task):
    first, second = trained(task, seeds=[0, 1])
    assert [record.curves for record in trained(task, seeds=[0, 1])] == [first.curves, second.curves]
    assert first.curves != second.curves


def test_other_processes_train_the_same_within_their_memory(task):
    trainer = TorchTrainer(task, RECIPE, device="cpu")
    requests = trainer.requests(SPACE, [CELL], seeds=[0, 1])
    huge = replace(requests[0], recipe=replace(RECIPE, channels=30_000).to_dict())
    with ProcessPool(1, memory_limit=6_000_000_000) as pool:
        *records, last = run([*requests, huge], trainer, pool)
    assert [(record.key, record.curves) for record in records] == [
        (record.key, record.curves) for record in run(requests, trainer)
    ]
    assert last.status is Status.OUT_OF_MEMORY
    assert last.message and not last.curves


def test_seeds_do_not_depend_on_how_many_are_trained_at_once(task):
    four, two, one = (trained(task, seeds=range(4), dtype="float64", seeds_at_once=at_once) for at_once in (None, 3, 1))
    for records in (two, one):
        for found, expected in zip(records, four, strict=True):
            assert found.key == expected.key
            for name, curve in expected.curves.items():
                assert found.curves[name] == pytest.approx(curve, rel=1e-6)


@pytest.mark.parametrize(("at_once", "sizes"), [(None, [8, 3]), (1, [1] * 11), (4, [4, 4, 3])])
def test_how_many_seeds_go_together(task, at_once, sizes, monkeypatch):
    seen = []
    original = loop.TrainingLoop.__init__

    def look(self, *arguments, **options):
        seen.append(len(arguments[5]))
        original(self, *arguments, **options)

    monkeypatch.setattr(loop.TrainingLoop, "__init__", look)
    assert len(trained(task, fidelity=Fidelity(epochs=1), seeds=range(11), seeds_at_once=at_once)) == 11
    assert seen == sizes
    seen.clear()
    trainer = TorchTrainer(task, RECIPE, device="cpu", seeds_at_once=at_once)
    trainer(lambda _payload: False, trainer.requests(SPACE, [CELL], Fidelity(epochs=1), range(11)))
    assert seen == sizes  # whoever calls it with more gets the same


def test_random_numbers_of_others_are_left_alone(task):
    def states():
        return torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())  # noqa: NPY002

    before = states()
    trained(task, recipe=replace(RECIPE, augmentation=("noise", "mixup")), seeds=[0, 1])
    trained(task, seeds=[0], timeout=0.05, fidelity=Fidelity(epochs=10_000))
    assert states() == before
    torch.manual_seed(123)
    assert trained(task)[0].curves == trained(task)[0].curves
    torch.set_rng_state(torch.tensor(before[0], dtype=torch.uint8))


# ---- fidelities ------------------------------------------------------------------------------------------------------


def test_epochs_and_shares_make_a_training_shorter(task, monkeypatch):
    steps = []
    original = loop.TrainingLoop._step
    monkeypatch.setattr(loop.TrainingLoop, "_step", lambda self, rows: steps.append(rows) or original(self, rows))
    counts = {}
    for fidelity in (Fidelity(), Fidelity(epochs=1), Fidelity(data_share=0.5), Fidelity(epochs=5, data_share=0.25)):
        record = trained(task, fidelity=fidelity)[0]
        counts[fidelity.epochs, fidelity.data_share] = (record.epochs, len(steps), sum(len(rows[0]) for rows in steps))
        assert record.fidelity == fidelity
        steps.clear()
    assert counts == {(None, 1.0): (3, 6, 192), (1, 1.0): (1, 2, 64), (None, 0.5): (3, 3, 96), (5, 0.25): (5, 5, 80)}


def test_width_cells_and_resolution_make_a_network_smaller(task):
    full, narrow, deep, low = (
        trained(task, fidelity=fidelity)[0]
        for fidelity in (Fidelity(), Fidelity(width=0.5), Fidelity(cells=3), Fidelity(resolution=20))
    )
    #  stem and its norm, both convolutions and their norms, the last norm, the classifier
    assert full.parameters == (12 + 8) + (48 + 8) + (16 + 8) + 8 + 50
    assert narrow.parameters == (6 + 4) + (12 + 4) + (4 + 4) + 4 + 30
    assert deep.parameters == full.parameters + 2 * (56 + 24)
    assert low.parameters == full.parameters
    assert full.flops == 40 * (12 + 48 + 16) + 40
    assert narrow.flops == 40 * (6 + 12 + 4) + 20
    assert deep.flops == full.flops + 2 * 40 * 64
    assert low.flops == 20 * (12 + 48 + 16) + 40
    assert len({tuple(record.curves["valid/loss"]) for record in (full, narrow, deep, low)}) == 4
    assert len({record.key for record in (full, narrow, deep, low)}) == 4


def test_networks_are_as_large_as_published():
    architecture = SPACE.parse([ALL_CONVOLUTIONS])[0]
    complexity = SPACE.complexity([ALL_CONVOLUTIONS])
    parameters, flops = network_size(architecture, ac.Skeleton())
    assert parameters == complexity["params"][0] == 1_531_546
    assert flops == pytest.approx(complexity["flops"][0], rel=1e-6)


def test_a_width_needs_channels_to_multiply(task):
    trainer = TorchTrainer(task, Recipe())
    with pytest.raises(InvalidDataError, match=r"width 0\.5, and the recipe no number of channels for it to multiply"):
        trainer.requests(SPACE, [CELL], Fidelity(width=0.5))


# ---- tasks -----------------------------------------------------------------------------------------------------------


def test_networks_learn(task):
    recipe = replace(RECIPE, epochs=30, channels=16, optimizer="adamw", learning_rate=0.02, schedule="one_cycle")
    for record in trained(make_task("mnist1d", train=500, valid=200, test=200), recipe=recipe, seeds=[0, 1]):
        assert record.final("valid/accuracy") > 0.5
        assert record.final("train/loss") < 0.6 * record.curves["train/loss"][0]


def test_numbers_are_predicted():
    signals = np.random.default_rng(0).normal(size=(150, 16))
    targets = np.stack([signals.mean(axis=1), 3 + signals[:, 0] * 0], axis=1)
    task = task_from_arrays("means", (signals, targets), loss="mse", metrics=("mae", "mse"))
    recipe = replace(RECIPE, epochs=15, channels=8, optimizer="adamw", learning_rate=0.02)
    together = trained(task, recipe=recipe, seeds=[0, 1], dtype="float64")
    for record, seed in zip(together, (0, 1), strict=True):
        for split in ("train", "valid", "test"):
            assert record.curves[f"{split}/loss"] == pytest.approx(record.curves[f"{split}/mse"])
            assert record.curves[f"{split}/mae"][-1] ** 2 <= record.curves[f"{split}/mse"][-1] + 1e-12
        assert record.final("valid/loss") < 0.1 * record.curves["train/loss"][0]
        alone = trained(task, recipe=recipe, seeds=[seed], dtype="float64")[0]
        assert record.curves["test/mae"] == pytest.approx(alone.curves["test/mae"], rel=1e-6)


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "mae"])
def test_other_losses_of_numbers(loss):
    signals = np.random.default_rng(0).normal(size=(60, 12))
    task = task_from_arrays("signs", (signals, (signals.mean(axis=1) > 0) * 1.0), loss=loss)
    record = trained(task, recipe=replace(RECIPE, epochs=10))[0]
    assert record.curves["train/loss"][-1] < record.curves["train/loss"][0]


def test_images(monkeypatch):
    task = images()
    recipe = replace(RECIPE, stages=2, augmentation=("flip", "shift", "cutout", "mixup"))
    records = trained(task, recipe=recipe, seeds=[0, 1], fidelity=Fidelity(epochs=2, resolution=6))
    assert [record.status for record in records] == [Status.FINISHED] * 2
    assert records[0].curves != records[1].curves
    assert records[0].curves == trained(task, recipe=recipe, fidelity=Fidelity(epochs=2, resolution=6))[0].curves
    assert records[0].flops < trained(task, recipe=recipe)[0].flops
    with pytest.raises(InvalidDataError, match="seeds_at_once must be 1 for images, got 2"):
        TorchTrainer(task, seeds_at_once=2)


# ---- what goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seeds", [[0], [0, 1, 2]])
def test_a_training_that_diverges_has_its_curve(task, seeds):
    recipe = replace(RECIPE, learning_rate=1e30, schedule="constant")
    for record in trained(task, recipe=recipe, seeds=seeds, fidelity=Fidelity(epochs=50)):
        assert record.status is Status.DIVERGED
        assert 1 <= record.epochs < 50  # nothing is left to train
        name, _, rest = record.message.partition(" is ")
        assert name.endswith("loss") and rest in (
            f"nan after epoch {record.epochs}",
            f"inf after epoch {record.epochs}",
        )
        assert not math.isfinite(record.final(name))
        assert record.parameters == 158


def test_one_seed_that_diverges_leaves_the_others_as_they_are(task, monkeypatch):
    expected = trained(task, seeds=range(4), recipe=replace(RECIPE, clip_norm=1.0))
    calls = []

    def break_second(outputs, targets):
        losses = measures.cross_entropy(outputs, targets)
        calls.append(outputs)
        if len(calls) > 4 and outputs.requires_grad:  # in the second epoch
            losses = losses * torch.tensor([1.0, torch.nan, 1.0, 1.0])[:, None]
        return losses

    broken = measures.LOSSES | {"cross_entropy": measures.Measure(break_second, classes=True)}
    monkeypatch.setattr(loop, "LOSSES", broken)
    reports = []
    records = trained(
        task,
        seeds=range(4),
        recipe=replace(RECIPE, clip_norm=1.0),
        on_epoch=lambda request, epoch, metrics: reports.append((request.seed, epoch)),
    )
    assert [record.status for record in records] == [
        Status.FINISHED, Status.DIVERGED, Status.FINISHED, Status.FINISHED,
    ]  # fmt: skip
    for seed in (0, 2, 3):
        assert records[seed].curves == expected[seed].curves
    assert records[1].message == "train/loss is nan after epoch 2"
    assert records[1].epochs == 2
    assert records[1].curves["valid/loss"][0] == expected[1].curves["valid/loss"][0]
    assert reports.count((1, 2)) == 1 and (1, 3) not in reports and (3, 3) in reports


def test_operations_that_give_nan_diverge():
    @register_operation("broken_for_trainings")
    def _broken(_layers, _inputs, _outputs, _stride):
        class Broken(nn.Module):
            def forward(self, features):
                return features / 0.0 * 0.0

        return Broken()

    space = ac.get_space("cell", nodes=2, operations=["skip_connect", "broken_for_trainings"])
    task = make_task("mnist1d", train=20, valid=10, test=10)
    trainer = TorchTrainer(task, RECIPE, device="cpu")
    good, bad = run(trainer.requests(space, ["|skip_connect~0|", "|broken_for_trainings~0|"]), trainer)
    assert good.status is Status.FINISHED
    assert bad.status is Status.DIVERGED
    assert bad.message == "train/loss is nan after epoch 1"


def test_trainings_stop_when_asked(task):
    def stop_second(request, epoch, _metrics):
        return "stop" if epoch == 2 else None

    for record in trained(task, seeds=[0, 1], fidelity=Fidelity(epochs=9), on_epoch=stop_second):
        assert record.status is Status.STOPPED
        assert record.message == "stopped after epoch 2"
        assert record.epochs == 2 and record.curves["valid/loss"][0] > 0
    last = trained(task, on_epoch=lambda request, epoch, metrics: "stop" if epoch == 3 else None)[0]
    assert last.status is Status.FINISHED and last.message == ""


def test_what_cannot_be_built_fails_and_the_others_go_on(task):
    space = ac.get_space("cell", nodes=2, operations=["skip_connect", "mystery"])
    trainer = TorchTrainer(task, RECIPE, device="cpu")
    bad, good = run(trainer.requests(space, ["|mystery~0|", "|skip_connect~0|"]), trainer)
    assert bad.status is Status.FAILED
    assert "operation 'mystery' has no network" in bad.message
    assert good.status is Status.FINISHED
    unbuilt = ac.get_space("nasbench_nlp")
    record = train(unbuilt.sample(1, seed=0)[0], task, RECIPE, device="cpu")
    assert record.status is Status.FAILED and "there are no networks" in record.message
    small = trained(task, recipe=replace(RECIPE, stages=8))[0]
    assert small.status is Status.FAILED and "too small for a network that halves" in small.message


def test_requests_of_another_task_fail(task):
    trainer = TorchTrainer(task, RECIPE, device="cpu")
    request = requests_for(SPACE, [CELL], "cifar10", RECIPE.to_dict())[0]
    record = run([request], trainer)[0]
    assert record.status is Status.FAILED
    assert f"this trainer is for task {task.name!r}, got a request for 'cifar10'" in record.message


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail at alloc_cpu.cpp:116] DefaultCPUAllocator: can't allocate memory: you tried ..."),
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        MemoryError(),
    ],
)
def test_memory_that_runs_out_is_recorded_with_the_curve(task, monkeypatch, error):
    original = loop.TrainingLoop._epoch

    def fail_later(self, epoch):
        if epoch == 2:
            raise error
        return original(self, epoch)

    monkeypatch.setattr(loop.TrainingLoop, "_epoch", fail_later)
    first, second = trained(task, seeds=[0, 1])
    assert first.status is second.status is Status.OUT_OF_MEMORY
    assert first.epochs == second.epochs == 2
    assert first.message


def test_time_that_runs_out_is_recorded_with_the_curve(task):
    record = trained(task, fidelity=Fidelity(epochs=100_000), timeout=0.3)[0]
    assert record.status is Status.TIMEOUT
    assert 1 <= record.epochs < 100_000
    assert record.message == "did not end within 0.3 s"


# ---- parameters ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"task": "mnist1d"}, "expected a Task to train on, got 'mnist1d'"),
        ({"device": "tpu"}, "the device must be one of auto, cpu, cuda, mps, got 'tpu'"),
        ({"dtype": "float16"}, "dtype must be 'float32' or 'float64', got 'float16'"),
        ({"seeds_at_once": 0}, "seeds_at_once must be at least 1, got 0"),
    ],
)
def test_parameters_are_checked(task, options, match):
    with pytest.raises(InvalidDataError, match=match):
        TorchTrainer(**({"task": task} | options))


def test_one_architecture_is_trained(task):
    record = train(SPACE.parse([CELL]), task, RECIPE, Fidelity(epochs=1), seed=3, device="cpu")
    assert (record.seed, record.epochs) == (3, 1)
    with pytest.raises(InvalidDataError, match="expected one architecture to train, got 2"):
        train(SPACE.sample(2, seed=0), task, RECIPE)
    with pytest.raises(InvalidArchitectureError):
        TorchTrainer(task, RECIPE).requests(SPACE, ["|none~0|"])
    with pytest.raises(InvalidDataError, match="expected distinct seeds"):
        TorchTrainer(task, RECIPE).requests(SPACE, [CELL], seeds=[1, 1])
