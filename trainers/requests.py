"""`TrainingRequest`: a training that is wanted. It is the same training as a record with the same key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..errors import InvalidDataError
from ..spaces import Architecture, ArchitecturesLike, SearchSpace
from .records import Fidelity, Status, TrainingRecord, training_key


@dataclass(frozen=True)
class TrainingRequest:
    """One training: which architecture, on what, how, how far, and with which seed.

    Parameters
    ----------
    architecture : Architecture
    task : str
        The name of the task.
    recipe : mapping
        What determines the training apart from the rest, JSON-able.
    fidelity : Fidelity
    seed : int
    warm_start : str, optional
        The architecture whose trained weights it is to start from; None for random weights.
    """

    architecture: Architecture
    task: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    fidelity: Fidelity = field(default_factory=Fidelity)
    seed: int = 0
    warm_start: str | None = None

    @cached_property
    def key(self) -> str:
        """The identity of the training, equal to the `key` of its record."""
        return self._key(self.seed)

    @cached_property
    def group(self) -> str:
        """Equal for requests that differ in nothing but the seed."""
        return self._key(0)

    def _key(self, seed: int) -> str:
        spec, genotype = self.architecture.space.spec, self.architecture.genotype
        return training_key(spec, genotype, self.task, self.recipe, self.fidelity, seed, self.warm_start)

    def record(
        self,
        status: Status,
        *,
        message: str = "",
        curves: Mapping[str, Sequence[float]] | None = None,
        seconds: float = 0.0,
        parameters: int = 0,
        flops: int = 0,
        peak_memory: int | None = None,
    ) -> TrainingRecord:
        """Return the record of this training with what came of it."""
        return TrainingRecord(
            space=self.architecture.space.spec,
            architecture=str(self.architecture),
            genotype=self.architecture.genotype,
            task=self.task,
            recipe=dict(self.recipe),
            fidelity=self.fidelity,
            seed=self.seed,
            status=status,
            message=message,
            curves={name: list(values) for name, values in (curves or {}).items()},
            seconds=seconds,
            parameters=parameters,
            flops=flops,
            peak_memory=peak_memory,
            warm_start=self.warm_start,
        )


def requests_for(
    space: SearchSpace,
    architectures: ArchitecturesLike,
    task: str,
    recipe: Mapping[str, Any] | None = None,
    fidelity: Fidelity | None = None,
    seeds: Iterable[int] = (0,),
    parents: ArchitecturesLike | None = None,
) -> list[TrainingRequest]:
    """Return one request for each architecture and seed, those of one architecture next to each other.

    With `parents`, one for each architecture or one for all, trainings start from the weights that those have learned.

    Raises
    ------
    InvalidArchitectureError
        If an architecture is malformed or not of this space.
    InvalidDataError
        If there is no seed, or one repeats, or there are neither as many parents as architectures nor one.
    """
    labels = list(seeds)
    if not labels or len(set(labels)) != len(labels):
        raise InvalidDataError(f"expected distinct seeds, at least one, got {labels}")
    children = space.architectures(architectures)
    starts: list[str | None] = [None]
    if parents is not None:
        starts = list(space.format(space.architectures(parents)))
        if len(starts) not in (1, len(children)):
            raise InvalidDataError(f"expected one parent or {len(children)}, one an architecture, got {len(starts)}")
    if len(starts) == 1:
        starts *= len(children)
    return [
        TrainingRequest(architecture, task, dict(recipe or {}), fidelity or Fidelity(), seed, start)
        for architecture, start in zip(children, starts, strict=True)
        for seed in labels
    ]
