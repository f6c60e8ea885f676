"""The design that every other one is measured against."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..spaces import Architectures
from .base import Design
from .embedding import Floats


class RandomDesign(Design):
    """Draws at random, never two twins. A class of isomorphic architectures is drawn the sooner the larger it is."""

    def _select(self, candidates: Architectures, weights: Floats, n: int, rng: np.random.Generator) -> NDArray[np.intp]:
        return np.arange(n)
