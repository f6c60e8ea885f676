"""`Trial` and `Candidate`: what a study has stored about its trainings, and the history that searchers see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidArchitectureError
from ..searchers import History
from ..searchers.history import Status as Told
from ..spaces import Architecture, Architectures, SearchSpace
from ..trainers import TrainingRecord
from .verdict import stored_records

if TYPE_CHECKING:
    from optuna.distributions import CategoricalDistribution
    from optuna.trial import FrozenTrial

LOST, INTERRUPTED = "lost", "interrupted"
MAY_BE_LOST = 2
"""So many workers may die of one architecture; then it counts as failed."""


@dataclass(frozen=True)
class Trial:
    """One training of a study.

    Parameters
    ----------
    number : int
        Counted from 0, as Optuna counts.
    architecture : Architecture
    state : str
        `"running"`, `"finished"`, `"pruned"` (stopped early), `"failed"`, or, to be trained again, `"lost"` (its worker
        died) and `"interrupted"` (its worker was asked to end).
    value : float, optional
        The metric of a finished training, or its mean over seeds; None for any other.
    epochs : dict of int to float
        The metric by epoch, as far as the training got.
    root : int
        The number of the first attempt at this architecture: its own, unless it takes up an earlier trial.
    attempt : int
        0 for the first.
    about : dict
        Whatever else is stored: `worker`, `status`, `message`, `seconds`, `seed_values` and `spread` where there are
        several seeds, `known` (trainings finished when it was picked), `forecast_mean`, `forecast_std`, `acquisition`,
        `contributions` (what its genes add to the forecast),
        `neighbors` (numbers of the most similar trainings) ...
    id : int
        Of the storage.
    """

    number: int
    architecture: Architecture
    state: str
    value: float | None = None
    epochs: dict[int, float] = field(default_factory=dict, repr=False)
    root: int = 0
    attempt: int = 0
    about: dict[str, Any] = field(default_factory=dict, repr=False)
    id: int = field(default=-1, repr=False)

    @property
    def record(self) -> TrainingRecord | None:
        """The record of the training (of the first of several seeds), None if it has none (yet)."""
        return next(iter(self.records), None)

    @property
    def records(self) -> list[TrainingRecord]:
        """The records of the trainings, one a seed; none if it has none (yet)."""
        return stored_records(self.about)

    @property
    def spread(self) -> float | None:
        """The standard deviation of the metric between the seeds, None if there are not two."""
        return self.about.get("spread")


@dataclass(frozen=True)
class Candidate:
    """One architecture of a study with all attempts to train it, the last of which counts."""

    attempts: tuple[Trial, ...]

    @property
    def first(self) -> Trial:
        """The attempt that the searcher proposed."""
        return self.attempts[0]

    @property
    def last(self) -> Trial:
        """The attempt that counts."""
        return self.attempts[-1]

    @property
    def waits(self) -> bool:
        """Whether it has to be trained again."""
        if self.last.state == INTERRUPTED:
            return True
        return self.last.state == LOST and sum(trial.state == LOST for trial in self.attempts) < MAY_BE_LOST

    @property
    def state(self) -> str:
        """`"running"`, `"finished"`, `"pruned"`, `"failed"` or `"waiting"`."""
        if self.waits:
            return "waiting"
        return "failed" if self.last.state == LOST else self.last.state


def gene_distributions(space: SearchSpace) -> dict[str, CategoricalDistribution]:
    """Return one categorical distribution of Optuna for each gene, under its name.

    Choices are those of the gene where all of them are plain distinct values, else their texts.
    """
    from optuna.distributions import CategoricalDistribution

    names = [gene.name for gene in space.genes]
    distinct = len(set(names)) == len(names)
    found = {}
    for position, gene in enumerate(space.genes):
        texts = [str(choice) for choice in gene.choices]
        plain = all(type(choice) in (str, int, float) for choice in gene.choices)
        choices: Sequence[Any] = list(gene.choices) if plain and len(set(gene.choices)) == len(texts) else texts
        if len(set(choices)) < len(choices):
            choices = list(range(len(choices)))
        found[gene.name if distinct else f"{position}: {gene.name}"] = CategoricalDistribution(choices)
    return found


def read_trials(space: SearchSpace, stored: Sequence[FrozenTrial]) -> list[Trial]:
    """Return the trials of a study; those that describe no architecture, and that wait to be begun, are left out.

    Raises
    ------
    InvalidArchitectureError
        If a stored architecture is none of the space.
    """
    distributions = gene_distributions(space)
    rows = {trial.number: row for trial in stored if (row := _genotype(trial, distributions)) is not None}
    if not rows:
        return []
    try:
        batch = space.parse(np.array(list(rows.values()), dtype=np.int64))
    except (InvalidArchitectureError, ValueError) as error:
        raise InvalidArchitectureError(f"the study holds what is no architecture of {space.name!r}: {error}") from None
    architectures = dict(zip(rows, batch, strict=True))
    return [_trial(trial, architectures[trial.number]) for trial in stored if trial.number in architectures]


def _genotype(trial: FrozenTrial, distributions: Mapping[str, CategoricalDistribution]) -> list[int] | None:
    if trial.state.name == "WAITING":
        return None
    own = trial.user_attrs.get("genotype")
    if isinstance(own, list):
        return own
    try:
        return [int(item.to_internal_repr(trial.params[name])) for name, item in distributions.items()]
    except (KeyError, ValueError):
        return None


def _trial(stored: FrozenTrial, architecture: Architecture) -> Trial:
    about = {name: value for name, value in stored.user_attrs.items() if not name.startswith("archcast:")}
    state = {"RUNNING": "running", "COMPLETE": "finished", "PRUNED": "pruned"}.get(stored.state.name, "failed")
    if state == "failed" and about.get("status") in (LOST, INTERRUPTED):
        state = str(about["status"])
    value = stored.value if state == "finished" else None
    if value is not None and not np.isfinite(value):
        state, value = "failed", None
    return Trial(
        number=stored.number,
        architecture=architecture,
        state=state,
        value=value,
        epochs=dict(sorted(stored.intermediate_values.items())),
        root=int(about.get("retry_of", stored.number)),
        attempt=int(about.get("attempt", 0)),
        about=about,
        id=stored._trial_id,
    )


def candidates(trials: Sequence[Trial]) -> list[Candidate]:
    """Return the architectures of a study with their attempts, in the order in which they were proposed."""
    groups: dict[int, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.root, []).append(trial)
    return [Candidate(tuple(sorted(group, key=lambda t: t.number))) for _, group in sorted(groups.items())]


def history_of(space: SearchSpace, found: Sequence[Candidate], higher_is_better: bool) -> History:
    """Return the history that a searcher is asked with.

    What was lost or interrupted is pending. A training that was stopped early counts as finished: with the value that
    trainings which did as well at the same epoch have reached in the end.
    """
    if not found:
        return History.start(space, higher_is_better=higher_is_better)
    status, values = np.zeros(len(found), dtype=np.int8), np.full(len(found), np.nan)
    told = {"finished": Told.FINISHED, "pruned": Told.FINISHED, "failed": Told.FAILED}
    for row, candidate in enumerate(found):
        status[row] = told.get(candidate.state, Told.PENDING)
        if candidate.state == "finished":
            values[row] = candidate.last.value
    complete = [candidate.last for candidate in found if candidate.state == "finished"]
    for row, candidate in enumerate(found):
        if candidate.state == "pruned":
            values[row] = extrapolated(candidate.last, complete)
            if np.isnan(values[row]):  # stopped without any finite value
                status[row] = Told.FAILED
    genotypes = np.array([candidate.first.architecture.genotype for candidate in found])
    return History(space, Architectures(space, genotypes), values, status, higher_is_better)


def extrapolated(stopped: Trial, complete: Sequence[Trial]) -> float:
    """Return what a training that was stopped early would have reached, NaN if it has no finite value.

    Its rank among the complete trainings at its last epoch is taken for its rank at the end.
    """
    known = {epoch: value for epoch, value in stopped.epochs.items() if np.isfinite(value)}
    if not known:
        return np.nan
    epoch, value = max(known.items())
    pairs = [
        (trial.epochs[epoch], trial.value)
        for trial in complete
        if trial.value is not None and np.isfinite(trial.epochs.get(epoch, np.nan))
    ]
    if len(pairs) < 2:
        return float(value)
    early, final = (np.sort(np.array(side, dtype=np.float64)) for side in zip(*pairs, strict=True))
    return float(np.interp(value, early, final))


def cost_of(trials: Sequence[Trial], metric: str | None) -> float:
    """Return what trainings have cost so far: seconds, or the sum of the last values of a curve."""
    total = 0.0
    for trial in trials:
        if metric is None:
            total += _finite(trial.about.get("seconds"))
        else:
            for record in trial.about.get("records") or [trial.about.get("record") or {}]:
                total += _finite((record.get("curves", {}).get(metric) or [None])[-1])
    return total


def _finite(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and np.isfinite(value) else 0.0


def best_of(found: Sequence[Candidate], higher_is_better: bool) -> Candidate | None:
    """Return the candidate with the best outcome, the earliest of equals; None if none is finished."""
    finished = [candidate for candidate in found if candidate.state == "finished"]
    sign = 1 if higher_is_better else -1
    return max(finished, key=lambda candidate: sign * (candidate.last.value or 0.0), default=None)


def incumbents(found: Sequence[Candidate], higher_is_better: bool) -> NDArray[np.float64]:
    """Return the best outcome after each candidate, NaN while there is none, `(candidates,)`."""
    sign = 1.0 if higher_is_better else -1.0
    outcomes = [sign * c.last.value if c.state == "finished" and c.last.value is not None else -np.inf for c in found]
    best = np.maximum.accumulate(outcomes) if outcomes else np.zeros(0)
    return np.where(np.isinf(best), np.nan, sign * best)
