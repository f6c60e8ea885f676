"""The main job as one loop: train a few architectures, forecast, train the most promising, compare, and so on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..designs import Design, as_design
from ..errors import ExhaustedSpaceError, InvalidDataError
from ..predictors import Predictor, make_predictor
from ..searchers import History, Searcher, make_searcher
from ..spaces import Architecture, Architectures, SearchSpace
from ..trainers import Executor, Fidelity, Journal, Status, TorchTrainer, TrainingRecord, TrainingRequest, stream
from ..trainers.external import Trainer
from ..trainers.journal_table import direction_of
from ..trainers.requests import requests_for
from ..trainers.run import OnEpoch
from .forecast_report import ForecastReport, Trained, Untrained

LEAST_INITIAL = 3
_CANDIDATES = 20_000
_LEVEL = 0.9


@dataclass
class ForecastLoop:
    """Trains, forecasts and picks until a number of architectures is trained.

    The first architectures are drawn at random, or chosen by a design. From then on a searcher picks, and before each
    pick is trained, a predictor fitted to everything trained so far says what will come of it: forecasts that were made
    before the fact.

    Parameters
    ----------
    space : SearchSpace
    trainer : Trainer
        A `TorchTrainer`, or a user's function or command.
    budget : int
        Architectures to train, those drawn at first included.
    task : str
        The name of the task, as records have it.
    recipe : mapping, optional
        As records have it.
    fidelity : Fidelity, optional
    metric : str
        The curve whose last value counts, e.g. `"valid/accuracy"`.
    higher_is_better : bool, optional
        By default what the name of the metric tells.
    initial : int, optional
        Architectures trained before the searcher picks; by default a half of the budget, 10 at most.
    initial_design : str or Design
        What chooses these, such as `"kmeans"` (`archcast.designs`); at random by default.
    batch : int
        Architectures picked at once.
    seeds : sequence of int
        Trainings of each architecture; their mean counts.
    predictor : str or Predictor
    searcher : str or Searcher
    seed : int
        Of the draws and picks.

    Raises
    ------
    InvalidDataError
        If a number is out of range, trainings in PyTorch have no such metric, or whether higher is better does not
        follow from its name.
    UnknownNameError
        If there is no such predictor or searcher.
    """

    space: SearchSpace
    trainer: Trainer
    budget: int
    task: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    fidelity: Fidelity = field(default_factory=Fidelity)
    metric: str = "valid/accuracy"
    higher_is_better: bool | None = None
    initial: int | None = None
    initial_design: str | Design = "random"
    batch: int = 1
    seeds: Sequence[int] = (0,)
    predictor: str | Predictor = "gp@semantic"
    searcher: str | Searcher = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("budget", LEAST_INITIAL), ("initial", LEAST_INITIAL), ("batch", 1), ("seed", 0)):
            value = getattr(self, name)
            if name == "initial" and value is None:
                self.initial = value = max(LEAST_INITIAL, min(10, self.budget // 2))
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InvalidDataError(f"{name!r} of a forecast must be an integer of at least {least}, got {value!r}")
        assert self.initial is not None
        if self.initial > self.budget:
            raise InvalidDataError(
                f"the budget of {self.budget} architectures is less than the {self.initial} that are drawn at first"
            )
        if isinstance(self.trainer, TorchTrainer):
            curves = self.trainer.task.curves(test=self.trainer.recipe.test != "never")
            if self.metric not in curves:
                raise InvalidDataError(
                    f"the trainings will have no {self.metric!r}, expected one of {', '.join(curves)}"
                )
        if self.higher_is_better is None:
            try:
                self.higher_is_better = direction_of(self.metric) == "higher"
            except InvalidDataError:
                raise InvalidDataError(
                    f"whether higher or lower is better for {self.metric!r} does not follow from its name, "
                    "say it by higher_is_better (--direction)"
                ) from None
        self._design = as_design(self.initial_design)
        self._predictor = (
            make_predictor(self.predictor, seed=self.seed) if isinstance(self.predictor, str) else self.predictor
        )
        self._searcher = make_searcher(self.searcher) if isinstance(self.searcher, str) else self.searcher

    def run(
        self,
        executor: Executor | None = None,
        journal: Journal | None = None,
        *,
        timeout: float | None = None,
        retry: Iterable[Status | str] = (Status.KILLED,),
        attempts: int | None = None,
        on_trained: Callable[[Trained], object] | None = None,
        on_record: Callable[[TrainingRecord], object] | None = None,
        on_epoch: OnEpoch | None = None,
    ) -> ForecastReport:
        """Do it all, and report.

        Parameters
        ----------
        executor : Executor, optional
            Where trainings run, by default in this process.
        journal : Journal, optional
            Open for appending. Trainings that it has are not done again, so that an interrupted loop goes on.
        timeout : float, optional
            Seconds for one training.
        retry, attempts
            Which trainings of the journal are done again, as `stream` takes them.
        on_trained : callable, optional
            Called with each architecture whose trainings have ended.
        on_record, on_epoch : callable, optional
            Called with each record and each epoch of a training.

        Returns
        -------
        ForecastReport

        Raises
        ------
        InvalidDataError
            If no record has a curve of the metric's name.
        """
        history = History.start(self.space, higher_is_better=bool(self.higher_is_better))
        trained: list[Trained] = []
        while len(trained) < self.budget:
            try:
                asked = self._ask(history, self.budget - len(trained))
            except ExhaustedSpaceError:
                break
            picked = bool(trained)
            forecasts = self._forecasts(history, asked) if picked else [None] * len(asked)
            history = history.ask(asked)
            options = {"timeout": timeout, "retry": retry, "attempts": attempts, "on_epoch": on_epoch}
            outcomes = self._train(asked, executor, journal, on_record, options)
            values = []
            for architecture, forecast, records in zip(asked, forecasts, outcomes, strict=True):
                trained.append(self._outcome(architecture, picked, forecast, records))
                values.append(trained[-1].value)
                if on_trained is not None:
                    on_trained(trained[-1])
            history = history.tell(asked, [math.nan if value is None else value for value in values])
        return self._report(history, trained)

    # ---- steps --------------------------------------------------------------------------------------------------

    def _ask(self, history: History, left: int) -> Architectures:
        assert self.initial is not None
        if not len(history):
            try:
                if self.initial_design != "random":
                    return self._design.choose(self.space, self.initial, self.seed)
                return self.space.sample(self.initial, self.seed, canonical=True)
            except InvalidDataError:  # the space holds fewer
                return make_searcher("random").ask(history, self.initial, self.seed)
        return self._searcher.ask(history, min(self.batch, left), self.seed)

    def _train(
        self,
        asked: Architectures,
        executor: Executor | None,
        journal: Journal | None,
        on_record: Callable[[TrainingRecord], object] | None,
        options: Mapping[str, Any],
    ) -> Iterator[list[TrainingRecord]]:
        """Yield the records of each architecture, in order."""
        requests = requests_for(self.space, asked, self.task, self.recipe, self.fidelity, self.seeds)
        known = {} if journal is None else {request.key: journal.get(request.key) for request in requests}
        found: dict[str, TrainingRecord] = {key: record for key, record in known.items() if record is not None}
        for record in stream(requests, self.trainer, executor, journal, **options):
            found[record.key] = record
            if record.status == "finished":
                record.final(self.metric)  # raises now rather than after all the others
            if on_record is not None:
                on_record(record)
        each = len(self.seeds)
        groups: list[list[TrainingRequest]] = [requests[i : i + each] for i in range(0, len(requests), each)]
        for group in groups:
            yield [found[request.key] for request in group]

    def _outcome(
        self,
        architecture: Architecture,
        picked: bool,
        forecast: dict[str, float] | None,
        records: Sequence[TrainingRecord],
    ) -> Trained:
        good = [record for record in records if record.status == "finished"]
        finals = [record.final(self.metric) for record in good]
        finite = [value for value in finals if math.isfinite(value)]
        bad = next((record for record in records if record.status != "finished"), None)
        return Trained(
            architecture=str(architecture),
            picked=picked,
            value=float(np.mean(finite)) if finite else None,
            status=str(bad.status) if bad is not None and not good else "finished",
            message="" if bad is None else bad.message,
            seconds=float(np.nansum([record.seconds for record in records])),
            **(forecast or {}),
        )

    def _fitted(self, history: History) -> Predictor | None:
        """Return a predictor of what has finished, or None where that is too little to learn from."""
        from sklearn.base import clone

        rows = history.finished
        values = history.values[rows]
        if len(rows) < 2 or np.ptp(values) == 0:
            return None
        fitted: Predictor = clone(self._predictor)
        fitted.fit(history.architectures[rows], values)
        return fitted

    def _forecasts(self, history: History, asked: Architectures) -> list[dict[str, float] | None]:
        fitted = self._fitted(history)
        if fitted is None:
            return [None] * len(asked)
        return [*_forecasts(fitted, asked)]

    def _report(self, history: History, trained: Sequence[Trained]) -> ForecastReport:
        fitted = self._fitted(history)
        promising: list[Untrained] = []
        again: dict[str, float] | None = None
        best = history.best()
        if fitted is not None and best is not None:
            again = next(iter(_forecasts(fitted, history.architectures[[best]])))
            promising = self._most_promising(fitted, history, history.values[best])
        return ForecastReport(
            space=self.space.name,
            task=self.task,
            metric=self.metric,
            higher_is_better=bool(self.higher_is_better),
            predictor=self.predictor if isinstance(self.predictor, str) else type(self.predictor).__name__,
            searcher=self.searcher if isinstance(self.searcher, str) else type(self.searcher).__name__,
            seeds=tuple(self.seeds),
            trained=tuple(trained),
            best_forecast=again,
            promising=tuple(promising),
        )

    def _most_promising(self, fitted: Predictor, history: History, best: float) -> list[Untrained]:
        """Return the five untrained architectures with the best forecasts, with the chance that each beats the best."""
        from scipy.special import ndtr

        space = self.space
        candidates = (
            space.enumerate() if space._is_enumerable else space.sample(_CANDIDATES, self.seed, canonical=False)
        )
        candidates = candidates[~history.seen(candidates)]
        if not len(candidates):
            return []
        mean = fitted.predict(candidates)
        order = np.argsort(-mean if self.higher_is_better else mean, kind="stable")
        first: NDArray[np.intp] = np.sort(np.unique(candidates[order[:50]].keys(), return_index=True)[1])[:5]
        chosen = candidates[order[:50]][first]
        result = []
        for architecture, forecast in zip(chosen, _forecasts(fitted, chosen), strict=True):
            gain = (forecast["forecast"] - best) * (1 if self.higher_is_better else -1)
            chance = float(ndtr(gain / max(forecast["std"], 1e-12)))
            result.append(Untrained(str(architecture), chance=chance, **forecast))
        return result


def _forecasts(fitted: Predictor, architectures: Architectures) -> Iterator[dict[str, float]]:
    """Yield mean, deviation and the 90 % interval of what a training would give."""
    mean, std = fitted.predict(architectures, return_std=True)
    bounds = fitted.predict_quantiles(architectures, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    for row in range(len(mean)):
        yield {
            "forecast": float(mean[row]),
            "std": float(std[row]),
            "low": float(bounds[row, 0]),
            "high": float(bounds[row, 1]),
        }
