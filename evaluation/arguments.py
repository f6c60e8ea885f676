"""Reading the arguments of a comparison: predictors in all their forms, and lists of integers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.base import clone

from ..encoders import make_encoder
from ..errors import InvalidDataError
from ..predictors import Predictor, make_predictor

Predictors = Mapping[str, str | Predictor] | Sequence[str | Predictor | tuple[str, str | Predictor]]
"""Names, objects (labelled by their class), `(label, name or object)` pairs, or a mapping from labels."""


def labelled_predictors(predictors: Predictors) -> dict[str, Predictor]:
    """Return unfitted predictors by label, copies of those given.

    Names are resolved and encoders made here, so that other processes need not know what a script has registered.

    Raises
    ------
    UnknownNameError
        If there is no predictor or encoder of a name.
    InvalidDataError
        If an item is something else, a label comes twice, or there is none.
    """
    if isinstance(predictors, (str, Predictor)):
        predictors = [predictors]
    items: list[Any] = list(predictors.items()) if isinstance(predictors, Mapping) else list(predictors)
    found: dict[str, Predictor] = {}
    for position, item in enumerate(items):
        label, given = item if isinstance(item, tuple) and len(item) == 2 else (None, item)
        predictor = make_predictor(given) if isinstance(given, str) else given
        if not isinstance(predictor, Predictor):
            raise InvalidDataError(
                f"predictor {position} must be a name, a Predictor or a (label, predictor) pair, got "
                f"{type(predictor).__name__}"
            )
        name = str(label or (given if isinstance(given, str) else type(predictor).__name__))
        if name in found:
            raise InvalidDataError(f"predictor {name!r} comes twice; give (label, predictor) pairs to tell them apart")
        copy = clone(predictor)
        if isinstance(copy.encoder, str):
            copy.set_params(encoder=make_encoder(copy.encoder))
        found[name] = copy
    if not found:
        raise InvalidDataError("expected at least one predictor to compare, got none")
    return found


def distinct_integers(name: str, values: Iterable[int], *, least: int) -> tuple[int, ...]:
    """Return distinct integers of at least `least`, in their order, or raise InvalidDataError."""
    result = []
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise InvalidDataError(f"{name} must be integers of at least {least}, got {value!r}")
        if value in result:
            raise InvalidDataError(f"{name} must be distinct, got {value} twice")
        result.append(int(value))
    if not result:
        raise InvalidDataError(f"{name} must hold at least one integer, got none")
    return tuple(result)
