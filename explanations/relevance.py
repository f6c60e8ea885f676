"""What a Gaussian process found relevant: the lengthscales that it learned."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..errors import InvalidDataError
from ..predictors import Predictor


def relevance(predictor: Predictor) -> list[dict[str, Any]]:
    """Return the lengthscales of a Gaussian process as records, the most relevant kind of feature first.

    Keys: `feature` (a group of columns, or a single one), `columns` (how many vary), `lengthscale` (1 means: alone it
    makes two architectures that are as far apart as usual a lengthscale apart), and `share` of the mean squared
    distance between two training architectures, which adds up to 1 over each term of the kernel's sum or product.

    Automatic relevance determination (MacKay, 1994; Neal, 1996): what has a long lengthscale, hence a small share,
    hardly changes the forecast however it varies. It says how much something matters, and nothing of the direction.

    Raises
    ------
    InvalidDataError
        If the predictor has no lengthscales, or several targets.
    """
    check_is_fitted(predictor, "_targets")
    kernels = getattr(predictor, "kernels_", [])
    if not kernels:
        raise InvalidDataError(f"{type(predictor).__name__} has no lengthscales; attribute() explains its forecasts")
    if len(kernels) > 1:
        raise InvalidDataError(f"relevance is that for one target, got {len(kernels)}")
    scales = kernels[0].lengthscales(predictor.parameters_[0][:-1])
    if not scales:
        terms = [record["term"] for record in predictor.report_ if "term" in record]
        named = f"of {' and '.join(terms)}" if terms else repr(predictor.get_params().get("kernel"))
        raise InvalidDataError(f"the kernel {named} has no lengthscales")
    columns = predictor.columns_
    weights = np.array([scale**-2.0 for _, scale in scales])
    records = []
    for (chosen, scale), share in zip(scales, weights / weights.sum(), strict=True):
        kinds = list(dict.fromkeys(columns.groups[i] for i in chosen))
        name = columns.names[chosen[0]] if len(chosen) == 1 else kinds[0] if len(kinds) == 1 else "all columns"
        records.append({"feature": name, "columns": len(chosen), "lengthscale": scale, "share": float(share)})
    return sorted(records, key=lambda record: -record["share"])
