"""Several 1-D networks at once against as many plain ones: the same outputs, gradients and running statistics."""

import numpy as np
import pytest
import torch
from archcast.spaces import Skeleton, get_space
from archcast.spaces.networks import build_network
from archcast.spaces.networks.layers import PlainLayers
from archcast.spaces.networks.replicated import ReplicatedLayers, stack, to_replicas, unstack
from torch.nn.functional import cross_entropy

REPLICAS, BATCH, CLASSES = 2, 5, 3

DARTS_ALIKE = "Genotype(normal={0}, normal_concat=range(2, 6), reduce={0}, reduce_concat=range(2, 6))"


def darts_cell(operation):
    return DARTS_ALIKE.format([(operation, source) for _ in range(4) for source in range(2)])


def edge_cell(operation):
    return "+".join("|" + "".join(f"{operation}~{i}|" for i in range(j)) for j in range(1, 4))


def node_cell(operations, edges):
    matrix = np.zeros((len(operations) + 2,) * 2, dtype=int)
    matrix[tuple(zip(*edges, strict=True))] = 1
    return {"matrix": matrix.tolist(), "ops": ["input", *operations, "output"]}


FORK = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (1, 4), (2, 4), (3, 4), (0, 4)]
SPACES = {
    "nasbench201": ({}, [edge_cell(name) for name in ("none", "skip_connect", "avg_pool_3x3", "nor_conv_3x3")]),
    "nasbench101": (
        {},
        [
            node_cell([], [(0, 1)]),
            node_cell(["maxpool3x3"] * 3, FORK),
            node_cell(["conv3x3-bn-relu", "maxpool3x3", "conv1x1-bn-relu"], FORK),  # 3, 3 and 2 of 8 channels
        ],
    ),
    "darts": ({}, [darts_cell("max_pool_3x3"), darts_cell("skip_connect"), darts_cell("dil_conv_5x5")]),
    "nasbench301": ({}, []),
    "nats_size": ({}, ["8:64:8:8:40"]),
    "nasbench_macro": ({}, ["00000000", "02120212"]),
    "mnasnet_chain": ({}, []),
    "transnasbench101_micro": ({}, [edge_cell(name) for name in ("none", "skip_connect", "nor_conv_1x1")]),
    "transnasbench101_macro": ({}, ["64-1234-basic", "64-411111-basic"]),
    "cell": (
        {"operations_on": "nodes", "nodes": 5, "operations": ["skip", "max_pool_3x3", "sep_conv_3x3", "none"]},
        [],
    ),
    "chain": (
        {
            "blocks": {
                "operation": ["skip", "conv", "mbconv", "sep_conv_5x5", "zero", "avg_pool_3x3"],
                "kernel": [1, 5],
                "se": [False, True],
                "expansion": [0.5, 3],
                "channels": [4, 8, 24],
                "stride": [1, 2],
                "layers": [1, 2],
            },
            "count": 3,
        },
        [],
    ),
}
KNOBS = {
    "nasbench201": {"cells": 1, "channels": 4},
    "nasbench101": {"cells": 2, "stages": 2, "channels": 8},
    "darts": {"cells": 1, "stages": 2, "channels": 2},
    "nasbench301": {"cells": 1, "stages": 2, "channels": 3},
    "nats_size": {"channels": 16},
    "transnasbench101_micro": {"cells": 1, "channels": 4},
    "transnasbench101_macro": {"cells": 1, "channels": 4},
    "cell": {"cells": 1, "stages": 2, "channels": 6},
}


def assert_close(found, expected, what):
    scale = max(1e-3, expected.detach().abs().max().item())
    assert (found - expected).detach().abs().max().item() <= 1e-7 * scale, what


def assert_trains_alike(architecture, skeleton):
    space = architecture.space
    plain = [space.build(architecture, skeleton, seed=seed).double() for seed in range(REPLICAS)]
    together = build_network(architecture, skeleton, ReplicatedLayers(REPLICAS)).double()
    together.load_state_dict(stack([network.state_dict() for network in plain]))
    generator = torch.Generator().manual_seed(0)
    shape = (REPLICAS, BATCH, *skeleton.inputs)
    signals = torch.randn(shape, generator=generator, dtype=torch.double)
    labels = torch.randint(0, CLASSES, (REPLICAS, BATCH), generator=generator)

    outputs = together(to_replicas(list(signals)))
    assert outputs.shape == (REPLICAS, BATCH, CLASSES)
    sum(cross_entropy(outputs[r], labels[r]) for r in range(REPLICAS)).backward()
    gradients = {name: parameter.grad for name, parameter in together.named_parameters()}
    for r, network in enumerate(plain):
        expected = network(signals[r])
        assert_close(outputs[r], expected, f"outputs of {architecture}")
        cross_entropy(expected, labels[r]).backward()
        for name, parameter in network.named_parameters():
            assert (gradients[name] is None) == (parameter.grad is None), name
            if parameter.grad is not None:
                assert_close(gradients[name][r], parameter.grad, f"gradient of {name} of {architecture}")
        state = unstack(together.state_dict(), r)
        assert list(state) == list(network.state_dict())
        for name, value in network.state_dict().items():
            assert_close(state[name].double(), value.double(), f"{name} of {architecture}")
    together.eval()
    outputs = together(to_replicas(list(signals)))
    for r, network in enumerate(plain):
        assert_close(outputs[r], network.eval()(signals[r]), f"outputs in evaluation mode of {architecture}")


@pytest.mark.parametrize("name", SPACES)
def test_networks_train_alike(name):
    parameters, notable = SPACES[name]
    space = get_space(name, **parameters)
    chosen = [*(space.parse(notable) if notable else []), *space.sample(2, seed=5)]
    for k, architecture in enumerate(chosen):
        skeleton = Skeleton((2, 36 + k % 2), CLASSES, **KNOBS.get(name, {"channels": 4}))
        assert_trains_alike(architecture, skeleton)


LAYERS = {
    **{
        f"conv {kernel} / {stride} x {dilation}{' depthwise' if groups > 1 else ''}": (
            "conv",
            (groups, 3 * groups if groups == 1 else groups, kernel),
            {"stride": stride, "dilation": dilation, "groups": groups},
        )
        for kernel in (1, 3, 5)
        for stride in (1, 2)
        for dilation in (1, 2)
        for groups in (1, 4)
    },
    **{
        f"{pool} {kernel} / {stride}": (pool, (kernel,), {"stride": stride})
        for pool in ("avg_pool", "max_pool")
        for kernel, stride in ((3, 1), (3, 2), (2, 2))
    },
    "norm": ("norm", (4,), {}),
    "norm without weights": ("norm", (4,), {"affine": False}),
    "subsample": ("subsample", (2,), {}),
    "global_pool": ("global_pool", (), {}),
}


@pytest.mark.parametrize("length", [1, 2, 7, 8])
@pytest.mark.parametrize("name", LAYERS)
def test_layers_compute_alike(name, length):
    kind, arguments, options = LAYERS[name]
    torch.manual_seed(0)
    plain = [getattr(PlainLayers(1), kind)(*arguments, **options).double() for _ in range(REPLICAS)]
    together = getattr(ReplicatedLayers(REPLICAS), kind)(*arguments, **options).double()
    together.load_state_dict(stack([layer.state_dict() for layer in plain]))
    channels = arguments[0] if kind == "conv" else 4
    # Rounded, so that windows hold equal values: their gradients must go to the same place.
    signals = torch.randn(REPLICAS, BATCH, channels, length, dtype=torch.double).mul(2).round().requires_grad_()
    outputs = together(to_replicas(list(signals)))
    weights = torch.randn(outputs.shape, dtype=torch.double)
    (found,) = torch.autograd.grad((outputs * weights).sum(), signals)
    for r, layer in enumerate(plain):
        expected = layer(signals[r])
        assert outputs[r].permute(2, 0, 1).shape == expected.shape
        assert_close(outputs[r].permute(2, 0, 1), expected, name)
        (gradient,) = torch.autograd.grad((expected * weights[r].permute(2, 0, 1)).sum(), signals)
        assert_close(found[r], gradient[r], name)


@pytest.mark.parametrize("name", [name for name in LAYERS if "conv 3" in name or "pool 3" in name])
def test_second_derivatives_are_refused(name):
    kind, arguments, options = LAYERS[name]
    layer = getattr(ReplicatedLayers(1), kind)(*arguments, **options)
    for parameter in layer.parameters():
        torch.nn.init.ones_(parameter)
    signal = torch.randn(1, arguments[0] if kind == "conv" else 4, 8, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(layer(signal).square().sum(), signal, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
