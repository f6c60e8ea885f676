"""The semantic encoding against plain path enumeration, and what it must not depend on."""

from collections import Counter

import archcast as ac
import networkx as nx
import numpy as np
import pytest
from archcast.encoders import make_encoder
from archcast.encoders.semantic import SemanticEncoder
from archcast.errors import InvalidDataError
from archcast.spaces import GraphBatch
from graph_references import contracted, paths, relabelled, surviving, to_networkx

SPACES = ["nasbench201", "nasbench101", "nasbench_graph", "transnasbench101_micro", "nasbench_nlp"]


def tame(value):
    return np.log2(1 + value)


def plain(graph, length):
    """Return the expected value of the columns that say something of this pruned graph; all others are 0."""
    name = {node: data["name"] for node, data in graph.nodes(data=True)}
    role = {node: data["role"] for node, data in graph.nodes(data=True)}
    found = paths(graph)
    sequences = [tuple(name[node] for node in path if role[node] == "compute") for path in found]
    cut = Counter(sequence[-length:] if length else () for sequence in sequences)
    expected = {"path " + " > ".join(["input", *s, "output"]): tame(count) for s, count in cut.items()}
    label = {"input": "input", "output": "output"}
    pairs = Counter()
    emitting = [node for node in graph if role[node] != "identity"]
    for a in emitting:
        between = graph.subgraph([n for n in graph if role[n] == "identity"] + [a])
        for b in emitting:
            ways = sum(
                1
                for c in graph.predecessors(b)
                if c in between and (c == a or nx.has_path(between, a, c))
                for _ in ([None] if c == a else nx.all_simple_paths(between, a, c))
            )
            if ways:
                pairs[label.get(role[a], name[a]), label.get(role[b], name[b])] += ways
    expected |= {f"pair {a} > {b}": tame(ways) for (a, b), ways in pairs.items()}
    expected["edges"] = sum(pairs.values())
    expected["leaves"] = sum(ways for (a, b), ways in pairs.items() if b == "output" and a != "input")
    expected["roots"] = sum(ways for (a, b), ways in pairs.items() if a == "input" and b != "output")
    kept = Counter(name[node] for node in graph if role[node] in ("compute", "identity"))
    expected |= {f"count {operation}": count for operation, count in kept.items()}
    expected["paths"] = tame(len(found))
    expected["distinct paths"] = len(cut)
    expected["identity paths"] = tame(sum(not sequence for sequence in sequences))
    for what in {operation for sequence in sequences for operation in sequence} | {"length"}:
        each = [len(s) if what == "length" else s.count(what) for s in sequences] or [0]
        statistics = {"max": max(each), "min": min(each), "mean": np.mean(each), "sum": tame(sum(each))}
        expected |= {f"{statistic} of {what} over paths": value for statistic, value in statistics.items()}
    return expected


@pytest.mark.parametrize("name", SPACES)
def test_agrees_with_path_enumeration(name):
    space = ac.get_space(name)
    batch = space.sample(25, seed=1)
    encoder = SemanticEncoder()
    X = encoder.transform(batch)
    names = encoder.feature_names_out(space)
    sequence_lengths = [n.count(">") - 1 for n in names if n.startswith("path input")]
    checked = {"edges", "leaves", "roots", "paths", "distinct paths", "identity paths"}
    graphs = space.to_graphs(batch)
    for k in range(len(batch)):
        expected = plain(surviving(to_networkx(graphs, k)), max(sequence_lengths))
        for value, column in zip(X[k], names, strict=True):
            if column.startswith(("path ", "pair ", "count ")) or column in checked:
                assert value == pytest.approx(expected.get(column, 0), abs=1e-5), (str(batch[k]), column)
            elif column in expected:
                assert value == pytest.approx(expected[column], abs=1e-5), (str(batch[k]), column)


def test_depths_count_operations_by_longest_distance():
    space = ac.get_space("nasbench101")
    batch = space.sample(30, seed=4)
    encoder = SemanticEncoder()
    X, names = encoder.transform(batch), encoder.feature_names_out(space)
    graphs = space.to_graphs(batch)
    for k in range(len(batch)):
        graph = contracted(surviving(to_networkx(graphs, k)))
        depth = {n: max(len(p) for p in nx.all_simple_paths(graph, 0, n)) - 1 for n in graph if n != 0}
        level = Counter((graph.nodes[n]["name"], d) for n, d in depth.items() if graph.nodes[n]["role"] == "compute")
        for value, column in zip(X[k], names, strict=True):
            if column.endswith("from input"):
                operation, distance = column.split()[:2]
                assert value == pytest.approx(tame(level[operation, int(distance)]), abs=1e-5)


def test_all_but_positions_ignore_the_numbering_of_nodes():
    space = ac.get_space("nasbench101")
    graphs = space.to_graphs(space.sample(40, seed=2))
    other = relabelled(graphs, np.random.default_rng(0))
    encoder = SemanticEncoder()
    groups = np.array(encoder._graph_columns(graphs.schema).groups)
    free = groups != "position"
    assert 0.7 < free.mean() < 1
    np.testing.assert_allclose(encoder.encode(graphs)[:, free], encoder.encode(other)[:, free], atol=1e-5)


def test_dead_code_does_not_matter():
    space = ac.get_space("nasbench201")
    # Node 1 reaches the output through nothing: what it reads cannot matter.
    alive = [
        f"|{op}~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|none~1|nor_conv_1x1~2|" for op in ("none", "skip_connect")
    ]
    X = SemanticEncoder().transform(space.parse(alive))
    np.testing.assert_array_equal(X[0], X[1])
    empty = SemanticEncoder().transform(space.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"))
    assert not empty.any()


def test_cells_that_are_not_connected_are_described_apart():
    space = ac.get_space("darts")
    encoder = SemanticEncoder()
    names = encoder.feature_names_out(space)
    assert {n.split(": ")[0] for n in names} == {"part 0", "part 1"}
    batch = space.sample(2, seed=0)
    half = space.dimension // 2
    mixed = batch.genotypes.copy()
    mixed[:, half:] = mixed[::-1, half:]
    X, Y = encoder.transform(batch), encoder.transform(space.parse(mixed))
    first = np.array([n.startswith("part 0: ") for n in names])
    changed = (X != Y).any(axis=0)
    assert changed.any()
    assert not (changed & first).any() or not (changed & ~first).any()


def test_chains_know_products_and_totals():
    space = ac.get_space("mnasnet_chain")
    batch = space.sample(5, seed=0)
    encoder = SemanticEncoder()
    X, names = encoder.transform(batch), encoder.feature_names_out(space)
    graphs: GraphBatch = space.to_graphs(batch)
    features = graphs.features[:, 1:-1]
    labels = list(graphs.schema.feature_names)
    a, b = 0, labels.index(next(n for n in labels if n.startswith("layer")))
    title = f"{labels[min(a, b)]} x {labels[max(a, b)]}"
    product = features[:, :, a] * features[:, :, b]
    np.testing.assert_allclose(X[:, names.index(f"total {title}")], product.sum(axis=1), rtol=1e-6)
    np.testing.assert_allclose(X[:, names.index(f"total log {title}")], tame(product).sum(axis=1), rtol=1e-6)


def test_sequences_are_cut_where_there_are_too_many():
    space = ac.get_space("nasbench201")
    few = make_encoder("semantic", max_sequences=13).feature_names_out(space)
    assert sum(name.startswith("path input") for name in few) == 1 + 3 + 9
    with pytest.raises(InvalidDataError, match="max_sequences must be at least 2, got 1"):
        make_encoder("semantic", max_sequences=1).feature_names_out(space)
