"""The training loop against a plain one written here, option by option, for one network and for several at once."""

import copy
import math
from dataclasses import replace

import archcast as ac
import numpy as np
import pytest
import torch
from archcast.trainers import Fidelity, Recipe, make_task, task_from_arrays
from archcast.trainers.augmentation import AUGMENTATIONS, mixup_share
from archcast.trainers.layouts import PlainLayout, ReplicatedLayout, initial_state
from archcast.trainers.loop import TrainingLoop, _generator
from archcast.trainers.torch_trainer import task_tensors
from torch import nn

SPACE = ac.get_space("nasbench201")
CELL = SPACE.parse(["|nor_conv_3x3~0|+|avg_pool_3x3~0|skip_connect~1|+|nor_conv_1x1~0|none~1|nor_conv_3x3~2|"])[0]
BASE = Recipe(epochs=3, batch_size=21, channels=4, stages=2, cells=1, learning_rate=0.05)
SEEDS = [0, 5]


@pytest.fixture(scope="module")
def task():
    return make_task("mnist1d", train=64, valid=32, test=24)


def loop_for(task, recipe, seeds, *, epochs=None, data_share=1.0, dtype="float64", resolution=None):
    layout = PlainLayout() if len(seeds) == 1 else ReplicatedLayout(len(seeds))
    skeleton = recipe.skeleton(task, Fidelity(resolution=resolution))
    states = [initial_state(CELL, skeleton, seed) for seed in seeds]
    network = layout.build(CELL, skeleton, states).to(getattr(torch, dtype))
    data = task_tensors(task, resolution, torch.device("cpu"), dtype)
    chosen = recipe.epochs if epochs is None else epochs
    return TrainingLoop(network, layout, task, data, recipe, seeds, epochs=chosen, data_share=data_share)


def curves(loop):
    """Return one dict of curves for each network."""
    epochs = list(loop.run())
    return [
        {name: [epoch[r][name] for epoch in epochs] for name in epochs[-1][r] if name in epochs[0][r]}
        for r in range(loop.layout.replicas)
    ]


# ---- the plain loop --------------------------------------------------------------------------------------------------


def plain_rate(recipe, progress):
    top = recipe.learning_rate

    def cosine(start, end, share):
        return end + (start - end) / 2 * (1 + math.cos(math.pi * share))

    if recipe.schedule == "one_cycle":
        if progress < 0.3:
            return cosine(top / 25, top, progress / 0.3)
        return cosine(top, top / 25 / 1e4, (progress - 0.3) / 0.7)
    return {"constant": top, "linear": top * (1 - progress), "cosine": cosine(top, 0, progress)}[recipe.schedule]


def plain_optimizer(recipe, network):
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            network.parameters(), 1.0, recipe.momentum, 0, recipe.weight_decay, recipe.momentum > 0, foreach=False
        )
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
    return kind(network.parameters(), 1.0, (recipe.momentum, 0.999), 1e-8, recipe.weight_decay, foreach=False)


def plain_loss(recipe, outputs, labels):
    """Return the cross-entropy with smoothed targets, written out."""
    targets = nn.functional.one_hot(labels, outputs.shape[1]).to(outputs)
    targets = (1 - recipe.label_smoothing) * targets + recipe.label_smoothing / outputs.shape[1]
    return -(targets * outputs.log_softmax(dim=1)).sum(dim=1)


def plain_training(task, recipe, seed):
    network = SPACE.build(CELL, recipe.skeleton(task), seed=seed).double()
    inputs, labels = torch.from_numpy(task.train.inputs).double(), torch.from_numpy(task.train.targets)
    part = torch.randperm(len(inputs), generator=_generator(seed, 1 + 1))
    order, augmenter = _generator(seed, 1), _generator(seed, 3)
    optimizer = plain_optimizer(recipe, network)
    evaluated, steps, done = network, 3, 0
    found = {}
    for _ in range(recipe.epochs):
        shuffled = part[torch.randperm(len(part), generator=order)]
        network.train()
        losses, right = [], []
        for start in range(0, 63, recipe.batch_size):  # the 64th example would be a batch of its own: left out
            rows = shuffled[start : start + recipe.batch_size]
            batch, targets = inputs[rows], labels[rows]
            for name in recipe.augmentation:
                if name != "mixup":
                    batch = AUGMENTATIONS[name](batch, augmenter)
            share = mixup_share(augmenter) if "mixup" in recipe.augmentation else 1.0
            outputs = network(share * batch + (1 - share) * batch.flip(0))
            loss = plain_loss(recipe, outputs, targets)
            loss = (share * loss + (1 - share) * plain_loss(recipe, outputs, targets.flip(0))).mean()
            optimizer.param_groups[0]["lr"] = plain_rate(recipe, done / (recipe.epochs * steps))
            optimizer.zero_grad()
            loss.backward()
            if recipe.clip_norm is not None:
                nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_norm)
            optimizer.step()
            done += 1
            if recipe.averaging is not None:
                evaluated = averaged(evaluated if done > 1 else None, network, recipe.averaging)
            losses.append(loss.item())
            right.append(float((outputs.argmax(1) == targets).double().mean()))
        measured = {"train/loss": np.mean(losses), "train/accuracy": np.mean(right)}
        for split in ("valid", "test"):
            examples = getattr(task, split)
            with torch.no_grad():
                outputs = evaluated.eval()(torch.from_numpy(examples.inputs).double())
            targets = torch.from_numpy(examples.targets)
            measured[f"{split}/loss"] = float(nn.functional.cross_entropy(outputs, targets))
            measured[f"{split}/accuracy"] = float((outputs.argmax(1) == targets).double().mean())
        for name, value in measured.items():
            found.setdefault(name, []).append(value)
    return found


def averaged(before, network, decay):
    result = copy.deepcopy(network if before is None else before)
    if before is not None:
        for mine, value in zip(result.state_dict().values(), network.state_dict().values(), strict=True):
            if mine.is_floating_point():
                mine.copy_(decay * mine + (1 - decay) * value)
    return result


OPTIONS = {
    "sgd": {},
    "sgd without momentum": {"momentum": 0.0, "weight_decay": 0.0},
    "adam": {"optimizer": "adam", "learning_rate": 0.01, "momentum": 0.8, "weight_decay": 0.0},
    "adamw": {"optimizer": "adamw", "learning_rate": 0.01, "weight_decay": 0.1},
    "one_cycle": {"schedule": "one_cycle"},
    "linear": {"schedule": "linear"},
    "constant": {"schedule": "constant"},
    "clip_norm": {"clip_norm": 0.3},
    "label_smoothing": {"label_smoothing": 0.2},
    "averaging": {"averaging": 0.7},
    "shift": {"augmentation": ("shift",)},
    "mixup": {"augmentation": ("mixup",)},
    "all": {"augmentation": ("scale", "noise", "cutout", "flip", "mixup"), "label_smoothing": 0.1, "clip_norm": 1.0,
            "averaging": 0.5, "optimizer": "adamw", "learning_rate": 0.01, "schedule": "one_cycle"},
}  # fmt: skip


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_curves_are_those_of_a_plain_loop(task, options):
    recipe = replace(BASE, **options)
    together = curves(loop_for(task, recipe, SEEDS))
    for seed, found in zip(SEEDS, together, strict=True):
        expected = plain_training(task, recipe, seed)
        alone = curves(loop_for(task, recipe, [seed]))[0]
        assert found.keys() == alone.keys() == expected.keys()
        for name, curve in expected.items():
            assert alone[name] == pytest.approx(curve, rel=1e-6), name
            assert found[name] == pytest.approx(curve, rel=1e-6), name


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "sgd"])
def test_every_option_changes_the_training(task, name):
    """Otherwise the comparison above would not notice an option that is ignored on both sides."""
    changed, base = (curves(loop_for(task, recipe, [0]))[0] for recipe in (replace(BASE, **OPTIONS[name]), BASE))
    assert changed["valid/loss"] != base["valid/loss"]


# ---- several networks at once ----------------------------------------------------------------------------------------


def test_four_seeds_at_once_are_those_one_after_another(task):
    recipe = replace(BASE, optimizer="adamw", learning_rate=0.02, schedule="one_cycle", batch_size=16)
    seeds = [0, 1, 2, 3]
    for found, seed in zip(curves(loop_for(task, recipe, seeds)), seeds, strict=True):
        for name, curve in curves(loop_for(task, recipe, [seed]))[0].items():
            assert found[name] == pytest.approx(curve, rel=1e-6), name
    single = {"dtype": "float32"}
    for found, seed in zip(curves(loop_for(task, recipe, seeds, **single)), seeds, strict=True):
        alone = curves(loop_for(task, recipe, [seed], **single))[0]
        for split in ("train", "valid", "test"):
            assert found[f"{split}/loss"][0] == pytest.approx(alone[f"{split}/loss"][0], rel=1e-3)


def test_seeds_differ(task):
    first, second = curves(loop_for(task, BASE, SEEDS))
    assert first["train/loss"] != second["train/loss"]
    assert curves(loop_for(task, BASE, SEEDS[::-1]))[0]["train/loss"] == pytest.approx(second["train/loss"], rel=1e-9)


def test_gradients_are_clipped_network_by_network(task):
    """A network with steep gradients does not shorten the steps of the others."""
    recipe = replace(BASE, clip_norm=0.2, optimizer="sgd", momentum=0.0, weight_decay=0.0)
    loop = loop_for(task, recipe, SEEDS)
    with torch.no_grad():
        list(loop.network.parameters())[-1][0] *= 1000
    before = [parameter.detach().clone() for parameter in loop.network.parameters()]
    loop.optimizer.param_groups[0]["lr"] = 1.0
    loop._step([torch.arange(16), torch.arange(16)])
    moves = [
        (parameter.detach() - old).flatten(1).square().sum(1)
        for parameter, old in zip(loop.network.parameters(), before, strict=True)
    ]
    assert torch.stack(moves).sum(0).sqrt() == pytest.approx([0.2, 0.2], rel=1e-6)


# ---- how much is trained ---------------------------------------------------------------------------------------------


def test_parts_of_the_data_are_nested_and_each_seed_has_its_own(task):
    parts = {share: loop_for(task, BASE, SEEDS, data_share=share).parts for share in (0.1, 0.25, 0.5, 1.0)}
    for share, (first, second) in parts.items():
        assert len(first) == len(second) == round(64 * share)
        assert set(first.tolist()) != set(second.tolist()) or share == 1.0
        assert len(set(first.tolist())) == len(first)
    for small, large in ((0.1, 0.25), (0.25, 0.5), (0.5, 1.0)):
        for r in range(2):
            assert set(parts[small][r].tolist()) < set(parts[large][r].tolist())


@pytest.mark.parametrize(("share", "sizes"), [(1.0, [21, 21, 21]), (0.5, [21, 11]), (0.25, [16]), (0.001, [1])])
def test_an_epoch_sees_each_example_of_the_part_once(task, share, sizes, monkeypatch):
    loop = loop_for(task, BASE, SEEDS, data_share=share)
    seen = []
    nothing = {"loss": torch.zeros(2)}
    monkeypatch.setattr(loop, "_step", lambda rows: (seen.append([row.tolist() for row in rows]), nothing)[1])
    loop._epoch(0)
    loop._epoch(1)
    assert [len(rows[0]) for rows in seen] == 2 * sizes
    for r in range(2):
        for epoch in (seen[: len(sizes)], seen[len(sizes) :]):
            flat = [row for rows in epoch for row in rows[r]]
            assert len(set(flat)) == len(flat) == sum(sizes)
            assert set(flat) <= set(loop.parts[r].tolist())
    if share == 1.0:
        assert seen[0][0] != seen[3][0]  # another order in each epoch
        assert seen[0][0] != seen[0][1]  # and for each seed


@pytest.mark.parametrize(("when", "expected"), [("every_epoch", [1, 2, 3]), ("last_epoch", [3]), ("never", [])])
def test_when_the_test_examples_are_looked_at(task, when, expected):
    epochs = list(loop_for(task, replace(BASE, test=when), SEEDS).run())
    assert [n for n, measured in enumerate(epochs, start=1) if "test/loss" in measured[0]] == expected
    every = list(loop_for(task, BASE, SEEDS).run())
    for measured, full in zip(epochs, every, strict=True):
        assert all(values == {name: full[r][name] for name in values} for r, values in enumerate(measured))


def test_a_shorter_training_has_a_shorter_schedule(task):
    short, long = (curves(loop_for(task, BASE, [0], epochs=epochs))[0] for epochs in (2, 3))
    assert short["train/loss"][0] != long["train/loss"][0]
    rates = [BASE.rate(step / 6) for step in range(6)]
    assert rates == sorted(rates, reverse=True)


def test_inputs_are_resampled(task):
    tensors = task_tensors(task, 20, torch.device("cpu"), "float64")
    assert tensors["train"][0].shape == (64, 1, 20)
    ramp = task_from_arrays("ramp", (np.tile(np.arange(8.0), (10, 1)), np.arange(10) % 2))
    halved = task_tensors(ramp, 4, torch.device("cpu"), "float64")["train"][0][0, 0]
    assert halved.tolist() == [0.5, 2.5, 4.5, 6.5]
    images = task_from_arrays("images", (np.ones((10, 1, 8, 8)), np.arange(10) % 2))
    assert task_tensors(images, 4, torch.device("cpu"), "float32")["test"][0].shape[1:] == (1, 4, 4)
    assert torch.allclose(task_tensors(images, 4, torch.device("cpu"), "float32")["train"][0], torch.tensor(1.0))
    low = curves(loop_for(task, BASE, [0], resolution=20))[0]
    assert low["valid/loss"] != curves(loop_for(task, BASE, [0]))[0]["valid/loss"]
