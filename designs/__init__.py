"""Designs: which architectures to train first, before anything is known of any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sklearn.base import clone

from ..encoders import split_encoder
from ..errors import InvalidDataError
from ..registry import Entry, Registry
from ..spaces import Architecture, Architectures, SearchSpace
from .base import Design

DESIGNS = Registry(
    "design",
    {
        "random": Entry(".designs.random:RandomDesign", "canonically distinct architectures, drawn at random"),
        "stratified": Entry(".designs.stratified:StratifiedDesign", "one of each stratum of a statistic, such as size"),
        "kmeans": Entry(".designs.clusters:ClusterDesign", "the middle of each cluster of the encodings"),
        "max_min": Entry(".designs.max_min:MaxMinDesign", "always what is farthest from all chosen so far (k-center)"),
        "dpp": Entry(".designs.determinantal:DeterminantalDesign", "greedy mode of a determinantal point process"),
        "variance": Entry(
            ".designs.variance:VarianceDesign", "what lowers the variance of all forecasts the most (A-optimal)"
        ),
        "variance_largest": Entry(
            ".designs.variance:VarianceDesign",
            "always what a Gaussian process is least sure of (D-optimal)",
            {"criterion": "largest"},
        ),
    },
)
register_design = DESIGNS.register


def make_design(name: str, **parameters: Any) -> Design:
    """Return a design by name: `design[@encoder[+encoder...]]`.

    Parameters
    ----------
    name : str
        E.g. `"kmeans"` or `"dpp@adjacency"`; `archcast list designs` shows them all.
    **parameters
        Constructor arguments that override the defaults of the name.

    Raises
    ------
    UnknownNameError
        If there is no such design or encoder.
    InvalidDataError
        If the design does not take one of the parameters, or an encoder is given twice.

    Examples
    --------
    >>> import archcast as ac
    >>> ac.make_design("kmeans@adjacency")
    ClusterDesign(encoder='adjacency')
    """
    base, parameters = split_encoder("design", name, parameters)
    return DESIGNS.make(Design, base, **parameters)


def as_design(given: str | Design) -> Design:
    """Return a design from a name or an example, which is copied.

    Raises
    ------
    UnknownNameError
        If there is no design of the name.
    InvalidDataError
        If it is neither.
    """
    if isinstance(given, str):
        return make_design(given)
    if not isinstance(given, Design):
        raise InvalidDataError(f"a design must be a name or a Design, got {type(given).__name__}")
    copy: Design = clone(given)
    return copy


def design(
    among: SearchSpace | Architectures | Sequence[Architecture],
    n: int,
    seed: int = 0,
    *,
    name: str = "random",
    **parameters: Any,
) -> Architectures:
    """Return architectures to train first.

    Parameters
    ----------
    among : SearchSpace, Architectures or sequence of Architecture
        A space, or the only architectures that may be chosen.
    n : int
    seed : int
    name : str
        `design[@encoder]`, as `make_design` takes it.
    **parameters
        Of the design.

    Returns
    -------
    Architectures, `(n,)`
        Canonically distinct.

    Raises
    ------
    UnknownNameError
        If there is no such design or encoder.
    InvalidDataError
        If there are fewer than `n` distinct architectures, or a number or parameter is out of range.

    Examples
    --------
    >>> import archcast as ac
    >>> len(ac.design(ac.get_space("nasbench201"), 10, name="kmeans"))
    10
    """
    return make_design(name, **parameters).choose(among, n, seed)


__all__ = ["DESIGNS", "Design", "as_design", "design", "make_design", "register_design"]
