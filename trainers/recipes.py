"""Recipes by name, and which one a task is trained by if nothing else is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import InvalidDataError
from ..registry import Entry, Registry
from .recipe import Recipe
from .tasks import Task

_HERE = ".trainers.recipes"
RECIPES = Registry(
    "recipe",
    {
        "signals": Entry(f"{_HERE}:signals", "signals on a processor: one cell, 10 epochs, as in the shipped table"),
        "small_images": Entry(f"{_HERE}:small_images", "images on a processor: two stages of one cell, 5 epochs"),
        "nasbench201_12": Entry(f"{_HERE}:nasbench201_12", "images: NAS-Bench-201's schedule of 12 epochs"),
        "nasbench201_200": Entry(f"{_HERE}:nasbench201_200", "images: NAS-Bench-201's schedule of 200 epochs"),
    },
)

register_recipe = RECIPES.register


def signals() -> Recipe:
    """Return the recipe of the shipped table: one cell, 10 epochs, AdamW with one cycle. Seconds on a processor."""
    return Recipe(
        optimizer="adamw",
        learning_rate=0.06,
        weight_decay=0.01,
        schedule="one_cycle",
        epochs=10,
        batch_size=100,
        channels=16,
        stages=1,
        cells=1,
    )


def small_images() -> Recipe:
    """Return a recipe for images on a processor: two stages of one cell with 8 channels, 5 epochs."""
    return Recipe(
        optimizer="adamw",
        learning_rate=0.02,
        weight_decay=0.01,
        schedule="one_cycle",
        epochs=5,
        batch_size=64,
        channels=8,
        stages=2,
        cells=1,
    )


def nasbench201_12() -> Recipe:
    """Return NAS-Bench-201's short schedule for images: 12 epochs of SGD (Dong and Yang, ICLR 2020)."""
    return Recipe(epochs=12, augmentation=("flip", "shift"))


def nasbench201_200() -> Recipe:
    """Return NAS-Bench-201's full schedule for images: 200 epochs of SGD (Dong and Yang, ICLR 2020)."""
    return Recipe(epochs=200, augmentation=("flip", "shift"))


def default_recipe(task: Task) -> Recipe:
    """Return the recipe for a task where none is asked for: `signals`, or `small_images`."""
    return signals() if len(task.inputs) == 2 else small_images()


def make_recipe(text: str, /, **changes: Any) -> Recipe:
    """Return a recipe by name, from JSON text, or from a `.json` file.

    Parameters
    ----------
    text : str
        E.g. `"signals"`, `'{"epochs": 20, "optimizer": "sgd"}'` or `"mine.json"`.
    **changes
        Values that replace those of the recipe.

    Raises
    ------
    UnknownNameError
        If it is none of these.
    InvalidDataError
        If the JSON is malformed, or a value is unknown or out of range.
    """
    if text.lstrip().startswith("{"):
        content = _object(text, "the recipe")
    elif text.endswith(".json"):
        try:
            content = _object(Path(text).read_text(encoding="utf-8"), text)
        except OSError as error:
            raise InvalidDataError(f"cannot read the recipe {text!r}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise InvalidDataError(f"cannot read the recipe {text!r}: it is not UTF-8 text") from None
    else:
        content = RECIPES.create(text).to_dict()
    return Recipe.from_dict(content | changes)


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError as error:
        raise InvalidDataError(f"{where} is not valid JSON: {error}") from None
    if not isinstance(content, dict):
        raise InvalidDataError(f"{where} must be a JSON object, got {type(content).__name__}")
    return content
