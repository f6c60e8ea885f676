"""What networks are trained by: the squared error, and how wrongly the forecasts rank.

Every function takes forecasts and targets, tensors `(members, n)`, and returns one loss a member, `(members,)`. The
ranking losses do not see the scale of the targets; added to the squared error they sharpen the order, and the mean
stays in units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]

_MARGIN = 0.1
_TEMPERATURE = 0.1
_STEEPNESS = 2.0


def squared_error(forecast: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared error."""
    return (forecast - target).square().mean(dim=-1)


def hinge(forecast: Tensor, target: Tensor) -> Tensor:
    """Return the mean over pairs of `max(0, m - (f_i - f_j))`, where i is the better one and m is 0.1.

    Ning et al., "A generic graph-based neural architecture encoding scheme for predictor-based NAS", ECCV 2020.
    """
    return _over_pairs((_MARGIN - _differences(forecast)).relu(), target)


def logistic(forecast: Tensor, target: Tensor) -> Tensor:
    """Return the mean over pairs of `log(1 + exp(-(f_i - f_j)))`, where i is the better one.

    Burges et al., "Learning to rank using gradient descent", ICML 2005.
    """
    return _over_pairs(functional.softplus(-_differences(forecast)), target)


def kendall(forecast: Tensor, target: Tensor) -> Tensor:
    """Return one less Kendall's tau with `tanh(2 (f_i - f_j))` in place of the sign of the difference."""
    return _over_pairs(1 - torch.tanh(_STEEPNESS * _differences(forecast)), target)


def list_mle(forecast: Tensor, target: Tensor) -> Tensor:
    """Return the negative log-likelihood of the true order under Plackett-Luce, per item.

    Xia, Liu, Wang, Zhang and Li, "Listwise approach to learning to rank", ICML 2008.
    """
    ordered = forecast.gather(-1, target.argsort(dim=-1, descending=True, stable=True))
    remaining = ordered.flip(-1).logcumsumexp(dim=-1).flip(-1)
    return (remaining - ordered).mean(dim=-1)


def approx_ndcg(forecast: Tensor, target: Tensor) -> Tensor:
    """Return one less the discounted cumulative gain of smooth ranks, relative to that of the true order.

    The rank of an item is one and the sum of `sigmoid((f_j - f_i) / 0.1)` over all others; its gain is `2^(4 r) - 1`,
    where r in [0, 1] is the share of targets that it beats. Qin, Liu and Li, "A general approximation framework for
    direct optimization of information retrieval measures", Information Retrieval 2010.
    """
    n = forecast.shape[-1]
    beaten = (target[..., :, None] > target[..., None, :]).to(forecast.dtype).sum(dim=-1)
    gain = 2 ** (4 * beaten / max(n - 1, 1)) - 1
    rank = 0.5 + torch.sigmoid(-_differences(forecast) / _TEMPERATURE).sum(dim=-1)
    best = gain.sort(dim=-1, descending=True).values
    ideal = (best / torch.log2(torch.arange(2.0, n + 2, dtype=forecast.dtype, device=forecast.device))).sum(dim=-1)
    return 1 - (gain / torch.log2(1 + rank)).sum(dim=-1) / ideal.clamp(min=1e-9)


def _differences(forecast: Tensor) -> Tensor:
    return forecast[..., :, None] - forecast[..., None, :]


def _over_pairs(values: Tensor, target: Tensor) -> Tensor:
    """Return the mean over the pairs whose first item has the higher target; 0 without any."""
    better = (target[..., :, None] > target[..., None, :]).to(values.dtype)
    return (values * better).sum(dim=(-2, -1)) / better.sum(dim=(-2, -1)).clamp(min=1.0)


LOSSES: Mapping[str, Loss | None] = {
    "mse": None,
    "hinge": hinge,
    "logistic": logistic,
    "kendall": kendall,
    "list_mle": list_mle,
    "approx_ndcg": approx_ndcg,
}
"""What joins the squared error under each name."""
