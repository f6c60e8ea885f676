"""A Gaussian process whose kernel adds or multiplies graph kernels and the kernel of all other features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from ..encoders import Columns, Encoder
from .base import Floats
from .checks import check_choice
from .gaussian_process import GaussianProcess
from .kernels import GroupedLinear, Kernel, OnColumns, OnUnitGroups, Stationary, Sum
from .kernels.stationary import RADIAL

_SCALE_PRIOR = (-1.0, 2.0)
"""Of a graph kernel's log scale: wide, so that it can vanish or take over."""

_ADDED_PRIOR = (-2.0, 2.0)
"""Of one beside other features: smaller, so that it is the observations that speak for it."""


class GraphGaussianProcess(GaussianProcess):
    """Gaussian process on the sum or the product of graph kernels and a stationary kernel, each on its own features.

    What an encoder counts of the graph (`wl`, `shortest_path`, `random_walk`, `path_multiset`) is compared by a
    normalised linear kernel of the raw counts, with a weight for each group of columns: for each number of
    refinements, each distance, each length of walks. All other features, those of `semantic` and extras in `info`, are
    compared by a stationary kernel with a lengthscale per group. With `S` the latter, and `G_e` those of the counting
    encoders `e`, the covariance is

    - `"sum"`: `S + sum_e G_e`; what a kernel is worth is found by the marginal likelihood, down to nothing;
    - `"product"`: `S * sum_e G_e`: architectures are alike that both say are alike;
    - `"both"`: `S + sum_e G_e + S' * sum_e G'_e`, where the product has parameters of its own.

    Where nothing is counted, only `S` remains, and where everything is, only the graph kernels.

    Parameters
    ----------
    encoder : str or Encoder, optional
        `"semantic+wl+shortest_path"` by default.
    combine : {"sum", "product", "both"}
    graph_kernel : {"linear", "matern32", "matern52", "rbf"}
        The graph kernels themselves, or a radial function of the distances that they induce.
    kernel : {"matern32", "matern52", "rbf", ...} or Kernel
        Of the features that are no counts, as in `GaussianProcess`.
    lengthscales, restarts, subset, sparse_from, inducing, polish, target_transform, seed
        As in `GaussianProcess`.

    Attributes
    ----------
    kernels_, parameters_
        As in `GaussianProcess`; a kernel is the `Sum` of the terms that `report_` lists.

    Notes
    -----
    Weisfeiler-Lehman kernel: Shervashidze et al., JMLR 2011; shortest-path kernel: Borgwardt and Kriegel, ICDM 2005;
    random-walk kernel: Gaertner, Flach and Wrobel, COLT 2003. Sums and products of kernels as parts of a structure:
    Duvenaud et al., "Structure Discovery in Nonparametric Regression", ICML 2013.
    """

    default_encoder = "semantic+wl+shortest_path"
    _raw_counts: ClassVar[bool] = True

    def __init__(
        self,
        encoder: str | Encoder | None = None,
        *,
        combine: str = "sum",
        graph_kernel: str = "linear",
        kernel: str | Kernel = "matern32",
        lengthscales: str = "group",
        restarts: int = 0,
        subset: int = 300,
        sparse_from: int | None = 5000,
        inducing: int = 1024,
        polish: int = 0,
        target_transform: str = "rank_gaussian",
        seed: int = 0,
    ) -> None:
        super().__init__(
            encoder,
            kernel=kernel,
            lengthscales=lengthscales,
            restarts=restarts,
            subset=subset,
            sparse_from=sparse_from,
            inducing=inducing,
            polish=polish,
            target_transform=target_transform,
            seed=seed,
        )
        self.combine = combine
        self.graph_kernel = graph_kernel

    def _training_matrix(self, X: Any, y: ArrayLike) -> tuple[Floats, Floats, Columns]:
        check_choice("combine", self.combine, ("sum", "product", "both"))
        check_choice("graph_kernel", self.graph_kernel, ("linear", *RADIAL))
        return super()._training_matrix(X, y)

    # ---- the kernel -------------------------------------------------------------------------------------------------

    def _fit(self, features: Floats, z: Floats) -> None:
        self._learn_parts()
        super()._fit(features, z)

    def _identity(self) -> object:
        self._learn_parts()
        if self._counted:
            return super()._identity()
        shared = {name: getattr(self, name) for name in GaussianProcess._get_param_names()}
        return GaussianProcess(**shared)._identity()

    def _learn_parts(self) -> None:
        """Tell the columns that count from all others: where those of each counting encoder lie, and its name."""
        self._counted: list[tuple[str, NDArray[np.intp]]] = []
        self._others = np.ones(len(self.columns_), dtype=np.bool_)
        names, start = [], 0
        for label, encoder, width in self._encoders():
            if encoder.counts_substructures:
                self._counted.append((label, np.arange(start, start + width)))
                self._others[start : start + width] = False
            else:
                names.append(label)
            start += width
        self._other_name = " + ".join([*names, *["other columns"] * (start < len(self.columns_))])

    def _encoders(self) -> list[tuple[str, Encoder, int]]:
        """Return the encoders that stand side by side with their names and numbers of columns; none for a matrix."""
        if self.encoder_ is None or self.space_ is None:
            return []
        named = self.default_encoder if self.encoder is None else self.encoder
        leaves = self.encoder_.leaves(named if isinstance(named, str) else type(named).__name__)
        return [(label, encoder, len(encoder.columns(self.space_))) for label, encoder in leaves]

    def _raw_columns(self) -> NDArray[np.bool_]:
        raw: NDArray[np.bool_] = super()._raw_columns() | ~self._others
        return raw

    def _terms(self) -> list[tuple[str, Kernel]]:
        """Return the terms of the kernel's sum with their names, not set up."""
        others = np.flatnonzero(self._others)
        prior = _ADDED_PRIOR if len(others) else _SCALE_PRIOR
        graph = [(name, self._graph_kernel(columns, prior)) for name, columns in self._counted]
        if not len(others):
            return graph
        stationary = [(self._other_name, self._other_kernel(others))]
        if not graph:
            return stationary
        if self.combine == "sum":
            return stationary + graph
        counted = np.concatenate([columns for _, columns in self._counted])
        joint: Kernel = self._other_kernel(others) * self._graph_kernel(counted, _SCALE_PRIOR)
        product = [(f"({self._other_name}) x ({' + '.join(name for name, _ in graph)})", joint)]
        return product if self.combine == "product" else stationary + graph + product

    def _other_kernel(self, others: NDArray[np.intp]) -> Kernel:
        return OnColumns(self._named_kernel(), others)

    def _graph_kernel(self, columns: NDArray[np.intp], scale_prior: tuple[float, float]) -> Kernel:
        if self.graph_kernel == "linear":
            return OnColumns(GroupedLinear(scale_prior), columns)
        return OnColumns(OnUnitGroups(Stationary(self.graph_kernel, scale_prior=scale_prior)), columns)

    def _make_kernel(self, output: int) -> Kernel:
        return Sum([kernel for _, kernel in self._terms()])

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self._learn_parts()
        super()._set_state(state)

    # ---- what was found ---------------------------------------------------------------------------------------------

    @property
    def report_(self) -> list[dict[str, Any]]:
        """The share of each term in the variance among the training architectures, one record a term and output.

        The variance of a term is the mean of its variances less the mean of its covariances: what is left once all
        architectures have moved together. With more than a thousand architectures, every so many of them are looked at.
        """
        check_is_fitted(self, "parameters_")
        names = [name for name, _ in self._terms()]
        rows = self._X[:: 1 + len(self._X) // 1000]
        records = []
        for output, (kernel, theta) in enumerate(zip(self.kernels_, self.parameters_, strict=True)):
            assert isinstance(kernel, Sum)
            variances = []
            for part, own in zip(kernel.parts, kernel.split(theta[:-1]), strict=True):
                mean = part.covariance(own, rows, rows).mean()
                variances.append(max(float(part.diagonal(own, rows).mean() - mean), 0.0))
            total = sum(variances) or 1.0
            which = {} if self._single_output_ else {"output": output}
            records += [
                {**which, "term": name, "variance": variance, "share": variance / total}
                for name, variance in zip(names, variances, strict=True)
            ]
        return records
