"""Whether a setting that a study is opened with is the one it has, and how the two differ for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ArchcastError
from ..trainers import Recipe
from .sources import names_of


def same_setting(setting: str, given: Any, stored: Any) -> bool:
    """Return whether a setting is what is stored: of sources what they hold, wherever that is read."""
    if setting == "sources":
        return [item["digest"] for item in given] == [item["digest"] for item in stored]
    return bool(given == stored) or (setting == "recipe" and _same_recipe(stored, given))


def _same_recipe(stored: Any, given: Any) -> bool:
    """Return whether a complete recipe of archcast's own is a stored one of when recipes had fewer values."""
    try:
        complete = set(given) == set(Recipe().to_dict())
        return complete and bool(stored) and Recipe.from_dict(stored) == Recipe.from_dict(given)
    except (ArchcastError, TypeError):
        return False


def difference(setting: str, own: Any, other: Any) -> tuple[str, str]:
    """Return both as text; of two searchers or pruners of one name only the parameters that differ."""
    if setting == "sources":
        return names_of(own), names_of(other)
    described = isinstance(own, Mapping) and isinstance(other, Mapping) and "name" in own
    if described and own["name"] == other.get("name"):
        names = sorted({*own["parameters"], *other["parameters"]})
        differing = [n for n in names if own["parameters"].get(n, ...) != other["parameters"].get(n, ...)]
        own, other = (
            {
                "name": own["name"],
                "parameters": {n: side["parameters"][n] for n in differing if n in side["parameters"]},
            }
            for side in (own, other)
        )
    return shown(own), shown(other)


def shown(value: Any) -> str:
    """Return a setting as people read it."""
    if isinstance(value, Mapping) and {"space", "parameters"} == set(value):
        value = value["space"] if not value["parameters"] else value
    elif isinstance(value, Mapping) and {"name", "parameters"} == set(value):
        parameters = ", ".join(f"{key}={item!r}" for key, item in value["parameters"].items())
        return f"{value['name']}({parameters})"
    return repr(value)
