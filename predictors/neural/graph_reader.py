"""What predictors share that read graphs, beside whatever else is known of an architecture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...encoders.graph_tensors import GraphLayout, graph_part
from ..base import Floats, Predictor
from ..checks import check_choice, check_integer
from .cost import graph_network, training_seconds
from .inputs import check_network, learned_scaling, scaled

if TYPE_CHECKING:
    from torch import Tensor

    from .training import Inputs

NETWORKS = ("gin", "transformer")
_SAMPLE = 2000
_PRETRAINING = 2 * 128
"""Graphs of a step of the pre-training, whose tasks cost about what the network does."""


class GraphReader(Predictor):
    """Reads graphs from the columns of the encoder `graph`, and all other columns as features of the architecture.

    The other columns are those of encodings that stand beside it (`gin@graph+semantic`), and extras in `info`. Without
    that encoder, and on a plain feature matrix, there is no graph to read.

    Subclasses have the parameters below.
    """

    default_encoder: ClassVar[str] = "graph"

    network: str
    pretrain: bool | int
    pretrain_steps: int
    width: int
    depth: int
    device: str
    n_jobs: int
    _learned: dict[str, NDArray[Any]]

    def _check_graph_parameters(self) -> None:
        check_network(self.width, self.depth, self.n_jobs)
        check_choice("network", self.network, NETWORKS)
        check_integer("pretrain_steps", self.pretrain_steps, 1)
        if not isinstance(self.pretrain, (bool, np.bool_)):
            check_integer("pretrain", self.pretrain, 0)

    def _graph(self) -> tuple[GraphLayout, slice] | None:
        """Return the layout of the graphs, and the columns that hold them; None without any."""
        found = graph_part(self.encoder_, self.space_)
        if found is None or self.space_ is None:
            return None
        encoder, start = found
        layout = encoder.layout(self.space_)
        return layout, slice(start, start + len(layout.columns))

    def _others(self) -> NDArray[np.intp]:
        """Return the columns that are no part of a graph."""
        columns, graph = np.arange(len(self.columns_)), self._graph()
        return columns if graph is None else np.delete(columns, graph[1])

    def _graph_multiplications(self) -> int:
        """Return how often the graph network multiplies for one graph, in one member; 0 without a graph."""
        graph = self._graph()
        if graph is None:
            return 0
        nodes = graph[0].schema.num_nodes
        return graph_network(self.network, nodes, graph[0].node_width, self.width, self.depth)

    def _pretraining_seconds(self) -> float:
        if not self.pretrain:
            return 0.0
        return training_seconds(self.pretrain_steps, _PRETRAINING * self._graph_multiplications())

    def _learn_inputs(self, features: Floats) -> dict[str, NDArray[Any]]:
        learned = {"scaling": learned_scaling(features, self.columns_)[:, self._others()]}
        graph = self._graph()
        if graph is not None and self.space_ is not None:
            learned["nodes"] = graph[0].scaling(self.space_)
        return learned

    def _inputs(self, features: Floats) -> Inputs:
        """Return nodes, edges, mask and other features; the other features alone if there is no graph."""
        others = scaled(features[:, self._others()], self._learned["scaling"])
        graph = self._graph()
        if graph is None:
            return (others,)
        arrays = graph[0].unpack(features[:, graph[1]], self._learned["nodes"])
        return arrays.nodes, arrays.edges, arrays.mask, others

    def _pretrained(self) -> dict[str, Tensor]:
        """Return the weights of a pre-trained `GraphNetwork` with one member; none if that is not wanted."""
        graph = self._graph()
        if graph is None or self.space_ is None or not self.pretrain:
            return {}
        import torch

        from ...encoders.neural.pretraining import Pretraining

        weights = Pretraining(
            kind=self.network,
            width=self.width,
            depth=self.depth,
            graph=graph[0].graph,
            n_architectures=_SAMPLE if self.pretrain is True else int(self.pretrain),
            steps=self.pretrain_steps,
            seed=self.seed,
        ).weights(self.space_, device=self.device, n_jobs=self.n_jobs)
        return {name: torch.from_numpy(value) for name, value in weights.items()}
