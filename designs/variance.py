"""Optimal design for a Gaussian process at its prior: the variance of forecasts depends on no outcome."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..encoders import Encoder
from ..errors import InvalidDataError
from ..spaces import Architectures
from .base import EncodedDesign, check_count
from .embedding import Floats, PriorProcess, embed
from .greedy import largest_reduction, largest_variance

_CRITERIA = ("average", "largest")


class VarianceDesign(EncodedDesign):
    """Chooses one after another what makes a Gaussian process surer, before it has seen any outcome.

    Hyperparameters are those of the priors of `GaussianProcess`. The first ones of a larger design are those of a
    smaller one. Chance has a say only in the candidates of a large space, the reference and ties.

    Parameters
    ----------
    encoder : str or Encoder
    criterion : {"average", "largest"}
        Lower the mean variance over all architectures the most (A-optimal), which prefers what is typical; or choose
        what the process is least sure of (D-optimal), which prefers what is odd.
    candidates : int
        See `EncodedDesign`.
    reference : int
        The mean is taken over so many architectures, drawn at random, twins and all.

    Notes
    -----
    Cohn, "Neural Network Exploration Using Optimal Experiment Design", NeurIPS 1993; MacKay, "Information-Based
    Objective Functions for Active Data Selection", Neural Computation 1992.
    """

    def __init__(
        self,
        encoder: str | Encoder = "semantic",
        *,
        criterion: str = "average",
        candidates: int = 5000,
        reference: int = 500,
    ) -> None:
        super().__init__(encoder, candidates=candidates)
        self.criterion = criterion
        self.reference = reference

    def _select(self, candidates: Architectures, weights: Floats, n: int, rng: np.random.Generator) -> NDArray[np.intp]:
        if self.criterion not in _CRITERIA:
            raise InvalidDataError(f"criterion must be one of {', '.join(_CRITERIA)}, got {self.criterion!r}")
        check_count("reference", self.reference, 1)
        process = PriorProcess(embed(candidates, self.encoder))
        if self.criterion == "largest":
            return largest_variance(process, process.noise, n)
        if len(candidates) > self.reference:
            weights = rng.multinomial(int(self.reference), weights / weights.sum()).astype(np.float64)
        return largest_reduction(process, process.noise, n, weights)
