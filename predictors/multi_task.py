"""A Gaussian process of several tasks at once: the target and its sources share one kernel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from ..encoders import Encoder
from ..spaces import Architectures
from .base import Floats
from .kernels import Coregionalised, Kernel
from .marginal_likelihood import NoisePrior, fit_parameters
from .sources import Source
from .targets import RankGaussian
from .transfer import TransferGaussianProcess

_SOURCE_NOISE = NoisePrior(mean=-1.5, std=1.5)
"""Nothing is known of the noise of a source, which may be all there is to it."""


class MultiTaskGaussianProcess(TransferGaussianProcess):
    """Trainings of all tasks in one exact Gaussian process: the intrinsic coregionalisation model.

    Two trainings covary by how alike the architectures are, times how alike their tasks are; both are learned by the
    marginal likelihood of all of them, so that the sources teach which features matter, and the target's trainings
    how much the sources matter. The cost grows with the cube of all trainings, hence few of each source are looked at;
    a source that is a predictor is asked about the target's trainings, and about random architectures.

    Parameters
    ----------
    source_size : int
        Trainings of each source that are looked at, drawn at random.
    encoder, sources, kernel, lengthscales, restarts, subset, target_transform, seed
        As in `TransferGaussianProcess`, which says what sources are.

    Attributes
    ----------
    weights_ : float64 array `(sources,)`
        The correlation of each source with the target that was learned; zero where the sources have no say.

    Notes
    -----
    Bonilla, Chai and Williams, "Multi-task Gaussian Process Prediction", NeurIPS 2007. Every task is standardised and
    has a noise of its own, so that a source without rhyme or reason is explained as noise. Where the target's trainings
    have less evidence given the sources than alone, the sources are left out. Columns that the space of a source lacks
    are zero in its rows.
    """

    asks_sources: ClassVar[bool] = False

    def __init__(
        self,
        encoder: str | Encoder | None = None,
        *,
        sources: Any = (),
        source_size: int = 150,
        kernel: str | Kernel = "matern32",
        lengthscales: str = "group",
        restarts: int = 0,
        subset: int = 300,
        target_transform: str = "rank_gaussian",
        seed: int = 0,
    ) -> None:
        super().__init__(
            encoder,
            sources=sources,
            source_size=source_size,
            kernel=kernel,
            lengthscales=lengthscales,
            restarts=restarts,
            subset=subset,
            target_transform=target_transform,
            seed=seed,
        )

    def _learn_sources(self, X: Any, features: Floats) -> None:
        self._models = []
        self._observed = [self._observations(source, X, features) for source in self.sources]

    def _observations(self, source: Source, X: Any, features: Floats) -> tuple[Floats, Floats]:
        """Return features, in the target's columns, and standardised values of the rows of a source, `(m,)`."""
        if source.predictor is None:
            rows = source.rows(self.source_size, self.seed)
            known, shared = source.encoded(rows, self.encoder_, self.space_)
            filled = np.zeros((len(rows), features.shape[1]))
            filled[:, shared] = known
            values = source.y[rows]
            equal = bool((values == values[0]).all())
            return filled, values * 0 if equal else standardised(RankGaussian().fit(values).transform(values))[0]
        source.check_space(self.space_)
        asked = X
        if self.encoder_ is not None and self.space_ is not None:
            drawn = self.space_.sample(self.source_size, seed=self.seed, distinct=False)
            asked = Architectures.concatenate([X, drawn])
            features = self.encoder_.transform(asked).astype(np.float64)
        return features, standardised(source.predictor.predict_latent(asked)[0])[0]

    def _make_kernel(self, output: int) -> Kernel:
        return Coregionalised(self._named_kernel(), self._tasks)

    def _scaled(self, features: Floats) -> Floats:
        """Return scaled rows of the target, whose task is 0."""
        return np.column_stack([super()._scaled(features), np.zeros(len(features))])

    def _fit(self, features: Floats, z: Floats) -> None:
        own, mean, scale = standardised(z[:, 0])
        self._z_mean, self._z_scale = np.array([mean]), np.array([scale])
        alone = self._learn(features, own, [])
        if self._observed and self._learn(features, own, self._observed) < alone:
            self._learn(features, own, [])

    def _learn(self, features: Floats, own: Floats, observed: list[tuple[Floats, Floats]]) -> float:
        """Fit to the target and what was observed of sources, and return the log evidence of the target given those."""
        self._tasks = 1 + len(observed)
        blocks, values, tasks = [], [], []
        for task, (known, scores) in enumerate(observed, start=1):
            missing = {name: np.full((len(known), len(m)), np.nan) for name, m in self._info.medians.items()}
            blocks.append(np.concatenate([known, self._info.matrix(missing, len(known))], axis=1))
            values.append(scores)
            tasks.append(np.full(len(known), task))
        everything = np.concatenate([*blocks, features])
        standard, task_of = np.concatenate([*values, own]), np.concatenate([*tasks, np.zeros(len(own), dtype=np.intp)])
        self._learn_scaling(everything)
        self._X = self._scaled(everything)
        self._X[:, -1] = task_of
        kernel = self._make_kernel(0)
        kernel.setup(self._X, self._groups)
        theta = fit_parameters(
            kernel,
            self._X,
            standard,
            [NoisePrior(), *[_SOURCE_NOISE] * len(observed)],
            restarts=self.restarts,
            subset=self.subset + len(standard) - len(own),
            seed=self.seed,
            levels=task_of,
        )
        self._source_noise = np.exp(theta[kernel.n_parameters + 1 :])
        self.kernels_, self.parameters_ = [kernel], [theta[: kernel.n_parameters + 1]]
        self._condition(standard[:, None])
        # The target's rows come last: theirs is the last block of the factor, and its share of the evidence.
        factor, rows = self._factors[0], slice(len(standard) - len(own), None)
        whitened = solve_triangular(factor, standard, lower=True, check_finite=False)[rows]
        return float(-0.5 * whitened @ whitened - np.log(np.diag(factor)[rows]).sum())

    def _row_noise(self, theta: Floats) -> Floats:
        """Return the noise of the task that each training row belongs to."""
        levels = np.r_[self._noise(theta), self._source_noise + NoisePrior().floor]
        noise: Floats = levels[self._X[:, -1].astype(np.intp)]
        return noise

    def _get_state(self) -> dict[str, NDArray[Any] | bytes]:
        return {**super()._get_state(), "source_noise": self._source_noise}

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self._source_noise = state["source_noise"]
        self._tasks = 1 + len(self._source_noise)
        super()._set_state(state)

    @property
    def weights_(self) -> Floats:
        """The correlation of each source with the target."""
        if self._tasks == 1:
            return np.zeros(len(self.sources))
        kernel = self.kernels_[0]
        assert isinstance(kernel, Coregionalised)
        B = kernel.matrix(self.parameters_[0])
        correlations: Floats = B[0, 1:] / np.sqrt(B[0, 0] * np.diag(B)[1:])
        return correlations


def standardised(values: Floats) -> tuple[Floats, float, float]:
    """Return values of mean 0 and deviation 1, and the mean and deviation they had (1 for equal ones)."""
    mean, scale = float(values.mean()), float(values.std()) or 1.0
    return (values - mean) / scale, mean, scale
