"""Evaluation: the protocols by which predictors and searchers are compared, their measures, reports and plots."""

from __future__ import annotations

from .boards import BOARDS, Board
from .curve_benchmark import CurvePlan, compare_curves
from .curve_report import CurveComparison
from .fidelity_benchmark import FidelityPlan, benchmark_fidelity
from .fidelity_problem import FidelityProblem
from .fidelity_replay import FidelityTrajectory, replay_fidelity
from .forecast_loop import ForecastLoop
from .forecast_report import ForecastReport
from .forecasts import Forecast
from .leaderboard import LeaderboardPlan
from .leaderboard_page import write_leaderboard
from .leaderboard_report import Leaderboard
from .live_stopping import EarlyStopper
from .metrics import evaluate
from .pareto_problem import ParetoProblem, ParetoTrajectory
from .protocol import ComparisonPlan, compare
from .replay import replay
from .reports import Comparison, Interval
from .search_benchmark import SearchPlan, benchmark
from .search_problem import SearchProblem
from .search_report import SearchComparison
from .seed_problem import SeedProblem
from .surrogate_file import load_surrogate_table
from .surrogate_fitting import fit_surrogate_table
from .surrogate_table import SurrogateTable
from .trajectories import Trajectory

__all__ = [
    "BOARDS",
    "Board",
    "Comparison",
    "ComparisonPlan",
    "CurveComparison",
    "CurvePlan",
    "EarlyStopper",
    "FidelityPlan",
    "FidelityProblem",
    "FidelityTrajectory",
    "Forecast",
    "ForecastLoop",
    "ForecastReport",
    "Interval",
    "Leaderboard",
    "LeaderboardPlan",
    "ParetoProblem",
    "ParetoTrajectory",
    "SearchComparison",
    "SearchPlan",
    "SearchProblem",
    "SeedProblem",
    "SurrogateTable",
    "Trajectory",
    "benchmark",
    "benchmark_fidelity",
    "compare",
    "compare_curves",
    "evaluate",
    "fit_surrogate_table",
    "load_surrogate_table",
    "replay",
    "replay_fidelity",
    "write_leaderboard",
]
