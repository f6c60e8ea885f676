"""What every registered design promises, whatever it is made of."""

import json
import subprocess
import sys

import archcast as ac
import numpy as np
import pytest
from archcast.designs import DESIGNS, Design, make_design
from archcast.errors import InvalidDataError
from archcast.spaces import Architectures
from sklearn.base import clone

NAMES = DESIGNS.names()
QUICK = {name: {"candidates": 200} for name in NAMES if name != "random"}
SPACES = {
    "nasbench201": ac.get_space("nasbench201"),  # looked at whole, many twins
    "darts": ac.get_space("darts"),  # sampled
    "nasbench_nlp": ac.get_space("nasbench_nlp"),  # of unknown size, most genotypes invalid
    "mnasnet_chain": ac.get_space("mnasnet_chain"),  # no graphs but chains
}
TINY = ac.get_space("cell", nodes=3, operations=["none", "skip_connect", "conv_3x3"])


def build(name):
    return make_design(name, **QUICK.get(name, {}))


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def pools():
    """Batches of one space with duplicates and isomorphic twins."""
    space = SPACES["nasbench201"]
    batch = space.sample(150, seed=2)
    return Architectures.concatenate([batch, batch[:20]])


def test_is_a_design_with_parameters_stored_untouched(name, pools):
    design = build(name)
    assert isinstance(design, Design)
    assert clone(design).get_params() == design.get_params()
    before = dict(vars(design))
    design.choose(pools, 3)
    assert vars(design) == before


@pytest.mark.parametrize("space_name", SPACES)
def test_chooses_distinct_architectures_of_a_space(name, space_name):
    space = SPACES[space_name]
    chosen = build(name).choose(space, 12, seed=3)
    assert len(chosen) == 12
    assert chosen.space == space
    assert space.is_valid(chosen.genotypes).all()
    assert len(np.unique(chosen.keys())) == 12
    assert build(name).choose(space, 12, seed=3) == chosen


def test_chooses_rows_of_a_pool(name, pools):
    rows = build(name).rows(pools, 25, seed=1)
    assert rows.shape == (25,)
    assert rows.dtype == np.intp
    assert ((rows >= 0) & (rows < len(pools))).all()
    assert len(np.unique(pools[rows].keys())) == 25
    assert build(name).choose(pools, 25, seed=1) == pools[rows]
    assert build(name).choose(list(pools), 25, seed=1) == pools[rows]
    np.testing.assert_array_equal(build(name).rows(pools, np.int64(25), seed=np.int64(1)), rows)


def test_other_seeds_choose_otherwise(name):
    space = SPACES["nasbench201"]
    assert len({build(name).choose(space, 5, seed=seed) for seed in range(3)}) == 3


def test_takes_all_there_are_and_refuses_more(name, pools):
    keys = np.unique(pools.keys())
    everything = build(name).rows(pools, len(keys), seed=0)
    np.testing.assert_array_equal(np.sort(pools[everything].keys()), keys)
    with pytest.raises(InvalidDataError, match=rf"{len(keys) + 1} architectures .* got {len(keys)} among {len(pools)}"):
        build(name).rows(pools, len(keys) + 1)
    classes = len(np.unique(TINY.enumerate().keys()))
    assert len(build(name).choose(TINY, classes)) == classes
    with pytest.raises(InvalidDataError, match=f"got {classes} among {len(TINY.enumerate())} of space 'cell'"):
        build(name).choose(TINY, classes + 1)


@pytest.mark.parametrize(("n", "seed", "message"), [(0, 0, "n must"), (2.5, 0, "n must"), (3, -1, "seed must")])
def test_refuses_bad_numbers(name, pools, n, seed, message):
    with pytest.raises(InvalidDataError, match=message):
        build(name).choose(pools, n, seed)


def test_another_process_chooses_the_same(pools):
    cases = {name: [QUICK.get(name, {}), build(name).rows(pools, 6, seed=4).tolist()] for name in NAMES}
    script = (
        "import json, sys, archcast as ac\n"
        "given = json.load(sys.stdin)\n"
        "pool = ac.get_space('nasbench201').architectures(given['genotypes'])\n"
        "rows = {name: ac.make_design(name, **p).rows(pool, 6, seed=4).tolist() for name, p in given['of'].items()}\n"
        "print(json.dumps(rows))\n"
    )
    given = {"genotypes": pools.genotypes.tolist(), "of": {name: parameters for name, (parameters, _) in cases.items()}}
    command = [sys.executable, "-c", script]
    output = subprocess.run(command, input=json.dumps(given), check=True, capture_output=True, text=True).stdout
    assert json.loads(output) == {name: rows for name, (_, rows) in cases.items()}
