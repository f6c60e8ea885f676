"""What a table holds at a glance, and how well it can be forecast at all."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .table import Table


@dataclass(frozen=True)
class MetricSummary:
    """One metric at its last epoch, averaged over seeds.

    Parameters
    ----------
    metric, unit, direction : str
    epochs, seeds : int
        Lengths of the axes (a metric without epochs has 0).
    epoch : int or None
        The epoch that the figures are of.
    count, missing : int
        Architectures with and without a value.
    minimum, mean, maximum : float
        NaN if there is no value.
    best : str or None
        Native string of the best architecture.
    twin_tau : float or None
        Kendall tau-b between isomorphic twins: the best agreement with this column that anything can reach that
        tells twins apart as little as theory does. None with fewer than 30 classes that have twins.
    seed_tau : float or None
        Mean Kendall tau-b between two seeds over the architectures that have both. None with fewer than 30 of these.
    """

    metric: str
    unit: str
    direction: str
    epochs: int
    seeds: int
    epoch: int | None
    count: int
    missing: int
    minimum: float
    mean: float
    maximum: float
    best: str | None
    twin_tau: float | None
    seed_tau: float | None


@dataclass(frozen=True)
class TableSummary:
    """A table at a glance.

    Parameters
    ----------
    name, space : str
    architectures : int
        Rows.
    classes : int
        Canonically distinct ones.
    metrics : tuple of MetricSummary
    """

    name: str
    space: str
    architectures: int
    classes: int
    metrics: tuple[MetricSummary, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return nested plain containers."""
        return asdict(self)


MIN_PAIRS = 30
"""Fewer pairs than this give no noise ceiling worth stating."""


def summarize(table: Table) -> TableSummary:
    """Return the summary of a table; see `Table.summary`."""
    keys = table.canonical_keys
    return TableSummary(
        name=table.name,
        space=table.space.name,
        architectures=len(table),
        classes=len(np.unique(keys)),
        metrics=tuple(_summarize_metric(table, metric, keys) for metric in table.metrics),
    )


def _summarize_metric(table: Table, metric: str, keys: NDArray[np.uint64]) -> MetricSummary:
    info = table.info(metric)
    values = table.values(metric)
    known = ~np.isnan(values)
    some = bool(known.any())
    return MetricSummary(
        metric=metric,
        unit=info.unit,
        direction=info.direction,
        epochs=len(info.epochs),
        seeds=len(info.seeds),
        epoch=info.epochs[-1] if info.epochs else None,
        count=int(known.sum()),
        missing=int((~known).sum()),
        minimum=float(values[known].min()) if some else np.nan,
        mean=float(values[known].mean()) if some else np.nan,
        maximum=float(values[known].max()) if some else np.nan,
        best=str(table.architectures[int(table.best(metric)[0])]) if some else None,
        twin_tau=twin_tau(values, keys),
        seed_tau=seed_tau(table.values(metric, seed="all")),
    )


def twin_tau(values: NDArray[np.float64], keys: NDArray[np.uint64]) -> float | None:
    """Return Kendall tau-b between the first two known rows of each canonical class, or None with too few classes.

    Parameters
    ----------
    values : float array `(n,)`
        NaN where missing.
    keys : uint64 array `(n,)`
        Canonical keys.
    """
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(keys[known], kind="stable")]
    ordered = keys[order]
    starts = np.ones(len(order), dtype=np.bool_)
    starts[1:] = ordered[1:] != ordered[:-1]
    first = np.flatnonzero(starts)
    first = first[(first + 1 < len(order))]
    first = first[~starts[first + 1]]
    return _tau(values[order[first]], values[order[first + 1]])


def seed_tau(values: NDArray[np.float64]) -> float | None:
    """Return the mean Kendall tau-b over pairs of seeds, or None where no pair shares enough architectures.

    Parameters
    ----------
    values : float array `(n, seeds)`
        NaN where missing.
    """
    taus = []
    for i in range(values.shape[1]):
        for j in range(i):
            both = ~np.isnan(values[:, i] + values[:, j])
            tau = _tau(values[both, i], values[both, j])
            if tau is not None:
                taus.append(tau)
    return float(np.mean(taus)) if taus else None


def _tau(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    from scipy.stats import kendalltau

    if len(a) < MIN_PAIRS or (a == a[0]).all() or (b == b[0]).all():
        return None
    return float(kendalltau(a, b).statistic)
