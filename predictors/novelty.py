"""Whether an architecture is unlike the training set: its distance to it, against the distances within it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..encoders import Columns
from .scaling import column_scaling

_NEIGHBORS = 3
"""The distance is the mean over so many neighbours: a lone outlier of the training set makes nothing usual."""
_MOST_POINTS = 2000
_LEAST_VARIANCE = 0.25
"""A kind of feature that hardly varies in training is not blown up beyond this; a fair coin has as much variance."""
_BLOCK_ELEMENTS = 1 << 22


@dataclass(frozen=True)
class Novelty:
    """Training points in the encoding, and how far each is from the others.

    Quantities are standardised, and each kind of feature has the same say in squared distances. The distance of a
    point to the training set is the mean distance to its three nearest points there. The p-value of a new architecture
    is that of conformal anomaly detection (Laxhammar and Falkman, 2015): `(1 + #{i: d_i >= d}) / (n + 1)`, where
    `d_i` is the distance of training point i to the others. An architecture drawn as the training set was has a
    p-value of at most `e` with a probability of about `e`.

    Parameters
    ----------
    shift, scale : arrays `(d,)`
        Applied to the columns.
    points : array `(n, d)`
        Scaled training points, a random 2,000 of them where there are more.
    distances : array `(n,)`
        The distance of each to the others, increasing.
    """

    shift: NDArray[np.float64]
    scale: NDArray[np.float64]
    points: NDArray[np.float32]
    distances: NDArray[np.float64]

    @classmethod
    def learn(cls, features: NDArray[np.float64], columns: Columns, seed: int) -> Self:
        """Learn from the training features, `(n, d)`."""
        if len(features) > _MOST_POINTS:
            features = features[np.sort(np.random.default_rng(seed).permutation(len(features))[:_MOST_POINTS])]
        shift, scale = column_scaling(features, columns)
        _, group = np.unique(np.array(columns.groups), return_inverse=True)
        total = np.bincount(group, weights=((features - shift) / scale).var(axis=0))
        scale = scale * np.sqrt(np.maximum(total, _LEAST_VARIANCE))[group]
        points = ((features - shift) / scale).astype(np.float32)
        distances = _distances(points, points, leave_out=True)
        return cls(shift, scale, points, np.sort(distances))

    def p_values(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the p-value of each row, `(n,)`, in (0, 1]."""
        points = ((features - self.shift) / self.scale).astype(np.float32)
        nearer = np.searchsorted(self.distances, _distances(points, self.points), side="left")
        p_values: NDArray[np.float64] = (1 + len(self.distances) - nearer) / (1 + len(self.distances))
        return p_values

    def arrays(self) -> dict[str, NDArray[np.float64] | NDArray[np.float32]]:
        """Return what was learned, for saving."""
        return {"shift": self.shift, "scale": self.scale, "points": self.points, "distances": self.distances}

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[np.float64]], columns: int) -> Self:
        """Take back what `arrays` returned, or raise ValueError if it does not fit together."""
        shift, scale, points, distances = (arrays[name] for name in ("shift", "scale", "points", "distances"))
        if not (shift.shape == scale.shape == (columns,) and points.shape == (len(distances), columns)):
            raise ValueError(f"novelty knows {len(shift)} columns, the encoding has {columns}")
        return cls(shift, scale, points.astype(np.float32, copy=False), distances)


def _distances(
    points: NDArray[np.float32], others: NDArray[np.float32], *, leave_out: bool = False
) -> NDArray[np.float64]:
    """Return the mean distance of each point to its nearest others, rounded so that equal rows stay equal."""
    size = max(1, _BLOCK_ELEMENTS // len(others))
    neighbors = min(_NEIGHBORS, len(others) - leave_out)
    squares = (others**2).sum(axis=1)
    results = [np.zeros(0)]
    for start in range(0, len(points), size):
        block = points[start : start + size]
        squared = (block**2).sum(axis=1)[:, None] + squares - 2 * block @ others.T
        if leave_out:
            rows = np.arange(len(block))
            squared[rows, start + rows] = np.inf
        nearest = np.partition(squared, neighbors - 1, axis=1)[:, :neighbors]
        results.append(np.round(np.sqrt(np.maximum(nearest, 0.0).astype(np.float64)), 2).mean(axis=1))
    return np.concatenate(results)
