"""`open_study`: a study by its name, made where there is none, and never mistaken for another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ArchcastError, InvalidDataError, StudyMismatchError, UnknownNameError
from ..searchers import Searcher
from ..spaces import SearchSpace
from ..trainers import Fidelity
from .settings import make_settings, stored_settings
from .sources import study_sources
from .storage import SETTINGS, StudyStorage
from .study import Study


def open_study(
    name: str,
    storage: str | Path | StudyStorage = "studies.db",
    *,
    space: SearchSpace | None = None,
    metric: str | None = None,
    direction: str | None = None,
    searcher: str | Searcher | None = None,
    task: str | None = None,
    recipe: Mapping[str, Any] | None = None,
    fidelity: Fidelity | None = None,
    seed: int | None = None,
    seeds: Sequence[int] | None = None,
    pruner: Mapping[str, Any] | None = None,
    cost_metric: str | None = None,
    heartbeat: int | None = None,
    grace: int | None = None,
    sources: Sequence[Any] | None = None,
    patience: float = 300.0,
    notify: Callable[[str], None] | None = None,
) -> Study:
    """Open a study, or make it where there is none.

    A new study needs a space and a metric. Of one that exists nothing need be given, and what is given must be what it
    was made with.

    Parameters
    ----------
    name : str
    storage : str, Path or StudyStorage
        A SQLite file, a URL such as `postgresql://user@host/database`, or a storage that is open.
    space : SearchSpace, optional
    metric : str, optional
        The learning curve whose last value counts, such as `"valid/accuracy"`.
    direction : {"higher", "lower"}, optional
        Which values are better; from the name of the metric by default.
    searcher : str or Searcher, optional
        `"auto"` by default, `"bo_transfer"` with sources.
    task, recipe, fidelity, seed, seeds, pruner, cost_metric, heartbeat, grace
        See `StudySettings`.
    sources : sequence, optional
        What the searcher learns from besides, whose higher values are better: `TABLE:METRIC[@EPOCH]`, whose metric
        changes its sign if its lower values are; the file of a fitted predictor; or whatever `archcast.Source` stands
        for, which has to be given again whenever the study goes on.
    patience, notify
        See `Database`; for a storage that is not open yet.

    Raises
    ------
    StudyMismatchError
        If the study exists with another setting, or was not made by archcast.
    InvalidDataError
        If a setting is out of range, one that a new study needs is missing, or there are sources that the searcher
        cannot take or that are of no use to the space.
    UnknownNameError
        If there is no searcher or pruner of that name, or no table or metric of a source.
    ModelFormatError
        If the file of a source is no saved predictor.
    MissingDependencyError
        If Optuna is not installed.
    StorageUnavailableError
        If the storage does not answer.

    Examples
    --------
    >>> import archcast as ac
    >>> study = ac.open_study("demo", "studies.db", space=ac.get_space("nasbench201"), metric="valid/accuracy")
    ... # doctest: +SKIP
    >>> study.run(ac.trainers.CallableTrainer(train), trainings=20)  # doctest: +SKIP
    """
    if not isinstance(name, str) or not name or len(name) > 200 or not name.isprintable():
        raise InvalidDataError(f"a study needs a name of at most 200 characters, got {name!r:.220}")
    given: dict[str, Any] = {
        "space": space,
        "metric": metric,
        "direction": direction,
        "searcher": searcher,
        "task": task,
        "recipe": recipe,
        "fidelity": fidelity,
        "seed": seed,
        "seeds": seeds,
        "pruner": pruner,
        "cost_metric": cost_metric,
        "heartbeat": heartbeat,
        "grace": grace,
        "sources": None if sources is None else study_sources(sources),
    }
    fresh, problem = None, None
    try:
        fresh = make_settings(given)
    except ArchcastError as error:  # it does not matter if the study is there; nothing is created for it if not
        problem = error
    wants_new = space is not None or metric is not None
    try:
        if isinstance(storage, StudyStorage):
            base = storage
        else:
            base = StudyStorage(storage, patience=patience, create=fresh is not None, notify=notify)
    except UnknownNameError as error:
        if wants_new and problem is not None:
            raise problem from None
        raise UnknownNameError(f"{error}; a new study needs a space and a metric") from None
    with base.locked(name):
        if name not in base.names() and wants_new:
            if fresh is None:
                assert problem is not None
                raise problem
            study = base.load(name, direction="maximize" if fresh.higher_is_better else "minimize")
            base.set_attribute(study, SETTINGS, fresh.to_dict())
            return Study(name, base, fresh, study)
        study = base.load(name)
        stored = base.settings(study)
        if stored is None:
            if fresh is None or base.trials(study):
                raise StudyMismatchError(f"study {name!r} in {base.name!r} was not made by archcast; take another name")
            base.set_attribute(study, SETTINGS, fresh.to_dict())  # whoever made it died before this line
            stored = fresh.to_dict()
    return Study(name, base, stored_settings(name, stored, given), study)
