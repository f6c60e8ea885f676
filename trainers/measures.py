"""Losses and metrics of trainings, per example, so that parts of the data can be measured one after another.

They take outputs `(networks, examples, outputs)` with targets of the same shape, or classes `(networks, examples)`, and
return one number per network and example.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

PerExample: TypeAlias = "Callable[[Tensor, Tensor], Tensor]"


@dataclass(frozen=True)
class Measure:
    """A loss or a metric.

    Parameters
    ----------
    function : callable
        `f(outputs, targets)`, one number per network and example.
    classes : bool
        Whether targets are classes rather than numbers.
    direction : {"higher", "lower"}
        Which values are better.
    """

    function: PerExample
    classes: bool
    direction: Literal["higher", "lower"] = "lower"


def cross_entropy(outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the cross-entropy of classes, with the share `smoothing` of each target spread over all classes."""
    from torch.nn import functional

    losses = functional.cross_entropy(
        outputs.flatten(0, 1), targets.flatten(), reduction="none", label_smoothing=smoothing
    )
    return losses.view(targets.shape)


def _binary_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    from torch.nn import functional

    return functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none").mean(dim=2)


def _squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square().mean(dim=2)


def _absolute_error(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).abs().mean(dim=2)


def _correct(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.argmax(dim=2) == targets).to(outputs.dtype)


def _among_five(outputs: Tensor, targets: Tensor) -> Tensor:
    best = outputs.topk(min(5, outputs.shape[2]), dim=2).indices
    return (best == targets[:, :, None]).any(dim=2).to(outputs.dtype)


def _binary_correct(outputs: Tensor, targets: Tensor) -> Tensor:
    return ((outputs > 0) == (targets > 0.5)).to(outputs.dtype).mean(dim=2)


LOSSES: Mapping[str, Measure] = {
    "cross_entropy": Measure(cross_entropy, classes=True),
    "binary_cross_entropy": Measure(_binary_cross_entropy, classes=False),
    "mse": Measure(_squared_error, classes=False),
    "mae": Measure(_absolute_error, classes=False),
}
METRICS: Mapping[str, Measure] = {
    "accuracy": Measure(_correct, classes=True, direction="higher"),
    "top5_accuracy": Measure(_among_five, classes=True, direction="higher"),
    "binary_accuracy": Measure(_binary_correct, classes=False, direction="higher"),
    "mse": Measure(_squared_error, classes=False),
    "mae": Measure(_absolute_error, classes=False),
}


def mean_loss(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """Return `loss(outputs, targets)` of one network, `(n, outputs)` and its targets, as a mean over examples."""
    from torch.nn import functional

    if name == "cross_entropy":
        return functional.cross_entropy
    function = LOSSES[name].function
    return lambda outputs, targets: function(outputs[None], targets[None]).mean()
