"""Networks of chains that users describe by hyperparameters whose meaning is known here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from ...errors import InvalidDataError
from ..architectures import Architecture
from ..chain import OPERATION, Choice
from ..operations import Operation
from ..skeleton import Skeleton, round_channels
from .blocks import InvertedResidual, SqueezeExcite, classifier
from .layers import Layers
from .operations import conv_norm_relu, has_module, operation_module

if TYPE_CHECKING:
    from ..chain import ChainSpace

CHANNELS, STAGES, LAYERS = 16, 3, 1
KERNEL, EXPANSION = 3, 6

_CONV, _INVERTED = "conv", "mbconv"
_EXCITE = ("squeeze_excite", "se")


def _is_integer(value: Choice, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


_EXPECTED: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "kernel": ("an odd integer", lambda value: _is_integer(value, 1) and value % 2 == 1),
    "expansion": ("a positive number", lambda value: not isinstance(value, (bool, str)) and value > 0),
    "channels": ("an integer of at least 1", lambda value: _is_integer(value, 1)),
    "layers": ("an integer of at least 1", lambda value: _is_integer(value, 1)),
    "stride": ("1 or 2", lambda value: _is_integer(value, 1) and value <= 2),
    **dict.fromkeys(_EXCITE, ("true or false", lambda value: value in (0, 1))),
}


def chain_network(architecture: Architecture, skeleton: Skeleton, layers: Layers) -> nn.Module:
    """Return the blocks of a chain between a convolution and a linear classifier.

    A block is `layers` times what `operation` names: `conv` (convolution, normalisation, rectifier), `mbconv` (inverted
    residual), or any operation that has a module; without `operation`, `mbconv` if it has an `expansion` and `conv`
    otherwise. `squeeze_excite` (or `se`) follows the convolution of whatever it is; `kernel` and `expansion` are for
    `conv` and `mbconv` alone.

    Raises
    ------
    InvalidDataError
        If a hyperparameter or an operation is not known, or has a choice that makes no layer.
    """
    space: ChainSpace = architecture.space  # type: ignore[assignment]
    _check_hyperparameters(space)
    if all("layers" in block for block in space.blocks):
        skeleton.refuse(space.name, "cells")
    blocks = space.block_choices(architecture.genotype)
    strides = _strides(space, blocks, skeleton)
    skeleton.check_halvings(sum(stride == 2 for stride in strides))
    scale = skeleton.scaled(CHANNELS)
    before = round_channels(CHANNELS * scale)
    body: list[nn.Module] = [conv_norm_relu(layers, skeleton.inputs[0], before, 3)]
    for block, stride in zip(blocks, strides, strict=True):
        width = round_channels(float(block["channels"]) * scale) if "channels" in block else before * stride
        count = block.get("layers", skeleton.cells if skeleton.cells is not None else LAYERS)
        for layer in range(int(count)):
            body.append(_block_module(space, block, layers, before, width, 1 if layer else stride))
            before = width
    return nn.Sequential(*body, *classifier(layers, before, skeleton.outputs))


def _check_hyperparameters(space: ChainSpace) -> None:
    for position, block in enumerate(space.blocks):
        for key, choices in block.items():
            if key == OPERATION:
                for name in choices:
                    _check_operation(space.operation(str(name)), position)
                continue
            if key not in _EXPECTED:
                raise InvalidDataError(
                    f"hyperparameter {key!r} of block {position} has no meaning for networks, "
                    f"expected one of {', '.join((OPERATION, *_EXPECTED))}"
                )
            expected, suits = _EXPECTED[key]
            for choice in choices:
                if not suits(choice):
                    raise InvalidDataError(
                        f"hyperparameter {key!r} of block {position} must be {expected} for networks, got {choice!r}"
                    )


def _check_operation(operation: Operation, position: int) -> None:
    if operation.name not in (_CONV, _INVERTED) and not has_module(operation):
        raise InvalidDataError(
            f"operation {operation.name!r} of block {position} has no network, expected {_CONV!r}, {_INVERTED!r} or"
            " one added with archcast.spaces.networks.operations.register_operation"
        )


def _strides(space: ChainSpace, blocks: list[dict[str, Choice]], skeleton: Skeleton) -> list[int]:
    """Return the stride of each block: as chosen, or 2 where a stage but the first begins."""
    if any("stride" in block for block in space.blocks):
        skeleton.refuse(space.name, "stages")
        return [int(block.get("stride", 1)) for block in blocks]
    stages = skeleton.stages if skeleton.stages is not None else min(STAGES, len(blocks))
    if stages > len(blocks):
        raise InvalidDataError(
            f"stages of a skeleton must be at most {len(blocks)}, the number of blocks of the chain, got {stages}"
        )
    starts = {int(part[0]) for part in np.array_split(np.arange(len(blocks)), stages)[1:]}
    return [2 if position in starts else 1 for position in range(len(blocks))]


def _block_module(
    space: ChainSpace, block: Mapping[str, Choice], layers: Layers, inputs: int, outputs: int, stride: int
) -> nn.Module:
    kernel, expansion = int(block.get("kernel", KERNEL)), float(block.get("expansion", EXPANSION))
    excite = any(bool(block.get(key, False)) for key in _EXCITE)
    name = str(block.get(OPERATION, _INVERTED if "expansion" in block else _CONV))
    if name == _INVERTED:
        return InvertedResidual(
            layers, inputs, outputs, expansion=expansion, kernel=kernel, stride=stride, excite=excite
        )
    if name == _CONV:
        module = conv_norm_relu(layers, inputs, outputs, kernel, stride=stride)
    else:
        operation = space.operation(name)
        module = operation_module(operation, layers, inputs, outputs, stride)
        excite = excite and operation.role == "compute"
    return nn.Sequential(module, SqueezeExcite(layers, outputs, max(1, outputs // 4))) if excite else module
