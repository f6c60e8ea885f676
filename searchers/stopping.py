"""Early stopping of running trainings: by the median of the others, or by a forecast of the curve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr
from sklearn.base import clone

from .base import Searcher, check_number
from .content import ContentCache, content
from .curve_history import CurveHistory, Ending
from .scheduler import Assignment, Scheduler

if TYPE_CHECKING:
    from ..predictors import Predictor
    from ..predictors.curves import Extrapolator

_LIFT = "bayesian_linear@operations"
_JUDGED = 4
"""Searchers learn at the last epoch, and at this many earlier ones between which it doubles."""
_FITS = ContentCache(8)


class EarlyStopping(Scheduler):
    """What rules of early stopping share: every training is begun to the end, and judged at each report.

    Parameters
    ----------
    searcher, min_epochs, enough, lift
        See `Scheduler`.
    min_trials : int
        How many trainings there must be to compare with.
    """

    watches = True

    def __init__(
        self,
        searcher: str | Searcher = "random",
        *,
        min_epochs: int | None = None,
        min_trials: int = 5,
        enough: int = 6,
        lift: str | Predictor | None = _LIFT,
    ) -> None:
        super().__init__(searcher, min_epochs=min_epochs, enough=enough, lift=lift)
        self.min_trials = min_trials

    def _check(self, history: CurveHistory) -> None:
        super()._check(history)
        check_number("min_trials", self.min_trials, 1, integer=True)

    def _levels(self, history: CurveHistory) -> list[int]:
        wanted = [history.epochs[-1] / 2**k for k in range(_JUDGED + 1)]
        return sorted({int(level) for level in np.searchsorted(history.epochs, wanted)})

    def _next(self, history: CurveHistory, seed: int) -> Assignment | None:
        return self._begin(history, history.epochs[-1], seed, self.searcher)


class MedianStopping(EarlyStopping):
    """Stops a training whose best value so far is worse than the median of the others' running averages.

    The others are all trials that came as far, the running averages the means of their values up to there.

    Notes
    -----
    Golovin, Solnik, Moitra, Kochanski, Karro and Sculley, "Google Vizier: A Service for Black-Box Optimization", KDD
    2017, section 3.2.2.
    """

    def _stops(self, history: CurveHistory, trial: int, level: int) -> bool:
        curves = history.utilities[:, : level + 1]
        others = np.isfinite(curves[:, level])
        others[trial] = False
        if others.sum() < self.min_trials:
            return False
        return bool(curves[trial].max() < np.median(curves[others].mean(axis=1)))


class ForecastStopping(EarlyStopping):
    """Stops a training that will hardly beat the best finished one, by a forecast of its curve.

    The extrapolator learns from the finished trainings. A training stops once the probability to end above the
    incumbent is below `p`.

    Parameters
    ----------
    searcher, min_epochs, min_trials, enough, lift
        See `EarlyStopping`; at least three reports are seen before a training is judged, whatever `min_epochs`, and
        `min_trials` are finished.
    p : float
        The probability below which a training is given up.
    extrapolator : str or Extrapolator
        What forecasts the curves; by default one that takes no finished training for typical, as they are those that
        were not stopped.
    """

    def __init__(
        self,
        searcher: str | Searcher = "random",
        *,
        p: float = 0.05,
        extrapolator: str | Extrapolator = "parametric_alone",
        min_epochs: int | None = None,
        min_trials: int = 5,
        enough: int = 6,
        lift: str | Predictor | None = _LIFT,
    ) -> None:
        super().__init__(searcher, min_epochs=min_epochs, min_trials=min_trials, enough=enough, lift=lift)
        self.p = p
        self.extrapolator = extrapolator

    def _check(self, history: CurveHistory) -> None:
        super()._check(history)
        check_number("p", self.p, 0, 1)
        if isinstance(self.extrapolator, str):
            from ..predictors.curves import make_extrapolator

            make_extrapolator(self.extrapolator)

    def _stops(self, history: CurveHistory, trial: int, level: int) -> bool:
        finished = np.flatnonzero(np.isfinite(history.utilities[:, -1]) & (history.endings == Ending.OPEN))
        extrapolator = self._unfitted()
        if level < 2 or len(finished) < max(self.min_trials, extrapolator.least_complete):
            return False
        best = history.utilities[finished, -1].max()
        fitted = _fitted(extrapolator, history, finished)
        row = np.array([trial])
        mean, std = fitted.predict(
            history.utilities[row, : level + 1], architectures=history.architectures[row], return_std=True
        )
        return bool(ndtr((mean[0] - best) / max(float(std[0]), 1e-12)) < self.p)

    def _unfitted(self) -> Extrapolator:
        from ..predictors.curves import make_extrapolator

        if isinstance(self.extrapolator, str):
            return make_extrapolator(self.extrapolator)
        copy: Extrapolator = clone(self.extrapolator)
        return copy


def _fitted(extrapolator: Extrapolator, history: CurveHistory, finished: NDArray[np.intp]) -> Extrapolator:
    """Return the extrapolator fitted to finished trials; fits are remembered by their content."""
    curves, architectures = history.utilities[finished], history.architectures[finished]
    key = (content(extrapolator), history.epochs, history.space, architectures.genotypes.tobytes(), curves.tobytes())
    fitted: Extrapolator | None = _FITS.get(key)
    if fitted is None:
        fitted = extrapolator.fit(curves, history.epochs, architectures=architectures)
        _FITS.put(key, fitted)
    return fitted
