"""The noise of a surrogate benchmark: how far one training is from the forecast, and the same for the same seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from ..errors import InvalidDataError
from ..spaces.hashing import mix

Kind: TypeAlias = Literal["seeds", "residuals", "none"]
KINDS: tuple[Kind, ...] = ("seeds", "residuals", "none")
_EACH = 50
"""Architectures that a level of the noise is estimated from, at least."""
_LEVELS = 10


@dataclass(frozen=True)
class NoiseModel:
    """Gaussian noise whose deviation follows the forecast: between levels it is linear, outside as at the nearest.

    Parameters
    ----------
    kind : {"seeds", "residuals", "none"}
        Estimated from repeated trainings; from the errors of forecasts on held-out folds, which hold besides the noise
        what the predictor does not know, and so bound it from above; or no noise at all.
    levels, deviations : tuple of float
        Forecasts in ascending order, and the deviation there, both in units of the metric.
    """

    kind: Kind
    levels: tuple[float, ...] = ()
    deviations: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InvalidDataError(f"the noise must be one of {', '.join(KINDS)}, got {self.kind!r}")
        rising = all(a < b for a, b in zip(self.levels, self.levels[1:], strict=False))
        numbers = np.array([*self.levels, *self.deviations])
        whole = len(self.levels) == len(self.deviations) and bool(self.levels) == (self.kind != "none")
        if not rising or not whole or not np.isfinite(numbers).all() or min(self.deviations, default=0.0) < 0:
            raise InvalidDataError(
                f"noise by {self.kind} needs ascending levels with a deviation each, got {self.levels} and "
                f"{self.deviations}"
            )

    @classmethod
    def of(cls, kind: Kind, level: NDArray[np.float64], variances: NDArray[np.float64]) -> NoiseModel:
        """Return the noise of observations.

        Parameters
        ----------
        kind : {"seeds", "residuals"}
        level : float array `(n,)`
            What the deviation is to follow.
        variances : float array `(n,)`
            The square of an error, or the variance between repetitions.
        """
        order = np.argsort(level, kind="stable")
        parts = np.array_split(order, max(1, min(_LEVELS, len(order) // _EACH)))
        levels, first = np.unique([level[part].mean() for part in parts], return_index=True)
        deviations = np.sqrt([variances[part].mean() for part in parts])[first]
        return cls(kind, tuple(levels.tolist()), tuple(deviations.tolist()))

    def deviation(self, forecast: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the deviation of one training at each forecast, `(n,)`."""
        if not self.levels:
            return np.zeros_like(forecast)
        return np.interp(forecast, self.levels, self.deviations)

    def to_dict(self) -> dict[str, Any]:
        """Return the model, JSON-able."""
        return {"kind": self.kind, "levels": list(self.levels), "deviations": list(self.deviations)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> NoiseModel:
        """Return what `to_dict` describes."""
        return cls(content["kind"], tuple(map(float, content["levels"])), tuple(map(float, content["deviations"])))


def standard_normals(keys: NDArray[np.uint64], seed: int) -> NDArray[np.float64]:
    """Return one standard normal number for each key and seed, `(n,)`: the same on every machine, in every process.

    The 53 highest bits of a hash of both are a number between 0 and 1, of which the quantile is taken.
    """
    bits = mix(keys ^ mix(mix(np.array([seed], dtype=np.uint64))))
    uniform = ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    normals: NDArray[np.float64] = ndtri(uniform)
    return normals
