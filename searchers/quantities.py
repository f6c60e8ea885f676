"""`Quantity`: one of several numbers that a training tells, with its direction and its bounds."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError
from ..spaces import Architectures

Floats: TypeAlias = NDArray[np.float64]

_BOUND = re.compile(r"\s*(?P<name>[^<>=\s]+)\s*(?P<relation><=|>=)\s*(?P<bound>[^<>=\s]+)\s*")


@dataclass(frozen=True)
class Quantity:
    """What one column of the outcomes of a search means.

    Parameters
    ----------
    name : str
    higher_is_better : bool
        The direction, where it is an objective.
    objective : bool
        Whether it is to be optimised, and not merely to stay within its bounds.
    low, high : float
        A trial is feasible if the value is in `[low, high]`.
    known : bool
        Whether it is the entry `name` of `space.complexity`, so that it need not be forecast.
    reference : float, optional
        Where the hypervolume of an objective begins; searchers that need one infer it from the trials if left out.

    Raises
    ------
    InvalidDataError
        If the bounds leave no room, or the reference is not finite.
    """

    name: str
    higher_is_better: bool = True
    objective: bool = True
    low: float = -math.inf
    high: float = math.inf
    known: bool = False
    reference: float | None = None

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise InvalidDataError(
                f"the bounds of {self.name!r} must leave room, got at least {self.low} and at most {self.high}"
            )
        if self.reference is not None and not math.isfinite(self.reference):
            raise InvalidDataError(f"the reference of {self.name!r} must be finite, got {self.reference}")

    @property
    def sign(self) -> float:
        """1 where higher is better, else -1."""
        return 1.0 if self.higher_is_better else -1.0

    @property
    def bounded(self) -> bool:
        """Whether a value can be infeasible."""
        return math.isfinite(self.low) or math.isfinite(self.high)

    def allows(self, values: Floats) -> NDArray[np.bool_]:
        """Return which values are within the bounds; NaN is not."""
        return np.asarray((values >= self.low) & (values <= self.high))

    def violations(self, values: Floats) -> Floats:
        """Return by how much values are out of bounds, 0 within them, any shape."""
        return np.maximum(np.maximum(self.low - values, values - self.high), 0.0)

    def exact(self, architectures: Architectures) -> Floats:
        """Return the values of a known quantity, `(n,)`.

        Raises
        ------
        InvalidDataError
            If the space does not know it.
        """
        quantities = architectures.space.complexity(architectures) or {}
        if self.name not in quantities:
            raise InvalidDataError(
                f"space {architectures.space.name!r} does not know {self.name!r} of an architecture, "
                f"expected {' or '.join(map(repr, quantities)) or 'a column of a table'}"
            )
        return np.asarray(quantities[self.name], dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able description; infinite bounds are null."""
        described = asdict(self)
        return described | {name: described[name] if math.isfinite(described[name]) else None for name in _BOUNDS}

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Quantity:
        """Return what `to_dict` described.

        Raises
        ------
        InvalidDataError
            If something is missing or unknown.
        """
        known = {field.name for field in fields(Quantity)}
        if set(data) != known:
            raise InvalidDataError(f"a quantity is described by {', '.join(sorted(known))}, got {sorted(data)}")
        bounds = {name: unbounded if data[name] is None else data[name] for name, unbounded in _BOUNDS.items()}
        return Quantity(**(dict(data) | bounds))


_BOUNDS = {"low": -math.inf, "high": math.inf}


def parse_bound(text: str) -> tuple[str, float, float]:
    """Return name, low and high of `"name<=value"` or `"name>=value"`.

    Raises
    ------
    InvalidDataError
        If it is neither, or the value is no finite number.

    Examples
    --------
    >>> parse_bound("vck190/latency <= 4.5")
    ('vck190/latency', -inf, 4.5)
    """
    found = _BOUND.fullmatch(text)
    if found is None:
        raise InvalidDataError(f"a constraint must read NAME<=VALUE or NAME>=VALUE, got {text!r}")
    try:
        bound = float(found["bound"])
    except ValueError:
        bound = math.nan
    if not math.isfinite(bound):
        raise InvalidDataError(f"the bound of constraint {text!r} must be a finite number, got {found['bound']!r}")
    return (found["name"], -math.inf, bound) if found["relation"] == "<=" else (found["name"], bound, math.inf)


def check_quantities(quantities: Sequence[Quantity]) -> tuple[Quantity, ...]:
    """Return quantities as a tuple.

    Raises
    ------
    InvalidDataError
        If none is an objective, or two have the same name.
    """
    names = [quantity.name for quantity in quantities]
    for name in names:
        if names.count(name) > 1:
            raise InvalidDataError(f"quantity {name!r} comes twice")
    if not any(quantity.objective for quantity in quantities):
        raise InvalidDataError(f"expected at least one objective, got none among {', '.join(map(repr, names)) or '()'}")
    return tuple(quantities)
