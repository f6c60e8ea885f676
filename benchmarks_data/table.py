"""`Table`: a benchmark table whose columns are read when they are asked for."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidArchitectureError, InvalidDataError, TableFormatError, UnknownNameError
from ..spaces import Architectures, ArchitecturesLike, SearchSpace
from .lookup import RowIndex, first_rows, matching_pairs
from .reading import open_hdf5, read_header
from .schema import LARGE, MetricInfo

if TYPE_CHECKING:
    from .summary import TableSummary

Epoch: TypeAlias = int | Literal["all"] | None
Seed: TypeAlias = int | Literal["all"] | None
By: TypeAlias = Literal["genotype", "canonical"]


class Table:
    """Architectures and what was measured of them.

    Opening reads attributes only; every column is read from the file when it is asked for, and the file is open no
    longer than that. A table can therefore be pickled and sent to other processes on the same machine: it holds the
    path. A table is never changed; `select` gives a view of some rows.

    Parameters
    ----------
    path : str or Path
        An HDF5 file in the layout of `archcast.benchmarks_data.schema`.

    Raises
    ------
    TableFormatError
        If the file is missing, empty, truncated, no table, of a newer format version or of an unknown space.

    Examples
    --------
    >>> from archcast import load_table
    >>> table = load_table("nasbench201")
    >>> len(table), round(float(table.values("cifar10/test_accuracy", epoch=200).max()), 2)
    (15625, 94.37)
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        self._header = read_header(self.path)
        self._rows: NDArray[np.intp] | None = None
        self._cache: dict[str, Any] = {}

    # ---- what it is ---------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The name given to the table by whoever made it, or else the file's."""
        return self._header.about["name"] or self.path.stem

    @property
    def space(self) -> SearchSpace:
        """The search space of all architectures."""
        return self._header.space

    @property
    def about(self) -> dict[str, str]:
        """Name, description, source, licence, citation, conversion command and cost metric."""
        return dict(self._header.about)

    @property
    def metrics(self) -> Mapping[str, MetricInfo]:
        """What each metric means, by name."""
        return dict(self._header.metrics)

    def __len__(self) -> int:
        return self._header.length if self._rows is None else len(self._rows)

    def __repr__(self) -> str:
        return f"<Table {self.name!r}: {len(self):,} architectures of {self.space.name}, {len(self.metrics)} metrics>"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": {}}

    def info(self, metric: str) -> MetricInfo:
        """Return what `metric` means.

        Raises
        ------
        UnknownNameError
            If the table has no such metric; the message names those it has.
        """
        found = self._header.metrics.get(metric)
        if found is None:
            names = list(self._header.metrics)
            close = difflib.get_close_matches(str(metric), names, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise UnknownNameError(
                f"table {self.name!r} has no metric {metric!r}, expected one of {', '.join(names)}{hint}"
            )
        return found

    def is_higher_better(self, metric: str) -> bool:
        """Return whether larger values of `metric` are better."""
        return self.info(metric).higher_is_better

    # ---- columns ------------------------------------------------------------------------------------------------

    @property
    def architectures(self) -> Architectures:
        """All architectures, one a row.

        Raises
        ------
        TableFormatError
            If the file holds a genotype that its space does not, or the same one twice.
        """
        if "architectures" not in self._cache:
            rows = self._genotypes
            valid = self.space.is_valid(rows)
            if not valid.all():
                row = int(np.argmin(valid))
                raise TableFormatError(
                    f"row {row} of {str(self.path)!r} is no architecture of space {self.space.name!r}: "
                    f"{self.space.explain_invalid(rows[row])}"
                )
            self._cache["architectures"] = Architectures(self.space, rows)
        batch: Architectures = self._cache["architectures"]
        return batch

    @property
    def _genotypes(self) -> NDArray[Any]:
        with open_hdf5(self.path) as file:
            rows: NDArray[Any] = file["genotypes"][:]
        return rows if self._rows is None else rows[self._rows]

    @property
    def canonical_keys(self) -> NDArray[np.uint64]:
        """The canonical key of every row, `(n,)`: equal for isomorphic twins."""
        if "keys" not in self._cache:
            self._cache["keys"] = self.architectures.keys()
        keys: NDArray[np.uint64] = self._cache["keys"]
        return keys

    def values(self, metric: str, epoch: Epoch = None, seed: Seed = None) -> NDArray[np.float64]:
        """Return a metric of every architecture, in its published unit and direction.

        Parameters
        ----------
        metric : str
            E.g. `"cifar10/test_accuracy"`.
        epoch : int or "all", optional
            One of the metric's epochs; the last by default; `"all"` for whole curves.
        seed : int or "all", optional
            The label of one repetition; by default the mean over those that there are.

        Returns
        -------
        float64 array
            `(n,)`; with `seed="all"` `(n, seeds)`; with `epoch="all"` a last axis of length `epochs` besides.
            NaN where nothing was measured.

        Raises
        ------
        UnknownNameError
            If there is no such metric, epoch or seed; the message names those that there are.
        """
        return self._values(metric, epoch, seed, self._rows)

    def _values(self, metric: str, epoch: Epoch, seed: Seed, rows: NDArray[np.intp] | None) -> NDArray[np.float64]:
        """Return what `values` does, for the given rows of the file."""
        info = self.info(metric)
        at_epoch = self._position(info, "epoch", epoch, info.epochs)
        at_seed = slice(None) if seed is None else self._position(info, "seed", seed, info.seeds)
        column = self._read(metric, rows, at_seed, at_epoch)
        if seed is None:
            column = _mean_of_known(column)
        elif seed != "all":
            column = column[:, 0]
        return column if epoch == "all" else column[..., 0]

    @staticmethod
    def _position(info: MetricInfo, axis: str, wanted: int | str | None, labels: tuple[int, ...]) -> slice:
        if wanted == "all":
            return slice(None)
        if wanted is None:
            return slice(-1, None)
        if isinstance(wanted, bool) or not isinstance(wanted, (int, np.integer)) or wanted not in labels:
            there = ", ".join(map(str, labels)) or "none"
            raise UnknownNameError(f"metric {info.name!r} has no {axis} {wanted!r}; its {axis}s are: {there}")
        place = labels.index(int(wanted))
        return slice(place, place + 1)

    def _read(self, metric: str, rows: NDArray[np.intp] | None, seeds: slice, epochs: slice) -> NDArray[np.float64]:
        with open_hdf5(self.path) as file:
            dataset = file[f"metrics/{metric}"]
            decimals = int(dataset.attrs.get("decimals", -1))
            offset, shape, dtype = dataset.id.get_offset(), dataset.shape, dataset.dtype
            if offset is None:
                wanted = range(shape[2])[epochs]  # HDF5 selections know no negative positions
                values: NDArray[Any] = dataset[:, seeds, wanted.start : wanted.stop]
                values = values if rows is None else values[rows]
            else:  # contiguous, and perhaps large: touch only what is asked for
                mapped = np.memmap(self.path, dtype=dtype, mode="r", offset=offset, shape=shape)
                values = mapped[:, seeds, epochs] if rows is None else mapped[rows][:, seeds, epochs]
        exact: NDArray[np.float64] = values.astype(np.float64)
        return np.round(exact, decimals) if decimals >= 0 else exact

    @property
    def costs(self) -> NDArray[np.float64]:
        """Seconds of one full training of each architecture `(n,)`, NaN where they are not known."""
        metric = self._header.about["cost_metric"]
        return self.values(metric) if metric else np.full(len(self), np.nan)

    # ---- rows ---------------------------------------------------------------------------------------------------

    def rows(
        self, architectures: ArchitecturesLike, *, by: By = "genotype", missing: Literal["error", "-1"] = "error"
    ) -> NDArray[np.intp]:
        """Return the row of each architecture, `(m,)`.

        Parameters
        ----------
        architectures : Architectures, or native notations
        by : {"genotype", "canonical"}
            `"canonical"` also finds an isomorphic twin (the first row that is one) where the genotype itself is not
            in the table.
        missing : {"error", "-1"}
            What becomes of an absent architecture.

        Raises
        ------
        InvalidArchitectureError
            If an architecture is malformed, or absent while `missing="error"`.
        """
        if by not in ("genotype", "canonical") or missing not in ("error", "-1"):
            raise InvalidDataError(
                f"expected by='genotype' or 'canonical' and missing='error' or '-1', got {by!r} and {missing!r}"
            )
        batch = self.space.architectures(architectures)
        found = self._index.find(batch.genotypes)
        if by == "canonical" and (found < 0).any():
            absent = np.flatnonzero(found < 0)
            found[absent] = first_rows(self.canonical_keys, batch[absent].keys())
        if missing == "error" and (found < 0).any():
            position = int(np.argmax(found < 0))
            raise InvalidArchitectureError(
                f"architecture {position} ({batch[position]}) is not in table {self.name!r} of {len(self)} rows"
            )
        return found

    @property
    def _index(self) -> RowIndex:
        if "index" not in self._cache:
            stored = RowIndex.map(self.path) if self._rows is None and len(self) > LARGE else None
            built = stored or RowIndex.build(self._genotypes)
            twice = built.duplicate() if stored is None and self._rows is None else None
            if twice is not None:
                raise TableFormatError(
                    f"{str(self.path)!r} holds the same architecture in rows {twice[0]} and {twice[1]}"
                )
            self._cache["index"] = built
        index: RowIndex = self._cache["index"]
        return index

    def query(
        self,
        architectures: ArchitecturesLike,
        metric: str,
        epoch: Epoch = None,
        seed: Seed = None,
        *,
        by: By = "genotype",
    ) -> NDArray[np.float64]:
        """Return a metric of given architectures, in any notation of the space, as `values` would.

        Raises
        ------
        InvalidArchitectureError
            If one of them is malformed or not in the table.
        UnknownNameError
            If there is no such metric, epoch or seed.
        """
        rows = self.rows(architectures, by=by)
        return self._values(metric, epoch, seed, rows if self._rows is None else self._rows[rows])

    def select(self, rows: NDArray[Any]) -> Table:
        """Return a view of some rows, in the given order; `rows` holds distinct indices, or one boolean per row.

        Raises
        ------
        InvalidDataError
            If an index is out of range or repeated, or the mask has another length.
        """
        chosen = np.asarray(rows)
        if chosen.dtype == np.bool_:
            if chosen.shape != (len(self),):
                raise InvalidDataError(f"a mask must have {len(self)} entries, one per row, got shape {chosen.shape}")
            chosen = np.flatnonzero(chosen)
        chosen = chosen.astype(np.intp) if not chosen.size else chosen
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu" or len(np.unique(chosen)) != len(chosen):
            raise InvalidDataError(f"rows must be distinct integers in one dimension, got {chosen!r}")
        if len(chosen) and not 0 <= chosen.min() <= chosen.max() < len(self):
            raise InvalidDataError(
                f"rows must be in 0..{len(self) - 1}, got {int(chosen.min())} to {int(chosen.max())}"
            )
        view = Table.__new__(Table)
        view.path, view._header, view._cache = self.path, self._header, {}
        view._rows = chosen if self._rows is None else self._rows[chosen]
        return view

    def join(self, other: Table, on: By = "canonical") -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return all pairs of rows of this and another table that are the same architecture.

        Parameters
        ----------
        other : Table
            Of the same space.
        on : {"canonical", "genotype"}
            Whether isomorphic twins count as the same.

        Returns
        -------
        mine, theirs : integer arrays of equal length
            Ordered by the rows of this table, then of the other.
        """
        if other.space != self.space:
            raise InvalidDataError(
                f"cannot join a table of space {self.space.name!r} to one of space {other.space.name!r}"
            )
        if on == "canonical":
            return matching_pairs(self.canonical_keys, other.canonical_keys)
        theirs = other.rows(self.architectures, by="genotype", missing="-1")
        mine = np.flatnonzero(theirs >= 0)
        return mine, theirs[mine]

    # ---- protocol -----------------------------------------------------------------------------------------------

    def split(
        self, n: int, seed: int, avoid_twins: bool = False, *, among: NDArray[Any] | None = None
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Draw rows to train on; all others are to be forecast.

        Parameters
        ----------
        n : int
            Training rows.
        seed : int
            The same seed draws the same rows, and those of a smaller `n` are the first of a larger one.
        avoid_twins : bool
            Leave isomorphic twins of training rows out of the test rows. What was drawn stays the same.
        among : integer or boolean array, optional
            The rows to draw and test on, e.g. those whose metric is known; all by default.

        Returns
        -------
        train : integer array `(n,)`
            In the order drawn.
        test : integer array
            All other rows, ascending; with `avoid_twins` without twins of `train`.

        Raises
        ------
        InvalidDataError
            If `n` is not at least 1 and less than the number of rows.
        """
        pool = np.arange(len(self)) if among is None else np.sort(np.arange(len(self))[among])
        if not 1 <= n < len(pool):
            raise InvalidDataError(f"expected between 1 and {len(pool) - 1} training rows of {len(pool)}, got {n}")
        order = np.random.default_rng(seed).permutation(pool)
        train, test = order[:n], np.sort(order[n:])
        if avoid_twins:
            test = test[~np.isin(self.canonical_keys[test], self.canonical_keys[train])]
        return train, test

    def leakage(self, train: NDArray[Any], test: NDArray[Any]) -> int:
        """Return how many test rows are isomorphic to a training row."""
        return int(np.isin(self.canonical_keys[test], self.canonical_keys[train]).sum())

    def best(self, metric: str, epoch: int | None = None, seed: int | None = None, *, k: int = 1) -> NDArray[np.intp]:
        """Return the `k` best rows where `metric` is known, best first, ties in row order.

        Raises
        ------
        InvalidDataError
            If `k` is not between 1 and the number of known values.
        """
        values = self.values(metric, epoch, seed)
        known = np.flatnonzero(~np.isnan(values))
        if not 1 <= k <= len(known):
            raise InvalidDataError(f"expected k between 1 and the {len(known)} known values of {metric!r}, got {k}")
        sign = -1.0 if self.is_higher_better(metric) else 1.0
        return known[np.argsort(sign * values[known], kind="stable")[:k]]

    # ---- reports and exports ------------------------------------------------------------------------------------

    def summary(self) -> TableSummary:
        """Return counts, missing values, range, mean, best architecture and noise ceiling of each metric."""
        from .summary import summarize

        return summarize(self)

    def to_csv(self, path: str | Path) -> Path:
        """Write the table in the tidy CSV form that `archcast table import csv` reads back exactly."""
        from .exporting import export_csv

        return export_csv(self, path)

    def to_json(self, path: str | Path) -> Path:
        """Write the table in the JSON form that `archcast table import json` reads back exactly."""
        from .exporting import export_json

        return export_json(self, path)


def _mean_of_known(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """Average `(n, seeds, epochs)` over the seeds that are there; NaN where none is."""
    if column.shape[1] == 1:
        return column[:, 0]
    known = ~np.isnan(column)
    counts = known.sum(axis=1)
    sums = np.where(known, column, 0.0).sum(axis=1)
    mean: NDArray[np.float64] = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return mean
