"""Geometry of several objectives, all to be maximised: dominance, hypervolume, and what lies beyond a front."""

from __future__ import annotations

from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]


def nondominated(points: Floats) -> NDArray[np.bool_]:
    """Return which of the points `(n, m)` no other one dominates, `(n,)`; of equal points only the first.

    One vectorised pass for each point of the front.

    Examples
    --------
    >>> nondominated(np.array([[1.0, 3.0], [2.0, 2.0], [1.0, 2.0], [2.0, 2.0]])).tolist()
    [True, True, False, False]
    """
    front = np.zeros(len(points), dtype=np.bool_)
    # The lexicographically largest of those left can be dominated by none of them.
    left = np.lexsort((np.arange(len(points)), *(-points.T)[::-1]))
    while len(left):
        best = left[0]
        front[best] = True
        left = left[(points[left] > points[best]).any(axis=1)]
    return front


def front_numbers(points: Floats) -> NDArray[np.intp]:
    """Return how many fronts must be peeled off before each point `(n, m)` is not dominated, `(n,)`."""
    numbers = np.zeros(len(points), dtype=np.intp)
    left, number = np.arange(len(points)), 0
    while len(left):
        front = nondominated(points[left])
        front |= (points[left][:, None] == points[left[front]][None]).all(axis=2).any(axis=1)  # equals stay together
        numbers[left[front]] = number
        left, number = left[~front], number + 1
    return numbers


def hypervolume(points: Floats, reference: Floats) -> float:
    """Return the volume that is dominated by points `(n, m)` and dominates the reference `(m,)`, exactly.

    A sweep for two objectives, and slices of one dimension less for more: `O(n^(m-1) log n)`.

    Examples
    --------
    >>> hypervolume(np.array([[1.0, 3.0], [2.0, 2.0]]), np.array([0.0, 0.0]))
    5.0
    """
    gains = points - reference
    gains = gains[(gains > 0).all(axis=1)]
    return _volume(gains[nondominated(gains)])


def _volume(gains: Floats) -> float:
    if not len(gains):
        return 0.0
    if gains.shape[1] == 1:
        return float(gains.max())
    ordered = gains[np.argsort(-gains[:, -1], kind="stable")]
    thickness = -np.diff(ordered[:, -1], append=0.0)
    if gains.shape[1] == 2:
        return float(thickness @ np.maximum.accumulate(ordered[:, 0]))
    return sum(
        float(thick) * _volume(ordered[: i + 1, :-1][nondominated(ordered[: i + 1, :-1])])
        for i, thick in enumerate(thickness)
        if thick > 0
    )


def hypervolume_curve(points: Floats, reference: Floats) -> Floats:
    """Return the hypervolume of the first 1, 2, ... points `(t, m)`, as `(t,)`; rows of NaN add nothing."""
    result = np.zeros(len(points))
    front, volume = points[:0], 0.0
    for position, point in enumerate(points):
        if (point > reference).all() and not (front >= point).all(axis=1).any():
            front = np.concatenate([front[~(front <= point).all(axis=1)], point[None]])
            volume = hypervolume(front, reference)
        result[position] = volume
    return result


def free_boxes(front: Floats, reference: Floats) -> tuple[Floats, Floats]:
    """Divide what dominates the reference `(m,)` and is not dominated by the front `(f, m)` into disjoint boxes.

    Returns
    -------
    lower, upper : float64 arrays `(b, m)`
        `f + 1` boxes at most for two objectives, and for each further one as many times more; `upper` may be infinite.
    """
    inside = front[(front > reference).all(axis=1)]
    if len(reference) == 1:
        return np.array([[max([float(reference[0]), *inside[:, 0].tolist()])]]), np.array([[np.inf]])
    lower, upper = [], []
    levels = [float(reference[-1]), *np.unique(inside[:, -1]).tolist(), np.inf]
    for low, high in pairwise(levels):
        above = inside[inside[:, -1] > low][:, :-1]
        inner_lower, inner_upper = free_boxes(above[nondominated(above)], reference[:-1])
        lower.append(np.column_stack([inner_lower, np.full(len(inner_lower), low)]))
        upper.append(np.column_stack([inner_upper, np.full(len(inner_upper), high)]))
    return np.concatenate(lower), np.concatenate(upper)


def crowding(points: Floats) -> Floats:
    """Return how far apart the neighbours of each point `(n, m)` are, summed over scaled objectives, `(n,)`.

    Infinite for the extremes. Deb, Pratap, Agarwal and Meyarivan, "A Fast and Elitist Multiobjective Genetic
    Algorithm: NSGA-II", IEEE Transactions on Evolutionary Computation 2002.
    """
    total = np.zeros(len(points))
    for column in points.T:
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        span = ordered[-1] - ordered[0] if len(ordered) else 0.0
        if span > 0:
            padded = np.concatenate([[-np.inf], ordered, [np.inf]])
            total[order] += (padded[2:] - padded[:-2]) / span
    return total
