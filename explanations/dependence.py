"""Partial dependence: what is forecast on average when a gene has a choice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError
from ..predictors import Predictor
from ..predictors.checks import check_integer
from ..spaces import Architectures, SearchSpace
from .sampling import Floats
from .words import choice_text, gene_title

WHOLE = 20_000
"""Spaces up to this size are forecast as a whole."""

_SAMPLE = 500


@dataclass(frozen=True, repr=False)
class PartialDependence:
    """Mean forecasts by gene and choice; rows are genes, columns the choices by number, NaN where there is none.

    Parameters
    ----------
    space : SearchSpace
    mean : float64 array `(d, c)`
        Mean forecast of the architectures whose gene has the choice.
    deviation : float64 array `(d, c)`
        Standard deviation of these forecasts: how much all other genes matter beside it.
    counts : int array `(d, c)`
        How many were forecast.
    overall : float
        Mean forecast of all architectures.
    """

    space: SearchSpace
    mean: Floats
    deviation: Floats
    counts: NDArray[np.int64]
    overall: float

    def __repr__(self) -> str:
        return f"<PartialDependence of {len(self.mean)} genes of {self.space.name}>"

    @property
    def importance(self) -> Floats:
        """How far the choices of each gene lie apart: the range of their means, `(d,)`."""
        known = self.counts > 0
        high = np.where(known, self.mean, -np.inf).max(axis=1)
        low = np.where(known, self.mean, np.inf).min(axis=1)
        return np.asarray(high - low)

    def records(self) -> list[dict[str, Any]]:
        """Return one record a gene and choice, in the order of the genotype."""
        return [
            {
                "gene": gene_title(gene.name),
                "choice": choice_text(gene, value),
                "mean": float(self.mean[i, value]),
                "difference": float(self.mean[i, value] - self.overall),
                "deviation": float(self.deviation[i, value]),
                "count": int(self.counts[i, value]),
            }
            for i, gene in enumerate(self.space.genes)
            for value in range(len(gene.choices))
            if self.counts[i, value]
        ]


def partial_dependence(
    predictor: Predictor, *, space: SearchSpace | None = None, n: int | None = None, seed: int = 0
) -> PartialDependence:
    """Return the mean forecast when gene `j` has choice `o`, for all genes and choices.

    Small spaces are forecast as a whole, and averaged over the architectures that have the choice. Of larger ones
    random architectures are taken, and each of their genes is set to each of its choices in turn, where that gives a
    valid architecture: the choices of a gene are compared on the same others (Friedman, Annals of Statistics 29, 2001).

    Parameters
    ----------
    predictor : Predictor
        Fitted, with one target.
    space : SearchSpace, optional
        By default that of the predictor.
    n : int, optional
        Random architectures; by default the whole space up to 20,000 architectures, else 500.
    seed : int
        Of the sample.

    Raises
    ------
    InvalidDataError
        If the predictor was fitted on a feature matrix and no space is given, or has several targets.
    """
    own = space if space is not None else getattr(predictor, "space_", None)
    if own is None:
        raise InvalidDataError("expected a space, since the predictor was fitted on a feature matrix")
    if n is not None:
        check_integer("n", n, 1)
    whole = n is None and own.size is not None and own.size <= WHOLE
    batch = own.enumerate() if whole else own.sample(n or _SAMPLE, seed=seed)
    rows = batch.genotypes
    values = _forecast(predictor, batch)
    shape = (own.dimension, int(own.cardinalities.max()))
    counts, total, squares = np.zeros(shape, dtype=np.int64), np.zeros(shape), np.zeros(shape)
    overall = float(values.mean())
    for gene, cardinality in enumerate(own.cardinalities.tolist()):
        chosen, found = rows[:, gene], values - overall
        if not whole:
            chosen, found = _each_choice(predictor, own, rows, gene, cardinality, overall)
        counts[gene] = np.bincount(chosen, minlength=shape[1])
        total[gene] = np.bincount(chosen, weights=found, minlength=shape[1])
        squares[gene] = np.bincount(chosen, weights=found**2, minlength=shape[1])
    known = counts > 0
    mean = np.divide(total, counts, out=np.full(shape, np.nan), where=known)
    square = np.divide(squares, counts, out=np.full(shape, np.nan), where=known)
    return PartialDependence(own, overall + mean, np.sqrt(np.maximum(square - mean**2, 0.0)), counts, overall)


def _each_choice(
    predictor: Predictor, space: SearchSpace, rows: NDArray[np.int16], gene: int, cardinality: int, overall: float
) -> tuple[NDArray[np.int16], Floats]:
    """Return choices and forecasts of the rows with one gene set to each of its choices, where that is valid."""
    repeated = np.repeat(rows, cardinality, axis=0)
    repeated[:, gene] = np.tile(np.arange(cardinality), len(rows))
    repeated = repeated[space.is_valid(repeated)]
    return repeated[:, gene], _forecast(predictor, Architectures(space, repeated)) - overall


def _forecast(predictor: Predictor, batch: Architectures) -> Floats:
    values = np.asarray(predictor.predict(batch))
    if values.ndim != 1:
        raise InvalidDataError(f"partial dependence is that of one target, the predictor forecasts {values.shape[1]}")
    return values
