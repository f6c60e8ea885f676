"""`StudyStorage`: studies and trials in Optuna's tables, exact about who trains what.

The claim of a trial names study, canonical key of the architecture and attempt. It is written in one transaction with
the trial and unique in the database, so that two workers never begin the same training, whatever becomes of their locks
and connections.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import StorageUnavailableError, UnknownNameError
from .database import CLAIM, Database, quiet

if TYPE_CHECKING:
    import optuna
    from optuna.pruners import BasePruner
    from optuna.trial import FrozenTrial

T = TypeVar("T")

SETTINGS = "archcast"


class ClaimTakenError(Exception):
    """Another trial of the study has this claim already."""


class TrialClosedError(Exception):
    """The trial has ended: another worker took it for dead, or somebody else has closed it."""


class StudyStorage(Database):
    """A database of studies; parameters and errors are those of `Database`."""

    # ---- studies ------------------------------------------------------------------------------------------------

    def summaries(self) -> list[optuna.study.StudySummary]:
        """Return Optuna's summaries of all studies with settings of archcast."""
        found = self._answered(lambda: self.optuna.study.get_all_study_summaries(self._rdb))
        return [summary for summary in found if SETTINGS in summary.user_attrs]

    def names(self) -> list[str]:
        """Return the names of all studies, those of others included."""
        return list(self._answered(lambda: self.optuna.study.get_all_study_names(self._rdb)))

    def load(self, name: str, *, direction: str | None = None) -> optuna.Study:
        """Return a study, created with `direction` (`"maximize"` or `"minimize"`) where there is none.

        Raises
        ------
        UnknownNameError
            If there is none, and no direction is given.
        """
        sampler = self.optuna.samplers.RandomSampler()

        def action() -> Any:
            with quiet(self.optuna):
                if direction is None:
                    return self.optuna.load_study(study_name=name, storage=self._rdb, sampler=sampler)
                return self.optuna.create_study(
                    study_name=name, storage=self._rdb, sampler=sampler, direction=direction, load_if_exists=True
                )

        try:
            found: optuna.Study = self._answered(action)
            return found
        except KeyError:
            others = ", ".join(sorted(self.names())) or "none"
            raise UnknownNameError(f"there is no study {name!r} in {self.name!r}, there is {others}") from None

    def settings(self, study: optuna.Study) -> Mapping[str, Any] | None:
        """Return the settings that archcast has stored with a study, None if it has not."""
        return self._existing(study, lambda: study.user_attrs).get(SETTINGS)

    def set_attribute(self, study: optuna.Study, name: str, value: Any) -> None:
        """Store an attribute of a study."""
        self._existing(study, lambda: study.set_user_attr(name, value))

    def attribute(self, study: optuna.Study, name: str) -> Any:
        """Return an attribute of a study, None if it has none of that name."""
        return self._existing(study, lambda: study.user_attrs).get(name)

    def trials(self, study: optuna.Study) -> list[FrozenTrial]:
        """Return all trials of a study, in order of their numbers. They are shared: do not change them."""
        return list(self._existing(study, lambda: study.get_trials(deepcopy=False)))

    def _existing(self, study: optuna.Study, action: Callable[[], T], patience: float | None = None) -> T:
        try:
            return self._answered(action, patience)
        except KeyError:
            raise StorageUnavailableError(
                f"study {study.study_name!r} was deleted from {self.name!r} while it was in use"
            ) from None

    # ---- trials -------------------------------------------------------------------------------------------------

    def begin(self, study: optuna.Study, trial: FrozenTrial) -> int:
        """Add a running trial, whose attribute `archcast:claim` no other trial may have, and return its id.

        Raises
        ------
        ClaimTakenError
            If another has it.
        """
        from sqlalchemy.exc import IntegrityError

        def action() -> int:
            try:
                return int(self._rdb.create_new_trial(study._study_id, template_trial=trial))
            except IntegrityError:
                # After a broken connection it may have been this very call that added the trial.
                claim, token = trial.user_attrs[CLAIM], trial.user_attrs["token"]
                for other in study.get_trials(deepcopy=False):
                    if other.user_attrs.get(CLAIM) == claim and other.user_attrs.get("token") == token:
                        return int(other._trial_id)
                raise ClaimTakenError(claim) from None

        number = self._existing(study, action)
        self.beat(number)
        return number

    def report(self, trial: int, values: Mapping[int, float], *, patience: float | None = None) -> None:
        """Store intermediate values by epoch.

        Raises
        ------
        TrialClosedError
            If the trial has ended.
        """
        for step, value in values.items():
            self._open(partial(self._rdb.set_trial_intermediate_value, trial, step, value), patience)

    def prunes(self, study: optuna.Study, pruner: BasePruner, trial: int, patience: float | None = None) -> bool:
        """Return whether a pruner says to stop a running trial."""

        def action() -> bool:
            return bool(pruner.prune(study, self._rdb.get_trial(trial)))

        return self._existing(study, action, patience)

    def end(
        self, trial: int, state: str, value: float | None, attributes: Mapping[str, Any], token: str | None = None
    ) -> None:
        """Store what became of a trial; `state` is `"COMPLETE"`, `"PRUNED"` or `"FAIL"`, and is written last.

        Raises
        ------
        TrialClosedError
            If the trial has ended already, and not by this very call.
        """
        for name, attribute in attributes.items():
            self._open(partial(self._rdb.set_trial_user_attr, trial, name, attribute))
        wanted = self.optuna.trial.TrialState[state]
        values: Sequence[float] | None = None if value is None else [value]
        tries = 0

        def action() -> bool:
            nonlocal tries
            tries += 1
            return bool(self._rdb.set_trial_state_values(trial, wanted, values))

        try:
            self._open(action)
        except TrialClosedError:
            stored = self._answered(lambda: self._rdb.get_trial(trial))
            if tries < 2 or stored.state is not wanted or stored.user_attrs.get("token") != token:
                raise

    def _open(self, action: Callable[[], T], patience: float | None = None) -> T:
        try:
            return self._answered(action, patience)
        except StorageUnavailableError:
            raise
        except RuntimeError:  # Optuna's word for a trial that has ended
            raise TrialClosedError from None
        except KeyError:
            raise StorageUnavailableError(f"a trial was deleted from {self.name!r} while it was running") from None

    def stored(self, trial: int) -> FrozenTrial:
        """Return one trial as it is stored now."""
        found: FrozenTrial = self._answered(lambda: self._rdb.get_trial(trial))
        return found

    # ---- signs of life ------------------------------------------------------------------------------------------

    def beat(self, trial: int, *, patience: float | None = None) -> None:
        """Record that the worker of a trial is alive."""
        self._answered(lambda: self._rdb.record_heartbeat(trial), patience)

    def silence(self, study: optuna.Study) -> dict[int, float | None]:
        """Return for each running trial how many seconds ago its worker was last heard of; None if it never was."""
        from sqlalchemy import DateTime, Integer, text

        query = text(
            "SELECT t.trial_id, h.heartbeat, CURRENT_TIMESTAMP AS now FROM trials t "
            "LEFT JOIN trial_heartbeats h ON h.trial_id = t.trial_id WHERE t.study_id = :study AND t.state = 'RUNNING'"
        ).columns(trial_id=Integer, heartbeat=DateTime, now=DateTime)

        def action() -> dict[int, float | None]:
            with self._rdb.engine.connect() as connection:
                rows = connection.execute(query, {"study": study._study_id}).all()
            return {
                trial: None if beat is None else (now.replace(tzinfo=None) - beat).total_seconds()
                for trial, beat, now in rows
            }

        return self._answered(action)
