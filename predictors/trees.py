"""Ensembles of regression trees as plain arrays: what scikit-learn grew, kept and evaluated without scikit-learn.

Arrays are the saved form as well, so that a model on disk depends on no library version, and a forecast after loading
is the forecast before saving by construction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK = 4096
"""Rows that descend together: few enough for their features and positions to stay in the processor's cache."""


class TreeEnsemble:
    """Binary trees that send a row left where `x[feature] <= threshold`, with `x` in float32.

    Parameters
    ----------
    arrays : mapping of str to array
        `feature` (int32), `threshold` (float64), `left`, `right` (int32, absolute; a leaf points to itself), `value`
        and `variance` (float64), all `(nodes,)` over all trees, and `roots` (int32) `(trees,)`.
    n_features : int
        Columns of the matrix that the trees read.

    Raises
    ------
    ValueError
        If an index leads outside, or a descent could fail to end.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]], n_features: int) -> None:
        self.arrays: dict[str, NDArray[Any]] = {
            name: np.ascontiguousarray(arrays[name], dtype=kind) for name, kind in _KINDS.items()
        }
        self.feature, self.threshold = self.arrays["feature"], self.arrays["threshold"]
        self.left, self.right, self.roots = self.arrays["left"], self.arrays["right"], self.arrays["roots"]
        self.value, self.variance = self.arrays["value"], self.arrays["variance"]
        nodes = np.arange(len(self.feature))
        sizes = {array.shape for name, array in self.arrays.items() if name != "roots"}
        if sizes != {(len(nodes),)} or self.roots.ndim != 1 or not len(self.roots):
            raise ValueError(f"the arrays of the trees differ in length: {sorted(sizes)}")
        if not ((self.feature >= 0) & (self.feature < n_features)).all():
            raise ValueError(f"a tree reads a feature outside 0..{n_features - 1}")
        if not ((self.roots >= 0) & (self.roots < len(nodes))).all():
            raise ValueError("a tree begins outside the nodes")
        leaf = (self.left == nodes) & (self.right == nodes)
        inner = (self.left > nodes) & (self.right > nodes) & (self.left < len(nodes)) & (self.right < len(nodes))
        if not (leaf | inner).all():
            raise ValueError("a tree's node leads backwards or outside")

    @classmethod
    def grown(cls, trees: Sequence[Any], n_features: int) -> TreeEnsemble:
        """Take over `sklearn.tree.DecisionTreeRegressor` trees, as `forest.estimators_` lists them."""
        parts: dict[str, list[NDArray[Any]]] = {name: [] for name in _KINDS}
        start = 0
        for estimator in trees:
            tree = estimator.tree_
            own = np.arange(tree.node_count)
            leaf = tree.children_left < 0
            parts["feature"].append(np.where(leaf, 0, tree.feature))
            parts["threshold"].append(np.where(leaf, 0.0, tree.threshold))
            parts["left"].append(start + np.where(leaf, own, tree.children_left))
            parts["right"].append(start + np.where(leaf, own, tree.children_right))
            parts["value"].append(tree.value[:, 0, 0])
            parts["variance"].append(tree.impurity)
            parts["roots"].append(np.array([start]))
            start += tree.node_count
        return cls({name: np.concatenate(arrays) for name, arrays in parts.items()}, n_features)

    def __len__(self) -> int:
        return len(self.roots)

    def leaves(self, features: NDArray[np.float64], trees: int | None = None) -> NDArray[np.int32]:
        """Return the leaf that each row reaches in each tree (or in the first few), `(trees, n)`."""
        n, roots = len(features), self.roots[:trees]
        reached = np.empty((len(roots), n), dtype=np.int32)
        for start in range(0, n, _BLOCK):
            block = features[start : start + _BLOCK].astype(np.float32)
            flat, offsets = block.ravel(), np.arange(len(block)) * block.shape[1]
            for tree, root in enumerate(roots.tolist()):
                at = np.full(len(block), root, dtype=np.int32)
                while True:
                    goes_left = flat[offsets + self.feature[at]] <= self.threshold[at]
                    below = np.where(goes_left, self.left[at], self.right[at])
                    if np.array_equal(below, at):
                        break
                    at = below
                reached[tree, start : start + _BLOCK] = at
        return reached


_KINDS: dict[str, type[np.generic]] = {
    "feature": np.int32,
    "threshold": np.float64,
    "left": np.int32,
    "right": np.int32,
    "value": np.float64,
    "variance": np.float64,
    "roots": np.int32,
}
