"""A regressor on what the beginning of a curve looks like, and on what is trained."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ...encoders import Encoder, make_encoder
from ...errors import InvalidDataError
from ...spaces import Architectures
from ..base import Predictor
from .base import Extrapolator, Floats, typical_distance
from .correction import Correction

_FOLDS = 3

CURVE_FEATURES = (
    "last",
    "first",
    "best",
    "mean",
    "mean of the later half",
    "mean of the last three",
    "last change",
    "recent slope",
    "late slope",
    "slope",
    "log recent change",
    "log change",
    "last curvature",
    "curvature",
    "roughness",
    "age of the best",
)
"""The columns of `curve_features`."""


def curve_features(curves: Floats, higher_is_better: bool = True, *, least: float = 1e-6) -> Floats:
    """Return what the beginnings of curves `(m, k)` look like, `(m, 16)`: see `CURVE_FEATURES`.

    Levels; changes per epoch of the last epoch, of the last three, of the later half and of all; two of these as
    logarithms of their size; the differences of the last two changes, and of the slopes of the halves; the deviation of
    the changes; and how long ago the best value was. Changes below `least` are not told apart by their logarithms.
    """
    k = curves.shape[1]
    last, first = curves[:, -1], curves[:, 0]
    running = np.maximum if higher_is_better else np.minimum
    best = running.reduce(curves, axis=1)
    age = np.argmax(curves[:, ::-1] == best[:, None], axis=1)
    half, three = k // 2, min(3, k - 1)
    steps = np.diff(curves, axis=1) if k > 1 else np.zeros((len(curves), 1))
    recent, late, whole = last - curves[:, k - 1 - three], last - curves[:, half], last - first
    early = (curves[:, half] - first) / max(half, 1)
    return np.stack(
        [
            last,
            first,
            best,
            curves.mean(axis=1),
            curves[:, half:].mean(axis=1),
            curves[:, -3:].mean(axis=1),
            steps[:, -1],
            recent / max(three, 1),
            late / max(k - 1 - half, 1),
            whole / max(k - 1, 1),
            np.log(least + np.abs(recent)),
            np.log(least + np.abs(whole)),
            steps[:, -1] - (steps[:, -2] if k > 2 else 0.0),
            late / max(k - 1 - half, 1) - early,
            steps.std(axis=1),
            age.astype(np.float64),
        ],
        axis=1,
    )


class FeatureExtrapolator(Extrapolator):
    """A regressor from the features of a beginning to the change that is still to come.

    The complete curves, cut to what has been seen of a new one, are its training set; it is fitted when that length is
    first asked for, and corrected by its errors in cross-validation. What is forecast is the change from the last value
    on, so that a regressor that knows nothing says that curves stay where they are.

    Parameters
    ----------
    regressor : str or Predictor
        A predictor that answers with a mean and a deviation, `"random_forest"` or `"svr"`, say.
    encoder : str or Encoder, optional
        Encodes the architectures as further features; without it they are not looked at.
    seed : int

    Notes
    -----
    Baker, Gupta, Raskar and Naik, "Accelerating Neural Architecture Search using Performance Prediction",
    arXiv:1705.10823, 2017: a support vector regression on values, differences and second differences of the curve, the
    architecture and its hyperparameters.
    """

    least_complete: ClassVar[int] = 5

    def __init__(
        self,
        regressor: str | Predictor = "random_forest",
        encoder: str | Encoder | None = None,
        *,
        seed: int = 0,
    ) -> None:
        self.regressor = regressor
        self.encoder = encoder
        self.seed = seed

    def _fit(self, curves: Floats, architectures: Architectures | None) -> None:
        self._new_regressor()
        self._complete = curves
        self._least = 1e-3 * (typical_distance(self.finals_) or float(np.abs(self.finals_).max()) or 1.0)
        self._encoder: Encoder | None = None
        self._encoding = np.zeros((len(curves), 0))
        if self.encoder is not None:
            if architectures is None:
                raise InvalidDataError("an extrapolator with an encoder needs the architectures of the curves")
            encoder = make_encoder(self.encoder) if isinstance(self.encoder, str) else self.encoder
            self._encoder = encoder.fit(architectures)
            self._encoding = self._encoder.transform(architectures).astype(np.float64)
        self._regressors: dict[int, tuple[Predictor | None, Correction]] = {}

    def _new_regressor(self) -> Predictor:
        from sklearn.base import clone

        from .. import make_predictor

        if not isinstance(self.regressor, (str, Predictor)):
            raise InvalidDataError(f"regressor must be a name or a Predictor, got {type(self.regressor).__name__}")
        made: Predictor = make_predictor(self.regressor) if isinstance(self.regressor, str) else clone(self.regressor)
        made.set_params(target_transform="standardize", seed=self.seed)
        return made

    def _predict(self, curves: Floats, architectures: Architectures | None) -> tuple[Floats, Floats]:
        encoding = np.zeros((len(curves), 0))
        if self._encoder is not None:
            if architectures is None:
                raise InvalidDataError("an extrapolator with an encoder needs the architectures of the curves")
            encoding = self._encoder.transform(architectures).astype(np.float64)
        regressor, correction = self._fitted(curves.shape[1])
        last = curves[:, -1]
        if regressor is None:  # all curves change by the same after this epoch
            return last + (self.finals_[0] - self._complete[0, curves.shape[1] - 1]), np.zeros(len(curves))
        features = np.concatenate([self._features(curves), encoding], axis=1)
        change, std = regressor.predict(features, return_std=True)
        return correction.apply(last, last + change, std)

    def _features(self, curves: Floats) -> Floats:
        return curve_features(curves, self.higher_is_better_, least=self._least)

    def _fitted(self, seen: int) -> tuple[Predictor | None, Correction]:
        """Return the regressor for curves of which so many values are seen; None if nothing is left to learn.

        The correction is that of its forecasts in cross-validation: deviations of forests of few curves are too small.
        """
        if seen in self._regressors:
            return self._regressors[seen]
        last, n = self._complete[:, seen - 1], len(self.finals_)
        change = self.finals_ - last
        features = np.concatenate([self._features(self._complete[:, :seen]), self._encoding], axis=1)
        if (change == change[0]).all():
            self._regressors[seen] = None, Correction()
            return self._regressors[seen]
        mean, std = np.empty(n), np.empty(n)
        fold = np.random.default_rng(self.seed).permutation(n) % _FOLDS
        for k in range(_FOLDS):
            inside, outside = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
            if (change[inside] == change[inside[0]]).all():
                mean[outside], std[outside] = change[inside[0]], float(change.std())
            else:
                part = self._new_regressor().fit(features[inside], change[inside])
                mean[outside], std[outside] = part.predict(features[outside], return_std=True)
        correction = Correction.learn(last, last + mean, std, self.finals_)
        self._regressors[seen] = self._new_regressor().fit(features, change), correction
        return self._regressors[seen]
