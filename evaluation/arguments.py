"""Reading the arguments of a comparison: predictors and searchers in all their forms, and lists of integers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from sklearn.base import clone

from ..encoders import make_encoder
from ..errors import InvalidDataError, UnknownNameError
from ..predictors import Predictor, make_predictor
from ..predictors.curves import Extrapolator, make_extrapolator
from ..searchers import Scheduler, Searcher, make_scheduler, make_searcher

T = TypeVar("T", Predictor, Searcher, Scheduler, Extrapolator)
V = TypeVar("V")

Predictors = Mapping[str, str | Predictor] | Sequence[str | Predictor | tuple[str, str | Predictor]]
"""Names, objects (labelled by their class), `(label, name or object)` pairs, or a mapping from labels."""

Searchers = Mapping[str, str | Searcher] | Sequence[str | Searcher | tuple[str, str | Searcher]]
"""The same of searchers."""

Schedulers = Mapping[str, str | Scheduler] | Sequence[str | Scheduler | tuple[str, str | Scheduler]]
"""The same of schedulers, whose names are `scheduler[@searcher]`."""


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
    found = _labelled("predictor", predictors, Predictor, make_predictor)
    return _with_made(found, "encoder", make_encoder)


def labelled_extrapolators(
    extrapolators: Mapping[str, str | Extrapolator] | Sequence[str | Extrapolator | tuple[str, str | Extrapolator]],
) -> dict[str, Extrapolator]:
    """Return unfitted extrapolators by label, copies of those given; their encoders are made here.

    Raises
    ------
    UnknownNameError
        If there is no extrapolator or encoder of a name.
    InvalidDataError
        If an item is something else, a label comes twice, or there is none.
    """
    found = _labelled("extrapolator", extrapolators, Extrapolator, make_extrapolator)
    return _with_made(found, "encoder", make_encoder)


def labelled_searchers(searchers: Searchers) -> dict[str, Searcher]:
    """Return searchers by label, copies of those given.

    Raises
    ------
    UnknownNameError
        If there is no searcher of a name.
    InvalidDataError
        If an item is something else, a label comes twice, or there is none.
    """
    return _labelled("searcher", searchers, Searcher, make_searcher)


def labelled_schedulers(schedulers: Schedulers) -> dict[str, Scheduler]:
    """Return schedulers by label, copies of those given; their searchers are made here.

    Raises
    ------
    UnknownNameError
        If there is no scheduler or searcher of a name.
    InvalidDataError
        If an item is something else, a label comes twice, or there is none.
    """
    found = _labelled("scheduler", schedulers, Scheduler, make_scheduler)
    return _with_made(found, "searcher", make_searcher)


def _with_made(found: dict[str, T], parameter: str, make: Callable[[str], Any]) -> dict[str, T]:
    """Replace names that a parameter holds by what they name."""
    for item in found.values():
        value = item.get_params(deep=False).get(parameter)
        if isinstance(value, str):
            item.set_params(**{parameter: make(value)})
    return found


def of_label(kind: str, label: str, known: Mapping[str, V]) -> V:
    """Return what has a label.

    Raises
    ------
    UnknownNameError
        If nothing has it.
    """
    if label not in known:
        raise UnknownNameError(f"no {kind} {label!r} here, expected one of {', '.join(known)}")
    return known[label]


def metric_at_epoch(what: str, text: str) -> tuple[str, int | None]:
    """Return the metric and the epoch of `METRIC[@EPOCH]`.

    Raises
    ------
    InvalidDataError
        If something else than an integer follows the `@`; the message begins with `what`.
    """
    metric, at, epoch = text.rpartition("@")
    if not at:
        return text, None
    if not epoch.isdecimal():
        raise InvalidDataError(f"{what} must name an integer epoch after '@', got {text!r}")
    return metric, int(epoch)


def _labelled(kind: str, given: Any, base: type[T], make: Callable[[str], T]) -> dict[str, T]:
    if isinstance(given, (str, base)):
        given = [given]
    items: list[Any] = list(given.items()) if isinstance(given, Mapping) else list(given)
    found: dict[str, T] = {}
    for position, item in enumerate(items):
        label, chosen = item if isinstance(item, tuple) and len(item) == 2 else (None, item)
        component = make(chosen) if isinstance(chosen, str) else chosen
        if not isinstance(component, base):
            raise InvalidDataError(
                f"{kind} {position} must be a name, a {base.__name__} or a (label, {kind}) pair, got "
                f"{type(component).__name__}"
            )
        name = str(label or (chosen if isinstance(chosen, str) else type(component).__name__))
        if name in found:
            raise InvalidDataError(f"{kind} {name!r} comes twice; give (label, {kind}) pairs to tell them apart")
        found[name] = clone(component)
    if not found:
        raise InvalidDataError(f"expected at least one {kind} to compare, got none")
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
