"""Exact Shapley values of tree ensembles, by the TreeSHAP that XGBoost has in its core.

Forests and boosted trees of any origin are written as an XGBoost model, so that one implementation in C++ serves all
of them. What an absent feature stands for is decided by the background: the share of its rows that take either side of
a split replaces the share of the training rows, which not every saved model knows.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidDataError
from ..optional import require
from .trees import TreeEnsemble

if TYPE_CHECKING:
    from types import ModuleType

_UNSEEN = 1e-3
"""Share of the background's weight that is spread evenly over the leaves: none is without any, which would divide by
zero, and the base value hardly moves."""
_ROOT = 2**31 - 1

Contributions = tuple[NDArray[np.float64], NDArray[np.float64]]


def booster_contributions(
    booster: Any, features: NDArray[np.float64], background: NDArray[np.float64]
) -> Contributions:
    """Return the contributions of the columns to the forecasts of a booster, `(n, d)`, and the base value, `(1,)`.

    They are the Shapley values of the game whose worth of a set of columns is the forecast with those columns known,
    the others following the splits of the trees in the shares of the background (Lundberg et al., From local
    explanations to global understanding with explainable AI for trees, Nature Machine Intelligence 2, 2020).

    Parameters
    ----------
    booster : xgboost.Booster
        One output, trees alone.
    features, background : float64 arrays `(n, d)` and `(b, d)`
    """
    model = json.loads(booster.save_raw(raw_format="json"))
    trees = model["learner"]["gradient_booster"]["model"]["trees"]
    xgb = import_xgboost()
    reached = booster.predict(xgb.DMatrix(background, nthread=1), pred_leaf=True).reshape(len(background), -1)
    for tree, leaves in zip(trees, reached.astype(np.intp).T, strict=True):
        tree["sum_hessian"] = _covers(tree["left_children"], tree["right_children"], leaves)
    weighed = xgb.Booster({"nthread": 1})
    weighed.load_model(bytearray(json.dumps(model).encode()))
    found = weighed.predict(xgb.DMatrix(features, nthread=1), pred_contribs=True).astype(np.float64)
    return found[:, :-1], found[:1, -1]


def ensemble_contributions(
    trees: TreeEnsemble, first: int, weight: float, features: NDArray[np.float64], background: NDArray[np.float64]
) -> Contributions:
    """Return the contributions to `weight` times the sum of the first trees, and the base value, as for a booster."""
    booster = _as_booster(trees, first, weight, features.shape[1])
    return booster_contributions(booster, features, background)


def _covers(left: list[int], right: list[int], leaves: NDArray[np.intp]) -> list[float]:
    """Return how many background rows pass each node of a tree, from the leaf that each row reaches."""
    below = np.array([left, right])
    is_leaf = below[0] < 0
    counts = np.bincount(leaves, minlength=len(is_leaf)) + np.where(is_leaf, _UNSEEN * len(leaves) / is_leaf.sum(), 0.0)
    levels, level = [], np.zeros(1, dtype=np.intp)
    while len(level := level[~is_leaf[level]]):
        levels.append(level)
        level = below[:, level].ravel()
    for level in reversed(levels):
        counts[level] = counts[below[:, level]].sum(axis=0)
    covers: list[float] = counts.tolist()
    return covers


def _as_booster(trees: TreeEnsemble, first: int, weight: float, columns: int) -> Any:
    """Return an XGBoost model whose forecast is `weight` times the sum of the first trees."""
    xgb = import_xgboost()
    # What else such a model holds is taken from a real one, whatever the version.
    plain = xgb.train(
        {"max_depth": 1, "base_score": 0.0, "nthread": 1},
        xgb.DMatrix(np.zeros((2, columns)), label=np.zeros(2), nthread=1),
        1,
    )
    model = json.loads(plain.save_raw(raw_format="json"))
    forest = model["learner"]["gradient_booster"]["model"]
    template = forest["trees"][0]
    ends = [*trees.roots.tolist(), len(trees.feature)]
    forest["trees"] = [
        {**template, **_as_tree(trees, slice(ends[i], ends[i + 1]), weight, columns), "id": i} for i in range(first)
    ]
    forest["tree_info"] = [0] * first
    forest["iteration_indptr"] = list(range(first + 1))
    forest["gbtree_model_param"]["num_trees"] = str(first)
    booster = xgb.Booster({"nthread": 1})
    booster.load_model(bytearray(json.dumps(model).encode()))
    return booster


def _as_tree(trees: TreeEnsemble, nodes: slice, weight: float, columns: int) -> dict[str, Any]:
    """Return one tree as XGBoost writes it: level by level, so that the right child follows the left one."""
    count = nodes.stop - nodes.start
    below = np.stack([trees.left[nodes], trees.right[nodes]]) - nodes.start
    if not count or below.max() >= count:
        raise InvalidDataError("the trees of this model are not stored one after the other, and cannot be attributed")
    inner = below[0] != np.arange(count)
    levels = [np.zeros(1, dtype=np.intp)]
    while len(parents := levels[-1][inner[levels[-1]]]):
        levels.append(below[:, parents].T.ravel())
    order = np.concatenate(levels)
    splits = np.flatnonzero(inner[order])
    left, right, parent = np.full(len(order), -1), np.full(len(order), -1), np.full(len(order), _ROOT)
    left[splits] = 1 + 2 * np.arange(len(splits))
    right[splits] = left[splits] + 1
    parent[1:] = np.repeat(splits, 2)
    places = nodes.start + order
    values = weight * trees.value[places]
    ends = np.where(inner[order], _just_above(trees.threshold[places]), values)
    return {
        "base_weights": values.tolist(),
        "default_left": [0] * len(order),
        "left_children": left.tolist(),
        "right_children": right.tolist(),
        "loss_changes": [0.0] * len(order),
        "parents": parent.tolist(),
        "split_conditions": ends.tolist(),
        "split_indices": trees.feature[places].tolist(),
        "split_type": [0] * len(order),
        "sum_hessian": [1.0] * len(order),
        "tree_param": {
            "num_deleted": "0",
            "num_feature": str(columns),
            "num_nodes": str(len(order)),
            "size_leaf_vector": "1",
        },
    }


def _just_above(thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `u` such that `x < u` wherever `x <= threshold`, for x in float32: XGBoost sends the smaller ones left."""
    rounded = thresholds.astype(np.float32)
    below = np.where(rounded > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded)
    return np.nextafter(below.astype(np.float32), np.float32(np.inf)).astype(np.float64)


def import_xgboost() -> ModuleType:
    """Return the package.

    Raises
    ------
    MissingDependencyError
        If it is not installed.
    """
    return require("xgboost", "this predictor")
