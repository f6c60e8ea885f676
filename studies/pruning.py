"""Early stopping of trainings that will not be among the best: Optuna's pruners by name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import InvalidDataError, UnknownNameError
from ..optional import require
from .database import quiet

if TYPE_CHECKING:
    from optuna.pruners import BasePruner

PRUNERS: Mapping[str, str] = {
    "median": "MedianPruner",
    "percentile": "PercentilePruner",
    "successive_halving": "SuccessiveHalvingPruner",
    "hyperband": "HyperbandPruner",
    "threshold": "ThresholdPruner",
}
"""Optuna's pruners by the name under which studies take them; a step is an epoch, counted from 1."""


def make_pruner(spec: Mapping[str, Any] | None) -> BasePruner | None:
    """Return a pruner from `{"name": ..., "parameters": {...}}`, None from None.

    Raises
    ------
    UnknownNameError
        If there is none of that name.
    InvalidDataError
        If it does not take one of the parameters, or refuses its value.
    """
    if spec is None:
        return None
    name = spec.get("name")
    if not isinstance(name, str) or name not in PRUNERS:
        raise UnknownNameError(f"unknown pruner {name!r}, expected one of {', '.join(PRUNERS)}")
    optuna: Any = require("optuna", "a live study", "optuna")
    factory = getattr(optuna.pruners, PRUNERS[name])
    known = inspect.signature(factory).parameters
    for parameter in spec.get("parameters", {}):
        if parameter not in known:
            raise InvalidDataError(f"pruner {name!r} has no parameter {parameter!r}, expected {', '.join(known)}")
    try:
        with quiet(optuna):
            pruner: BasePruner = factory(**spec.get("parameters", {}))
    except (TypeError, ValueError) as error:
        raise InvalidDataError(f"pruner {name!r} cannot be made: {error}") from None
    return pruner


def pruner_spec(name: str | None, parameters: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """Return the description of a pruner that `make_pruner` reads, and that is stored with a study."""
    return None if name is None else {"name": name, "parameters": dict(parameters or {})}
