"""`archcast list`: what there is to choose from."""

from __future__ import annotations

from typing import Annotated

import typer

from ...errors import UnknownNameError
from .inputs import JsonOption
from .outputs import Format, print_records

_ROOMS = {
    "spaces": ("...spaces", "SPACES"),
    "encoders": ("...encoders", "ENCODERS"),
    "predictors": ("...predictors", "PREDICTORS"),
    "extrapolators": ("...predictors.curves", "EXTRAPOLATORS"),
    "designs": ("...designs", "DESIGNS"),
    "searchers": ("...searchers", "SEARCHERS"),
    "schedulers": ("...searchers", "SCHEDULERS"),
    "tables": ("...benchmarks_data", "TABLES"),
    "importers": ("...benchmarks_data.importers", "IMPORTERS"),
    "tasks": ("...trainers.tasks", "TASKS"),
    "recipes": ("...trainers.recipes", "RECIPES"),
    "plans": ("...trainers.plans", "PLANS"),
    "proxies": ("...trainers.proxies", "PROXIES"),
}


def list_components(
    kind: Annotated[str | None, typer.Argument(help=f"One of {', '.join(_ROOMS)}; all if left out.")] = None,
    json: JsonOption = False,
) -> None:
    """List what can be named: spaces, encoders, predictors, searchers, tables, tasks ...; plug-ins included.

    Examples:

        archcast list

        archcast list predictors --json
    """
    from importlib import import_module

    if kind is not None and kind not in _ROOMS:
        raise UnknownNameError(f"unknown kind {kind!r}, expected one of {', '.join(_ROOMS)}")
    records = []
    for room in _ROOMS if kind is None else [kind]:
        module, attribute = _ROOMS[room]
        registry = getattr(import_module(module, package=__package__), attribute)
        records += [{"kind": room, "name": name, "summary": registry.summary(name)} for name in registry.names()]
    print_records(records, Format.json if json else Format.table)
