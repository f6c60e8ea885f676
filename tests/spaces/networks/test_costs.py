"""Parameters and multiply-accumulates of the default networks against the published numbers and those of the spaces."""

import numpy as np
import pytest
import torch
from archcast.spaces import Skeleton, get_space
from torch import Tensor, nn

SKELETONS = {
    "nasbench201": Skeleton(),
    "nasbench101": Skeleton(),
    "nasbench_macro": Skeleton(),
    "nats_size": Skeleton(),
    "mnasnet_chain": Skeleton((3, 224, 224), 1000),
    "transnasbench101_micro": Skeleton((3, 256, 256), 75),
    "transnasbench101_macro": Skeleton((3, 256, 256), 75),
}
BACKBONES = ("transnasbench101_micro", "transnasbench101_macro")
"""Spaces whose costs are those without the classifier."""

DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), "
    "('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)
INCEPTION_LIKE = {
    "matrix": [
        [0, 1, 1, 1, 0, 1, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 0],
    ],
    "ops": [
        "input",
        "conv1x1-bn-relu",
        "conv3x3-bn-relu",
        "conv3x3-bn-relu",
        "conv3x3-bn-relu",
        "maxpool3x3",
        "output",
    ],
}


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def multiply_accumulates(network: nn.Module, inputs: tuple[int, ...]) -> int:
    macs = 0

    def add(module: nn.Module, _: object, output: Tensor) -> None:
        nonlocal macs
        macs += output[0].numel() * module.weight[0].numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(add)
    network(torch.empty(1, *inputs, device="meta"))
    return macs


@pytest.mark.parametrize("name", SKELETONS)
def test_costs_are_those_of_the_network(name: str) -> None:
    space, skeleton = get_space(name), SKELETONS[name]
    batch = space.sample(40, seed=3)
    alive = space.to_graphs(batch).prune().mask.all(axis=1) if "operations" in vars(space) else np.ones(40, dtype=bool)
    batch = batch[np.argsort(~alive, kind="stable")[:4]]
    cost = space.complexity(batch)
    assert cost is not None
    with torch.device("meta"):
        for k, architecture in enumerate(batch):
            network = space.build(architecture, skeleton)
            head = next(module for module in list(network.modules())[::-1] if isinstance(module, nn.Linear))
            extra = (count(head), head.weight.numel()) if name in BACKBONES else (0, 0)
            assert count(network) - extra[0] == cost["params"][k]
            if name != "mnasnet_chain":  # the published counts charge for normalisation and pooling
                assert multiply_accumulates(network, skeleton.inputs) - extra[1] == cost["flops"][k]


def test_parameters_do_not_depend_on_dead_edges_being_computed() -> None:
    space = get_space("nasbench201")
    batch = space.parse(["|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|nor_conv_3x3~2|"])
    assert count(space.build(batch[0])) == space.complexity(batch)["params"][0]


def test_published_numbers_of_parameters() -> None:
    with torch.device("meta"):
        assert count(get_space("darts").build(DARTS_V2)) == 3_349_342
        assert count(get_space("nasbench101").build(INCEPTION_LIKE)) == 2_694_282
        cell = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
        assert count(get_space("nasbench201").build(cell)) == 1_531_546
        assert count(get_space("nats_size").build("64:64:64:64:64")) == 713_674


def test_darts_networks_have_the_published_depth() -> None:
    with torch.device("meta"):
        cells = {name: get_space(name).build(DARTS_V2).cells for name in ("darts", "nasbench301")}
    # Of this architecture the first operation of reduction cells alone is a pooling.
    reductions = {
        name: [k for k, cell in enumerate(listed) if isinstance(cell.operations[0], nn.MaxPool2d)]
        for name, listed in cells.items()
    }
    assert {name: len(listed) for name, listed in cells.items()} == {"darts": 20, "nasbench301": 8}
    assert reductions == {"darts": [6, 13], "nasbench301": [2, 5]}
