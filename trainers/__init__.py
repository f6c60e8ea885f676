"""Real trainings: networks, tasks, recipes and fidelities, and what came of each training."""

from __future__ import annotations

from .executors import Executor, InProcess, Outcome
from .external import CallableTrainer, ShellTrainer
from .journal import Journal
from .process_pool import ProcessPool
from .records import Fidelity, Status, TrainingRecord, training_key
from .requests import TrainingRequest, requests_for
from .run import run, stream

__all__ = [
    "CallableTrainer",
    "Executor",
    "Fidelity",
    "InProcess",
    "Journal",
    "Outcome",
    "ProcessPool",
    "ShellTrainer",
    "Status",
    "TrainingRecord",
    "TrainingRequest",
    "requests_for",
    "run",
    "stream",
    "training_key",
]
