import json

import archcast as ac
import numpy as np
import pytest
from archcast.errors import InvalidArchitectureError, InvalidDataError
from archcast.spaces import Operation, get_space, space_from_spec
from archcast.spaces.chain import ChainSpace
from hypothesis import given, settings
from hypothesis import strategies as st


def small_chain() -> ChainSpace:
    return ChainSpace(
        [
            {"operation": ["conv", "skip"], "kernel": [3, 5], "act": ["relu", "swish"]},
            {"kernel": [3, 5, 7], "ratio": [0.5, 1.0], "se": [False, True]},
        ]
    )


def test_genes_follow_the_blocks_and_tell_ordered_choices() -> None:
    space = small_chain()
    assert [(gene.name, gene.choices, gene.ordered) for gene in space.genes] == [
        ("block0_operation", ("conv", "skip"), False),
        ("block0_kernel", (3, 5), True),
        ("block0_act", ("relu", "swish"), False),
        ("block1_kernel", (3, 5, 7), True),
        ("block1_ratio", (0.5, 1.0), True),
        ("block1_se", (False, True), False),
    ]
    assert space.size == len(space.enumerate()) == 2 * 2 * 2 * 3 * 2 * 2
    assert not ChainSpace([{"kernel": [5, 3]}]).genes[0].ordered


def test_one_description_and_a_count_is_the_same_as_a_list() -> None:
    block = {"expansion": [1, 4, 6], "kernel": [3, 5]}
    assert ChainSpace(block, count=3) == ChainSpace([block, block, block])
    assert ChainSpace(block, count=3) != ChainSpace(block, count=2)


def test_a_spec_survives_json() -> None:
    space = ChainSpace({"operation": ["skip", Operation("my", traits={"conv": 1.0})], "k": np.array([3, 5])}, count=2)
    again = space_from_spec(json.loads(json.dumps(space.spec)))
    assert again == space
    assert again.format([[1, 0, 0, 1]]) == space.format([[1, 0, 0, 1]])
    assert again.graph_schema.vocabulary == space.graph_schema.vocabulary
    assert again.graph_schema.vocabulary[3].traits == {"conv": 1.0}
    assert get_space("chain", blocks={"k": [3, 5]}, count=4).size == 16


def test_native_notation_is_a_mapping_or_json_with_a_key_per_gene() -> None:
    space = small_chain()
    native = {
        "block0_operation": "skip",
        "block0_kernel": 5,
        "block0_act": "relu",
        "block1_kernel": 7,
        "block1_ratio": 0.5,
        "block1_se": True,
    }
    row = [[1, 1, 0, 2, 0, 1]]
    assert space.parse(native).genotypes.tolist() == row
    assert space.parse([json.dumps(native)]).genotypes.tolist() == row
    assert space.parse({**native, "block1_se": np.True_, "block0_kernel": np.int64(5)}).genotypes.tolist() == row
    assert space.parse({**native, "block1_se": 1, "block1_kernel": 7.0}).genotypes.tolist() == row
    assert json.loads(space.format(row)[0]) == native
    assert str(space.parse(native)[0]).startswith('{"block0_operation": "skip", "block0_kernel": 5')


@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_parse_inverts_format_on_any_chain(data: st.DataObject) -> None:
    numbers = st.lists(st.integers(-9, 9), min_size=1, max_size=4, unique=True)
    words = st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=3, unique=True)
    choices = st.one_of(numbers, words, st.just([False, True]))
    block = st.dictionaries(st.text(min_size=1, max_size=4).filter(lambda key: key != "operation"), choices, min_size=1)
    space = ChainSpace(data.draw(st.lists(block, min_size=1, max_size=3)))
    batch = space.sample(4, seed=data.draw(st.integers(0, 99)), distinct=False)
    assert space.parse(space.format(batch)) == batch
    assert space.parse([space.to_dict(row) for row in batch.genotypes.tolist()]) == batch
    assert space_from_spec(json.loads(json.dumps(space.spec))) == space


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"block1_kernel": 4}, "'block1_kernel' must be one of 3, 5, 7, got 4"),
        ({"block0_act": "gelu"}, "'block0_act' must be one of \"relu\", \"swish\", got 'gelu'"),
        ({"block1_kernel": True}, "'block1_kernel' must be one of 3, 5, 7, got True"),
        ({"block1_se": "yes"}, "'block1_se' must be one of false, true, got 'yes'"),
        ({"block1_ratio": [0.5]}, "'block1_ratio' must be one of 0.5, 1.0, got \\[0.5\\]"),
        ({"block2_kernel": 3}, "unknown key 'block2_kernel'"),
    ],
)
def test_a_bad_value_is_named_with_its_key(change: dict, message: str) -> None:
    space = small_chain()
    good = space.to_dict([0] * 6)
    with pytest.raises(InvalidArchitectureError, match=f"architecture 1 .*{message}"):
        space.parse([good, {**good, **change}])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "key 'block0_operation' is missing"),
        ('{"a": 1, "a": 2}', "key 'a' appears twice"),
        ('{"a": ', "expected a JSON object"),
        ("[1, 2]", "expected a mapping or JSON object"),
        ("3", "expected a mapping or JSON object"),
        ("[" * 100_000, "expected a JSON object"),
    ],
)
def test_text_that_is_no_architecture_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidArchitectureError, match=message):
        small_chain().parse([text])


@pytest.mark.parametrize(
    ("blocks", "count", "message"),
    [
        ([], None, "at least one block"),
        ({"k": [3]}, None, "needs a positive count of blocks, got None"),
        ({"k": [3]}, 0, "needs a positive count of blocks, got 0"),
        ([{"k": [3]}], 2, "needs a single block description"),
        ([{"k": [3]}, {}], None, "block 1 must map names"),
        ([{"k": []}], None, "hyperparameter 'k' of block 0 needs a list of choices"),
        ([{"k": "35"}], None, "needs a list of choices, got '35'"),
        ([{"k": [3, 3]}], None, "must have distinct and finite choices"),
        ([{"k": [3.0, float("nan")]}], None, "must have distinct and finite choices"),
        ([{"k": [3, "five"]}], None, "must be all numbers, all booleans or all strings"),
        ([{"k": [0, True]}], None, "must be all numbers, all booleans or all strings"),
        ([{"operation": [Operation("in", "input")]}], None, "must not have the role 'input'"),
        ([{"operation": [f"op{k}" for k in range(101)]}], None, "at most 100 operations"),
        (
            [{"operation": [Operation("a")]}, {"operation": [Operation("a", "identity")]}],
            None,
            "hyperparameter 'operation' of block 1 contradicts an earlier meaning of operation 'a'",
        ),
    ],
)
def test_a_bad_description_is_refused(blocks: object, count: int | None, message: str) -> None:
    with pytest.raises(InvalidDataError, match=message):
        ChainSpace(blocks, count)  # type: ignore[arg-type]


def test_graphs_are_paths_with_hyperparameters_on_their_nodes() -> None:
    space = small_chain()
    schema = space.graph_schema
    assert [operation.name for operation in schema.vocabulary] == ["input", "output", "conv", "skip", "block"]
    assert schema.feature_names == ("kernel", "act=relu", "act=swish", "ratio", "se")
    assert schema.node_names == ("input", "block0", "block1", "output")
    assert schema.node_operations.astype(int).tolist() == [
        [1, 0, 0, 0, 0],
        [0, 0, 1, 1, 0],
        [0, 0, 0, 0, 1],
        [0, 1, 0, 0, 0],
    ]
    graphs = space.to_graphs([[0, 1, 1, 2, 0, 1], [1, 1, 1, 0, 1, 0]])
    assert (graphs.adjacency == np.eye(4, k=1, dtype=bool)).all()
    assert graphs.operations.tolist() == [[0, 2, 4, 1], [0, 3, 4, 1]]
    assert graphs.features.dtype == np.float32
    assert graphs.features[0].tolist() == [[0] * 5, [5, 0, 1, 0, 0], [7, 0, 0, 0.5, 1], [0] * 5]
    assert graphs.features[1, 1].tolist() == [0] * 5, "an identity has no hyperparameters"
    assert graphs.features[1, 2].tolist() == [3, 0, 0, 1, 0]


def test_hyperparameters_of_an_identity_do_not_count() -> None:
    space = ChainSpace({"operation": ["skip", "conv"], "kernel": [3, 5]}, count=3)
    everything = space.enumerate()
    keys = everything.keys()
    assert len(np.unique(keys)) == 3**3, "per block: skip, conv 3, conv 5"
    graphs = space.to_graphs(everything).prune().keys()
    assert len(np.unique(np.column_stack([keys, graphs]), axis=0)) == len(np.unique(graphs)) == 27


def test_networks_that_block_the_signal_are_all_alike() -> None:
    space = ChainSpace({"operation": ["zero", "skip", "conv"], "kernel": [3, 5]}, count=2)
    assert len(np.unique(space.enumerate().keys())) == 3**2 + 1
    assert not space.to_graphs([[2, 0, 0, 1]]).prune().mask.any()


def test_all_combinations_are_neighbours_of_their_likes() -> None:
    space = small_chain()
    near, origin = space.neighbors(space.sample(3, seed=1))
    assert np.bincount(origin).tolist() == [1 + 1 + 1 + 2 + 1 + 1] * 3
    assert isinstance(ac.get_space("chain", blocks=[{"k": [1, 2]}]), ChainSpace)
    assert len(near) == 21
