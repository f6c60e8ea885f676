import hashlib
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
import pytest
from archcast.errors import InvalidArchitectureError
from archcast.spaces import get_space, space_from_spec
from archcast.spaces.nasbench_graph import LINKS, OPERATIONS, PROTEINS_OPERATIONS
from hypothesis import given, settings
from hypothesis import strategies as st

TREES = list(product(range(1), range(2), range(3), range(4)))

# SHA-256 of the sorted keys of the published tables as little-endian 32-bit integers.
CORA = "3b038e62e3e8647cb4089df95636859b1a4e44bd4da8e04b695370ea8a7e7607"
PROTEINS = "706b89deefa6691283719224f86a4055b3c86afb8000a3a1faa63204e3c67d51"


def digest(hashes: np.ndarray) -> str:
    return hashlib.sha256(np.sort(hashes).astype("<i4").tobytes()).hexdigest()


@pytest.mark.parametrize(
    ("name", "size", "classes", "published"),
    [("nasbench_graph", 59_040, 26_206, CORA), ("nasbench_graph_proteins", 5_616, 2_021, PROTEINS)],
)
def test_the_classes_are_exactly_the_rows_of_the_published_tables(
    name: str, size: int, classes: int, published: str
) -> None:
    space = get_space(name)
    everything = space.enumerate()
    assert space.size == len(everything) == size
    hashes = np.unique(space.hashes(everything))
    assert len(hashes) == classes
    assert digest(hashes) == published
    keys, members = np.unique(everything.keys(), return_inverse=True)
    assert len(keys) == classes
    assert len(np.unique(np.column_stack([members, space.hashes(everything)]), axis=0)) == classes
    trained = space.parse(hashes.tolist())
    assert (space.hashes(trained) == hashes).all()
    assert (space.normal_form(trained) == trained.genotypes).all(), "published hashes are normal forms"


def test_twins_have_equal_graphs() -> None:
    space = get_space("nasbench_graph")
    batch = space.sample(3000, seed=0)
    keys, graphs = batch.keys(), space.to_graphs(batch).keys()
    assert len(np.unique(keys)) == len(np.unique(graphs)) == len(np.unique(np.column_stack([keys, graphs]), axis=0))


def test_native_notations_agree() -> None:
    @dataclass
    class Arch:
        link: list[int]
        ops: list[str]

    space = get_space("nasbench_graph")
    link, ops = [0, 0, 1, 2], ["gat", "gcn", "skip", "fc"]
    notations = [
        "0012:gat-gcn-skip-fc",
        {"link": link, "ops": ops},
        (link, ops),
        [np.array(link), tuple(ops)],
        Arch(link, ops),
        30187,
        np.int64(30187),
        "30187",
        [3, 0, 1, 8, 7],
    ]
    batch = space.parse(notations)
    assert batch.genotypes.tolist() == [[3, 0, 1, 8, 7]] * len(notations)
    assert batch.strings() == ["0012:gat-gcn-skip-fc"] * len(notations)
    assert space.parse("7").strings() == ["0000:gat-gat-gat-fc"], "leading zeros of a hash are implied"
    assert space.parse(np.array([30187, 7])).genotypes.tolist() == [[3, 0, 1, 8, 7], [0, 0, 0, 0, 7]]


def test_hashes_of_proteins_keep_the_identifiers_of_all_operations() -> None:
    space = get_space("nasbench_graph_proteins")
    assert space.parse([31458]).strings() == ["0012:gcn-sage-arma-skip"]
    assert space.parse([31458]).genotypes.tolist() == [[3, 0, 1, 2, 4]]
    with pytest.raises(InvalidArchitectureError, match="unknown operation 'gat' of node 1, expected one of gcn, sage"):
        space.parse([30458])
    assert space_from_spec(space.spec) == space
    assert space != get_space("nasbench_graph")


def test_any_tree_is_relabelled_to_its_representative() -> None:
    space = get_space("nasbench_graph")
    assert len(TREES) == 24
    assert space.parse([{"link": [0, 0, 2, 1], "ops": ["gcn", "gat", "skip", "fc"]}]).strings() == [
        "0012:gcn-gat-fc-skip"
    ]
    assert space.parse([([0, 0, 0, 3], ["gat", "gcn", "gin", "fc"])]).strings() == ["0001:gin-gat-gcn-fc"]


@settings(deadline=None, max_examples=100)
@given(tree=st.sampled_from(TREES), ops=st.lists(st.sampled_from(OPERATIONS), min_size=4, max_size=4), seed=st.data())
def test_the_canonical_form_does_not_depend_on_the_numbering(tree: tuple, ops: list, seed: st.DataObject) -> None:
    space = get_space("nasbench_graph")
    orders = [
        order
        for order in permutations(range(4))
        if all(source == 0 or order.index(source - 1) < order.index(node) for node, source in enumerate(tree))
    ]
    order = seed.draw(st.sampled_from(orders))
    place = {0: 0, **{old + 1: new + 1 for new, old in enumerate(order)}}
    relabelled = ([place[tree[old]] for old in order], [ops[old] for old in order])
    if ops == ["skip"] * 4:
        with pytest.raises(InvalidArchitectureError, match="at least one operation other than 'skip'"):
            space.parse([relabelled])
        return
    keys = space.canonical([(tree, ops), relabelled])
    assert keys[0] == keys[1]
    batch = space.parse([relabelled])
    assert space.parse(batch.strings()) == batch


@pytest.mark.parametrize(
    ("first", "second", "alike"),
    [
        ("0111:gcn-gat-gin-fc", "0111:gcn-fc-gat-gin", True),  # leaves in another order
        ("0012:gcn-gat-gin-fc", "0012:gat-gcn-fc-gin", True),  # two chains swapped
        ("0012:gcn-gat-gin-fc", "0012:gat-gcn-gin-fc", False),
        ("0123:gcn-skip-gat-fc", "0123:skip-gcn-gat-fc", True),  # an identity inside a path
        ("0000:skip-gcn-gcn-gcn", "0111:skip-gcn-gcn-gcn", True),  # the raw input is not part of the output
        ("0112:gcn-skip-gat-fc", "0011:skip-gcn-gat-fc", False),
        ("0111:gcn-skip-gat-fc", "0111:gcn-gat-skip-fc", True),
        ("0111:gcn-skip-gat-fc", "0112:skip-gcn-gat-fc", False),  # a shortcut around gat and fc does count
    ],
)
def test_what_is_alike_and_what_is_not(first: str, second: str, alike: bool) -> None:
    keys = get_space("nasbench_graph").canonical([first, second])
    assert (keys[0] == keys[1]) == alike


def test_leaves_feed_the_output() -> None:
    space = get_space("nasbench_graph")
    graphs = space.to_graphs([f"{''.join(map(str, link))}:gat-gcn-gin-fc" for link in LINKS])
    for index, link in enumerate(LINKS):
        edges = {(source, node) for node, source in enumerate(link, start=1)}
        edges |= {(node, 5) for node in range(1, 5) if node not in link}
        assert {tuple(edge) for edge in np.argwhere(graphs.adjacency[index]).tolist()} == edges
    assert graphs.operations[4].tolist() == [0, 2, 3, 4, 9, 1]
    assert not (graphs.adjacency & ~graphs.schema.possible_edges).any()
    assert graphs.schema.roles[list(map(int, graphs.operations[0]))].tolist() == ["input", *["compute"] * 4, "output"]
    assert space.to_graphs(["0123:skip-gcn-gat-fc"]).has_role("identity").sum() == 1


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("0012:gat-gcn-skip", "expected 4 operations, got 3"),
        ("0012:gat-gcn-skip-conv", "unknown operation 'conv' of node 4, expected one of gat, gcn"),
        ("0312:gat-gcn-skip-fc", "link must hold 4 inputs, each 0 or the number of an earlier node"),
        ("12:gat", "expected text like '0012:gat-gcn-skip-fc'"),
        ("0000:skip-skip-skip-skip", "expected at least one operation other than 'skip', got four"),
        ("123456", "a published hash has at most 5 digits, got 123456"),
        (-1, "a published hash has at most 5 digits, got -1"),
        (90000, "the hash must begin with a tree in 0..8, got 9"),
        (30190, "operation 3 of the hash must be in 0..8, got 9"),
        ({"link": [0, 0, 1, 2]}, "expected the keys 'link' and 'ops'"),
        ({"link": 3, "ops": 4}, "expected a list of 4 inputs and 4 operations"),
        ({"link": [0, 1, 2], "ops": ["fc"] * 4}, "link must hold 4 inputs"),
        (1.5, "got float"),
    ],
)
def test_bad_items_are_named(item: object, message: str) -> None:
    with pytest.raises(InvalidArchitectureError, match="architecture 1 .*" + message):
        get_space("nasbench_graph").parse([7, item])


def test_only_the_operations_of_proteins_are_its_choices() -> None:
    assert get_space("nasbench_graph_proteins").genes[1].choices == PROTEINS_OPERATIONS
    assert get_space("nasbench_graph").genes[0].choices[3] == "0012"
