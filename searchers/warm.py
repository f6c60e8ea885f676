"""A warm start for any searcher: half of the first trainings are what sources think best."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InvalidDataError
from ..predictors import Predictor, make_predictor
from ..predictors.sources import as_sources
from ..spaces import Architectures
from .base import Searcher, check_number
from .history import History
from .warm_start import every_other


class WarmStart(Searcher):
    """Begins with what sources forecast highest, and goes on with another searcher, which sees it as its own history.

    Every other one of the first architectures is the best of the sources, those between are what the searcher itself
    proposes. In contrast to a surrogate with sources, nothing is asked of them later. Without sources it is the
    searcher alone.

    `make_searcher("warm:tpe", sources=[...])` is `WarmStart("tpe", sources=[...])`.

    Parameters
    ----------
    searcher : str or Searcher
        Whatever goes on.
    sources : sequence of Source, fitted Predictor or (architectures, y)
        Higher values must be better.
    initial : int
        Architectures to begin with.
    source_predictor : str or Predictor
        What is fitted to sources that are data.
    source_size : int
        Trainings of each source that are learned from at most, drawn at random.
    """

    def __init__(
        self,
        searcher: str | Searcher = "auto",
        *,
        sources: Any = (),
        initial: int = 10,
        source_predictor: str | Predictor = "gp",
        source_size: int = 800,
    ) -> None:
        self.searcher = searcher
        self.sources = sources
        self.initial = initial
        self.source_predictor = source_predictor
        self.source_size = source_size

    def reader(self) -> Predictor:
        """Return the predictor that reads the sources."""
        return make_predictor(
            "gp_transfer",
            sources=as_sources(self.sources),
            source_predictor=self.source_predictor,
            source_size=self.source_size,
        )

    def inner(self) -> Searcher:
        """Return the searcher that is warm-started."""
        return self._made().inner()

    def _made(self) -> Searcher:
        from . import make_searcher

        if isinstance(self.searcher, str):
            return make_searcher(self.searcher)
        if isinstance(self.searcher, Searcher):
            return self.searcher
        raise InvalidDataError(f"searcher must be a name or a Searcher, got {type(self.searcher).__name__}")

    def _propose(self, history: History, n: int, rng: np.random.Generator) -> Architectures:
        check_number("initial", self.initial, 1, integer=True)
        goes_on, reader = self._made(), self.reader()
        first = min(n, max(0, self.initial - len(history))) if reader.get_params(deep=False)["sources"] else 0
        found = every_other(reader, history, first, rng, lambda so_far: goes_on._propose(so_far, 1, rng))
        if len(found) == n:
            return found
        rest = goes_on._propose(history.ask(found), n - len(found), rng)
        return Architectures.concatenate([found, rest])
