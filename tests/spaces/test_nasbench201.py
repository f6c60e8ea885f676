"""The NAS-Bench-201 cell against its published figures."""

import numpy as np
import pytest
from archcast.errors import InvalidArchitectureError
from archcast.spaces import get_space


@pytest.fixture(scope="module")
def space():
    return get_space("nasbench201")


def cell(*names):
    a, b, c, d, e, f = names
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


def test_there_are_15625_cells_in_6466_classes(space):
    everything = space.enumerate()
    assert len(everything) == space.size == 15_625
    assert len(np.unique(everything.keys())) == 6_466
    assert len(space.sample(6_466, seed=0, canonical=True)) == 6_466


def test_complexity_of_published_networks(space):
    convolutions = cell(*["nor_conv_3x3"] * 6)
    nothing = cell(*["none"] * 6)
    pointwise = cell(*["nor_conv_1x1"] * 6)
    found = space.complexity([convolutions, nothing, pointwise, cell(*["avg_pool_3x3"] * 6)])
    assert found["params"][0] == 1_531_546
    assert found["flops"][0] == 220_119_680
    assert found["params"][1] == 73_306
    assert found["flops"][1] == 7_783_040
    assert found["params"][3] == found["params"][1]
    # A 1x1 convolution has a ninth of the weights, and the same normalisation: 6 edges, 5 cells, 112 channels x 2.
    normalisation = 6 * 5 * 112 * 2
    weights = found["params"][0] - found["params"][1] - normalisation
    assert found["params"][2] == found["params"][1] + normalisation + weights / 9


def test_known_twins(space):
    skip, conv, none = "skip_connect", "nor_conv_3x3", "none"
    direct = cell(none, none, none, conv, none, none)
    through_first = cell(skip, none, none, none, conv, none)
    through_second = cell(none, skip, none, none, none, conv)
    keys = space.canonical([direct, through_first, through_second])
    assert keys[0] == keys[1]
    # The published definition tells a sum with a zero term from the term alone; the reduced graph does not.
    assert keys[2] != keys[0]
    reduced = space.to_graphs([direct, through_first, through_second]).reduce()
    assert len(set(reduced.keys().tolist())) == 1
    # Convolving twice is not convolving once, wherever the second convolution is.
    twice = [cell(conv, none, none, none, conv, none), cell(none, conv, none, none, none, conv)]
    deep = space.to_graphs(twice).reduce().keys()
    assert deep[0] == deep[1] != reduced.keys()[0]


def test_one_operation_more_in_dead_code_changes_nothing_once_reduced(space):
    dead = [cell("none", "none", other, "nor_conv_3x3", "none", "none") for other in ("none", "avg_pool_3x3")]
    graphs = space.to_graphs(dead).reduce()
    assert graphs.keys()[0] == graphs.keys()[1]
    assert graphs.mask.sum(axis=1).tolist() == [3, 3]


def test_published_string(space):
    text = "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"
    assert space.parse(text).genotypes.tolist() == [[3, 3, 4, 1, 3, 1]]
    assert str(space.parse(text)[0]) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("|nor_conv_7x7~0|+|none~0|none~1|+|none~0|none~1|none~2|", "unknown operation 'nor_conv_7x7' on edge 0->1"),
        ("|none~0|+|none~0|none~0|+|none~0|none~1|none~2|", "operation 1 of node 2 to read node 1"),
        ("|none~0|+|none~0|none~1|", "expected 3 groups"),
        ("|none~0|+|none~0|+|none~0|none~1|none~2|", "expected 2 operations"),
        ("none~0+|none~0|none~1|+|none~0|none~1|none~2|", "expected 1 operations"),
    ],
)
def test_what_is_wrong_with_a_string(space, text, said):
    with pytest.raises(InvalidArchitectureError, match="architecture 0 ") as error:
        space.parse(text)
    assert said in str(error.value)
