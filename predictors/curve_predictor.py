"""Forecasts from an architecture and the beginning of its learning curve, which is given as `info`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from ..encoders import Columns, Encoder
from ..errors import InvalidDataError
from .base import Predictor
from .curves.base import bridged
from .curves.features import CURVE_FEATURES, curve_features

_ENOUGH = 5
"""Trainings that were seen to an epoch, below which nothing is learned of curves that end there."""
_LEAST = 2
"""Columns from which on an entry of `info` is a curve."""


class CurvePredictor(Predictor):
    """Any predictor on the architecture and on what the beginning of its learning curve looks like.

    The curve is the first entry of `info` with several columns, one a report, NaN after what was seen: in the units of
    the target or others. What is learned is the difference between the target and its regression on the last value
    seen. Curves may be seen to different epochs, in `fit` and in `predict`: for each length there is a fit of its own,
    to the beginnings of that length, made when it is first asked for. Architectures of which nothing was seen are
    forecast from their encoding alone. Other entries of `info` are features as usual.

    Parameters
    ----------
    encoder, target_transform, seed
        See `Predictor`.
    regressor : str or Predictor
        What is fitted: `"gp"`, `"random_forest"`, `"svr"` ...

    Notes
    -----
    Baker, Gupta, Raskar and Naik, "Accelerating Neural Architecture Search using Performance Prediction",
    arXiv:1705.10823, 2017.

    Examples
    --------
    >>> import archcast as ac
    >>> table = ac.load_table("mnist1d_nasbench201")
    >>> curves = table.values("mnist1d/valid_accuracy", epoch="all")
    >>> train, test = table.split(40, seed=0)
    >>> predictor = ac.make_predictor("curve_gp").fit(
    ...     table.architectures[train], curves[train, -1], info={"curve": curves[train, :5]}
    ... )
    >>> predictor.predict(table.architectures[test[:2]], info={"curve": curves[test[:2], :5]}).shape
    (2,)
    """

    least_info: ClassVar[int] = _LEAST

    def __init__(
        self,
        encoder: str | Encoder | None = None,
        *,
        regressor: str | Predictor = "gp",
        target_transform: str = "rank_gaussian",
        seed: int = 0,
    ) -> None:
        super().__init__(encoder, target_transform=target_transform, seed=seed)
        self.regressor = regressor

    def _fit(self, features: NDArray[np.float64], z: NDArray[np.float64]) -> None:
        self._training = features, np.ascontiguousarray(z)
        self._prepare()

    def _prepare(self) -> None:
        self._new_regressor()
        names = np.array(self.columns_.names)
        groups = np.array(self.columns_.groups)
        # "info NAME[3]" is the fourth column of an entry; names hold no line ends, and may hold anything else.
        stems = np.array([name.rpartition("[")[0] for name in names])
        counts = {stem: int((stems[groups == "info"] == stem).sum()) for stem in stems[groups == "info"].tolist()}
        curve = next((stem for stem, count in counts.items() if count >= _LEAST), None)
        own = (stems == curve) & np.isin(groups, ("info", "info missing"))
        self._values = np.flatnonzero(own & (groups == "info"))
        self._flags = np.flatnonzero(own & (groups == "info missing"))
        self._others = np.flatnonzero(~own)
        self._models: dict[int, tuple[Predictor, NDArray[np.float64]]] = {}
        self._beginnings = self._curves(self._training[0])
        self._seen = _seen(self._beginnings)
        known = self._beginnings[np.isfinite(self._beginnings)]
        spread = float(np.subtract(*np.quantile(known, [0.75, 0.25]))) if len(known) else 0.0
        self._least = 1e-3 * (spread or 1.0)

    def _new_regressor(self) -> Predictor:
        from . import make_predictor

        if not isinstance(self.regressor, (str, Predictor)):
            raise InvalidDataError(f"regressor must be a name or a Predictor, got {type(self.regressor).__name__}")
        made: Predictor = make_predictor(self.regressor) if isinstance(self.regressor, str) else clone(self.regressor)
        made.set_params(target_transform="none", seed=self.seed)
        return made

    def _curves(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the curves, `(n, k)`, NaN where they are not known."""
        return np.where(features[:, self._flags] > 0, np.nan, features[:, self._values])

    def _design(self, features: NDArray[np.float64], curves: NDArray[np.float64], seen: int) -> NDArray[np.float64]:
        if seen == 0:
            return features[:, self._others]
        return np.concatenate(
            [features[:, self._others], curve_features(bridged(curves[:, :seen]), least=self._least)], axis=1
        )

    def _trend(self, coefficients: NDArray[np.float64], curves: NDArray[np.float64], seen: int) -> NDArray[np.float64]:
        """Return what the last value says about the target, on its transformed scale."""
        last = self._targets.columns[0].transform(bridged(curves[:, :seen])[:, -1])
        trend: NDArray[np.float64] = coefficients[0] + coefficients[1] * last
        return trend

    def _model(self, seen: int) -> tuple[int, Predictor, NDArray[np.float64]]:
        """Return the fit for curves of which so many values are seen: that number or the next lower that is known."""
        while seen and (self._seen >= seen).sum() < _ENOUGH:
            seen -= 1
        if seen not in self._models:
            features, z = self._training
            rows = np.flatnonzero(self._seen >= seen)
            features, curves, target = features[rows], self._beginnings[rows], z[rows, 0]
            coefficients = np.zeros(2)
            if seen:
                coefficients = _regression(self._trend(np.array([0.0, 1.0]), curves, seen), target)
                target = target - self._trend(coefficients, curves, seen)
            if float(np.ptp(target)) <= 1e-12 * max(float(np.ptp(z)), 1e-300):
                coefficients, target = np.zeros(2), z[rows, 0]
            regressor = self._new_regressor()
            regressor.columns_ = self._design_columns(seen)
            regressor._fit(self._design(features, curves, seen), target[:, None])
            self._models[seen] = regressor, coefficients
        return seen, *self._models[seen]

    def _design_columns(self, seen: int) -> Columns:
        columns = self.columns_
        kept = Columns(
            tuple(columns.names[i] for i in self._others),
            tuple(columns.groups[i] for i in self._others),
            columns.indicator[self._others],
        )
        return Columns.concatenate([kept, Columns.of(CURVE_FEATURES, "curve", indicator=False)]) if seen else kept

    def _predict(self, features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        curves = self._curves(features)
        lengths = _seen(curves)
        mean, std = np.empty((len(features), 1)), np.empty((len(features), 1))
        for length in np.unique(lengths).tolist():
            rows = np.flatnonzero(lengths == length)
            seen, regressor, coefficients = self._model(length)
            part = self._design(features[rows], curves[rows], seen)
            mean[rows], std[rows] = regressor._predict(part)
            if seen:
                mean[rows, 0] += self._trend(coefficients, curves[rows], seen)
        return mean, std

    def _get_state(self) -> dict[str, NDArray[Any] | bytes]:
        return {"features": self._training[0], "targets": self._training[1]}

    def _set_state(self, state: Mapping[str, Any]) -> None:
        features, z = (np.ascontiguousarray(state[name]) for name in ("features", "targets"))
        if features.shape != (len(z), len(self.columns_)) or z.shape != (len(features), 1):
            raise ValueError(f"features {features.shape} and targets {z.shape} for {len(self.columns_)} columns")
        self._training = features, z
        self._prepare()


def _seen(curves: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return how many values of each curve there are up to the last known one, `(n,)`."""
    known = np.isfinite(curves)
    if not curves.shape[1]:
        return np.zeros(len(curves), dtype=np.intp)
    return np.where(known.any(axis=1), curves.shape[1] - np.argmax(known[:, ::-1], axis=1), 0)


def _regression(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return intercept and slope of the least squares line."""
    spread = float(((x - x.mean()) ** 2).sum())
    slope = 0.0 if spread == 0 else float(((x - x.mean()) * (y - y.mean())).sum()) / spread
    return np.array([y.mean() - slope * x.mean(), slope])
