"""Whether one method is better than another: signed-rank tests with correction, and average ranks over problems.

The procedure is that of J. Demsar, Statistical comparisons of classifiers over multiple data sets, JMLR 7 (2006).
Everywhere lower scores are better, as with regrets.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from ..errors import InvalidDataError
from ._checks import finite_vector

ALPHA = 0.05


@dataclass(frozen=True)
class PairTest:
    """Two methods on the same blocks (seeds or tables).

    Parameters
    ----------
    better, worse : str
        Which one won more blocks (on a draw, the one with the lower mean, then the first given).
    wins, losses, ties : int
        Blocks in which `better` has the lower, the higher and the same score.
    difference : float
        The mean over blocks of the score of `worse` less that of `better`.
    p : float
        Two-sided p-value of the signed-rank test.
    p_holm : float
        The same, corrected by Holm for all pairs that were tested together.
    """

    better: str
    worse: str
    wins: int
    losses: int
    ties: int
    difference: float
    p: float
    p_holm: float

    @property
    def significant(self) -> bool:
        """Whether the corrected p-value is below 0.05."""
        return self.p_holm < ALPHA


@dataclass(frozen=True)
class RankTest:
    """Average ranks of some methods over blocks, and how far apart they must be to differ.

    Parameters
    ----------
    methods : tuple of str
        By increasing average rank: the best first.
    ranks : tuple of float
        The average rank of each; ties share their mean rank.
    blocks : int
        How many blocks were ranked.
    p : float
        Of Friedman's test that all methods are equal (chi-squared); NaN for two methods or a single block.
    critical_difference : float
        Methods whose average ranks differ by less are not told apart by Nemenyi's test at 0.05; NaN for one block.
    """

    methods: tuple[str, ...]
    ranks: tuple[float, ...]
    blocks: int
    p: float
    critical_difference: float

    def cliques(self) -> list[tuple[int, int]]:
        """Return the longest runs `(first, last)` of methods that are not told apart, positions in `methods`."""
        found: list[tuple[int, int]] = []
        for first, rank in enumerate(self.ranks):
            last = max(
                i for i, other in enumerate(self.ranks) if other - rank <= self.critical_difference or i == first
            )
            if last > first and (not found or last > found[-1][1]):
                found.append((first, last))
        return found


def wilcoxon_p(first: ArrayLike, second: ArrayLike) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test that paired scores differ by nothing.

    Zero differences are ranked and dropped (Pratt); without zeros and ties, and up to 50 pairs, the distribution is
    exact, otherwise it is the normal approximation with correction for ties. 1 where all differences are zero.

    References
    ----------
    F. Wilcoxon, Individual comparisons by ranking methods, Biometrics Bulletin 1 (1945);
    J. W. Pratt, Remarks on zeros and ties in the Wilcoxon signed rank procedures, JASA 54 (1959).

    Raises
    ------
    InvalidDataError
        If the lengths differ, there is none, or a score is not finite.
    """
    a, b = finite_vector("first", first), finite_vector("second", second)
    if len(a) != len(b) or not len(a):
        raise InvalidDataError(f"expected as many scores of both methods and at least one, got {len(a)} and {len(b)}")
    differences = a - b
    if not differences.any():
        return 1.0
    sizes = np.abs(differences)
    exact = len(sizes) <= 50 and len(np.unique(sizes)) == len(sizes) and (sizes > 0).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of small samples; the p-value says as much
        result = stats.wilcoxon(differences, zero_method="pratt", method="exact" if exact else "approx")
    return float(result.pvalue)


def holm(p_values: Sequence[float]) -> NDArray[np.float64]:
    """Return p-values corrected for being tested together, in their order.

    The i-th smallest of m is multiplied by `m - i + 1`, kept increasing and at most 1.

    References
    ----------
    S. Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6 (1979).
    """
    p = finite_vector("p_values", p_values)
    order = np.argsort(p, kind="stable")
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return corrected


def pairwise(scores: Mapping[str, ArrayLike]) -> list[PairTest]:
    """Test every pair of methods, most significant first.

    Parameters
    ----------
    scores : mapping of str to array `(b,)`
        One score a block, the same blocks for every method; lower is better.

    Raises
    ------
    InvalidDataError
        If the methods have different numbers of blocks, or a score is not finite.
    """
    matrix = _matrix(scores)
    pairs = list(combinations(range(len(scores)), 2))
    p_values = [wilcoxon_p(matrix[:, i], matrix[:, j]) for i, j in pairs]
    names = list(scores)
    tests = []
    for (i, j), p, corrected in zip(pairs, p_values, holm(p_values).tolist(), strict=True):
        gain = matrix[:, j] - matrix[:, i]
        wins, losses = int((gain > 0).sum()), int((gain < 0).sum())
        swap = (wins, gain.mean()) < (losses, -gain.mean())
        if swap:
            i, j, wins, losses, gain = j, i, losses, wins, -gain  # noqa: PLW2901
        ties = len(gain) - wins - losses
        tests.append(PairTest(names[i], names[j], wins, losses, ties, float(gain.mean()), p, corrected))
    return sorted(tests, key=lambda test: test.p)


def average_ranks(scores: Mapping[str, ArrayLike]) -> RankTest:
    """Rank the methods in every block, and average.

    Parameters
    ----------
    scores : mapping of str to array `(b,)`
        One score a block, the same blocks for every method; lower is better and gets rank 1.

    Raises
    ------
    InvalidDataError
        If there are fewer than two methods, different numbers of blocks, or a score is not finite.
    """
    matrix = _matrix(scores)
    blocks, count = matrix.shape
    if count < 2:
        raise InvalidDataError(f"expected at least 2 methods to rank, got {count}")
    ranks = stats.rankdata(matrix, axis=1).mean(axis=0)
    order = np.argsort(ranks, kind="stable")
    names = list(scores)
    constant = bool((matrix == matrix[:, :1]).all())
    testable = count > 2 and blocks > 1 and not constant
    return RankTest(
        tuple(names[i] for i in order),
        tuple(ranks[order].tolist()),
        blocks,
        float(stats.friedmanchisquare(*matrix.T).pvalue) if testable else float("nan"),
        critical_difference(count, blocks) if blocks > 1 else float("nan"),
    )


def critical_difference(methods: int, blocks: int, alpha: float = ALPHA) -> float:
    """Return Nemenyi's critical difference of average ranks: `q sqrt(k (k + 1) / (6 N))`.

    `q` is the upper `alpha` quantile of the studentized range of `k` methods (infinitely many degrees of freedom),
    divided by the square root of 2; `N` is the number of blocks.
    """
    quantile = float(stats.studentized_range.ppf(1 - alpha, methods, np.inf)) / np.sqrt(2)
    return float(quantile * np.sqrt(methods * (methods + 1) / (6 * blocks)))


def _matrix(scores: Mapping[str, ArrayLike]) -> NDArray[np.float64]:
    columns = [finite_vector(f"scores of {name!r}", values) for name, values in scores.items()]
    if len({len(column) for column in columns}) != 1 or not len(columns[0]):
        raise InvalidDataError(
            f"expected the same blocks for every method, got {[len(column) for column in columns]} scores"
        )
    return np.stack(columns, axis=1)
