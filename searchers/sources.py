"""Giving a searcher sources to learn from, or to begin with."""

from __future__ import annotations

from typing import Any

from sklearn.base import clone

from ..errors import InvalidDataError
from ..predictors.sources import as_sources, check_sources
from ..spaces import SearchSpace
from . import SEARCHERS
from .base import Searcher


def with_sources(searcher: Searcher, sources: Any, space: SearchSpace | None = None) -> Searcher:
    """Return a copy of a searcher that has sources.

    Parameters
    ----------
    searcher : Searcher
        One whose surrogate learns from sources, such as `bo_transfer`, or that begins with them, such as `warm:tpe`.
    sources : sequence of Source, fitted Predictor or (architectures, y)
        Higher values must be better, whatever the direction of the history.
    space : SearchSpace, optional
        What is going to be searched: sources that are of no use to it are refused now.

    Raises
    ------
    InvalidDataError
        If the searcher takes no sources or has some, or one of them can be of no use.

    Examples
    --------
    >>> import archcast as ac
    >>> from archcast.searchers.sources import with_sources
    >>> space = ac.get_space("nasbench201")
    >>> known = space.sample(20, seed=0)
    >>> warm = with_sources(ac.make_searcher("warm:random"), [(known, known.genotypes.sum(axis=1))], space)
    >>> len(warm.ask(ac.History.start(space), 3))
    3
    """
    copy: Searcher = clone(searcher)
    reader = copy.reader()
    if reader is None:
        name = SEARCHERS.name_of(type(searcher)) or type(searcher).__name__
        raise InvalidDataError(
            f"searcher {name!r} takes no sources, expected one that learns from them, such as 'bo_transfer', or "
            "begins with them, such as 'warm:tpe'"
        )
    if reader.get_params(deep=False)["sources"]:
        raise InvalidDataError(f"expected a searcher without sources to be given some, got {searcher!r:.200}")
    reader.set_params(sources=as_sources(sources))
    if space is not None:
        check_sources(reader, space)
    given = {"sources": as_sources(sources)} if "sources" in copy.get_params(deep=False) else {"predictor": reader}
    copy.set_params(**given)
    return copy
