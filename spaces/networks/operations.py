"""What the operations of cells are as layers, by their names in the literature."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor, nn

from ...errors import InvalidDataError
from ..operations import Operation
from .layers import Layers

OperationFactory: TypeAlias = Callable[[Layers, int, int, int], nn.Module]
"""`f(layers, inputs, outputs, stride) -> module`: from `inputs` to `outputs` channels."""

F = TypeVar("F", bound=OperationFactory)

_FACTORIES: dict[str, OperationFactory] = {}


def register_operation(*names: str) -> Callable[[F], F]:
    """Return a decorator that says what operations of these names are as networks.

    The function takes `(layers, inputs, outputs, stride)` and returns a module from `inputs` to `outputs` channels;
    it may use any layer of `Layers`, or modules of its own if its networks are trained one at a time.

    Raises
    ------
    InvalidDataError
        If one of the names has a network already.
    """

    def decorate(factory: F) -> F:
        for name in names:
            current = _FACTORIES.get(name)
            if current is not None and current.__qualname__ != factory.__qualname__:
                raise InvalidDataError(f"operation {name!r} has a network already")
            _FACTORIES[name] = factory
        return factory

    return decorate


def has_module(operation: Operation) -> bool:
    """Say whether `operation_module` knows an operation."""
    return operation.name in _FACTORIES or operation.role in _BY_ROLE


def operation_module(operation: Operation, layers: Layers, inputs: int, outputs: int, stride: int = 1) -> nn.Module:
    """Return the module of an operation.

    Raises
    ------
    InvalidDataError
        If there is none of that name.
    """
    factory = _FACTORIES.get(operation.name, _BY_ROLE.get(operation.role))
    if factory is None:
        raise InvalidDataError(
            f"operation {operation.name!r} has no network, expected one of {', '.join(_FACTORIES)}; "
            "others are added with archcast.spaces.networks.operations.register_operation"
        )
    return factory(layers, inputs, outputs, stride)


def relu_conv_norm(
    layers: Layers, inputs: int, outputs: int, kernel: int, *, stride: int = 1, affine: bool = True
) -> nn.Module:
    """Return rectifier, convolution and normalisation: the order inside cells with operations on edges."""
    return nn.Sequential(
        nn.ReLU(), layers.conv(inputs, outputs, kernel, stride=stride), layers.norm(outputs, affine=affine)
    )


def conv_norm_relu(layers: Layers, inputs: int, outputs: int, kernel: int, *, stride: int = 1) -> nn.Module:
    """Return convolution, normalisation and rectifier: the order inside cells with operations on nodes."""
    return nn.Sequential(layers.conv(inputs, outputs, kernel, stride=stride), layers.norm(outputs), nn.ReLU())


class FactorizedReduction(nn.Module):
    """Halves the resolution with two 1x1 convolutions, one of them shifted by a position; then normalises.

    Without a second channel to make there is only the convolution that is not shifted.
    """

    def __init__(self, layers: Layers, inputs: int, outputs: int, *, affine: bool = True) -> None:
        super().__init__()
        self.dimension = layers.dimension
        self.relu = nn.ReLU()
        self.even = layers.conv(inputs, outputs - outputs // 2, 1, stride=2)
        self.odd = layers.conv(inputs, outputs // 2, 1, stride=2) if outputs > 1 else None
        self.norm = layers.norm(outputs, affine=affine)

    def forward(self, features: Tensor) -> Tensor:
        """Reduce, `(..., channels, ...)` to half the resolution, rounded up."""
        features = self.relu(features)
        reduced: Tensor = self.even(features)
        if self.odd is not None:
            shifted = features
            for axis in range(2, 2 + self.dimension):
                pieces = [shifted.narrow(axis, 1, shifted.shape[axis] - 1), shifted.narrow(axis, -1, 1)]
                shifted = torch.cat(pieces, axis)
            reduced = torch.cat([reduced, self.odd(shifted)], dim=1)
        normalised: Tensor = self.norm(reduced)
        return normalised


class Zero(nn.Module):
    """Zeros of the shape that an operation with this stride and so many output channels has."""

    def __init__(self, layers: Layers, outputs: int, stride: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.reduction = layers.subsample(stride) if stride > 1 else None

    def forward(self, features: Tensor) -> Tensor:
        """Return zeros, whatever the features."""
        shape = features.shape if self.reduction is None else self.reduction(features).shape
        return features.new_zeros(shape[0], self.outputs, *shape[2:])


@register_operation("none", "zero")
def zero(layers: Layers, _inputs: int, outputs: int, stride: int) -> nn.Module:
    """Return what blocks the signal."""
    return Zero(layers, outputs, stride)


@register_operation("skip_connect", "skip", "identity")
def skip(layers: Layers, inputs: int, outputs: int, stride: int) -> nn.Module:
    """Return the identity, or what stands for it where shapes change."""
    if stride == 2:
        return FactorizedReduction(layers, inputs, outputs)
    if inputs == outputs:
        return nn.Identity()
    return nn.Sequential(layers.conv(inputs, outputs, 1), layers.norm(outputs))


@register_operation("nor_conv_1x1")
def _conv1(layers: Layers, inputs: int, outputs: int, stride: int) -> nn.Module:
    return relu_conv_norm(layers, inputs, outputs, 1, stride=stride)


@register_operation("nor_conv_3x3")
def _conv3(layers: Layers, inputs: int, outputs: int, stride: int) -> nn.Module:
    return relu_conv_norm(layers, inputs, outputs, 3, stride=stride)


@register_operation("conv1x1-bn-relu")
def _conv1_relu(layers: Layers, inputs: int, outputs: int, stride: int) -> nn.Module:
    return conv_norm_relu(layers, inputs, outputs, 1, stride=stride)


@register_operation("conv3x3-bn-relu")
def _conv3_relu(layers: Layers, inputs: int, outputs: int, stride: int) -> nn.Module:
    return conv_norm_relu(layers, inputs, outputs, 3, stride=stride)


@register_operation("avg_pool_3x3")
def _avg_pool(layers: Layers, inputs: int, outputs: int, stride: int) -> nn.Module:
    return _pool(layers.avg_pool(3, stride=stride), layers, inputs, outputs)


@register_operation("max_pool_3x3", "maxpool3x3")
def _max_pool(layers: Layers, inputs: int, outputs: int, stride: int) -> nn.Module:
    return _pool(layers.max_pool(3, stride=stride), layers, inputs, outputs)


def _pool(pool: nn.Module, layers: Layers, inputs: int, outputs: int) -> nn.Module:
    """Return the pooling, with a 1x1 convolution before it where the number of channels changes."""
    return pool if inputs == outputs else nn.Sequential(relu_conv_norm(layers, inputs, outputs, 1), pool)


@register_operation("sep_conv_3x3")
def _separable3(layers: Layers, inputs: int, outputs: int, stride: int) -> nn.Module:
    return _separable(layers, inputs, outputs, stride, 3)


@register_operation("sep_conv_5x5")
def _separable5(layers: Layers, inputs: int, outputs: int, stride: int) -> nn.Module:
    return _separable(layers, inputs, outputs, stride, 5)


@register_operation("dil_conv_3x3")
def _dilated3(layers: Layers, inputs: int, outputs: int, stride: int) -> nn.Module:
    return nn.Sequential(*_depthwise(layers, inputs, outputs, 3, stride, dilation=2))


@register_operation("dil_conv_5x5")
def _dilated5(layers: Layers, inputs: int, outputs: int, stride: int) -> nn.Module:
    return nn.Sequential(*_depthwise(layers, inputs, outputs, 5, stride, dilation=2))


def _separable(layers: Layers, inputs: int, outputs: int, stride: int, kernel: int) -> nn.Module:
    """Return two separable convolutions in a row (Liu et al., DARTS, ICLR 2019)."""
    first = _depthwise(layers, inputs, inputs, kernel, stride)
    return nn.Sequential(*first, *_depthwise(layers, inputs, outputs, kernel, 1))


def _depthwise(
    layers: Layers, inputs: int, outputs: int, kernel: int, stride: int, *, dilation: int = 1
) -> list[nn.Module]:
    return [
        nn.ReLU(),
        layers.conv(inputs, inputs, kernel, stride=stride, dilation=dilation, groups=inputs),
        layers.conv(inputs, outputs, 1),
        layers.norm(outputs),
    ]


_BY_ROLE: dict[str, OperationFactory] = {"identity": skip, "zero": zero}
"""What operations are that say no more than what they do to a signal."""
