"""What each design is, against its definition written out."""

import archcast as ac
import numpy as np
import pytest
from archcast.designs import DESIGNS, make_design
from archcast.designs.embedding import PriorProcess, embed
from archcast.designs.greedy import largest_reduction, largest_variance
from archcast.errors import InvalidDataError, UnknownNameError
from archcast.predictors.gaussian_process import GaussianProcess
from archcast.searchers.initial_design import beginning
from archcast.spaces import Architectures

SPACE = ac.get_space("nasbench201")


@pytest.fixture(scope="module")
def batch():
    return SPACE.sample(60, seed=5, canonical=True)


@pytest.fixture(scope="module")
def process(batch):
    return PriorProcess(embed(batch, "semantic"))


def posterior(K, chosen, noise):
    inside = K[np.ix_(chosen, chosen)] + noise * np.eye(len(chosen))
    return K - K[:, chosen] @ np.linalg.solve(inside, K[chosen])


def test_prior_is_that_of_the_gaussian_process(batch, process):
    model = GaussianProcess("semantic").fit(batch, np.arange(60.0))
    kernel = model.kernels_[0]
    expected = kernel.covariance(kernel.prior_mean, model._X, model._X)
    np.testing.assert_allclose(process.covariance(slice(None)), expected, atol=1e-9)
    np.testing.assert_allclose(process.variance(), np.diag(expected))


def test_points_are_at_unit_mean_squared_distance(batch):
    points = embed(batch, "adjacency+path")
    assert 2 * points.var(axis=0).sum() == pytest.approx(1)
    assert embed(batch[:1], "semantic").tolist() == [[0.0]]


def test_largest_determinant_step_by_step(process):
    K = process.covariance(slice(None))
    chosen = largest_variance(process, 1e-8, 8).tolist()
    for step in range(1, 8):
        before = chosen[:step]
        others = [i for i in range(60) if i not in before]
        with_each = [np.linalg.slogdet(K[np.ix_([*before, i], [*before, i])])[1] for i in others]
        assert others[int(np.argmax(with_each))] == chosen[step]


def test_largest_reduction_step_by_step(process):
    K, noise = process.covariance(slice(None)), process.noise
    weights = np.arange(60.0) % 4
    chosen = largest_reduction(process, noise, 8, weights).tolist()
    for step in range(8):
        after = np.full(60, np.inf)
        for i in set(range(60)) - set(chosen[:step]):
            after[i] = weights @ np.diag(posterior(K, [*chosen[:step], i], noise))
        assert int(np.argmin(after)) == chosen[step]


@pytest.mark.parametrize("name", ["kmeans", "variance", "stratified"])
def test_twins_have_weight(name):
    """A class of many members is chosen first where it outweighs all the others."""
    classes = SPACE.sample(30, seed=4, canonical=True)
    heavy = int(np.argsort(SPACE.complexity(classes)["params"], kind="stable")[15])
    pool = Architectures.concatenate([classes, *[classes[[heavy]]] * 2000])
    assert all(make_design(name).choose(pool, 1, seed).keys() == classes.keys()[heavy] for seed in range(3))


def test_greedy_choices_are_the_beginning_of_larger_ones(batch):
    for name in ("dpp", "variance", "variance_largest", "max_min"):
        few, many = (make_design(name).rows(batch, n, seed=1) for n in (6, 12))
        np.testing.assert_array_equal(few, many[:6])


def test_covers_better_than_chance(batch):
    """What each design is for: the worst distance, the determinant, the mean variance, the mean distance."""
    points, K = embed(batch, "semantic"), PriorProcess(embed(batch, "semantic")).covariance(slice(None))
    noise = PriorProcess(points).noise

    def nearest(rows):
        return np.min([((points - points[row]) ** 2).sum(axis=1) for row in rows], axis=0)

    def determinant(rows):
        return -np.linalg.slogdet(K[np.ix_(rows, rows)])[1]

    goals = {
        "max_min": lambda rows: nearest(rows).max(),
        "dpp": determinant,
        "variance_largest": determinant,
        "variance": lambda rows: np.diag(posterior(K, rows, noise)).mean(),
        "kmeans": lambda rows: nearest(rows).mean(),
    }
    for name, goal in goals.items():
        chance = [goal(make_design("random").rows(batch, 10, seed)) for seed in range(20)]
        assert all(goal(make_design(name).rows(batch, 10, seed)) < np.quantile(chance, 0.1) for seed in range(3)), name


def test_one_of_each_stratum(batch):
    params = SPACE.complexity(batch)["params"]
    rank = np.argsort(np.argsort(params + 1e-9 * np.arange(60)))
    chosen = make_design("stratified", by=lambda a: SPACE.complexity(a)["params"] + 1e-9 * row_of(a, batch))
    rows = chosen.rows(batch, 12, seed=2)
    np.testing.assert_array_equal(np.sort(rank[rows] // 5), np.arange(12))
    spread = [np.quantile(params[make_design("stratified").rows(batch, 6, seed)], [0, 1]) for seed in range(5)]
    assert all(low < np.median(params) < high for low, high in spread)


def row_of(architectures, batch):
    rows = {genotype: row for row, genotype in enumerate(map(tuple, batch.genotypes.tolist()))}
    return np.array([rows[tuple(genotype)] for genotype in architectures.genotypes.tolist()])


def test_alike_encodings_are_no_obstacle():
    """Distinct architectures that an encoder cannot tell apart: all of them can still be chosen."""
    names = [name for name in DESIGNS.names() if name != "random"]
    pool = SPACE.sample(300, seed=0, canonical=True)
    counts = ac.make_encoder("operations").transform(pool)
    _, group, size = np.unique(counts, axis=0, return_inverse=True, return_counts=True)
    alike = pool[np.flatnonzero(group == np.argmax(size))]
    assert len(alike) > 4
    for name in names:
        assert len(np.unique(make_design(f"{name}@operations").rows(alike, len(alike)))) == len(alike)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: make_design("k_means"), "did you mean 'kmeans'"),
        (lambda: make_design("kmeans@semantics"), "did you mean 'semantic'"),
        (lambda: make_design("random@semantic"), "no parameter 'encoder'"),
        (lambda: make_design("kmeans@path", encoder="path"), "names its encoder"),
        (lambda: ac.design(SPACE, 3, name="kmeans", candidates=0), "candidates must be"),
        (lambda: ac.design(SPACE, 3, name="kmeans", encoder=3), "encoder must be a name or an Encoder, got int"),
        (lambda: ac.design(SPACE, 3, name="variance", criterion="mean"), "average, largest, got 'mean'"),
        (lambda: ac.design(SPACE, 3, name="stratified", by="size"), "one of params, flops, .* got 'size'"),
        (lambda: ac.design(SPACE, 3, name="stratified", by=lambda a: [1.0]), r"got shape \(1,\)"),
        (lambda: ac.design(SPACE, 3, name="stratified", by=lambda a: [np.nan] * len(a)), "finite numbers, got nan"),
        (lambda: ac.design(["a"], 1), "expected Architectures"),
        (lambda: ac.make_searcher("bo", initial_design=7).ask(ac.History.start(SPACE)), "name or a Design, got int"),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises((InvalidDataError, UnknownNameError), match=message):
        make()


# ---- where designs are used -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bo", "hybrid", "parego", "ehvi"])
def test_a_search_begins_with_its_design(name):
    design = make_design("variance", candidates=300, reference=50)
    searcher = ac.make_searcher(name, initial=4, initial_design=design)
    at_once = searcher.ask(ac.History.start(SPACE), 4, seed=3)
    history = ac.History.start(SPACE)
    for _ in range(4):  # one by one, untold, it is the same design
        history = history.ask(searcher.ask(history, 1, seed=3))
    assert history.architectures == at_once
    assert at_once != ac.make_searcher(name, initial=4).ask(ac.History.start(SPACE), 4, seed=3)
    more = searcher.ask(history, 2, seed=3)  # nothing was told: random ones follow
    assert not np.isin(more.keys(), history.keys).any()


def test_a_small_pool_is_a_smaller_design():
    pool = SPACE.sample(3, seed=1, canonical=True)
    history = ac.History.start(SPACE, pool=pool)
    found = beginning("kmeans", 10, history, 5, np.random.default_rng((0, 0)))
    assert sorted(found.strings()) == sorted(pool.strings())


def test_random_beginnings_are_as_they_were():
    plain = ac.make_searcher("random").ask(ac.History.start(SPACE), 3, seed=2)
    assert ac.make_searcher("bo").ask(ac.History.start(SPACE), 3, seed=2) == plain


def test_comparisons_train_on_designs():
    from archcast.evaluation import ComparisonPlan

    table, arguments = ac.load_table("nasbench201"), ("cifar10/test_accuracy",)
    design = make_design("kmeans", candidates=200)
    plan = ComparisonPlan(table, *arguments, predictors=["constant"], n=[10], seeds=2, n_test=50, design=design)
    draw = plan.draw(10, 1)
    np.testing.assert_array_equal(draw.train, design.rows(table.architectures, 10, 1))
    assert not np.isin(draw.test, draw.train).any()
    assert {record["design"] for record in plan.run().records} == {"ClusterDesign"}
    plain = ComparisonPlan(table, *arguments, predictors=["constant"], n=[10], seeds=1)
    np.testing.assert_array_equal(plain.draw(10, 0).train, table.split(10, 0)[0])
    twins = ComparisonPlan(table, *arguments, n=[10], design=design, avoid_twins=True)
    assert twins.draw(10, 1).leaked == 0
    with pytest.raises(InvalidDataError, match=r"6466 canonically distinct .* got 7000"):
        ComparisonPlan(table, *arguments, n=[7000], design="random")
    with pytest.raises(UnknownNameError, match="unknown design 'nothing'"):
        ComparisonPlan(table, *arguments, design="nothing")
