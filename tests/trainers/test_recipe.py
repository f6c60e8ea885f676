import json
import math

import pytest
import torch
from archcast.errors import InvalidDataError
from archcast.spaces import Skeleton
from archcast.trainers import Fidelity, Recipe, make_task

FULL = {
    "optimizer": "adamw",
    "learning_rate": 0.02,
    "momentum": 0.85,
    "weight_decay": 0.01,
    "schedule": "one_cycle",
    "epochs": 10,
    "batch_size": 100,
    "label_smoothing": 0.1,
    "clip_norm": 5.0,
    "augmentation": ["flip", "mixup"],
    "averaging": 0.99,
    "test": "last_epoch",
    "channels": 16,
    "stages": 1,
    "cells": 2,
}


@pytest.mark.parametrize("content", [{}, FULL, {"channels": None, "augmentation": []}])
def test_round_trip(content):
    recipe = Recipe.from_dict(content)
    stored = json.loads(json.dumps(recipe.to_dict(), allow_nan=False))
    assert Recipe.from_dict(stored) == recipe and Recipe.from_dict(stored).to_dict() == stored
    assert {name: stored[name] for name in content} == content
    assert hash(recipe) == hash(Recipe.from_dict(stored))


def test_numbers_have_one_spelling():
    assert Recipe(learning_rate=1, weight_decay=0, clip_norm=1).to_dict() == (
        Recipe(learning_rate=1.0, weight_decay=0.0, clip_norm=1.0).to_dict()
    )
    assert isinstance(Recipe(learning_rate=1).learning_rate, float)
    assert Recipe(augmentation=["flip"]) == Recipe(augmentation=("flip",))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ({"optimizer": "lion"}, "'optimizer' of a recipe must be one of sgd, adam, adamw, got 'lion'"),
        ({"optimizer": ["sgd"]}, r"'optimizer' of a recipe must be one of sgd, adam, adamw, got \['sgd'\]"),
        ({"schedule": "step"}, "'schedule' of a recipe must be one of one_cycle, cosine, linear, constant, got 'step'"),
        ({"test": "always"}, "'test' of a recipe must be one of every_epoch, last_epoch, never, got 'always'"),
        ({"learning_rate": 0}, "'learning_rate' of a recipe must be a number greater than 0, got 0"),
        ({"learning_rate": math.inf}, "'learning_rate' of a recipe must be a number greater than 0, got inf"),
        ({"learning_rate": math.nan}, "'learning_rate' of a recipe must be a number greater than 0, got nan"),
        ({"learning_rate": "0.1"}, "'learning_rate' of a recipe must be a number greater than 0, got '0.1'"),
        ({"learning_rate": True}, "'learning_rate' of a recipe must be a number greater than 0, got True"),
        ({"learning_rate": None}, "'learning_rate' of a recipe must be a number greater than 0, got None"),
        ({"momentum": 1.0}, "'momentum' of a recipe must be a number at least 0 and less than 1, got 1.0"),
        ({"momentum": -0.1}, "'momentum' of a recipe must be a number at least 0 and less than 1, got -0.1"),
        ({"weight_decay": -1}, "'weight_decay' of a recipe must be a number at least 0, got -1"),
        ({"label_smoothing": 1}, "'label_smoothing' of a recipe must be a number at least 0 and less than 1, got 1"),
        ({"clip_norm": 0}, "'clip_norm' of a recipe must be a number greater than 0, got 0"),
        ({"averaging": 1.0}, "'averaging' of a recipe must be a number greater than 0 and less than 1, got 1.0"),
        ({"averaging": 0}, "'averaging' of a recipe must be a number greater than 0 and less than 1, got 0"),
        ({"epochs": 0}, "'epochs' of a recipe must be an integer of at least 1, got 0"),
        ({"epochs": None}, "'epochs' of a recipe must be an integer of at least 1, got None"),
        ({"batch_size": 2.5}, "'batch_size' of a recipe must be an integer of at least 1, got 2.5"),
        ({"channels": 0}, "'channels' of a recipe must be an integer of at least 1, got 0"),
        ({"stages": True}, "'stages' of a recipe must be an integer of at least 1, got True"),
        ({"cells": -1}, "'cells' of a recipe must be an integer of at least 1, got -1"),
        ({"augmentation": "flip"}, "'augmentation' of a recipe must be a list of names, got 'flip'"),
        ({"augmentation": None}, "'augmentation' of a recipe must be a list of names, got None"),
        ({"augmentation": ["rotate"]}, "unknown augmentation 'rotate', expected any of flip, shift, scale, noise"),
        ({"augmentation": [3]}, "unknown augmentation 3, expected any of flip"),
        ({"lr": 0.1}, "unknown value 'lr' of a recipe, expected optimizer, learning_rate"),
    ],
)
def test_what_is_no_recipe(content, match):
    with pytest.raises(InvalidDataError, match=match) as caught:
        Recipe.from_dict(content)
    assert "\n" not in str(caught.value)


STEPS = [step / 200 for step in range(201)]


def test_constant_linear_and_cosine():
    for progress in STEPS:
        assert Recipe(schedule="constant").rate(progress) == 0.1
        assert Recipe(schedule="linear").rate(progress) == pytest.approx(0.1 - 0.1 * progress)
        expected = 0.1 * (math.cos(math.pi * progress) + 1) / 2
        assert Recipe(schedule="cosine").rate(progress) == pytest.approx(expected)


def test_one_cycle():
    recipe = Recipe(schedule="one_cycle", learning_rate=0.02)
    rates = [recipe.rate(progress) for progress in STEPS]
    assert rates[0] == pytest.approx(0.02 / 25) and rates[60] == pytest.approx(0.02)
    assert rates[-1] == pytest.approx(0.02 / 25 / 1e4)
    assert rates[:61] == sorted(rates[:61]) and rates[60:] == sorted(rates[60:], reverse=True)
    assert recipe.rate(0.15) == pytest.approx((0.02 / 25 + 0.02) / 2)
    assert recipe.rate(0.65) == pytest.approx(0.01, rel=1e-4)


def test_one_cycle_is_that_of_pytorch():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], 0.1)
    # PyTorch's last step is number 1000, and its warm-up ends at step 0.3 * 1001 - 1.
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=1001, pct_start=301 / 1001)
    recipe = Recipe(schedule="one_cycle")
    for step in range(1001):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(recipe.rate(step / 1000), rel=1e-9)
        optimizer.step()
        if step < 1000:
            schedule.step()


def test_skeletons():
    task = make_task("mnist1d", train=10, valid=10, test=10)
    recipe = Recipe(channels=16, stages=1, cells=2)
    assert recipe.skeleton(task) == Skeleton((1, 40), 10, 16, 1, 2)
    assert Recipe().skeleton(task) == Skeleton((1, 40), 10)
    level = Fidelity(resolution=20, width=0.5, cells=1, epochs=3, data_share=0.1)
    assert recipe.skeleton(task, level) == Skeleton((1, 20), 10, 8, 1, 1)
    images = make_task("digits", train=20, valid=10, test=10)
    assert recipe.skeleton(images, Fidelity(resolution=4)) == Skeleton((1, 4, 4), 10, 16, 1, 2)
    with pytest.raises(InvalidDataError, match=r"has width 0.5, and the recipe no number of channels"):
        Recipe().skeleton(task, Fidelity(width=0.5))
