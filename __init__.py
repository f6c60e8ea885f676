"""archcast forecasts how well a neural architecture will do before anyone trains it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__
from .spaces import Architecture, Architectures, GraphBatch, SearchSpace, Skeleton, get_space, register_space

if TYPE_CHECKING:
    from .benchmarks_data import Table, load_table
    from .designs import Design, design, make_design, register_design
    from .encoders import Encoder, make_encoder, register_encoder
    from .evaluation import benchmark, compare, load_surrogate_table, replay
    from .explanations import attribute, best_edits
    from .predictors import Predictor, Source, load_predictor, make_predictor, register_predictor
    from .searchers import (
        CurveHistory,
        History,
        Scheduler,
        Searcher,
        make_scheduler,
        make_searcher,
        register_scheduler,
        register_searcher,
    )
    from .studies import Study, open_study

_LAZY = {
    "CurveHistory": ".searchers",
    "Design": ".designs",
    "Encoder": ".encoders",
    "History": ".searchers",
    "Predictor": ".predictors",
    "Scheduler": ".searchers",
    "Searcher": ".searchers",
    "Source": ".predictors",
    "Study": ".studies",
    "Table": ".benchmarks_data",
    "attribute": ".explanations",
    "benchmark": ".evaluation",
    "best_edits": ".explanations",
    "compare": ".evaluation",
    "design": ".designs",
    "load_predictor": ".predictors",
    "load_surrogate_table": ".evaluation",
    "load_table": ".benchmarks_data",
    "make_design": ".designs",
    "make_encoder": ".encoders",
    "make_predictor": ".predictors",
    "make_scheduler": ".searchers",
    "make_searcher": ".searchers",
    "open_study": ".studies",
    "register_design": ".designs",
    "register_encoder": ".encoders",
    "register_predictor": ".predictors",
    "register_scheduler": ".searchers",
    "register_searcher": ".searchers",
    "replay": ".evaluation",
}
"""Public names whose rooms cost an import: it is paid when the name is first used."""


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name], __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


__all__ = [
    "Architecture",
    "Architectures",
    "CurveHistory",
    "Design",
    "Encoder",
    "GraphBatch",
    "History",
    "Predictor",
    "Scheduler",
    "SearchSpace",
    "Searcher",
    "Skeleton",
    "Source",
    "Study",
    "Table",
    "__version__",
    "attribute",
    "benchmark",
    "best_edits",
    "compare",
    "design",
    "get_space",
    "load_predictor",
    "load_surrogate_table",
    "load_table",
    "make_design",
    "make_encoder",
    "make_predictor",
    "make_scheduler",
    "make_searcher",
    "open_study",
    "register_design",
    "register_encoder",
    "register_predictor",
    "register_scheduler",
    "register_searcher",
    "register_space",
    "replay",
]
