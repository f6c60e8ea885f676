from __future__ import annotations

import pickle
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import archcast as ac
import numpy as np
import pytest
from archcast.benchmarks_data import Column, MetricInfo, Table, write_table
from archcast.errors import InvalidArchitectureError, InvalidDataError, UnknownNameError
from hypothesis import given, settings
from hypothesis import strategies as st

STRING = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|"


@pytest.fixture(scope="module")
def space():
    return ac.get_space("nasbench201")


@pytest.fixture(scope="module")
def shipped():
    return ac.load_table("nasbench201")


@pytest.fixture(scope="module")
def small(tmp_path_factory, space):
    """Six architectures, 0 and 1 isomorphic twins, three seeds, two epochs, with holes."""
    archs = space.parse([[3, 0, 1, 0, 0, 0], [0, 3, 0, 1, 0, 0], [3, 3, 3, 3, 3, 3], [0] * 6, [1] * 6, [2] * 6])
    score = np.arange(36, dtype=float).reshape(6, 3, 2)
    score[1, 0, :] = np.nan
    score[2, :, 1] = np.nan
    columns = [
        Column(MetricInfo("toy/score", "%", "higher", "a note", (12, 200), (7, 8, 9)), score),
        Column(MetricInfo("toy/loss", "", "lower"), np.array([0.3, 0.1, 0.2, np.nan, 0.1, 0.5])),
        Column(MetricInfo("toy/seconds", "s", "lower", "", (12, 200)), np.arange(12.0).reshape(6, 1, 2)),
    ]
    about = {"name": "toy", "cost_metric": "toy/seconds"}
    return Table(write_table(tmp_path_factory.mktemp("t") / "toy.h5", space, archs, columns, about=about))


def test_values_average_the_seeds_that_are_there(small):
    last = small.values("toy/score")
    assert last.dtype == np.float64
    np.testing.assert_array_equal(last[[0, 1]], [3.0, 10.0])  # row 1: seeds 8 and 9 give 9 and 11
    assert np.isnan(last[2])  # missing in all seeds: not 0
    np.testing.assert_array_equal(small.values("toy/score", epoch=200), last)
    np.testing.assert_array_equal(small.values("toy/score", epoch=12)[:3], [2.0, 9.0, 14.0])
    np.testing.assert_array_equal(small.values("toy/score", epoch=12, seed=8)[:3], [2.0, 8.0, 14.0])
    assert np.isnan(small.values("toy/score", seed=7)[1])


def test_values_with_whole_axes(small):
    assert small.values("toy/score", seed="all").shape == (6, 3)
    assert small.values("toy/score", epoch="all").shape == (6, 2)
    assert small.values("toy/score", epoch="all", seed="all").shape == (6, 3, 2)
    assert small.values("toy/score", epoch="all", seed=9).shape == (6, 2)
    assert small.values("toy/loss", epoch="all").shape == (6, 1)
    curves = small.values("toy/score", epoch="all", seed="all")
    np.testing.assert_array_equal(curves[:, 1, 0], small.values("toy/score", epoch=12, seed=8))


@pytest.mark.parametrize(
    ("metric", "epoch", "seed", "named"),
    [
        ("toy/scores", None, None, "did you mean 'toy/score'"),
        ("toy/score", 100, None, "its epochs are: 12, 200"),
        ("toy/score", None, 0, "its seeds are: 7, 8, 9"),
        ("toy/score", True, None, "no epoch True"),
        ("toy/score", "last", None, "no epoch 'last'"),
        ("toy/loss", 200, None, "its epochs are: none"),
    ],
)
def test_unknown_names_are_answered_with_those_there(small, metric, epoch, seed, named):
    with pytest.raises(UnknownNameError, match=named):
        small.values(metric, epoch=epoch, seed=seed)


def test_directions_best_and_costs(small, space):
    assert small.is_higher_better("toy/score") and not small.is_higher_better("toy/loss")
    assert small.best("toy/score", k=3).tolist() == [5, 4, 3]
    assert small.best("toy/loss", k=3).tolist() == [1, 4, 2]  # ties in row order, missing ones never
    np.testing.assert_array_equal(small.costs, [1, 3, 5, 7, 9, 11])
    with pytest.raises(InvalidDataError, match="5 known values"):
        small.best("toy/loss", k=6)


def test_tables_without_known_costs_say_so(shipped):
    assert shipped.costs.shape == (15625,) and np.isnan(shipped.costs).all()


def test_rows_by_genotype_and_canonical(small, space):
    wanted = space.parse([[2] * 6, [3, 0, 1, 0, 0, 0], [0, 3, 0, 1, 0, 0]])
    assert small.rows(wanted).tolist() == [5, 0, 1]
    absent = space.parse([[3, 0, 0, 0, 1, 0]])
    assert small.rows(absent, missing="-1").tolist() == [-1]
    with pytest.raises(InvalidArchitectureError, match=r"architecture 1 .* is not in table 'toy' of 6 rows"):
        small.rows(ac.Architectures(space, np.concatenate([wanted.genotypes[:1], absent.genotypes])))
    with pytest.raises(InvalidDataError, match="by='genotype' or 'canonical'"):
        small.rows(wanted, by="hash")


def test_canonical_lookup_finds_a_twin(shipped, space):
    half = shipped.select(shipped.best("cifar10/test_accuracy", k=5000))
    outside = np.setdiff1d(np.arange(len(shipped)), half._rows)
    found = half.rows(shipped.architectures[outside], by="canonical", missing="-1")
    expected = np.isin(shipped.canonical_keys[outside], half.canonical_keys)
    np.testing.assert_array_equal(found >= 0, expected)
    hit = found >= 0
    assert hit.any()
    np.testing.assert_array_equal(half.canonical_keys[found[hit]], shipped.canonical_keys[outside][hit])


@given(st.lists(st.integers(0, 15624), min_size=1, max_size=30))
@settings(max_examples=25, deadline=None)
def test_rows_inverts_indexing(rows):
    table = ac.load_table("nasbench201")
    assert table.rows(table.architectures[np.array(rows)]).tolist() == rows


def test_query_takes_any_notation(shipped, space):
    genotype = space.parse(STRING)
    y = shipped.values("cifar10/test_accuracy", epoch=200)
    for notation in (STRING, [STRING], genotype, genotype[0], genotype.genotypes, [genotype.genotypes[0].tolist()]):
        assert shipped.query(notation, "cifar10/test_accuracy", 200).tolist() == [94.3733]
    assert shipped.query([STRING], "cifar10/test_accuracy", epoch="all").shape == (1, 2)
    assert y.max() == 94.3733
    with pytest.raises(InvalidArchitectureError, match="architecture 1"):
        shipped.query([STRING, "|conv~0|"], "cifar10/test_accuracy")


def test_select_is_a_view_in_the_given_order(small):
    view = small.select(np.array([4, 1, 2]))
    assert len(view) == 3 and view.architectures == small.architectures[[4, 1, 2]]
    np.testing.assert_array_equal(view.values("toy/score"), small.values("toy/score")[[4, 1, 2]])
    again = view.select(np.array([False, True, True]))
    np.testing.assert_array_equal(again.values("toy/loss"), small.values("toy/loss")[[1, 2]])
    assert again.rows(small.architectures[[2]]).tolist() == [1]
    assert again.rows(small.architectures[[0]], missing="-1").tolist() == [-1]
    assert len(small.select(np.array([]))) == 0
    assert small.select(np.array([], dtype=int)).rows(small.architectures[[0]], missing="-1").tolist() == [-1]


@pytest.mark.parametrize(
    ("rows", "said"),
    [([0, 0], "distinct"), ([6], "0..5"), ([-1], "0..5"), ([0.5], "distinct integers"), ([True, False], "6 entries")],
)
def test_select_refuses(small, rows, said):
    with pytest.raises(InvalidDataError, match=said):
        small.select(np.array(rows))


def test_join_against_loops(shipped):
    rng = np.random.default_rng(0)
    left = shipped.select(rng.permutation(15625)[:300])
    right = shipped.select(rng.permutation(15625)[:300])
    for on, keys in (("canonical", "canonical_keys"), ("genotype", "architectures")):
        a, b = list(getattr(left, keys)), list(getattr(right, keys))
        expected = [(i, j) for i in range(300) for j in range(300) if a[i] == b[j]]
        mine, theirs = left.join(right, on=on)
        assert list(zip(mine.tolist(), theirs.tolist(), strict=True)) == expected and expected


def test_join_refuses_another_space(shipped):
    with pytest.raises(InvalidDataError, match="cannot join"):
        shipped.join(ac.load_table("accel_nasbench"))


def test_split_is_deterministic_nested_and_complete(shipped):
    train, test = shipped.split(156, seed=3)
    again, _ = shipped.split(156, seed=3)
    fewer, _ = shipped.split(78, seed=3)
    assert train.tolist() == again.tolist() and train[:78].tolist() == fewer.tolist()
    assert sorted([*train, *test]) == list(range(15625)) and (np.diff(test) > 0).all()
    assert train.tolist() != shipped.split(156, seed=4)[0].tolist()
    assert train[:3].tolist() == np.random.default_rng(3).permutation(15625)[:3].tolist()


def test_split_without_twins(shipped):
    train, test = shipped.split(500, seed=0)
    leaked = shipped.leakage(train, test)
    same, clean = shipped.split(500, seed=0, avoid_twins=True)
    assert leaked > 0 and shipped.leakage(same, clean) == 0
    assert same.tolist() == train.tolist() and len(test) - len(clean) == leaked
    assert not set(shipped.canonical_keys[same].tolist()) & set(shipped.canonical_keys[clean].tolist())


def test_split_among_known_rows(small):
    known = ~np.isnan(small.values("toy/loss"))
    train, test = small.split(2, seed=0, among=known)
    assert sorted([*train, *test]) == [0, 1, 2, 4, 5]
    for n in (0, 5, -1):
        with pytest.raises(InvalidDataError, match="between 1 and 4"):
            small.split(n, seed=0, among=known)


def test_tables_travel_to_other_processes(small):
    copy = pickle.loads(pickle.dumps(small.select(np.array([2, 0]))))
    assert copy.rows(small.architectures[[0]]).tolist() == [1]
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        values = pool.submit(copy.values, "toy/loss").result(60)
    np.testing.assert_array_equal(values, [0.2, 0.3])


def test_pickles_stay_small(shipped):
    _ = shipped.architectures, shipped.canonical_keys
    assert len(pickle.dumps(shipped)) < 20_000


def test_values_are_the_callers_own(small):
    small.values("toy/loss")[:] = 0
    assert small.values("toy/loss")[0] == 0.3


def test_summary(shipped):
    summary = shipped.summary()
    assert (summary.architectures, summary.classes) == (15625, 6466)
    first = next(item for item in summary.metrics if item.metric == "cifar10/test_accuracy")
    assert first.best == STRING and (first.count, first.missing, first.epoch) == (15625, 0, 200)
    assert 0.89 < first.twin_tau < 0.92 and first.seed_tau is None
    assert summary.to_dict()["metrics"][0]["metric"] == summary.metrics[0].metric


def test_summary_of_holes_and_seeds(small):
    loss, score, _ = sorted(small.summary().metrics, key=lambda item: item.metric)[:3]
    assert (loss.metric, loss.count, loss.missing, loss.minimum, loss.epoch) == ("toy/loss", 5, 1, 0.1, None)
    assert loss.twin_tau is None  # a handful of pairs says nothing
    assert score.metric == "toy/score" and score.seeds == 3


def test_noise_ceilings_against_known_agreement():
    from archcast.benchmarks_data.summary import seed_tau, twin_tau

    values = np.arange(80.0)
    keys = np.repeat(np.arange(40), 2).astype(np.uint64)
    assert twin_tau(values, keys) == 1.0  # twin 2i and 2i + 1 rise together
    flipped = values.copy()
    flipped[1::2] = -values[0::2]
    assert twin_tau(flipped, keys) == -1.0
    gap = values.copy()
    gap[:24] = np.nan  # 28 classes left with twins
    assert twin_tau(gap, keys) is None
    seeds = np.stack([np.arange(40.0), np.arange(40.0), -np.arange(40.0)], axis=1)
    assert seed_tau(seeds) == pytest.approx(-1 / 3)
    assert seed_tau(seeds[:, :1]) is None


def test_opening_reads_no_column(small, monkeypatch):
    import h5py

    def refuse(*_):
        raise AssertionError("a column was read")

    monkeypatch.setattr(h5py.Dataset, "__getitem__", refuse)
    table = Table(small.path)
    assert len(table) == 6 and len(table.metrics) == 3 and "toy" in repr(table)


def test_package_import_is_lazy():
    import subprocess

    code = "import sys, archcast; assert 'h5py' not in sys.modules; archcast.load_table; archcast.Table"
    subprocess.run([sys.executable, "-c", code], check=True)
