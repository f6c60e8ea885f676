"""`StudyReport`: what a study found and why it looked there, as data, Markdown and a web page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArchcastError, InvalidDataError
from ..evaluation.metrics import kendall_tau
from ..evaluation.problems import Problem, Source, as_problem
from ..files import write_whole
from ..searchers import Searcher
from ..spaces import Architectures
from .explanation import next_edits
from .trials import Candidate, best_of, cost_of, incumbents

if TYPE_CHECKING:
    from .settings import StudySettings
    from .study import Study

SUFFIXES = (".html", ".md", ".json")
_NORMAL_90 = 1.6448536269514722
_EDITS = 5


@dataclass(frozen=True, repr=False)
class StudyReport:
    """Everything about a study at one moment; `StudyReport.of` makes one.

    Parameters
    ----------
    content : dict
        JSON-able: `study` (the settings), `counts`, `best`, `edits` (those of the best that are forecast to help most),
        `regret` (None where no table knows it), `forecasts` (how good they were), `anytime` (the best outcome after
        each architecture, and the seconds of training until then) and `picks`, one per architecture in the order of
        picking: what was forecast and why, what came of it, and what it resembled.
    study : Study
        For the pictures of the web page.
    """

    content: dict[str, Any]
    study: Study

    @classmethod
    def of(cls, study: Study, table: Source | None = None, metric: str | None = None, **options: Any) -> StudyReport:
        """Return the report of a study as it is now.

        Parameters
        ----------
        study : Study
        table : Table, str, Path, SurrogateTable or Problem, optional
            A benchmark table of the same space, which knows how far what was found is from the best.
        metric : str, optional
            The metric of the table.
        **options
            As `SearchProblem.of` takes them, e.g. `epoch`.

        Raises
        ------
        InvalidDataError
            If the table is of another space, or has no metric.
        UnknownNameError
            If there is no such table or metric.
        """
        problem = None if table is None else as_problem(table, metric, **options)
        if problem is not None and problem.space != study.space:
            raise InvalidDataError(
                f"table {problem.table!r} is of space {problem.space.name!r}, "
                f"study {study.name!r} searches {study.space.name!r}"
            )
        trials = study.trials()
        found = study.candidates()
        settings = study.settings
        best = best_of(found, settings.higher_is_better)
        outcomes = {c.last.number: c.last.value for c in found} | {c.first.number: c.last.value for c in found}
        picks = [_pick(candidate, outcomes) for candidate in found]
        states = [candidate.state for candidate in found]
        content: dict[str, Any] = {
            "study": {"name": study.name, "storage": study.storage.name} | settings.to_dict(),
            "counts": {state: states.count(state) for state in ("finished", "pruned", "failed", "running", "waiting")},
            "attempts": len(trials),
            "seconds": cost_of(trials, None),
            "best": None if best is None else next(p for p in picks if p["number"] == best.first.number),
            "edits": []
            if best is None
            else next_edits(_readable(settings), study.history(), best.first.architecture, _EDITS),
            "regret": None if problem is None else _regret(problem, settings, found),
            "forecasts": _quality(picks),
            "anytime": {
                "best": [_plain(value) for value in incumbents(found, settings.higher_is_better)],
                "seconds": np.cumsum([_seconds(candidate) for candidate in found]).tolist(),
            },
            "picks": picks,
        }
        return cls(content, study)

    def __repr__(self) -> str:
        return f"<StudyReport of {self.study.name!r}: {len(self.content['picks'])} architectures>"

    # ---- writing ------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> Path:
        """Write the report as `.html`, `.md` or `.json`, by the suffix of `path`, and return the path.

        Raises
        ------
        InvalidDataError
            For any other suffix, or if the file cannot be written.
        """
        target = Path(path)
        if target.suffix not in SUFFIXES:
            raise InvalidDataError(f"expected a file name ending in {', '.join(SUFFIXES)}, got {target.name!r}")
        text = {".html": self.to_html, ".md": self.to_markdown, ".json": self.to_json}[target.suffix]()
        write_whole(target, text.encode())
        return target

    def to_json(self) -> str:
        """Return the content as JSON."""
        return json.dumps(self.content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def to_markdown(self) -> str:
        """Return the report as Markdown, without pictures."""
        from .pages import markdown

        return markdown(self.content)

    def to_html(self) -> str:
        """Return the report as one web page that needs nothing else: styles and pictures are in it."""
        from .pages import page

        return page(self)


def _readable(settings: StudySettings) -> Searcher:
    """Return the searcher with its sources, or without those that cannot be read here: a report needs them less."""
    try:
        return settings.asked
    except ArchcastError:
        return settings.searcher


def _pick(candidate: Candidate, outcomes: Mapping[int, float | None]) -> dict[str, Any]:
    first, last = candidate.first.about, candidate.last.about
    mean, std, value = first.get("forecast_mean"), first.get("forecast_std"), candidate.last.value
    surprise = None if mean is None or value is None or not std else (value - mean) / std
    return {
        "number": candidate.first.number,
        "architecture": str(candidate.first.architecture),
        "state": candidate.state,
        "value": value,
        "spread": candidate.last.spread,
        "forecast_mean": mean,
        "forecast_std": std,
        "surprise": _plain(surprise),
        "acquisition": first.get("acquisition"),
        "known": first.get("known"),
        "initial": bool(first.get("initial", False)),
        "contributions": [{"feature": name, "value": value} for name, value in first.get("contributions", [])],
        "neighbors": [{"number": n, "value": outcomes.get(n)} for n in first.get("neighbors", [])],
        "epochs": max(candidate.last.epochs, default=None),
        "last_value": _plain(list(candidate.last.epochs.values())[-1]) if candidate.last.epochs else None,
        "seconds": last.get("seconds"),
        "parameters": last.get("parameters"),
        "flops": last.get("flops"),
        "attempts": len(candidate.attempts),
        "worker": last.get("worker"),
        "message": last.get("message", ""),
    }


def _seconds(candidate: Candidate) -> float:
    return cost_of(candidate.attempts, None)


def _plain(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _quality(picks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how the forecasts that were made at the time of picking compare with the outcomes."""
    pairs = [
        (pick["forecast_mean"], pick["forecast_std"], pick["value"])
        for pick in picks
        if pick["forecast_mean"] is not None and pick["forecast_std"] is not None and pick["value"] is not None
    ]
    if not pairs:
        return {"count": 0, "kendall_tau": None, "mean_absolute_error": None, "within_90": None}
    mean, std, value = (np.array(side, dtype=np.float64) for side in zip(*pairs, strict=True))
    tau = kendall_tau(value, mean) if len(pairs) > 1 else math.nan
    return {
        "count": len(pairs),
        "kendall_tau": _plain(tau),
        "mean_absolute_error": float(np.abs(value - mean).mean()),
        "within_90": float((np.abs(value - mean) <= _NORMAL_90 * std).mean()),
    }


def _regret(problem: Problem, settings: StudySettings, found: Sequence[Candidate]) -> dict[str, Any]:
    """Return how far the best found is from the best of a table, and how that fell; None where the table lacks it."""
    space, lookup = problem.space, problem.open(settings.seed)
    genotypes = np.array([candidate.first.architecture.genotype for candidate in found]).reshape(-1, space.dimension)
    rows = lookup.rows(Architectures(space, genotypes))
    leaders, leader = [], None
    sign = 1 if settings.higher_is_better else -1
    for place, candidate in enumerate(found):
        value = candidate.last.value if candidate.state == "finished" else None
        if value is not None and (leader is None or sign * value > sign * (found[leader].last.value or 0.0)):
            leader = place
        leaders.append(leader)
    gaps = [None if place is None or rows[place] < 0 else _plain(float(lookup.gaps[rows[place]])) for place in leaders]
    return {
        "table": problem.label,
        "unit": problem.unit,
        "best_in_table": problem.best,
        "value": None if leader is None or rows[leader] < 0 else _plain(float(lookup.values[rows[leader]])),
        "regret": gaps[-1] if gaps else None,
        "anytime": gaps,
    }
