"""Networks: forward and backward against a hand-written module, and four networks at once against one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ...spaces import Architecture, Skeleton, get_space
from ...spaces.networks import build_network
from ...spaces.networks.replicated import ReplicatedLayers, stack, to_replicas
from .measurement import Measurement, best_of

CELL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
SLOWEST = 1.3
"""How many times as long as the hand-written module the built one may take."""

REPLICAS, REPLICATED_TARGET = 4, 2.5
SIGNALS = Skeleton((1, 40), 10, channels=16, stages=1, cells=1)
IMAGES = Skeleton((3, 32, 32), 10, channels=16, stages=3, cells=1)


def measure(cells: int = 8, batch: int = 100, repeats: int = 10) -> Iterator[Measurement]:
    """Yield one training step without and with several networks at once; each line is the fastest of some runs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for what, skeleton, size in (("signals", SIGNALS, batch), ("images", IMAGES, max(2, batch // 4))):
            yield _against_hand_written(what, skeleton, size, repeats)
        yield _against_one_by_one(cells, batch, repeats)
    finally:
        torch.set_num_threads(threads)


def _against_hand_written(what: str, skeleton: Skeleton, batch: int, repeats: int) -> Measurement:
    ours = get_space("nasbench201").build(CELL, skeleton, seed=0)
    theirs = HandWritten(skeleton)
    # Both name their weights in the order in which they are made.
    theirs.load_state_dict(dict(zip(theirs.state_dict(), ours.state_dict().values(), strict=True)))
    inputs, labels = _data(skeleton, batch, seed=0)
    close = torch.allclose(ours(inputs), theirs(inputs), atol=1e-4)
    seconds, peer_seconds = _in_turns(
        [_gradients_of(ours, inputs, labels), _gradients_of(theirs, inputs, labels)], repeats
    )
    return Measurement(
        f"NAS-Bench-201 step on {what}",
        batch,
        seconds,
        "hand-written module",
        peer_seconds,
        target=round(1 / SLOWEST, 2),
        note="same outputs" if close else "OTHER OUTPUTS",
    )


def _against_one_by_one(cells: int, batch: int, repeats: int) -> Measurement:
    seconds = peer_seconds = 0.0
    for architecture in get_space("nasbench201").sample(cells, seed=0, canonical=True):
        together, plain = _replicated_and_plain(architecture, batch)
        times = _in_turns([together, plain], repeats)
        seconds, peer_seconds = seconds + times[0], peer_seconds + times[1]
    return Measurement(
        f"{REPLICAS} networks at once, {cells} cells",
        batch,
        seconds,
        "one after another",
        peer_seconds,
        target=REPLICATED_TARGET,
        note="forward, backward and AdamW on signals",
    )


def _replicated_and_plain(architecture: Architecture, batch: int) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return a training step of the replicated network, and one of each plain network in turn."""
    networks = [architecture.space.build(architecture, SIGNALS, seed=seed) for seed in range(REPLICAS)]
    replicated = build_network(architecture, SIGNALS, ReplicatedLayers(REPLICAS))
    replicated.load_state_dict(stack([network.state_dict() for network in networks]))
    data = [_data(SIGNALS, batch, seed) for seed in range(REPLICAS)]
    signals, labels = to_replicas([inputs for inputs, _ in data]), torch.cat([targets for _, targets in data])
    optimizers = [torch.optim.AdamW(network.parameters()) for network in networks]
    optimizer = torch.optim.AdamW(replicated.parameters())

    def together() -> None:
        optimizer.zero_grad()
        (REPLICAS * cross_entropy(replicated(signals).flatten(0, 1), labels)).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    def one_by_one() -> None:
        for network, stepper, (inputs, targets) in zip(networks, optimizers, data, strict=True):
            stepper.zero_grad()
            cross_entropy(network(inputs), targets).backward()  # type: ignore[no-untyped-call]
            stepper.step()

    return together, one_by_one


def _data(skeleton: Skeleton, batch: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(batch, *skeleton.inputs, generator=generator)
    return inputs, torch.randint(skeleton.outputs, (batch,), generator=generator)


def _gradients_of(network: nn.Module, inputs: Tensor, labels: Tensor) -> Callable[[], None]:
    def step() -> None:
        network.zero_grad()
        cross_entropy(network(inputs), labels).backward()  # type: ignore[no-untyped-call]

    return step


def _in_turns(actions: Sequence[Callable[[], None]], repeats: int) -> list[float]:
    """Return the seconds of the fastest run of each action, which are run in turns so that all see the same load."""
    best_of(lambda: [action() for action in actions], 1)
    times = [[best_of(action, 1) for action in actions] for _ in range(repeats)]
    return [min(column) for column in zip(*times, strict=True)]


class HandWritten(nn.Module):
    """The network of `CELL` as one writes it without a search space."""

    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__()
        assert skeleton.channels is not None and skeleton.stages is not None and skeleton.cells is not None
        width, two = skeleton.channels, skeleton.dimension == 2
        self.stem = nn.Sequential(_conv(two, skeleton.inputs[0], width, 3), _norm(two, width))
        body: list[nn.Module] = []
        for stage in range(skeleton.stages):
            if stage:
                body.append(_Reduction(two, width))
                width *= 2
            body += [_Cell(two, width) for _ in range(skeleton.cells)]
        self.body = nn.Sequential(*body)
        pool = nn.AdaptiveAvgPool2d(1) if two else nn.AdaptiveAvgPool1d(1)
        self.head = nn.Sequential(_norm(two, width), nn.ReLU(), pool, nn.Flatten(), nn.Linear(width, skeleton.outputs))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs of a batch."""
        outputs: Tensor = self.head(self.body(self.stem(inputs)))
        return outputs


class _Cell(nn.Module):
    def __init__(self, two: bool, width: int) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = (_relu_conv(two, width, width, kernel) for kernel in (3, 1, 3, 3))
        pool = nn.AvgPool2d if two else nn.AvgPool1d
        self.pool = pool(3, stride=1, padding=1, count_include_pad=False)

    def forward(self, x: Tensor) -> Tensor:
        first = self.a(x)
        second = self.b(x) + self.pool(first)
        output: Tensor = x + self.c(first) + self.d(second)
        return output


class _Reduction(nn.Module):
    def __init__(self, two: bool, width: int) -> None:
        super().__init__()
        self.a, self.b = _relu_conv(two, width, 2 * width, 3, stride=2), _relu_conv(two, 2 * width, 2 * width, 3)
        pool = nn.AvgPool2d if two else nn.AvgPool1d
        self.shortcut = nn.Sequential(pool(2, stride=2), _conv(two, width, 2 * width, 1))

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.shortcut(x) + self.b(self.a(x))
        return output


def _conv(two: bool, inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Module:
    convolution = nn.Conv2d if two else nn.Conv1d
    layer: nn.Module = convolution(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
    return layer


def _norm(two: bool, width: int) -> nn.Module:
    return nn.BatchNorm2d(width) if two else nn.BatchNorm1d(width)


def _relu_conv(two: bool, inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(nn.ReLU(), _conv(two, inputs, outputs, kernel, stride), _norm(two, outputs))
