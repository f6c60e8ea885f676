"""Predictors: surrogates that forecast a metric with a mean and a standard deviation."""

from __future__ import annotations

from typing import Any

from ..errors import InvalidDataError
from ..registry import Entry, Registry
from .base import Predictor

PREDICTORS = Registry(
    "predictor",
    {
        "gp": Entry(".predictors.gaussian_process:GaussianProcess", "Gaussian process, a lengthscale per feature kind"),
        "gp_rbf": Entry(
            ".predictors.gaussian_process:GaussianProcess", "Gaussian process, squared exponential", {"kernel": "rbf"}
        ),
        "gp_matern52": Entry(
            ".predictors.gaussian_process:GaussianProcess", "Gaussian process, Matern 5/2", {"kernel": "matern52"}
        ),
        "gp_ard": Entry(
            ".predictors.gaussian_process:GaussianProcess",
            "Gaussian process, a lengthscale per column",
            {"lengthscales": "column"},
        ),
        "gp_tanimoto": Entry(
            ".predictors.gaussian_process:GaussianProcess",
            "Gaussian process, Tanimoto kernel on path counts",
            {"kernel": "tanimoto", "encoder": "path_multiset"},
        ),
        "gp_hamming": Entry(
            ".predictors.gaussian_process:GaussianProcess",
            "Gaussian process, Hamming kernel on genotypes",
            {"kernel": "hamming", "encoder": "adjacency_categorical"},
        ),
        "gp_wl": Entry(
            ".predictors.gaussian_process:GaussianProcess",
            "Gaussian process, Weisfeiler-Lehman subtree kernel",
            {"kernel": "wl", "encoder": "wl"},
        ),
        "constant": Entry(".predictors.constant:ConstantPredictor", "baseline: centre and spread of the targets"),
    },
)
register_predictor = PREDICTORS.register


def make_predictor(name: str, **parameters: Any) -> Predictor:
    """Return an unfitted predictor by name.

    Parameters
    ----------
    name : str
        `predictor[@encoder[+encoder...]]`, e.g. `"gp@semantic"` or `"xgboost@adjacency+path"`.
    **parameters
        Constructor arguments that override the defaults of the name.

    Raises
    ------
    UnknownNameError
        If the predictor or an encoder is unknown.
    InvalidDataError
        If the predictor does not take one of the parameters.
    """
    from ..encoders import make_encoder

    base, at, encoder = name.partition("@")
    if at:
        make_encoder(encoder)  # a misspelt encoder is reported now rather than when fitting starts
        parameters.setdefault("encoder", encoder)
    predictor = PREDICTORS.create(base, **parameters)
    if not isinstance(predictor, Predictor):
        raise InvalidDataError(
            f"predictor {base!r} is registered with a {type(predictor).__name__}, expected a Predictor"
        )
    return predictor


__all__ = ["PREDICTORS", "Predictor", "make_predictor", "register_predictor"]
