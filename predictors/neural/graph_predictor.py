"""Graph networks as predictors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...encoders import Encoder
from .cost import perceptron
from .ensemble import NeuralPredictor
from .graph_reader import GraphReader

if TYPE_CHECKING:
    import torch
    from torch import nn

_PRETRAINED_RATE, _MANY = 0.3, 200
"""The learning rate of what was pre-trained, relative to that of the new layers, from so many observations on.

With fewer it is less in proportion: a handful of labels has little to say against what thousands of graphs taught.
"""


class GraphNetworkPredictor(GraphReader, NeuralPredictor):
    """An ensemble of graph networks that read the architecture as a graph of operations.

    The graph comes through the encoder `graph`, alone or with others (`gin@graph+semantic`): what is not a graph,
    extras in `info` included, joins the embedding of the graph before the last layers. Without that encoder, and on a
    plain feature matrix, there is no graph to read, and the predictor is a perceptron.

    Pre-training (see `encoders/neural/pretraining.py`) lets the members start from a network that has learned from
    unlabelled architectures of the space what operations, paths and sizes are.

    Parameters
    ----------
    encoder : str or Encoder, optional
        `"graph"` by default.
    network : {"gin", "transformer"}
        Message passing, or attention along paths.
    pretrain : bool or int
        Whether to pre-train, or on how many architectures; 2,000 with True.
    pretrain_steps : int
        Steps of the pre-training.
    width, depth, n_members, steps, batch_size, learning_rate, weight_decay, loss, ranking_weight,
    target_transform, device, n_jobs, seed
        See `NeuralPredictor`.
    """

    def __init__(
        self,
        encoder: str | Encoder | None = None,
        *,
        network: str = "gin",
        pretrain: bool | int = True,
        pretrain_steps: int = 600,
        width: int = 32,
        depth: int = 3,
        n_members: int = 5,
        steps: int = 300,
        batch_size: int = 128,
        learning_rate: float = 5e-3,
        weight_decay: float = 1e-2,
        loss: str = "hinge",
        ranking_weight: float = 1.0,
        target_transform: str = "rank_gaussian",
        device: str = "auto",
        n_jobs: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__(
            encoder,
            width=width,
            depth=depth,
            n_members=n_members,
            steps=steps,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            loss=loss,
            ranking_weight=ranking_weight,
            target_transform=target_transform,
            device=device,
            n_jobs=n_jobs,
            seed=seed,
        )
        self.network = network
        self.pretrain = pretrain
        self.pretrain_steps = pretrain_steps

    def _check_parameters(self) -> None:
        super()._check_parameters()
        self._check_graph_parameters()

    def _multiplications(self, d: int) -> int:
        graph = self._graph_multiplications()
        if not graph:
            return perceptron(d, self.width, self.depth)
        return graph + perceptron(self.width + len(self._others()), self.width, 1)

    def _seconds(self, n: int, d: int) -> float:
        return super()._seconds(n, d) + self._pretraining_seconds()

    def _network(self, members: int, generator: torch.Generator) -> nn.Module:
        from ...encoders.neural.network import GraphNetwork
        from .networks import GraphRegressor, VectorNetwork

        graph, others = self._graph(), len(self._others())
        if graph is None:
            return VectorNetwork(members, others, self.width, self.depth, generator)
        trunk = GraphNetwork(self.network, members, graph[0].node_width, self.width, self.depth, generator)
        return GraphRegressor(trunk, members, self.width, others, self.width, generator)

    def _start(self, network: nn.Module, n: int) -> float | None:
        weights = {f"trunk.{name}": value for name, value in self._pretrained().items()}
        if not weights:
            return None
        own = network.state_dict()
        network.load_state_dict(own | {name: value.expand_as(own[name]) for name, value in weights.items()})
        return _PRETRAINED_RATE * min(1.0, n / _MANY)
