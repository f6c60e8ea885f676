"""How seconds, memory and accuracy of surrogates grow with the observations, and with the forecasts (Linux).

Each line is a process of its own, on one thread. Seconds are those of the processor, which do not depend on what runs
beside; memory is the peak on top of the interpreter with the table at hand.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

NAMES = ("gp@semantic", "xgboost@semantic", "auto")
SIZES = (100, 1_000, 5_000, 10_000)
COMPARED = 5_000
"""Observations at which the sparse process is held against the exact one and GPyTorch's sparse one."""
SPACE = 423_624
"""The cells of NAS-Bench-101: so many are forecast at the end."""
MEMORY_MB = 500.0
"""What these forecasts may take."""
TAU_LOST = 0.015
"""What the sparse process may lose of the exact one's Kendall tau."""

_COMMON = """
import json, re, sys, time
import numpy as np
import archcast as ac
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
name, parameters, n, count = json.loads(sys.argv[1])
"""
_TABLE = """
from scipy.stats import kendalltau, norm
table = ac.load_table("nasbench201")
y, (train, test) = table.values("cifar10/test_accuracy", epoch=200), table.split(n, seed=0)
archs = table.architectures
"""
_OURS = """
ac.make_predictor(name, **parameters).fit(archs[train[:50]], y[train[:50]]).predict(archs[:9])  # imports
before, start = peak(), time.process_time()
model = ac.make_predictor(name, **parameters).fit(archs[train], y[train])
fitted = time.process_time()
mean = model.predict(archs)
forecast = time.process_time()
# Densities are those on the scale of the transformed targets, where all are Gaussian.
latent, std = model.predict_latent(archs[test])
z = model._targets.columns[0].transform(y[test])
used = [r["candidate"] for r in model.report_ if r["weight"]]
density = float(norm.logpdf(z, latent, std).mean())
tau = float(kendalltau(mean[test], y[test]).statistic)
print(json.dumps([fitted - start, forecast - fitted, peak() - before, tau, density, ", ".join(used[:-1])]))
"""
_GPYTORCH = """
import gpytorch, torch
torch.set_num_threads(1)
from archcast.predictors.targets import RankGaussian
encoder = ac.make_encoder("semantic")
wide = ~encoder.columns(table.space).indicator
X = encoder.transform(archs).astype(np.float64)
X[:, wide] -= X[:, wide].mean(axis=0)
X[:, wide] /= np.maximum(X[:, wide].std(axis=0), 1e-9)
before, start = peak(), time.process_time()
ranks = RankGaussian().fit(y[train])
x, t = torch.as_tensor(X[train]), torch.as_tensor(ranks.transform(y[train]))
class Model(gpytorch.models.ExactGP):
    def __init__(self, likelihood):
        super().__init__(x, t, likelihood)
        self.mean_module = gpytorch.means.ConstantMean()
        inner = gpytorch.kernels.ScaleKernel(gpytorch.kernels.MaternKernel(nu=1.5))
        inner.base_kernel.lengthscale = X.shape[1] ** 0.5
        rows = x[torch.as_tensor(np.random.default_rng(0).permutation(n)[:parameters["inducing"]])]
        self.covar_module = gpytorch.kernels.InducingPointKernel(inner, rows.clone(), likelihood)
    def forward(self, a):
        return gpytorch.distributions.MultivariateNormal(self.mean_module(a), self.covar_module(a))
likelihood = gpytorch.likelihoods.GaussianLikelihood().double()
model = Model(likelihood).double()
objective = gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, model)
optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
model.train()
for _ in range(parameters["steps"]):
    optimizer.zero_grad()
    loss = -objective(model(x), t)
    loss.backward()
    optimizer.step()
fitted = time.process_time()
model.eval(), likelihood.eval()
with torch.no_grad():
    forecast = likelihood(model(torch.as_tensor(X[test])))
    mean, std = forecast.mean.numpy(), forecast.variance.numpy() ** 0.5
predicted = time.process_time()
density = float(norm.logpdf(ranks.transform(y[test]), mean, std).mean())
tau = float(kendalltau(mean, y[test]).statistic)
print(json.dumps([fitted - start, predicted - fitted, peak() - before, tau, density, ""]))
"""
_MANY = """
space = ac.get_space("nasbench101")
train = space.sample(n, seed=0)
y = np.log(space.complexity(train)["flops"])
ac.make_predictor(name, **parameters).fit(train[:50], y[:50]).predict(train[:9])  # imports
before, start = peak(), time.process_time()
model = ac.make_predictor(name, **parameters).fit(train, y + np.random.default_rng(0).normal(0, 0.1, n))
fitted = time.process_time()
batch = space.sample(count, seed=1, distinct=False)
began = time.process_time()
model.predict(batch, return_std=True)
print(json.dumps([fitted - start, time.process_time() - began, peak() - before, np.nan, np.nan, ""]))
"""


def report(
    names: Sequence[str] = NAMES,
    sizes: Sequence[int] = SIZES,
    compared: int = COMPARED,
    space: int = SPACE,
    *,
    inducing: int = 1024,
    steps: int = 50,
) -> Iterator[tuple[str, bool]]:
    """Yield a line for each surrogate and size, the comparison of sparse processes, and the forecasts of a space."""
    for name in names:
        for n in sizes:
            yield _line(f"fit {name}", n, _run(_TABLE + _OURS, name, {}, n)), True
    thin = {"sparse_from": 2, "inducing": inducing}
    found = {
        "exact gp@semantic": _run(_TABLE + _OURS, "gp@semantic", {"sparse_from": None}, compared),
        f"sparse, {inducing:,} rows": _run(_TABLE + _OURS, "gp@semantic", thin, compared),
    }
    exact, ours = found.values()
    for what, measured in found.items():
        lost = exact["tau"] - measured["tau"]
        yield _line(what, compared, measured), lost <= TAU_LOST
    yield (
        f"{'sparse against exact':<34} {compared:>9,}  {exact['fit'] / ours['fit']:.1f}x fit, "
        f"{exact['forecast'] / ours['forecast']:.1f}x forecast, "
        f"{exact['memory'] / max(ours['memory'], 1):.1f}x memory; "
        f"lost: tau {exact['tau'] - ours['tau']:.4f}, log density {exact['density'] - ours['density']:.4f}",
        exact["tau"] - ours["tau"] <= TAU_LOST,
    )
    try:
        import gpytorch  # noqa: F401
    except ImportError:
        pass
    else:
        theirs = _run(_TABLE + _GPYTORCH, "", {"inducing": inducing, "steps": steps}, compared)
        yield _line(f"GPyTorch SGPR, {steps} steps", compared, theirs), True
    most = max(sizes)
    many = _run(_MANY, "gp@semantic", {}, most, space)
    kept = many["memory"] <= MEMORY_MB
    yield (
        f"{'forecast NAS-Bench-101 cells':<34} {space:>9,}  {many['forecast']:9.4f} s  {many['memory']:6.0f} MB  "
        f"(gp@semantic; fitted to {most:,} before in {many['fit']:.3g} s, memory is that of both)  "
        f"[at most {MEMORY_MB:.0f} MB: {'met' if kept else 'MISSED'}]",
        kept,
    )


def _line(what: str, n: int, found: Mapping[str, Any]) -> str:
    used = f", uses {found['used']}" if found["used"] else ""
    return (
        f"{what:<34} {n:>9,}  {found['fit']:9.4f} s  forecast {found['forecast']:.3g} s  {found['memory']:6.0f} MB  "
        f"(Kendall tau {found['tau']:.4f}, log density {found['density']:.3f}{used})"
    )


def _run(script: str, name: str, parameters: Mapping[str, Any], n: int, count: int = 0) -> dict[str, Any]:
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    done = subprocess.run(
        [sys.executable, "-c", _COMMON + script, json.dumps([name, parameters, n, count])],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | single,
    )
    keys = ("fit", "forecast", "memory", "tau", "density", "used")
    return dict(zip(keys, json.loads(done.stdout), strict=True))
