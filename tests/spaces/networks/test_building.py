"""Building networks: shapes, seeds, widths, and what is refused."""

import pytest
import torch
from archcast.errors import ArchcastError, InvalidArchitectureError, InvalidDataError
from archcast.spaces import SPACES, Skeleton, get_space
from archcast.spaces.chain import ChainSpace
from torch import nn

FIXED = {
    "nats_size": ("stages", "cells"),
    "nasbench_macro": ("stages", "cells"),
    "mnasnet_chain": ("stages", "cells"),
    "transnasbench101_micro": ("stages",),
    "transnasbench101_macro": ("stages",),
}
PARAMETERS = {"chain": {"blocks": {"kernel": [3, 5], "expansion": [1, 4]}, "count": 4}}
NAMES = SPACES.names()
"""As they are here: other tests register spaces of their own."""
BUILT = [name for name in NAMES if get_space(name, **PARAMETERS.get(name, {})).network is not None]


def any_space(name):
    return get_space(name, **PARAMETERS.get(name, {}))


def small(name, inputs):
    return Skeleton(inputs, 4, channels=4, **({} if name in FIXED else {"cells": 1}))


def test_every_space_of_convolutional_networks_is_built():
    assert set(NAMES) - set(BUILT) == {"nasbench_nlp", "nasbench_graph", "nasbench_graph_proteins"}
    for name in set(NAMES) - set(BUILT):
        space = get_space(name)
        with pytest.raises(ArchcastError, match=f"no networks for architectures of space '{name}'"):
            space.build(space.sample(1, seed=0))


@pytest.mark.parametrize("inputs", [(1, 33), (2, 40), (3, 32, 32), (1, 35, 33)])
@pytest.mark.parametrize("name", BUILT)
def test_outputs_have_the_right_shape(name, inputs):
    space = any_space(name)
    with torch.device("meta"):
        for architecture in space.sample(2, seed=1):
            network = space.build(architecture, small(name, inputs))
            assert network(torch.empty(3, *inputs)).shape == (3, 4)


@pytest.mark.parametrize("name", BUILT)
def test_a_seed_fixes_the_weights_and_leaves_the_global_generator_alone(name):
    space = any_space(name)
    architecture, skeleton = space.sample(1, seed=0), small(name, (1, 40))
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, again, other = (space.build(architecture, skeleton, seed=seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(value, again[key]) for key, value in first.items())
    assert not all(torch.equal(value, other[key]) for key, value in first.items())
    free = [space.build(architecture, skeleton).state_dict() for _ in range(2)]
    assert not all(torch.equal(value, free[1][key]) for key, value in free[0].items())


@pytest.mark.parametrize("name", BUILT)
@pytest.mark.parametrize("inputs", [(1, 2), (3, 40, 2)])
def test_inputs_that_are_too_small_are_refused(name, inputs):
    space = any_space(name)
    axis = len(inputs) - 1
    with pytest.raises(InvalidDataError, match=rf"axis {axis} must be at least \d+, got 2$"):
        space.build(space.sample(1, seed=0), Skeleton(inputs))


@pytest.mark.parametrize(("name", "stages", "least"), [("nasbench201", 1, 1), ("nasbench201", 4, 5), ("darts", 2, 2)])
def test_the_smallest_inputs_are_trained(name, stages, least):
    space = get_space(name)
    architecture = space.sample(1, seed=0)
    network = space.build(architecture, Skeleton((1, least), 2, channels=2, stages=stages, cells=1), seed=0)
    network(torch.randn(4, 1, least)).sum().backward()
    if least > 1:
        with pytest.raises(InvalidDataError, match=f"got {least - 1}$"):
            space.build(architecture, Skeleton((1, least - 1), 2, channels=2, stages=stages, cells=1))


@pytest.mark.parametrize(("name", "knob"), [(name, knob) for name, knobs in FIXED.items() for knob in knobs])
def test_knobs_that_architectures_fix_are_refused(name, knob):
    space = any_space(name)
    with pytest.raises(InvalidDataError, match=f"{knob} .* must be None for networks of space '{name}'.* got 2$"):
        space.build(space.sample(1, seed=0), Skeleton((1, 40), **{knob: 2}))


def test_channels_scale_all_widths():
    def widths(name, channels):
        space = any_space(name)
        with torch.device("meta"):
            network = space.build(space.sample(1, seed=2), Skeleton((1, 40), channels=channels))
        return [module.weight.shape[0] for module in network.modules() if isinstance(module, nn.Conv1d)]

    for name, published in (("nasbench_macro", 32), ("mnasnet_chain", 32), ("transnasbench101_macro", 64)):
        whole = widths(name, published)
        assert widths(name, 2 * published) == [2 * width for width in whole]
        assert widths(name, published) == widths(name, None)
        assert min(widths(name, 1)) == 1


def test_node_cells_need_a_channel_for_each_node_that_feeds_the_output():
    space = get_space("nasbench101")
    cell = {
        "matrix": [[0, 1, 1, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]],
        "ops": ["input", *["maxpool3x3"] * 3, "output"],
    }
    with pytest.raises(InvalidDataError, match="at least 3 channels, got 2"):
        space.build(cell, Skeleton((1, 40), channels=2))
    assert space.build(cell, Skeleton((1, 40), channels=3, cells=1))(torch.randn(2, 1, 40)).shape == (2, 10)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"kernel": [3], "width": [8, 16]}, "hyperparameter 'width' of block 0 has no meaning"),
        ({"kernel": [3, 4]}, "'kernel' of block 0 must be an odd integer for networks, got 4"),
        ({"expansion": [0, 1]}, "'expansion' of block 0 must be a positive number for networks, got 0"),
        ({"layers": [1.5, 2]}, "'layers' of block 0 must be an integer of at least 1 for networks, got 1.5"),
        ({"stride": [1, 3]}, "'stride' of block 0 must be 1 or 2 for networks, got 3"),
        ({"se": ["yes", "no"]}, "'se' of block 0 must be true or false for networks, got 'yes'"),
        ({"operation": ["conv", "mystery"]}, "operation 'mystery' of block 0 has no network"),
    ],
)
def test_chains_say_what_they_do_not_understand(block, message):
    space = ChainSpace(block, 2)
    for architecture in (space.sample(2, seed=0)[0], space.sample(2, seed=0)[1]):
        with pytest.raises(InvalidDataError, match=message):
            space.build(architecture, Skeleton((1, 40)))


def test_chains_reduce_at_the_start_of_stages_or_where_they_say_so():
    def strides(space, **knobs):
        network = space.build(space.sample(1, seed=0), Skeleton((1, 40), **knobs))
        found = [module for module in network.modules() if isinstance(module, nn.Conv1d)]
        return [module.stride[0] for module in found], [module.out_channels for module in found]

    plain = ChainSpace({"kernel": [3]}, 4)
    assert strides(plain) == ([1, 1, 1, 2, 2], [16, 16, 16, 32, 64])
    assert strides(plain, stages=1, cells=2) == ([1] * 9, [16] * 9)
    assert strides(plain, channels=8, stages=2)[1] == [8, 8, 8, 16, 16]
    chosen = ChainSpace([{"stride": [2], "channels": [24]}, {"layers": [2], "kernel": [1]}])
    assert strides(chosen) == ([1, 2, 1, 1], [16, 24, 24, 24])
    with pytest.raises(InvalidDataError, match="stages"):
        strides(chosen, stages=2)
    with pytest.raises(InvalidDataError, match="at most 4, the number of blocks of the chain, got 5"):
        strides(plain, stages=5)
    with pytest.raises(InvalidDataError, match="cells"):
        strides(ChainSpace({"layers": [1, 2]}, 2), cells=2)


def test_what_is_no_architecture_or_no_seed_is_refused():
    space = get_space("nasbench201")
    with pytest.raises(InvalidArchitectureError, match="one architecture to build a network of, got 2"):
        space.build(space.sample(2, seed=0))
    for seed in (-1, 1.5, True):
        with pytest.raises(InvalidDataError, match=f"seed .* got {seed}"):
            space.build(space.sample(1, seed=0), seed=seed)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"inputs": 3}, "got 3"),
        ({"inputs": (3,)}, r"got \(3,\)"),
        ({"inputs": (3, 0)}, "input axis 1 .* got 0"),
        ({"outputs": 0}, "outputs .* got 0"),
        ({"channels": 1.5}, "channels .* got 1.5"),
        ({"cells": True}, "cells .* got True"),
    ],
)
def test_skeletons_are_checked(knobs, message):
    with pytest.raises(InvalidDataError, match=message):
        Skeleton(**knobs)
    assert Skeleton(inputs=[1, 40]).to_dict()["inputs"] == [1, 40]
