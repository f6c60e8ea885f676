"""The genotype itself as features: one-hot, as integers, or scaled to [0, 1] (White et al., NeurIPS 2020)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError
from ..spaces import Architectures, SearchSpace
from .base import Columns, Encoder

_VARIANTS = ("one_hot", "categorical", "continuous")


class AdjacencyEncoder(Encoder):
    """Encodes each gene on its own: the adjacency matrix and operation list in the sense of the literature.

    Parameters
    ----------
    variant : {"one_hot", "categorical", "continuous"}
        One indicator column per choice (a single one for a yes-or-no gene); one column per gene with the integer of
        its choice; or one column per gene with the choice scaled to [0, 1].

    References
    ----------
    White, Neiswanger, Nolen and Savani, "A study on encodings for neural architecture search", NeurIPS 2020.
    """

    def __init__(self, variant: str = "one_hot") -> None:
        self.variant = variant

    def columns(self, space: SearchSpace) -> Columns:
        """Return one column per gene, or per choice of each gene."""
        self._check()
        if self.variant != "one_hot":
            return Columns.of((gene.name for gene in space.genes), "gene", indicator=False)
        names = []
        for gene in space.genes:
            shown = gene.choices[1:] if len(gene.choices) == 2 else gene.choices
            names += [f"{gene.name} = {choice}" for choice in shown]
        return Columns.of(names, "gene", indicator=True)

    def _transform(self, architectures: Architectures) -> NDArray[Any]:
        self._check()
        genotypes, cardinalities = architectures.genotypes, architectures.space.cardinalities
        if self.variant == "categorical":
            return genotypes
        if self.variant == "continuous":
            return genotypes / np.maximum(cardinalities - 1, 1)
        return np.concatenate(
            [
                genotypes[:, i, None] == np.arange(1 if cardinality == 2 else 0, cardinality)
                for i, cardinality in enumerate(cardinalities.tolist())
            ],
            axis=1,
        )

    def _check(self) -> None:
        if self.variant not in _VARIANTS:
            raise InvalidDataError(f"variant must be one of {', '.join(_VARIANTS)}, got {self.variant!r}")
