import itertools

import numpy as np
import pytest
from archcast import History, get_space, make_searcher
from archcast.searchers.gene_models import Independent, Tree

CARDINALITIES = np.array([2, 3, 4, 2])
ALL = np.array(list(itertools.product(*[range(c) for c in CARDINALITIES])))


def dependent_rows(n=400, seed=0):
    """Gene 2 mostly follows gene 1, gene 3 is gene 0; the pairs know nothing of each other."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, CARDINALITIES, size=(n, 4))
    rows[:, 2] = np.where(rng.random(n) < 0.9, rows[:, 1], rows[:, 2])
    rows[:, 3] = rows[:, 0]
    return rows


@pytest.mark.parametrize("model", [Independent, Tree])
def test_probabilities_sum_to_one_and_samples_follow_them(model):
    learned = model.learn(dependent_rows(), CARDINALITIES, 1.0)
    probabilities = np.exp(learned.log_probability(ALL))
    assert probabilities.sum() == pytest.approx(1.0)
    assert (probabilities > 0).all()
    samples = learned.sample(40_000, np.random.default_rng(1))
    index = np.ravel_multi_index(samples.T, CARDINALITIES)
    np.testing.assert_allclose(np.bincount(index, minlength=len(ALL)) / 40_000, probabilities, atol=0.01)


def test_independent_frequencies_with_pseudo_counts():
    rows = np.array([[0, 0, 3, 1], [0, 2, 3, 1], [1, 2, 3, 1]])
    chances = Independent.learn(rows, CARDINALITIES, smoothing=1.0).probabilities
    np.testing.assert_allclose(chances[0, :2], [2.5 / 4, 1.5 / 4])
    np.testing.assert_allclose(chances[1, :3], [(1 + 1 / 3) / 4, (1 / 3) / 4, (2 + 1 / 3) / 4])
    assert (chances[0, 2:] == 0).all()


def test_moved_probabilities_are_a_weighted_mean_and_never_die_out():
    start = Independent.uniform(CARDINALITIES)
    moved = start.moved(np.array([[0, 1, 2, 0], [0, 1, 3, 0]]), rate=0.5).probabilities
    np.testing.assert_allclose(moved[1, :3], [1 / 6, 2 / 3, 1 / 6])
    for _ in range(200):
        start = start.moved(np.array([[0, 0, 0, 0]]), rate=0.5)
    assert start.probabilities[0, 1] == pytest.approx(0.005, rel=0.02)
    np.testing.assert_allclose(start.probabilities.sum(axis=1), 1)


def test_tree_is_the_most_likely_of_all_trees():
    """Brute force over all 16 labelled trees of four genes: none has a larger sum of mutual information."""
    rows = dependent_rows(200, seed=3)
    learned = Tree.learn(rows, CARDINALITIES, smoothing=1e-9)
    edges = {frozenset((j, int(p))) for j, p in enumerate(learned.parent) if p >= 0}

    def information(i, j):
        joint = np.zeros((CARDINALITIES[i], CARDINALITIES[j]))
        np.add.at(joint, (rows[:, i], rows[:, j]), 1 / len(rows))
        outer = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
        return (joint[joint > 0] * np.log(joint[joint > 0] / outer[joint > 0])).sum()

    def connected(tree):
        reached = {0}
        for _ in range(4):
            reached |= {node for edge in tree if edge & reached for node in edge}
        return len(reached) == 4

    pairs = [frozenset(pair) for pair in itertools.combinations(range(4), 2)]
    totals = {
        tree: sum(information(*sorted(edge)) for edge in tree)
        for tree in itertools.combinations(pairs, 3)
        if connected(tree)
    }
    assert len(totals) == 16
    assert connected(edges)
    assert sum(information(*sorted(edge)) for edge in edges) == pytest.approx(max(totals.values()))
    assert {frozenset((1, 2)), frozenset((0, 3))} <= edges


def test_tree_explains_dependent_genes_better_than_independence():
    rows, fresh = dependent_rows(100), dependent_rows(500, seed=5)
    tree, single = (model.learn(rows, CARDINALITIES, 1.0) for model in (Tree, Independent))
    assert tree.log_probability(fresh).mean() > single.log_probability(fresh).mean() + 0.5


@pytest.mark.parametrize("name", ["umda", "pbil", "tree_eda"])
def test_samples_resemble_the_best(name):
    space = get_space("nasbench201")
    rows = space.sample(60, seed=0, canonical=True)
    history = History.start(space).tell(rows, (rows.genotypes == 3).sum(axis=1) + np.arange(60) * 1e-6)
    asked = make_searcher(name).ask(history, 30)
    assert (asked.genotypes == 3).mean() > (space.enumerate().genotypes == 3).mean() + 0.08


def test_small_and_large_spaces_are_sampled_from_the_same_distribution(monkeypatch):
    """Exact sampling from all unseen rows against drawing rows and rejecting: gene frequencies agree."""
    from archcast.searchers import estimation

    space = get_space("nasbench201")
    rows = space.sample(60, seed=0, canonical=True)
    history = History.start(space).tell(rows, (rows.genotypes == 3).sum(axis=1) + np.arange(60) * 1e-6)
    searcher = make_searcher("umda")
    whole = np.concatenate([searcher.ask(history, 1, seed=s).genotypes for s in range(150)])
    monkeypatch.setattr(estimation, "is_whole", lambda history: False)
    drawn = np.concatenate([searcher.ask(history, 1, seed=s).genotypes for s in range(150)])
    for gene in range(space.dimension):
        frequencies = [np.bincount(part[:, gene], minlength=5) / 150 for part in (whole, drawn)]
        np.testing.assert_allclose(*frequencies, atol=0.18)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("umda", {"best": 1.5}, "best must be a number between 0 and 1, got 1.5"),
        ("tree_eda", {"smoothing": 0}, "smoothing must be a number of at least"),
        ("pbil", {"rate": -1}, "rate must be a number between 0 and 1, got -1"),
        ("pbil", {"generation": 0}, "generation must be an integer of at least 1, got 0"),
    ],
)
def test_bad_parameters_are_named(name, parameters, message):
    with pytest.raises(Exception, match=message):
        make_searcher(name, **parameters).ask(History.start(get_space("nasbench201")))
