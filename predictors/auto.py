"""Several predictors at once, weighed by what they said of observations that they did not see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from ..encoders import ConcatenatedEncoder, Encoder
from ..errors import InvalidDataError
from .base import Predictor
from .checks import check_choice, check_integer, check_real
from .left_out import LEAST_OBSERVATIONS, draw_folds
from .nested import adopt, prefixed, under
from .recalibration import METHODS, Recalibration, shrunk_scale
from .stacking import chosen_weights, log_score, pooled, prior_weights, rank_correlation

Floats = NDArray[np.float64]

CANDIDATES = ("gp@semantic", "gp_graph", "xgboost@semantic", "gp_trend@semantic")
"""A smooth view of the features, alone and with graph kernels, a stepwise and a nearly linear one: their errors differ,
which a mixture lives on."""

LEAST_TO_CHOOSE = 30
"""With fewer observations the standard error of a left-out tau, above 0.12, is more than candidates differ by."""


class AutoPredictor(Predictor):
    """Fits several candidates and forecasts their mixture, weighed by forecasts of left-out observations.

    Every observation is forecast by each candidate from folds that do not hold it; for a Gaussian process that is a
    formula, for boosted trees it comes with the fit. Each candidate's deviation is scaled to its errors there. Convex
    weights are then chosen by which the mixture ranks and scores the left-out observations best, ranking and log score
    alike, with a prior of 70 % for the leading candidates that keeps them stable with few observations (see
    `criterion`). Finally the deviation of the mixture is corrected by its own errors.

    With fewer than thirty observations the leading candidates forecast alone, at even weights, and with fewer than ten
    nothing is left out to correct their deviation by. Candidates whose estimated seconds exceed what is left of the
    budget are skipped; the estimate counts work, so that the choice is the same on every machine. One that is the same
    model of the same columns as an earlier one is left out.

    Parameters
    ----------
    encoder : str or Encoder, optional
        What all candidates read; by default each reads its own, and encodings that they share are computed once.
    candidates : sequence of str or Predictor
        `predictor[@encoder...]` or objects. Their `target_transform` is not used.
    leaders : int
        How many of the candidates, from the first on, are the ones to rely on.
    budget_s : float
        Estimated seconds on one core that fitting may take.
    folds : int
        Folds that are left out, where a candidate has to be fitted again for that.
    calibration : {"conformal", "isotonic", "scale"}
        How the intervals of the mixture are corrected; see `Recalibration`.
    target_transform, seed
        See `Predictor`; candidates given by name get the seed too.

    Attributes
    ----------
    labels_ : list of str
        The candidates' names; those of objects are the names of their classes.
    weights_ : float64 array `(candidates,)`
        Sum to 1; those with less than 5 % are dropped.
    members_ : list of (Predictor or None)
        The fitted candidates, None for those without weight.
    chosen_ : str
        The mixture in a few words, such as `"0.70 gp@semantic + 0.30 xgboost@semantic"`.
    report_ : list of dict
        For each candidate and for the mixture: weight, Kendall's tau and log score on left-out observations (NaN where
        nothing was left out), estimated seconds, and a note.
    """

    def __init__(
        self,
        encoder: str | Encoder | None = None,
        *,
        candidates: Sequence[str | Predictor] = CANDIDATES,
        leaders: int = 2,
        budget_s: float = 20.0,
        folds: int = 10,
        calibration: str = "conformal",
        target_transform: str = "rank_gaussian",
        seed: int = 0,
    ) -> None:
        super().__init__(encoder, target_transform=target_transform, seed=seed)
        self.candidates = candidates
        self.leaders = leaders
        self.budget_s = budget_s
        self.folds = folds
        self.calibration = calibration

    # ---- candidates and their columns ---------------------------------------------------------------------------

    def _chosen(self) -> list[Predictor]:
        """Return the candidates, unfitted.

        Raises
        ------
        InvalidDataError
            If there is none, or one is neither a name nor a predictor.
        """
        from . import make_predictor

        if isinstance(self.candidates, str) or not len(self.candidates):
            raise InvalidDataError(f"candidates must be a sequence of at least one predictor, got {self.candidates!r}")
        chosen = []
        for position, candidate in enumerate(self.candidates):
            made = make_predictor(candidate, seed=self.seed) if isinstance(candidate, str) else candidate
            if not isinstance(made, Predictor):
                raise InvalidDataError(
                    f"candidates must be names or predictors, got a {type(made).__name__} at position {position}"
                )
            chosen.append(made)
        return chosen

    @property
    def labels_(self) -> list[str]:
        """The candidates' names."""
        return [item if isinstance(item, str) else type(item).__name__ for item in self.candidates]

    def _encoders(self) -> dict[str, Encoder]:
        """Return the distinct encoders that candidates read, by what tells them apart."""
        return {_encoder_key(candidate): candidate._new_encoder() for candidate in self._chosen()}

    def _new_encoder(self) -> Encoder:
        if self.encoder is not None:
            return super()._new_encoder()
        encoders = self._encoders()
        if len(encoders) == 1:
            return next(iter(encoders.values()))
        return ConcatenatedEncoder(list(encoders.values()), labels=[str(i) for i in range(len(encoders))])

    def _columns(self) -> list[tuple[NDArray[np.intp], Encoder | None]]:
        """Return for each candidate which columns are its own, its encoder's and the extras, and this encoder."""
        candidates, everything = self._chosen(), np.arange(len(self.columns_))
        if self.encoder is not None or self.encoder_ is None:
            return [(everything, self.encoder_)] * len(candidates)
        keys = list(self._encoders())
        parts = (
            self.encoder_.encoders
            if isinstance(self.encoder_, ConcatenatedEncoder) and len(keys) > 1
            else [self.encoder_]
        )
        assert self.space_ is not None
        ends = np.cumsum([0, *(len(part.columns(self.space_)) for part in parts)])
        extras = everything[ends[-1] :]
        places = [keys.index(_encoder_key(candidate)) for candidate in candidates]
        return [(np.r_[everything[ends[i] : ends[i + 1]], extras], parts[i]) for i in places]

    def _adopted(self) -> list[Predictor]:
        self._positions = [positions for positions, _ in self._columns()]
        owned = zip(self._chosen(), self._columns(), strict=True)
        return [adopt(candidate, self, positions, encoder) for candidate, (positions, encoder) in owned]

    def _earlier_twins(self, members: list[Predictor]) -> list[int | None]:
        """Return for each candidate an earlier one that is the same model of the same columns, None if there is none.

        On a plain matrix, or an encoder without counts, a graph kernel has nothing to add.
        """
        known: dict[object, int] = {}
        keys = [(member._identity(), own.tobytes()) for member, own in zip(members, self._positions, strict=True)]
        firsts = [known.setdefault(key, i) for i, key in enumerate(keys)]
        return [first if first < i else None for i, first in enumerate(firsts)]

    # ---- fitting ------------------------------------------------------------------------------------------------

    def _fit(self, features: Floats, z: Floats) -> None:
        check_integer("folds", self.folds, 2)
        check_integer("leaders", self.leaders, 1)
        check_real("budget_s", self.budget_s, 0.0)
        check_choice("calibration", self.calibration, METHODS)
        members, n = self._adopted(), len(z)
        self._few = n < LEAST_TO_CHOOSE
        self._estimates = np.array([member._seconds(n, member.n_features_in_) for member in members])
        self._twins = self._earlier_twins(members)
        tried = self._affordable(self.leaders if self._few else len(members))
        for i in tried:
            members[i]._fit(np.take(features, self._positions[i], axis=1), z)
        self.weights_ = np.zeros(len(members))
        self._scales = np.ones(len(members))
        self._scores = np.full((len(members) + 1, 2), np.nan)
        residuals = np.zeros(0)
        if n < LEAST_OBSERVATIONS:
            self.weights_[tried] = 1 / len(tried)  # nothing is left out
        else:
            folds = draw_folds(n, self.folds, self.seed)
            parts = [members[i]._left_out(np.take(features, self._positions[i], axis=1), z, folds) for i in tried]
            residuals = self._weigh(tried, z[:, 0], *(np.stack(part)[..., 0] for part in zip(*parts, strict=True)))
        self._recalibration = Recalibration.learn(self.calibration, residuals)
        self.members_ = [member if weight else None for member, weight in zip(members, self.weights_, strict=True)]

    def _affordable(self, first: int) -> list[int]:
        """Return which of the first candidates fit into the budget one after the other; the cheapest if none does."""
        tried, left = [], float(self.budget_s)
        estimates = self._estimates[:first].tolist()
        for i, seconds in enumerate(estimates):
            if seconds <= left and self._twins[i] is None:
                tried.append(i)
                left -= seconds
        return tried or [int(np.argmin(estimates))]

    def _weigh(self, tried: list[int], target: Floats, means: Floats, stds: Floats) -> Floats:
        """Choose the weights from forecasts of left-out observations, and return what the mixture is off there.

        Parameters
        ----------
        tried : list of int
            The candidates.
        target : array `(n,)`
        means, stds : arrays `(tried, n)`

        Returns
        -------
        array `(n,)`
            Errors in units of the deviation.
        """
        scales = np.array([shrunk_scale(residual) for residual in (target - means) / stds])
        stds = stds * scales[:, None]
        taus = np.array([rank_correlation(target, mean) for mean in means])
        prior = prior_weights(len(self._estimates), self.leaders)[tried]
        weights = prior / prior.sum()
        if not self._few:
            weights = chosen_weights(target, means, weights)
        mean, std = pooled(weights, means, stds)
        self.weights_[tried], self._scales[tried] = weights, scales
        self._scores[tried, 0] = taus
        self._scores[tried, 1] = [log_score(target, *forecast) for forecast in zip(means, stds, strict=True)]
        self._scores[-1] = rank_correlation(target, mean), log_score(target, mean, std)
        residuals: Floats = (target - mean) / std
        return residuals

    # ---- forecasting --------------------------------------------------------------------------------------------

    def _predict_mean(self, features: Floats) -> Floats:
        parts = [
            weight * member._predict_mean(np.take(features, positions, axis=1))
            for weight, member, positions in zip(self.weights_, self.members_, self._positions, strict=True)
            if member is not None
        ]
        return np.asarray(np.sum(parts, axis=0))

    def _pooled(self, features: Floats) -> tuple[Floats, Floats]:
        """Return the mixture before its deviation is corrected, mean and deviation `(n, 1)`."""
        used = np.flatnonzero(self.weights_).tolist()
        parts = [self._member(i)._predict(np.take(features, self._positions[i], axis=1)) for i in used]
        means, stds = (np.stack(part)[..., 0] for part in zip(*parts, strict=True))
        mean, std = pooled(self.weights_[used], means, stds * self._scales[used, None])
        return mean[:, None], std[:, None]

    def _member(self, i: int) -> Predictor:
        member = self.members_[i]
        assert member is not None
        return member

    def _predict(self, features: Floats) -> tuple[Floats, Floats]:
        mean, std = self._pooled(features)
        return mean, std * self._recalibration.deviation

    def _distribution(self, features: Floats, levels: Floats) -> tuple[Floats, Floats, Floats]:
        return self._recalibration.distribution(*self._pooled(features), levels)

    def _left_out(self, features: Floats, z: Floats, folds: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Return the mixture of what the members say of left-out observations."""
        used = np.flatnonzero(self.weights_).tolist()
        parts = [self._member(i)._left_out(np.take(features, self._positions[i], axis=1), z, folds) for i in used]
        means, stds = (np.stack(part)[..., 0] for part in zip(*parts, strict=True))
        mean, std = pooled(self.weights_[used], means, stds * self._scales[used, None])
        return mean[:, None], (std * self._recalibration.deviation)[:, None]

    def _seconds(self, n: int, d: int) -> float:
        """Return the budget: candidates that take longer are skipped."""
        return float(self.budget_s)

    # ---- what was chosen ----------------------------------------------------------------------------------------

    @property
    def report_(self) -> list[dict[str, Any]]:
        """One record for each candidate, and one for the mixture."""
        check_is_fitted(self, "weights_")
        labels, weights = [*self.labels_, "mixture"], [*self.weights_.tolist(), 1.0]
        estimates = [*self._estimates.tolist(), float(self._estimates[self.weights_ > 0].sum())]
        return [
            {
                "candidate": label,
                "weight": weight,
                "kendall_tau": tau,
                "log_score": score,
                "estimated_seconds": seconds,
                "note": self._note(i),
            }
            for i, (label, weight, (tau, score), seconds) in enumerate(
                zip(labels, weights, self._scores.tolist(), estimates, strict=True)
            )
        ]

    @property
    def chosen_(self) -> str:
        """The candidates with a weight, and that weight."""
        check_is_fitted(self, "weights_")
        weighed = zip(self.weights_.tolist(), self.labels_, strict=True)
        return " + ".join(f"{weight:.2f} {label}" for weight, label in weighed if weight)

    def _note(self, i: int) -> str:
        if i == len(self.weights_):
            return (
                f"fewer than {LEAST_OBSERVATIONS} observations, none left out" if np.isnan(self._scores[i, 0]) else ""
            )
        if self.weights_[i]:
            return ""
        if (twin := self._twins[i]) is not None:
            return f"on these columns the same as candidate {twin + 1}"
        if self._few:
            return f"not tried with fewer than {LEAST_TO_CHOOSE} observations"
        if np.isnan(self._scores[i, 0]):
            return f"skipped: more than what is left of {self.budget_s:g} s"
        return "dropped"

    # ---- saving -------------------------------------------------------------------------------------------------

    def _get_state(self) -> dict[str, NDArray[Any] | bytes]:
        state: dict[str, NDArray[Any] | bytes] = {
            "estimates": self._estimates,
            "few": np.array(self._few),
            "scales": self._scales,
            "scores": self._scores,
            "weights": self.weights_,
        }
        for i in np.flatnonzero(self.weights_).tolist():
            state |= prefixed(f"{i}/", self._member(i)._get_state())
        return state | prefixed("recalibration/", self._recalibration.arrays())

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self.weights_, self._estimates, self._few = state["weights"], state["estimates"], bool(state["few"])
        self._scales, self._scores = state["scales"], state["scores"]
        self._recalibration = Recalibration.restored(under("recalibration/", state))
        members = self._adopted()
        self._twins = self._earlier_twins(members)
        shape = (len(members),)
        if not (self.weights_.shape == self._scales.shape == self._estimates.shape == shape):
            raise ValueError(f"there are {self.weights_.shape} weights for {len(members)} candidates")
        if self._scores.shape != (len(members) + 1, 2):
            raise ValueError(f"there are scores {self._scores.shape} for {len(members)} candidates and their mixture")
        for i in np.flatnonzero(self.weights_).tolist():
            members[i]._set_state(under(f"{i}/", state))
        self.members_ = [member if weight else None for member, weight in zip(members, self.weights_, strict=True)]


def _encoder_key(candidate: Predictor) -> str:
    """Return what tells the encoder of a candidate from others: its class and parameters."""
    encoder = candidate._new_encoder()
    return repr((type(encoder).__qualname__, sorted(encoder.get_params(deep=False).items())))
