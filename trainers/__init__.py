"""Real trainings: networks, tasks, recipes and fidelities, and what came of each training."""

from __future__ import annotations

from .records import Fidelity, Status, TrainingRecord, training_key

__all__ = ["Fidelity", "Status", "TrainingRecord", "training_key"]
