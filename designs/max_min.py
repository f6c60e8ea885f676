"""Farthest first: no architecture is far from all of the chosen ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..predictors.kernels.stationary import weighted_distances_to
from ..spaces import Architectures
from .base import EncodedDesign
from .embedding import Floats, embed


class MaxMinDesign(EncodedDesign):
    """Begins anywhere, and goes on with what is farthest from all chosen so far.

    The largest distance to the nearest chosen one is at most twice as large as it has to be. The first ones of a
    larger design are those of a smaller one.

    Parameters
    ----------
    encoder : str or Encoder
    candidates : int
        See `EncodedDesign`.

    Notes
    -----
    Gonzalez, "Clustering to Minimize the Maximum Intercluster Distance", Theoretical Computer Science 1985. Sener and
    Savarese, "Active Learning for Convolutional Neural Networks: A Core-Set Approach", ICLR 2018.
    """

    def _select(self, candidates: Architectures, weights: Floats, n: int, rng: np.random.Generator) -> NDArray[np.intp]:
        points = embed(candidates, self.encoder)
        distances_to_all = weighted_distances_to(points, np.ones(points.shape[1]))
        chosen, nearest = [0], np.full(len(points), np.inf)
        while True:
            last = chosen[-1]
            nearest = np.minimum(nearest, distances_to_all(points[last : last + 1])[0])
            nearest[last] = -np.inf
            if len(chosen) == n:
                return np.array(chosen, dtype=np.intp)
            chosen.append(int(np.argmax(nearest)))
