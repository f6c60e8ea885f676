"""`TorchTrainer`: networks of a search space trained on a task in PyTorch; `train` for one training at once."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..errors import ArchcastError, InvalidDataError
from ..spaces import Architecture, Architectures, ArchitecturesLike, SearchSpace, Skeleton
from ..torch_runtime import require_torch, torch_device
from .checkpoints import Checkpoints
from .recipe import Recipe
from .records import Fidelity, Status, TrainingRecord
from .requests import TrainingRequest, requests_for
from .seed_run import SeedRun
from .tasks import Task

if TYPE_CHECKING:
    import torch
    from torch import nn

    from .external import TrainerReport
    from .layouts import Layout, State
    from .loop import Tensors
    from .transfer import WeightStore

DEVICES = ("auto", "cpu", "cuda", "mps")
_SEEDS_AT_ONCE = 8
_EXAMPLES = 100
"""On which warm starts are checked."""


class TorchTrainer:
    """Trains the networks that architectures stand for; a `Trainer` for `run` and `stream`.

    On signals, several seeds of one architecture are trained at once, which is several times as fast as one after
    another, with the same curves up to rounding.

    Parameters
    ----------
    task : Task
    recipe : Recipe, optional
    device : {"auto", "cpu", "cuda", "mps"} or str
        As PyTorch names it, e.g. `"cuda:1"`; `"auto"` is the first that is there of `cuda`, `mps` and `cpu`. On CUDA
        computations are in mixed precision, and images have their channels last in memory.
    seeds_at_once : int, optional
        By default 8 on signals, 1 on images. With 1 networks are plain modules of `torch.nn`; else they are made of
        layers for several at once, which on a processor are also faster for one.
    dtype : {"float32", "float64"}
        Of the weights.
    compile : bool
        Compile networks with `torch.compile`: worth its minutes for long trainings on an accelerator.
    weights : str or Path, optional
        A folder where the weights of each network are kept after its training, those that are evaluated; and where
        warm-started trainings find those of their parents.
    checkpoints : str or Path, optional
        A folder where trainings that go on for long leave their state after an epoch, to go on from there if they are
        interrupted, with the same curves as without. It is emptied as they end.
    checkpoint_seconds : float
        How long a training goes on between two checkpoints at least.

    Raises
    ------
    InvalidDataError
        If a parameter is out of range, or the folder cannot be made.
    """

    def __init__(
        self,
        task: Task,
        recipe: Recipe | None = None,
        *,
        device: str = "auto",
        seeds_at_once: int | None = None,
        dtype: str = "float32",
        compile: bool = False,
        weights: str | Path | None = None,
        checkpoints: str | Path | None = None,
        checkpoint_seconds: float = 30.0,
    ) -> None:
        if not isinstance(task, Task):
            raise InvalidDataError(f"expected a Task to train on, got {task!r:.200}")
        if device.partition(":")[0] not in DEVICES:
            raise InvalidDataError(f"the device must be one of {', '.join(DEVICES)}, got {device!r}")
        if dtype not in ("float32", "float64"):
            raise InvalidDataError(f"dtype must be 'float32' or 'float64', got {dtype!r}")
        signals = len(task.inputs) == 2
        if seeds_at_once is not None and (seeds_at_once < 1 or (seeds_at_once > 1 and not signals)):
            raise InvalidDataError(
                f"seeds_at_once must be {'at least 1' if signals else '1 for images'}, got {seeds_at_once!r}"
            )
        self.task = task
        self.recipe = recipe if recipe is not None else Recipe()
        self.device = device
        self.seeds_at_once = seeds_at_once if seeds_at_once is not None else (_SEEDS_AT_ONCE if signals else 1)
        self.dtype = dtype
        self.compile = compile
        self.weights = None if weights is None else _weight_store(weights)
        self.checkpoints = None if checkpoints is None else Checkpoints(checkpoints, checkpoint_seconds)
        self._tensors: dict[int | None, Tensors] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Leave tensors behind: each process makes its own."""
        return self.__dict__ | {"_tensors": {}}

    def requests(
        self,
        space: SearchSpace,
        architectures: ArchitecturesLike,
        fidelity: Fidelity | None = None,
        seeds: Iterable[int] = (0,),
        parents: ArchitecturesLike | None = None,
    ) -> list[TrainingRequest]:
        """Return what is to be asked of `run` or `stream` for each architecture and seed.

        With `parents`, one for each architecture or one for all, trainings start from the weights that those have
        learned, which are in the folder `weights` by then: run the parents first.

        Raises
        ------
        InvalidArchitectureError
            If an architecture is malformed or not of this space.
        InvalidDataError
            If the seeds repeat or are missing, networks of this recipe and fidelity are impossible, the number of
            parents is another, or there is no folder of weights to find them in.
        """
        self.recipe.skeleton(self.task, fidelity)
        if parents is not None and self.weights is None:
            raise InvalidDataError("warm-started trainings need the folder with the weights of their parents (weights)")
        return requests_for(space, architectures, self.task.name, self.recipe.to_dict(), fidelity, seeds, parents)

    def __call__(self, report: TrainerReport, requests: Sequence[TrainingRequest]) -> list[TrainingRecord]:
        """Train requests that differ in nothing but the seed."""
        torch = require_torch("a training", "train")
        first = requests[0]
        if first.task != self.task.name:
            raise InvalidDataError(f"this trainer is for task {self.task.name!r}, got a request for {first.task!r}")
        recipe = Recipe.from_dict(first.recipe)
        at_once = self.seeds_at_once
        records: dict[int, TrainingRecord] = {}
        with torch.random.fork_rng(devices=[]):
            ready = []
            for request in requests:
                try:
                    ready.append((request, *self._start(request, recipe)))
                except _NoStartError as error:
                    records[request.seed] = request.record(Status.FAILED, message=str(error))
            for start in range(0, len(ready), at_once):
                for record in self._train(report, ready[start : start + at_once], recipe):
                    records[record.seed] = record
        return [records[request.seed] for request in requests]

    def _start(self, request: TrainingRequest, recipe: Recipe) -> tuple[State, str]:
        """Return the weights that a training starts from, and what its record says of them."""
        from .layouts import initial_state

        skeleton = recipe.skeleton(self.task, request.fidelity)
        if request.warm_start is None:
            return initial_state(request.architecture, skeleton, request.seed), ""
        from .transfer import warm_start

        if self.weights is None:
            raise _NoStartError(
                f"the training starts from {request.warm_start}, and its trainer has no folder of weights"
            )
        try:
            stored = self.weights.parent(request)
            parent_skeleton = recipe.skeleton(self.task, stored.fidelity)
            examples = self._data(request.fidelity.resolution, torch_device(self.device))["train"][0][:_EXAMPLES]
            inherited = warm_start(request, skeleton, stored, parent_skeleton, examples)
        except ArchcastError as error:
            raise _NoStartError(str(error)) from None
        return inherited.state, inherited.message

    def _train(
        self, report: TrainerReport, starts: Sequence[tuple[TrainingRequest, State, str]], recipe: Recipe
    ) -> list[TrainingRecord]:
        import torch

        from .layouts import PlainLayout, ReplicatedLayout
        from .loop import TrainingLoop

        start = time.perf_counter()
        requests = [request for request, _, _ in starts]
        architecture, fidelity = requests[0].architecture, requests[0].fidelity
        device = torch_device(self.device)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        skeleton = recipe.skeleton(self.task, fidelity)
        alone = self.seeds_at_once == 1 or (len(requests) == 1 and device.type != "cpu")
        layout: Layout = PlainLayout() if alone else ReplicatedLayout(len(requests))
        network = layout.build(architecture, skeleton, [state for _, state, _ in starts]).to(
            device, getattr(torch, self.dtype)
        )
        if device.type == "cuda" and skeleton.dimension == 2:
            network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        torch.manual_seed(requests[0].seed)
        loop = TrainingLoop(
            cast("nn.Module", torch.compile(network)) if self.compile else network,
            layout,
            self.task,
            self._data(fidelity.resolution, device),
            recipe,
            [request.seed for request in requests],
            epochs=fidelity.epochs if fidelity.epochs is not None else recipe.epochs,
            data_share=fidelity.data_share,
            mixed_precision=device.type == "cuda",
        )
        runs = [SeedRun(request, note) for request, _, note in starts]
        saved = None if self.checkpoints is None else self.checkpoints.of(requests, self.dtype)
        if saved is not None:
            saved.restore(loop, runs)
        for measured in loop.run():
            answers = [run.take(loop.done, metrics, report) for run, metrics in zip(runs, measured, strict=True)]
            if any(answers) or all(run.diverged for run in runs):
                break
            if saved is not None:
                saved.save(loop, runs)
        if saved is not None:
            saved.remove()
        peak = torch.cuda.max_memory_allocated(device) // len(requests) if device.type == "cuda" else None
        parameters, flops = network_size(architecture, skeleton)
        seconds = (time.perf_counter() - start) / len(requests)
        if self.weights is not None:
            for run, state in zip(runs, layout.states(loop.trained), strict=True):
                run.keep(state, self.weights)
        return [run.record(loop.epochs, seconds, parameters, flops, peak) for run in runs]

    def _data(self, resolution: int | None, device: torch.device) -> Tensors:
        if resolution not in self._tensors:
            self._tensors[resolution] = task_tensors(self.task, resolution, device, self.dtype)
        return self._tensors[resolution]


class _NoStartError(Exception):
    """The weights that a training should start from are not to be had."""


def train(
    architecture: Architecture | Architectures,
    task: Task,
    recipe: Recipe | None = None,
    fidelity: Fidelity | None = None,
    seed: int = 0,
    *,
    device: str = "auto",
    timeout: float | None = None,
    weights: str | Path | None = None,
    parent: Architecture | Architectures | None = None,
) -> TrainingRecord:
    """Train one architecture in this process, and return the record of it, whatever came of it.

    Parameters
    ----------
    architecture : Architecture, or a batch of one
    task : Task
    recipe : Recipe, optional
    fidelity : Fidelity, optional
        By default the full training.
    seed : int
    device : str
        As of `TorchTrainer`.
    timeout : float, optional
        Seconds.
    weights : str or Path, optional
        As of `TorchTrainer`.
    parent : Architecture, or a batch of one, optional
        Start from the weights that it has learned, which are in the folder `weights`.

    Raises
    ------
    InvalidDataError
        If it is not one architecture, or a parameter is out of range. What goes wrong later is in the record.

    Examples
    --------
    >>> import archcast as ac
    >>> from archcast.trainers import Fidelity, Recipe, make_task, train
    >>> space = ac.get_space("nasbench201")
    >>> recipe = Recipe(epochs=1, channels=4, stages=1, cells=1)
    >>> record = train(space.sample(1, seed=0), make_task("mnist1d", train=64, valid=32, test=32), recipe)
    >>> record.status, sorted(record.curves)[-1]
    (<Status.FINISHED: 'finished'>, 'valid/loss')
    """
    from .run import run

    batch = architecture.batch() if isinstance(architecture, Architecture) else architecture
    if len(batch) != 1:
        raise InvalidDataError(f"expected one architecture to train, got {len(batch)}")
    trainer = TorchTrainer(task, recipe, device=device, weights=weights)
    source = parent.batch() if isinstance(parent, Architecture) else parent
    return run(trainer.requests(batch.space, batch, fidelity, [seed], source), trainer, timeout=timeout)[0]


def _weight_store(folder: str | Path) -> WeightStore:
    require_torch("a training", "train")
    from .transfer import WeightStore

    return WeightStore(folder)


def task_tensors(task: Task, resolution: int | None, device: torch.device, dtype: str) -> Tensors:
    """Return the examples of a task on a device, inputs resampled to a resolution if there is one."""
    import torch

    tensors: Tensors = {}
    for split in ("train", "valid", "test"):
        examples = getattr(task, split)
        inputs = torch.from_numpy(examples.inputs).to(getattr(torch, dtype))
        targets = torch.from_numpy(examples.targets)
        targets = targets.to(inputs.dtype) if targets.is_floating_point() else targets.long()
        if resolution is not None:
            mode, size = ("linear", (resolution,)) if inputs.ndim == 3 else ("bilinear", (resolution, resolution))
            inputs = torch.nn.functional.interpolate(
                inputs, size=size, mode=mode, align_corners=False, antialias=mode == "bilinear"
            )
        tensors[split] = (inputs.to(device), targets.to(device))
    return tensors


def network_size(architecture: Architecture, skeleton: Skeleton) -> tuple[int, int]:
    """Return the parameters of a network, and its multiply-accumulates for one input."""
    import torch

    from .proxies.size import flops, parameters

    network = architecture.space.build(architecture, skeleton, seed=0)
    inputs = torch.zeros(1, *skeleton.inputs)
    targets = torch.zeros(1, dtype=torch.long)
    loss = torch.nn.functional.cross_entropy
    return round(parameters(network, inputs, targets, loss)), round(flops(network, inputs, targets, loss))
