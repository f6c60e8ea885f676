"""The size of the network that an architecture becomes: parameters and multiply-accumulate operations."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError
from ..spaces import Architectures, SearchSpace
from .base import Columns, Encoder


class ComplexityEncoder(Encoder):
    """Parameters and FLOPs of the space's standard network, as they are and as natural logarithms of one plus them.

    Only for spaces that know them (`space.complexity`).

    Raises
    ------
    InvalidDataError
        When asked about a space that does not know the complexity of its architectures.
    """

    def columns(self, space: SearchSpace) -> Columns:
        """Return one column per known quantity, and one per logarithm."""
        names = list(self._quantities(Architectures(space, np.zeros((0, space.dimension), dtype=np.int16))))
        return Columns.of([*names, *(f"log {name}" for name in names)], "complexity", indicator=False)

    def _transform(self, architectures: Architectures) -> NDArray[Any]:
        raw = np.stack(list(self._quantities(architectures).values()), axis=1)
        return np.concatenate([raw, np.log1p(raw)], axis=1)

    @staticmethod
    def _quantities(architectures: Architectures) -> dict[str, NDArray[np.float64]]:
        known = architectures.space.complexity(architectures)
        if not known:
            raise InvalidDataError(
                f"encoder 'complexity' needs a space that knows parameters and FLOPs, got {architectures.space.name!r}"
            )
        return known
