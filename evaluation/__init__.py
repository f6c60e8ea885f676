"""Evaluation: the protocol by which predictors are compared, its measures, reports and plots."""

from __future__ import annotations

from .forecasts import Forecast
from .metrics import evaluate
from .protocol import ComparisonPlan, compare
from .reports import Comparison, Interval

__all__ = ["Comparison", "ComparisonPlan", "Forecast", "Interval", "compare", "evaluate"]
