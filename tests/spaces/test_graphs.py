"""`GraphBatch`: pruning, contracting and keys, against networkx and by hand."""

import networkx as nx
import numpy as np
import pytest
from archcast.errors import InvalidDataError
from archcast.spaces import GraphBatch, GraphSchema, Operation
from archcast.spaces.operations import vocabulary
from hypothesis import given, settings
from hypothesis import strategies as st

WORDS = vocabulary(["none", "skip_connect", "nor_conv_3x3", "avg_pool_3x3"])
INPUT, OUTPUT, NONE, SKIP, CONV, POOL = range(6)


def schema(v, **features):
    allowed = np.ones((v, len(WORDS)), dtype=bool)
    return GraphSchema(
        WORDS, allowed, np.triu(np.ones((v, v), dtype=bool), 1), tuple(f"n{k}" for k in range(v)), **features
    )


def random_batch(n, v, seed, words=(SKIP, CONV, POOL, NONE), density=0.45):
    rng = np.random.default_rng(seed)
    adjacency = np.triu(rng.random((n, v, v)) < density, 1)
    operations = rng.choice(words, size=(n, v))
    operations[:, 0], operations[:, -1] = INPUT, OUTPUT
    mask = rng.random((n, v)) < 0.9
    mask[:, [0, -1]] = True
    adjacency &= mask[:, :, None] & mask[:, None, :]
    return GraphBatch.build(schema(v), adjacency, operations, mask=mask)


def as_networkx(graphs, k):
    graph = nx.DiGraph()
    graph.add_nodes_from((int(i), {"word": int(graphs.operations[k, i])}) for i in np.flatnonzero(graphs.mask[k]))
    graph.add_edges_from((int(i), int(j)) for i, j in np.argwhere(graphs.adjacency[k]))
    return graph


def isomorphic(first, second):
    match = nx.algorithms.isomorphism.categorical_node_match("word", None)
    return nx.is_isomorphic(first, second, node_match=match)


def assert_keys_are_isomorphism(graphs, keys):
    nets = [as_networkx(graphs, k) for k in range(len(graphs))]
    for i in range(len(nets)):
        for j in range(i):
            assert (keys[i] == keys[j]) == isomorphic(nets[i], nets[j])


def relabelled(graphs, seed):
    """Return the same graphs with interior nodes in another topological order, one for all graphs of the batch."""
    rng = np.random.default_rng(seed)
    union = nx.DiGraph([(int(i), int(j)) for i, j in np.argwhere(graphs.adjacency.any(axis=0))])
    v = graphs.schema.num_nodes
    union.add_nodes_from(range(v))
    tie = dict(enumerate(rng.random(v)))
    tie[0], tie[v - 1] = -1, 2
    order = list(nx.lexicographical_topological_sort(union, key=tie.get))
    return GraphBatch.build(
        graphs.schema, graphs.adjacency[:, order][:, :, order], graphs.operations[:, order], mask=graphs.mask[:, order]
    )


@pytest.mark.parametrize("seed", range(3))
def test_pruning_keeps_what_is_on_paths_that_nothing_blocks(seed):
    graphs = random_batch(60, 7, seed)
    pruned = graphs.prune()
    for k in range(len(graphs)):
        net = as_networkx(graphs, k)
        net.remove_nodes_from([node for node, word in net.nodes(data="word") if word == NONE])
        alive = (nx.descendants(net, 0) | {0}) & (nx.ancestors(net, 6) | {6})
        expected = net.subgraph(alive if 6 in alive else [])
        assert set(np.flatnonzero(pruned.mask[k])) == set(expected.nodes)
        assert set(map(tuple, np.argwhere(pruned.adjacency[k]).tolist())) == set(expected.edges)


@pytest.mark.parametrize("seed", range(3))
def test_contracting_identities_keeps_the_paths_without_them(seed):
    graphs = random_batch(40, 6, seed).prune()
    contracted = graphs.contract_identities()
    assert not contracted.has_role("identity").any()

    def words(batch, k):
        net = as_networkx(batch, k)
        paths = nx.all_simple_paths(net, 0, 5) if {0, 5} <= set(net) else []
        return {tuple(w for w in (net.nodes[i]["word"] for i in path) if w != SKIP) for path in paths}

    for k in range(len(graphs)):
        assert words(graphs, k) == words(contracted, k)


def test_keys_are_isomorphism():
    graphs = random_batch(160, 5, seed=0, words=(CONV, POOL))
    assert_keys_are_isomorphism(graphs, graphs.keys())
    pruned = graphs.prune()
    assert_keys_are_isomorphism(pruned, pruned.keys())


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6))
def test_numbering_does_not_matter(seed):
    graphs = random_batch(4, 9, seed, density=0.12)
    other = relabelled(graphs, seed)
    assert (graphs.keys() == other.keys()).all()
    assert (graphs.prune().keys() == other.prune().keys()).all()


def test_keys_of_a_large_batch_are_those_of_its_parts():
    graphs = random_batch(9000, 6, seed=1)
    keys = graphs.keys()
    assert (keys[4000:4200] == graphs[4000:4200].keys()).all()
    assert [int(graphs[k : k + 1].keys()[0]) for k in (0, 4095, 4096, 8999)] == keys[[0, 4095, 4096, 8999]].tolist()
    assert graphs[:0].keys().shape == (0,)


def test_refinements_are_the_colours_of_the_keys():
    """Two nodes have equal colours exactly if their in- and out-trees of that depth are alike."""
    graphs = random_batch(20, 6, seed=2, words=(CONV, POOL))

    def tree(net, node, depth):
        if depth == 0:
            return net.nodes[node]["word"]
        return (
            tree(net, node, depth - 1),
            tuple(sorted(map(repr, (tree(net, other, depth - 1) for other in net.predecessors(node))))),
            tuple(sorted(map(repr, (tree(net, other, depth - 1) for other in net.successors(node))))),
        )

    colors = graphs.initial_colors()
    for depth in range(4):
        names = {}
        for k in range(len(graphs)):
            net = as_networkx(graphs, k)
            for node in net:
                assert names.setdefault(repr(tree(net, node, depth)), colors[k, node]) == colors[k, node]
        assert len(set(names.values())) == len(names)
        assert (colors[~graphs.mask] == 0).all()
        colors = graphs.refine(colors)


def test_edge_labels_tell_operands_apart():
    adjacency = np.zeros((3, 4, 4), dtype=bool)
    adjacency[:, 0, 1] = adjacency[:, 0, 2] = adjacency[:, 1, 3] = adjacency[:, 2, 3] = True
    graphs = GraphBatch.build(schema(4), adjacency, np.array([[INPUT, CONV, POOL, OUTPUT]] * 3))
    labels = np.zeros((3, 4, 4), dtype=np.int8)
    labels[0, 1, 3], labels[0, 2, 3] = 1, 2
    labels[1, 1, 3], labels[1, 2, 3] = 2, 1
    keys = graphs.keys(edge_labels=labels)
    assert len(set(keys.tolist())) == 3
    assert keys[2] == graphs.keys()[2]
    mirrored = GraphBatch.build(schema(4), adjacency, np.array([[INPUT, POOL, CONV, OUTPUT]] * 3))
    assert (mirrored.keys(edge_labels=labels)[[1, 0, 2]] == keys).all()


def test_features_are_part_of_the_key():
    shape = schema(3, feature_names=("kernel",), graph_feature_names=("width",))
    adjacency = np.array([[[0, 1, 0], [0, 0, 1], [0, 0, 0]]] * 4, dtype=bool)
    operations = np.array([[INPUT, CONV, OUTPUT]] * 4)
    features = np.zeros((4, 3, 1))
    features[:, 1, 0] = [3, 5, 3, 3]
    widths = np.array([[16.0], [16.0], [32.0], [16.0]])
    keys = GraphBatch.build(shape, adjacency, operations, features=features, graph_features=widths).keys()
    assert len(set(keys.tolist())) == 3
    assert keys[0] == keys[3]


def test_an_architecture_whose_output_depends_on_nothing_is_the_empty_graph():
    adjacency = np.array([[[0, 1, 0], [0, 0, 1], [0, 0, 0]]], dtype=bool)
    graphs = GraphBatch.build(schema(3), adjacency, np.array([[INPUT, NONE, OUTPUT]])).prune()
    assert not graphs.mask.any()
    assert not graphs.adjacency.any()


def test_wrong_shapes_are_refused():
    with pytest.raises(InvalidDataError, match=r"adjacency must have shape \(2, 3, 3\), got \(2, 4, 4\)"):
        GraphBatch.build(schema(3), np.zeros((2, 4, 4)), np.zeros((2, 3)))
    with pytest.raises(InvalidDataError, match="mask"):
        GraphBatch.build(schema(3), np.zeros((2, 3, 3)), np.zeros((2, 3)), mask=np.ones((2, 4)))


def test_operations_are_rebuilt_from_their_spec():
    for operation in (*WORDS, Operation("mine", "compute", {"conv": 1.0})):
        spec = operation.to_spec()
        assert Operation(spec["name"], spec["role"], spec["traits"]) == operation
