"""A Gaussian process that learns from cheap results of many architectures and full results of few."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import spearmanr

from ..encoders import Columns
from ..encoders.base import as_batch
from ..errors import InvalidDataError
from ..spaces import Architectures
from .base import Predictor
from .gaussian_process import GaussianProcess
from .info import Info, InfoColumns
from .kernels import Kernel, Stationary
from .marginal_likelihood import Matrix
from .targets import RankGaussian

_ENOUGH = 5
"""Cheap results below which nothing is learned from them."""
_MOST = 1000
"""Cheap results that the lower process is fitted to."""
_NODES = np.array([-np.sqrt(3.0), 0.0, np.sqrt(3.0)])
_WEIGHTS = np.array([1 / 6, 2 / 3, 1 / 6])
"""Gauss-Hermite quadrature: exact for polynomials of degree five."""


class MultiFidelityProcess(GaussianProcess):
    """An autoregressive Gaussian process over two fidelities; the lower one is the most telling column of `info`.

    The lower process forecasts the cheap result of an architecture; it may have seen those of many more architectures
    than were fully trained. The upper process sees the architecture and its cheap result, with a kernel of the result
    alone plus one of both together: a trend that all share, and what depends on the architecture as well. It begins
    with the lengthscales that the lower one has found: what makes architectures alike on a short training does so on a
    long one. Where the cheap result of an architecture is missing, the lower process's forecast stands in, with its
    uncertainty. Without `info` this is the plain Gaussian process.

    In `fit`, targets may be NaN for architectures whose `info` is known: these teach the lower process alone.

    Parameters
    ----------
    encoder, restarts, subset, target_transform, seed
        See `GaussianProcess`.
    trust : float
        Prior deviation of the upper process's log lengthscales around those of the lower.

    Notes
    -----
    Kennedy and O'Hagan, "Predicting the output from a complex computer code when fast approximations are available",
    Biometrika 87, 2000; with a Gaussian process in place of their linear regression on the lower level: Perdikaris,
    Raissi, Damianou, Lawrence and Karniadakis, "Nonlinear information fusion algorithms for data-efficient
    multi-fidelity modelling", Proceedings of the Royal Society A 473, 2017.

    Examples
    --------
    >>> import archcast as ac
    >>> table = ac.load_table("nasbench201")
    >>> y, early = table.values("cifar10/test_accuracy"), table.values("cifar10/valid_accuracy", epoch=12)
    >>> train, test = table.split(50, seed=0)
    >>> predictor = ac.make_predictor("multi_fidelity").fit(
    ...     table.architectures[train], y[train], info={"early": early[train]}
    ... )
    >>> predictor.predict(table.architectures[test[:3]], info={"early": early[test[:3]]}).shape
    (3,)
    """

    multi_output: ClassVar[bool] = False
    takes_noise: ClassVar[bool] = False
    least_info: ClassVar[int] = 1
    _left_out = Predictor._left_out  # the closed form knows of one fidelity alone

    def __init__(
        self,
        encoder: Any = None,
        *,
        trust: float = 0.3,
        restarts: int = 0,
        subset: int = 300,
        target_transform: str = "rank_gaussian",
        seed: int = 0,
    ) -> None:
        super().__init__(encoder, restarts=restarts, subset=subset, target_transform=target_transform, seed=seed)
        self.trust = trust

    def fit(
        self,
        X: Architectures | ArrayLike,
        y: ArrayLike,
        *,
        info: Info | None = None,
        noise_std: ArrayLike | None = None,
    ) -> Self:
        """Learn from trained architectures, and from others of which only cheap results are known.

        Parameters and errors are those of `Predictor.fit`, but that targets may be NaN where `info` is known.
        """
        self._others: tuple[Any, Info] | None = None
        targets = np.asarray(y)
        if info and targets.dtype.kind == "f" and targets.ndim == 1 and np.isnan(targets).any():
            X = X if isinstance(X, np.ndarray) else as_batch(X)  # type: ignore[arg-type]
            InfoColumns.learn(info, len(targets))  # checks
            if len(X) != len(targets):
                raise InvalidDataError(
                    f"expected one target for each of {len(X)} architectures, got shape {targets.shape}"
                )
            parts = {name: np.asarray(values, dtype=np.float64) for name, values in info.items()}
            told = np.any([np.isfinite(part.reshape(len(part), -1)).any(axis=1) for part in parts.values()], axis=0)
            silent = np.isnan(targets) & ~told
            if silent.any():
                row = int(np.argmax(silent))
                raise InvalidDataError(f"neither target nor info is known of architecture {row}: expected one of them")
            full, rest = np.flatnonzero(~np.isnan(targets)), np.flatnonzero(np.isnan(targets))
            self._others = X[rest], {name: part[rest] for name, part in parts.items()}
            X, y, info = X[full], targets[full], {name: part[full] for name, part in parts.items()}
        try:
            return super().fit(X, y, info=info, noise_std=noise_std)
        finally:
            self._others = None

    # ---- the two levels -----------------------------------------------------------------------------------------

    def _make_kernel(self, output: int) -> Kernel:
        if self._low is None:
            return super()._make_kernel(output)
        names = sorted(set(self.columns_.groups))
        centres = {names.index(group): weight for group, weight in self._centres.items()}
        return _Informed(centres, 2 * self.trust) + Stationary("matern32", only=names.index("info"))

    def _fit(self, features: Matrix, z: Matrix) -> None:
        if not 0 < self.trust < np.inf:
            raise InvalidDataError(f"trust must be a positive number, got {self.trust!r}")
        self._low: GaussianProcess | None = None
        self._centres: dict[str, float] = {}
        own, extra = self._split_columns()
        everything = np.concatenate([features, self._others_matrix(len(features[0]))])
        self._column = self._most_telling(features, z[:, 0], extra)
        if self._column is not None:
            known = np.flatnonzero(everything[:, self._flag_of(self._column)] == 0)
            known = np.sort(np.random.default_rng(self.seed).permutation(known)[:_MOST])
            cheap = everything[known, self._column]
            self._cheap = RankGaussian().fit(cheap)
            low = self._new_low(own)
            low._fit(everything[np.ix_(known, own)], self._cheap.transform(cheap)[:, None])
            self._low, self._centres = low, self._found_weights(low)
            features = self._filled(features)[0]
        super()._fit(features, z)

    def _split_columns(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return which columns describe the architecture, and which are values of `info`."""
        groups = np.array(self.columns_.groups)
        extra = groups == "info"
        return np.flatnonzero(~extra & (groups != "info missing")), np.flatnonzero(extra)

    def _flag_of(self, column: int) -> int:
        """Return the column that says whether the value of an `info` column is missing."""
        return self.columns_.names.index(f"{self.columns_.names[column]} missing")

    def _others_matrix(self, width: int) -> Matrix:
        if self._others is None:
            return np.zeros((0, width))
        X, info = self._others
        features = X if self.encoder_ is None else self.encoder_.transform(X).astype(np.float64)
        return np.concatenate([features, self._info.matrix(info, len(X))], axis=1)

    def _most_telling(self, features: Matrix, z: Matrix, extra: NDArray[np.intp]) -> int | None:
        """Return the column of `info` whose known values rank most like the targets do, or None."""
        best, found = 0.0, None
        for column in extra.tolist():
            known = features[:, self._flag_of(column)] == 0
            values = features[known, column]
            if known.sum() < _ENOUGH or (values == values[0]).all() or (z[known] == z[known][0]).all():
                continue
            agreement = abs(float(spearmanr(values, z[known]).statistic))
            if agreement > best:
                best, found = agreement, column
        return found

    def _new_low(self, own: NDArray[np.intp]) -> GaussianProcess:
        low = GaussianProcess(restarts=self.restarts, subset=self.subset, target_transform="none", seed=self.seed)
        columns = self.columns_
        low.columns_ = Columns(
            tuple(columns.names[i] for i in own), tuple(columns.groups[i] for i in own), columns.indicator[own]
        )
        return low

    @staticmethod
    def _found_weights(low: GaussianProcess) -> dict[str, float]:
        """Return the log weight of each group of columns in the kernel of the lower process."""
        names = sorted(set(low.columns_.groups))
        kernel = low.kernels_[0]
        assert isinstance(kernel, Stationary)
        return dict(zip([names[i] for i in kernel.weighted_groups], low.parameters_[0][1:-1].tolist(), strict=True))

    def _filled(self, features: Matrix) -> tuple[Matrix, Matrix]:
        """Return features whose cheap result is on the normal scale, forecast if missing, and its deviation `(n,)`."""
        assert self._low is not None
        assert self._column is not None
        filled, spread = features.copy(), np.zeros(len(features))
        filled[:, self._column] = self._cheap.transform(features[:, self._column])
        missing = features[:, self._flag_of(self._column)] > 0
        if missing.any():
            mean, std = self._low._predict(features[np.ix_(missing, self._split_columns()[0])])
            filled[missing, self._column], spread[missing] = mean[:, 0], std[:, 0]
        # The forecast is as good as a value: what it lacks is in its deviation.
        filled[:, self._flag_of(self._column)] = 0.0
        return filled, spread

    def _answer(self, features: Matrix, *, with_std: bool) -> tuple[Matrix, Matrix]:
        if self._low is None:
            return super()._answer(features, with_std=with_std)
        filled, spread = self._filled(features)
        mean, std = super()._answer(filled, with_std=with_std)
        unsure = np.flatnonzero(spread > 0)
        if len(unsure):
            means, variances = [], []
            for node in _NODES:
                moved = filled[unsure]
                moved[:, self._column] += node * spread[unsure]
                part, part_std = super()._answer(moved, with_std=with_std)
                means.append(part)
                variances.append(part_std**2)
            mean[unsure] = np.tensordot(_WEIGHTS, means, axes=1)
            around = (np.array(means) - mean[unsure]) ** 2
            std[unsure] = np.sqrt(np.tensordot(_WEIGHTS, np.array(variances) + around, axes=1)) if with_std else 0.0
        return mean, std

    # ---- saving -------------------------------------------------------------------------------------------------

    def _get_state(self) -> dict[str, NDArray[Any] | bytes]:
        state = super()._get_state()
        state["column"] = np.array(-1 if self._column is None else self._column)
        if self._low is not None:
            state |= {f"low/{name}": value for name, value in self._low._get_state().items()}
            state |= {f"cheap/{name}": value for name, value in self._cheap.arrays().items()}
        return state

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self._low, self._centres, self._others = None, {}, None
        column = int(state["column"])
        self._column = None if column < 0 else column
        if self._column is not None:
            own, extra = self._split_columns()
            if column not in extra:
                raise ValueError(f"column {column} is none of info")

            def part(prefix: str) -> dict[str, Any]:
                return {name.removeprefix(prefix): state[name] for name in state if name.startswith(prefix)}

            low = self._new_low(own)
            low._set_state(part("low/"))
            self._low, self._cheap = low, RankGaussian().restore(part("cheap/"))
        super()._set_state(state)


class _Informed(Stationary):
    """A Matern kernel whose log weights are believed to be near given ones, group by group.

    Parameters
    ----------
    centres : mapping of int to float
        Group of columns to the prior mean of its log weight.
    std : float
        Prior deviation of these.
    """

    def __init__(self, centres: Mapping[int, float], std: float) -> None:
        super().__init__("matern32", "group")
        self.centres = dict(centres)
        self.std = std

    def setup(self, X: Matrix, groups: NDArray[np.intp]) -> None:
        """Tie the columns to weights, and move the priors of those that are known."""
        super().setup(X, groups)
        for place, group in enumerate(self.weighted_groups, start=1):
            if group in self.centres:
                self.prior_mean[place], self.prior_std[place] = self.centres[group], self.std
