"""`morph`: the weights with which a larger network computes what a trained one does.

Net2Net (Chen et al., ICLR 2016) and network morphism (Wei et al., ICML 2016): more channels, larger kernels, more cells
or blocks, more edges of a cell, and any of these together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ...errors import NoMorphismError
from ...spaces import Architecture, Skeleton
from ...spaces.networks import build_network
from .alignment import Alignment, align
from .copying import parameter_share
from .neutral import neutral_norm

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

_EXAMPLES = 4
_TOLERANCE = 1e-7
"""Of outputs computed with 64 bits, relative to the largest."""


@dataclass(frozen=True)
class Morphism:
    """Weights of a child that computes what its parent does.

    Parameters
    ----------
    state : dict of str to Tensor
        Parameters and buffers of the child, of the parent's precision.
    steps : tuple of str
        What was changed, in words; empty if nothing but names was.
    share : float
        Of the child's parameters, how many hold weights of the parent; the others make new parts neutral.
    """

    state: dict[str, Tensor]
    steps: tuple[str, ...]
    share: float


def morph(
    state: Mapping[str, Tensor],
    parent: Architecture,
    child: Architecture,
    skeleton: Skeleton,
    child_skeleton: Skeleton | None = None,
    *,
    seed: int = 0,
    inputs: Tensor | None = None,
) -> Morphism:
    """Return weights with which the child's network gives the outputs of the parent's.

    In evaluation they are the same up to rounding. In training they are too, unless a convolution of its own had to be
    made an identity (in front of a rectifier): its normalisation then follows the batch; with `inputs` it starts from
    their statistics.

    Parameters
    ----------
    state : mapping of str to Tensor
        Parameters and buffers of the parent's plain network.
    parent, child : Architecture
        Of one space.
    skeleton : Skeleton
        Of the parent's network.
    child_skeleton : Skeleton, optional
        With as many channels and cells or more, and the same inputs and outputs; by default the parent's.
    seed : int
        Of weights that are free: in parts that begin without effect, and of how copied channels share what they feed.
    inputs : Tensor `(n, channels, ...)`, optional
        Examples on which outputs are compared; random ones by default.

    Raises
    ------
    NoMorphismError
        If there is no such change of weights, or archcast knows none; the message says which part stands in the way.
    InvalidDataError
        If one of the networks cannot be built.

    Examples
    --------
    >>> import archcast as ac
    >>> from archcast.trainers.transfer import morph
    >>> space = ac.get_space("nasbench201")
    >>> parent, child = space.parse(["|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
    ...                              "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"])
    >>> small, large = (ac.Skeleton((1, 40), channels=width, stages=1, cells=1) for width in (4, 8))
    >>> morph(space.build(parent, small, seed=0).state_dict(), parent, child, small, large).steps
    ('grows modules 0, 1, 3, 6',)
    """
    target = child_skeleton if child_skeleton is not None else skeleton
    if parent.space != child.space:
        raise NoMorphismError(f"{child} is of space {child.space.name!r}, its parent of {parent.space.name!r}")
    if (skeleton.inputs, skeleton.outputs) != (target.inputs, target.outputs):
        raise NoMorphismError(
            f"the parent maps inputs {skeleton.inputs} to {skeleton.outputs} outputs, "
            f"the child {target.inputs} to {target.outputs}"
        )
    old = build_network(parent, skeleton, seed=seed).double().eval()
    _load(old, state)
    new = build_network(child, target, seed=seed).double().eval()
    generator = torch.Generator().manual_seed(seed)
    found = align(old, new, generator)
    new.load_state_dict(new.state_dict() | found.weights)
    examples = _examples(target, seed) if inputs is None else inputs.detach().cpu().double()
    _adapt_norms(new, found, examples)
    _check(old, new, examples)
    precision = next((value.dtype for value in state.values() if value.is_floating_point()), torch.float32)
    final = {k: v.to(precision) if v.is_floating_point() else v for k, v in new.state_dict().items()}
    return Morphism(final, tuple(found.steps), parameter_share(new, found.weights.keys() - found.neutral))


def _load(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    expected = network.state_dict()
    for name, value in expected.items():
        if name not in state or state[name].shape != value.shape:
            got = f"{tuple(state[name].shape)}" if name in state else "nothing"
            raise NoMorphismError(f"the parent's weights {name!r} must be of shape {tuple(value.shape)}, got {got}")
    network.load_state_dict({name: state[name] for name in expected})


def _examples(skeleton: Skeleton, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(_EXAMPLES, *skeleton.inputs, generator=generator, dtype=torch.float64)


def _adapt_norms(network: nn.Module, found: Alignment, examples: Tensor) -> None:
    """Give normalisations that were made identities the statistics of what they get, which leaves them identities."""
    seen: dict[str, Tensor] = {}
    hooks: list[RemovableHandle] = []
    for name in found.identity_norms:

        def look(_module: nn.Module, given: tuple[Any, ...], name: str = name) -> None:
            seen[name] = given[0]

        hooks.append(network.get_submodule(name).register_forward_pre_hook(look))
    if not hooks:
        return
    with torch.no_grad():
        network(examples)
        for name, features in seen.items():
            norm = network.get_submodule(name)
            assert isinstance(norm, _BatchNorm)
            variance, mean = torch.var_mean(features.transpose(0, 1).flatten(1), dim=1, correction=0)
            norm.load_state_dict(norm.state_dict() | neutral_norm(norm, mean, variance))
    for hook in hooks:
        hook.remove()


def _check(old: nn.Module, new: nn.Module, examples: Tensor) -> None:
    with torch.no_grad():
        expected, outputs = old(examples), new(examples)
    if not expected.isfinite().all():
        raise NoMorphismError("the outputs of the parent are not finite")
    worst = float((outputs - expected).abs().max() / (1 + expected.abs().max()))
    if not worst <= _TOLERANCE:
        raise NoMorphismError(f"the child's outputs would differ from the parent's by {worst:.1g} of the largest")
