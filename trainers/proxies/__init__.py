"""Zero-cost proxies: scores of an untrained network on one batch of data, in milliseconds instead of hours.

Each is written from its paper's definition and works on any PyTorch module of convolutions and linear layers. Higher is
meant to be better for all of them; how well that holds depends on space and task.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidDataError
from ...registry import Entry, Registry
from ...spaces import Architecture, Architectures
from ...torch_runtime import require_torch
from .base import Loss, Proxy

if TYPE_CHECKING:
    from torch import Tensor, nn

_HERE = ".trainers.proxies"
PROXIES = Registry(
    "proxy",
    {
        "grad_norm": Entry(f"{_HERE}.gradient:grad_norm", "Norm of the loss's gradient, summed over layers"),
        "snip": Entry(f"{_HERE}.gradient:snip", "SNIP: sum of |weight x gradient|"),
        "grasp": Entry(f"{_HERE}.gradient:grasp", "GraSP: minus the sum of weight x Hessian-gradient product"),
        "fisher": Entry(f"{_HERE}.gradient:fisher", "Fisher information of activations, summed over channels"),
        "synflow": Entry(f"{_HERE}.synflow:synflow", "SynFlow: data-free flow through absolute weights"),
        "jacob_cov": Entry(f"{_HERE}.jacobian:jacob_cov", "Spectrum of the correlation of input gradients"),
        "epe_nas": Entry(f"{_HERE}.jacobian:epe_nas", "EPE-NAS: correlation of input gradients within classes"),
        "naswot": Entry(f"{_HERE}.naswot:naswot", "NASWOT: log-determinant of the kernel of rectifier codes"),
        "zen": Entry(f"{_HERE}.zen:zen", "Zen-score: expressivity under Gaussian weights and inputs"),
        "l2_norm": Entry(f"{_HERE}.size:l2_norm", "Norm of the initial weights, summed over layers"),
        "parameters": Entry(f"{_HERE}.size:parameters", "Number of trainable parameters"),
        "flops": Entry(f"{_HERE}.size:flops", "Multiply-accumulate operations for one input"),
    },
)
PROXIES.group = "archcast.proxies"
register_proxy = PROXIES.register


def score_network(
    network: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    proxies: Iterable[str] | None = None,
    *,
    loss: Loss | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Return what each proxy says of an untrained network.

    Parameters
    ----------
    network : torch.nn.Module
        Left as it is: each proxy gets a copy, in training mode.
    inputs : tensor, `(n, ...)`
        One batch of examples.
    targets : tensor, `(n,)` or `(n, ...)`
        Class labels, or whatever `loss` takes.
    proxies : iterable of str, optional
        Names; all by default.
    loss : callable, optional
        `loss(outputs, targets)`, by default the mean cross-entropy.
    seed : int
        For those that draw random numbers, and for dropout.

    Returns
    -------
    dict of str to float
        By name; NaN where a proxy is not defined or overflows.

    Raises
    ------
    UnknownNameError
        If there is no such proxy.
    InvalidDataError
        If there are fewer than two examples, or not one target for each.
    """
    torch = require_torch("a proxy", "train")
    if len(inputs) < 2 or len(targets) != len(inputs):
        raise InvalidDataError(
            f"proxies need at least two examples with one target each, got {len(inputs)} and {len(targets)}"
        )
    names = PROXIES.names() if proxies is None else list(proxies)
    functions: dict[str, Proxy] = {name: PROXIES.factory(name) for name in names}
    chosen = loss if loss is not None else torch.nn.functional.cross_entropy
    scores = {}
    for name, function in functions.items():
        devices = [inputs.device] if inputs.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), torch.enable_grad():
            torch.manual_seed(seed)
            score = float(function(copy.deepcopy(network).train(), inputs, targets, chosen))
        scores[name] = score if math.isfinite(score) else math.nan
    return scores


def score_architectures(
    architectures: Architectures,
    build: Callable[[Architecture], nn.Module],
    inputs: Tensor,
    targets: Tensor,
    proxies: Iterable[str] | None = None,
    *,
    loss: Loss | None = None,
    seed: int = 0,
) -> dict[str, NDArray[np.float64]]:
    """Return what each proxy says of each architecture, `(n,)` by name: columns of a table, or `info` of a predictor.

    Parameters
    ----------
    architectures : Architectures, `n`
    build : callable
        Returns the untrained network of an architecture; it is called with PyTorch's generator seeded by `seed`.
    inputs, targets, proxies, loss, seed
        As in `score_network`.
    """
    torch = require_torch("a proxy", "train")
    names = PROXIES.names() if proxies is None else list(proxies)
    columns: dict[str, NDArray[np.float64]] = {name: np.full(len(architectures), np.nan) for name in names}
    for row, architecture in enumerate(architectures):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = build(architecture)
        for name, score in score_network(network, inputs, targets, names, loss=loss, seed=seed).items():
            columns[name][row] = score
    return columns


__all__ = ["PROXIES", "Proxy", "register_proxy", "score_architectures", "score_network"]
