"""The best architecture that a forecast knows of in a space too large to enumerate: ascent from the best of many."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..spaces import Architectures
from .surrogate_table import BestKnown

Forecast = Callable[[Architectures], NDArray[np.float64]]


def best_known(
    forecast: Forecast, known: Architectures, *, higher_is_better: bool, samples: int, starts: int, seed: int
) -> BestKnown:
    """Return the best architecture that a long search finds.

    Steepest ascent: from each start to its best neighbour, for as long as that is better. The starts are the best of
    the known architectures and of random ones.

    Parameters
    ----------
    forecast : callable
        From architectures to `(n,)` numbers.
    known : Architectures
    higher_is_better : bool
    samples : int
        Random architectures beside those known.
    starts : int
    seed : int
    """
    space, sign = known.space, 1.0 if higher_is_better else -1.0
    drawn = samples if space.size is None else min(samples, space.size)
    first = Architectures.concatenate([known, space.sample(drawn, seed)])
    value = sign * forecast(first)
    evaluated = len(first)
    order = np.argsort(-value, kind="stable")
    distinct = np.sort(np.unique(first[order].keys(), return_index=True)[1])[:starts]
    climbers, height = first[order[distinct]], value[order[distinct]]
    seen, steps = climbers.keys(), 0
    active = np.arange(len(climbers))
    while len(active):
        around, origin = space.neighbors(climbers[active])
        keys = around.keys()
        fresh = np.sort(np.unique(keys, return_index=True)[1])
        fresh = fresh[~np.isin(keys[fresh], seen)]
        around, origin = around[fresh], active[origin[fresh]]
        seen = np.concatenate([seen, keys[fresh]])
        if not len(around):
            break
        scores = sign * forecast(around)
        evaluated += len(around)
        best = np.lexsort((scores, origin))  # the last of each origin is its best
        last = best[np.flatnonzero(np.diff(origin[best], append=-1))]
        better = last[scores[last] > height[origin[last]]]
        active = origin[better]
        genotypes = climbers.genotypes.copy()
        genotypes[active], height[active] = around.genotypes[better], scores[better]
        climbers = Architectures(space, genotypes)
        steps += 1
    top = int(np.argmax(height))
    found = (
        f"steepest ascent in {steps} steps from the best {len(climbers)} of {len(first):,} architectures "
        f"({len(known):,} of the table, {drawn:,} random ones of seed {seed}); {evaluated:,} forecasts"
    )
    return BestKnown(climbers[top], float(sign * height[top]), found)
