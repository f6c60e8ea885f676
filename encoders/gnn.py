"""The embedding of a graph network that was pre-trained on unlabelled architectures of the space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError
from ..spaces import Architectures, SearchSpace
from ..torch_runtime import limited_threads, require_torch, torch_device
from .base import Columns, Encoder
from .graph_tensors import GraphTensorEncoder

NETWORKS = ("gin", "transformer")
_CHUNK = 512
_PREFIX = "network/"


class GraphNetworkEncoder(Encoder):
    """Embeds architectures by a graph network that learned without labels, from a sample of their space.

    The network restores hidden operations and edges, and tells the semantic encoding, parameters and FLOPs from its
    embedding: few dense columns in which architectures that compute alike lie close together. `fit` pre-trains on the
    space of the architectures, whichever they are; the same space and parameters give the same columns, and the last
    few networks are remembered within a process. Isomorphic architectures have the same encoding.

    Parameters
    ----------
    network : {"gin", "transformer"}
        Message passing, or attention along paths.
    width : int
        Columns, a multiple of 4.
    depth : int
        Rounds of message passing or attention.
    graph : {"reduced", "pruned", "full"}
        The view of the graphs.
    n_architectures : int
        The size of the sample.
    steps : int
        Steps of the pre-training.
    device : str
        `"auto"` (a GPU if there is one), `"cpu"`, `"cuda"` or `"cuda:1"`.
    n_jobs : int
        Threads of PyTorch; the setting of the process stays as it is.
    seed : int
        Draws the sample and the weights.
    """

    stateless = False

    def __init__(
        self,
        network: str = "gin",
        width: int = 32,
        depth: int = 3,
        graph: str = "reduced",
        n_architectures: int = 2000,
        steps: int = 600,
        device: str = "auto",
        n_jobs: int = 1,
        seed: int = 0,
    ) -> None:
        self.network = network
        self.width = width
        self.depth = depth
        self.graph = graph
        self.n_architectures = n_architectures
        self.steps = steps
        self.device = device
        self.n_jobs = n_jobs
        self.seed = seed

    def columns(self, space: SearchSpace) -> Columns:
        """Return one column for each dimension of the embedding, and the features of the whole architecture."""
        names = space.graph_schema.graph_feature_names
        return Columns.concatenate(
            [
                Columns.of((f"embedding {i}" for i in range(self.width)), "embedding", indicator=False),
                Columns.of(names, "graph feature", indicator=False),
            ]
        )

    def _fit(self, architectures: Architectures) -> None:
        self._check()
        require_torch()
        from .neural.pretraining import Pretraining

        space = architectures.space
        self._scaling = GraphTensorEncoder(self.graph).layout(space).scaling(space)
        self._weights = Pretraining(
            kind=self.network,
            width=self.width,
            depth=self.depth,
            graph=self.graph,
            n_architectures=self.n_architectures,
            steps=self.steps,
            seed=self.seed,
        ).weights(space, device=self.device, n_jobs=self.n_jobs)

    def _check(self) -> None:
        if self.network not in NETWORKS:
            raise InvalidDataError(f"network must be one of {', '.join(NETWORKS)}, got {self.network!r}")
        least = {"width": 4, "depth": 1, "n_architectures": 2, "steps": 1, "n_jobs": 1, "seed": 0}
        for name, low in least.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < low:
                raise InvalidDataError(f"{name} must be a whole number from {low}, got {value!r}")
        if self.width % 4:
            raise InvalidDataError(f"width must be a multiple of 4, got {self.width}")

    def _transform(self, architectures: Architectures) -> NDArray[Any]:
        torch = require_torch()
        space, device = architectures.space, torch_device(self.device, double=True)
        encoder = GraphTensorEncoder(self.graph)
        layout, rows = encoder.layout(space), encoder.transform(architectures)
        width = len(layout.columns)
        embedding = np.zeros((len(rows), self.width))
        network = self._restored(layout.node_width).to(device)
        with limited_threads(self.n_jobs), torch.inference_mode():
            for start in range(0, len(rows), _CHUNK):
                part = slice(start, start + _CHUNK)
                arrays = layout.unpack(rows[part, :width], self._scaling)
                read = (
                    torch.from_numpy(a)[None].to(device).double() for a in (arrays.nodes, arrays.edges, arrays.mask)
                )
                embedding[part] = network(*read)[0].cpu().numpy()
        return np.concatenate([embedding, rows[:, width:]], axis=1)

    def _restored(self, inputs: int) -> Any:
        """Return the pre-trained network in double precision, so that batches do not matter."""
        torch = require_torch()
        from .neural.network import GraphNetwork

        network = GraphNetwork(self.network, 1, inputs, self.width, self.depth, torch.Generator())
        network.load_state_dict({name: torch.from_numpy(value) for name, value in self._weights.items()})
        return network.double().eval()

    def _get_state(self) -> dict[str, NDArray[Any]]:
        return {"scaling": self._scaling, **{_PREFIX + name: value for name, value in self._weights.items()}}

    def _set_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._scaling = state["scaling"]
        self._weights = {k.removeprefix(_PREFIX): value for k, value in state.items() if k.startswith(_PREFIX)}
        self._restored(GraphTensorEncoder(self.graph).layout(self.space_).node_width)  # refuses what does not fit
