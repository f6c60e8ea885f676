"""A Gaussian process as a surrogate: its posterior over all candidates grows by one row per training."""

from __future__ import annotations

from copy import copy
from threading import Lock
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from sklearn.base import clone

from ..predictors import Predictor
from ..predictors.gaussian_process import GaussianProcess
from ..predictors.graph_process import GraphGaussianProcess
from ..predictors.kernels import Kernel
from ..predictors.marginal_likelihood import NoisePrior, cholesky
from ..spaces import Architectures
from .acquisition import Forecast
from .content import ContentCache, content
from .features import SpaceEncoder, is_of_space
from .history import History
from .surrogate import Surrogate, fitted_to, training_set

Floats: TypeAlias = NDArray[np.float64]

_STATIONARY = ("matern32", "matern52", "rbf")
_JOINT = 1000
_POSTERIORS = ContentCache(6)
_CANDIDATES = ContentCache(2)


def suits(predictor: Predictor) -> bool:
    """Return whether a predictor is a Gaussian process whose kernel needs no scaling but the space's."""
    return (
        type(predictor) in (GaussianProcess, GraphGaussianProcess)
        and isinstance(predictor.kernel, str)
        and predictor.kernel in _STATIONARY
        and is_of_space(predictor._new_encoder())
    )


class Posterior:
    """The posterior of a Gaussian process at `m` candidates, given `n` observations; `extended` adds more.

    With `K = L L'` the covariance of the observations and their noise, it holds `V = L^-1 k(X, candidates)`, to which
    a further observation adds one row: `O(m (d + n))` instead of `O(m n^2)`. The outcomes are needed only when the
    mean is asked for, so that all of them may change (as ranks do) without any new factorisation.

    A posterior never changes. The first extension writes into spare room behind its rows, any other into a copy.

    Parameters
    ----------
    kernel : Kernel
    theta : float64 array `(p,)`
        Its parameters.
    noise : float
        Variance of the noise of an observation.
    candidates : float64 array `(m, d)`
    """

    def __init__(self, kernel: Kernel, theta: Floats, noise: float, candidates: Floats) -> None:
        self._kernel, self._theta, self._noise = kernel, theta, noise
        self._candidates = candidates
        self._with_candidates = kernel.against(theta, candidates)
        self._X = candidates[:0]
        self._room = _Room(0, len(candidates))
        self._variance = kernel.diagonal(theta, candidates)

    def __len__(self) -> int:
        """Return the number of observations."""
        return len(self._X)

    def extended(self, X: Floats) -> Posterior:
        """Return the posterior given also observations with features `(k, d)`, taken in as one block."""
        n, k = len(self), len(X)
        own = self._kernel.covariance(self._theta, X, X)
        own[np.diag_indices(k)] += self._noise
        new = self._with_candidates(X)
        cross = np.zeros((n, k))
        if n:
            L, V = self._room.L[:n, :n], self._room.V[:n]
            cross = solve_triangular(L, self._kernel.covariance(self._theta, self._X, X), lower=True)
            own -= cross.T @ cross
            new -= cross.T @ V
        factor, _ = cholesky(own)
        new = solve_triangular(factor, new, lower=True, check_finite=False)
        longer = copy(self)
        longer._room = self._room.extended(n, np.concatenate([cross.T, factor], axis=1), new)
        longer._variance = self._variance - np.einsum("ij,ij->j", new, new)
        longer._X = np.concatenate([self._X, X])
        return longer

    def solve(self, z: Floats) -> Floats:
        """Return `w = L^-1 z`, for the outcomes `(n,)` of the first observations."""
        n = len(z)
        return np.asarray(solve_triangular(self._room.L[:n, :n], z, lower=True))

    def mean(self, w: Floats) -> Floats:
        """Return the posterior mean at the candidates, `(m,)`, given `w = solve(z)`.

        Observations beyond those are believed at their forecast: such an outcome would add a zero to `w`.
        """
        return np.asarray(w @ self._room.V[: len(w)])

    def std(self) -> Floats:
        """Return the posterior deviation of the candidates' noise-free outcomes, `(m,)`."""
        return np.asarray(np.sqrt(np.maximum(self._variance, 1e-12)))

    def draw(self, mean: Floats, rng: np.random.Generator) -> Floats:
        """Return a joint draw of the most promising thousand candidates, `(m,)`; minus infinity for the others."""
        rows = np.argsort(-(mean + 3 * self.std()), kind="stable")[:_JOINT]
        chosen, V = self._candidates[rows], self._room.V[: len(self), rows]
        covariance = self._kernel.covariance(self._theta, chosen, chosen) - V.T @ V
        covariance[np.diag_indices_from(covariance)] += 1e-6 * np.exp(self._theta[0])
        factor, _ = cholesky(covariance)
        result = np.full(len(mean), -np.inf)
        result[rows] = mean[rows] + factor @ rng.standard_normal(len(rows))
        return result


class _Room:
    """Arrays `L`, `(c, c)`, and `V`, `(c, m)`, with room for more rows than are in use."""

    def __init__(self, capacity: int, candidates: int) -> None:
        self.L, self.V = np.zeros((capacity, capacity)), np.empty((capacity, candidates))
        self.used = 0
        self._lock = Lock()

    def extended(self, n: int, rows: Floats, new: Floats) -> _Room:
        """Return room whose first `n` rows are these, followed by `rows` of L and `new` of V."""
        total = n + len(new)
        with self._lock:
            target = self
            if self.used != n or total > len(self.V):
                target = _Room(max(total + 16, 3 * n // 2), self.V.shape[1])
                target.L[:n, :n], target.V[:n] = self.L[:n, :n], self.V[:n]
            target.used = total
        target.L[n:total, :total], target.V[n:total] = rows, new
        return target


class GaussianSurrogate(Surrogate[Forecast]):
    """An exact Gaussian process on features that are scaled by the space.

    Hyperparameters are learned from the first finished trials, and anew whenever their number has grown by a given
    share; in between every further trial joins the posterior by itself. What was computed for earlier trials is taken
    over if it is still in memory, and computed in the very same steps if not, so that the result is a function of the
    history alone, to the last bit.

    Parameters
    ----------
    predictor : GaussianProcess
        Not fitted, one that `suits`.
    history : History
        Pending trials are believed at their forecast.
    candidates : Architectures, `(m,)`
    transform : str
        How utilities are turned into targets.
    refit : float
        Share of growth after which hyperparameters are learned anew.
    keep : bool
        Keep the posterior for the next call: for candidates that stay the same.
    """

    def __init__(
        self,
        predictor: Predictor,
        history: History,
        candidates: Architectures,
        transform: str,
        *,
        refit: float = 0.1,
        keep: bool = False,
    ) -> None:
        self._encoder = SpaceEncoder(predictor._new_encoder(), scaled=True, raw_counts=predictor._raw_counts)
        self._predictor = clone(predictor).set_params(encoder=self._encoder)
        self._candidates = candidates
        known, z = training_set(history, transform)
        first = last_renewal(len(known), refit, least=_distinct_from(history))
        self._posterior = self._given(known, *training_set(history, transform, first), keep)
        self._w = self._posterior.solve(z)
        self._incumbent = float(z.max())
        if len(history.pending):
            self._posterior = self._posterior.extended(self._features(history.architectures[history.pending]))

    def _features(self, architectures: Architectures) -> Floats:
        return self._encoder.transform(architectures).astype(np.float64)

    def _candidate_features(self, keep: bool) -> Floats:
        name = (content(self._encoder), self._candidates)
        features: Floats | None = _CANDIDATES.get(name) if keep else None
        if features is None:
            features = self._features(self._candidates)
            if keep:
                _CANDIDATES.put(name, features)
        return features

    def _given(self, known: Architectures, early: Architectures, early_z: Floats, keep: bool) -> Posterior:
        """Return the posterior given the known trials, with the hyperparameters of the early ones."""
        first = len(early)
        about = (content(self._predictor), self._candidates, early_z.tobytes())
        posterior, done = None, len(known)
        while keep and posterior is None and done >= first:
            posterior = _POSTERIORS.take((*about, known.genotypes[:done].tobytes()))
            done -= posterior is None
        if posterior is None:
            fitted = fitted_to(self._predictor, early, early_z)
            theta = fitted.parameters_[0]
            noise = float(np.exp(theta[-1])) + NoisePrior().floor
            start = Posterior(fitted.kernels_[0], theta[:-1], noise, self._candidate_features(keep))
            posterior, done = start.extended(self._features(early)), first
        for row in self._features(known[done:]):
            posterior = posterior.extended(row[None])
        if keep:
            _POSTERIORS.put((*about, known.genotypes.tobytes()), posterior)
        return posterior

    def forecast(self) -> Forecast:
        """Return the forecast of all candidates, noise-free."""
        mean = self._posterior.mean(self._w)
        posterior = self._posterior
        return Forecast(mean, posterior.std(), self._incumbent, lambda rng: posterior.draw(mean, rng))

    def believe(self, row: int) -> None:
        """Take in the forecast of a candidate as its outcome, which leaves the mean as it is."""
        self._posterior = self._posterior.extended(self._features(self._candidates[row : row + 1]))


def last_renewal(n: int, share: float, *, least: int = 2) -> int:
    """Return the largest number up to `n` at which a model is renewed that is renewed after growth by `share`.

    >>> [last_renewal(n, 0.1, least=10) for n in (10, 11, 20, 21, 22, 23)]
    [10, 11, 20, 20, 22, 22]
    """
    size = least
    while (following := max(size + 1, int(size * (1 + share)))) <= n:
        size = following
    return size


def _distinct_from(history: History) -> int:
    """Return how many finished trials it takes until two outcomes differ."""
    known = history.utilities[history.finished]
    return int(np.argmax(known != known[0])) + 1
