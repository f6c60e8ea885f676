"""Morphisms: the child computes what its parent does, learns from there, or a sentence says what stands in the way."""

import archcast as ac
import numpy as np
import pytest
import torch
from archcast.errors import NoMorphismError
from archcast.spaces.networks.operations import register_operation
from archcast.trainers.transfer import morph
from archcast.trainers.transfer.growth import can_grow, grow
from torch import nn

CLASSES = 3

PARENT = "|nor_conv_1x1~0|+|none~0|skip_connect~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
LARGER_KERNEL = PARENT.replace("nor_conv_1x1~0", "nor_conv_3x3~0")
MORE_EDGES = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|skip_connect~0|nor_conv_3x3~1|avg_pool_3x3~2|"
LINE = "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"  # node 1 without effect
REVIVED = "|skip_connect~0|+|none~0|none~1|+|nor_conv_1x1~0|nor_conv_3x3~1|none~2|"
NOTHING = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"


def signals(channels=None, stages=None, cells=None, length=24):
    return ac.Skeleton((2, length), CLASSES, channels=channels, stages=stages, cells=cells)


def node_cell(operations, edges):
    matrix = np.zeros((len(operations) + 2,) * 2, dtype=int)
    matrix[tuple(zip(*edges, strict=True))] = 1
    return {"matrix": matrix.tolist(), "ops": ["input", *operations, "output"]}


def learn(network, skeleton, steps=2):
    """Train a little, so that normalisations have statistics and weights are not as they began."""
    torch.manual_seed(1)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    network.train()
    for _ in range(steps):
        inputs, labels = torch.randn(8, *skeleton.inputs, dtype=torch.float64), torch.arange(8) % CLASSES
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(inputs), labels).backward()
        optimizer.step()
    return network.eval()


def check(space, parent, child, skeleton, target=None, *, in_training=True):
    """Morph a trained parent, compare both networks on other inputs, train the child further, return the morphism."""
    target = target or skeleton
    parent, child = (space.parse([item])[0] for item in (parent, child))
    old = learn(space.build(parent, skeleton, seed=0).double(), skeleton)
    morphism = morph(old.state_dict(), parent, child, skeleton, target, seed=0)
    new = space.build(child, target, seed=7).double()
    new.load_state_dict(morphism.state)
    inputs = torch.randn(6, *skeleton.inputs, dtype=torch.float64)
    with torch.no_grad():
        assert torch.allclose(new.eval()(inputs), old(inputs), rtol=1e-10, atol=1e-10)
        if in_training:
            assert torch.allclose(new.train()(inputs), old.train()(inputs), rtol=1e-9, atol=1e-9)
    before = {name: value.clone() for name, value in new.state_dict().items()}
    learn(new, target)
    moved = [name for name, value in new.named_parameters() if not torch.equal(value, before[name])]
    assert moved and all(value.isfinite().all() for value in new.state_dict().values())
    return morphism


@pytest.fixture(scope="module")
def edge_space():
    return ac.get_space("nasbench201")


# ---- wider, deeper, more edges ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [6, 8, 11])
def test_cells_get_wider(edge_space, width):
    morphism = check(edge_space, MORE_EDGES, MORE_EDGES, signals(4, 2, 1), signals(width, 2, 1))
    assert morphism.share == 1
    assert morphism.steps == ("grows modules 0, 1, 2, 3, 4, 5, 8",)


def test_images_too(edge_space):
    small, large = (ac.Skeleton((3, 8, 8), CLASSES, channels=width, stages=2, cells=1) for width in (3, 6))
    check(edge_space, PARENT, MORE_EDGES, small, large)


def test_cells_are_stacked_as_identities(edge_space):
    morphism = check(edge_space, PARENT, PARENT, signals(4, 2, 1), signals(4, 2, 3))
    assert [step.split()[0] for step in morphism.steps] == ["inserts"] * 4
    assert 0.5 < morphism.share < 1


def test_kernels_become_larger(edge_space):
    morphism = check(edge_space, PARENT, LARGER_KERNEL, signals(4, 1, 1))
    assert morphism.share == 1
    assert morphism.steps[0] == "turns edge 0->1 of module 2 from nor_conv_1x1 into nor_conv_3x3"


def test_edges_are_added_without_effect_at_first(edge_space):
    morphism = check(edge_space, PARENT, MORE_EDGES, signals(4, 1, 1))
    assert "adds nor_conv_3x3 on edge 1->3 of module 2" in morphism.steps
    added = morphism.state["2.edges.1->3.2.weight"]
    assert not added.any()


def test_everything_at_once(edge_space):
    check(edge_space, PARENT, MORE_EDGES, signals(4, 2, 1), signals(10, 2, 2))


def test_edges_without_effect_in_the_parent_do_not_matter(edge_space):
    morphism = check(edge_space, LINE, REVIVED, signals(4, 1, 1))
    assert morphism.steps == (
        "adds skip_connect on edge 0->1 of module 2",
        "adds nor_conv_3x3 on edge 1->3 of module 2",
    )
    check(edge_space, NOTHING, LINE, signals(4, 1, 1))


def test_new_edges_in_a_row_are_not_all_zero(edge_space):
    child = "|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|nor_conv_3x3~1|none~2|"
    only_skip = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"
    state = check(edge_space, only_skip, child, signals(4, 1, 1)).state
    assert not state["2.edges.1->3.2.weight"].any()
    assert state["2.edges.0->1.2.weight"].all()  # else neither would ever get a gradient


def test_copied_channels_do_not_stay_equal(edge_space):
    parent = edge_space.parse([MORE_EDGES])[0]
    small, large = signals(4, 1, 1), signals(8, 1, 1)
    state = learn(edge_space.build(parent, small, seed=0).double(), small).state_dict()
    new = edge_space.build(parent, large, seed=0).double()
    new.load_state_dict(morph(state, parent, parent, small, large).state)
    assert torch.equal(new[0].weight[0], new[0].weight[1])
    learn(new, large)
    assert not torch.allclose(new[0].weight[0], new[0].weight[1], rtol=1e-6)


def test_the_precision_is_that_of_the_parent(edge_space):
    parent = edge_space.parse([PARENT])[0]
    state = edge_space.build(parent, signals(4, 1, 1), seed=0).state_dict()
    morphism = morph(state, parent, parent, signals(4, 1, 1), signals(8, 1, 1))
    assert {value.dtype for value in morphism.state.values()} == {torch.float32, torch.int64}


def test_random_numbers_are_those_of_the_seed(edge_space):
    parent = edge_space.parse([PARENT])[0]
    state = edge_space.build(parent, signals(4, 1, 1), seed=0).state_dict()
    before = torch.get_rng_state()
    first, again, other = (
        morph(state, parent, parent, signals(4, 1, 1), signals(8, 1, 1), seed=seed).state["2.edges.0->1.1.weight"]
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())


# ---- other spaces ----------------------------------------------------------------------------------------------------

WIDER = {
    "nasbench101": (signals(8, 2, 1), signals(16, 2, 1)),
    "darts": (signals(4, 2, 1), signals(8, 2, 1)),
    "nats_size": (signals(16), signals(24)),
    "nasbench_macro": (signals(4), signals(8)),
    "mnasnet_chain": (signals(4, length=64), signals(6, length=64)),
    "transnasbench101_micro": (signals(4, None, 1, 64), signals(8, None, 1, 64)),
    "transnasbench101_macro": (signals(4, None, 1, 64), signals(8, None, 1, 64)),
}


@pytest.mark.parametrize("name", WIDER)
def test_networks_of_every_space_get_wider(name):
    space = ac.get_space(name)
    architecture = space.sample(1, seed=3)[0]
    morphism = check(space, architecture, architecture, *WIDER[name])
    assert morphism.share == 1


def test_generic_cells_with_operations_of_the_user():
    @register_operation("gated_for_morphisms")
    def _gated(layers, inputs, outputs, stride):
        return nn.Sequential(layers.conv(inputs, outputs, 5, stride=stride), nn.Sigmoid(), layers.norm(outputs))

    space = ac.get_space("cell", nodes=3, operations=["zero", "identity", "gated_for_morphisms", "max_pool_3x3"])
    parent = "|zero~0|+|identity~0|zero~1|"
    check(space, parent, "|max_pool_3x3~0|+|identity~0|gated_for_morphisms~1|", signals(4, 1, 1), signals(6, 1, 2))


def test_blocks_take_the_place_of_identities():
    space = ac.get_space("nasbench_macro")
    morphism = check(space, "10101000", "21212012", signals(8))
    assert sum("identity" in step for step in morphism.steps) == 4
    assert morphism.steps[-1] == "grows modules 1, 3"  # expansion 3 and kernel 3 became 6 and 5


def test_residual_blocks_are_inserted():
    space = ac.get_space("transnasbench101_macro")
    architecture = space.sample(1, seed=0)[0]
    check(space, architecture, architecture, signals(4, None, 1, 64), signals(4, None, 2, 64))


def test_a_chain_gets_more_layers():
    blocks = [{"operation": ["conv", "mbconv"], "kernel": [3], "expansion": [2], "layers": [1, 2, 3]}]
    space = ac.get_space("chain", blocks=blocks * 2)
    short, inverted, plain = ([0, 0, 0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 1, 0, 0, 2], [0, 0, 0, 1, 1, 0, 0, 1])
    check(space, short, inverted, signals(4, 1))
    check(space, short, plain, signals(4, 1), in_training=False)  # a convolution that is an identity


def test_cells_with_operations_on_nodes():
    space = ac.get_space("nasbench101")
    parent = node_cell(["conv3x3-bn-relu", "maxpool3x3"], [(0, 1), (0, 2), (1, 3), (2, 3), (0, 3)])
    check(space, parent, parent, signals(8, 2, 1), signals(16, 2, 2), in_training=False)
    line = [(0, 1), (1, 2), (2, 3), (3, 4)]
    operations = ["conv1x1-bn-relu", "maxpool3x3", "conv3x3-bn-relu"]
    larger = ["conv3x3-bn-relu", *operations[1:]]
    morphism = check(space, node_cell(operations, line), node_cell(larger, [*line, (0, 4)]), signals(8, 1, 1))
    assert "adds an edge from the input to node" in morphism.steps[0]


def test_identities_start_from_the_statistics_of_examples():
    """Then the child does in training nearly what the parent does."""
    space = ac.get_space("nasbench101")
    parent = space.parse([node_cell(["conv3x3-bn-relu"], [(0, 1), (1, 2), (0, 2)])])[0]
    small, large = signals(8, 1, 1), signals(8, 1, 2)
    old = learn(space.build(parent, small, seed=0).double(), small, steps=60)
    inputs = torch.randn(400, *small.inputs, dtype=torch.float64)
    state = morph(old.state_dict(), parent, parent, small, large, inputs=inputs).state
    new = space.build(parent, large, seed=0).double().train()
    new.load_state_dict(state)
    with torch.no_grad():
        expected = old.train()(inputs)
        assert (new(inputs) - expected).abs().max() < 0.2 * expected.abs().max()


# ---- growth of tensors -----------------------------------------------------------------------------------------------


def test_growing_keeps_what_a_convolution_computes():
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(4, 2, 3, dtype=torch.float64), torch.randn(3, 4, 1, dtype=torch.float64)
    inputs = torch.randn(5, 2, 9, dtype=torch.float64)
    expected = nn.functional.conv1d(nn.functional.conv1d(inputs, first, padding=1).relu(), second)
    wide, read = grow(first, (7, 2, 5), generator), grow(second, (3, 7, 3), generator)
    found = nn.functional.conv1d(nn.functional.conv1d(inputs, wide, padding=2).relu(), read, padding=1)
    assert torch.allclose(found, expected)


def test_what_can_grow():
    assert can_grow((4, 2, 3), (8, 2, 5))
    assert not can_grow((4, 2, 3), (8, 2, 4))  # the kernel would not be centred
    assert not can_grow((4, 2), (3, 2))
    assert not can_grow((4,), (4, 1))


# ---- refusals --------------------------------------------------------------------------------------------------------


def refused(space, parent, child, skeleton, target, match):
    parent, child = (space.parse([item])[0] for item in (parent, child))
    state = space.build(parent, skeleton, seed=0).state_dict()
    with pytest.raises(NoMorphismError, match=match):
        morph(state, parent, child, skeleton, target)


@pytest.mark.parametrize(
    ("parent", "child", "match"),
    [
        (MORE_EDGES, PARENT, "edge 0->2 of module 2 is 'nor_conv_1x1' in the parent, and without effect in the child"),
        (LINE, LINE.replace("1x1~0", "3x3~0").replace("none~2", "skip_connect~2").replace("none~0", "skip_connect~0"),
         "edge 2->3 of module 2 is new in the child, and nothing in 'skip_connect' can make it begin as zero"),
        (PARENT, PARENT.replace("avg_pool_3x3~2", "skip_connect~2"), "edge 2->3 .* 'avg_pool_3x3' in the parent"),
        (PARENT, PARENT.replace("skip_connect~0", "nor_conv_3x3~0"), "edge 0->3 .* does not become 'nor_conv_3x3'"),
    ],
)  # fmt: skip
def test_cells_that_compute_something_else_are_refused(edge_space, parent, child, match):
    refused(edge_space, parent, child, signals(4, 1, 1), None, match)


def test_networks_that_shrink_are_refused(edge_space):
    refused(edge_space, PARENT, PARENT, signals(4, 1, 1), signals(3, 1, 1), "would have to go from shape")
    refused(edge_space, PARENT, PARENT, signals(4, 1, 2), signals(4, 1, 1), "7 modules in a row|8 modules in a row")


def test_cells_that_cannot_be_identities_are_refused(edge_space):
    for cell in (LINE, PARENT.replace("avg_pool_3x3~2", "skip_connect~2").replace("nor_conv_1x1", "skip_connect")):
        refused(edge_space, cell, cell, signals(4, 1, 1), signals(4, 1, 2), r"\(1 EdgeCell\) cannot be made identities")


def test_uneven_parts_are_refused():
    """Five channels in two and three: concatenated copies would be in another order."""
    space = ac.get_space("nasbench101")
    parent = node_cell(["conv3x3-bn-relu", "conv1x1-bn-relu"], [(0, 1), (0, 2), (1, 3), (2, 3)])
    refused(space, parent, parent, signals(5, 1, 1), signals(7, 1, 1), "outputs would differ from the parent's by")


def test_other_inputs_spaces_and_weights_are_refused(edge_space):
    refused(edge_space, PARENT, PARENT, signals(4, 1, 1), signals(4, 1, 1, 30), r"maps inputs \(2, 24\) to 3 outputs")
    parent = edge_space.parse([PARENT])[0]
    other = ac.get_space("nats_size").sample(1, seed=0)[0]
    state = edge_space.build(parent, signals(4, 1, 1), seed=0).state_dict()
    with pytest.raises(NoMorphismError, match="is of space 'nats_size', its parent of 'nasbench201'"):
        morph(state, parent, other, signals(4, 1, 1))
    with pytest.raises(NoMorphismError, match=r"'0.weight' must be of shape \(8, 2, 3\), got \(4, 2, 3\)"):
        morph(state, parent, parent, signals(8, 1, 1))
    state["0.weight"][:] = torch.nan
    with pytest.raises(NoMorphismError, match="the outputs of the parent are not finite"):
        morph(state, parent, parent, signals(4, 1, 1))
