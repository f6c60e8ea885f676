"""The mode of a determinantal point process: architectures that are as different as they can be, together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..spaces import Architectures
from .base import EncodedDesign
from .embedding import Floats, PriorProcess, embed
from .greedy import largest_variance

_JITTER = 1e-8


class DeterminantalDesign(EncodedDesign):
    """Greedily maximises the determinant of the kernel of the chosen ones: the most probable set of the process.

    The kernel is that of a Gaussian process on the encodings, at its prior. The first one is chosen by chance, and the
    first ones of a larger design are those of a smaller one. Without noise this is what `variance_largest` chooses.

    Parameters
    ----------
    encoder : str or Encoder
    candidates : int
        See `EncodedDesign`.

    Notes
    -----
    Chen, Zhang and Zhou, "Fast Greedy MAP Inference for Determinantal Point Process to Improve Recommendation
    Diversity", NeurIPS 2018, algorithm 1.
    """

    def _select(self, candidates: Architectures, weights: Floats, n: int, rng: np.random.Generator) -> NDArray[np.intp]:
        return largest_variance(PriorProcess(embed(candidates, self.encoder)), _JITTER, n)
