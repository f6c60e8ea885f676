"""`Study`: a live search whose every trial is stored, so that workers on any machine can join, leave and die."""

from __future__ import annotations

import os
import platform
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import (
    ExhaustedSpaceError,
    InvalidDataError,
    SearcherFailedError,
)
from ..searchers import History
from ..spaces import Architecture, SearchSpace
from ..trainers import Executor, Status, TrainingRecord, TrainingRequest
from ..trainers.external import Trainer
from ..trainers.journal_table import write_journal_table
from .budget import Budget
from .database import CLAIM
from .explanation import explain
from .pruning import make_pruner
from .settings import StudySettings
from .storage import ClaimTakenError, StudyStorage, TrialClosedError
from .trials import (
    INTERRUPTED,
    LOST,
    Candidate,
    Trial,
    best_of,
    candidates,
    gene_distributions,
    history_of,
    read_trials,
)
from .verdict import attributes_of, judge, mean_curve, stored_records

if TYPE_CHECKING:
    import optuna

    from ..benchmarks_data import Table
    from ..evaluation.problems import Source
    from .report import StudyReport

BUDGET = "archcast:budget"
_TRIES = 50
_KEPT = ("known", "initial", "forecast_mean", "forecast_std", "acquisition", "contributions", "neighbors")
"""What is told of a candidate when it is picked stays with it when it is trained again."""


class Study:
    """A live search: what it searches and how, and all its trials, in a database. Open one with `open_study`.

    Whatever is asked of a study is answered from the database at that moment, so that any number of workers share it.

    Parameters
    ----------
    name : str
    storage : StudyStorage
    settings : StudySettings
    study : optuna.Study
        Optuna's view of the same study: for its dashboard, its plots, its importance measures.
    """

    def __init__(self, name: str, storage: StudyStorage, settings: StudySettings, study: optuna.Study) -> None:
        self.name = name
        self.storage = storage
        self.settings = settings
        self.optuna_study = study
        self._pruner = make_pruner(settings.pruner)
        self._distributions = gene_distributions(settings.space)

    def __repr__(self) -> str:
        return f"<Study {self.name!r} in {self.storage.name!r}: {self.settings.metric} of {self.space.name!r}>"

    @property
    def space(self) -> SearchSpace:
        """The search space."""
        return self.settings.space

    # ---- reading ------------------------------------------------------------------------------------------------

    def trials(self) -> list[Trial]:
        """Return all trainings that were begun, in order of their numbers."""
        return read_trials(self.space, self.storage.trials(self.optuna_study))

    def candidates(self) -> list[Candidate]:
        """Return all architectures that were proposed, with every attempt to train each, in order."""
        return candidates(self.trials())

    def history(self) -> History:
        """Return the history that the searcher is asked with next."""
        return history_of(self.space, self.candidates(), self.settings.higher_is_better)

    def records(self) -> list[TrainingRecord]:
        """Return the records of all trainings that ended, failed ones included, in order of their trials."""
        return [record for trial in self.trials() for record in trial.records]

    def best(self) -> Trial | None:
        """Return the best finished trial, the earliest of equals; None if none is finished."""
        found = best_of(self.candidates(), self.settings.higher_is_better)
        return None if found is None else found.last

    def budget(self) -> Budget:
        """Return the budget that the study was last run with."""
        stored = self.storage.attribute(self.optuna_study, BUDGET) or {}
        return Budget(**{name: stored.get(name) for name in ("trainings", "cost", "seconds")})

    def to_table(self, path: str | Path, *, directions: Mapping[str, str] | None = None) -> Table:
        """Write all trainings as a benchmark table, with every learning curve, and return it.

        Parameters
        ----------
        path : str or Path
        directions : mapping of str to str, optional
            `"higher"` or `"lower"` for curves whose name does not tell which is better.

        Raises
        ------
        InvalidDataError
            If no training has ended, or the direction of a curve is unknown.
        """
        settings = self.settings
        records = list({record.key: record for record in self.records()}.values())
        about = {
            "description": f"study {self.name!r}: {settings.metric}, searched by {settings.searcher!r}",
            "source": "archcast study",
        }
        known = {settings.metric: settings.direction, **(directions or {})}
        return write_journal_table(path, records, directions=known, about=about)

    def summary(self, table: Source | None = None, metric: str | None = None, **options: Any) -> StudyReport:
        """Return a report of the study as it is now; parameters and errors are those of `StudyReport.of`."""
        from .report import StudyReport

        return StudyReport.of(self, table, metric, **options)

    # ---- asking -------------------------------------------------------------------------------------------------

    def ask(self, budget: Budget | None = None) -> Trial | None:
        """Begin the next trial: one that was lost by its worker, or else what the searcher proposes.

        Only one worker asks at a time, and sees all trials that were begun before. `run` asks, trains and tells;
        whoever does that without it has to give signs of life, see `beat`.

        Returns
        -------
        Trial or None
            None where the budget is spent.

        Raises
        ------
        ExhaustedSpaceError
            If the searcher finds no architecture that was not proposed before.
        SearcherFailedError
            If the searcher raises an exception.
        UnknownNameError, InvalidDataError, StudyMismatchError
            If a source cannot be read again, or does not hold what it held when the study was made.
        StorageUnavailableError
            If the storage does not answer for too long.
        """
        with self.storage.locked(self.name):
            self._reclaim()
            for _ in range(_TRIES):
                trials = self.trials()
                found = candidates(trials)
                waiting = next((candidate for candidate in found if candidate.waits), None)
                spent = budget is not None and budget.is_spent(
                    found, trials, self.settings.cost_metric, len(self.settings.seeds)
                )
                if waiting is None and spent:
                    return None
                with suppress(ClaimTakenError):  # by a worker that did not wait for its turn
                    return self._retry(waiting) if waiting is not None else self._propose(found)
        raise SearcherFailedError(f"study {self.name!r}: other workers began all of {_TRIES} architectures proposed")

    def _retry(self, candidate: Candidate) -> Trial:
        last = candidate.last
        about = {name: last.about[name] for name in _KEPT if name in last.about}
        return self._begin(last.architecture, {**about, "attempt": last.attempt + 1, "retry_of": last.root})

    def _propose(self, found: Sequence[Candidate]) -> Trial:
        history = history_of(self.space, found, self.settings.higher_is_better)
        searcher = self.settings.asked
        try:
            proposed = searcher.ask(history, 1, self.settings.seed)
        except (ExhaustedSpaceError, InvalidDataError):
            raise
        except Exception as error:
            raise SearcherFailedError(
                f"searcher {searcher!r} failed in study {self.name!r} after {len(history)} architectures: "
                f"{type(error).__name__}: {error}"
            ) from error
        numbers = [candidate.first.number for candidate in found]
        return self._begin(proposed[0], explain(searcher, history, proposed, numbers))

    def _begin(self, architecture: Architecture, about: dict[str, Any]) -> Trial:
        optuna = self.storage.optuna
        attempt = about.setdefault("attempt", 0)
        key = int(architecture.batch().keys()[0])
        attributes = {
            "architecture": str(architecture),
            "genotype": list(architecture.genotype),
            **about,
            "worker": f"{platform.node()}:{os.getpid()}",
            "token": uuid.uuid4().hex,
            CLAIM: f"{self.optuna_study._study_id}:{key:016x}:{attempt}",
        }
        genes = zip(self._distributions.items(), architecture.genotype, strict=True)
        template = optuna.trial.create_trial(
            state=optuna.trial.TrialState.RUNNING,
            params={name: distribution.choices[gene] for (name, distribution), gene in genes},
            distributions=self._distributions,
            user_attrs=attributes,
        )
        begun = self.storage.begin(self.optuna_study, template)
        return next(trial for trial in self.trials() if trial.id == begun)

    def _reclaim(self) -> None:
        """Close the trials of workers that are silent for too long; those that told all but the end are completed."""
        for trial, seconds in self.storage.silence(self.optuna_study).items():
            if seconds is None:  # its worker may have died before its first sign of life: it gets the usual time
                self.storage.beat(trial)
            elif seconds > self.settings.grace:
                with suppress(TrialClosedError):
                    self._bury(trial)

    def _bury(self, number: int) -> None:
        stored = self.storage.stored(number)
        records = stored_records(stored.user_attrs)
        if CLAIM not in stored.user_attrs:  # somebody else's, who may not give signs of life
            return
        if records:
            verdict = judge(records, self.settings.metric)
            self.storage.end(number, verdict.state, verdict.value, {})
            return
        self.storage.end(number, "FAIL", None, {"status": LOST, "message": "its worker was not heard of any more"})

    # ---- telling ------------------------------------------------------------------------------------------------

    def requests(self, trial: Trial) -> list[TrainingRequest]:
        """Return the trainings that a trial stands for, one a seed."""
        settings = self.settings
        return [
            TrainingRequest(trial.architecture, settings.task, settings.recipe, settings.fidelity, seed)
            for seed in settings.seeds
        ]

    def request(self, trial: Trial) -> TrainingRequest:
        """Return the training that a trial stands for; of several seeds, that of the first."""
        return self.requests(trial)[0]

    def beat(self, trial: Trial) -> None:
        """Give a sign of life, due every `heartbeat` seconds as long as a trial runs."""
        self.storage.beat(trial.id)

    def report(self, trial: Trial, values: Mapping[int, float], *, patience: float | None = None) -> bool:
        """Store the metric by epoch, and return whether the pruner says to stop.

        Raises
        ------
        TrialClosedError
            If the trial was given to another worker.
        """
        self.storage.report(trial.id, values, patience=patience)
        return self._pruner is not None and self.storage.prunes(self.optuna_study, self._pruner, trial.id, patience)

    def tell(self, trial: Trial, records: TrainingRecord | Sequence[TrainingRecord]) -> bool:
        """Store what became of a trial, and return whether it was still this worker's to tell.

        With several seeds the mean of those that ended well counts. A training whose process was killed counts as lost,
        and is trained once more. One that ended without the metric has failed.

        Parameters
        ----------
        trial : Trial
        records : TrainingRecord or sequence of it
            One a seed.

        Raises
        ------
        StorageUnavailableError
            If the storage does not answer for too long.
        """
        told = [records] if isinstance(records, TrainingRecord) else list(records)
        metric = self.settings.metric
        verdict = judge(told, metric)
        attributes, state, value = attributes_of(told, verdict), verdict.state, verdict.value
        if any(record.status is Status.KILLED for record in told):
            message = next(record.message for record in told if record.status is Status.KILLED)
            kept: dict[str, Any] = {
                name: attributes[name] for name in ("seconds", "parameters", "flops") if name in attributes
            }
            attributes, state, value = {**kept, "status": LOST, "message": message}, "FAIL", None
        try:
            with self.storage.locked(self.name):
                curve = mean_curve(told, metric)
                self.storage.report(trial.id, {epoch: v for epoch, v in curve.items() if epoch not in trial.epochs})
                self.storage.end(trial.id, state, value, attributes, trial.about.get("token"))
        except TrialClosedError:
            return False
        return True

    def give_back(self, trial: Trial, reason: str = "its worker was asked to end") -> None:
        """Leave a trial unfinished; it is trained again by whoever asks next."""
        with suppress(TrialClosedError):
            self.storage.end(trial.id, "FAIL", None, {"status": INTERRUPTED, "message": reason})

    def lacks_metric(self, records: Sequence[TrainingRecord]) -> bool:
        """Return whether trainings ended well and have learning curves, but none of the metric."""
        ended = [record for record in records if record.status is Status.FINISHED]
        return bool(ended) and all(self.settings.metric not in record.curves for record in ended)

    def failure(self, records: Sequence[TrainingRecord]) -> str | None:
        """Return why a trial counts as failed, None if it does not."""
        verdict = judge(records, self.settings.metric)
        return (verdict.message or str(verdict.record.status)) if verdict.state == "FAIL" else None

    # ---- running ------------------------------------------------------------------------------------------------

    def run(
        self,
        trainer: Trainer,
        *,
        trainings: int | None = None,
        seconds: float | None = None,
        cost: float | None = None,
        executor: Executor | None = None,
        timeout: float | None = None,
        max_failures: int = 10,
        wait: bool = True,
        on_begin: Callable[[Trial], None] | None = None,
        on_end: Callable[[Trial, list[TrainingRecord]], None] | None = None,
        notify: Callable[[str], None] | None = None,
    ) -> list[Trial]:
        """Train until the budget is spent, as one of any number of workers, and return the trials that this one ended.

        Interrupted (Ctrl-C, an exception), what runs is given back to the study before the interruption goes on. A
        worker that is killed is found out by its silence, and what it trained is trained by another.

        Parameters
        ----------
        trainer : Trainer
        trainings, seconds, cost
            See `Budget`; without any, those of the last run of this study.
        executor : Executor, optional
            Where trainings run, as many at once as it has workers; by default in this process. It is not closed.
        timeout : float, optional
            Seconds for one training; a longer one has failed. Several seeds have as many times that together.
        max_failures : int
            Give up after so many architectures of this worker failed in a row.
        wait : bool
            After the last training of its own, wait for the trials of other workers, to take over what they lose.
        on_begin, on_end : callable, optional
            Called with each trial, and when it has ended also with its records, one a seed.
        notify : callable, optional
            Called with a sentence about what is unusual; by default it becomes a warning.

        Raises
        ------
        InvalidDataError
            If no budget is known, a number is out of range, the budget does not reach for the seeds of one
            architecture, or there is a pruner and the trainer does not train them at once.
        ExhaustedSpaceError
            If the searcher has nothing to propose though the study has no trial.
        TrainingsFailError
            If too many trainings fail in a row, or the first that ends well does not have the metric.
        SearcherFailedError
            If the searcher raises an exception.
        StorageUnavailableError
            If the storage does not answer for too long.
        """
        from .loop import Worker

        budget = Budget(trainings, cost, seconds)
        if not budget:
            budget = self.budget()
        if not budget:
            raise InvalidDataError("expected a budget of trainings, seconds or cost, got none")
        worker = Worker(
            self,
            trainer,
            budget,
            executor=executor,
            timeout=timeout,
            max_failures=max_failures,
            wait=wait,
            on_begin=on_begin,
            on_end=on_end,
            notify=notify,
        )
        stored = {"trainings": budget.trainings, "cost": budget.cost, "seconds": budget.seconds}
        self.storage.set_attribute(self.optuna_study, BUDGET, stored)
        return worker.run()
