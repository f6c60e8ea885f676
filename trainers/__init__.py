"""Real trainings: networks, tasks, recipes and fidelities, and what came of each training."""

from __future__ import annotations

from .executors import Executor, InProcess, Outcome
from .external import CallableTrainer, ShellTrainer
from .journal import BAD_LUCK, Journal
from .process_pool import ProcessPool
from .ray_executor import RayExecutor
from .recipe import Recipe
from .records import Fidelity, Status, TrainingRecord, training_key
from .requests import TrainingRequest, requests_for
from .run import run, stream
from .tasks import Task, make_task, register_task, task_from_arrays, task_from_dataset, task_from_npz
from .torch_trainer import TorchTrainer, train

__all__ = [
    "BAD_LUCK",
    "CallableTrainer",
    "Executor",
    "Fidelity",
    "InProcess",
    "Journal",
    "Outcome",
    "ProcessPool",
    "RayExecutor",
    "Recipe",
    "ShellTrainer",
    "Status",
    "Task",
    "TorchTrainer",
    "TrainingRecord",
    "TrainingRequest",
    "make_task",
    "register_task",
    "requests_for",
    "run",
    "stream",
    "task_from_arrays",
    "task_from_dataset",
    "task_from_npz",
    "train",
    "training_key",
]
