"""`SurrogateTable`: a fitted predictor that answers queries as a table does, for spaces too large to tabulate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..benchmarks_data import MetricInfo
from ..errors import InvalidDataError, UnknownNameError
from ..predictors import Predictor
from ..searchers import History
from ..spaces import Architecture, Architectures, ArchitecturesLike, SearchSpace
from .cache import content_digest
from .problems import label_of
from .search_problem import TRAININGS, incumbents_of
from .surrogate_noise import NoiseModel, standard_normals
from .trajectories import Trajectory

_BOUNDS: Mapping[str, tuple[float, float]] = {"%": (0.0, 100.0), "fraction": (0.0, 1.0)}
"""What a metric cannot exceed, by its unit."""


@dataclass(frozen=True)
class BestKnown:
    """The best forecast that a long search has found: regret is counted from here.

    Parameters
    ----------
    architecture : Architecture
    value : float
        Its forecast, without noise.
    found : str
        How it was found, in words.
    """

    architecture: Architecture
    value: float
    found: str


@dataclass(frozen=True, eq=False, repr=False)
class SurrogateTable:
    """A metric of every architecture of a space, forecast when it is asked for.

    A query without a seed gives the forecast; with a seed one training: the forecast and its noise, the same whenever
    the same architecture (or a twin of it) is queried with the same seed. Make one with `fit_surrogate_table`.

    Parameters
    ----------
    name : str
    info : MetricInfo
        The metric that is forecast.
    epoch : int or None
        The epoch of the table that it was fitted to.
    predictor : Predictor
        Fitted.
    noise : NoiseModel
    best_known : BestKnown
    cost : Predictor, float or None
        Seconds of one training: forecast, the same for all, or not known.
    measures : dict of str to float
        How good the predictor was on held-out folds.
    about : dict
        The table, how many of its architectures, the predictor and so on, JSON-able.

    References
    ----------
    A. Zela, J. Siems, L. Zimmer, J. Lukasik, M. Keuper, F. Hutter, Surrogate NAS benchmarks: going beyond the limited
    search spaces of tabular NAS benchmarks, ICLR 2022.
    """

    name: str
    info: MetricInfo
    epoch: int | None
    predictor: Predictor
    noise: NoiseModel
    best_known: BestKnown
    cost: Predictor | float | None = None
    measures: Mapping[str, float] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<SurrogateTable {self.name!r}: {self.info.name} of any architecture of {self.space.name}>"

    @property
    def space(self) -> SearchSpace:
        """The search space, any architecture of which can be queried."""
        space = self.predictor.space_
        assert space is not None
        return space

    @cached_property
    def digest(self) -> str:
        """The content, whatever its name: equal for surrogates that answer equally."""
        from .surrogate_file import parts_of

        traits = {"unit": self.info.unit, "direction": self.info.direction, "noise": self.noise.to_dict()}
        cost = None if isinstance(self.cost, Predictor) else self.cost
        found = {"cost": cost, "best_known": self.best_known.value}
        return content_digest(traits | found, [np.frombuffer(part, np.uint8) for part in parts_of(self).values()])

    @property
    def metrics(self) -> Mapping[str, MetricInfo]:
        """What the metric means, by its name."""
        return {self.info.name: self.info}

    def is_higher_better(self, metric: str | None = None) -> bool:
        """Return whether larger values are better."""
        self._require(metric, None)
        return self.info.higher_is_better

    def query(
        self,
        architectures: ArchitecturesLike,
        metric: str | None = None,
        epoch: int | None = None,
        seed: int | None = None,
    ) -> NDArray[np.float64]:
        """Return the metric of any architectures, in any notation of the space.

        Parameters
        ----------
        architectures : Architectures, or native notations
        metric : str, optional
            That of the surrogate.
        epoch : int, optional
            That of the surrogate.
        seed : int, optional
            Of one training; the forecast without noise if left out.

        Returns
        -------
        float64 array `(n,)`

        Raises
        ------
        InvalidArchitectureError
            If one is malformed.
        UnknownNameError
            If the surrogate has another metric or epoch.
        InvalidDataError
            If the seed is negative or no integer.
        """
        self._require(metric, epoch)
        batch = self.space.architectures(architectures)
        return self._bounded(self._forecast(batch)) if seed is None else self._noisy(self._forecast(batch), batch, seed)

    def query_costs(self, architectures: ArchitecturesLike) -> NDArray[np.float64]:
        """Return the seconds of one training of each architecture `(n,)`, NaN where they are not known."""
        batch = self.space.architectures(architectures)
        if isinstance(self.cost, Predictor):
            return np.maximum(_single(self.cost.predict(batch)), 0.0)
        return np.full(len(batch), np.nan if self.cost is None else self.cost)

    def _forecast(self, batch: Architectures) -> NDArray[np.float64]:
        return _single(self.predictor.predict(batch)) if len(batch) else np.zeros(0)

    def _noisy(self, forecast: NDArray[np.float64], batch: Architectures, seed: int) -> NDArray[np.float64]:
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
            raise InvalidDataError(f"the seed of a query must be an integer of at least 0, got {seed!r}")
        return self._bounded(forecast + self.noise.deviation(forecast) * standard_normals(batch.keys(), int(seed)))

    def _bounded(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.clip(values, *_BOUNDS.get(self.info.unit, (-np.inf, np.inf)))

    def _require(self, metric: str | None, epoch: int | None) -> None:
        if metric is not None and metric != self.info.name:
            raise UnknownNameError(f"surrogate {self.name!r} has no metric {metric!r}, it has {self.info.name!r}")
        if epoch is not None and epoch != self.epoch:
            at = "no epochs" if self.epoch is None else f"epoch {self.epoch}"
            raise UnknownNameError(f"surrogate {self.name!r} has no epoch {epoch!r}, it has {at}")

    def problem(
        self,
        metric: str | None = None,
        *,
        epoch: int | None = None,
        select_metric: str | None = None,
        select_epoch: int | None = None,
    ) -> SurrogateProblem:
        """Return the surrogate as a problem to be searched; what is given must be what it has.

        Searchers are told single trainings, with the noise of the seed of the search; they are judged by the forecast
        without noise.

        Raises
        ------
        UnknownNameError
            If it has another metric or epoch.
        """
        self._require(metric, epoch)
        self._require(select_metric, select_epoch)
        return SurrogateProblem(self)

    def save(self, path: str | Path) -> Path:
        """Write the surrogate to one file, without pickle; `archcast.load_surrogate_table` reads it back exactly.

        Raises
        ------
        InvalidDataError
            If the predictor's class is not registered, or the file cannot be written.
        """
        from .surrogate_file import save

        return save(self, path)


@dataclass(frozen=True, eq=False)
class SurrogateProblem:
    """A surrogate to be searched; see `archcast.evaluation.problems.Problem` for what that is."""

    surrogate: SurrogateTable

    @property
    def table(self) -> str:
        """The name of the surrogate."""
        return self.surrogate.name

    @property
    def label(self) -> str:
        """`TABLE:METRIC[@EPOCH]`."""
        return label_of(self.table, self.metric, self.epoch)

    @property
    def space(self) -> SearchSpace:
        """Where architectures come from."""
        return self.surrogate.space

    @property
    def metric(self) -> str:
        """What a search is judged by, without noise."""
        return self.surrogate.info.name

    @property
    def epoch(self) -> int | None:
        """Its epoch."""
        return self.surrogate.epoch

    @property
    def select_metric(self) -> str:
        """What the searcher is told, with noise."""
        return self.metric

    @property
    def select_epoch(self) -> int | None:
        """Its epoch."""
        return self.epoch

    @property
    def unit(self) -> str:
        """Of the metric."""
        return self.surrogate.info.unit

    @property
    def higher_is_better(self) -> bool:
        """The direction of the metric."""
        return self.surrogate.info.higher_is_better

    @property
    def best(self) -> float:
        """The best forecast that is known."""
        return self.surrogate.best_known.value

    @property
    def digest(self) -> str:
        """The content of the problem, whatever its name."""
        return self.surrogate.digest

    def problem(self, metric: str | None = None, **options: Any) -> SurrogateProblem:
        """Return the problem itself; errors are those of `SurrogateTable.problem`."""
        return self.surrogate.problem(metric, **options)

    def start(self) -> History:
        """Return the history of a search that has not begun."""
        return History.start(self.space, higher_is_better=self.higher_is_better)

    def open(self, seed: int) -> SurrogateLookup:
        """Return what one search asks: every architecture is trained with the seed of the search."""
        return SurrogateLookup(self, seed)


class SurrogateLookup:
    """Answers one search: an architecture becomes a row when it is first asked for.

    Parameters
    ----------
    problem : SurrogateProblem
    seed : int
    """

    def __init__(self, problem: SurrogateProblem, seed: int) -> None:
        self.problem, self.seed = problem, seed
        self._row_of: dict[int, int] = {}
        self._answers = np.zeros((0, 3))

    @cached_property
    def time_unit(self) -> str:
        """`"s"`, or `"trainings"` where costs are not known."""
        return TRAININGS if self.problem.surrogate.cost is None else "s"

    @property
    def selected(self) -> NDArray[np.float64]:
        """What the searcher is told, by row."""
        return self._answers[:, 0]

    @property
    def values(self) -> NDArray[np.float64]:
        """The forecast without noise, by row."""
        return self._answers[:, 1]

    @property
    def costs(self) -> NDArray[np.float64]:
        """The simulated time of each query, by row."""
        return self._answers[:, 2]

    @property
    def gaps(self) -> NDArray[np.float64]:
        """How much worse each row is than the best known; negative where it is better."""
        best = self.problem.best
        return best - self.values if self.problem.higher_is_better else self.values - best

    def rows(self, architectures: Architectures) -> NDArray[np.intp]:
        """Return the row of each architecture or twin of it, in order of the first question."""
        keys = architectures.keys()
        first = np.sort(np.unique(keys, return_index=True)[1])
        new = np.array([place for place in first.tolist() if int(keys[place]) not in self._row_of], dtype=np.intp)
        if len(new):
            asked, surrogate = architectures[new], self.problem.surrogate
            forecast = surrogate._forecast(asked)
            costs = surrogate.query_costs(asked) if surrogate.cost is not None else np.ones(len(asked))
            told = surrogate._noisy(forecast, asked, self.seed)
            answers = np.stack([told, surrogate._bounded(forecast), costs], axis=1)
            self._row_of |= {int(keys[place]): len(self._answers) + i for i, place in enumerate(new.tolist())}
            self._answers = np.concatenate([self._answers, answers])
        return np.array([self._row_of[int(key)] for key in keys], dtype=np.intp)

    def trajectory(self, rows: NDArray[np.intp], **conditions: Any) -> Trajectory:
        """Return what a search found that queried these rows `(q,)`, in this order."""
        selected = self.selected[rows]
        incumbents = incumbents_of(rows, selected if self.problem.higher_is_better else -selected)
        regret = self.gaps[incumbents]
        return Trajectory(
            rows=rows,
            selected=selected,
            values=self.values[rows],
            incumbents=incumbents,
            regret=regret,
            optimal=regret <= 0,
            time_unit=self.time_unit,
            **conditions,
        )


def _single(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return forecasts in single precision: those of one and of many architectures differ in the last bits."""
    return np.asarray(values).astype(np.float32).astype(np.float64)
