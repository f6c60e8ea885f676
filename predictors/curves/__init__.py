"""Extrapolators: forecasts of where learning curves end, from their beginnings."""

from __future__ import annotations

from typing import Any

from ...encoders import split_encoder
from ...registry import Entry, Registry
from .base import Extrapolator

EXTRAPOLATORS = Registry(
    "extrapolator",
    {
        "last": Entry(".predictors.curves.baselines:LastValue", "baseline: the last value seen"),
        "best": Entry(".predictors.curves.baselines:BestValue", "baseline: the best value seen"),
        "parametric": Entry(
            ".predictors.curves.parametric:ParametricExtrapolator", "Bayesian mixture of parametric families of curves"
        ),
        "parametric_alone": Entry(
            ".predictors.curves.parametric:ParametricExtrapolator",
            "the same, each curve by itself: complete ones only correct it",
            {"learn": False},
        ),
        "power_law": Entry(
            ".predictors.curves.parametric:ParametricExtrapolator",
            "Bayesian mixture of power laws alone",
            {"families": ("pow3",)},
        ),
        "epoch_gp": Entry(
            ".predictors.curves.epoch_process:EpochProcess", "Gaussian process over epochs, shared by all curves"
        ),
        "feature_forest": Entry(
            ".predictors.curves.features:FeatureExtrapolator",
            "random forest on features of the curve",
            {"regressor": "random_forest"},
        ),
        "feature_svr": Entry(
            ".predictors.curves.features:FeatureExtrapolator",
            "support vector regression on features of the curve",
            {"regressor": "svr"},
        ),
        "feature_gp": Entry(
            ".predictors.curves.features:FeatureExtrapolator",
            "Gaussian process on features of the curve",
            {"regressor": "gp"},
        ),
    },
)
register_extrapolator = EXTRAPOLATORS.register


def make_extrapolator(name: str, **parameters: Any) -> Extrapolator:
    """Return an unfitted extrapolator by name.

    Parameters
    ----------
    name : str
        `extrapolator[@encoder[+encoder...]]`, e.g. `"parametric"` or `"feature_forest@operations"`: those that
        look at the architecture as well take an encoder.
    **parameters
        Constructor arguments that override the defaults of the name.

    Raises
    ------
    UnknownNameError
        If the extrapolator or an encoder is unknown.
    InvalidDataError
        If the extrapolator does not take one of the parameters, or an encoder is given twice.
    """
    base, parameters = split_encoder("extrapolator", name, parameters)
    return EXTRAPOLATORS.make(Extrapolator, base, **parameters)


__all__ = ["EXTRAPOLATORS", "Extrapolator", "make_extrapolator", "register_extrapolator"]
