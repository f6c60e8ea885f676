"""Predictors inside predictors: how they are told their columns, and how their state is kept apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from ..encoders import Encoder

if TYPE_CHECKING:
    from .base import Predictor


def adopt(predictor: Predictor, outer: Predictor, chosen: NDArray[np.intp], encoder: Encoder | None) -> Predictor:
    """Return an unfitted copy of `predictor` that is to live inside another one.

    It is fitted by `_fit`, to transformed targets and to some columns of the features of `outer`. An `encoder` that was
    given to the outer one holds for the inner one too.

    Parameters
    ----------
    predictor : Predictor
        What to copy.
    outer : Predictor
        Knows its columns and its space already.
    chosen : integer array `(d,)`
        Positions of the columns.
    encoder : Encoder or None
        The fitted encoder whose columns they are, extras aside.
    """
    member: Predictor = clone(predictor)
    if outer.encoder is not None:
        member.encoder = outer.encoder
    member.columns_ = outer.columns_.take(chosen)
    member.encoder_, member.space_ = encoder, outer.space_
    member.n_features_in_ = len(chosen)
    return member


def prefixed(prefix: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state with every name put under `prefix`."""
    return {prefix + key: value for key, value in state.items()}


def under(prefix: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `prefixed` put under `prefix`, by its own names."""
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
