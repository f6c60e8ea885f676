"""`TablePlan`: a table that is made by training, as a whole or some of its rows again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError
from ..spaces import Architectures, SearchSpace, get_space
from .recipe import Recipe
from .records import Fidelity, TrainingRecord
from .requests import TrainingRequest
from .tasks import Task, make_task
from .torch_trainer import TorchTrainer


@dataclass(frozen=True)
class Part:
    """Trainings of every architecture at one fidelity.

    Parameters
    ----------
    fidelity : Fidelity
    seeds : tuple of int
    recipe : Recipe
    """

    fidelity: Fidelity
    seeds: tuple[int, ...]
    recipe: Recipe


@dataclass(frozen=True)
class TablePlan:
    """Which trainings make up a table: one architecture of each canonical class, in parts that are trained in turn.

    Parameters
    ----------
    name : str
        Of the table.
    space : str
    task : str
        Its registered name; in the table it is the data set of all metrics.
    task_parameters : mapping
    parts : sequence of Part
        The first is the full training.
    proxies : tuple of str
        Zero-cost proxies that become columns, each of the network that seed 0 gives.
    proxy_batch : int
        Training examples that proxies see.
    about : mapping of str to str
        Source, licence and the like, for the file.
    """

    name: str
    space: str
    task: str
    parts: tuple[Part, ...]
    task_parameters: Mapping[str, Any] = field(default_factory=dict)
    proxies: tuple[str, ...] = ()
    proxy_batch: int = 64
    about: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def search_space(self) -> SearchSpace:
        """The space."""
        return get_space(self.space)

    @cached_property
    def made_task(self) -> Task:
        """The task with its data."""
        return make_task(self.task, **self.task_parameters)

    @cached_property
    def architectures(self) -> Architectures:
        """The first architecture of each canonical class, in lexicographic order of their genotypes."""
        whole = self.search_space.enumerate()
        first: NDArray[np.intp] = np.sort(np.unique(whole.keys(), return_index=True)[1])
        return whole[first]

    def trainer(self) -> TorchTrainer:
        """Return what carries out the requests; on the CPU, so that every row is made alike."""
        return TorchTrainer(self.made_task, self.parts[0].recipe, device="cpu")

    def requests(self, rows: Sequence[int] | NDArray[np.intp], parts: Sequence[int] = (0,)) -> list[TrainingRequest]:
        """Return the trainings of some architectures, by their position in `architectures`."""
        chosen = self.architectures[np.asarray(rows, dtype=np.intp)]
        return [request for number in parts for request in self.requests_of(chosen, number)]

    def requests_of(self, architectures: Architectures, part: int) -> list[TrainingRequest]:
        """Return the trainings of architectures in a part of the plan, those of one architecture in order of seeds."""
        chosen = self.parts[part]
        trainer = TorchTrainer(self.made_task, chosen.recipe)
        return trainer.requests(self.search_space, architectures, chosen.fidelity, chosen.seeds)

    def require_parts(self, parts: Iterable[int]) -> None:
        """Raise InvalidDataError if one of the parts does not exist."""
        for part in parts:
            if not 0 <= part < len(self.parts):
                raise InvalidDataError(f"table {self.name!r} has parts 0..{len(self.parts) - 1}, got {part}")

    def includes(self, record: TrainingRecord) -> bool:
        """Return whether a training is one of those that `requests` asks for."""
        return (
            record.task == self.made_task.name
            and record.space == self.search_space.spec
            and record.warm_start is None
            and tuple(record.genotype) in self.positions
            and any(
                record.seed in part.seeds
                and record.fidelity == part.fidelity
                and record.recipe == part.recipe.to_dict()
                for part in self.parts
            )
        )

    @cached_property
    def positions(self) -> dict[tuple[int, ...], int]:
        """The position in `architectures` of each genotype."""
        return {tuple(row): number for number, row in enumerate(self.architectures.genotypes.tolist())}

    def order(self) -> NDArray[np.intp]:
        """Return all rows in the order in which they are trained: random, so that a part of a table is a sample."""
        return np.random.default_rng(0).permutation(len(self.architectures))
