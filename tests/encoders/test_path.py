from collections import Counter

import archcast as ac
import numpy as np
import pytest
from archcast.encoders import make_encoder
from archcast.errors import InvalidDataError
from graph_references import paths, relabelled, surviving, to_networkx
from hypothesis import given, settings
from hypothesis import strategies as st


def end_names(schema, role):
    """The name of each end of a path: by slot if several slots can be nothing else."""
    only = (~schema.node_operations | (schema.roles == role)).all(axis=1) & schema.node_operations.any(axis=1)
    return {j: schema.node_names[j] if only.sum() > 1 and only[j] else role for j in range(schema.num_nodes)}


def reference(graphs, k, length, blocked=True):
    """Sequences of graph `k` by their column name, with their number of paths; long ones by their end."""
    starts, ends = end_names(graphs.schema, "input"), end_names(graphs.schema, "output")
    graph = to_networkx(graphs, k)
    found = Counter()
    for path in paths(surviving(graph) if blocked else graph):
        inner = [graph.nodes[node]["name"] for node in path[1:-1]]
        start = starts[path[0]]
        if len(inner) > length:
            start, inner = "...", inner[len(inner) - length :]
        found[" > ".join([start, *inner, ends[path[-1]]])] += 1
    return found


def decoded(encoder, space, row):
    names = encoder.feature_names_out(space)
    return {names[i]: int(row[i]) for i in np.flatnonzero(row)}


def column_lengths(names):
    return [name.count(" > ") - 1 for name in names]


@pytest.mark.parametrize(
    ("name", "parameters", "space", "columns"),
    [
        ("path", {}, "nasbench101", 364),
        ("path_truncated", {}, "nasbench101", 1 + 3 + 9 + 27),
        ("path_truncated", {"length": 1}, "nasbench101", 4),
        ("path", {}, "nasbench201", 4 + 16 + 64),
        ("path", {"include_zero": True}, "nasbench201", 5 + 25 + 125),
        ("path_multiset", {}, "nasbench101", 364),
    ],
)
def test_published_numbers_of_columns(name, parameters, space, columns):
    encoder = make_encoder(name, **parameters)
    assert len(encoder.columns(ac.get_space(space))) == columns


def test_columns_are_readable_and_shortest_first():
    names = make_encoder("path").feature_names_out(ac.get_space("nasbench101"))
    assert names[0] == "input > output"
    operations = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
    assert set(names[1:4]) == {f"input > {operation} > output" for operation in operations}
    assert column_lengths(names) == sorted(column_lengths(names))


@pytest.mark.parametrize("space_name", ["nasbench101", "nasbench201", "darts", "nasbench_graph", "nasbench_macro"])
def test_agrees_with_depth_first_search(space_name):
    space = ac.get_space(space_name)
    batch = space.sample(40, seed=1)
    graphs = space.to_graphs(batch)
    indicator, multiset = make_encoder("path"), make_encoder("path_multiset")
    names = indicator.feature_names_out(space)
    tails = [name for name in names if name.startswith("...")]
    length = max(column_lengths(tails)) if tails else max(column_lengths(names))
    X, C = indicator.transform(batch), multiset.transform(batch)
    np.testing.assert_array_equal(X, C > 0)
    for k in range(len(batch)):
        assert decoded(multiset, space, C[k]) == reference(graphs, k, length)


def test_with_zero_operations_follows_the_publication():
    space = ac.get_space("nasbench201")
    batch = space.sample(30, seed=2)
    encoder = make_encoder("path_multiset", include_zero=True)
    X = encoder.transform(batch)
    assert (X.sum(axis=1) == 4).all()  # the complete cell has 4 paths whatever its operations
    for k in range(len(batch)):
        assert decoded(encoder, space, X[k]) == reference(space.to_graphs(batch), k, 3, blocked=False)


@pytest.mark.parametrize("max_columns", [2, 5, 30, 100, 363, 364])
@pytest.mark.parametrize("longer", ["drop", "tail"])
def test_longest_sequences_are_left_out_first(max_columns, longer):
    space = ac.get_space("nasbench101")
    batch = space.sample(30, seed=3)
    encoder = make_encoder("path_multiset", max_columns=max_columns, longer=longer)
    names = encoder.feature_names_out(space)
    assert 1 <= len(names) <= max_columns
    length = max(column_lengths(names))
    X = encoder.transform(batch)
    for k in range(len(batch)):
        expected = reference(space.to_graphs(batch), k, length)
        if longer == "drop":
            expected = {name: n for name, n in expected.items() if not name.startswith("...")}
        assert decoded(encoder, space, X[k]) == expected


def test_a_single_column_is_the_direct_path():
    space = ac.get_space("nasbench101")
    assert make_encoder("path", max_columns=1).feature_names_out(space) == ["input > output"]


def test_too_few_columns_are_refused():
    space = ac.get_space("darts")  # no path without an operation, and two cells with an output each
    with pytest.raises(InvalidDataError, match="max_columns is too small for the paths of this space, got 1"):
        make_encoder("path", max_columns=1).columns(space)


def test_no_path_of_a_chain_is_dropped():
    space = ac.get_space("nasbench_macro")
    batch = space.sample(20, seed=0)
    for name in ("path", "path_truncated", "path_multiset"):
        X = make_encoder(name).transform(batch)
        assert (X.sum(axis=1) == 1).all()


def test_cells_and_their_inputs_are_kept_apart():
    names = make_encoder("path").feature_names_out(ac.get_space("darts"))
    complete = [name for name in names if not name.startswith("...")]
    assert len({name.split(" > ")[0] for name in complete}) == 4
    assert len({name.split(" > ")[-1] for name in complete}) == 2


def test_dead_code_and_dead_ends_do_not_count():
    space = ac.get_space("nasbench201")
    batch = space.parse(
        [
            "|nor_conv_3x3~0|+|none~0|none~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|",
            "|none~0|+|none~0|none~1|+|avg_pool_3x3~0|none~1|none~2|",
            "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
        ]
    )
    X = make_encoder("path").transform(batch)
    np.testing.assert_array_equal(X[0], X[1])
    assert X[0].sum() == 1
    assert X[2].sum() == 0


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**31), st.sampled_from(["path", "path_truncated", "path_multiset"]))
def test_does_not_depend_on_the_numbering_of_nodes(seed, name):
    space = ac.get_space("nasbench101")
    graphs = space.to_graphs(space.sample(20, seed=seed))
    encoder = make_encoder(name)
    np.testing.assert_array_equal(
        encoder.encode(graphs), encoder.encode(relabelled(graphs, np.random.default_rng(seed)))
    )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"length": -1}, "length must be None or at least 0, got -1"),
        ({"max_columns": 0}, "max_columns must be at least 1, got 0"),
        ({"longer": "cut"}, "longer must be one of drop, tail, got 'cut'"),
    ],
)
def test_refuses_parameters_out_of_range(parameters, message):
    space = ac.get_space("nasbench201")
    with pytest.raises(InvalidDataError, match=message):
        make_encoder("path", **parameters).transform(space.sample(2, seed=0))
