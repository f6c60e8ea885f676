"""The main job in one go, on real published measurements: see `tools/quickstart`.

Trains surrogates on a few architectures of the shipped NAS-Bench-201, ranks all the others, compares with the truth,
and forecasts one architecture given in its native notation.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import archcast as ac
from archcast.evaluation import ComparisonPlan
from archcast.evaluation.plots import plot_forecast, plot_measure

PREDICTORS = ("gp@semantic", "xgboost@semantic", "gp@adjacency", "xgboost@adjacency", "random_forest@adjacency")
METRIC, EPOCH = "cifar10/test_accuracy", 200
ARCHITECTURE = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"


def main() -> None:
    """Run the comparison, draw the pictures and print the forecast."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, nargs="+", default=[78, 156], help="numbers of training architectures")
    parser.add_argument("--seeds", type=int, default=3, help="how often each is repeated")
    parser.add_argument("--output", type=Path, default=Path("quickstart-output"), help="where the pictures go")
    options = parser.parse_args()
    started = time.perf_counter()

    table = ac.load_table("nasbench201")
    print(f"{table!r}")
    plan = ComparisonPlan(table, METRIC, epoch=EPOCH, predictors=PREDICTORS, n=options.n, seeds=options.seeds)
    print(
        f"training {plan.total} surrogates, each to rank the other {len(table) - max(options.n):,}+ architectures ..."
    )
    comparison = plan.run(n_jobs=min(2, os.cpu_count() or 1))
    print(comparison)

    options.output.mkdir(parents=True, exist_ok=True)
    forecast = plan.forecast("gp@semantic", max(options.n), 0)
    plot_forecast(forecast).savefig(options.output / "forecast.png")
    plot_measure(comparison).savefig(options.output / "kendall_tau.png")
    print(f"pictures: {options.output / 'forecast.png'}, {options.output / 'kendall_tau.png'}")

    train, _ = table.split(max(options.n), seed=0)
    values = table.values(METRIC, epoch=EPOCH)
    forecaster = ac.make_predictor("gp@semantic").fit(table.architectures[train], values[train])
    architecture = table.space.parse([ARCHITECTURE])
    mean, std = forecaster.predict(architecture, return_std=True)
    low, high = forecaster.predict_quantiles(architecture, [0.05, 0.95])[0]
    seen = table.rows(architecture)[0] in train
    print(f"\n{ARCHITECTURE}")
    print(f"forecast after {len(train)} trainings: {mean[0]:.2f} +- {std[0]:.2f} %, 90 %: {low:.2f} to {high:.2f} %")
    truth = table.query(architecture, METRIC, epoch=EPOCH)[0]
    print(f"measured:{' (among the trainings)' if seen else '':29} {truth:.2f} %")
    print(f"done in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
