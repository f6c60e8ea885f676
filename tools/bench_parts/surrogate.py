"""Fitting a Gaussian process and forecasting a whole space, against scikit-learn's and GPyTorch's.

All three encode the architectures alike, which is part of the time of each.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, norm, rankdata

from ...benchmarks_data import load_table
from ...encoders import make_encoder
from ...predictors import make_predictor
from .measurement import Measurement

SIZES = (250, 500, 1000)
TARGET = 5.0


def measure(sizes: Sequence[int] = SIZES) -> Iterator[Measurement]:
    """Yield fit + forecast of all 15,625 NAS-Bench-201 cells; the forecast mean alone, for all three."""
    table = load_table("nasbench201")
    y = table.values("cifar10/test_accuracy", epoch=200)
    encoder = make_encoder("semantic")
    standardise = ~encoder.columns(table.space).indicator

    def encode() -> NDArray[Any]:
        X = encoder.transform(table.architectures).astype(np.float64)
        X[:, standardise] -= X[:, standardise].mean(axis=0)
        X[:, standardise] /= np.maximum(X[:, standardise].std(axis=0), 1e-9)
        return X

    encode()
    for n in sizes:
        train, test = table.split(n, seed=0)

        def ours(train: NDArray[Any] = train) -> NDArray[Any]:
            model = make_predictor("gp@semantic").fit(table.architectures[train], y[train])
            mean: NDArray[Any] = model.predict(table.architectures)
            return mean

        z = norm.ppf((rankdata(y[train]) - 0.5) / n)
        seconds, forecast = _timed(ours)
        tau = kendalltau(forecast[test], y[test]).statistic
        for peer, run in (("scikit-learn", _scikit_learn), ("GPyTorch", _gpytorch)):
            try:
                peer_seconds, theirs = _timed(partial(_on_features, run, encode, train, z))
            except ImportError:
                continue
            note = f"Kendall tau {tau:.3f}, {peer} {kendalltau(theirs[test], y[test]).statistic:.3f}"
            target = TARGET if n == max(sizes) and peer == "scikit-learn" else None
            yield Measurement("GP fit + forecast 15,625", n, seconds, peer, peer_seconds, target, note=note)


def _on_features(
    run: Callable[..., NDArray[Any]], encode: Callable[[], NDArray[Any]], train: NDArray[Any], z: NDArray[Any]
) -> NDArray[Any]:
    X = encode()
    return run(X[train], z, X)


def _timed(action: Callable[[], NDArray[Any]]) -> tuple[float, NDArray[Any]]:
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def _scikit_learn(X: NDArray[Any], z: NDArray[Any], query: NDArray[Any]) -> NDArray[Any]:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    kernel = ConstantKernel(1.0) * Matern(np.sqrt(X.shape[1]), (1e-1, 1e3), nu=1.5) + WhiteKernel(0.05)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mean: NDArray[Any] = GaussianProcessRegressor(kernel).fit(X, z).predict(query)
    return mean


def _gpytorch(X: NDArray[Any], z: NDArray[Any], query: NDArray[Any], steps: int = 50) -> NDArray[Any]:
    import gpytorch
    import torch

    class Model(gpytorch.models.ExactGP):  # type: ignore[misc, unused-ignore]
        def __init__(self, x: Any, t: Any, likelihood: Any) -> None:
            super().__init__(x, t, likelihood)
            self.mean_module = gpytorch.means.ConstantMean()
            self.covar_module = gpytorch.kernels.ScaleKernel(gpytorch.kernels.MaternKernel(nu=1.5))
            self.covar_module.base_kernel.lengthscale = X.shape[1] ** 0.5

        def forward(self, x: Any) -> Any:
            return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))

    x, t = torch.as_tensor(X), torch.as_tensor(z)
    likelihood = gpytorch.likelihoods.GaussianLikelihood()
    model = Model(x, t, likelihood).double()
    likelihood.double()
    objective = gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, model)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = -objective(model(x), t)
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad(), gpytorch.settings.skip_posterior_variances():
        mean: NDArray[Any] = model(torch.as_tensor(query)).mean.numpy()
    return mean
