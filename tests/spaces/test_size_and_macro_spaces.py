import numpy as np
import pytest
from archcast.errors import InvalidArchitectureError
from archcast.spaces import get_space
from hypothesis import given, settings
from hypothesis import strategies as st

SIZES = {
    "nats_size": 32_768,
    "nasbench_macro": 6_561,
    "transnasbench101_micro": 4_096,
    "transnasbench101_macro": 3_256,
}


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_sizes_are_those_published(name: str, size: int) -> None:
    space = get_space(name)
    everything = space.enumerate()
    assert space.size == len(everything) == size
    texts = everything.strings()
    assert len(set(texts)) == size
    assert space.parse(texts) == everything


def test_nats_size_reads_and_writes_channels() -> None:
    space = get_space("nats_size")
    assert space.parse("8:16:24:64:40").genotypes.tolist() == [[0, 1, 2, 7, 4]]
    assert space.format([[7, 0, 0, 3, 1]]) == ["64:8:8:32:16"]
    named = {f"block{layer}_channels": 8 for layer in range(5)}
    assert space.parse(named).strings() == ["8:8:8:8:8"]
    assert space.to_graphs("8:16:24:64:40").features[0, :, 0].tolist() == [0, 8, 16, 24, 64, 40, 0]
    assert len(np.unique(space.enumerate().keys())) == 32_768
    assert all(gene.ordered for gene in space.genes)


def test_nats_size_has_the_published_parameter_counts() -> None:
    cost = get_space("nats_size").complexity(["8:8:8:8:8", "8:8:16:40:40", "64:64:64:64:64"])
    assert cost is not None
    assert cost["params"].tolist() == [11_714, 107_826, 713_674]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("nats_size", "8:8:8:8", "expected 5 channel counts joined by ':', got 4"),
        ("nats_size", "8:8:12:8:8", "layer 3 must have 8, 16, .*, 64 channels, got '12'"),
        ("nats_size", "8:8:08:8:8", "layer 3 must have .*, got '08'"),
        ("nasbench_macro", "0012", "expected 8 digits, got 4 characters"),
        ("nasbench_macro", "00120013", "layer 8 must be 0, 1 or 2, got '3'"),
        ("nasbench_macro", "0012001²", "layer 8 must be 0, 1 or 2, got '²'"),
        ("transnasbench101_micro", "64-41414-1_02_33", "node 3 needs 3 operations, got '33'"),
        ("transnasbench101_micro", "64-41414-1_02_343", "operation on edge 1->3 must be in 0..3, got 4"),
        ("transnasbench101_micro", "32-41414-1_02_333", "expected text like '64-41414-1_02_333'"),
        ("transnasbench101_macro", "64-123-basic", "expected 4 to 6 modules, got 3"),
        ("transnasbench101_macro", "64-1254-basic", "module 3 must be 1, 2, 3 or 4, got 5"),
        ("transnasbench101_macro", "64-1234-bottleneck", "expected text like '64-1234-basic'"),
        ("transnasbench101_macro", "64-1133-basic", "expected 1 to 3 modules that double the channels .*, got 0"),
        ("transnasbench101_macro", "64-4441-basic", None),
        ("transnasbench101_macro", "64-4444-basic", "1 to 3 modules that double the channels .*, got 4"),
        ("transnasbench101_macro", "64-33334-basic", "1 to 4 modules that halve the resolution .*, got 5"),
        ("transnasbench101_macro", [0, 1, 2, 3, 0, 1], "module 6 needs module 5, which is absent"),
    ],
)
def test_bad_architectures_are_named(name: str, text: object, message: str | None) -> None:
    space = get_space(name)
    if message is None:
        assert space.format([text]) == [text]
        return
    with pytest.raises(InvalidArchitectureError, match=message):
        space.parse([text])


def test_nasbench_macro_has_the_published_number_of_distinct_networks() -> None:
    space = get_space("nasbench_macro")
    everything = space.enumerate()
    keys = everything.keys()
    assert len(np.unique(keys)) == 3_969
    reduced = space.to_graphs(everything).reduce().keys()
    assert len(np.unique(np.column_stack([keys, reduced]), axis=0)) == len(np.unique(reduced)) == 3_969


def test_an_identity_counts_only_where_a_stage_begins() -> None:
    space = get_space("nasbench_macro")
    moved = space.canonical(["12120121", "12102121", "12012121", "12120112"])
    assert moved[0] == moved[1]
    assert len(np.unique(moved)) == 3
    assert len(np.unique(space.canonical(["00001000", "00010000"]))) == 1
    assert len(np.unique(space.canonical(["00001000", "00000001", "00000010"]))) == 2
    names = [operation.name for operation in space.graph_schema.vocabulary]
    shown = space.to_graphs("01200012").operations[0].tolist()
    assert [names[k] for k in shown[1:9]] == [
        "downsample",
        "mbconv_k3_e3",
        "mbconv_k5_e6",
        "identity",
        "identity",
        "downsample",
        "mbconv_k3_e3",
        "mbconv_k5_e6",
    ]


def test_transnasbench_micro_reads_the_published_example() -> None:
    space = get_space("transnasbench101_micro")
    batch = space.parse(["64-41414-1_02_333", "1_02_333"])
    assert batch.genotypes.tolist() == [[1, 0, 2, 3, 3, 3]] * 2
    assert batch.strings() == ["64-41414-1_02_333"] * 2
    same = "|skip_connect~0|+|none~0|nor_conv_1x1~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    assert space.parse(same)[0] == batch[0]


def test_transnasbench_micro_ignores_what_is_on_no_path() -> None:
    space = get_space("transnasbench101_micro")
    key = space.canonical(["0_00_300", "3_00_300", "0_03_300", "0_30_300", "1_20_300", "1_00_300", "3_00_030"])
    assert len(np.unique(key[:6])) == 1
    assert key[6] != key[0]
    assert len(np.unique(space.canonical(["0_00_000", "3_33_000", "0_03_020"]))) == 1
    two_ways = space.canonical(["2_00_030", "0_20_003"])  # through node 1, through node 2
    assert two_ways[0] == two_ways[1]


def test_transnasbench_macro_reads_the_published_examples() -> None:
    space = get_space("transnasbench101_macro")
    batch = space.parse(["64-1234-basic", "64-2311-basic", "11223", "64-111114-basic"])
    assert batch.strings() == ["64-1234-basic", "64-2311-basic", "64-11223-basic", "64-111114-basic"]
    graphs = space.to_graphs(batch)
    assert graphs.features[0, 1:5].tolist() == [[64, 64], [128, 64], [128, 32], [256, 16]]
    assert graphs.mask.sum(axis=1).tolist() == [6, 6, 7, 8]
    assert graphs.prune().mask.sum(axis=1).tolist() == [6, 6, 7, 8], "every module is on the path"
    assert (graphs.adjacency.sum(axis=(1, 2)) == graphs.mask.sum(axis=1) - 1).all()
    assert len(np.unique(space.enumerate().keys())) == 3_256


def test_transnasbench_macro_counts_as_the_paper_does() -> None:
    expected = 0
    for length in (4, 5, 6):
        for code in range(4**length):
            kinds = [code >> 2 * k & 3 for k in range(length)]
            doublings, halvings = sum(kind & 1 for kind in kinds), sum(kind >> 1 for kind in kinds)
            expected += 1 <= doublings <= 3 and 1 <= halvings <= 4
    assert expected == get_space("transnasbench101_macro").size


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 1000), name=st.sampled_from(sorted(SIZES)))
def test_moves_stay_inside_the_space(seed: int, name: str) -> None:
    space = get_space(name)
    parents = space.sample(6, seed=seed)
    mutants = space.mutate(parents, seed=seed)
    children = space.crossover(parents, mutants, seed=seed)
    for batch in (mutants, children):
        assert space.is_valid(batch.genotypes).all()
        assert space.parse(batch.strings()) == batch
    assert ((mutants.genotypes != parents.genotypes).sum(axis=1) == 1).all()
