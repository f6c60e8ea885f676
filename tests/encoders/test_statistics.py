import archcast as ac
import networkx as nx
import numpy as np
import pytest
from archcast.encoders import make_encoder
from graph_references import contracted, paths, relabelled, surviving, to_networkx, with_role
from hypothesis import given, settings
from hypothesis import strategies as st


def inner(graph):
    return [n for n, data in graph.nodes(data=True) if data["role"] not in {"input", "output"}]


def reference(graphs, k):
    """All statistics of graph `k` but the features at positions."""
    full = to_networkx(graphs, k)
    graph = surviving(full)
    small = contracted(graph)
    walked = paths(graph)
    lengths = [len(path) - 2 for path in walked]
    starts, ends = set(with_role(graph, "input")), set(with_role(graph, "output"))
    depth = {}
    for node in nx.topological_sort(graph):
        before = [depth[i] for i in graph.predecessors(node)]
        depth[node] = max(before, default=0) + (node in inner(graph))
    levels = [depth[node] for node in inner(graph)]
    small_walked = paths(small)
    result = {
        "nodes": len(inner(graph)),
        "dead nodes": len(inner(full)) - len(inner(graph)),
        "edges": graph.number_of_edges(),
        "paths": len(walked),
        "log paths": np.log1p(len(walked)),
        "longest path": max(lengths, default=0),
        "shortest path": min(lengths, default=0),
        "mean path": np.mean(lengths) if lengths else 0,
        "width": max((levels.count(level) for level in levels), default=0),
        "input out-degree": sum(graph.out_degree(n) for n in starts),
        "output in-degree": sum(graph.in_degree(n) for n in ends),
        "largest in-degree": max((d for _, d in graph.in_degree()), default=0),
        "largest out-degree": max((d for _, d in graph.out_degree()), default=0),
        "mean degree": graph.number_of_edges() / max(len(graph), 1),
        "computing nodes": len(inner(small)),
        "computing edges": small.number_of_edges(),
        "computing depth": max((len(path) - 2 for path in small_walked), default=0),
        "computing shortest path": min((len(path) - 2 for path in small_walked), default=0),
        "computing paths": len(small_walked),
    }
    for operation in graphs.schema.vocabulary:
        if operation.role in {"identity", "compute"}:
            names = nx.get_node_attributes(graph, "name").values()
            result[f"surviving {operation.name}"] = sum(name == operation.name for name in names)
    for f, feature in enumerate(graphs.schema.feature_names):
        result[f"total {feature}"] = sum(data["features"][f] for _, data in graph.nodes(data=True))
    return result


@pytest.mark.parametrize("space_name", ["nasbench101", "nasbench201", "darts", "nasbench_graph", "mnasnet_chain"])
def test_agrees_with_networkx(space_name):
    space = ac.get_space(space_name)
    batch = space.sample(40, seed=1)
    graphs = space.to_graphs(batch)
    encoder = make_encoder("statistics")
    names = encoder.feature_names_out(space)
    X = encoder.transform(batch)
    for k in range(len(batch)):
        found = dict(zip(names, X[k].tolist(), strict=True))
        expected = reference(graphs, k)
        assert {name: found[name] for name in expected if name in found} == pytest.approx(
            {name: value for name, value in expected.items() if name in found}, rel=1e-6
        )
        assert all(value == 0 for name, value in expected.items() if name not in found)


def test_a_cell_without_paths_has_only_dead_nodes():
    space = ac.get_space("nasbench201")
    encoder = make_encoder("statistics")
    row = encoder.transform(space.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"))[0]
    names = encoder.feature_names_out(space)
    assert {name: value for name, value in zip(names, row, strict=True) if value} == {"dead nodes": 6}


def test_features_of_blocks_stand_at_their_position_and_in_total():
    space = ac.get_space("mnasnet_chain")
    batch = space.sample(20, seed=0)
    graphs = space.to_graphs(batch)
    encoder = make_encoder("statistics")
    names = encoder.feature_names_out(space)
    X = encoder.transform(batch)
    for f, feature in enumerate(graphs.schema.feature_names):
        np.testing.assert_allclose(X[:, names.index(f"total {feature}")], graphs.features[:, :, f].sum(axis=1))
        for j, node in enumerate(graphs.schema.node_names):
            if f"{node} {feature}" in names:
                np.testing.assert_array_equal(X[:, names.index(f"{node} {feature}")], graphs.features[:, j, f])
    assert sum(name.startswith("block0 ") for name in names) == len(graphs.schema.feature_names)


def test_operation_counts_of_all_and_of_surviving_nodes():
    space = ac.get_space("nasbench201")
    encoder = make_encoder("operations")
    # Node 1 leads nowhere: of the two 3x3 convolutions only 0->2 matters.
    row = encoder.transform(
        space.parse("|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|none~1|avg_pool_3x3~2|")
    )[0]
    assert dict(zip(encoder.feature_names_out(space), row.tolist(), strict=True)) == {
        "none": 2,
        "skip_connect": 1,
        "nor_conv_1x1": 0,
        "nor_conv_3x3": 2,
        "avg_pool_3x3": 1,
        "surviving skip_connect": 1,
        "surviving nor_conv_1x1": 0,
        "surviving nor_conv_3x3": 1,
        "surviving avg_pool_3x3": 1,
    }


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31), st.sampled_from(["statistics", "operations"]))
def test_does_not_depend_on_the_numbering_of_nodes(seed, name):
    space = ac.get_space("nasbench101")
    graphs = space.to_graphs(space.sample(20, seed=seed))
    encoder = make_encoder(name)
    other = encoder.encode(relabelled(graphs, np.random.default_rng(seed)))
    np.testing.assert_array_equal(encoder.encode(graphs), other)
