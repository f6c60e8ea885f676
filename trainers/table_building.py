"""Making a planned table by real trainings, and training some of its rows again to see whether they agree."""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..benchmarks_data import Column, MetricInfo, Table
from ..errors import InvalidDataError
from ..files import replacing
from .executors import Executor, InProcess, Report
from .journal import Journal
from .journal_table import fidelity_name, write_journal_table
from .measures import mean_loss
from .proxies import PROXIES, score_architectures
from .records import Status, TrainingRecord
from .run import run, stream
from .table_plan import TablePlan

_SCORED_AT_ONCE = 16

OnProgress = Callable[[int, int], object]
"""Called with how many trainings are done and how many there are in all."""


def build_table(
    plan: TablePlan,
    target: str | Path,
    journal: Journal,
    executor: Executor | None = None,
    *,
    parts: Sequence[int] | None = None,
    rows: NDArray[np.intp] | None = None,
    retry: Iterable[Status | str] = (Status.KILLED,),
    attempts: int | None = None,
    on_progress: OnProgress | None = None,
) -> Table:
    """Train what the journal lacks, score the proxies, and write the table.

    Interrupted at any moment, the same call goes on with what is missing.

    Parameters
    ----------
    plan : TablePlan
    target : str or Path
        The `.h5` file.
    journal : Journal
        Open for appending. Proxies are kept beside it, under its name with `.proxies.npz` added.
    executor : Executor, optional
        By default this process.
    parts : sequence of int, optional
        Which parts of the plan; by default all.
    rows : int array, optional
        Which architectures; by default all.
    retry, attempts
        Which trainings of the journal are done again, as `stream` takes them.
    on_progress : callable, optional

    Raises
    ------
    InvalidDataError
        If a part or an architecture does not exist, there is no training to write, or the file of proxies beside
        the journal is of another plan or damaged.
    JournalError
        If the journal cannot be written.
    """
    wanted = list(range(len(plan.parts))) if parts is None else list(parts)
    plan.require_parts(wanted)
    chosen = plan.order() if rows is None else np.asarray(rows, dtype=np.intp)
    outside = chosen[(chosen < 0) | (chosen >= len(plan.architectures))]
    if len(outside):
        raise InvalidDataError(f"table {plan.name!r} has rows 0..{len(plan.architectures) - 1}, got {outside[0]}")
    place = executor if executor is not None else InProcess()
    for _ in train_parts(plan, journal, place, wanted, chosen, retry=retry, attempts=attempts, on_progress=on_progress):
        pass
    scores = score_plan(plan, journal.path, place, chosen) if plan.proxies else {}
    return write_plan(plan, target, journal, scores)


def train_parts(
    plan: TablePlan,
    journal: Journal,
    executor: Executor,
    parts: Sequence[int],
    rows: NDArray[np.intp],
    *,
    retry: Iterable[Status | str] = (Status.KILLED,),
    attempts: int | None = None,
    on_progress: OnProgress | None = None,
) -> Iterator[TrainingRecord]:
    """Yield the records of trainings that the journal lacked, part after part."""
    requests = {part: plan.requests(rows, [part]) for part in parts}
    total = sum(map(len, requests.values()))
    again: dict[str, Any] = {"retry": tuple(retry), "attempts": attempts}
    done = total - sum(len(journal.missing(wanted, **again)) for wanted in requests.values())
    trainer = plan.trainer()
    for wanted in requests.values():
        for record in stream(wanted, trainer, executor, journal, **again):
            done += 1
            if on_progress is not None:
                on_progress(done, total)
            yield record


def write_plan(plan: TablePlan, target: str | Path, journal: Journal, scores: dict[str, NDArray[np.float64]]) -> Table:
    """Write what the journal has of a plan, with its proxies, in the plan's order of architectures.

    Raises
    ------
    InvalidDataError
        If it has nothing.
    """
    place = plan.positions
    records = [record for record in journal.records() if plan.includes(record)]
    records.sort(key=lambda record: place[record.genotype])
    if not records:
        raise InvalidDataError(f"journal {str(journal.path)!r} has no training of table {plan.name!r}")
    trained = [place[genotype] for genotype in dict.fromkeys(record.genotype for record in records)]
    columns = [
        Column(
            MetricInfo(
                f"{plan.task}/{name}",
                "",
                "lower" if name in ("parameters", "flops") else "higher",
                f"zero-cost proxy of the untrained network of seed 0 on {plan.proxy_batch} training examples",
            ),
            values[trained],
            single=True,
        )
        for name, values in scores.items()
    ]
    return write_journal_table(
        target,
        records,
        names={plan.made_task.name: plan.task},
        columns=columns,
        about={"name": plan.name, **plan.about, "description": _described(plan, records)},
    )


def _described(plan: TablePlan, records: Sequence[TrainingRecord]) -> str:
    """Return the plan's description with what there is of it: a table may be written before all is trained."""
    counts = Counter((fidelity_name(record.fidelity).strip("-") or "full", record.seed) for record in records)
    there = ", ".join(f"{count:,} {level} of seed {seed}" for (level, seed), count in sorted(counts.items()))
    return "; ".join(filter(None, [plan.about.get("description", ""), f"trainings: {there}"]))


def records_of(plan: TablePlan, table: Table) -> list[TrainingRecord]:
    """Return the finished trainings of a plan that a table holds, so that a journal can go on from there.

    Raises
    ------
    InvalidArchitectureError
        If the table is of another space.
    """
    batch = plan.search_space.architectures(table.architectures)
    records = []
    for number, part in enumerate(plan.parts):
        name = plan.task + fidelity_name(part.fidelity)
        curves = {
            curve: f"{name}/{curve.replace('/', '_')}"
            for curve in plan.made_task.curves()
            if f"{name}/{curve.replace('/', '_')}" in table.metrics
        }
        if f"{name}/training_seconds" not in table.metrics:
            continue
        known = {metric: table.values(metric, epoch="all", seed="all") for metric in curves.values()}
        seconds = table.values(f"{name}/training_seconds", seed="all")
        wrong = f"{name}/unfinished"
        whole = np.isfinite(seconds)
        if wrong in table.metrics:
            whole &= table.values(wrong, seed="all") == 0
        sizes = {what: table.values(f"{name}/{what}") for what in ("parameters", "flops")}
        labels = table.info(f"{name}/training_seconds").seeds
        requests = iter(plan.requests_of(batch, number))
        for row in range(len(batch)):
            for seed in part.seeds:
                request = next(requests)
                if seed not in labels or not whole[row, labels.index(seed)]:
                    continue
                place = row, labels.index(seed)
                records.append(
                    request.record(
                        Status.FINISHED,
                        curves={curve: known[metric][place].tolist() for curve, metric in curves.items()},
                        seconds=float(seconds[place]),
                        parameters=int(sizes["parameters"][row]),
                        flops=int(sizes["flops"][row]),
                    )
                )
    return records


# ---- proxies --------------------------------------------------------------------------------------------------------


def score_plan(
    plan: TablePlan, journal: Path, executor: Executor, rows: NDArray[np.intp]
) -> dict[str, NDArray[np.float64]]:
    """Return each proxy of each architecture of a plan, `(n,)` by name, NaN outside `rows`; kept beside the journal."""
    path = journal.with_name(journal.name + ".proxies.npz")
    for name in plan.proxies:
        PROXIES.factory(name)
    scores = {name: np.full(len(plan.architectures), np.nan) for name in plan.proxies}
    known = np.zeros(len(plan.architectures), dtype=np.bool_)
    if path.is_file():
        known, scores = _kept_scores(plan, path)
    missing = rows[~known[rows]]
    blocks = [missing[start : start + _SCORED_AT_ONCE] for start in range(0, len(missing), _SCORED_AT_ONCE)]
    scorer = _Scorer(plan)
    handles = {executor.submit(scorer, block.tolist()): block for block in blocks}
    for outcome in executor.results():
        block = handles[outcome.handle]
        if outcome.status is not Status.FINISHED:
            raise InvalidDataError(f"the proxies of {len(block)} architectures were not scored: {outcome.message}")
        for name, values in outcome.value.items():
            scores[name][block] = values
        known[block] = True
        with replacing(path) as temporary, temporary.open("wb") as target:
            np.savez(target, **{"known": known, **scores})  # type: ignore[arg-type]
    return scores


def _kept_scores(plan: TablePlan, path: Path) -> tuple[NDArray[np.bool_], dict[str, NDArray[np.float64]]]:
    """Return which architectures were scored before, and their scores."""
    try:
        with np.load(path, allow_pickle=False) as file:
            known, scores = file["known"], {name: file[name] for name in plan.proxies}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
        raise InvalidDataError(
            f"{str(path)!r} does not hold the proxies of table {plan.name!r}; remove it, and they are scored again"
        ) from None
    if {array.shape for array in (known, *scores.values())} != {(len(plan.architectures),)}:
        raise InvalidDataError(
            f"{str(path)!r} holds proxies of {known.size} architectures, and table {plan.name!r} has "
            f"{len(plan.architectures)}; remove it, and they are scored again"
        )
    return known, scores


class _Scorer:
    """Scores architectures in a worker, which keeps the task from one call to the next."""

    def __init__(self, plan: TablePlan) -> None:
        self.plan = plan

    def __call__(self, _report: Report, rows: Sequence[int]) -> dict[str, NDArray[np.float64]]:
        import torch

        plan = self.plan
        part, task = plan.parts[0], plan.made_task
        skeleton = part.recipe.skeleton(task, part.fidelity)
        inputs = torch.from_numpy(task.train.inputs[: plan.proxy_batch])
        targets = torch.from_numpy(task.train.targets[: plan.proxy_batch])
        return score_architectures(
            plan.architectures[np.asarray(rows, dtype=np.intp)],
            lambda architecture: plan.search_space.build(architecture, skeleton),
            inputs,
            targets,
            plan.proxies,
            loss=mean_loss(task.loss),
        )


# ---- training some rows again ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Agreement:
    """How trainings that were done again compare with those in a table, for one metric.

    Parameters
    ----------
    metric : str
    architectures : int
        How many were trained again, with the seeds of the table.
    difference : float
        Mean over architectures of the new mean over seeds less that in the table.
    spread : float
        Root mean square of these differences.
    noise : float
        What the spread would be if only the seeds differed: the standard deviation between the seeds of an
        architecture of the table, times the root of 2 / seeds.
    largest : float
        The largest difference, in units of the noise of its architecture.
    """

    metric: str
    architectures: int
    difference: float
    spread: float
    noise: float
    largest: float

    @property
    def agrees(self) -> bool:
        """Whether the spread is within 1.5 times the noise, the mean difference within three standard errors."""
        error = max(self.noise, 1e-12) / np.sqrt(self.architectures)
        return bool(self.spread <= 1.5 * self.noise + 1e-9 and abs(self.difference) <= 3 * error + 1e-9)


def retrain_sample(
    plan: TablePlan,
    table: Table,
    n: int,
    *,
    seed: int = 0,
    executor: Executor | None = None,
    metrics: Sequence[str] = ("test_accuracy", "test_loss"),
) -> list[Agreement]:
    """Train `n` random rows of a table again as the plan says, and compare.

    Raises
    ------
    InvalidDataError
        If `n` is not in 1..(trained rows of the table), the plan or the table lacks seeds, or a training fails that
        did not fail for the table.
    InvalidArchitectureError
        If the table is of another space.
    UnknownNameError
        If the table lacks one of the metrics.
    """
    part = plan.parts[0]
    seeds = table.info(f"{plan.task}/{metrics[0]}").seeds
    if len(seeds) < 2:
        raise InvalidDataError(f"table {table.name!r} has one seed, which does not tell how much seeds differ")
    before = {metric: table.values(f"{plan.task}/{metric}", seed="all") for metric in metrics}
    trained = np.flatnonzero(np.all([np.isfinite(values).any(axis=1) for values in before.values()], axis=0))
    if not 1 <= n <= len(trained):
        raise InvalidDataError(f"the sample must be 1 to {len(trained)} rows, got {n}")
    rows = np.random.default_rng(seed).choice(trained, size=n, replace=False)
    trainer = plan.trainer()
    requests = trainer.requests(plan.search_space, table.architectures[rows], part.fidelity, seeds)
    records = run(requests, trainer, executor)
    return [_agreement(metric, values, rows, records) for metric, values in before.items()]


def _agreement(
    metric: str, table: NDArray[np.float64], rows: NDArray[np.intp], records: Sequence[TrainingRecord]
) -> Agreement:
    """Compare the records of some rows, seed after seed, with the values `(n, seeds)` of a whole table."""
    before, curve = table[rows], metric.replace("_", "/", 1)
    for record, value in zip(records, before.flat, strict=True):
        if record.status is not Status.FINISHED and np.isfinite(value):
            raise InvalidDataError(
                f"the training of {record.architecture} with seed {record.seed}, which finished for the table, "
                f"ended with {record.status}: {record.message}"
            )
    again = np.reshape([record.final(curve) for record in records], before.shape)
    again = np.where(np.isfinite(before), again, np.nan)
    spread = np.sqrt(np.nanmean(_variances(table)))
    own = np.sqrt(np.nan_to_num(_variances(before)))
    scale = np.sqrt(2 / before.shape[1])
    differences = np.nanmean(again, axis=1) - np.nanmean(before, axis=1)
    return Agreement(
        metric,
        len(rows),
        float(differences.mean()),
        float(np.sqrt(np.square(differences).mean())),
        float(spread * scale),
        float(np.abs(differences / np.maximum(np.maximum(own, spread / 4) * scale, 1e-12)).max()),
    )


def _variances(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the variance between the seeds of each row, NaN where fewer than two are known."""
    known = np.isfinite(values)
    count = known.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, values, 0.0).sum(axis=1) / count
        squares = np.where(known, np.square(values - mean[:, None]), 0.0).sum(axis=1)
        variances: NDArray[np.float64] = np.where(count > 1, squares / (count - 1), np.nan)
    return variances
