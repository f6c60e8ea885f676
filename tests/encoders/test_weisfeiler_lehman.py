from collections import Counter

import archcast as ac
import numpy as np
import pytest
from archcast.encoders import make_encoder
from archcast.errors import InvalidDataError
from graph_references import colors, contracted, relabelled, surviving, to_networkx
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError

VIEWS = {"full": lambda g: g, "pruned": surviving, "reduced": lambda g: contracted(surviving(g))}


def reference(graphs, iterations, direction, graph):
    """Counts as a matrix a round: one column per pattern of the batch."""
    seen = [colors(VIEWS[graph](to_networkx(graphs, k)), iterations, direction) for k in range(len(graphs))]
    matrices = []
    for number in range(iterations + 1):
        patterns = sorted(set().union(*(rounds[number] for rounds in seen)), key=repr)
        matrices.append(np.array([[rounds[number][pattern] for pattern in patterns] for rounds in seen]))
    return matrices


def column_multiset(X):
    return Counter(map(tuple, X.T.astype(int).tolist()))


@pytest.mark.parametrize("space_name", ["nasbench101", "nasbench201", "darts", "mnasnet_chain"])
@pytest.mark.parametrize(("direction", "graph"), [("both", "pruned"), ("forward", "reduced"), ("backward", "full")])
def test_agrees_with_nested_tuples(space_name, direction, graph):
    space = ac.get_space(space_name)
    batch = space.sample(25, seed=1)
    encoder = make_encoder("wl", iterations=3, direction=direction, graph=graph, max_columns=10**6).fit(batch)
    X = encoder.transform(batch)
    for number, expected in enumerate(reference(space.to_graphs(batch), 3, direction, graph)):
        assert column_multiset(X[:, encoder.rounds_ == number]) == column_multiset(expected)


def test_hashed_counts_are_the_same_when_nothing_collides():
    space = ac.get_space("nasbench101")
    batch = space.sample(10, seed=1)
    learned = make_encoder("wl").fit(batch).transform(batch)
    hashed = make_encoder("wl_hashed", n_columns=2**20).transform(batch)
    assert column_multiset(hashed[:, hashed.any(axis=0)]) == column_multiset(learned)


def test_hashed_columns_hold_every_node_of_every_round():
    space = ac.get_space("nasbench201")
    batch = space.sample(50, seed=0)
    X = make_encoder("wl_hashed", n_columns=7, iterations=4).transform(batch)
    assert X.shape == (50, 7)
    np.testing.assert_array_equal(X.sum(axis=1), 5 * space.to_graphs(batch).prune().mask.sum(axis=1))


def test_names_describe_the_pattern():
    space = ac.get_space("nasbench201")
    batch = space.parse("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|avg_pool_3x3~1|none~2|")
    encoder = make_encoder("wl", iterations=1).fit(batch)
    row = encoder.transform(batch)[0]
    assert dict(zip(encoder.get_feature_names_out(), row.tolist(), strict=True)) == {
        "input": 1,
        "nor_conv_3x3": 1,
        "avg_pool_3x3": 1,
        "output": 1,
        "input <- {} -> {nor_conv_3x3}": 1,
        "nor_conv_3x3 <- {input} -> {avg_pool_3x3}": 1,
        "avg_pool_3x3 <- {nor_conv_3x3} -> {output}": 1,
        "output <- {avg_pool_3x3} -> {}": 1,
    }


def test_names_of_blocks_hold_their_features():
    space = ac.get_space("mnasnet_chain")
    names = make_encoder("wl", iterations=0).fit(space.sample(5, seed=0)).get_feature_names_out()
    assert any("expansion=" in name and "kernel=" in name for name in names)


def test_patterns_unseen_in_training_are_ignored():
    space = ac.get_space("nasbench101")
    train, test = space.sample(5, seed=0), space.sample(200, seed=1)
    encoder = make_encoder("wl").fit(train)
    X = encoder.transform(test)
    assert X.shape == (200, len(encoder.colors_))
    everything = make_encoder("wl", max_columns=10**6).fit(ac.Architectures.concatenate([train, test]))
    places = {color: i for i, color in enumerate(everything.colors_.tolist())}
    np.testing.assert_array_equal(X, everything.transform(test)[:, [places[c] for c in encoder.colors_.tolist()]])


def test_max_columns_keeps_the_patterns_of_most_architectures():
    space = ac.get_space("nasbench101")
    batch = space.sample(60, seed=0)
    everything = make_encoder("wl", max_columns=10**6).fit(batch)
    frequency = dict(zip(everything.colors_.tolist(), (everything.transform(batch) > 0).sum(axis=0), strict=True))
    kept = make_encoder("wl", max_columns=20).fit(batch)
    assert len(kept.columns(space)) == 20
    chosen = set(kept.colors_.tolist())
    assert min(frequency[c] for c in chosen) >= max(n for c, n in frequency.items() if c not in chosen)


def test_state_restores_the_encoder():
    space = ac.get_space("nasbench101")
    encoder = make_encoder("wl").fit(space.sample(20, seed=0))
    state = encoder._get_state()
    assert all(isinstance(value, np.ndarray) and value.dtype.kind in "ui" for value in state.values())
    other = make_encoder("wl")
    other.space_ = space
    other._set_state(state)
    test = space.sample(50, seed=1)
    np.testing.assert_array_equal(encoder.transform(test), other.transform(test))
    assert encoder.columns(space).names == other.columns(space).names


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**31), st.sampled_from(["both", "forward", "backward"]))
def test_does_not_depend_on_the_numbering_of_nodes(seed, direction):
    space = ac.get_space("nasbench101")
    batch = space.sample(20, seed=seed)
    graphs = space.to_graphs(batch)
    other = relabelled(graphs, np.random.default_rng(seed))
    learned = make_encoder("wl", direction=direction).fit(batch)
    np.testing.assert_array_equal(learned.encode(graphs), learned.encode(other))
    hashed = make_encoder("wl_hashed", direction=direction)
    np.testing.assert_array_equal(hashed.encode(graphs), hashed.encode(other))


def test_needs_fitting():
    space = ac.get_space("nasbench101")
    encoder = make_encoder("wl")
    for use in (encoder.columns, lambda space: encoder.transform(space.sample(2, seed=0))):
        with pytest.raises(NotFittedError, match="learns its columns"):
            use(space)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("wl", {"iterations": -1}, "iterations must be at least 0, got -1"),
        ("wl", {"direction": "up"}, "direction must be one of both, forward, backward, got 'up'"),
        ("wl", {"graph": "line"}, "graph must be one of full, pruned, reduced, got 'line'"),
        ("wl", {"max_columns": 0}, "max_columns must be at least 1, got 0"),
        ("wl_hashed", {"n_columns": 0}, "n_columns must be at least 1, got 0"),
        ("wl_hashed", {"iterations": -2}, "iterations must be at least 0, got -2"),
    ],
)
def test_refuses_parameters_out_of_range(name, parameters, message):
    batch = ac.get_space("nasbench101").sample(3, seed=0)
    with pytest.raises(InvalidDataError, match=message):
        make_encoder(name, **parameters).fit(batch).transform(batch)


def test_refuses_to_learn_from_nothing():
    batch = ac.get_space("nasbench201").parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    with pytest.raises(InvalidDataError, match="none of the 1 architectures has a node"):
        make_encoder("wl").fit(batch)
