"""Distributions over genotypes: genes by themselves, or along a tree of dependencies."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import breadth_first_order, minimum_spanning_tree

Genes = NDArray[np.integer]
Floats = NDArray[np.float64]

_LEAST = 0.01


class GeneModel(ABC):
    """A distribution over rows of `d` genes, gene `j` taking values below its cardinality."""

    @abstractmethod
    def log_probability(self, rows: Genes) -> Floats:
        """Return the logarithm of the probability of each row, `(n,)`."""

    @abstractmethod
    def sample(self, n: int, rng: np.random.Generator) -> Genes:
        """Return random rows `(n, d)`."""


class Independent(GeneModel):
    """Genes by themselves.

    Parameters
    ----------
    probabilities : float64 array `(d, c)`
        Of each value of each gene, 0 beyond its cardinality.
    """

    def __init__(self, probabilities: Floats) -> None:
        self.probabilities = probabilities

    @classmethod
    def uniform(cls, cardinalities: Genes) -> Independent:
        """Return the distribution with all values alike."""
        exists = np.arange(cardinalities.max()) < cardinalities[:, None]
        return cls(exists / cardinalities[:, None])

    @classmethod
    def learn(cls, rows: Genes, cardinalities: Genes, smoothing: float) -> Independent:
        """Return the frequencies among rows, with pseudo-counts that are spread over each gene's values."""
        even = cls.uniform(cardinalities).probabilities
        counts = (rows[:, :, None] == np.arange(even.shape[1])).sum(axis=0)
        return cls((counts + smoothing * even) / (len(rows) + smoothing))

    def moved(self, rows: Genes, rate: float) -> Independent:
        """Return the probabilities moved towards the frequencies among rows."""
        even = (self.probabilities > 0) / (self.probabilities > 0).sum(axis=1, keepdims=True)
        seen = (rows[:, :, None] == np.arange(even.shape[1])).mean(axis=0)
        moved = np.maximum((1 - rate) * self.probabilities + rate * seen, _LEAST * even)
        return Independent(moved / moved.sum(axis=1, keepdims=True))

    def log_probability(self, rows: Genes) -> Floats:
        """Return the sum over genes."""
        chances = self.probabilities[np.arange(rows.shape[1]), rows]
        return np.asarray(np.log(chances).sum(axis=1))

    def sample(self, n: int, rng: np.random.Generator) -> Genes:
        """Return rows whose genes are drawn one by one."""
        steps = self.probabilities.cumsum(axis=1)
        return _invert(steps[None], rng.random((n, len(steps))))


class Tree(GeneModel):
    """Each gene given its parent in a tree.

    Parameters
    ----------
    order : integer array `(d,)`
        Genes, parents before children; the first is the root.
    parent : integer array `(d,)`
        The parent of each gene, -1 for the root.
    root : float64 array `(c,)`
        Probabilities of the root's values.
    conditional : float64 array `(d, c, c)`
        `conditional[j, a, b]` is the probability that gene `j` is `b` given that its parent is `a`.
    """

    def __init__(self, order: Genes, parent: Genes, root: Floats, conditional: Floats) -> None:
        self.order, self.parent, self.root, self.conditional = order, parent, root, conditional

    @classmethod
    def learn(cls, rows: Genes, cardinalities: Genes, smoothing: float) -> Tree:
        """Return the most likely tree: a maximum spanning tree of the mutual information between genes."""
        n, d = rows.shape
        single = Independent.learn(rows, cardinalities, smoothing).probabilities
        hot = (rows[:, :, None] == np.arange(single.shape[1])).astype(np.float64)
        # Pseudo-counts as if the genes were independent: dependencies have to be earned.
        prior = single[:, None, :, None] * single[None, :, None, :]
        joint = (np.einsum("nia,njb->ijab", hot, hot) + smoothing * prior) / (n + smoothing)
        with np.errstate(divide="ignore", invalid="ignore"):
            information = np.where(joint > 0, joint * np.log(joint / prior), 0.0).sum(axis=(2, 3))
        information = 0.5 * (information + information.T)
        np.fill_diagonal(information, 0.0)
        # The solver takes 0 for a missing edge: weights are shifted to be positive, the most informative smallest.
        weights = information.max() - information + 1.0
        np.fill_diagonal(weights, 0.0)
        edges = minimum_spanning_tree(weights)
        order, parent = breadth_first_order(edges, 0, directed=False)
        parent = np.where(np.arange(d) == 0, -1, parent)
        given = np.maximum(parent, 0)
        conditional = joint[given, np.arange(d)]
        totals = conditional.sum(axis=2, keepdims=True)
        conditional = np.divide(conditional, totals, out=np.zeros_like(conditional), where=totals > 0)
        return cls(order, parent, single[0], conditional)

    def log_probability(self, rows: Genes) -> Floats:
        """Return the root's term and the sum over all others given their parents."""
        rest = self.order[1:]
        chances = self.conditional[rest, rows[:, self.parent[rest]], rows[:, rest]]
        return np.asarray(np.log(self.root[rows[:, self.order[0]]]) + np.log(chances).sum(axis=1))

    def sample(self, n: int, rng: np.random.Generator) -> Genes:
        """Return rows drawn from the root outwards."""
        rows = np.zeros((n, len(self.order)), dtype=np.int64)
        chance = rng.random((n, len(self.order)))
        first = self.order[0]
        rows[:, first] = _invert(self.root.cumsum(), chance[:, first])
        for gene in self.order[1:]:
            steps = self.conditional[gene].cumsum(axis=1)[rows[:, self.parent[gene]]]
            rows[:, gene] = _invert(steps, chance[:, gene])
        return rows


def _invert(steps: Floats, chance: Floats) -> Genes:
    """Return the first value whose cumulative probability, along the last axis, exceeds a uniform number."""
    return np.asarray((steps <= (chance * steps[..., -1])[..., None]).sum(axis=-1))
