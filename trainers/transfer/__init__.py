"""Weight transfer: trained weights that are kept, copied where they fit, or morphed with the outputs unchanged."""

from __future__ import annotations

from .copying import Inherited, copy_matching
from .morphism import Morphism, morph
from .store import StoredWeights, WeightStore
from .warm_start import warm_start

__all__ = ["Inherited", "Morphism", "StoredWeights", "WeightStore", "copy_matching", "morph", "warm_start"]
