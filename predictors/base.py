"""The contract of a predictor: a scikit-learn regressor over architectures, with a mean and a standard deviation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from os import PathLike
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
from .checks import check_integer, checked_errors, checked_levels
from .info import Info, InfoColumns
from .left_out import refit_left_out
from .novelty import Novelty
from .targets import TargetTransforms

CHUNK = 16_384
"""Architectures encoded and predicted at once: bounds the memory of a forecast whatever the batch."""

_SECONDS_PER_VALUE = 2e-5
"""What a fit and its refits cost for each value of the training matrix, unless a predictor knows better."""

Floats = NDArray[np.float64]


class Predictor(RegressorMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """A surrogate: forecasts a metric of architectures it never saw, and says how sure it is.

    `X` is either architectures, which the encoder turns into features, or a float matrix `(n, d)`, as for any
    scikit-learn regressor. Targets are transformed inside and mapped back: `predict` answers in the units of `y`.

    Subclasses store their parameters untouched in `__init__`, check them in `_fit`, and implement `_fit`, `_predict`,
    and, for saving, `_get_state` and `_set_state`.

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
    metadata_ : dict of str to JSON values
        What the user notes about the forecasts, e.g. metric, unit and direction; empty after `fit`, and kept in the
        saved file.
    """

    metadata_: dict[str, Any]
    _novelty: Novelty | None
    _noise_std: Floats | None = None
    default_encoder: ClassVar[str] = "semantic"
    multi_output: ClassVar[bool] = False
    takes_noise: ClassVar[bool] = False
    """Whether `fit` makes use of the standard error of each target."""
    least_info: ClassVar[int] = 0
    """Columns that an entry of `info` must have for the predictor to be more than another one without `info`."""
    saved_in_state: ClassVar[frozenset[str]] = frozenset()
    """Parameters that JSON has no form of: `_get_state` holds them, and `_set_state` sets them."""

    def __init__(
        self, encoder: str | Encoder | None = None, *, target_transform: str = "rank_gaussian", seed: int = 0
    ) -> None:
        self.encoder = encoder
        self.target_transform = target_transform
        self.seed = seed

    # ---- what a subclass says -----------------------------------------------------------------------------------

    @abstractmethod
    def _fit(self, features: Floats, z: Floats) -> None:
        """Fit to features `(n, d)` and transformed targets, `(n, m)`, where m is 1 unless `multi_output`."""

    @abstractmethod
    def _predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Return mean and standard deviation of the transformed targets, both `(n, m)`."""

    def _predict_mean(self, features: Floats) -> Floats:
        """Return the mean alone, `(n, m)`; override where it is much cheaper than mean and deviation."""
        return self._predict(features)[0]

    def _distribution(self, features: Floats, levels: Floats) -> tuple[Floats, Floats, Floats]:
        """Return mean and deviation as `_predict` does, and quantiles `(n, m, q)`, rising strictly with the levels."""
        mean, std = self._predict(features)
        return mean, std, mean[..., None] + std[..., None] * ndtri(levels)

    def _left_out(self, features: Floats, z: Floats, folds: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Return mean and deviation of every training observation from a fit that did not see it, both `(n, m)`.

        Called after `_fit` to the same data. Here a copy is fitted for each of the `folds`, `(n,)`; override where a
        formula, or what `_fit` has done already, gives such forecasts for less, be it in folds of its own.
        """
        return refit_left_out(self, features, z, folds)

    def _identity(self) -> object:
        """Return what tells this model from others on the same columns: two with equal values forecast the same."""
        parameters = {name: value for name, value in self.get_params(deep=False).items() if name != "encoder"}
        return type(self).__qualname__, repr(sorted(parameters.items()))

    def _seconds(self, n: int, d: int) -> float:
        """Return roughly how long `_fit` and `_left_out` take on one core for `n` observations of `d` columns.

        An estimate from the work alone, so that what is decided by it is the same on every machine.
        """
        return _SECONDS_PER_VALUE * n * d

    @property
    def report_(self) -> list[dict[str, Any]]:
        """What was chosen in `fit` and why, one record a choice, for predictors that choose; none for others."""
        return []

    @property
    def chosen_(self) -> str:
        """What was chosen in `fit`, in a few words, for predictors that choose; nothing for others."""
        return ""

    @abstractmethod
    def _get_state(self) -> dict[str, NDArray[Any] | bytes]:
        """Return all that `_fit` learned, as arrays and as bytes of safe formats (never pickle).

        Arrays come back in C order: keep them so from the start where the order decides the last bit of a result.
        """

    @abstractmethod
    def _set_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `_get_state` returned; the parameters, `columns_` and `n_features_in_` are set already.

        The file may have been made by anybody: a state that does not fit together must raise an exception rather
        than be read out of bounds.
        """

    def _contributions(self, features: Floats, background: Floats) -> tuple[Floats, Floats] | None:
        """Return exact contributions of the columns to the transformed forecasts, where there is a fast way to them.

        Both arguments are rows of features, `(n, d)` and `(b, d)`. The contributions, `(n, d)`, and the base value,
        `(1,)`, what is forecast on average over the background, add up to the forecast of the first output. None, the
        default, leaves the contributions to sampling (`archcast.explanations`).
        """
        return None

    def _predict_joint(self, features: Floats) -> tuple[Floats, Floats] | None:
        """Return mean `(n,)` and covariance `(n, n)`, noise included, of the first transformed target, if it has one.

        None, the default, says that nothing is known of how the errors of forecasts hang together.
        """
        return None

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = self.multi_output
        return tags

    # ---- the scikit-learn regressor -----------------------------------------------------------------------------

    def fit(
        self,
        X: Architectures | ArrayLike,
        y: ArrayLike,
        *,
        info: Info | None = None,
        noise_std: ArrayLike | None = None,
    ) -> Self:
        """Learn from trained architectures.

        Parameters
        ----------
        X : Architectures, sequence of Architecture, or float array `(n, d)`
        y : array `(n,)`, or `(n, m)` for predictors with `multi_output`
            The metric of each; repeated architectures count as noisy repetitions.
        info : mapping of str to array, optional
            Extras known for each architecture (a low-fidelity result, a zero-cost score): further feature columns.
            `predict` then needs the same names. NaN is allowed and means missing.
        noise_std : array of the shape of `y`, optional
            The standard error of each target in the units of `y`, for predictors with `takes_noise`; NaN where it is
            not known. Only how they compare matters: the level of the noise is learned.
            `archcast.predictors.standard_errors` makes them from the outcomes of several seeds.

        Raises
        ------
        InvalidDataError
            If there are fewer than two observations, or a target is NaN or infinite, or all targets are equal, or a
            standard error is negative or infinite, or there are any for a predictor that makes no use of them.
        """
        check_integer("seed", self.seed, 0)
        if noise_std is not None and not self.takes_noise:
            raise InvalidDataError(
                f"{type(self).__name__} makes no use of noise_std, Gaussian processes such as 'gp' do"
            )
        features, targets, columns = self._training_matrix(X, y)
        self._info = InfoColumns.learn(info, len(features))
        self.columns_ = Columns.concatenate([columns, self._info.columns])
        features = np.concatenate([features, self._info.matrix(info, len(features))], axis=1)
        if targets.ndim == 2 and targets.shape[1] == 1 and not self.multi_output:
            targets = column_or_1d(targets, warn=True)
        self._single_output_ = targets.ndim == 1
        targets = targets.reshape(len(targets), -1)
        if targets.shape[1] != 1 and not self.multi_output:
            raise InvalidDataError(
                f"{type(self).__name__} predicts one target, got {targets.shape[1]} columns; "
                "sklearn.multioutput.MultiOutputRegressor fits one predictor to each"
            )
        self._check_targets(targets)
        self._targets = TargetTransforms(self.target_transform, targets.shape[1])
        self.metadata_ = {}
        self._novelty = Novelty.learn(features, self.columns_, self.seed)
        z = self._targets.fit_transform(targets)
        self._noise_std = None
        if noise_std is not None:
            self._noise_std = self._targets.noise(
                targets, checked_errors(noise_std, targets.shape, self._single_output_)
            )
        self._fit(features, z)
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
        if not return_std:
            parts = [self._targets.inverse(self._predict_mean(part)) for part in self._feature_chunks(X, info)]
            return self._shape(np.concatenate(parts))
        means, stds = zip(*(self._moments(*self._predict(part)) for part in self._feature_chunks(X, info)), strict=True)
        return self._shape(np.concatenate(means)), self._shape(np.concatenate(stds))

    def predict_quantiles(
        self, X: Architectures | ArrayLike, quantiles: ArrayLike, *, info: Info | None = None
    ) -> Floats:
        """Return quantiles of the forecast in the units of `y`, `(n, len(quantiles))` (or `(n, m, len(quantiles))`).

        Exact for the transformed Gaussian, hence asymmetric where the metric is: prefer them to `mean +- std` for
        intervals.
        """
        levels = checked_levels(quantiles)
        parts = [self._inverses(self._distribution(part, levels)[2]) for part in self._feature_chunks(X, info)]
        return self._shape(np.concatenate(parts))

    def predict_distribution(
        self, X: Architectures | ArrayLike, quantiles: ArrayLike, *, info: Info | None = None
    ) -> tuple[Floats, Floats, Floats]:
        """Return mean, standard deviation and quantiles, as `predict` and `predict_quantiles` do, encoding `X` once."""
        levels, parts = checked_levels(quantiles), []
        for part in self._feature_chunks(X, info):
            mean, std, latent = self._distribution(part, levels)
            parts.append((*self._moments(mean, std), self._inverses(latent)))
        means, stds, bands = zip(*parts, strict=True)
        return (
            self._shape(np.concatenate(means)),
            self._shape(np.concatenate(stds)),
            self._shape(np.concatenate(bands)),
        )

    def features(self, X: Architectures | ArrayLike, *, info: Info | None = None) -> Floats:
        """Return what the surrogate reads of each architecture: a row of the columns `columns_`, `(n, d)`.

        Parameters
        ----------
        X : Architectures, sequence of Architecture, or float array
        info : mapping of str to array, optional
            The extras, if the predictor was fitted with any; they are columns too.
        """
        return np.concatenate(list(self._feature_chunks(X, info)))

    def predict_features(self, features: Floats) -> Any:
        """Forecast from rows of the columns `columns_`, in the units of `y`: `predict` without the encoding."""
        check_is_fitted(self, "_targets")
        parts = range(0, max(len(features), 1), CHUNK)
        means = [self._targets.inverse(self._predict_mean(features[start : start + CHUNK])) for start in parts]
        return self._shape(np.concatenate(means))

    def predict_latent(self, X: Architectures | ArrayLike, *, info: Info | None = None) -> tuple[Floats, Floats]:
        """Return mean and standard deviation on the scale of the transformed targets, where forecasts are Gaussian.

        The map back to the units of `y` keeps the order, so that questions about order, such as which of two
        architectures is better, are answered here: see `probability_better` and `top_k_probability`.

        Returns
        -------
        mean, std : float64 arrays `(n,)`, or `(n, m)`
        """
        parts = [self._predict(part) for part in self._feature_chunks(X, info)]
        means, stds = zip(*parts, strict=True)
        return self._shape(np.concatenate(means)), self._shape(np.concatenate(stds))

    def predict_novelty(self, X: Architectures | ArrayLike, *, info: Info | None = None) -> Floats:
        """Return how usual each architecture would be among the training ones, as a p-value in (0, 1], `(n,)`.

        Small values say that it is unlike what the predictor was trained on: see `predictors/novelty.py`.

        Raises
        ------
        InvalidDataError
            If the predictor was loaded from a file that does not hold what this needs.
        """
        parts = list(self._feature_chunks(X, info))
        if self._novelty is None:
            raise InvalidDataError(
                "this predictor comes from a file that tells nothing of novelty: fit and save it again"
            )
        return np.concatenate([self._novelty.p_values(part) for part in parts])

    def _feature_chunks(self, X: Any, info: Info | None) -> Iterator[Floats]:
        check_is_fitted(self, "_targets")
        X, n = self._check_query(X)
        extras = self._info.matrix(info, n)
        for start in range(0, max(n, 1), CHUNK):
            part = slice(start, start + CHUNK)
            yield np.concatenate([self._features(X[part]), extras[part]], axis=1)

    def _features(self, X: Any) -> Floats:
        """Return the columns of a valid query that come before the extras, `(n, d)`."""
        return X if self.encoder_ is None else self.encoder_.transform(X).astype(np.float64)

    def _moments(self, mean: Floats, std: Floats) -> tuple[Floats, Floats]:
        """Return mean and deviation in the units of `y` from those of the transformed targets, all `(n, m)`."""
        return self._targets.inverse(mean), self._targets.spread(mean, std)

    def _inverses(self, latent: Floats) -> Floats:
        """Return quantiles `(n, m, q)` in the units of `y`."""
        return np.stack([self._targets.inverse(latent[..., i]) for i in range(latent.shape[-1])], axis=-1)

    def _shape(self, values: Floats) -> Floats:
        return values[:, 0] if self._single_output_ else values

    # ---- validation ---------------------------------------------------------------------------------------------

    def _training_matrix(self, X: Any, y: Any) -> tuple[Floats, Floats, Columns]:
        if not _holds_architectures(X):
            features, y = self._validated(X, y, multi_output=True, y_numeric=True)
            self.encoder_: Encoder | None = None
            self.space_: SearchSpace | None = None
            if len(features) < 2:
                raise InvalidDataError(f"expected at least 2 observations to fit, got {len(features)} sample")
            return features, np.asarray(y, dtype=np.float64), Columns.of_matrix(features)
        batch = as_batch(X)
        targets = _numbers(y)
        if targets.ndim not in (1, 2) or len(targets) != len(batch):
            raise InvalidDataError(
                f"expected one target for each of {len(batch)} architectures, got shape {targets.shape}"
            )
        if len(batch) < 2:
            raise InvalidDataError(f"expected at least 2 observations to fit, got {len(batch)}")
        self.encoder_ = self._new_encoder()
        features = self.encoder_.fit(batch).transform(batch).astype(np.float64)
        self.space_ = batch.space
        self.n_features_in_ = features.shape[1]
        if hasattr(self, "feature_names_in_"):  # from an earlier fit to a data frame
            del self.feature_names_in_
        return features, targets, self.encoder_.columns(batch.space)

    def _new_encoder(self) -> Encoder:
        chosen = self.default_encoder if self.encoder is None else self.encoder
        if isinstance(chosen, str):
            return make_encoder(chosen)
        if not isinstance(chosen, Encoder):
            raise InvalidDataError(f"encoder must be a name or an Encoder, got {type(chosen).__name__}")
        copy: Encoder = clone(chosen)
        return copy

    def _validated(self, X: Any, *y: Any, **options: Any) -> Any:
        try:
            return validate_data(self, X, *y, dtype=np.float64, **options)
        except ValueError as error:
            raise InvalidDataError(" ".join(str(error).split())) from None

    @staticmethod
    def _check_targets(targets: Floats) -> None:
        bad = ~np.isfinite(targets).all(axis=1)
        if bad.any():
            row = int(np.argmax(bad))
            raise InvalidDataError(f"targets must be finite, got {_brief(targets[row])} for architecture {row}")
        if (targets == targets[0]).all(axis=0).any():
            raise InvalidDataError(
                f"targets must not all be equal, got {_brief(targets[0])} for all {len(targets)} architectures"
            )

    def _check_query(self, X: Any) -> tuple[Any, int]:
        if self.encoder_ is None:
            if _holds_architectures(X):
                raise InvalidDataError("this predictor was fitted on a feature matrix, got architectures")
            X = self._validated(X, reset=False)
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

    def save(self, path: str | PathLike[str]) -> None:
        """Write the fitted predictor to one file, without pickle; `archcast.load_predictor` reads it back.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If it is not fitted.
        InvalidDataError
            If its class is not registered, or a parameter cannot be written as JSON.
        """
        from .saving import save

        save(self, path)


def _holds_architectures(X: Any) -> bool:
    if isinstance(X, (Architectures, Architecture)):
        return True
    if isinstance(X, str) or (isinstance(X, (list, tuple)) and len(X) > 0 and isinstance(X[0], str)):
        raise InvalidDataError("expected Architectures, got native strings: space.parse turns them into architectures")
    return isinstance(X, (list, tuple)) and len(X) > 0 and isinstance(X[0], Architecture)


def _numbers(y: Any) -> Floats:
    try:
        return np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidDataError(f"targets must be numbers: {error}") from None


def _brief(row: Floats) -> Any:
    return row.tolist() if len(row) > 1 else float(row[0])
