"""Operations as modules, and what is left out of networks because nothing depends on it."""

import numpy as np
import pytest
import torch
from archcast.errors import InvalidDataError
from archcast.spaces import Skeleton, get_space
from archcast.spaces.base import SearchSpace
from archcast.spaces.networks import operations
from archcast.spaces.networks.edge_cells import EdgeCell
from archcast.spaces.networks.layers import PlainLayers
from archcast.spaces.operations import KNOWN_OPERATIONS, Operation
from torch import nn


@pytest.mark.parametrize("dimension", [1, 2])
@pytest.mark.parametrize("name", KNOWN_OPERATIONS)
def test_known_operations_have_modules(name, dimension):
    layers = PlainLayers(dimension)
    for inputs, outputs in ((4, 4), (4, 6), (1, 1), (2, 3)):
        for stride in (1, 2):
            module = operations.operation_module(KNOWN_OPERATIONS[name], layers, inputs, outputs, stride)
            for size in (1, 7, 8):
                features = module(torch.randn(2, inputs, *[size] * dimension))
                assert features.shape == (2, outputs, *[-(-size // stride)] * dimension)


def test_operations_do_what_their_role_says():
    layers = PlainLayers(1)
    features = torch.randn(2, 4, 8)
    for name in ("skip", "drop_path"):
        module = operations.operation_module(Operation(name, "identity"), layers, 4, 4)
        assert torch.equal(module(features), features)
    for name in ("none", "cut"):
        assert not operations.operation_module(Operation(name, "zero"), layers, 4, 4)(features).any()


def test_operations_of_your_own():
    with pytest.raises(InvalidDataError, match="operation 'test_swish' has no network"):
        operations.operation_module(Operation("test_swish"), PlainLayers(1), 4, 4)

    @operations.register_operation("test_swish")
    def swish(layers, inputs, outputs, stride):
        return nn.Sequential(layers.conv(inputs, outputs, 7, stride=stride), nn.SiLU())

    try:
        space = get_space("cell", operations_on="edges", nodes=3, operations=["test_swish", "skip_connect"])
        network = space.build([[0, 1, 0]], Skeleton((2, 20), 5, channels=4, cells=1))
        assert sum(isinstance(module, nn.SiLU) for module in network.modules()) == 6
        assert network(torch.randn(3, 2, 20)).shape == (3, 5)
        with pytest.raises(InvalidDataError, match="'nor_conv_3x3' has a network already"):
            operations.register_operation("nor_conv_3x3")(swish)
    finally:
        del operations._FACTORIES["test_swish"]


def test_a_space_of_your_own_says_how_it_is_built():
    base = type(get_space("nasbench_macro"))

    class Wide(base):
        def network_factory(self):
            def build(architecture, skeleton, layers):
                width = 8 * sum(architecture.genotype)
                return nn.Sequential(
                    layers.conv(skeleton.inputs[0], width, 3),
                    layers.global_pool(),
                    layers.linear(width, skeleton.outputs),
                    layers.to_outputs(),
                )

            return build

    space = Wide()
    assert isinstance(space, SearchSpace)
    network = space.build("01000000", Skeleton((3, 12), 2))
    assert network[0].weight.shape == (8, 3, 3)
    assert network(torch.randn(4, 3, 12)).shape == (4, 2)


def compute_everything(cell, architecture, features):
    space = architecture.space
    nodes = [features]
    genes = iter(architecture.genotype)
    for target in range(1, space.nodes):
        total = torch.zeros_like(features)
        for source in range(target):
            if space.operations[next(genes)].role != "zero":
                total = total + cell.edges[f"{source}->{target}"](nodes[source])
        nodes.append(total)
    return nodes[-1]


def test_edges_without_effect_are_not_computed():
    space = get_space("nasbench201")
    batch = space.sample(300, seed=1)
    dead = (space.to_graphs(batch).prune().mask[:, 1:-1].sum(axis=1) < (batch.genotypes > 0).sum(axis=1)).nonzero()[0]
    assert len(dead) > 20
    features = torch.randn(3, 2, 6, dtype=torch.double)
    for architecture in batch[dead[:20]]:
        cell = EdgeCell(architecture, 2, PlainLayers(1)).double()
        assert torch.allclose(cell(features), compute_everything(cell, architecture, features), atol=1e-12)
        computed = {name for _, _, name in cell.live}
        assert computed < set(cell.edges)


def test_nodes_without_effect_are_left_out():
    space = get_space("nasbench101")
    batch = space.sample(200, seed=0)
    graphs = space.to_graphs(batch)
    pruned = graphs.prune()
    dead = np.flatnonzero(pruned.mask.sum(axis=1) < graphs.mask.sum(axis=1))
    assert len(dead) > 20
    skeleton = Skeleton((1, 12), 3, channels=8, cells=1, stages=2)
    signals = torch.randn(4, 1, 12)
    names = [operation.name for operation in graphs.schema.vocabulary]
    for k in dead[:5]:
        kept = np.flatnonzero(pruned.mask[k])
        words = [names[word] for word in pruned.operations[k, kept]]
        alone = space.parse([(pruned.adjacency[k][np.ix_(kept, kept)].astype(int), words)])[0]
        outputs = [space.build(cell, skeleton, seed=3)(signals) for cell in (batch[k], alone)]
        assert torch.equal(*outputs)


def test_isomorphic_cells_compute_the_same():
    space = get_space("nasbench101")
    matrix = [[0, 1, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]]
    inner = ["conv3x3-bn-relu", "maxpool3x3"]
    first, second = space.parse(
        [(matrix, ["input", *order, "conv1x1-bn-relu", "output"]) for order in (inner, inner[::-1])]
    )
    assert len({*space.canonical([first, second]).tolist()}) == 1
    skeleton = Skeleton((1, 12), 3, channels=4, cells=1, stages=2)
    network, twin = (space.build(cell, skeleton, seed=0) for cell in (first, second))
    other = {"1": "2", "2": "1"}

    def renumber(name):
        parts = name.split(".")
        if len(parts) > 2 and parts[1] in ("nodes", "projections"):
            parts[2] = other.get(parts[2], parts[2])
        return ".".join(parts)

    twin.load_state_dict({renumber(name): value for name, value in network.state_dict().items()})
    signals = torch.randn(4, 1, 12)
    assert torch.allclose(network(signals), twin(signals), atol=1e-5)
