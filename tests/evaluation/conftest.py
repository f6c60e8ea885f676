"""A small table whose truth is known, and predictors that behave in ways the protocol must survive."""

import numpy as np
import pytest
from archcast import get_space
from archcast.benchmarks_data import Column, MetricInfo, Table, write_table


def _linear(architectures):
    """A metric that depends on the genes, the same for no two of them by accident."""
    weights = np.array([3.0, 1.7, 2.3, 0.9, 1.3, 2.9])
    return 50 + (architectures.genotypes * weights).sum(axis=1)


@pytest.fixture(scope="session")
def table_path(tmp_path_factory):
    """120 NAS-Bench-201 cells, many of them twins, with and without missing values, in both directions."""
    space = get_space("nasbench201")
    # A third of them have only two live operations, so that the draw holds isomorphic twins.
    genotypes = space.sample(80, seed=1).genotypes
    twins = space.enumerate().genotypes[:40]
    rows = np.unique(np.concatenate([genotypes, twins]), axis=0)
    batch = space.parse(rows)
    y = _linear(batch)
    gaps = y.copy()
    gaps[::5] = np.nan
    noise = np.random.default_rng(0).normal(size=len(y))
    columns = [
        Column(MetricInfo("toy/accuracy", unit="%", epochs=(1, 10)), np.stack([y + noise, y], axis=1)[:, None, :]),
        Column(MetricInfo("toy/gaps", unit="%"), gaps),
        Column(MetricInfo("toy/loss", direction="lower"), -y),
    ]
    path = tmp_path_factory.mktemp("tables") / "toy.h5"
    return write_table(path, space, batch, columns, about={"name": "toy"})


@pytest.fixture
def toy(table_path):
    return Table(table_path)
