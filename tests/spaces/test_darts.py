"""The DARTS cells: notation, graphs, isomorphism."""

from collections import namedtuple
from itertools import combinations, permutations

import numpy as np
import pytest
from archcast.errors import InvalidArchitectureError
from archcast.spaces import get_space
from hypothesis import given, settings
from hypothesis import strategies as st

Genotype = namedtuple("Genotype", "normal normal_concat reduce reduce_concat")

DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], "
    "normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), "
    "('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], "
    "reduce_concat=[2, 3, 4, 5])"
)


@pytest.fixture(scope="module")
def space():
    return get_space("darts")


def published():
    return eval(DARTS_V2)


def test_size_is_the_published_one(space):
    # 1, 3, 6 and 10 pairs of inputs and 7 x 7 operations a node, two cells.
    assert space.size == (1 * 3 * 6 * 10 * 7**8) ** 2


def test_the_cells_that_darts_found(space):
    batch = space.parse(DARTS_V2)
    text = str(batch[0])
    assert text == DARTS_V2.replace("[2, 3, 4, 5]", "range(2, 6)").replace(
        "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip", "('skip_connect', 0), ('sep_conv_3x3', 1), ('skip"
    ).replace("('skip_connect', 2), ('max_pool_3x3', 1)", "('max_pool_3x3', 1), ('skip_connect', 2)")
    assert eval(text, {"Genotype": Genotype, "range": lambda *bounds: [*range(*bounds)]}).normal_concat == [2, 3, 4, 5]
    assert space.parse([published(), published()._asdict(), text]).genotypes.tolist() == batch.genotypes.tolist() * 3
    assert space.parse(published()) == space.parse(published()._asdict()) == batch
    positional = f"Genotype({published().normal}, range(2, 6), {published().reduce}, range(2, 6))"
    assert space.parse(positional) == batch
    assert get_space("nasbench301").parse(DARTS_V2).genotypes.tolist() == batch.genotypes.tolist()


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6), flips=st.lists(st.booleans(), min_size=8, max_size=8))
def test_the_order_of_a_nodes_inputs_does_not_matter(seed, flips):
    space = get_space("darts")
    batch = space.sample(1, seed)
    cells = eval(str(batch[0]))
    turned = []
    for c, cell in enumerate((cells.normal, cells.reduce)):
        pairs = [cell[2 * k : 2 * k + 2] for k in range(4)]
        turned.append([entry for k, pair in enumerate(pairs) for entry in (pair[::-1] if flips[4 * c + k] else pair)])
    assert space.parse([Genotype(turned[0], range(2, 6), turned[1], range(2, 6))]) == batch


def renumbered(cell, order):
    """Return the cell with its intermediate nodes in another order, or None if a node would read a later one."""
    place = {0: 0, 1: 1, **{2 + old: 2 + new for new, old in enumerate(order)}}
    result = []
    for new, old in enumerate(order):
        for operation, source in cell[2 * old : 2 * old + 2]:
            if place[source] >= 2 + new:
                return None
            result.append((operation, place[source]))
    return result


def naive_form(cell):
    """Return a form of one cell that is equal exactly for renumbered cells: the least of all its numberings."""
    forms = (renumbered(cell, order) for order in permutations(range(4)))
    return min(sorted_pairs(form) for form in forms if form is not None)


def sorted_pairs(cell):
    return tuple(tuple(sorted(cell[2 * k : 2 * k + 2], key=lambda entry: entry[::-1])) for k in range(4))


def test_canonical_keys_are_those_of_all_renumberings(space):
    """Cells of few operations, so that twins are frequent; compared with a search through all numberings."""
    rng = np.random.default_rng(0)
    rows = space.sample(1200, seed=0).genotypes.copy()
    operations = np.array([not gene.name.endswith("inputs") for gene in space.genes])
    rows[:, operations] = rng.integers(0, 2, size=(len(rows), operations.sum()))
    rows[:, 12:] = rows[rng.integers(0, 4, size=len(rows)), 12:]
    batch = space.parse(rows)
    forms = [tuple(naive_form(cell) for cell in (item.normal, item.reduce)) for item in map(eval, space.format(batch))]
    keys = batch.keys()
    classes = {}
    for form, key in zip(forms, keys.tolist(), strict=True):
        assert classes.setdefault(form, key) == key
    assert len(set(classes.values())) == len(classes) < len(np.unique(batch.genotypes, axis=0))


def test_normal_and_reduction_cell_do_not_change_places(space):
    cells = published()
    swapped = Genotype(cells.reduce, range(2, 6), cells.normal, range(2, 6))
    keys = space.canonical([cells, swapped])
    assert keys[0] != keys[1]


def test_what_is_summed_matters(space):
    """Two nodes that read the cell inputs: which operations meet in a sum is part of the cell."""
    rest = [("max_pool_3x3", 0), ("max_pool_3x3", 1)] * 2
    first = [("sep_conv_3x3", 0), ("sep_conv_3x3", 1), ("sep_conv_5x5", 0), ("sep_conv_5x5", 1), *rest]
    second = [("sep_conv_3x3", 0), ("sep_conv_5x5", 1), ("sep_conv_5x5", 0), ("sep_conv_3x3", 1), *rest]
    reduce = published().reduce
    keys = space.canonical([Genotype(cell, range(2, 6), reduce, range(2, 6)) for cell in (first, second)])
    assert keys[0] != keys[1]


def test_graph_of_the_cells_that_darts_found(space):
    graphs = space.to_graphs(DARTS_V2)
    names = graphs.schema.node_names
    words = [graphs.schema.vocabulary[k].name for k in graphs.operations[0]]
    edges = {(names[i], names[j]) for i, j in np.argwhere(graphs.adjacency[0])}
    assert graphs.schema.num_nodes == 22
    found = dict(zip(names, words, strict=True))
    assert found["normal node 4 first"] == "skip_connect"
    assert found["reduce node 3 second"] == "skip_connect"
    assert {("normal c_{k-2}", "normal node 2 first"), ("normal c_{k-1}", "normal node 2 second")} <= edges
    readers = {j for i, j in edges if i == "normal node 2 first"}
    assert readers == {"normal node 5 second", "normal output"}
    assert {i for i, j in edges if j == "reduce output"} == {n for n in names if n.startswith("reduce node")}
    assert not any(i.split()[0] != j.split()[0] for i, j in edges)


def test_a_skip_at_stride_two_is_no_identity(space):
    skips = [("skip_connect", a) for pair in ((0, 1), (0, 2), (1, 2), (2, 3)) for a in pair]
    graphs = space.to_graphs([Genotype(skips, range(2, 6), skips, range(2, 6))])
    names = np.array(graphs.schema.node_names)
    identity = set(names[graphs.has_role("identity")[0]])
    assert identity == {n for n in names if n.startswith("normal node")} | {
        "reduce node 3 second",
        "reduce node 4 second",
        "reduce node 5 first",
        "reduce node 5 second",
    }


def test_every_possible_edge_and_operation_occurs(space):
    graphs = space.to_graphs(space.sample(2000, seed=0))
    assert (graphs.adjacency.any(axis=0) == graphs.schema.possible_edges).all()
    used = np.zeros_like(graphs.schema.node_operations)
    used[np.broadcast_to(np.arange(22), graphs.operations.shape), graphs.operations] = True
    assert (used == graphs.schema.node_operations).all()
    assert graphs.prune().mask.all()


def test_pairs_of_inputs(space):
    assert [len(gene.choices) for gene in space.genes[0:12:3]] == [1, 3, 6, 10]
    assert space.genes[9].choices == tuple(combinations(range(5), 2))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("'dil_conv_3x3', 2", "'none', 2", "unknown operation 'none' in entry 7 of 'normal'"),
        ("'dil_conv_3x3', 2", "'dil_conv_3x3', 5", "entry 7 of 'normal' to read from a node in 0..4, got 5"),
        ("'dil_conv_3x3', 2", "'dil_conv_3x3', 0", "node 5 of 'normal' reads twice from node 0"),
        ("'dil_conv_3x3', 2", "'dil_conv_3x3'", "(operation, input) as entry 7 of 'normal'"),
        ("'dil_conv_3x3', 2", "'dil_conv_3x3', True", "got True"),
        (", ('dil_conv_3x3', 2)", "", "8 (operation, input) entries in 'normal', got 7 entries"),
        ("normal_concat=[2, 3, 4, 5]", "normal_concat=range(2, 5)", "'normal_concat' to be range(2, 6)"),
        ("normal_concat=[2, 3, 4, 5], ", "", "a Genotype with 'normal_concat'"),
        ("Genotype(", "Cell(", "expected Genotype(...)"),
        ("normal=", "usual=", "got 'usual'"),
        ("'dil_conv_3x3', 2", "'dil_conv_3x3', __import__('os').getpid()", "got __import__('os').getpid()"),
        ("[2, 3, 4, 5]", "range(10000000)", "got range(10000000)"),
        ("Genotype(", "(" * 3000, "expected text like Genotype"),
    ],
)
def test_what_is_wrong_with_a_genotype(space, old, new, said):
    with pytest.raises(InvalidArchitectureError, match="architecture 1 ") as error:
        space.parse([DARTS_V2, DARTS_V2.replace(old, new, 1)])
    assert said in str(error.value)


def test_text_is_never_run(space, tmp_path):
    target = tmp_path / "made"
    with pytest.raises(InvalidArchitectureError):
        space.parse(f"Genotype(normal=open({str(target)!r}, 'w'))")
    assert not target.exists()
