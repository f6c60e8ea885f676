"""What the trainings of a trial, one a seed, come to: the mean of those that ended well, and how far they lie apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..trainers import Status, TrainingRecord


@dataclass(frozen=True)
class Verdict:
    """What became of a trial.

    Parameters
    ----------
    state : str
        Optuna's: `"COMPLETE"` if a training ended with the metric and none was stopped early, `"PRUNED"` if one was,
        and `"FAIL"`.
    value : float or None
        The mean of `seeds` where it is complete.
    message : str
        Why it failed, or what of it did.
    seeds : dict of int to float
        The metric by seed, of the trainings that ended well.
    record : TrainingRecord
        The training that shows best how it ended.
    """

    state: str
    value: float | None
    message: str
    seeds: Mapping[int, float] = field(default_factory=dict)
    record: TrainingRecord = field(kw_only=True, repr=False)

    @property
    def spread(self) -> float | None:
        """The standard deviation between the seeds, None if there are not two."""
        return float(np.std(list(self.seeds.values()), ddof=1)) if len(self.seeds) > 1 else None


def judge(records: Sequence[TrainingRecord], metric: str) -> Verdict:
    """Return what the trainings of a trial come to."""
    single = [_judge_one(record, metric) for record in records]
    states = [state for state, _, _ in single]
    values = [value for _, value, _ in single]
    known = {record.seed: value for record, value in zip(records, values, strict=True) if value is not None}
    state = "PRUNED" if "PRUNED" in states else "COMPLETE" if known else "FAIL"
    record, message = records[states.index(state)], single[states.index(state)][2]
    failures = states.count("FAIL")
    if state != "FAIL" and failures:
        first = states.index("FAIL")
        message = f"{failures} of {len(records)} seeds failed: {single[first][2] or records[first].status}"
    value = float(np.mean(list(known.values()))) if state == "COMPLETE" else None
    return Verdict(state, value, message, known, record=record)


def _judge_one(record: TrainingRecord, metric: str) -> tuple[str, float | None, str]:
    """Return Optuna's state, the value and a message for one training."""
    if record.status not in (Status.FINISHED, Status.STOPPED):
        return "FAIL", None, record.message
    if metric not in record.curves:
        return "FAIL", None, f"the training has no curve {metric!r}, it has {', '.join(record.curves) or 'none'}"
    if record.status is Status.STOPPED:
        return "PRUNED", None, record.message
    value = record.final(metric)
    if not np.isfinite(value):
        return "FAIL", None, f"{metric} is {value} at the end"
    return "COMPLETE", value, ""


def attributes_of(records: Sequence[TrainingRecord], verdict: Verdict) -> dict[str, Any]:
    """Return what is stored with a trial that has ended."""
    leading, several = verdict.record, len(records) > 1
    status = str(leading.status)
    if verdict.state == "FAIL" and leading.status in (Status.FINISHED, Status.STOPPED):
        status = str(Status.FAILED)
    first = (verdict.message, leading.message) if several else (leading.message, verdict.message)
    attributes: dict[str, Any] = {"status": status, "message": first[0] or first[1]}
    seconds = [record.seconds for record in records if np.isfinite(record.seconds)]
    if seconds:
        attributes["seconds"] = sum(seconds)
    for name in ("parameters", "flops", "peak_memory"):
        if getattr(leading, name):
            attributes[name] = getattr(leading, name)
    if not several:
        return attributes | {"record": leading.to_dict()}
    attributes["records"] = [record.to_dict() for record in records]
    attributes["seed_values"] = {str(seed): value for seed, value in verdict.seeds.items()}
    if verdict.spread is not None:
        attributes["spread"] = verdict.spread
    return attributes


def stored_records(attributes: Mapping[str, Any]) -> list[TrainingRecord]:
    """Return the records that `attributes_of` has stored, none if there are none."""
    stored = attributes.get("records") or [attributes.get("record")]
    return [TrainingRecord.from_dict(content) for content in stored if content is not None]


def mean_curve(records: Sequence[TrainingRecord], metric: str) -> dict[int, float]:
    """Return the mean of the metric by epoch, as far as all seeds have got that did not fail (all, where all did)."""
    good = [record for record in records if record.status in (Status.FINISHED, Status.STOPPED)] or list(records)
    curves = [curve for record in good if (curve := record.curves.get(metric))]
    means = {epoch: float(np.mean(values)) for epoch, values in enumerate(zip(*curves, strict=False), start=1)}
    return {epoch: value for epoch, value in means.items() if np.isfinite(value)}
