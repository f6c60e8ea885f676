"""Checks of parameters: one sentence that names parameter, value and what was expected."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

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


def checked_levels(quantiles: ArrayLike) -> NDArray[np.float64]:
    """Return levels of quantiles as an array `(q,)`; raise InvalidDataError unless they lie between 0 and 1."""
    levels = np.atleast_1d(np.asarray(quantiles, dtype=np.float64))
    if levels.ndim != 1 or not ((levels > 0) & (levels < 1)).all():
        raise InvalidDataError(f"quantiles must lie strictly between 0 and 1, got {levels.tolist()}")
    return levels


def checked_errors(noise_std: ArrayLike, shape: tuple[int, ...], single: bool) -> NDArray[np.float64]:
    """Return standard errors of targets `(n, m)`, given as `(n,)` if there is a single one.

    Raises
    ------
    InvalidDataError
        Unless they have the shape of the targets, and each is NaN or a finite number from 0.
    """
    try:
        errors = np.asarray(noise_std, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidDataError(f"noise_std must be numbers: {error}") from None
    expected = shape[:1] if single else shape
    if errors.shape != expected:
        raise InvalidDataError(f"noise_std must have the shape of the targets, {expected}, got shape {errors.shape}")
    bad = (errors < 0) | np.isinf(errors)
    if bad.any():
        position = tuple(np.argwhere(bad)[0])
        raise InvalidDataError(
            f"noise_std must be a finite number from 0, or NaN, got {errors[position]} for architecture {position[0]}"
        )
    return errors.reshape(shape)
