"""Target transforms: what a surrogate is trained on, and the way back to the units of the target."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from ..errors import InvalidDataError

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(21)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


class TargetTransform(ABC):
    """A monotone increasing map from targets to the scale on which a surrogate works with Gaussian noise."""

    @abstractmethod
    def fit(self, y: NDArray[np.float64]) -> Self:
        """Learn the map from the training targets, `(n,)`."""

    @abstractmethod
    def transform(self, y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return targets on the surrogate's scale, any shape."""

    @abstractmethod
    def inverse(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values of the surrogate's scale in the units of the target, any shape."""

    @abstractmethod
    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return what was learned, as arrays, for saving."""

    @abstractmethod
    def restore(self, arrays: dict[str, NDArray[np.float64]]) -> Self:
        """Take back what `arrays` returned."""

    def noise(self, y: NDArray[np.float64], std: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the standard deviation on the surrogate's scale of targets that have `std` in their own units.

        By the slope between one deviation below and one above: that at the target itself would say how dense the
        other targets happen to lie there. NaN stays NaN.
        """
        return (self.transform(y + std) - self.transform(y - std)) / 2

    def spread(self, mean: NDArray[np.float64], std: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the standard deviation in the units of the target of a Gaussian on the surrogate's scale.

        By Gauss-Hermite quadrature with 21 nodes, around the image of the mean.
        """
        centre = self.inverse(mean)
        deviations = self.inverse(mean[..., None] + std[..., None] * _NODES) - centre[..., None]
        result: NDArray[np.float64] = np.sqrt((deviations**2 * _WEIGHTS).sum(axis=-1))
        return result


class RankGaussian(TargetTransform):
    """Ranks mapped to the quantiles of a standard normal distribution: `z = Phi^-1((rank - 1/2) / n)`.

    Ties share their mean rank. Between observed targets the map is linear; beyond them it goes on with the slope of
    the outer tenth of the observations, so that a forecast may exceed what was seen.
    """

    def fit(self, y: NDArray[np.float64]) -> Self:
        """Learn the empirical distribution."""
        levels, counts = np.unique(y, return_counts=True)
        ranks = np.cumsum(counts) - (counts - 1) / 2
        self.levels_ = levels
        self.scores_ = ndtri((ranks - 0.5) / len(y))
        self._set_slopes()
        return self

    def _set_slopes(self) -> None:
        span = max(1, len(self.levels_) // 10)
        y, z = self.levels_, self.scores_
        self.slopes_ = (
            (y[span] - y[0]) / (z[span] - z[0]),
            (y[-1] - y[-1 - span]) / (z[-1] - z[-1 - span]),
        )

    def transform(self, y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map targets to normal scores."""
        low, high = self.slopes_
        z: NDArray[np.float64] = np.interp(y, self.levels_, self.scores_)
        z += np.minimum(y - self.levels_[0], 0) / low + np.maximum(y - self.levels_[-1], 0) / high
        return z

    def inverse(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map normal scores to targets."""
        low, high = self.slopes_
        y: NDArray[np.float64] = np.interp(z, self.scores_, self.levels_)
        y += np.minimum(z - self.scores_[0], 0) * low + np.maximum(z - self.scores_[-1], 0) * high
        return y

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return the distinct targets and their scores."""
        return {"levels": self.levels_, "scores": self.scores_}

    def restore(self, arrays: dict[str, NDArray[np.float64]]) -> Self:
        """Take back the distinct targets and their scores."""
        self.levels_, self.scores_ = arrays["levels"], arrays["scores"]
        self._set_slopes()
        return self


class Standardize(TargetTransform):
    """Subtracts the mean and divides by the standard deviation."""

    def fit(self, y: NDArray[np.float64]) -> Self:
        """Learn mean and standard deviation."""
        self.mean_, self.scale_ = float(y.mean()), float(y.std()) or 1.0
        return self

    def transform(self, y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map targets to standard scores."""
        z: NDArray[np.float64] = (y - self.mean_) / self.scale_
        return z

    def inverse(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map standard scores to targets."""
        y: NDArray[np.float64] = z * self.scale_ + self.mean_
        return y

    def spread(self, mean: NDArray[np.float64], std: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the standard deviation in the units of the target, exactly."""
        return std * self.scale_

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return mean and standard deviation."""
        return {"moments": np.array([self.mean_, self.scale_])}

    def restore(self, arrays: dict[str, NDArray[np.float64]]) -> Self:
        """Take back mean and standard deviation."""
        self.mean_, self.scale_ = arrays["moments"].tolist()
        return self


class Identity(Standardize):
    """Leaves the targets as they are."""

    def fit(self, y: NDArray[np.float64]) -> Self:
        """Learn nothing."""
        self.mean_, self.scale_ = 0.0, 1.0
        return self


TRANSFORMS: dict[str, type[TargetTransform]] = {
    "rank_gaussian": RankGaussian,
    "standardize": Standardize,
    "none": Identity,
}


class TargetTransforms:
    """One transform per output, applied to the columns of `(n, m)` arrays."""

    known: ClassVar[tuple[str, ...]] = tuple(TRANSFORMS)

    def __init__(self, kind: str, outputs: int) -> None:
        if kind not in TRANSFORMS:
            raise InvalidDataError(f"target_transform must be one of {', '.join(TRANSFORMS)}, got {kind!r}")
        self.columns = [TRANSFORMS[kind]() for _ in range(outputs)]

    def fit_transform(self, y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Learn each column's map and apply it."""
        return self._stack([t.fit(column).transform(column) for t, column in zip(self.columns, y.T, strict=True)])

    def inverse(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map back to the units of the targets."""
        return self._stack([t.inverse(column) for t, column in zip(self.columns, z.T, strict=True)])

    def spread(self, mean: NDArray[np.float64], std: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return standard deviations in the units of the targets."""
        return self._stack([t.spread(m, s) for t, m, s in zip(self.columns, mean.T, std.T, strict=True)])

    def noise(self, y: NDArray[np.float64], std: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return standard deviations on the surrogate's scale of targets that have `std`, both `(n, m)`."""
        return self._stack([t.noise(a, s) for t, a, s in zip(self.columns, y.T, std.T, strict=True)])

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """Return what was learned, for saving."""
        return {f"{i}/{name}": array for i, t in enumerate(self.columns) for name, array in t.arrays().items()}

    def restore(self, arrays: Mapping[str, NDArray[np.float64]]) -> Self:
        """Take back what `arrays` returned."""
        for i, transform in enumerate(self.columns):
            prefix = f"{i}/"
            own = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
            transform.restore(own)
        return self

    @staticmethod
    def _stack(columns: list[NDArray[Any]]) -> NDArray[np.float64]:
        return np.stack(columns, axis=1)
