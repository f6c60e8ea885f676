"""What every shipped table must hold, and what is known about each."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from archcast.benchmarks_data import TABLES, load_table
from archcast.errors import UnknownNameError
from archcast.spaces import space_from_spec
from scipy.stats import kendalltau

UNITS = {"", "%", "fraction", "s", "ms", "million", "images/s"}
LOWER = {"unfinished", "loss", "time", "latency", "std", "macs", "parameters", "flops", "seconds"}
SIZES = {
    "nasbench201": 15_625,
    "nasbench_graph_cora": 26_206,
    "nasbench_graph_citeseer": 26_206,
    "nasbench_graph_pubmed": 26_206,
    "nasbench_graph_arxiv": 26_206,
    "nasbench_graph_proteins": 2_021,
    "accel_nasbench": 5_125,
    "nasbench_nlp": 277,
    "mnist1d_nasbench201": 6_466,
}
LARGEST = {"mnist1d_nasbench201": 15_000_000}
"""Bytes; of a table with the learning curves of several seeds."""
# (table, metric, epoch): minimum, mean, maximum, missing
FACTS = {
    ("nasbench201", "cifar10/test_accuracy", 200): (10.0, 87.0424, 94.3733, 0),
    ("nasbench201", "cifar10/test_accuracy", 12): (10.0, 75.9842, 89.16, 0),
    ("nasbench_graph_cora", "cora/test_accuracy", None): (0.092, 0.75432, 0.83133, 0),
    ("nasbench_graph_arxiv", "arxiv/test_accuracy", None): (0.36088, 0.69547, 0.72386, 0),
    ("nasbench_graph_proteins", "proteins/test_roc_auc", None): (0.66968, 0.76630, 0.79263, 0),
    ("accel_nasbench", "imagenet/top1", None): (42.85, 60.1799, 67.052, 0),
    ("accel_nasbench", "tpuv3/throughput", None): (633.658, 1227.285, 1803.315, 44),
    ("nasbench_nlp", "wikitext2/valid_loss", 50): (4.5695, 5.663, 7.4154, 2),
}


@pytest.fixture(scope="module", params=TABLES.names())
def table(request):
    return load_table(request.param)


def test_opens_and_describes_itself(table):
    about = table.about
    assert all(about[key] for key in ("name", "description", "source", "licence", "citation", "conversion")), about
    assert about["name"] == table.path.stem
    assert table.path.stat().st_size < LARGEST.get(table.name, 1_000_000)
    assert TABLES.summary(table.name)


def test_space_is_registered_and_rebuilt_from_its_spec(table):
    assert space_from_spec(table.space.spec) == table.space == table.architectures.space


def test_architectures_are_valid_distinct_and_found(table):
    archs = table.architectures
    assert archs.shape == (len(table), table.space.dimension)
    assert table.space.is_valid(archs.genotypes).all()
    assert len(np.unique(archs.genotypes, axis=0)) == len(table)
    rows = np.random.default_rng(0).permutation(len(table))[:200]
    assert table.rows(archs[rows]).tolist() == rows.tolist()
    assert table.rows(archs[rows].strings()).tolist() == rows.tolist()
    assert table.rows(archs[rows], by="canonical").tolist() == rows.tolist()


def test_metrics_say_what_they_mean(table):
    for name, info in table.metrics.items():
        assert info.name == name and info.unit in UNITS and info.note
        assert info.direction == ("lower" if set(name.partition("/")[2].split("_")) & LOWER else "higher"), name
        assert table.is_higher_better(name) == info.higher_is_better
        if info.unit in ("s", "ms", "million", "images/s"):
            assert np.nanmin(table.values(name)) > 0


def test_values_are_finite_or_missing(table):
    for name, info in table.metrics.items():
        values = table.values(name, epoch="all", seed="all")
        assert values.dtype == np.float64 and values.shape == (len(table), *info.shape)
        assert not np.isinf(values).any() and (~np.isnan(values)).any()
        bound = {"%": 100.0, "fraction": 1.0}.get(info.unit)
        if bound is not None:
            assert np.nanmin(values) >= 0 and np.nanmax(values) <= bound
            assert np.nanmax(values) > bound / 5, "a fraction in per cent, or the other way round"
        best = table.best(name)[0]
        chosen = np.nanmax if info.higher_is_better else np.nanmin
        assert table.values(name)[best] == chosen(table.values(name))


def test_every_seed_has_some_value_and_seeds_are_filled_in_order(table):
    for name in table.metrics:
        known = ~np.isnan(table.values(name, epoch="all", seed="all")).all(axis=2)
        assert known.any(axis=0).all()


def test_costs_are_positive_seconds_or_unknown(table):
    costs = table.costs
    assert costs.shape == (len(table),) and not (costs <= 0).any()
    metric = table.about["cost_metric"]
    assert np.isnan(costs).all() if not metric else table.info(metric).unit == "s"


def test_travels_and_splits(table):
    copy = pickle.loads(pickle.dumps(table))
    metric = next(iter(table.metrics))
    np.testing.assert_array_equal(copy.values(metric), table.values(metric))
    train, test = table.split(50, seed=1, avoid_twins=True)
    assert table.leakage(train, test) == 0 and len(train) == 50
    with pytest.raises(UnknownNameError, match="expected one of"):
        table.values("nothing/there")


def test_all_expected_tables_are_there():
    assert set(SIZES) <= set(TABLES.names())


@pytest.mark.parametrize("name", SIZES)
def test_known_sizes(name):
    assert len(load_table(name)) == SIZES[name]


@pytest.mark.parametrize(("name", "metric", "epoch"), FACTS)
def test_known_facts(name, metric, epoch):
    values = load_table(name).values(metric, epoch=epoch)
    minimum, mean, maximum, missing = FACTS[name, metric, epoch]
    found = (np.nanmin(values), np.nanmean(values), np.nanmax(values))
    np.testing.assert_allclose(found, (minimum, mean, maximum), rtol=1e-4)
    assert np.isnan(values).sum() == missing


def test_nasbench201_classes_and_noise():
    table = load_table("nasbench201")
    assert len(np.unique(table.canonical_keys)) == 6_466
    tau = next(m.twin_tau for m in table.summary().metrics if m.metric == "cifar10/test_accuracy")
    assert abs(tau - 0.90) < 0.01


@pytest.mark.parametrize("name", [name for name in SIZES if name.startswith("nasbench_graph")])
def test_nasbench_graph_has_no_twins(name):
    table = load_table(name)
    assert len(np.unique(table.canonical_keys)) == len(table)


def test_nasbench_nlp_curves_fall_and_failures_stay_missing():
    table = load_table("nasbench_nlp")
    curves = table.values("wikitext2/valid_loss", epoch="all", seed="all")
    known = ~np.isnan(curves)
    assert (known[..., :-1] >= known[..., 1:]).all()  # once missing, missing to the end
    assert known.any(axis=2).sum() == 343  # 345 trainings, two of which failed in the first epoch
    assert known[..., -1].sum() == 341
    whole = known[..., -1]
    assert (curves[whole][:, -1] < curves[whole][:, 0]).mean() > 0.97
    times = table.values("wikitext2/train_time", epoch="all", seed=0)
    assert (np.diff(times, axis=1)[~np.isnan(np.diff(times, axis=1))] > 0).all()


def test_accel_nasbench_measured_thirteen_networks_twice():
    top1 = load_table("accel_nasbench").values("imagenet/top1", seed="all")
    assert (~np.isnan(top1)).sum(axis=0).tolist() == [5_125, 13]
    assert np.nanmax(np.abs(top1[:, 0] - top1[:, 1])) < 1.5


def test_mnist1d_nasbench201_is_complete_and_its_seeds_agree():
    table = load_table("mnist1d_nasbench201")
    assert len(np.unique(table.canonical_keys)) == len(table) == 6_466
    for metric, single, halves in (("test_accuracy", 0.80, 0.85), ("test_loss", 0.83, 0.88)):
        values = table.values(f"mnist1d/{metric}", seed="all")
        assert values.shape == (6_466, 4)
        assert np.isfinite(values).all()
        assert np.mean([kendalltau(values[:, i], values[:, j]).statistic for i, j in ((0, 1), (1, 2), (2, 3))]) > single
        assert kendalltau(values[:, :2].mean(axis=1), values[:, 2:].mean(axis=1)).statistic > halves
    curves = table.values("mnist1d/valid_loss", epoch="all", seed="all")
    assert curves.shape == (6_466, 4, 10)
    assert (curves[..., -1] < curves[..., 0]).mean() > 0.97
    cheap = table.values("mnist1d-data_share0.25/valid_accuracy", seed="all")
    assert cheap.shape == (6_466, 2)
    assert np.isfinite(cheap).all()
    assert kendalltau(cheap.mean(axis=1), table.values("mnist1d/test_accuracy")).statistic > 0.5
    for proxy in ("synflow", "snip", "grad_norm", "fisher", "l2_norm"):
        assert np.isfinite(table.values(f"mnist1d/{proxy}")).all()
