"""Making parts of a network neutral: weights with which a module gives zeros, or gives back what it gets.

`Edits` are tensors by name within the module. A module that gives zeros does so because its last normalisation has
scale and shift 0: the gradient of these is not zero, so that training brings the module to life.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ...spaces.networks.blocks import BasicResidual, InvertedResidual, SqueezeExcite
from ...spaces.networks.edge_cells import EdgeCell
from ...spaces.networks.node_cells import NodeCell
from ...spaces.networks.operations import FactorizedReduction

Edits: TypeAlias = dict[str, Tensor]

_KEEP_ZERO = (
    nn.ReLU,
    nn.Identity,
    nn.AvgPool1d,
    nn.AvgPool2d,
    nn.MaxPool1d,
    nn.MaxPool2d,
    SqueezeExcite,
)
"""Modules whose outputs are zero where their inputs are."""


def silenced(module: nn.Module) -> Edits | None:
    """Return the edits with which a module gives zeros whatever it gets, or None if there are none."""
    name = _last_norm(module)
    if name is None:
        return None
    norm = module.get_submodule(name)
    prefix = f"{name}." if name else ""
    return {f"{prefix}{key}": torch.zeros_like(value) for key, value in norm.named_parameters()}


def _last_norm(module: nn.Module) -> str | None:
    """Return the name of the affine normalisation behind which everything keeps zeros."""
    if isinstance(module, _BatchNorm):
        return "" if module.affine else None
    if isinstance(module, FactorizedReduction):
        return None if _last_norm(module.norm) is None else "norm"
    if isinstance(module, nn.Sequential):
        for name, part in reversed(list(module.named_children())):
            inner = _last_norm(part)
            if inner is not None:
                return f"{name}.{inner}".rstrip(".")
            if not isinstance(part, _KEEP_ZERO):
                return None
    return None


def neutralised(module: nn.Module) -> Edits | None:
    """Return the edits with which a module gives back what it gets, or None if there are none.

    Convolution, normalisation and rectifier do so for features that are not negative; everything else for any.
    """
    for kind, make in _NEUTRAL.items():
        if type(module) is kind:
            return make(module)
    return None


def _edge_cell(cell: EdgeCell) -> Edits | None:
    """Keep one path of identities; silence what is added to its nodes, as near to them as there is a normalisation."""
    edits: Edits = {}
    paths: list[list[tuple[int, str]]] = [[] for _ in range(cell.nodes)]
    heard = {cell.nodes - 1}
    for source, target, name in reversed(cell.live):
        if target not in heard:
            continue
        edge = cell.edges[name]
        silent = silenced(edge)
        if silent is None:
            heard.add(source)
            paths[target].append((source, name))
        else:
            edits |= prefixed(f"edges.{name}.", silent)
    trails = list(_trails(paths, cell.nodes - 1))
    whole = len(trails) == 1 and all(isinstance(cell.edges[name], nn.Identity) for name in trails[0])
    return edits if whole else None


def _trails(paths: list[list[tuple[int, str]]], node: int) -> Iterator[list[str]]:
    """Yield the names of the edges of each path from the input to a node."""
    if node == 0:
        yield []
    for source, name in paths[node]:
        for trail in _trails(paths, source):
            yield [*trail, name]


def _node_cell(cell: NodeCell) -> Edits | None:
    """Pass the input on by its edge to the output, and silence the nodes that are added to it."""
    if cell.skip is None:
        return None
    found = _conv_norm_relu(cell.projections[cell.skip])
    if found is None:
        return None
    edits = prefixed(f"projections.{cell.skip}.", found)
    sources = {node: before for node, before, _ in cell.sources}
    waiting = list(cell.feeding)
    while waiting:
        node = waiting.pop()
        silent = silenced(cell.nodes[f"{node}"])
        if silent is not None:
            edits |= prefixed(f"nodes.{node}.", silent)
        elif isinstance(cell.nodes[f"{node}"], _KEEP_ZERO):
            waiting += sources[node]
            if f"{node}" in cell.projections:
                into = silenced(cell.projections[f"{node}"])
                assert into is not None
                edits |= prefixed(f"projections.{node}.", into)
        else:
            return None
    return edits


def _inverted_residual(block: InvertedResidual) -> Edits | None:
    silent = silenced(block.steps) if block.adds else None
    return None if silent is None else prefixed("steps.", silent)


def _basic_residual(block: BasicResidual) -> Edits | None:
    silent = silenced(block.second) if isinstance(block.shortcut, nn.Identity) else None
    return None if silent is None else prefixed("second.", silent)


def _conv_norm_relu(module: nn.Module) -> Edits | None:
    """Return a convolution that copies each channel, and a normalisation that changes nothing."""
    if [type(part) for part in module.children()] not in _CONV_NORM_RELU:
        return None
    conv, norm, _ = module.children()
    assert isinstance(conv, (nn.Conv1d, nn.Conv2d)) and isinstance(norm, _BatchNorm)
    if conv.in_channels != conv.out_channels or conv.groups > 1 or set(conv.stride) != {1} or not norm.affine:
        return None
    weight = nn.init.dirac_(torch.empty_like(conv.weight))
    return {"0.weight": weight, **prefixed("1.", neutral_norm(norm))}


def neutral_norm(norm: _BatchNorm, mean: Tensor | None = None, variance: Tensor | None = None) -> Edits:
    """Return the state of a normalisation that, in evaluation, gives back what it gets.

    Parameters
    ----------
    norm : nn.BatchNorm1d or nn.BatchNorm2d
    mean, variance : Tensor `(channels,)`, optional
        Of its inputs; then it gives them back in training too, up to the batch.
    """
    assert norm.running_mean is not None and norm.running_var is not None
    mean = torch.zeros_like(norm.running_mean) if mean is None else mean
    variance = torch.ones_like(norm.running_var) if variance is None else variance
    return {
        "weight": torch.sqrt(variance + norm.eps),
        "bias": mean.clone(),
        "running_mean": mean.clone(),
        "running_var": variance.clone(),
    }


def prefixed(prefix: str, edits: Mapping[str, Tensor]) -> Edits:
    """Return edits of a part as those of the whole."""
    return {f"{prefix}{name}": value for name, value in edits.items()}


_CONV_NORM_RELU = [[kind, norm, nn.ReLU] for kind, norm in ((nn.Conv1d, nn.BatchNorm1d), (nn.Conv2d, nn.BatchNorm2d))]
_NEUTRAL: Mapping[type[nn.Module], Callable[..., Edits | None]] = {
    EdgeCell: _edge_cell,
    NodeCell: _node_cell,
    InvertedResidual: _inverted_residual,
    BasicResidual: _basic_residual,
    nn.Sequential: _conv_norm_relu,
}
