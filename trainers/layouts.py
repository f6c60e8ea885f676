"""How the networks of one or several seeds are laid out: one plain network, or replicas that train together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from ..spaces import Architecture, Skeleton
from ..spaces.networks import build_network

if TYPE_CHECKING:
    from torch import Tensor, nn

State = dict[str, "Tensor"]
"""Parameters and buffers of one plain network, by name."""


class Layout(Protocol):
    """Networks of one architecture, `R` of them, as one module."""

    replicas: int
    positions_at_once: int
    """How many positions of inputs are evaluated at a time: few enough to stay in the processor's cache."""

    def build(self, architecture: Architecture, skeleton: Skeleton, states: Sequence[State]) -> nn.Module:
        """Return the networks with the given state each."""

    def pack(self, batches: Sequence[Tensor]) -> Tensor:
        """Return what the module takes from one batch `(n, channels, ...)` for each network."""

    def spread(self, batch: Tensor) -> Tensor:
        """Return what the module takes where all networks get the same batch."""

    def unpack(self, outputs: Tensor) -> Tensor:
        """Return the module's outputs as `(R, n, outputs)`."""

    def states(self, network: nn.Module) -> list[State]:
        """Return the state of each network."""


class PlainLayout:
    """One network."""

    replicas = 1
    positions_at_once = 256 * 1024

    def build(self, architecture: Architecture, skeleton: Skeleton, states: Sequence[State]) -> nn.Module:
        """Return the network with the given state."""
        network = build_network(architecture, skeleton)
        network.load_state_dict(states[0])
        return network

    def pack(self, batches: Sequence[Tensor]) -> Tensor:
        """Return the only batch."""
        return batches[0]

    def spread(self, batch: Tensor) -> Tensor:
        """Return the batch."""
        return batch

    def unpack(self, outputs: Tensor) -> Tensor:
        """Return the outputs with an axis for the network."""
        return outputs[None]

    def states(self, network: nn.Module) -> list[State]:
        """Return the state of the network."""
        return [{name: value.clone() for name, value in network.state_dict().items()}]


class ReplicatedLayout:
    """Several networks for signals, trained at once."""

    positions_at_once = 4000

    def __init__(self, replicas: int) -> None:
        self.replicas = replicas

    def build(self, architecture: Architecture, skeleton: Skeleton, states: Sequence[State]) -> nn.Module:
        """Return the networks with the given state each."""
        from ..spaces.networks.replicated import ReplicatedLayers, stack

        network = build_network(architecture, skeleton, ReplicatedLayers(self.replicas))
        network.load_state_dict(stack(states))
        return network

    def pack(self, batches: Sequence[Tensor]) -> Tensor:
        """Return the batches as `(R, channels, length, n)`."""
        from ..spaces.networks.replicated import to_replicas

        return to_replicas(batches)

    def spread(self, batch: Tensor) -> Tensor:
        """Return a view of the batch as `(R, channels, length, n)`."""
        return batch.permute(1, 2, 0).contiguous().expand(self.replicas, -1, -1, -1)

    def unpack(self, outputs: Tensor) -> Tensor:
        """Return the outputs, which have their shape already."""
        return outputs

    def states(self, network: nn.Module) -> list[State]:
        """Return the state of each network."""
        from ..spaces.networks.replicated import unstack

        state = network.state_dict()
        return [unstack(state, replica) for replica in range(self.replicas)]


def initial_state(architecture: Architecture, skeleton: Skeleton, seed: int) -> State:
    """Return the initial weights that a seed gives to a network, whatever it is trained with."""
    network = build_network(architecture, skeleton, seed=seed)
    return dict(network.state_dict())
