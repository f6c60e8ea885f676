"""The main job in one go: see `tools/quickstart`.

First the full loop on real trainings: trains a few networks, fits a surrogate to what came of them, lets it pick the
next ones, trains those, and puts each forecast beside its outcome. Then the same surrogates on published measurements:
trained on a few architectures of the shipped NAS-Bench-201, they rank all the others.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import archcast as ac
from archcast.evaluation import ComparisonPlan, ForecastLoop
from archcast.evaluation.plots import plot_forecast, plot_measure
from archcast.trainers import ProcessPool
from archcast.trainers.plans import PLANS

PREDICTORS = ("gp@semantic", "xgboost@adjacency")
METRIC, EPOCH = "cifar10/test_accuracy", 200
ARCHITECTURE = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
OWN_TABLE = "mnist1d_nasbench201"
SEEDS = (10, 11)
"""Of the trainings here; none of those that the shipped table was trained with."""


def train_and_forecast(budget: int, output: Path) -> None:
    """Run the loop on networks for signals, and look up the best found in the table of all such networks."""
    plan = PLANS.create(OWN_TABLE)
    trainer = plan.trainer()
    print(f"training {budget} networks of space {plan.space} on {plan.made_task!r}, with {len(SEEDS)} seeds each ...")
    loop = ForecastLoop(
        plan.search_space,
        trainer,
        budget,
        task=trainer.task.name,
        recipe=trainer.recipe.to_dict(),
        seeds=SEEDS,
        batch=2,
    )
    with ProcessPool(min(2, os.cpu_count() or 1)) as pool:
        report = loop.run(pool)
    print(report)
    report.plot().savefig(output / "loop.png")
    table = ac.load_table(OWN_TABLE)
    standing = report.standing(table, "mnist1d/test_accuracy")
    print(
        f"of all {standing.rows:,} such networks, trained for the shipped table, {standing.better} are better than the "
        f"best found: test accuracy {standing.value:.3f}, the best of all {standing.best:.3f}\n"
    )


def rank_published(sizes: list[int], seeds: int, output: Path) -> None:
    """Compare surrogates on NAS-Bench-201, draw the pictures and print one forecast beside the truth."""
    table = ac.load_table("nasbench201")
    print(f"{table!r}")
    plan = ComparisonPlan(table, METRIC, epoch=EPOCH, predictors=PREDICTORS, n=sizes, seeds=seeds)
    print(f"training {plan.total} surrogates, each to rank the other {len(table) - max(sizes):,}+ architectures ...")
    comparison = plan.run(n_jobs=min(2, os.cpu_count() or 1))
    print(comparison)
    plot_forecast(plan.forecast("gp@semantic", max(sizes), 0)).savefig(output / "forecast.png")
    plot_measure(comparison).savefig(output / "kendall_tau.png")

    train, _ = table.split(max(sizes), seed=0)
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


def main() -> None:
    """Do both parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=int, default=16, help="networks to train")
    parser.add_argument("--n", type=int, nargs="+", default=[78, 156], help="numbers of training architectures")
    parser.add_argument("--seeds", type=int, default=3, help="how often each is repeated")
    parser.add_argument("--output", type=Path, default=Path("quickstart-output"), help="where the pictures go")
    options = parser.parse_args()
    started = time.perf_counter()
    options.output.mkdir(parents=True, exist_ok=True)
    train_and_forecast(options.budget, options.output)
    rank_published(options.n, options.seeds, options.output)
    pictures = ", ".join(str(options.output / name) for name in ("loop.png", "forecast.png", "kendall_tau.png"))
    print(f"\npictures: {pictures}")
    print(f"done in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
