"""Reading sources for transfer: metrics of tables and saved predictors, and who takes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..benchmarks_data import load_table
from ..errors import InvalidDataError
from ..predictors import PREDICTORS, Predictor, Source, load_predictor
from ..predictors.sources import as_sources, check_sources, takes_sources
from ..searchers import Searcher, make_searcher
from ..searchers.sources import with_sources
from ..spaces import SearchSpace
from .arguments import metric_at_epoch


def read_sources(given: Sequence[Any], *, higher_is_better: bool) -> tuple[Source, ...]:
    """Return sources for a target of which higher values are better, or lower ones.

    Parameters
    ----------
    given : sequence
        `TABLE:METRIC[@EPOCH]`, where the last epoch is meant if none is named and rows without a value are left out;
        the path of a saved predictor; or whatever `archcast.Source` stands for.
    higher_is_better : bool
        Metrics of the other direction change their sign.

    Raises
    ------
    UnknownNameError
        If a table or metric does not exist.
    InvalidDataError
        If an item is something else, or a saved predictor forecasts a metric of the other direction.
    ModelFormatError
        If a file is no saved predictor.
    """
    items = [given] if isinstance(given, (str, Source, Predictor)) else list(given)
    return as_sources([_read(item, higher_is_better) if isinstance(item, str) else item for item in items])


def _read(text: str, higher_is_better: bool) -> Source:
    if Path(text).is_file():
        predictor = load_predictor(text)
        direction = predictor.metadata_.get("direction")
        if direction is not None and (direction == "higher") != higher_is_better:
            raise InvalidDataError(
                f"source {text!r} forecasts a metric whose {direction} values are better, and is needed as one whose "
                f"{'higher' if higher_is_better else 'lower'} values are: give its TABLE:METRIC instead"
            )
        return Source(predictor=predictor, name=str(predictor.metadata_.get("metric", Path(text).stem)))
    name, colon, rest = text.rpartition(":")
    if not colon or "/" not in rest:
        raise InvalidDataError(f"a source must read TABLE:METRIC[@EPOCH] or be the file of a predictor, got {text!r}")
    metric, epoch = metric_at_epoch("a source", rest)
    table = load_table(name)
    values = np.asarray(table.values(metric, epoch=epoch), dtype=np.float64)
    known = np.flatnonzero(np.isfinite(values))
    if len(known) < 2:
        raise InvalidDataError(f"source {text!r} has {len(known)} known values, expected at least 2")
    sign = 1 if table.is_higher_better(metric) == higher_is_better else -1
    return Source(table.architectures[known], sign * values[known], name=text)


def give_sources(predictors: Iterable[Predictor], sources: tuple[Source, ...]) -> None:
    """Set the sources of all predictors that take any and have none.

    Raises
    ------
    InvalidDataError
        If there are sources, and no predictor takes them.
    """
    takers = [predictor for predictor in predictors if takes_sources(predictor)]
    if sources and not takers:
        known = ("gp_transfer", "gp_multitask", "rgpe")
        raise InvalidDataError(
            f"expected a predictor that learns from sources, such as {', '.join(n for n in known if n in PREDICTORS)}"
        )
    for predictor in takers:
        if not predictor.get_params(deep=False)["sources"]:
            predictor.set_params(sources=sources)


def searchers_with_sources(
    names: Sequence[str], sources: tuple[Source, ...], spaces: Iterable[SearchSpace] = ()
) -> list[tuple[str, Searcher]]:
    """Return searchers by name, those that take sources with them, the others as they are.

    Parameters
    ----------
    names : sequence of str
    sources : tuple of Source
    spaces : iterable of SearchSpace
        What is going to be searched: sources that are of no use to one of them are refused now.

    Raises
    ------
    UnknownNameError
        If there is no searcher of a name.
    InvalidDataError
        If no searcher takes sources, or a source can be of no use.
    """
    found = [(name, make_searcher(name)) for name in names]
    takers = [searcher for _, searcher in found if searcher.reader() is not None]
    if sources and not takers:
        raise InvalidDataError(
            "expected a searcher that learns from sources, such as bo_transfer, or begins with them, such as warm:tpe, "
            f"got {', '.join(names)}"
        )
    given = [
        (name, searcher if searcher.reader() is None else with_sources(searcher, sources)) for name, searcher in found
    ]
    for space in spaces:
        for _, searcher in given:
            reader = searcher.reader()
            if reader is not None:
                check_sources(reader, space)
    return given
