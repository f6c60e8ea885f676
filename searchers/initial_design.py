"""The first trainings of a search: at random, or by a design."""

from __future__ import annotations

import numpy as np

from ..designs import Design, as_design
from ..spaces import Architectures, SearchSpace
from .base import generator_at, integer_seed
from .candidates import candidate_set, is_whole, random_new
from .content import ContentCache, content
from .history import History

RANDOM = "random"

_DESIGNED = ContentCache(16)


def beginning(design: str | Design, initial: int, history: History, n: int, rng: np.random.Generator) -> Architectures:
    """Return up to `n` new architectures to begin with: those of a design in its order, and random ones after them.

    Parameters
    ----------
    design : str or Design
        `"random"` draws one after another, so that `initial` does not matter.
    initial : int
        The size of the design. It is made as if nothing had been trained, from the seed of the search alone, so that
        every call sees the same one; what was trained already is passed over. Where fewer are distinct, it is smaller.
    history : History
    n : int
    rng : numpy Generator
        The one that `_propose` was given.
    """
    chooser = as_design(design)
    if design == RANDOM:
        return random_new(history, n, rng)
    designed = _designed(chooser, initial, history, integer_seed(generator_at(rng, 0)))
    found = designed[~np.isin(designed.keys(), history.keys)][:n]
    if len(found) == n:
        return found
    return Architectures.concatenate([found, random_new(history.ask(found), n - len(found), rng)])


def _designed(design: Design, initial: int, history: History, seed: int) -> Architectures:
    """Return the whole design, or all classes of a space or pool that holds fewer."""
    key = (content(design), initial, history.space, history.pool, seed)
    found: Architectures | None = _DESIGNED.get(key)
    if found is None:
        among: SearchSpace | Architectures = history.space
        if is_whole(history):
            candidates = candidate_set(history)
            among, initial = candidates.architectures, min(initial, len(candidates.representatives))
        found = design.choose(among, initial, seed)
        _DESIGNED.put(key, found)
    return found
