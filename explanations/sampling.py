"""Shapley values of any forecast by sampling permutations, whole batches of hybrids at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]

_ROWS = 8192
"""Hybrids forecast at once."""


def sampled_contributions(
    forecast: Callable[[NDArray[np.generic]], Floats],
    target: NDArray[np.generic],
    background: NDArray[np.generic],
    player_of: NDArray[np.intp],
    *,
    rounds: int,
    rng: np.random.Generator,
) -> Floats:
    """Return draws whose mean estimates the Shapley values of one row, `(rounds * b, p)`.

    The worth of a set of players is the mean forecast of hybrids that take the columns of these players from the
    target and all others from a row of the background. A draw walks from one background row to the target, one player
    after the other in random order, and credits each with the change of the forecast, then walks the same order
    backwards; a draw is the mean of both (antithetic sampling: Mitchell, Cooper, Frank and Holmes, Sampling
    permutations for Shapley value estimation, JMLR 2022). Players whose columns are equal in both rows change nothing
    and are not walked. Every draw adds up to the difference of the two forecasts, and every round goes once through
    the background, so that the mean adds up to the target's forecast minus the mean of the background's, exactly.

    Parameters
    ----------
    forecast : callable
        Of rows `(k, d)`; NaN where a hybrid stands for nothing: the change is then credited to the player that makes
        it valid again. The target and the rows of the background are valid.
    target, background : arrays `(d,)` and `(b, d)`
    player_of : integer array `(d,)`
        Which of the players 0 to p - 1 each column belongs to.
    rounds : int
        How often each background row is used.
    rng : numpy.random.Generator
    """
    players = int(player_of.max(initial=-1)) + 1
    draws = np.zeros((rounds * len(background), players))
    for block in _blocks(target, background, player_of, rounds, rng):
        values = forecast(np.concatenate([rows for _, _, rows in block]))
        start = 0
        for draw, order, rows in block:
            steps = np.diff(_filled(values[start : start + len(rows)]))
            start += len(rows)
            draws[draw, order] += 0.5 * steps
    return draws


_Walk: TypeAlias = tuple[int, NDArray[np.intp], NDArray[np.generic]]


def _blocks(
    target: NDArray[np.generic],
    background: NDArray[np.generic],
    player_of: NDArray[np.intp],
    rounds: int,
    rng: np.random.Generator,
) -> Iterator[list[_Walk]]:
    """Yield walks, as number of the draw, order of the players and hybrids, some thousands of hybrids at a time."""
    block: list[_Walk] = []
    size = 0
    differs = background != target
    for draw in range(rounds * len(background)):
        start = background[draw % len(background)]
        order = rng.permutation(np.unique(player_of[differs[draw % len(background)]]))
        if not len(order):
            continue
        for walk in (order, order[::-1]):
            place = np.full(int(player_of.max()) + 1, -1)
            place[walk] = np.arange(len(walk))
            taken = place[player_of] < np.arange(len(walk) + 1)[:, None]
            block.append((draw, walk, np.where(taken, target, start)))
            size += len(walk) + 1
        if size >= _ROWS:
            yield block
            block, size = [], 0
    if block:
        yield block


def _filled(values: Floats) -> Floats:
    """Return the values with each NaN replaced by the last number before it."""
    last = np.maximum.accumulate(np.where(np.isnan(values), 0, np.arange(len(values))))
    filled: Floats = values[last]
    return filled
