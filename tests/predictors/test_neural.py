"""Graph networks and perceptrons as predictors, beyond what the conformance suite asks of all."""

import sys

import archcast as ac
import numpy as np
import pytest
from archcast.errors import InvalidDataError
from archcast.spaces import get_space
from scipy.stats import kendalltau

torch = pytest.importorskip("torch")

from archcast.encoders.neural import pretraining  # noqa: E402
from archcast.encoders.neural.network import GraphNetwork  # noqa: E402
from archcast.encoders.neural.transformer import _relations  # noqa: E402
from archcast.predictors.neural import ensemble, perceptron, training  # noqa: E402

SPACE = get_space("nasbench201")
TINY = {"width": 8, "depth": 2, "n_members": 2, "steps": 20, "pretrain": False}
KINDS = ("gin", "transformer")


def worth(architectures):
    """A metric that depends on what is computed alone, so that isomorphic architectures have the same."""
    graphs = SPACE.to_graphs(architectures).reduce()
    size = np.array([0.0, 0.3, 0.6, 1.0, 0.1, 0.0, 0.0])[graphs.operations] * graphs.mask
    return size.sum(axis=1) + 0.3 * graphs.adjacency.sum(axis=(1, 2))


TRAIN, TEST = SPACE.sample(60, seed=1), SPACE.sample(100, seed=2)


@pytest.mark.parametrize("kind", KINDS)
def test_isomorphic_architectures_have_the_same_forecast(kind):
    sample = SPACE.sample(2000, seed=3)
    _, first, key = np.unique(SPACE.canonical(sample.genotypes), return_index=True, return_inverse=True)
    rows = np.flatnonzero(np.bincount(key)[key] > 2)[:60]
    predictor = ac.make_predictor("gin", network=kind, **TINY).fit(TRAIN, worth(TRAIN))
    np.testing.assert_allclose(predictor.predict(sample[rows]), predictor.predict(sample[first[key[rows]]]), rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_unused_slots_and_the_numbering_of_nodes_do_not_matter(kind):
    generator = torch.Generator().manual_seed(0)
    network = GraphNetwork(kind, 2, 5, 8, 2, generator).double()
    nodes = torch.rand(2, 1, 4, 5, generator=generator, dtype=torch.float64)
    edges = torch.zeros(2, 1, 4, 4, dtype=torch.float64)
    for i, j in ((0, 1), (0, 2), (1, 3), (2, 3)):
        edges[:, :, i, j] = 1
    mask = torch.ones(2, 1, 4, dtype=torch.float64)
    wanted = network(nodes, edges, mask)
    order = [0, 2, 1, 3]
    swapped = network(nodes[:, :, order], edges[:, :, order][..., order], mask)
    torch.testing.assert_close(swapped, wanted)
    padded = [torch.nn.functional.pad(nodes, (0, 0, 0, 2)), torch.nn.functional.pad(edges, (0, 2, 0, 2))]
    state = network.nodes(*padded, torch.nn.functional.pad(mask, (0, 2)))
    torch.testing.assert_close(state[:, :, :4], network.nodes(nodes, edges, mask))
    assert (state[:, :, 4:] == 0).all()


def test_attention_sees_paths_alone():
    edges = torch.zeros(1, 1, 4, 4)
    edges[..., 0, 1] = edges[..., 1, 2] = edges[..., 0, 3] = 1
    relations = _relations(edges)[0, 0]
    assert relations[0, 2].tolist() == [0, 0, 0, 0, 1]  # further descendant
    assert relations[2, 0].tolist() == [0, 0, 0, 1, 0]  # further ancestor
    assert relations[0, 1].tolist() == [0, 0, 1, 0, 0]  # child
    assert relations[1, 0].tolist() == [0, 1, 0, 0, 0]  # parent
    assert relations[3, 3].tolist() == [1, 0, 0, 0, 0]
    assert relations[1, 3].tolist() == [0, 0, 0, 0, 0]  # on no path together
    network = GraphNetwork("transformer", 1, 3, 8, 1, torch.Generator().manual_seed(0))
    nodes = torch.rand(1, 1, 4, 3)
    before = network.nodes(nodes, edges, torch.ones(1, 1, 4))
    nodes[0, 0, 3] += 1
    after = network.nodes(nodes, edges, torch.ones(1, 1, 4))
    torch.testing.assert_close(after[..., 1:3, :], before[..., 1:3, :])
    assert not torch.allclose(after[..., 0, :], before[..., 0, :])


def test_members_are_what_they_would_be_alone():
    """Stacked members do not mix: the gradient of one member's loss is zero in all others."""
    network = GraphNetwork("gin", 3, 4, 8, 2, torch.Generator().manual_seed(0))
    out = network(torch.rand(3, 5, 6, 4), torch.rand(3, 5, 6, 6).triu(1).round(), torch.ones(3, 5, 6))
    out[1].sum().backward()
    for parameter in network.parameters():
        if parameter.grad is not None:
            assert (parameter.grad[[0, 2]] == 0).all()
    assert network.embed.weight.grad is not None


def test_members_see_their_own_observations_alone():
    parts = [np.array([0, 1, 2]), np.array([3, 4, 5, 6])]
    batches = training._Batches(parts, 2, np.random.default_rng(0))
    drawn = np.stack([batches.draw() for _ in range(6)])
    assert drawn.shape == (6, 2, 2)
    assert set(drawn[:, 0].ravel()) == {0, 1, 2}
    assert set(drawn[:, 1].ravel()) == {3, 4, 5, 6}
    assert sorted(drawn[:2, 1].ravel()) == [3, 4, 5, 6]  # all once before any comes again


def test_other_encodings_and_extras_join_the_graph():
    y = worth(TRAIN) + 1
    early = np.sin(np.arange(60))
    predictor = ac.make_predictor("gin@statistics+graph", **{**TINY, "steps": 60}).fit(
        TRAIN, y + 3 * early, info={"early": early}
    )
    still = predictor.predict(TEST, info={"early": np.zeros(100)})
    moved = predictor.predict(TEST, info={"early": np.full(100, 0.8)})
    assert (moved > still).mean() > 0.9


def test_without_the_graph_a_perceptron_reads_the_encoding():
    predictor = ac.make_predictor("gin@operations", **{**TINY, "steps": 60}).fit(TRAIN, worth(TRAIN))
    assert kendalltau(predictor.predict(TEST), worth(TEST))[0] > 0.5


def test_pretraining_is_remembered_seeded_and_starts_every_member(monkeypatch):
    pretraining._memory.clear()
    parameters = {**TINY, "pretrain": 64, "pretrain_steps": 5, "steps": 1, "learning_rate": 1e-9}
    first = ac.make_predictor("gin", **parameters).fit(TRAIN, worth(TRAIN))
    (weights,) = pretraining._memory.values()
    for name, value in weights.items():
        got = first._weights[f"trunk.{name}"]
        np.testing.assert_allclose(got, np.broadcast_to(value, got.shape), atol=1e-6)
    monkeypatch.setattr(pretraining.Pretraining, "_train", None)  # would fail if it were called
    again = ac.make_predictor("gin", **parameters).fit(TRAIN, worth(TRAIN))
    np.testing.assert_array_equal(again.predict(TEST), first.predict(TEST))


def test_pretraining_learns_what_it_is_asked():
    """More steps of it leave less to tell from the embedding of architectures that were not in the sample."""
    sample = SPACE.sample(200, seed=7)
    properties, weights = pretraining.known_properties(sample)
    unexplained = []
    for steps in (1, 150):
        encoder = ac.make_encoder("gnn", width=16, n_architectures=256, steps=steps).fit(sample)
        embedding = np.column_stack([encoder.transform(sample), np.ones(200)])
        fitted = embedding[:150]
        coefficients = np.linalg.lstsq(fitted.T @ fitted + np.eye(17), fitted.T @ properties[:150], rcond=None)[0]
        wrong = (properties[150:] - embedding[150:] @ coefficients) ** 2
        unexplained.append((wrong * weights).sum(axis=1).mean())
    assert unexplained[1] < 0.95 * unexplained[0]


def test_known_properties_weigh_each_kind_alike():
    properties, weights = pretraining.known_properties(SPACE.sample(500, seed=0))
    assert np.isclose((properties.var(axis=0) * weights).sum(), 1, atol=0.05)
    assert np.abs(properties.mean(axis=0)).max() < 0.1


def test_threads_of_the_process_stay():
    before = torch.get_num_threads()
    ac.make_predictor("mlp@adjacency", n_jobs=before + 1, steps=2).fit(TRAIN, worth(TRAIN)).predict(TEST)
    assert torch.get_num_threads() == before


def test_state_of_the_random_numbers_stays():
    torch.manual_seed(3)
    wanted = torch.rand(3)
    torch.manual_seed(3)
    ac.make_predictor("gin", **{**TINY, "pretrain": 16, "pretrain_steps": 2}).fit(TRAIN, worth(TRAIN))
    torch.testing.assert_close(torch.rand(3), wanted)


@pytest.mark.parametrize("space", ["nasbench101", "darts", "nasbench_nlp", "mnasnet_chain", "nasbench_graph"])
def test_reads_every_kind_of_space(space):
    space = get_space(space)
    batch = space.sample(40, seed=0)
    y = np.random.default_rng(0).normal(size=40)
    predictor = ac.make_predictor("graph_transformer", **{**TINY, "pretrain": 16, "pretrain_steps": 2, "steps": 3})
    mean, std = predictor.fit(batch, y).predict(batch, return_std=True)
    assert np.isfinite(mean).all()
    assert (std > 0).all()
    assert mean.std() > 0


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"width": 6}, "width must be a multiple of 4, got 6"),
        ({"n_members": 1}, "n_members must be a whole number from 2, got 1"),
        ({"loss": "rank"}, "loss must be one of mse, hinge, .*, got 'rank'"),
        ({"network": "gcn"}, "network must be one of gin, transformer, got 'gcn'"),
        ({"pretrain": -1}, "pretrain must be a whole number from 0, got -1"),
        ({"device": "tpu"}, "device must be auto or one of cpu.*, got 'tpu'"),
        ({"learning_rate": 0}, "learning_rate must be a number above 0, got 0"),
    ],
)
def test_bad_parameters(parameters, said):
    with pytest.raises(InvalidDataError, match=said):
        ac.make_predictor("gin", **{**TINY, **parameters}).fit(TRAIN, worth(TRAIN))


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ac.errors.MissingDependencyError, match="a neural network needs the package torch: pip install"):
        ac.make_predictor("gin").fit(TRAIN, worth(TRAIN))


def test_noise_and_disagreement_add_up_to_the_error_of_the_mean():
    """Members that err by the same noise and by parts of their own: the deviation is what their mean errs by."""
    rng = np.random.default_rng(0)
    n, own, noise = 4000, 0.4, 0.7
    members = rng.normal(0, own, (5, n))
    target = rng.normal(0, noise, n)
    outside = ensemble._left_out(n, 5, rng)
    deviation = np.sqrt(members.var(axis=0, ddof=1).mean() + ensemble._noise(target, members, outside) ** 2)
    assert deviation == pytest.approx(np.sqrt(noise**2 + own**2 / 5), rel=0.03)


def test_each_member_leaves_out_another_tenth():
    outside = ensemble._left_out(156, 5, np.random.default_rng(0))
    assert outside.shape == (5, 156)
    assert set(outside.sum(axis=1)) <= {15, 16}
    assert outside.sum(axis=0).max() == 1
    assert not ensemble._left_out(4, 5, np.random.default_rng(0)).any()


def test_few_labels_are_not_learned_by_heart():
    """On the paths a perceptron forecasts at least as well as ridge regression, whose penalty the data choose."""
    table = ac.load_table("mnist1d_nasbench201")
    y = table.values("mnist1d/test_accuracy", epoch=10)
    train, test = table.split(78, seed=0)
    taus = {}
    for name in ("ridge@path", "bananas"):
        predictor = ac.make_predictor(name).fit(table.architectures[train], y[train])
        taus[name] = kendalltau(predictor.predict(table.architectures[test[:1000]]), y[test[:1000]])[0]
    assert taus["bananas"] > taus["ridge@path"] - 0.02
    assert predictor.penalty_ in perceptron.PENALTIES


def test_what_never_varied_is_not_read():
    rng = np.random.default_rng(0)
    features = np.column_stack([rng.integers(0, 2, (40, 3)), np.ones(40)]).astype(float)
    predictor = ac.make_predictor("mlp", width=8, steps=20).fit(features, features[:, 0] + rng.normal(0, 0.1, 40))
    changed = features.copy()
    changed[:, 3] = 0
    np.testing.assert_array_equal(predictor.predict(changed), predictor.predict(features))
    assert not np.allclose(predictor.predict(1 - features), predictor.predict(features))


def test_where_nothing_varies_the_mean_is_all_there_is():
    features = np.ones((12, 3))
    mean, std = (
        ac.make_predictor("mlp", width=8, steps=20).fit(features, np.arange(12.0)).predict(features, return_std=True)
    )
    np.testing.assert_allclose(mean, mean[0])
    assert np.isfinite(std).all()
    assert 0 < mean[0] < 11


def test_a_penalty_holds_the_weights_back():
    spreads = []
    for penalty in (0.0, 1.0, 1000.0):
        predictor = ac.make_predictor("mlp@operations", penalty=penalty, width=8, steps=60).fit(TRAIN, worth(TRAIN))
        assert predictor.penalty_ == penalty
        spreads.append(predictor.predict(TEST).std())
    assert spreads[0] > spreads[1] > 1.2 * spreads[2]
    with pytest.raises(InvalidDataError, match="penalty must be a number"):
        ac.make_predictor("mlp@operations", penalty=-1.0).fit(TRAIN, worth(TRAIN))


def test_the_ensemble_that_errs_least_on_what_it_left_out_is_kept():
    target, outside = np.zeros(4), np.array([[True, False, False, False], [False, True, False, False]])
    ensembles = np.zeros((3, 2, 4))
    ensembles[0][outside] = 1.0
    ensembles[1][outside] = 0.5
    ensembles[2][outside] = 2.0
    ensembles[1][~outside] = 9.0  # seen in training: no matter
    assert ensemble._least_error(target, ensembles, outside) == 1


def test_each_member_has_its_own_penalty():
    """Only the penalised of two equal members shrinks when there is nothing to learn."""
    network = torch.nn.Module()
    network.layer = training.StackedLinear(2, 3, 1, torch.Generator().manual_seed(0))
    network.forward = lambda features: 0 * network.layer(features)[..., 0]
    before = network.layer.weight.detach().clone()
    recipe = training.Recipe(5, 4, 0.01, 0.0, (0.0, 1.0), "mse", 0.0)
    parts = [np.arange(8), np.arange(8)]
    inputs = (np.ones((8, 3), dtype=np.float32),)
    training.train(network, inputs, np.zeros(8), parts, recipe, np.random.default_rng(0), torch.device("cpu"))
    torch.testing.assert_close(network.layer.weight[0], before[0])
    assert (network.layer.weight[1].abs() < before[1].abs()).all()


def test_estimates_count_the_work():
    def seconds(name, n=50, **parameters):
        predictor = ac.make_predictor(name, **parameters)
        predictor.columns_ = predictor._new_encoder().fit(TRAIN).columns(SPACE)
        predictor.encoder_, predictor.space_ = predictor._new_encoder().fit(TRAIN), SPACE
        return predictor._seconds(n, len(predictor.columns_))

    assert seconds("gin") < seconds("graph_transformer")
    assert seconds("gin", pretrain=False) < seconds("gin")
    assert seconds("gin", n=50) < seconds("gin", n=100) < seconds("gin", n=128) == seconds("gin", n=10_000)
    assert seconds("bananas", penalty=0.3) < seconds("bananas") < seconds("bananas", n_members=10)
    assert seconds("deep_kernel", steps=50) < seconds("deep_kernel")


def test_auto_takes_networks_within_its_budget():
    network = ac.make_predictor("mlp@operations", width=8, n_members=2, steps=5, penalty=0.3)
    candidates = ("ridge@operations", network, ac.make_predictor("mlp@operations", steps=100_000))
    y = worth(TRAIN) + np.random.default_rng(0).normal(0, 0.1, len(TRAIN))
    _, within, beyond, _ = ac.make_predictor("auto", candidates=candidates, budget_s=5.0).fit(TRAIN, y).report_
    assert np.isfinite(within["kendall_tau"])
    assert 0 < within["estimated_seconds"] < 1
    assert beyond["note"].startswith("skipped")


@pytest.mark.parametrize("name", ["gin", "mlp@operations"])
def test_left_out_observations_are_not_seen(name):
    quick = {"width": 8, "steps": 60, "n_members": 2} | ({"pretrain": False} if name == "gin" else {"penalty": 0.2})
    predictor = ac.make_predictor(name, **quick).fit(TRAIN, worth(TRAIN))
    features = predictor.features(TRAIN)
    z = (worth(TRAIN) - worth(TRAIN).mean())[:, None] / worth(TRAIN).std()
    folds = np.arange(len(z)) % 4 + 7
    mean, std = predictor._left_out(features, z, folds)
    assert mean.shape == std.shape == z.shape
    assert (std > 0).all()
    assert kendalltau(mean[:, 0], z[:, 0])[0] > 0.4
    changed = np.where((folds == 8)[:, None], -z, z)
    again = predictor._left_out(features, changed, folds)[0]
    np.testing.assert_array_equal(again[folds == 8], mean[folds == 8])
    assert not np.allclose(again[folds == 9], mean[folds == 9])
