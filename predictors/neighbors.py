"""Nearest neighbours in the encoding, weighted by distance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..encoders import Encoder
from .base import Predictor
from .checks import check_integer, check_real
from .scaling import column_scaling

_BLOCK_ELEMENTS = 1 << 22
_PRIOR_FREEDOM = 4.0


class NeighborsPredictor(Predictor):
    """Averages the `n_neighbors` nearest training architectures, and all others that are as near as the last of them.

    Encodings are discrete and distances tie often; cutting through a tie would make the forecast depend on the order
    of the training data. A neighbour at squared distance `d2` weighs `exp(-d2 / (2 h d2_k))`, with `d2_k` that of
    the last neighbour.

    The variance is the weighted variance of the neighbours, pooled with the leave-one-out error over all training
    architectures as a prior worth four observations (the posterior scale of a scaled inverse chi-squared): few
    neighbours that happen to agree do not make it vanish.

    Parameters
    ----------
    encoder, target_transform, seed
        See `Predictor`.
    n_neighbors : int
        Neighbours to average; all training architectures where there are fewer.
    bandwidth : float
        `h`, the width of the weights in units of the distance to the last neighbour; large values weigh all alike.
    """

    multi_output: ClassVar[bool] = True

    def __init__(
        self,
        encoder: str | Encoder | None = None,
        *,
        n_neighbors: int = 8,
        bandwidth: float = 0.5,
        target_transform: str = "rank_gaussian",
        seed: int = 0,
    ) -> None:
        super().__init__(encoder, target_transform=target_transform, seed=seed)
        self.n_neighbors = n_neighbors
        self.bandwidth = bandwidth

    def _fit(self, features: NDArray[np.float64], z: NDArray[np.float64]) -> None:
        check_integer("n_neighbors", self.n_neighbors, 1)
        check_real("bandwidth", self.bandwidth, 0.0)
        self.shift_, self.scale_ = column_scaling(features, self.columns_)
        self.points_, self.targets_ = self._scaled(features), np.ascontiguousarray(z)
        self.prior_ = np.ones(z.shape[1])
        left_out = self._local(self.points_, leave_out=True)[0]
        spread = z.var(axis=0)
        self.prior_ = np.maximum(((z - left_out) ** 2).mean(axis=0), 1e-4 * spread)

    def _scaled(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.ascontiguousarray((features - self.shift_) / self.scale_)

    def _predict(self, features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        points = self._scaled(features)
        size = max(1, _BLOCK_ELEMENTS // len(self.points_))
        parts = [self._local(points[start : start + size]) for start in range(0, max(len(points), 1), size)]
        return np.concatenate([mean for mean, _ in parts]), np.concatenate([std for _, std in parts])

    def _local(
        self, points: NDArray[np.float64], *, leave_out: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        distances = self._squared_distances(points)
        if leave_out:
            np.fill_diagonal(distances, np.inf)
        k = min(self.n_neighbors, len(self.points_) - leave_out)
        last = np.partition(distances, k - 1, axis=1)[:, k - 1 : k]
        # duplicates of a training architecture are at distance 0, and then the whole weight is theirs
        width = 2 * self.bandwidth * np.maximum(last, np.finfo(np.float64).tiny)
        weights = np.where(distances <= last, np.exp(-np.minimum(distances, last) / width), 0.0)
        weights /= weights.sum(axis=1, keepdims=True)
        mean = weights @ self.targets_
        variance = np.maximum(weights @ self.targets_**2 - mean**2, 0.0)
        effective = 1 / (weights**2).sum(axis=1, keepdims=True)
        pooled = (_PRIOR_FREEDOM * self.prior_ + effective * variance) / (_PRIOR_FREEDOM + effective - 1)
        return mean, np.sqrt(pooled * (1 + 1 / effective))

    def _squared_distances(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return squared distances `(n, n_train)`, rounded so that what is equal in exact arithmetic stays equal."""
        own, others = (points**2).sum(axis=1), (self.points_**2).sum(axis=1)
        squared = own[:, None] + others - 2 * points @ self.points_.T
        unit = 1e-10 * max(float(others.max()), 1.0)
        rounded: NDArray[np.float64] = np.maximum(np.round(squared / unit), 0.0) * unit
        return rounded

    def _get_state(self) -> dict[str, NDArray[Any] | bytes]:
        return {name: getattr(self, f"{name}_") for name in _STATE}

    def _set_state(self, state: Mapping[str, Any]) -> None:
        for name in _STATE:
            setattr(self, f"{name}_", state[name])
        n, d = self.points_.shape
        if not (self.shift_.shape == self.scale_.shape == (d,) and d == len(self.columns_)):
            raise ValueError(f"the training points have {d} columns, the encoding has {len(self.columns_)}")
        if len(self.targets_) != n or self.prior_.shape != self.targets_.shape[1:]:
            raise ValueError(f"there are {n} training points and {len(self.targets_)} targets")


_STATE = ("shift", "scale", "points", "targets", "prior")
