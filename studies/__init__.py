"""Live studies: searches on real trainings, shared by workers on any machine through one database."""

from __future__ import annotations

from .budget import Budget
from .opening import open_study
from .pruning import PRUNERS, pruner_spec
from .report import StudyReport
from .settings import StudySettings
from .storage import StudyStorage
from .study import Study
from .trials import Candidate, Trial

__all__ = [
    "PRUNERS",
    "Budget",
    "Candidate",
    "Study",
    "StudyReport",
    "StudySettings",
    "StudyStorage",
    "Trial",
    "open_study",
    "pruner_spec",
]
