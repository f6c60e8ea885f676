"""A sample that is even in one statistic."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..encoders import Encoder
from ..errors import InvalidDataError
from ..spaces import Architectures
from .base import EncodedDesign
from .embedding import Floats, embed


class StratifiedDesign(EncodedDesign):
    """Cuts the architectures into equal strata by a statistic, and draws one of each.

    Where twins fill several strata, others are drawn in place of those that would come twice.

    Parameters
    ----------
    encoder : str or Encoder
        What the principal component is of.
    by : str or callable, optional
        What `space.complexity` knows, `"params"` or `"flops"`; or a function of architectures that returns one number
        each, such as a zero-cost score. By default `"params"` where the space knows them, else the first principal
        component of the encodings.
    candidates : int
        See `EncodedDesign`.

    Notes
    -----
    McKay, Beckman and Conover, "A Comparison of Three Methods for Selecting Values of Input Variables in the Analysis
    of Output from a Computer Code", Technometrics 1979: a Latin hypercube of one variable.
    """

    def __init__(
        self,
        encoder: str | Encoder = "semantic",
        *,
        by: str | Callable[[Architectures], ArrayLike] | None = None,
        candidates: int = 5000,
    ) -> None:
        super().__init__(encoder, candidates=candidates)
        self.by = by

    def _select(self, candidates: Architectures, weights: Floats, n: int, rng: np.random.Generator) -> NDArray[np.intp]:
        order = np.argsort(self._scores(candidates), kind="stable")  # equals are in random order
        filled = np.cumsum(weights[order])
        levels = (np.arange(n) + rng.random(n)) / n * filled[-1]
        drawn = np.unique(order[np.minimum(np.searchsorted(filled, levels, side="right"), len(order) - 1)])
        others = np.setdiff1d(rng.permutation(len(order))[: 2 * n], drawn)
        chosen: NDArray[np.intp] = np.concatenate([drawn, rng.permutation(others)[: n - len(drawn)]])
        return rng.permutation(chosen)

    def _scores(self, candidates: Architectures) -> Floats:
        if callable(self.by):
            scores = np.asarray(self.by(candidates), dtype=np.float64)
            if scores.shape != (len(candidates),):
                raise InvalidDataError(
                    f"by must return one number for each of {len(candidates)} architectures, got shape {scores.shape}"
                )
            if not np.isfinite(scores).all():
                row = int(np.argmin(np.isfinite(scores)))
                raise InvalidDataError(f"by must return finite numbers, got {scores[row]} for {candidates[row]}")
            return scores
        known = candidates.space.complexity(candidates) or {}
        name = "params" if self.by is None and "params" in known else self.by
        if name is None:
            return _first_component(embed(candidates, self.encoder))
        if name not in known:
            raise InvalidDataError(
                f"by must be a function or one of {', '.join(known) or 'nothing'}, which is what space "
                f"{candidates.space.name!r} knows of its architectures, got {name!r}"
            )
        return known[name]


def _first_component(points: Floats) -> Floats:
    centred = points - points.mean(axis=0)
    scores: Floats = centred @ np.linalg.eigh(centred.T @ centred)[1][:, -1]
    return scores
