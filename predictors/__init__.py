"""Predictors: surrogates that forecast a metric with a mean and a standard deviation."""

from __future__ import annotations

from os import PathLike
from typing import Any

from ..encoders import split_encoder
from ..registry import Entry, Registry
from .base import Predictor
from .confidence import expected_kendall_tau, probability_better, top_k_probability
from .seed_noise import standard_errors
from .sources import Source

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
        "gp_trend": Entry(
            ".predictors.gaussian_process:GaussianProcess",
            "Gaussian process on top of a linear trend in every kind of feature",
            {"kernel": "matern32+trend"},
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
        "gp_shortest_path": Entry(
            ".predictors.graph_process:GraphGaussianProcess",
            "Gaussian process, shortest-path kernel",
            {"encoder": "shortest_path"},
        ),
        "gp_random_walk": Entry(
            ".predictors.graph_process:GraphGaussianProcess",
            "Gaussian process, random-walk kernel",
            {"encoder": "random_walk"},
        ),
        "gp_graph": Entry(
            ".predictors.graph_process:GraphGaussianProcess",
            "Gaussian process, sum or product of graph kernels and the kernel of other features",
        ),
        "gp_transfer": Entry(
            ".predictors.source_prior:SourcePriorGaussianProcess",
            "Gaussian process whose prior mean is what sources forecast",
        ),
        "gp_multitask": Entry(
            ".predictors.multi_task:MultiTaskGaussianProcess",
            "Gaussian process of target and sources at once (coregionalisation)",
        ),
        "rgpe": Entry(
            ".predictors.rank_weighted:RankWeightedEnsemble", "ensemble of target and sources, weighted by ranking"
        ),
        "multi_fidelity": Entry(
            ".predictors.multi_fidelity:MultiFidelityProcess",
            "Gaussian process over two fidelities: cheap results, given as info, of many, and full ones of few",
        ),
        "xgboost": Entry(".predictors.xgboost:XGBoostPredictor", "boosted trees of XGBoost, deviation by resampling"),
        "xgboost_quantile": Entry(
            ".predictors.xgboost:XGBoostPredictor",
            "boosted trees of XGBoost, deviation from a pair of quantiles",
            {"deviation": "quantiles"},
        ),
        "random_forest": Entry(
            ".predictors.random_forest:RandomForestPredictor", "random forest, deviation by the law of total variance"
        ),
        "random_forest_ij": Entry(
            ".predictors.random_forest:RandomForestPredictor",
            "random forest, deviation by the infinitesimal jackknife",
            {"deviation": "infinitesimal_jackknife"},
        ),
        "gradient_boosting": Entry(
            ".predictors.gradient_boosting:GradientBoostingPredictor",
            "boosted trees of scikit-learn, deviation by resampling",
        ),
        "ridge": Entry(".predictors.linear:LinearPredictor", "ridge regression, penalty by cross-validation"),
        "bayesian_linear": Entry(
            ".predictors.linear:LinearPredictor",
            "Bayesian linear regression, penalty by evidence",
            {"criterion": "evidence"},
        ),
        "knn": Entry(".predictors.neighbors:NeighborsPredictor", "nearest neighbours, weighted by distance"),
        "gin": Entry(
            ".predictors.neural.graph_predictor:GraphNetworkPredictor",
            "ensemble of pre-trained graph networks, messages along edges both ways",
            {"encoder": "graph"},
        ),
        "graph_transformer": Entry(
            ".predictors.neural.graph_predictor:GraphNetworkPredictor",
            "ensemble of pre-trained graph networks, attention along paths",
            {"network": "transformer", "encoder": "graph"},
        ),
        "deep_kernel": Entry(
            ".predictors.neural.deep_kernel:DeepKernelPredictor",
            "Gaussian process on the embedding of a graph network, learned together",
            {"encoder": "graph"},
        ),
        "mlp": Entry(".predictors.neural.perceptron:PerceptronPredictor", "ensemble of multilayer perceptrons"),
        "bananas": Entry(
            ".predictors.neural.perceptron:PerceptronPredictor",
            "ensemble of multilayer perceptrons on the path encoding",
            {"encoder": "path"},
        ),
        "svr": Entry(
            ".predictors.support_vectors:SupportVectorPredictor", "support vector regression, deviation by resampling"
        ),
        "curve_gp": Entry(
            ".predictors.curve_predictor:CurvePredictor",
            "Gaussian process on architecture and beginning of the learning curve, given as info",
        ),
        "curve_svr": Entry(
            ".predictors.curve_predictor:CurvePredictor",
            "support vector regression on architecture and beginning of the learning curve",
            {"regressor": "svr"},
        ),
        "auto": Entry(
            ".predictors.auto:AutoPredictor", "several predictors, weighed by what they say of left-out data"
        ),
        "calibrated": Entry(
            ".predictors.calibrated:CalibratedPredictor", "another predictor, its intervals corrected on left-out data"
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
        `predictor[@encoder[+encoder...]]`, e.g. `"gp@semantic"` or `"xgboost@adjacency+path"`. A predictor around
        another one is `outer:predictor[@encoder...]`, e.g. `"calibrated:random_forest@semantic"`.
    **parameters
        Constructor arguments that override the defaults of the name.

    Raises
    ------
    UnknownNameError
        If the predictor or an encoder is unknown.
    InvalidDataError
        If the predictor does not take one of the parameters, or an encoder is given twice.
    """
    base, parameters = split_encoder("predictor", name, parameters)
    base, colon, inner = base.partition(":")
    if colon:
        make_predictor(inner)  # so is a misspelt inner predictor
        parameters.setdefault("predictor", inner)
    return PREDICTORS.make(Predictor, base, **parameters)


def load_predictor(path: str | PathLike[str]) -> Predictor:
    """Read a fitted predictor that `Predictor.save` wrote; it forecasts exactly what the saved one did.

    Raises
    ------
    ModelFormatError
        If the file is missing, is not a saved predictor, is truncated or was changed, was written in a newer format,
        or needs a predictor, encoder or space that is not registered here.
    """
    from .saving import load

    return load(path)


__all__ = [
    "PREDICTORS",
    "Predictor",
    "Source",
    "expected_kendall_tau",
    "load_predictor",
    "make_predictor",
    "probability_better",
    "register_predictor",
    "standard_errors",
    "top_k_probability",
]
