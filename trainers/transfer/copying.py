"""Copying weights from one network into another wherever a name and a shape agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Inherited:
    """Weights that a training starts from.

    Parameters
    ----------
    state : dict of str to Tensor
        Parameters and buffers of the child.
    share : float
        Of the child's parameters, how much was taken over.
    message : str
        What was done, for the record.
    """

    state: dict[str, Tensor]
    share: float
    message: str


def copy_matching(parent: Mapping[str, Tensor], child: nn.Module) -> Inherited:
    """Return the child's state with everything from the parent that has the same name and shape.

    Parameters
    ----------
    parent : mapping of str to Tensor
        Parameters and buffers of the trained network.
    child : nn.Module
        Its other weights stay as they are.
    """
    own = child.state_dict()
    taken = {name: parent[name] for name, value in own.items() if name in parent and parent[name].shape == value.shape}
    state = {name: taken[name].to(value) if name in taken else value.clone() for name, value in own.items()}
    share = parameter_share(child, taken)
    return Inherited(state, share, f"{share:.1%} of the parameters copied by name and shape")


def parameter_share(network: nn.Module, names: Mapping[str, object] | set[str]) -> float:
    """Return the share of a network's parameters that have one of the given names."""
    sizes = {name: parameter.numel() for name, parameter in network.named_parameters()}
    return sum(size for name, size in sizes.items() if name in names) / max(1, sum(sizes.values()))
