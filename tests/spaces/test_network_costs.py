"""Parameters and multiply-accumulates against networks that torch builds from the papers' descriptions."""

import numpy as np
import pytest
import torch
from archcast.spaces import get_space
from torch import Tensor, nn


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class Sum(nn.Module):
    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([branch(x) for branch in self.branches]).sum(dim=0)


class Concat(Sum):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class Drop(nn.Module):
    """Zeros of the right shape."""

    def __init__(self, outputs: int, stride: int) -> None:
        super().__init__()
        self.outputs, self.stride = outputs, stride

    def forward(self, x: Tensor) -> Tensor:
        return x.new_zeros(len(x), self.outputs, x.shape[2] // self.stride, x.shape[3] // self.stride)


class Cell(nn.Module):
    """Four nodes; `edges[j][i]` leads from node i to node j + 1."""

    def __init__(self, edges: list[list[nn.Module]]) -> None:
        super().__init__()
        self.edges = nn.ModuleList([nn.ModuleList(group) for group in edges])

    def forward(self, x: Tensor) -> Tensor:
        nodes = [x]
        for group in self.edges:
            nodes.append(torch.stack([edge(node) for edge, node in zip(group, nodes, strict=True)]).sum(dim=0))
        return nodes[-1]


def head(inputs: int, classes: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


def inverted_residual(inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> nn.Sequential:
    hidden = inputs * expansion
    return nn.Sequential(
        convolution(inputs, hidden, 1),
        convolution(hidden, hidden, kernel, stride, groups=hidden),
        convolution(hidden, outputs, 1),
    )


def nasbench_macro(text: str) -> tuple[nn.Module, int]:
    layers: list[nn.Module] = [convolution(3, 32, 3)]
    channels = 32
    for layer, digit in enumerate(text):
        first = layer in (0, 2, 5)
        before, channels, stride = channels, channels * (2 if first else 1), 2 if first else 1
        if digit == "0":
            layers.append(convolution(before, channels, 1, 2) if first else nn.Identity())
        else:
            expansion, kernel = (3, 3) if digit == "1" else (6, 5)
            layers.append(inverted_residual(before, channels, expansion, kernel, stride))
    return nn.Sequential(*layers, convolution(channels, 1280, 1), head(1280, 10)), 32


def nats_size(text: str) -> tuple[nn.Module, int]:
    channels = [int(part) for part in text.split(":")]
    layers: list[nn.Module] = [convolution(3, channels[0], 3)]
    before = channels[0]
    for layer, after in enumerate(channels):
        if layer % 2:
            shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(before, after, 1, bias=False))
            body = nn.Sequential(convolution(before, after, 3, 2), convolution(after, after, 3))
            layers.append(Sum(body, shortcut))
        else:
            skip = nn.Identity() if before == after else convolution(before, after, 1)
            enter = [convolution(before, after, 3) for _ in range(2)]
            inner = [convolution(after, after, 3) for _ in range(3)]
            layers.append(Cell([[enter[0]], [enter[1], inner[0]], [skip, inner[1], inner[2]]]))
        before = after
    return nn.Sequential(*layers, nn.BatchNorm2d(before), head(before, 10)), 32


def stem() -> nn.Sequential:
    return nn.Sequential(convolution(3, 32, 3, 2), convolution(32, 64, 3, 2))


class FactorizedReduce(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.halves = Concat(*(nn.Conv2d(inputs, outputs // 2, 1, 2, bias=False) for _ in range(2)))
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.halves(x))


def micro_edge(operation: str, inputs: int, outputs: int, stride: int) -> nn.Module:
    if operation == "0":
        return Drop(outputs, stride)
    if operation == "1":
        return nn.Identity() if stride == 1 else FactorizedReduce(inputs, outputs)
    return convolution(inputs, outputs, 1 if operation == "2" else 3, stride)


def transnasbench101_micro(text: str) -> tuple[nn.Module, int]:
    groups = text.split("-")[2].split("_")
    layers: list[nn.Module] = [stem()]
    channels = 64
    for module in "41414":
        for stride in (2 if module == "4" else 1, 1):
            outputs = channels * stride
            layers.append(
                Cell(
                    [
                        [
                            micro_edge(op, outputs if source else channels, outputs, 1 if source else stride)
                            for source, op in enumerate(group)
                        ]
                        for group in groups
                    ]
                )
            )
            channels = outputs
    return nn.Sequential(*layers), 256


def transnasbench101_macro(text: str) -> tuple[nn.Module, int]:
    layers: list[nn.Module] = [stem()]
    channels = 64
    for module in text.split("-")[1]:
        outputs = channels * (2 if module in "24" else 1)
        stride = 2 if module in "34" else 1
        body = nn.Sequential(convolution(channels, outputs, 3, stride), convolution(outputs, outputs, 3))
        shortcut = nn.Identity() if module == "1" else convolution(channels, outputs, 1, stride)
        second = nn.Sequential(convolution(outputs, outputs, 3), convolution(outputs, outputs, 3))
        layers += [Sum(body, shortcut), Sum(second, nn.Identity())]
        channels = outputs
    return nn.Sequential(*layers), 256


def measure(network: nn.Module, resolution: int) -> tuple[int, int]:
    """Return parameters and multiply-accumulates, from a run without numbers."""
    macs = 0

    def count(module: nn.Module, _: object, output: Tensor) -> None:
        nonlocal macs
        assert isinstance(module, nn.Conv2d | nn.Linear)
        macs += output[0].numel() * module.weight[0].numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    network(torch.empty(1, 3, resolution, resolution, device="meta"))
    return sum(parameter.numel() for parameter in network.parameters()), macs


@pytest.mark.parametrize("builder", [nasbench_macro, nats_size, transnasbench101_micro, transnasbench101_macro])
def test_costs_are_those_of_the_network(builder) -> None:  # type: ignore[no-untyped-def]
    space = get_space(builder.__name__)
    batch = space.sample(4, seed=3)
    with torch.device("meta"):
        expected = np.array([measure(*builder(text)) for text in batch.strings()])
    cost = space.complexity(batch)
    assert cost is not None
    assert cost["params"].tolist() == expected[:, 0].tolist()
    assert cost["flops"].tolist() == expected[:, 1].tolist()
