"""Explanations of forecasts: contributions of features and genes, the best edits, partial dependence, relevance."""

from __future__ import annotations

from .attribution import Attribution, attribute, gene_attribution, random_background
from .dependence import PartialDependence, partial_dependence
from .edits import Edits, GeneEffects, all_edits, best_edits, gene_effects
from .relevance import relevance
from .words import native_spans

__all__ = [
    "Attribution",
    "Edits",
    "GeneEffects",
    "PartialDependence",
    "all_edits",
    "attribute",
    "best_edits",
    "gene_attribution",
    "gene_effects",
    "native_spans",
    "partial_dependence",
    "random_background",
    "relevance",
]
