"""Checks of constructor parameters: one sentence that names parameter, value and what was expected."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import numpy as np

from ..errors import InvalidDataError


def check_choice(name: str, value: Any, choices: Collection[str]) -> None:
    """Raise InvalidDataError unless `value` is one of `choices`."""
    if value not in choices:
        raise InvalidDataError(f"{name} must be one of {', '.join(choices)}, got {value!r}")


def check_integer(name: str, value: Any, least: int) -> None:
    """Raise InvalidDataError unless `value` is a whole number from `least`."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InvalidDataError(f"{name} must be a whole number from {least}, got {value!r}")


def check_real(name: str, value: Any, above: float, most: float = math.inf) -> None:
    """Raise InvalidDataError unless `value` is a finite number in `(above, most]`."""
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    if not (number and above < value <= most and math.isfinite(value)):
        end = f"above {above:g}" if most == math.inf else f"above {above:g} and at most {most:g}"
        raise InvalidDataError(f"{name} must be a number {end}, got {value!r}")
