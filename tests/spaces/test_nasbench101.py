"""Cells with operations on nodes, and NAS-Bench-101 against its published figures."""

import itertools
import json
from types import SimpleNamespace

import networkx as nx
import numpy as np
import pytest
from archcast.errors import ArchcastError, InvalidArchitectureError, InvalidDataError
from archcast.spaces import get_space
from archcast.spaces.cell import CellSpace, EdgeCellSpace
from archcast.spaces.nasbench101 import CLASSES_BY_NODES
from archcast.spaces.node_cell import NodeCellSpace
from hypothesis import given, settings
from hypothesis import strategies as st

CONV1, CONV3, POOL = "conv1x1-bn-relu", "conv3x3-bn-relu", "maxpool3x3"

# The example of the benchmark's own documentation, and the twin of it that its table holds.
INCEPTION = (
    [
        [0, 1, 1, 1, 0, 1, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 0],
    ],
    ["input", CONV1, CONV3, CONV3, CONV3, POOL, "output"],
)
TWIN = (
    [
        [0, 1, 1, 1, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 0],
    ],
    ["input", CONV3, CONV1, POOL, CONV3, CONV3, "output"],
)


@pytest.fixture(scope="module")
def space():
    return get_space("nasbench101")


def line(*operations):
    size = len(operations) + 2
    return np.eye(size, k=1, dtype=int), ["input", *operations, "output"]


def as_networkx(matrix, operations):
    """Return the pruned cell as a networkx graph."""
    graph = nx.DiGraph(np.array(matrix))
    alive = (nx.descendants(graph, 0) | {0}) & (nx.ancestors(graph, len(operations) - 1) | {len(operations) - 1})
    graph = graph.subgraph(alive).copy()
    nx.set_node_attributes(graph, dict(enumerate(operations)), "operation")
    return graph


def isomorphic(first, second):
    match = nx.algorithms.isomorphism.categorical_node_match("operation", None)
    return nx.is_isomorphic(first, second, node_match=match)


def relabelled(matrix, operations, order):
    """Return the cell with its interior nodes in another order."""
    places = np.array([0, *order, len(operations) - 1])
    return np.array(matrix)[np.ix_(places, places)], [operations[k] for k in places]


# ---- the published counts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [2, 3, 4, 5])
def test_number_of_classes(space, nodes):
    cells = space.enumerate_canonical(nodes)
    assert len(cells) == CLASSES_BY_NODES[nodes]
    assert len(np.unique(cells.keys())) == len(cells)
    assert space.is_valid(cells.genotypes).all()
    assert (space.to_graphs(cells).prune().mask.sum(axis=1) == nodes).all()


def test_classes_of_small_cells_are_those_of_an_exhaustive_search():
    small = NodeCellSpace(4, [CONV3, POOL], 4)
    assert len(np.unique(small.enumerate().keys())) == len(small.enumerate_canonical())
    graphs = [as_networkx(item["matrix"], item["ops"]) for item in map(json.loads, small.format(small.enumerate()))]
    classes = []
    for graph in graphs:
        if not any(isomorphic(graph, other) for other in classes):
            classes.append(graph)
    assert len(small.enumerate_canonical()) == len(classes)


def test_size_is_the_published_one(space):
    assert space.size == 423_624


def test_enumeration_has_limits(space):
    for nodes in (1, 8):
        with pytest.raises(InvalidDataError, match=str(nodes)):
            space.enumerate_canonical(nodes)
    with pytest.raises(ArchcastError, match="8 nodes"):
        NodeCellSpace(8, [CONV3]).enumerate_canonical(8)


# ---- canonical form ---------------------------------------------------------------------------------------------


def test_published_twins_are_one_class(space):
    keys = space.canonical([INCEPTION, TWIN])
    assert keys[0] == keys[1]


def test_keys_agree_with_networkx(space):
    cells = space.enumerate_canonical(5)[::25]
    sampled = space.mutate(cells, seed=0)
    items = [json.loads(text) for text in space.format(cells) + space.format(sampled)]
    graphs = [as_networkx(item["matrix"], item["ops"]) for item in items]
    keys = np.concatenate([cells.keys(), sampled.keys()])
    for i, j in itertools.combinations(range(len(items)), 2):
        same_size = graphs[i].size() == graphs[j].size() and len(graphs[i]) == len(graphs[j])
        assert (keys[i] == keys[j]) == (same_size and isomorphic(graphs[i], graphs[j]))


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), order=st.permutations([1, 2, 3, 4, 5]))
def test_numbering_does_not_matter(seed, order):
    space = get_space("nasbench101")
    item = json.loads(str(space.sample(1, seed)[0]))
    other = relabelled(item["matrix"], item["ops"], order)
    assert space.canonical([item, other])[0] == space.canonical([item, other])[1]


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), operation=st.sampled_from([CONV1, CONV3, POOL]), source=st.integers(0, 3))
def test_dead_code_does_not_matter(seed, operation, source):
    space = get_space("nasbench101")
    cells = space.enumerate_canonical(5)
    item = json.loads(str(cells[seed % len(cells)]))
    matrix, size = np.array(item["matrix"]), len(item["ops"])
    # One node that nobody reads, and one that reads nothing, both placed before the output.
    grown = np.zeros((size + 2, size + 2), dtype=int)
    old = [*range(size - 1), size + 1]
    grown[np.ix_(old, old)] = matrix
    grown[source, size - 1] = 1
    grown[size, size + 1] = 1
    operations = [*item["ops"][:-1], operation, operation, "output"]
    keys = space.canonical([item, (grown, operations)])
    assert keys[0] == keys[1]


# ---- complexity -------------------------------------------------------------------------------------------------


def naive_complexity(matrix, operations):
    """Count by building the published network layer by layer; `matrix` is pruned and in order."""
    size = len(operations)

    def convolution(kernel, before, after, pixels):
        weights = kernel * kernel * before * after
        return np.array([weights + 2 * after, weights * pixels])

    total = convolution(3, 3, 128, 1024)
    before = 128
    for stack in range(3):
        channels, pixels = 128 << stack, 1024 >> (2 * stack)
        for _ in range(3):
            width = [before] + [0] * (size - 2) + [channels]
            feeding = [k for k in range(1, size - 1) if matrix[k][-1]]
            for position, k in enumerate(feeding):
                width[k] = channels // len(feeding) + (position < channels % len(feeding))
            for k in range(size - 3, 0, -1):
                if k not in feeding:
                    width[k] = max(width[j] for j in range(k + 1, size - 1) if matrix[k][j])
            for k in range(1, size):
                if matrix[0][k]:
                    total = total + convolution(1, before, width[k], pixels)
                kernel = {CONV1: 1, CONV3: 3}.get(operations[k])
                if kernel:
                    total = total + convolution(kernel, width[k], width[k], pixels)
            before = channels
    return total + np.array([before * 10 + 10, before * 10])


def test_complexity_of_the_published_example(space):
    found = space.complexity([INCEPTION, TWIN])
    assert found["params"].tolist() == [2_694_282, 2_694_282]


def test_complexity_of_the_layers_counted_one_by_one(space):
    cells = space.enumerate_canonical(6)[::3000]
    items = [json.loads(text) for text in space.format(cells)] + [
        json.loads(t) for t in space.format(space.enumerate_canonical(2))
    ]
    found = space.complexity(items)
    for k, item in enumerate(items):
        assert naive_complexity(item["matrix"], item["ops"]).tolist() == [found["params"][k], found["flops"][k]]


# ---- notations --------------------------------------------------------------------------------------------------


def test_all_notations_of_one_cell(space):
    matrix, operations = INCEPTION
    batch = space.parse(
        [
            INCEPTION,
            (np.array(matrix), np.array(operations)),
            [matrix, operations],
            {"matrix": matrix, "ops": operations},
            {"module_adjacency": np.array(matrix, dtype=np.int8), "module_operations": operations},
            SimpleNamespace(matrix=np.array(matrix, dtype=float), ops=operations),
            json.dumps({"ops": operations, "matrix": matrix}),
        ]
    )
    assert (batch.genotypes == batch.genotypes[0]).all()
    assert json.loads(str(batch[0])) == {"matrix": matrix, "ops": operations}


def test_small_cells_have_absent_nodes_last(space):
    batch = space.parse([line(CONV3)])
    assert batch.genotypes[0, 21:].tolist() == [1, 3, 3, 3, 3]
    assert json.loads(str(batch[0])) == {"matrix": [[0, 1, 0], [0, 0, 1], [0, 0, 0]], "ops": ["input", CONV3, "output"]}


def test_nodes_in_any_order_are_sorted(space):
    matrix, operations = line(CONV1, CONV3, POOL)
    shuffled = [3, 4, 0, 2, 1]
    given = (matrix[np.ix_(shuffled, shuffled)], [operations[k] for k in shuffled])
    assert space.parse([given]) == space.parse([(matrix, operations)])


def edited(**changes):
    matrix, operations = np.array(INCEPTION[0]), list(INCEPTION[1])
    for (i, j), value in changes.get("edges", {}).items():
        matrix[i, j] = value
    for k, name in changes.get("operations", {}).items():
        operations[k] = name
    return matrix.tolist(), operations


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (edited(edges={(4, 3): 1}), "cycle: node 4 -> node 3 -> node 4"),
        (edited(edges={(2, 2): 1}), "cycle: node 2 -> node 2"),
        (edited(edges={(3, 0): 1}), "into the input, got one from node 3"),
        (edited(edges={(6, 2): 1}), "out of the output, got one to node 2"),
        (edited(edges={(1, 6): 0, (2, 6): 0, (4, 6): 0, (5, 6): 0}), "no path leads from the input to the output"),
        (edited(edges={(1, 2): 1}), "at most 9 edges on paths from the input to the output, got 10"),
        (edited(edges={(1, 2): 2}), "0 or 1 in row 1, column 2 of the matrix, got 2"),
        (edited(operations={4: "conv7x7"}), "unknown operation 'conv7x7' at node 4"),
        (edited(operations={4: "absent"}), "unknown operation 'absent' at node 4"),
        (edited(operations={0: CONV1}), "exactly one 'input' among the operations, got 0"),
        (edited(operations={2: "output"}), "exactly one 'output' among the operations, got 2"),
        (edited(operations={2: 7}), "name of an operation at node 2, got 7"),
        ((INCEPTION[0][:6], INCEPTION[1]), "square adjacency matrix, got shape (6, 7)"),
        ((INCEPTION[0], INCEPTION[1][:6]), "as many operations as the 7 rows of the matrix, got 6"),
        (line(*[CONV3] * 6), "expected 2 to 7 nodes, got 8"),
        ((INCEPTION[0],), "a pair (matrix, ops), got 1 items"),
        ({"matrix": INCEPTION[0]}, "without 'ops'"),
        ('{"matrix": [[0, 1]', "expected JSON"),
        ("[1, 2]", "expected a JSON object"),
        ("[" * 100_000, "expected JSON"),
    ],
)
def test_what_is_wrong_with_a_cell(space, cell, said):
    with pytest.raises(InvalidArchitectureError, match="architecture 1 ") as error:
        space.parse([INCEPTION, cell])
    assert said in str(error.value)


def test_what_is_wrong_with_a_genotype(space):
    good = space.parse([line(CONV3, CONV3)]).genotypes[0]
    hole = good.copy()
    hole[21:23] = [3, 1]
    assert "node 1 is absent and a later one is not" in space.explain_invalid(hole)
    touched = good.copy()
    touched[space.edges.index((0, 4))] = 1
    assert "node 4 is absent, but there is an edge 0->4" in space.explain_invalid(touched)
    assert not space.is_valid(np.array([hole, touched])).any()


# ---- sampling ---------------------------------------------------------------------------------------------------


def test_sampling_follows_random_bits_and_operations_with_rejection(space):
    """As the benchmark's own random search draws: all seven nodes, and a third of random matrices is accepted."""
    batch = space.sample(3000, seed=0)
    assert (batch.genotypes[:, 21:] < 3).all()
    shares = [(batch.genotypes[:, 21:] == k).mean() for k in range(3)]
    assert np.allclose(shares, 1 / 3, atol=0.02)
    rng = np.random.default_rng(1)
    rows = rng.integers(0, 2, size=(20_000, 26))
    rows[:, 21:] = rng.integers(0, 3, size=(20_000, 5))
    accepted = rows[space.is_valid(rows)]
    assert np.allclose(batch.genotypes[:, :21].mean(axis=0), accepted[:, :21].mean(axis=0), atol=0.05)


# ---- cells of one's own -----------------------------------------------------------------------------------------


def test_cells_by_name_and_by_method_are_equal():
    by_name = get_space("cell", operations_on="nodes", nodes=5, operations=[CONV3, "sine"], max_edges=6)
    assert by_name == CellSpace.on_nodes(5, [CONV3, "sine"], 6)
    assert isinstance(by_name, NodeCellSpace)
    assert by_name.operations[0].traits["kernel"] == 3
    on_edges = get_space("cell", operations_on="edges", nodes=4, operations=["none", "skip_connect"])
    assert on_edges == CellSpace.on_edges(4, ["none", "skip_connect"])
    assert isinstance(on_edges, EdgeCellSpace)
    assert on_edges != by_name


def test_a_cell_like_a_benchmark_is_the_benchmark(space):
    alike = get_space("cell", operations_on="nodes", nodes=7, operations=[CONV1, CONV3, POOL], max_edges=9)
    batch = space.sample(50, seed=0)
    assert (alike.canonical(batch.genotypes) == batch.keys()).all()
    assert alike.format(batch.genotypes) == space.format(batch)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"nodes": 1}, "at least 2 nodes, got 1"),
        ({"nodes": "4"}, "at least 2 nodes, got '4'"),
        ({"nodes": 2.5, "operations_on": "nodes"}, "at least 2 nodes, got 2.5"),
        ({"operations": 3}, "a list of operations, got 3"),
        ({"operations": [f"o{k}" for k in range(101)]}, "at most 100 operations, got 101"),
        ({"operations": []}, "distinct names"),
        ({"operations": ["a", "a"]}, "distinct names"),
        ({"operations": "abc"}, "a list of operations"),
        ({"operations": [3]}, "operation 0, got 3"),
        ({"operations_on": "faces"}, "'faces'"),
        ({"operations_on": "nodes", "max_edges": 0}, "at least 1, got 0"),
        ({"operations_on": "nodes", "operations": ["absent"]}, "'absent'"),
        ({"operations_on": "edges", "max_edges": 3}, "max_edges"),
        ({"operations_on": "edges", "operations": ["a|b"]}, "without"),
        ({"colour": 1}, "no parameter 'colour'"),
    ],
)
def test_what_is_wrong_with_the_parameters_of_a_cell(parameters, said):
    with pytest.raises(InvalidDataError) as error:
        get_space("cell", **parameters)
    assert said in str(error.value)
