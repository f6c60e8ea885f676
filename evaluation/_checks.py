"""Checks that all measures share: what they are given must be finite vectors of one length."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidDataError


def vector(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return `values` as a float64 vector `(n,)`.

    Raises
    ------
    InvalidDataError
        If they are not numbers, or not one-dimensional.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidDataError(f"{name} must be numbers, got {np.asarray(values, dtype=object).ravel()[:3]}") from None
    if array.ndim != 1:
        raise InvalidDataError(f"{name} must be one-dimensional, got shape {array.shape}")
    return array


def finite_vector(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return `values` as a finite float64 vector `(n,)`.

    Raises
    ------
    InvalidDataError
        If a value is NaN or infinite; the message names it and its position.
    """
    array = vector(name, values)
    require_finite(name, array)
    return array


def require_finite(name: str, array: NDArray[Any]) -> None:
    """Raise InvalidDataError, naming the first offender, unless all values are finite."""
    bad = ~np.isfinite(array)
    if bad.any():
        position = np.unravel_index(int(np.argmax(bad)), array.shape)
        where = int(position[0]) if array.ndim == 1 else tuple(int(i) for i in position)
        raise InvalidDataError(f"{name} must be finite, got {array[position]} at position {where}")


def pair(truth: ArrayLike, prediction: ArrayLike, *, least: int = 2) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return truth and prediction as finite vectors `(n,)` of one length, with at least `least` values.

    Raises
    ------
    InvalidDataError
        If they differ in length, are too short, or hold a NaN or infinite value.
    """
    true, predicted = finite_vector("truth", truth), finite_vector("prediction", prediction)
    require_length("prediction", predicted, len(true))
    if len(true) < least:
        raise InvalidDataError(f"expected at least {least} architectures to evaluate on, got {len(true)}")
    return true, predicted


def require_length(name: str, array: NDArray[Any], length: int) -> None:
    """Raise InvalidDataError unless `array` has one row for each of `length` true values."""
    if len(array) != length:
        raise InvalidDataError(f"{name} must have one value for each of {length} true values, got {len(array)}")


def deviations(std: ArrayLike, length: int) -> NDArray[np.float64]:
    """Return standard deviations as a finite vector `(length,)` without negative values.

    Raises
    ------
    InvalidDataError
        If the length differs, or a deviation is negative, NaN or infinite.
    """
    array = finite_vector("std", std)
    require_length("std", array, length)
    if (array < 0).any():
        position = int(np.argmax(array < 0))
        raise InvalidDataError(f"std must not be negative, got {array[position]} at position {position}")
    return array
