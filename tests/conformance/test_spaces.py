"""What every registered search space must do."""

import inspect
import json
import os
import pickle
import subprocess
import sys
from hashlib import sha256

import numpy as np
import pytest
from archcast.errors import ArchcastError, InvalidArchitectureError, InvalidDataError
from archcast.spaces import SPACES, Architectures, SearchSpace, Skeleton, get_space, space_from_spec
from hypothesis import given, settings
from hypothesis import strategies as st

# Names that stand for a family: parameters to try. All other names are built without any.
PARAMETERS = {
    "cell": [
        {"operations_on": "edges", "nodes": 4, "operations": ["none", "skip_connect", "nor_conv_3x3"]},
        {"operations_on": "nodes", "nodes": 5, "operations": ["conv3x3-bn-relu", "maxpool3x3"], "max_edges": 6},
    ],
    "chain": [
        {"blocks": {"operation": ["skip", "conv"], "kernel": [3, 5], "se": [False, True]}, "count": 3},
        {"blocks": [{"width": [8, 16, 32, 64]}, {"act": ["relu", "swish"], "depth": [1, 2, 3]}]},
    ],
}
# By how many genes neighbours may differ, where the documentation of a space says that it is not one.
STEPS = {"nasbench_nlp": {1, 3}}
# The smallest sample every space can give.
N = 12

CASES = [
    pytest.param((name, parameters), id=f"{name}-{i}" if name in PARAMETERS else name)
    for name in SPACES.names()
    for i, parameters in enumerate(PARAMETERS.get(name, [{}]))
]


@pytest.fixture(scope="module", params=CASES)
def space(request):
    name, parameters = request.param
    return get_space(name, **parameters)


def digest(space):
    batch = space.sample(N, seed=3)
    moved = space.crossover(space.mutate(batch, seed=4), batch, seed=5)
    parts = [batch.genotypes, moved.genotypes, batch.keys(), "\n".join(space.format(batch)).encode()]
    return sha256(b"|".join(np.asarray(p).tobytes() if not isinstance(p, bytes) else p for p in parts)).hexdigest()


OTHER_PROCESS = """
import json, sys
from hashlib import sha256
import numpy as np
from archcast.spaces import space_from_spec
N = {n}

{source}
print(json.dumps([digest(space_from_spec(spec)) for spec in json.load(sys.stdin)]))
"""


@pytest.fixture(scope="module")
def digests_elsewhere():
    specs = [get_space(name, **parameters).spec for ((name, parameters),) in (case.values for case in CASES)]
    script = OTHER_PROCESS.format(n=N, source=inspect.getsource(digest))
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    run = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        input=json.dumps(specs),
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    return {json.dumps(spec): value for spec, value in zip(specs, json.loads(run.stdout), strict=True)}


def test_spec_rebuilds_an_equal_space(space):
    again = space_from_spec(json.loads(json.dumps(space.spec)))
    assert again == space
    assert hash(again) == hash(space)
    assert [gene.name for gene in again.genes] == [gene.name for gene in space.genes]
    assert space.sample(N, seed=0) == again.sample(N, seed=0)


def test_same_seed_gives_the_same_in_another_process(space, digests_elsewhere):
    assert digest(space) == digests_elsewhere[json.dumps(space.spec)]


def test_sample(space):
    batch = space.sample(N, seed=0)
    assert len(batch) == N
    assert space.is_valid(batch.genotypes).all()
    assert len(np.unique(batch.genotypes, axis=0)) == N
    assert batch == space.sample(N, seed=0)
    assert batch != space.sample(N, seed=1)
    apart = space.sample(N, seed=0, canonical=True)
    assert len(np.unique(apart.keys())) == N
    assert len(space.sample(0, seed=0)) == 0
    assert len(space.sample(3 * N, seed=0, distinct=False)) == 3 * N
    with pytest.raises(InvalidDataError, match="-1"):
        space.sample(-1, seed=0)


def test_gene_names_are_distinct(space):
    assert len({gene.name for gene in space.genes}) == space.dimension
    assert space.cardinalities.tolist() == [len(set(gene.choices)) for gene in space.genes]


@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 2**32 - 1))
def test_parse_is_the_inverse_of_format(space, seed):
    batch = space.sample(3, seed)
    texts = space.format(batch)
    assert space.parse(texts) == batch
    assert space.format(space.parse(texts)) == texts
    assert len(set(texts)) == len(texts)


def test_parse_takes_all_notations(space):
    batch = space.sample(4, seed=0)
    first, second, third, fourth = batch
    mixed = [str(first), second.genotype, third, np.array(fourth.genotype)]
    assert space.parse(mixed) == batch
    assert space.parse(batch) is batch
    assert space.parse(batch.genotypes) == batch
    assert space.parse(str(first)) == batch[:1]
    assert space.architectures(first) == batch[:1]
    assert space.parse(f"  {first}\n") == batch[:1]


def test_enumeration(space):
    if not space._is_enumerable and type(space).enumerate is SearchSpace.enumerate:
        with pytest.raises(ArchcastError, match="too many"):
            space.enumerate()
        return
    rows = space.enumerate().genotypes
    assert len(rows) == space.size
    assert space.is_valid(rows).all()
    assert (np.lexsort(rows.T[::-1]) == np.arange(len(rows))).all()
    assert (rows[1:] != rows[:-1]).any(axis=1).all()


def test_no_more_than_there_are(space):
    if space._is_enumerable:
        with pytest.raises(InvalidDataError, match=str(space.size + 1)):
            space.sample(space.size + 1, seed=0)
        assert len(space.sample(space.size, seed=0)) == space.size
    else:
        assert len(space.sample(500, seed=0)) == 500


def test_random_rows_are_valid_or_explained(space):
    rows = np.random.default_rng(0).integers(0, space.cardinalities, size=(30, space.dimension))
    for row, valid in zip(rows, space.is_valid(rows), strict=True):
        assert (space.explain_invalid(row) is None) == valid
        if valid:
            assert space.parse(space.format(row[None])).genotypes.tolist() == [row.tolist()]


def test_neighbors(space):
    batch = space.sample(3, seed=1)
    near, origin = space.neighbors(batch)
    assert len(near) == len(origin)
    assert space.is_valid(near.genotypes).all()
    assert (np.diff(origin) >= 0).all()
    changed = (near.genotypes != batch.genotypes[origin]).sum(axis=1)
    assert set(changed.tolist()) <= STEPS.get(space.name, {1})
    found = [set(map(tuple, near.genotypes[origin == i].tolist())) for i in range(len(batch))]
    assert sum(map(len, found)) == len(near)
    for i, row in enumerate(batch.genotypes.tolist()):
        for position, cardinality in enumerate(space.cardinalities.tolist()):
            for value in {0, cardinality - 1} - {row[position]}:
                other = [*row[:position], value, *row[position + 1 :]]
                assert (tuple(other) in found[i]) == bool(space.is_valid(np.array([other]))[0])


def test_mutate(space):
    batch = space.sample(N, seed=2)
    mutants = space.mutate(batch, seed=0)
    assert space.is_valid(mutants.genotypes).all()
    changed = (mutants.genotypes != batch.genotypes).sum(axis=1)
    assert set(changed.tolist()) <= STEPS.get(space.name, {1})
    assert mutants == space.mutate(batch, seed=0)
    assert mutants != space.mutate(batch, seed=1)
    for count in (0, space.dimension + 1):
        with pytest.raises(InvalidDataError, match=str(count)):
            space.mutate(batch, seed=0, n_genes=count)


def test_crossover(space):
    mothers, fathers = space.sample(N, seed=3), space.sample(N, seed=4)
    children = space.crossover(mothers, fathers, seed=0)
    genes = children.genotypes
    assert space.is_valid(genes).all()
    assert ((genes == mothers.genotypes) | (genes == fathers.genotypes)).all()
    assert children == space.crossover(mothers, fathers, seed=0)
    assert space.crossover(mothers, mothers, seed=0) == mothers
    with pytest.raises(InvalidDataError):
        space.crossover(mothers, fathers[:-1], seed=0)


def test_canonical_is_a_function_of_the_row_alone(space):
    batch = space.sample(N, seed=5)
    keys = space.canonical(batch)
    assert keys.shape == (N,)
    assert keys.dtype == np.uint64
    assert (space.canonical(batch[::-1]) == keys[::-1]).all()
    assert [int(space.canonical(arch)[0]) for arch in batch] == keys.tolist()
    twice = np.repeat(batch.genotypes, 2, axis=0)
    assert (space.canonical(twice) == np.repeat(keys, 2)).all()


def test_graphs(space):
    batch = space.sample(N, seed=6)
    graphs = space.to_graphs(batch)
    schema = graphs.schema
    v = schema.num_nodes
    assert schema.node_operations.shape == (v, len(schema.vocabulary))
    assert not np.tril(schema.possible_edges).any()
    assert len(set(schema.node_names)) == v
    assert len({operation.name for operation in schema.vocabulary}) == len(schema.vocabulary)
    assert not (graphs.adjacency & ~schema.possible_edges).any()
    either = graphs.mask[:, :, None] & graphs.mask[:, None, :]
    assert not (graphs.adjacency & ~either).any()
    node, word = np.broadcast_to(np.arange(v), graphs.mask.shape)[graphs.mask], graphs.operations[graphs.mask]
    assert schema.node_operations[node, word].all()
    assert (graphs.features[~graphs.mask] == 0).all()
    assert np.isfinite(graphs.features).all()
    assert np.isfinite(graphs.graph_features).all()
    assert graphs.has_role("input").any(axis=1).all()
    assert graphs.has_role("output").any(axis=1).all()
    one = space.to_graphs(batch[3])
    assert (one.adjacency[0] == graphs.adjacency[3]).all()
    assert (one.operations[0] == graphs.operations[3]).all()


def test_pruning_twice_is_pruning_once(space):
    once = space.to_graphs(space.sample(N, seed=7)).prune()
    again = once.prune()
    assert (once.mask == again.mask).all()
    assert (once.adjacency == again.adjacency).all()
    assert (once.keys() == again.keys()).all()


def test_complexity(space):
    batch = space.sample(N, seed=8)
    found = space.complexity(batch)
    if found is not None:
        assert set(found) == {"params", "flops"}
        for values in found.values():
            assert values.shape == (N,)
            assert np.isfinite(values).all()
            assert (values >= 0).all()
            assert (values == np.round(values)).all()


def test_networks_are_built_or_refused(space):
    torch = pytest.importorskip("torch")
    architecture, skeleton = space.sample(1, seed=10)[0], Skeleton((2, 40), 3, channels=8)
    try:
        network = space.build(architecture, skeleton, seed=0)
    except InvalidDataError as error:
        keys = {gene.name.split("_", 1)[-1] for gene in space.genes}
        assert any(repr(key) in str(error) for key in keys), error
    except ArchcastError as error:
        assert space.network is None
        assert str(error) == f"there are no networks for architectures of space {space.name!r}"
    else:
        assert network(torch.randn(4, 2, 40)).shape == (4, 3)
        assert network.eval()(torch.randn(1, 2, 40)).isfinite().all()


def test_an_empty_batch(space):
    empty = space.sample(0, seed=0)
    assert space.format(empty) == []
    assert len(space.parse([])) == 0
    assert space.canonical(empty).shape == (0,)
    assert len(space.to_graphs(empty).prune()) == 0
    assert len(space.neighbors(empty)[0]) == 0
    assert len(space.mutate(empty, seed=0)) == 0


def test_pickle(space):
    batch = space.sample(N, seed=9)
    space.to_graphs(batch)
    again = pickle.loads(pickle.dumps(batch))
    assert again == batch
    assert hash(again) == hash(batch)
    assert (again.keys() == batch.keys()).all()
    arch = pickle.loads(pickle.dumps(batch[0]))
    assert arch == batch[0]
    assert {arch: 1}[batch[0]] == 1
    assert str(arch) == str(batch[0])
    assert len(pickle.dumps(space)) < 200_000


FOREIGN = get_space("cell", operations_on="edges", nodes=3, operations=["a", "b"]).sample(2, seed=0)


def bad_items(space):
    row = space.sample(1, seed=0).genotypes[0].tolist()
    yield [*row, 0], "integers"
    yield row[:-1] or [0, 0], "integers"
    yield [int(space.cardinalities[0]), *row[1:]], str(int(space.cardinalities[0]))
    yield [-1, *row[1:]], "-1"
    yield np.array([*row[:-1], 999]), "999"
    yield "", ""
    yield "no such architecture", ""
    yield str(space.sample(1, seed=0)[0])[:-2], ""
    yield FOREIGN[0], "cell"
    yield object(), "object"
    yield None, "None"
    yield 3.5, "float"
    yield {}, ""
    yield [], ""


def test_bad_items_are_named_with_their_position(space):
    good = space.sample(1, seed=0)[0]
    for item, expected in bad_items(space):
        with pytest.raises(InvalidArchitectureError, match="architecture 1 ") as error:
            space.parse([good, item])
        assert expected in str(error.value)
        assert "\n" not in str(error.value)


def test_bad_batches(space):
    rows = space.sample(3, seed=0).genotypes.copy()
    rows[2, -1] = 99
    with pytest.raises(InvalidArchitectureError, match=r"architecture 2 .*99"):
        space.parse(rows)
    for item in (3.5, None, object()):
        with pytest.raises(InvalidArchitectureError, match="architecture 0 "):
            space.parse(item)
    with pytest.raises(InvalidArchitectureError, match="shape"):
        space.parse(np.zeros((2, space.dimension + 1), dtype=np.int64))
    with pytest.raises(InvalidArchitectureError, match="shape"):
        Architectures(space, np.zeros((2, space.dimension + 1), dtype=np.int64))
    with pytest.raises(InvalidArchitectureError, match="'cell'"):
        space.architectures(FOREIGN)
    with pytest.raises(InvalidArchitectureError, match="at least one"):
        Architectures.concatenate([])
    with pytest.raises(InvalidArchitectureError, match="cannot join"):
        Architectures.concatenate([space.sample(1, seed=0), FOREIGN])
