"""The contract of a predictor: a scikit-learn regressor over architectures, with a mean and a standard deviation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from ..encoders import Columns, Encoder, make_encoder
from ..encoders.base import as_batch
from ..errors import InvalidDataError
from ..spaces import Architecture, Architectures, SearchSpace
from .targets import TargetTransforms

CHUNK = 16_384
"""Architectures encoded and predicted at once: bounds the memory of a forecast whatever the batch."""

Info = Mapping[str, ArrayLike]
"""Optional extras by name: one value `(n,)`, or one row `(n, k)`, per architecture; NaN where it is missing."""


class Predictor(RegressorMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """A surrogate: forecasts a metric of architectures it never saw, and says how sure it is.

    `X` is either architectures, which the encoder turns into features, or a float matrix `(n, d)`, as for any
    scikit-learn regressor. Targets are transformed inside and mapped back: `predict` answers in the units of `y`.

    Subclasses store their parameters untouched in `__init__`, and implement `_fit`, `_predict`, and, for saving,
    `_get_state` and `_set_state`.

    Parameters
    ----------
    encoder : str or Encoder, optional
        Used when `X` is architectures; the default is the class's `default_encoder`.
    target_transform : {"rank_gaussian", "standardize", "none"}
        Applied to the targets before fitting.
    seed : int
        Seeds everything random; the same seed gives the same forecasts.

    Attributes
    ----------
    encoder_ : Encoder or None
        The fitted encoder, None for a feature matrix.
    columns_ : Columns
        What the feature columns are.
    space_ : SearchSpace or None
        The space of the training architectures.
    n_features_in_ : int
        The number of feature columns.
    """

    default_encoder: ClassVar[str] = "semantic"
    multi_output: ClassVar[bool] = False

    def __init__(
        self, encoder: str | Encoder | None = None, *, target_transform: str = "rank_gaussian", seed: int = 0
    ) -> None:
        self.encoder = encoder
        self.target_transform = target_transform
        self.seed = seed

    # ---- what a subclass says -----------------------------------------------------------------------------------

    @abstractmethod
    def _fit(self, features: NDArray[np.float64], z: NDArray[np.float64]) -> None:
        """Fit to features `(n, d)` and transformed targets, `(n, m)`, where m is 1 unless `multi_output`."""

    @abstractmethod
    def _predict(self, features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return mean and standard deviation of the transformed targets, both `(n, m)`."""

    def _predict_mean(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean alone; override where the deviation costs much more."""
        return self._predict(features)[0]

    @abstractmethod
    def _get_state(self) -> dict[str, NDArray[Any] | bytes]:
        """Return all that `_fit` learned, as arrays and as bytes of safe formats (never pickle)."""

    @abstractmethod
    def _set_state(self, state: Mapping[str, NDArray[Any] | bytes]) -> None:
        """Take back what `_get_state` returned."""

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = self.multi_output
        return tags

    # ---- the scikit-learn regressor -----------------------------------------------------------------------------

    def fit(self, X: Architectures | ArrayLike, y: ArrayLike, *, info: Info | None = None) -> Self:
        """Learn from trained architectures.

        Parameters
        ----------
        X : Architectures, sequence of Architecture, or float array `(n, d)`
        y : array `(n,)`, or `(n, m)` for predictors with `multi_output`
            The metric of each; repeated architectures count as noisy repetitions.
        info : mapping of str to array, optional
            Extras known for each architecture (a low-fidelity result, a zero-cost score): further feature columns.
            `predict` then needs the same names. NaN is allowed and means missing.

        Raises
        ------
        InvalidDataError
            If there are fewer than two observations, or a target is NaN or infinite, or all targets are equal.
        """
        features, targets = self._training_matrix(X, y)
        features = self._append_info(features, info, fitting=True)
        if targets.ndim == 2 and targets.shape[1] == 1 and not self.multi_output:
            targets = column_or_1d(targets, warn=True)
        self._single_output_ = targets.ndim == 1
        targets = targets.reshape(len(targets), -1)
        if targets.shape[1] > 1 and not self.multi_output:
            raise InvalidDataError(
                f"{type(self).__name__} predicts one target, got {targets.shape[1]} columns; "
                "sklearn.multioutput.MultiOutputRegressor fits one predictor to each"
            )
        self._check_targets(targets)
        self._targets = TargetTransforms(self.target_transform, targets.shape[1])
        self._fit(features, self._targets.fit_transform(targets))
        return self

    def predict(self, X: Architectures | ArrayLike, return_std: bool = False, *, info: Info | None = None) -> Any:
        """Forecast the metric.

        Parameters
        ----------
        X : Architectures, sequence of Architecture, or float array `(n, d)`
        return_std : bool
            Also return the standard deviation of what a training would give.
        info : mapping of str to array, optional
            The extras, if the predictor was fitted with any.

        Returns
        -------
        mean : float64 array `(n,)` (or `(n, m)`), in the units of `y`
        std : float64 array of the same shape, only with `return_std`
        """
        mean, std = self._forecast(X, info, with_std=return_std)
        centre = self._targets.inverse(mean)
        if not return_std:
            return self._shape(centre)
        return self._shape(centre), self._shape(self._targets.spread(mean, std))

    def predict_quantiles(
        self, X: Architectures | ArrayLike, quantiles: ArrayLike, *, info: Info | None = None
    ) -> NDArray[np.float64]:
        """Return quantiles of the forecast in the units of `y`, `(n, len(quantiles))` (or `(n, m, len(quantiles))`).

        Exact for the transformed Gaussian, hence asymmetric where the metric is: prefer them to `mean +- std` for
        intervals.
        """
        levels = np.atleast_1d(np.asarray(quantiles, dtype=np.float64))
        if not ((levels > 0) & (levels < 1)).all():
            raise InvalidDataError(f"quantiles must lie strictly between 0 and 1, got {levels.tolist()}")
        mean, std = self._forecast(X, info)
        parts = [self._shape(self._targets.inverse(mean + std * score)) for score in ndtri(levels)]
        return np.stack(parts, axis=-1)

    def _forecast(
        self, X: Any, info: Info | None, *, with_std: bool = True
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return mean and standard deviation on the surrogate's scale; the latter is 0 unless it is asked for."""
        check_is_fitted(self, "_targets")
        X, n = self._check_query(X)
        means, stds = [], []
        for start in range(0, max(n, 1), CHUNK):
            part = slice(start, start + CHUNK)
            features = X[part] if self.encoder_ is None else self.encoder_.transform(X[part]).astype(np.float64)
            sliced = None if info is None else {name: np.asarray(values)[part] for name, values in info.items()}
            complete = self._append_info(features, sliced, fitting=False)
            if with_std:
                mean, std = self._predict(complete)
            else:
                mean = self._predict_mean(complete)
                std = np.zeros_like(mean)
            means.append(mean)
            stds.append(std)
        return np.concatenate(means), np.concatenate(stds)

    def _shape(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values[:, 0] if self._single_output_ else values

    # ---- validation ---------------------------------------------------------------------------------------------

    def _training_matrix(self, X: Any, y: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        if not _holds_architectures(X):
            features, y = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
            self.encoder_: Encoder | None = None
            self.space_: SearchSpace | None = None
            self.columns_ = Columns.of_matrix(features)
            if len(features) < 2:
                raise InvalidDataError(f"expected at least 2 observations to fit, got {len(features)} sample")
            return features, y
        batch = as_batch(X)
        y = np.asarray(y, dtype=np.float64)
        if y.ndim not in (1, 2) or len(y) != len(batch):
            raise InvalidDataError(f"expected one target for each of {len(batch)} architectures, got shape {y.shape}")
        if len(batch) < 2:
            raise InvalidDataError(f"expected at least 2 observations to fit, got {len(batch)}")
        chosen = self.default_encoder if self.encoder is None else self.encoder
        self.encoder_ = make_encoder(chosen) if isinstance(chosen, str) else clone(chosen)
        features = self.encoder_.fit(batch).transform(batch).astype(np.float64)
        self.space_ = batch.space
        self.columns_ = self.encoder_.columns(batch.space)
        self.n_features_in_ = features.shape[1]
        return features, y

    @staticmethod
    def _check_targets(targets: NDArray[np.float64]) -> None:
        bad = ~np.isfinite(targets).all(axis=1)
        if bad.any():
            row = int(np.argmax(bad))
            raise InvalidDataError(f"targets must be finite, got {targets[row].tolist()} for architecture {row}")
        if (targets == targets[0]).all(axis=0).any():
            raise InvalidDataError(
                f"targets must not all be equal, got {targets[0].tolist()} for all {len(targets)} architectures"
            )

    def _check_query(self, X: Any) -> tuple[Any, int]:
        if self.encoder_ is None:
            if _holds_architectures(X):
                raise InvalidDataError("this predictor was fitted on a feature matrix, got architectures")
            X = validate_data(self, X, dtype=np.float64, reset=False)
            return X, len(X)
        if not _holds_architectures(X):
            raise InvalidDataError(
                f"this predictor was fitted on architectures of space {self._space_name()!r}, got {type(X).__name__}"
            )
        batch = as_batch(X)
        if batch.space != self.space_:
            raise InvalidDataError(
                f"this predictor was fitted on space {self._space_name()!r}, got architectures of {batch.space.name!r}"
            )
        return batch, len(batch)

    def _space_name(self) -> str:
        return self.space_.name if self.space_ is not None else ""

    def _append_info(self, features: NDArray[np.float64], info: Info | None, *, fitting: bool) -> NDArray[np.float64]:
        """Append the extras as columns; missing values become the training median, flagged by a column of its own."""
        given = sorted(info) if info else []
        if fitting:
            self._info_names: list[str] = given
            self._info_medians: dict[str, NDArray[np.float64]] = {}
        elif given != self._info_names:
            raise InvalidDataError(f"expected info {self._info_names or 'none'}, as in fit, got {given or 'none'}")
        columns = [features]
        for name in given:
            values = np.asarray(info[name], dtype=np.float64)  # type: ignore[index]
            values = values.reshape(len(values), -1)
            if len(values) != len(features):
                raise InvalidDataError(f"info {name!r} must have {len(features)} rows, got {len(values)}")
            if np.isinf(values).any():
                raise InvalidDataError(f"info {name!r} must be finite or NaN, got an infinite value")
            missing = np.isnan(values)
            if fitting:
                known = [column[~gaps] for column, gaps in zip(values.T, missing.T, strict=True)]
                self._info_medians[name] = np.array([np.median(k) if len(k) else 0.0 for k in known])
                labels = [f"info {name}[{i}]" for i in range(values.shape[1])]
                gaps_label = [f"info {name}[{i}] missing" for i in range(values.shape[1])]
                self.columns_ = Columns.concatenate(
                    [
                        self.columns_,
                        Columns.of(labels, "info", indicator=False),
                        Columns.of(gaps_label, "info missing", indicator=True),
                    ]
                )
            medians = self._info_medians[name]
            if values.shape[1] != len(medians):
                raise InvalidDataError(f"info {name!r} must have {len(medians)} columns, got {values.shape[1]}")
            columns += [np.where(missing, medians, values), missing.astype(np.float64)]
        return np.concatenate(columns, axis=1)

    def save(self, path: Any) -> None:
        """Write the fitted predictor to a file; see `archcast.predictors.saving.save`."""
        from .saving import save

        save(self, path)


def _holds_architectures(X: Any) -> bool:
    if isinstance(X, (Architectures, Architecture)):
        return True
    return isinstance(X, (list, tuple)) and len(X) > 0 and isinstance(X[0], Architecture)
