"""`StudySettings`: what a study searches and how. It is stored with the study, and never changes."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import ArchcastError, InvalidDataError, StudyMismatchError
from ..searchers import SEARCHERS, History, Searcher, make_searcher
from ..searchers.sources import with_sources
from ..spaces import Architectures, SearchSpace, space_from_spec
from ..trainers import Fidelity
from ..trainers.journal_table import direction_of
from .differences import difference, same_setting, shown
from .pruning import make_pruner
from .sources import StudySource, study_sources

_FORMAT = 1
DEFAULTS: dict[str, Any] = {
    "searcher": "auto",
    "task": "training",
    "seed": 0,
    "heartbeat": 10,
}
SOURCED = "bo_transfer"
"""The default searcher where there are sources."""


@dataclass(frozen=True, eq=False)
class StudySettings:
    """The settings of a study.

    Parameters
    ----------
    space : SearchSpace
    metric : str
        The learning curve whose last value is the outcome of a training, such as `"valid/accuracy"`.
    higher_is_better : bool
        Its direction.
    searcher : Searcher
        Without the sources.
    task : str
        The name of what is trained, as it stands in records and tables.
    recipe : dict
        Goes to every training, JSON-able.
    fidelity : Fidelity
        Of every training.
    seed : int
        Of the searcher, and of every training unless there are `seeds`.
    seeds : tuple of int
        Of the trainings of each architecture, whose mean counts; only `seed` if empty.
    pruner : dict, optional
        `{"name": ..., "parameters": {...}}`, see `make_pruner`; None trains everything to its end.
    cost_metric : str, optional
        The learning curve whose last value is what a training has cost; seconds of training if it is None.
    heartbeat, grace : int
        Workers give a sign of life every `heartbeat` seconds; one that is silent for more than `grace` seconds is
        dead, and what it trained is trained by another.
    sources : tuple of StudySource
        What the searcher learns from besides.

    Raises
    ------
    InvalidDataError
        If a value is out of range.
    """

    space: SearchSpace
    metric: str
    higher_is_better: bool
    searcher: Searcher
    task: str = "training"
    recipe: dict[str, Any] = field(default_factory=dict)
    fidelity: Fidelity = field(default_factory=Fidelity)
    seed: int = 0
    seeds: tuple[int, ...] = ()
    pruner: dict[str, Any] | None = None
    cost_metric: str | None = None
    heartbeat: int = 10
    grace: int = 60
    sources: tuple[StudySource, ...] = ()

    def __post_init__(self) -> None:
        _require_text("metric", self.metric)
        _require_text("task", self.task)
        if "/" in self.task:
            raise InvalidDataError(f"a task must not have a slash in its name, got {self.task!r}")
        if self.cost_metric is not None:
            _require_text("cost_metric", self.cost_metric)
        for name, least in (("seed", 0), ("heartbeat", 1), ("grace", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise InvalidDataError(f"{name} must be an integer of at least {least}, got {value!r}")
        object.__setattr__(self, "seeds", _distinct_seeds(self.seeds or (self.seed,)))
        if self.grace <= self.heartbeat:
            raise InvalidDataError(
                f"grace must be more than heartbeat = {self.heartbeat} seconds, or the living are taken for dead, "
                f"got {self.grace}"
            )
        try:
            json.dumps(self.recipe, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InvalidDataError(f"a recipe must be a JSON object, got {self.recipe!r:.200}: {error}") from None
        make_pruner(self.pruner)

    @property
    def direction(self) -> str:
        """`"higher"` or `"lower"`."""
        return "higher" if self.higher_is_better else "lower"

    @cached_property
    def asked(self) -> Searcher:
        """The searcher as it is asked: with the sources, which are read now.

        Raises
        ------
        UnknownNameError
            If a table or metric of a source does not exist.
        InvalidDataError
            If the searcher takes no sources, or one is of no use to the space or cannot be read again.
        StudyMismatchError
            If a source does not hold what it held when the study was made.
        """
        if not self.sources:
            return self.searcher
        return with_sources(self.searcher, [source.load() for source in self.sources], self.space)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings, JSON-able."""
        return {
            "format": _FORMAT,
            "space": self.space.spec,
            "metric": self.metric,
            "direction": self.direction,
            "searcher": searcher_to_dict(self.searcher),
            "task": self.task,
            "recipe": self.recipe,
            "fidelity": self.fidelity.to_dict(),
            "seed": self.seed,
            "seeds": list(self.seeds),
            "pruner": self.pruner,
            "cost_metric": self.cost_metric,
            "heartbeat": self.heartbeat,
            "grace": self.grace,
            "sources": [source.stored for source in self.sources],
        }


def make_settings(given: Mapping[str, Any]) -> StudySettings:
    """Return the settings of a new study from those that are given; None stands for the default.

    Raises
    ------
    UnknownNameError
        If there is no such searcher, pruner, or table or metric of a source.
    InvalidDataError
        If the space or the metric is missing, a value is out of range, or there are sources that the searcher cannot
        take or that are of no use to the space.
    """
    for name, example in (("space", "nasbench201"), ("metric", "valid/accuracy")):
        if given.get(name) is None:
            raise InvalidDataError(f"a new study needs a {name}, such as {example!r}")
    values: dict[str, Any] = {name: DEFAULTS.get(name) if value is None else value for name, value in given.items()}
    direction = values.pop("direction", None) or direction_of(_require_text("metric", values["metric"]))
    values["higher_is_better"] = _require_direction(direction) == "higher"
    values["sources"] = study_sources(values.get("sources") or ())
    if values["sources"] and given.get("searcher") is None:
        values["searcher"] = SOURCED
    values["searcher"] = _searcher(values["searcher"])
    values["recipe"] = dict(values.get("recipe") or {})
    values["fidelity"] = values.get("fidelity") or Fidelity()
    values["seeds"] = () if values.get("seeds") is None else _distinct_seeds(values["seeds"])
    if values.get("grace") is None:
        values["grace"] = 6 * values["heartbeat"] if isinstance(values["heartbeat"], int) else 60
    settings = StudySettings(**values)
    assert settings.asked is not None  # sources that are of no use are refused now
    return settings


def stored_settings(name: str, stored: Mapping[str, Any], given: Mapping[str, Any]) -> StudySettings:
    """Return the settings of a stored study, after checking that those given are the same; None is not given.

    Raises
    ------
    StudyMismatchError
        If one differs.
    InvalidDataError
        If what is stored cannot be read.
    """
    if stored.get("format") != _FORMAT:
        raise InvalidDataError(
            f"the settings of study {name!r} are of format {stored.get('format')!r}, expected {_FORMAT}: another "
            "version of archcast made it"
        )
    stored = _completed(name, stored)
    make_pruner(given.get("pruner"))
    for setting, value in given.items():
        if value is None:
            continue
        plain = _plain(setting, value)
        if not same_setting(setting, plain, stored[setting]):
            own, other = difference(setting, stored[setting], plain)
            raise StudyMismatchError(
                f"study {name!r} has {setting} {own}, and was opened with {other}; leave that out to go on with the "
                "study, or give a new study another name"
            )
    own_space, own_searcher = given.get("space"), given.get("searcher")
    try:
        return StudySettings(
            space=own_space if isinstance(own_space, SearchSpace) else space_from_spec(stored["space"]),
            metric=stored["metric"],
            higher_is_better=stored["direction"] == "higher",
            searcher=own_searcher if isinstance(own_searcher, Searcher) else _stored_searcher(name, stored["searcher"]),
            fidelity=Fidelity.from_dict(stored["fidelity"]),
            seeds=tuple(stored["seeds"]),
            sources=study_sources(given["sources"])
            if given.get("sources") is not None
            else tuple(StudySource.from_stored(item) for item in stored["sources"]),
            **{key: stored[key] for key in ("task", "recipe", "seed", "pruner", "cost_metric", "heartbeat", "grace")},
        )
    except ArchcastError:
        raise
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidDataError(f"the settings of study {name!r} cannot be read: {error!r}") from None


def _completed(name: str, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return stored settings with all that archcast did not have when the study was made, which is at its default."""
    defaults = {item.name: item.default for item in fields(StudySettings) if item.default is not MISSING}
    try:
        searcher = stored["searcher"]
        complete = {
            **defaults,
            "recipe": {},
            **{setting: stored[setting] for setting in ("space", "metric", "direction")},
            **stored,
            "seeds": stored.get("seeds", [stored.get("seed", 0)]),
            "fidelity": Fidelity.from_dict(stored.get("fidelity", {})).to_dict(),
        }
        if searcher["name"] in SEARCHERS:
            accepted = inspect.signature(SEARCHERS.factory(searcher["name"])).parameters.values()
            absent = {p.name: p.default for p in accepted if p.name not in searcher["parameters"]}
            later = {parameter: value for parameter, value in absent.items() if value is not inspect.Parameter.empty}
            complete["searcher"] = {**searcher, "parameters": {**searcher["parameters"], **_jsonable(later)}}
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidDataError(f"the settings of study {name!r} cannot be read: {error!r}") from None
    return complete


class UnknownSearcher(Searcher):
    """Stands for a searcher that cannot be made from what is stored: the study can be read, and not gone on with.

    Parameters
    ----------
    study : str
        The name of the study.
    stored : dict
        What `searcher_to_dict` returned for the searcher.
    """

    def __init__(self, study: str, stored: dict[str, Any]) -> None:
        self.study = study
        self.stored = stored

    def _propose(self, history: History, n: int, rng: np.random.Generator) -> Architectures:
        raise InvalidDataError(
            f"the searcher of study {self.study!r} cannot be made from what is stored, pass it when opening the study: "
            f"{shown(self.stored)}"
        )


def searcher_to_dict(searcher: Searcher) -> dict[str, Any]:
    """Return the registered name and all parameters of a searcher; what is not JSON-able stands there as its text."""
    if isinstance(searcher, UnknownSearcher):
        return searcher.stored
    parameters = _jsonable(searcher.get_params(deep=False))
    return {"name": SEARCHERS.name_of(type(searcher)) or type(searcher).__name__, "parameters": parameters}


def _jsonable(parameters: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for name, value in parameters.items():
        try:
            plain[name] = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError):
            plain[name] = {"text": repr(value)}
    return plain


def _stored_searcher(study: str, stored: Mapping[str, Any]) -> Searcher:
    opaque = [name for name, value in stored["parameters"].items() if isinstance(value, dict) and "text" in value]
    if opaque or stored["name"] not in SEARCHERS:
        return UnknownSearcher(study, dict(stored))
    return make_searcher(stored["name"], **stored["parameters"])


def _searcher(given: Any) -> Searcher:
    if isinstance(given, Searcher):
        return given
    if isinstance(given, str):
        return make_searcher(given)
    raise InvalidDataError(f"expected the name of a searcher or a Searcher, got {given!r:.200}")


def _plain(setting: str, value: Any) -> Any:
    """Return a given setting as it would be stored."""
    if setting == "searcher":
        return searcher_to_dict(_searcher(value))
    if setting == "direction":
        return _require_direction(value)
    if setting == "sources":
        return [source.stored for source in study_sources(value)]
    if isinstance(value, SearchSpace):
        value = value.spec
    elif isinstance(value, Fidelity):
        value = value.to_dict()
    elif isinstance(value, Mapping):
        value = dict(value)
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError):
        return value


def _require_text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise InvalidDataError(f"{name} must be a name, got {value!r}")
    return value


def _distinct_seeds(given: Iterable[Any]) -> tuple[int, ...]:
    if not isinstance(given, Iterable) or isinstance(given, str):
        raise InvalidDataError(f"seeds must be a list of integers, got {given!r}")
    seeds = tuple(given)
    if not seeds:
        raise InvalidDataError("seeds must hold at least one integer, got none")
    for seed in seeds:
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise InvalidDataError(f"seeds must be integers of at least 0, got {seed!r}")
    if len(set(seeds)) < len(seeds):
        raise InvalidDataError(f"seeds must be distinct, got {list(seeds)}")
    return seeds


def _require_direction(value: Any) -> str:
    if value not in ("higher", "lower"):
        raise InvalidDataError(f"direction must be 'higher' or 'lower', got {value!r}")
    return str(value)
