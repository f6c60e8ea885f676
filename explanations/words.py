"""Features, genes and choices in words, and where genes stand in the native notation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError
from ..spaces import Architecture, Architectures
from ..spaces.base import Gene

_EDGE = re.compile(r"\d+->\d+")


def gene_title(name: str) -> str:
    """Return the name of a gene as people say it: edges of cells are called edges."""
    return f"edge {name}" if _EDGE.fullmatch(name) else name


def choice_text(gene: Gene, value: int) -> str:
    """Return a choice of a gene in words."""
    choice: Any = gene.choices[value]
    if isinstance(choice, tuple):
        return "(" + ", ".join(map(str, choice)) + ")"
    return {True: "yes", False: "no"}[choice] if isinstance(choice, bool) else str(choice)


def feature_text(names: Sequence[str], indicator: NDArray[np.bool_], row: NDArray[np.float64]) -> tuple[str, ...]:
    """Return what the columns of one architecture say, in words."""
    return tuple(
        (name if value == 1 else f"no {name}") if flag and value in (0, 1) else f"{name} = {value:.4g}"
        for name, flag, value in zip(names, indicator.tolist(), row.tolist(), strict=True)
    )


def one_of(architecture: Architecture | Architectures) -> Architectures:
    """Return a batch of exactly one architecture.

    Raises
    ------
    InvalidDataError
        If it is anything else.
    """
    batch = architecture.batch() if isinstance(architecture, Architecture) else architecture
    if not isinstance(batch, Architectures):
        raise InvalidDataError(f"expected an Architecture (space.parse makes them), got {type(batch).__name__}")
    if len(batch) != 1:
        raise InvalidDataError(f"expected one architecture to explain, got {len(batch)}")
    return batch


def native_spans(architecture: Architecture | Architectures) -> list[tuple[int, int] | None]:
    """Return where each gene stands in the native string of an architecture, as start and end; None where nowhere.

    Found by looking at what changes in the string when only that gene changes, and widened to whole words unless
    these hold other genes. Spans do not overlap: of two genes that change the same place, the first keeps it.
    """
    batch = one_of(architecture)
    own = batch.strings()[0]
    near, _ = batch.space.neighbors(batch)
    changed = near.genotypes != batch.genotypes
    spans: list[tuple[int, int] | None] = [None] * batch.space.dimension
    for text, genes in zip(near.strings(), changed, strict=True):
        if genes.sum() == 1 and text != own:
            gene, (start, stop) = int(genes.argmax()), _difference(own, text)
            known = spans[gene] or (start, stop)
            spans[gene] = (min(known[0], start), max(known[1], stop))
    taken = np.zeros(len(own), dtype=np.int64)
    for span in spans:
        if span is not None:
            taken[span[0] : span[1]] += 1
    used = np.zeros(len(own), dtype=np.bool_)
    for gene, span in enumerate(spans):
        if span is not None:
            start, stop = _widened(own, *span, taken)
            spans[gene] = None if used[start:stop].any() or start == stop else (start, stop)
            used[start:stop] = True
    return spans


def _difference(own: str, other: str) -> tuple[int, int]:
    """Return the part of `own` without the common beginning and end of both."""
    shortest = min(len(own), len(other))
    start = next((i for i in range(shortest) if own[i] != other[i]), shortest)
    end = next((i for i in range(shortest - start) if own[-1 - i] != other[-1 - i]), shortest - start)
    return start, len(own) - end


def _widened(text: str, start: int, stop: int, taken: NDArray[np.int64]) -> tuple[int, int]:
    """Return the span grown to whole words, or as it is if these hold places of other genes."""
    left, right = start, stop
    while left > 0 and _is_word(text[left - 1]):
        left -= 1
    while right < len(text) and _is_word(text[right]):
        right += 1
    if taken[left:start].any() or taken[stop:right].any():
        return start, stop
    return left, right


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"
