"""Pairs of labels by distance and by walks, against a plain search in networkx."""

from collections import Counter

import archcast as ac
import networkx as nx
import numpy as np
import pytest
from archcast.encoders import make_encoder
from archcast.errors import InvalidDataError
from graph_references import contracted, relabelled, surviving, to_networkx
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError

VIEWS = {"full": lambda g: g, "pruned": surviving, "reduced": lambda g: contracted(surviving(g))}
NAMES = ["shortest_path", "random_walk"]


def labels(graph, node, feature_names):
    """Return the operation of a node, and each of its features unless it is an end."""
    data = graph.nodes[node]
    values = zip(feature_names, data["features"], strict=True)
    inner = data["role"] not in ("input", "output")
    return [data["name"], *(f"{name}={value:.9g}" for name, value in values if inner)]


def walks(graph, node, steps):
    """Return the ends of all walks of so many steps, one entry a walk."""
    if steps == 0:
        return [node]
    return [end for following in graph.successors(node) for end in walks(graph, following, steps - 1)]


def reference(graph, feature_names, name, length):
    """Count the names of columns; at 0 steps both orders of a pair are one column."""
    found = Counter()
    for first in graph:
        own = labels(graph, first, feature_names)
        found.update((frozenset((a, b)),) for i, a in enumerate(own) for b in own[i:])
        if name == "shortest_path":
            distances = nx.single_source_shortest_path_length(graph, first, cutoff=length)
            ends = [(steps, last) for last, steps in distances.items() if steps > 0]
        else:
            ends = [(steps, last) for steps in range(1, length + 1) for last in walks(graph, first, steps)]
        found.update((steps, a, b) for steps, last in ends for a in own for b in labels(graph, last, feature_names))
    return found


def keys(encoder):
    """Return what each column counts, in the words of the reference."""
    named = [(steps, encoder._labels[a], encoder._labels[b]) for steps, a, b in encoder.triples_.tolist()]
    return [(frozenset((a, b)),) if steps == 0 else (steps, a, b) for steps, a, b in named]


@pytest.mark.parametrize("space_name", ["nasbench101", "nasbench201", "darts", "mnasnet_chain", "nasbench_graph"])
@pytest.mark.parametrize(("name", "graph"), [(name, graph) for name in NAMES for graph in VIEWS])
def test_agrees_with_a_search(space_name, name, graph):
    space = ac.get_space(space_name)
    batch = space.sample(12, seed=1)
    encoder = make_encoder(name, graph=graph, length=4, max_columns=10**6).fit(batch)
    X, graphs = encoder.transform(batch), space.to_graphs(batch)
    for k in range(len(batch)):
        viewed = VIEWS[graph](to_networkx(graphs, k))
        expected = reference(viewed, graphs.schema.feature_names, name, 4)
        counted = {key: value for key, value in zip(keys(encoder), X[k].tolist(), strict=True) if value}
        assert counted == expected


@pytest.mark.parametrize("name", NAMES)
def test_every_length_by_default(name):
    space = ac.get_space("mnasnet_chain")
    batch = space.sample(5, seed=0)
    encoder = make_encoder(name, max_columns=10**6).fit(batch)
    assert set(encoder.triples_[:, 0]) == set(range(space.graph_schema.num_nodes))
    np.testing.assert_array_equal(
        make_encoder(name, length=2, max_columns=10**6).fit_transform(batch),
        encoder.transform(batch)[:, encoder.triples_[:, 0] <= 2],
    )


def test_names_and_groups():
    space = ac.get_space("nasbench201")
    batch = space.parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|")
    encoder = make_encoder("random_walk").fit(batch)
    columns = encoder.columns(space)
    assert dict(zip(columns.names, encoder.transform(batch)[0].tolist(), strict=True)) == {
        "input": 1,
        "output": 1,
        "nor_conv_3x3": 1,
        "avg_pool_3x3": 1,
        "input > nor_conv_3x3 at walk length 1": 1,
        "nor_conv_3x3 > avg_pool_3x3 at walk length 1": 1,
        "avg_pool_3x3 > output at walk length 1": 1,
        "input > avg_pool_3x3 at walk length 2": 1,
        "nor_conv_3x3 > output at walk length 2": 1,
        "input > output at walk length 3": 1,
    }
    assert sorted(set(columns.groups)) == [f"walk length {k}" for k in range(4)]
    assert not columns.indicator.any()


def test_features_of_blocks_are_labels():
    space = ac.get_space("mnasnet_chain")
    names = make_encoder("shortest_path", length=1).fit(space.sample(30, seed=0)).get_feature_names_out()
    assert "expansion=6" in names
    assert any(name.startswith("expansion=6 with kernel=") for name in names)
    assert any(name.startswith("kernel=5 > expansion=") for name in names)


@pytest.mark.parametrize("name", NAMES)
def test_max_columns_keeps_the_triples_of_most_architectures(name):
    space = ac.get_space("nasbench101")
    batch = space.sample(60, seed=0)
    everything = make_encoder(name, max_columns=10**6).fit(batch)
    frequency = dict(zip(keys(everything), (everything.transform(batch) > 0).sum(axis=0), strict=True))
    kept = make_encoder(name, max_columns=20).fit(batch)
    chosen = set(keys(kept))
    assert len(chosen) == 20
    assert min(frequency[key] for key in chosen) >= max(n for key, n in frequency.items() if key not in chosen)


def test_max_labels_keeps_the_labels_of_most_architectures():
    space = ac.get_space("nasbench_graph")
    batch = space.sample(100, seed=0)
    every = make_encoder("shortest_path", length=0).fit(batch)
    often = dict(zip(every.get_feature_names_out(), (every.transform(batch) > 0).sum(axis=0), strict=True))
    few = set(make_encoder("shortest_path", length=0, max_labels=4).fit(batch).get_feature_names_out())
    assert len(few) == 4
    assert min(often[name] for name in few) >= max(n for name, n in often.items() if name not in few)


@pytest.mark.parametrize("name", NAMES)
def test_what_training_did_not_have_is_ignored(name):
    space = ac.get_space("nasbench101")
    train, test = space.sample(5, seed=0), space.sample(200, seed=1)
    encoder = make_encoder(name).fit(train)
    everything = make_encoder(name, max_columns=10**6).fit(ac.Architectures.concatenate([train, test]))
    place = {key: i for i, key in enumerate(keys(everything))}
    X = everything.transform(test)[:, [place[key] for key in keys(encoder)]]
    np.testing.assert_array_equal(encoder.transform(test), X)


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**31), st.sampled_from(NAMES))
def test_does_not_depend_on_the_numbering_of_nodes(seed, name):
    space = ac.get_space("nasbench101")
    batch = space.sample(20, seed=seed)
    graphs = space.to_graphs(batch)
    encoder = make_encoder(name).fit(batch)
    np.testing.assert_array_equal(
        encoder.encode(graphs), encoder.encode(relabelled(graphs, np.random.default_rng(seed)))
    )


def test_state_that_does_not_fit_together_is_refused():
    space = ac.get_space("nasbench101")
    state = make_encoder("random_walk").fit(space.sample(20, seed=0))._get_state()
    other = make_encoder("random_walk")
    other.space_ = space
    with pytest.raises(InvalidDataError, match="expected triples of 5 labels, got 9 among them"):
        other._set_state({**state, "triples": np.array([[1, 0, 9]])})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"length": -1}, "length must be None or at least 0, got -1"),
        ({"graph": "line"}, "graph must be one of full, pruned, reduced, got 'line'"),
        ({"max_labels": 0}, "max_labels must be at least 1, got 0"),
        ({"max_columns": 0}, "max_columns must be at least 1, got 0"),
    ],
)
def test_refuses_parameters_out_of_range(name, parameters, message):
    with pytest.raises(InvalidDataError, match=message):
        make_encoder(name, **parameters).fit(ac.get_space("nasbench101").sample(3, seed=0))


def test_refuses_to_learn_from_nothing():
    space = ac.get_space("nasbench201")
    batch = space.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    with pytest.raises(InvalidDataError, match="none of the 1 architectures has a node"):
        make_encoder("shortest_path").fit(batch)
    with pytest.raises(NotFittedError, match="ShortestPathEncoder learns its columns"):
        make_encoder("shortest_path").columns(space)
    fitted = make_encoder("shortest_path").fit(space.sample(20, seed=0))
    assert not fitted.transform(batch).any()
