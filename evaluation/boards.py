"""The boards of the leaderboard: what is forecast, from how many trainings, and what others have published on it.

This file is data. A board more is an entry more, and its page follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PUBLISHED = "published, not rerun"
RERUN = "published code, rerun"


@dataclass(frozen=True)
class Reference:
    """What another system reaches on the metric of a board.

    Parameters
    ----------
    system : str
    kendall_tau : mapping of int to float
        By the number of training architectures.
    status : str
        Whether the numbers are as published, or the published code was rerun.
    source : str
        Where they come from, and what their protocol has different.
    """

    system: str
    kendall_tau: Mapping[int, float]
    status: str
    source: str


@dataclass(frozen=True)
class Board:
    """One problem that predictors are ranked on.

    Parameters
    ----------
    name : str
        How the board is named on the command line; distinct.
    table : str or Path
        A shipped table, or the path of an .h5 file.
    metric : str
    epoch : int, optional
        The epoch of the metric; the last by default.
    sizes : tuple of int
        Numbers of training architectures.
    info, sources : tuple of str
        Extras and histories, as `ComparisonPlan` takes them.
    title : str
        Its heading; the name by default.
    references : tuple of Reference
        Other systems on the same metric.
    """

    name: str
    table: str | Path
    metric: str
    epoch: int | None = None
    sizes: tuple[int, ...] = (50, 100, 400)
    info: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    title: str = ""
    references: tuple[Reference, ...] = ()


_TABLE = "Lu et al., PINAT: A Permutation INvariance Augmented Transformer for NAS Predictor, AAAI 2023, table 1"
_OTHERWISE = "trained on validation accuracies, ranking test accuracies"
_CIFAR10 = (
    Reference(
        "PINAT",
        {78: 0.55, 156: 0.63, 469: 0.71, 781: 0.76, 1563: 0.78},
        PUBLISHED,
        f"{_TABLE}; {_OTHERWISE}",
    ),
    Reference(
        "TNASP",
        {78: 0.54, 156: 0.59, 469: 0.64, 781: 0.69, 1563: 0.72},
        PUBLISHED,
        f"As cited by {_TABLE}; {_OTHERWISE}",
    ),
    Reference(
        "PINAT",
        {78: 0.57, 156: 0.65, 469: 0.70},
        RERUN,
        "PINAT's published code, run by us on this column; two seeds at 78 and 156, one at 469",
    ),
)
_GRAPHS = ("cora", "citeseer", "pubmed", "arxiv")
_HISTORY = ("nasbench201:cifar100/test_accuracy@12", "nasbench201:imagenet16/test_accuracy@12")

BOARDS = (
    Board(
        "nasbench201_cifar10",
        "nasbench201",
        "cifar10/test_accuracy",
        200,
        (10, 20, 40, 78, 156, 469, 781, 1563),
        title="NAS-Bench-201, CIFAR-10",
        references=_CIFAR10,
    ),
    Board(
        "nasbench201_cifar10_epoch12",
        "nasbench201",
        "cifar10/test_accuracy",
        200,
        (78, 156, 469, 781, 1563),
        info=("cifar10/valid_accuracy@12",),
        title="NAS-Bench-201, CIFAR-10, given the validation accuracy after 12 epochs",
    ),
    Board(
        "nasbench201_cifar10_history",
        "nasbench201",
        "cifar10/test_accuracy",
        200,
        (10, 20, 40),
        sources=_HISTORY,
        title="NAS-Bench-201, CIFAR-10, given 12 epochs on CIFAR-100 and ImageNet16-120",
    ),
    Board("accel_nasbench_top1", "accel_nasbench", "imagenet/top1", title="Accel-NASBench, ImageNet top-1"),
    Board("accel_nasbench_a100", "accel_nasbench", "a100/throughput", title="Accel-NASBench, A100 throughput"),
    *(
        Board(
            f"nasbench_graph_{name}",
            f"nasbench_graph_{name}",
            f"{name}/test_accuracy",
            title=f"NAS-Bench-Graph, {name}",
        )
        for name in _GRAPHS
    ),
    Board(
        "nasbench_graph_proteins",
        "nasbench_graph_proteins",
        "proteins/test_roc_auc",
        title="NAS-Bench-Graph, proteins",
    ),
    Board(
        "mnist1d_nasbench201",
        "mnist1d_nasbench201",
        "mnist1d/test_accuracy",
        sizes=(50, 100, 400, 469),
        title="NAS-Bench-201 cells on MNIST-1D, trained by archcast",
    ),
    Board(
        "mnist1d_nasbench201_epochs3",
        "mnist1d_nasbench201",
        "mnist1d/test_accuracy",
        info=("mnist1d/valid_accuracy@1:3",),
        title="The same, given the first three of ten epochs",
    ),
    Board("nasbench_nlp", "nasbench_nlp", "wikitext2/test_loss", sizes=(50, 100), title="NAS-Bench-NLP, WikiText-2"),
)
"""The standard problems of the field, at the sizes that its papers report."""

STANDARD = (
    "auto",
    "gp@semantic",
    "gp_trend@semantic",
    "gp_graph",
    "gp_random_walk",
    "gp_transfer@semantic",
    "rgpe@semantic",
    "multi_fidelity@semantic",
    "xgboost@semantic",
    "random_forest@semantic",
    "mlp@semantic",
    "gin",
    "bananas",
    "bayesian_linear@semantic",
    "ridge@semantic",
    "knn@semantic",
    "gp@adjacency",
    "xgboost@adjacency",
    "constant",
)
"""What `--predictor standard` stands for, together with all predictors of other packages."""
