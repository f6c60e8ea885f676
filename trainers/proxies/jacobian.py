"""Proxies from the Jacobian of the outputs with respect to the inputs: how differently examples are treated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .base import Loss, gradients

if TYPE_CHECKING:
    from torch import Tensor, nn

_SMALL = 1e-5
_MANY_CLASSES = 100


def input_jacobian(network: nn.Module, inputs: Tensor) -> NDArray[np.float64]:
    """Return the gradient of the sum of each example's outputs with respect to its input, `(n, inputs)`."""
    inputs = inputs.detach().clone().requires_grad_(True)
    (found,) = gradients(network(inputs).sum(), [inputs])
    rows: NDArray[np.float64] = found.flatten(1).detach().cpu().double().numpy()
    return rows


def _correlation(rows: NDArray[Any]) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", divide="ignore"):  # a constant row has no correlation: NaN
        return np.atleast_2d(np.corrcoef(rows))


def jacob_cov(network: nn.Module, inputs: Tensor, targets: Tensor, loss: Loss) -> float:
    r"""Return :math:`-\sum_i [\log(\sigma_i + k) + 1 / (\sigma_i + k)]`, k = 1e-5 (Mellor et al. 2020, first version).

    The sigmas are the eigenvalues of the correlation matrix of the rows of the Jacobian. NaN if an example has a
    constant gradient.
    """
    correlation = _correlation(input_jacobian(network, inputs))
    if not np.isfinite(correlation).all():
        return float("nan")
    shifted = np.maximum(np.linalg.eigvalsh(correlation), 0.0) + _SMALL  # rounding may leave some just below 0
    return float(-(np.log(shifted) + 1 / shifted).sum())


def epe_nas(network: nn.Module, inputs: Tensor, targets: Tensor, loss: Loss) -> float:
    r"""Return the score of EPE-NAS (Lopes, Alirezazadeh and Alexandre 2021).

    With :math:`\Sigma_c` the correlation matrix of the Jacobian's rows of class c, each class of the batch has
    :math:`E_c = \sum_{ij} \log(|\Sigma_{c,ij}| + k)`, k = 1e-5. Up to 100 classes the score is
    :math:`\sum_c |E_c|`; beyond, each :math:`E_c` is divided by the number of the class's examples, and the score is
    :math:`\sum_{i<j} |E_i - E_j|` divided by the number of classes. NaN if an example has a constant gradient, or
    targets are no classes.
    """
    jacobian, labels = input_jacobian(network, inputs), targets.detach().cpu().numpy()
    if labels.ndim != 1:
        return float("nan")
    classes = np.unique(labels)
    many = len(classes) > _MANY_CLASSES
    scores = []
    for label in classes:
        correlation = _correlation(jacobian[labels == label])
        score = np.log(np.abs(correlation) + _SMALL).sum()
        scores.append(score / len(correlation) if many else score)
    values = np.array(scores)
    if many:
        return float(np.abs(values[:, None] - values).sum() / 2 / len(values))
    return float(np.abs(values).sum())
