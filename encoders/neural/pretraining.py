"""Self-supervised pre-training of graph networks on unlabelled architectures of a space.

Half of each batch is damaged: some nodes hide their operation, some edges are left out, and the network is to restore
both from what remains (masked operations: Hu et al., "Strategies for pre-training graph neural networks", ICLR 2020;
reconstruction: Yan et al., "Does unsupervised architecture representation learning help neural architecture search?",
NeurIPS 2020). From the undamaged half it is to tell, linearly from the embedding, what is known of every architecture
without training it: its semantic encoding (operations by place and path, statistics of paths), and parameters and FLOPs
where the space knows them. No label of any table enters.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ...spaces import Architectures, SearchSpace
from ...torch_runtime import limited_threads, torch_device
from .. import make_encoder
from ..graph_tensors import GraphArrays, GraphTensorEncoder
from .network import GraphNetwork
from .stacked import StackedLinear

_HIDDEN = 0.2
"""Share of nodes whose operation is hidden, and of edges left out, in the damaged half of a batch."""
_WARM_UP = 0.1
_REMEMBERED = 8

Weights = dict[str, NDArray[np.float32]]
_memory: OrderedDict[str, Weights] = OrderedDict()


@dataclass(frozen=True)
class Pretraining:
    """What a pre-training is; equal ones on equal spaces give equal weights.

    Parameters
    ----------
    kind, width, depth
        The network, see `GraphNetwork`.
    graph : {"reduced", "pruned", "full"}
        The view of the graphs.
    n_architectures : int
        The size of the sample of the space, which small spaces repeat themselves in.
    steps, batch_size : int
    learning_rate : float
        The highest; it rises linearly and falls as a cosine.
    seed : int
    """

    kind: str
    width: int
    depth: int
    graph: str
    n_architectures: int
    steps: int
    batch_size: int = 128
    learning_rate: float = 3e-3
    seed: int = 0

    def weights(self, space: SearchSpace, *, device: str, n_jobs: int) -> Weights:
        """Return the weights of the pre-trained `GraphNetwork` with one member; the last few are remembered."""
        described = json.dumps([space.spec, asdict(self), device], sort_keys=True, default=str)
        key = hashlib.sha256(described.encode()).hexdigest()
        if key not in _memory:
            with limited_threads(n_jobs):
                _memory[key] = self._train(space, torch_device(device, double=True))
            while len(_memory) > _REMEMBERED:
                _memory.popitem(last=False)
        _memory.move_to_end(key)
        return _memory[key]

    def _train(self, space: SearchSpace, device: torch.device) -> Weights:
        sample = space.sample(self.n_architectures, seed=self.seed, distinct=False)
        layout = GraphTensorEncoder(self.graph).layout(space)
        rows = GraphTensorEncoder(self.graph).transform(sample)
        arrays = layout.unpack(rows, layout.scaling(space))
        properties, weights = known_properties(sample)
        generator = torch.Generator().manual_seed(self.seed)
        network = GraphNetwork(self.kind, 1, layout.node_width, self.width, self.depth, generator)
        tasks = _Tasks(network, layout.vocabulary, properties.shape[1], weights, generator).to(device)
        data = _tensors(arrays, properties, device)
        rng = np.random.default_rng([self.seed, 1])
        optimizer = torch.optim.AdamW(tasks.parameters(), self.learning_rate, weight_decay=1e-3)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: one_cycle(step, self.steps))
        batch = min(self.batch_size, len(sample))
        for _ in range(self.steps):
            chosen = torch.from_numpy(rng.choice(len(sample), batch, replace=False)).to(device)
            loss = tasks(*(part[chosen] for part in data), rng)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
        return {name: value.detach().cpu().numpy().copy() for name, value in network.state_dict().items()}


def one_cycle(step: int, steps: int) -> float:
    """Return the learning rate relative to its highest: a linear rise over the first tenth, then half a cosine."""
    rise = max(1.0, _WARM_UP * steps)
    if step < rise:
        return (step + 1) / (rise + 1)
    return 0.5 * (1 + float(np.cos(np.pi * (step - rise) / max(1.0, steps - rise))))


def known_properties(sample: Architectures) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what is known of architectures without training them, centred `(n, p)`, and a weight for each, `(p,)`.

    Quantities are standardised, flags and counts are not; weights are such that each group of columns varies as much
    as any other.
    """
    names = "semantic+complexity" if sample.space.complexity(sample[:1]) else "semantic"
    encoder = make_encoder(names)
    columns, values = encoder.columns(sample.space), encoder.transform(sample).astype(np.float64)
    values -= values.mean(axis=0)
    spread = values.std(axis=0)
    varies = spread > 1e-6 * (1 + np.abs(values).max(axis=0))
    values /= np.where(columns.indicator | ~varies, 1.0, spread)
    groups, group = np.unique(np.array(columns.groups)[varies], return_inverse=True)
    values = values[:, varies]
    variance = np.bincount(group, values.var(axis=0), minlength=len(groups))
    weights = 1.0 / (variance[group] * max(len(groups), 1))
    return np.clip(values, -5, 5).astype(np.float32), weights.astype(np.float32)


def _tensors(arrays: GraphArrays, properties: NDArray[np.float32], device: torch.device) -> list[Tensor]:
    parts = (arrays.nodes, arrays.edges, arrays.mask, properties)
    return [torch.from_numpy(part).to(device) for part in parts]


class _Tasks(nn.Module):
    """The network with what it is pre-trained by; returns the loss of a batch."""

    def __init__(
        self,
        network: GraphNetwork,
        vocabulary: int,
        properties: int,
        weights: NDArray[np.float32],
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        width = network.embed.weight.shape[-1]
        self.network = network
        self.vocabulary = vocabulary
        self.operation = StackedLinear(1, width, vocabulary, generator)
        self.source = StackedLinear(1, width, width, generator)
        self.target = StackedLinear(1, width, width, generator)
        self.property = StackedLinear(1, width, properties, generator)
        self.weights: Tensor
        self.register_buffer("weights", torch.from_numpy(weights))

    def forward(self, nodes: Tensor, edges: Tensor, mask: Tensor, properties: Tensor, rng: Any) -> Tensor:
        half = len(nodes) // 2
        hidden, kept = _damage(mask[:half], edges[:half], rng)
        shown = nodes[:half].clone()
        shown[..., : self.vocabulary] *= 1 - hidden[..., None]
        shown[..., self.vocabulary] = hidden
        given = torch.cat([shown, nodes[half:]]), torch.cat([kept, edges[half:]])
        state = self.network.nodes(given[0][None], given[1][None], mask[None])
        embedding = self.network.pool(state[:, half:], mask[None, half:])
        wrong = (self.property(embedding)[0] - properties[half:]).square()
        loss: Tensor = (wrong * self.weights).sum(dim=1).mean()
        if half:
            loss = loss + self._operations(state[:, :half], nodes[:half], hidden)
            loss = loss + self._edges(state[:, :half], edges[:half], mask[:half])
        return loss

    def _operations(self, state: Tensor, nodes: Tensor, hidden: Tensor) -> Tensor:
        """Return the cross entropy of the operations that are hidden."""
        truth = nodes[..., : self.vocabulary].argmax(dim=-1)
        entropy = functional.cross_entropy(self.operation(state)[0].flatten(0, 1), truth.flatten(), reduction="none")
        return (entropy * hidden.flatten()).sum() / hidden.sum().clamp(min=1.0)

    def _edges(self, state: Tensor, edges: Tensor, mask: Tensor) -> Tensor:
        """Return the cross entropy of which pairs of used nodes, in topological order, are joined."""
        source, target = self.source(state)[0], self.target(state)[0]
        logits = source @ target.mT / source.shape[-1] ** 0.5
        pairs = (mask[:, :, None] * mask[:, None, :]).triu(1)
        entropy = functional.binary_cross_entropy_with_logits(logits, edges, reduction="none")
        return (entropy * pairs).sum() / pairs.sum().clamp(min=1.0)


def _damage(mask: Tensor, edges: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return which nodes hide their operation, `(n, v)`, and the edges that are left, `(n, v, v)`."""
    hidden = torch.from_numpy((rng.random(tuple(mask.shape)) < _HIDDEN).astype(np.float32)).to(mask.device) * mask
    kept = torch.from_numpy((rng.random(tuple(edges.shape)) >= _HIDDEN).astype(np.float32)).to(edges.device)
    return hidden, edges * kept
