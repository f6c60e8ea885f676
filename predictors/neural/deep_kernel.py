"""A Gaussian process on an embedding that a graph network learns together with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from ...encoders import Encoder
from ...torch_runtime import limited_threads, require_torch, torch_device
from ..base import Floats
from ..checks import check_integer, check_real
from .cost import FOLDS, training_seconds
from .graph_reader import GraphReader

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .deep_kernel_model import DeepKernel
    from .training import Inputs

_BATCH = 512
_FOLDS = 3
_LEAST_OBSERVATIONS = 10
"""With fewer, the posterior deviation is taken as it is."""
_INFLATIONS = (0.7, 4.0)


class DeepKernelPredictor(GraphReader):
    """A Gaussian process whose kernel compares embeddings, all fitted by the marginal likelihood.

    A pre-trained graph network embeds the architecture, one layer joins what else is known of it, and a linear and a
    squared exponential kernel compare the results. Network, layer and kernel climb the marginal likelihood together,
    for few steps: with more, the network explains the training targets away (Ober, Rasmussen and van der Wilk, UAI
    2021). That is measured: fits to two thirds of the observations each forecast the third that they did not see, and
    the posterior deviation is scaled by what their errors are of it.

    Parameters
    ----------
    encoder : str or Encoder, optional
        `"graph"` by default, see `GraphReader`; on a plain feature matrix the layer alone embeds.
    network : {"gin", "transformer"}
        Message passing, or attention along paths.
    pretrain : bool or int
        Whether to pre-train the network, or on how many architectures; 2,000 with True.
    pretrain_steps : int
        Steps of the pre-training.
    width : int
        Of the embedding, a multiple of 4.
    depth : int
        Rounds of message passing or attention.
    steps : int
        Steps of the optimiser.
    subset : int
        Each step looks at so many observations, drawn anew; the forecast uses all.
    learning_rate : float
        Of Adam, for the layer; a third of it for the network, and less of both with fewer than 300 observations.
    device : str
        `"auto"` (a GPU if there is one), `"cpu"`, `"cuda"` or `"cuda:1"`.
    n_jobs : int
        Threads of PyTorch while it fits and forecasts; the setting of the process stays as it is.
    target_transform, seed
        See `Predictor`.

    References
    ----------
    Wilson, Hu, Salakhutdinov and Xing, "Deep kernel learning", AISTATS 2016.
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
        steps: int = 100,
        subset: int = 300,
        learning_rate: float = 1e-2,
        target_transform: str = "rank_gaussian",
        device: str = "auto",
        n_jobs: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__(encoder, target_transform=target_transform, seed=seed)
        self.network = network
        self.pretrain = pretrain
        self.pretrain_steps = pretrain_steps
        self.width = width
        self.depth = depth
        self.steps = steps
        self.subset = subset
        self.learning_rate = learning_rate
        self.device = device
        self.n_jobs = n_jobs

    def _fit(self, features: Floats, z: Floats) -> None:
        self._check_graph_parameters()
        check_integer("steps", self.steps, 1)
        check_integer("subset", self.subset, 2)
        check_real("learning_rate", self.learning_rate, 0.0)
        require_torch()
        target = z[:, 0]
        self._centre, self._scale = float(target.mean()), float(target.std())
        standard = (target - self._centre) / self._scale
        self._learned = self._learn_inputs(features)
        inputs = self._inputs(features)
        rng = np.random.default_rng([self.seed, 0])
        fold = rng.permutation(len(target)) % _FOLDS
        with limited_threads(self.n_jobs):
            start = {f"trunk.{name}": value for name, value in self._pretrained().items()}
            errors = []
            for k in range(_FOLDS if len(target) >= _LEAST_OBSERVATIONS else 0):
                seen, held = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
                self._climb(tuple(part[seen] for part in inputs), standard[seen], start, rng)
                mean, std = self._posterior(self._embedded(tuple(part[held] for part in inputs)))
                errors.append((standard[held] - mean) / std)
            self._climb(inputs, standard, start, rng)
        self._inflation = 1.0
        if errors:
            self._inflation = float(np.clip(np.sqrt((np.concatenate(errors) ** 2).mean()), *_INFLATIONS))

    def _seconds(self, n: int, d: int) -> float:
        """Return the seconds of the fits to all observations and to two thirds, and of all that without each fold."""
        rows = min(self.subset, n)
        each = self._graph_multiplications() + d * self.width + rows * (self.width + rows)
        fits = (1 + FOLDS) * (1 + _FOLDS)
        return fits * training_seconds(self.steps, rows * each) + self._pretraining_seconds()

    def _climb(self, inputs: Inputs, standard: Floats, start: dict[str, Tensor], rng: np.random.Generator) -> None:
        """Fit network, layer and kernel to observations, and let these be what the posterior knows."""
        import torch

        from .deep_kernel_model import climb

        model, device = self._model(torch.Generator().manual_seed(self.seed)), torch_device(self.device, double=True)
        own = model.state_dict()
        model.load_state_dict(own | start)
        climb(model, inputs, standard, self.steps, self.subset, self.learning_rate, rng, device)
        self._weights = {k: v.detach().cpu().numpy().copy() for k, v in model.state_dict().items()}
        self._X = self._embedded(inputs)
        self._factorise()
        self._alpha = cho_solve((self._factor, True), standard)

    def _model(self, generator: torch.Generator) -> DeepKernel:
        from ...encoders.neural.network import GraphNetwork
        from .deep_kernel_model import DeepKernel

        graph, others = self._graph(), len(self._others())
        trunk = None
        if graph is not None:
            trunk = GraphNetwork(self.network, 1, graph[0].node_width, self.width, self.depth, generator)
        return DeepKernel(trunk, others, self.width, generator)

    def _restored(self) -> DeepKernel:
        torch = require_torch()
        model = self._model(torch.Generator())
        model.load_state_dict({name: torch.from_numpy(value) for name, value in self._weights.items()})
        return model.double().eval()

    def _embedded(self, inputs: Inputs) -> Floats:
        """Return the embeddings, `(n, width)`, in double precision, so that batches do not matter."""
        torch = require_torch()
        device = torch_device(self.device, double=True)
        model = self._restored().to(device)
        embedding = np.zeros((len(inputs[0]), self.width))
        with torch.inference_mode():
            for start in range(0, len(embedding), _BATCH):
                part = slice(start, start + _BATCH)
                read = [torch.from_numpy(array[part]).to(device, torch.float64) for array in inputs]
                embedding[part] = model(*read).cpu().numpy()
        return embedding

    def _kernel(self, left: Floats, right: Floats) -> Floats:
        linear, smooth, length, _ = np.exp(self._weights["logs"].astype(np.float64))
        distance = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2 * left @ right.T
        near = np.exp(-0.5 * np.maximum(distance, 0) / (length * self.width))
        kernel: Floats = linear * (left @ right.T) / self.width + smooth * near
        return kernel

    def _factorise(self) -> None:
        """Factorise the covariance of the observations."""
        covariance = self._kernel(self._X, self._X)
        covariance[np.diag_indices_from(covariance)] += self._noise
        self._factor = np.asfortranarray(cho_factor(covariance, lower=True)[0])

    @property
    def _noise(self) -> float:
        from .deep_kernel_model import NOISE_FLOOR

        return float(np.exp(np.float64(self._weights["logs"][3]))) + NOISE_FLOOR

    def _posterior(self, embedding: Floats) -> tuple[Floats, Floats]:
        """Return mean and deviation, noise included, of standardised targets, both `(n,)`."""
        cross = self._kernel(embedding, self._X)
        solved = solve_triangular(self._factor, cross.T, lower=True)
        linear, smooth, *_ = np.exp(self._weights["logs"].astype(np.float64))
        prior = linear * (embedding**2).sum(axis=1) / self.width + smooth
        variance = np.maximum(prior - np.einsum("ij,ij->j", solved, solved), 0) + self._noise
        return cross @ self._alpha, np.sqrt(variance)

    def _predict(self, features: Floats) -> tuple[Floats, Floats]:
        with limited_threads(self.n_jobs):
            embedding = self._embedded(self._inputs(features))
        mean, std = self._posterior(embedding)
        return (self._centre + self._scale * mean)[:, None], (self._scale * self._inflation * std)[:, None]

    def _get_state(self) -> dict[str, NDArray[Any] | bytes]:
        return {
            "scalars": np.array([self._centre, self._scale, self._inflation]),
            "X": self._X,
            "alpha": self._alpha,
            **{f"inputs/{name}": array for name, array in self._learned.items()},
            **{f"network/{name}": array for name, array in self._weights.items()},
        }

    def _set_state(self, state: Mapping[str, Any]) -> None:
        self._centre, self._scale, self._inflation = state["scalars"].tolist()
        self._X, self._alpha = state["X"], state["alpha"]
        self._learned, self._weights = (
            {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
            for prefix in ("inputs/", "network/")
        )
        if self._X.shape != (len(self._alpha), self.width):
            raise ValueError(f"embeddings {self._X.shape} for {len(self._alpha)} weights and width {self.width}")
        self._embedded(self._inputs(np.zeros((1, len(self.columns_)))))  # weights that do not fit are refused
        self._factorise()
