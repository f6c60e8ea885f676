"""Each proxy against its paper's definition, computed naively on small networks."""

import math

import archcast as ac
import numpy as np
import pytest
import torch
from archcast.errors import InvalidDataError, UnknownNameError
from archcast.trainers.proxies import PROXIES, register_proxy, score_architectures, score_network
from torch import nn

N, CLASSES = 8, 3


class Small(nn.Module):
    """Convolutions with and without groups and bias, a normalisation, rectifiers, a branch, a classifier."""

    def __init__(self, inplace=False):
        super().__init__()
        self.first = nn.Conv1d(2, 4, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm1d(4)
        self.relu = nn.ReLU(inplace=inplace)
        self.second = nn.Conv1d(4, 4, 3, stride=2, padding=1, groups=2)
        self.last = nn.ReLU(inplace=inplace)
        self.side = nn.Conv1d(4, 4, 1, stride=2)
        self.head = nn.Linear(4, CLASSES)

    def forward(self, x):
        hidden = self.relu(self.norm(self.first(x)))
        hidden = self.last(self.second(hidden)) + self.side(hidden)
        return self.head(hidden.mean(-1))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Small().double()


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(N, 2, 6, generator=generator, dtype=torch.float64)
    return inputs, torch.tensor([0, 1, 2, 0, 1, 2, 0, 0])


def score(name, network, data, **options):
    return score_network(network, *data, [name], **options)[name]


def weights(network):
    return [network.first.weight, network.second.weight, network.side.weight, network.head.weight]


def loss_of(network, data):
    return nn.functional.cross_entropy(network(data[0]), data[1])


def loss_with(network, data, flat):
    """Return the loss as a function of all weights in one vector."""
    names = ["first.weight", "second.weight", "side.weight", "head.weight"]
    sizes = [weight.numel() for weight in weights(network)]
    parts = {
        name: part.reshape(weight.shape)
        for name, part, weight in zip(names, flat.split(sizes), weights(network), strict=True)
    }
    return nn.functional.cross_entropy(torch.func.functional_call(network, parts, (data[0],)), data[1])


def flat_weights(network):
    return torch.cat([weight.detach().reshape(-1) for weight in weights(network)])


def numeric_gradient(network, data, step=1e-6):
    point = flat_weights(network)
    return torch.stack(
        [
            (loss_with(network, data, point + step * unit) - loss_with(network, data, point - step * unit)) / (2 * step)
            for unit in torch.eye(len(point), dtype=torch.float64)
        ]
    ).detach()


def test_grad_norm_sums_the_norm_of_each_layers_gradient(network, data):
    parts = numeric_gradient(network, data).split([weight.numel() for weight in weights(network)])
    expected = sum(math.sqrt(float((part**2).sum())) for part in parts)
    assert score("grad_norm", network, data) == pytest.approx(expected, rel=1e-5)


def test_snip_is_the_change_of_the_loss_when_a_weight_is_removed_to_first_order(network, data):
    expected = (numeric_gradient(network, data) * flat_weights(network)).abs().sum()
    assert score("snip", network, data) == pytest.approx(float(expected), rel=1e-5)


def test_grasp_is_the_hessian_gradient_product(network, data):
    point = flat_weights(network)
    hessian = torch.autograd.functional.hessian(lambda flat: loss_with(network, data, flat), point)
    gradient = torch.autograd.functional.jacobian(lambda flat: loss_with(network, data, flat), point)
    expected = -(point * (hessian @ gradient)).sum()
    assert abs(expected) > 1e-3
    assert score("grasp", network, data) == pytest.approx(float(expected), rel=1e-8)


def test_fisher_is_the_squared_change_when_a_channel_is_removed(network, data):
    kept = {}
    hidden = kept["first"] = network.first(data[0])
    hidden = network.relu(network.norm(hidden))
    kept["second"], kept["side"] = network.second(hidden), network.side(hidden)
    out = kept["head"] = network.head((network.last(kept["second"]) + kept["side"]).mean(-1))
    for value in kept.values():
        value.retain_grad()
    nn.functional.cross_entropy(out, data[1]).backward()
    expected = 0.0
    for value in kept.values():
        for channel in range(value.shape[1]):
            change = [float((value[n, channel] * value.grad[n, channel]).sum().detach()) for n in range(N)]
            expected += sum(c**2 for c in change) / (2 * N)
    assert score("fisher", network, data) == pytest.approx(expected, rel=1e-9)


def test_synflow_is_the_flow_through_each_layer(network, data):
    """In a network without biases every layer passes on the same flow: its absolute weights times the ones."""
    for layer in (network.second, network.side, network.head):
        nn.init.zeros_(layer.bias)
    with torch.no_grad():
        x = torch.ones(1, 2, 6, dtype=torch.float64)
        conv = nn.functional.conv1d
        hidden = conv(x, network.first.weight.abs(), padding=1)
        main = conv(hidden, network.second.weight.abs(), stride=2, padding=1, groups=2)
        side = conv(hidden, network.side.weight.abs(), stride=2)
        head = network.head.weight.abs()
        total = float((head @ (main + side).mean(-1)[0]).sum())
    # first and head carry everything, the two branches their shares
    assert score("synflow", network, data) == pytest.approx(3 * total, rel=1e-9)


def test_synflow_of_a_chain_is_a_product_of_matrices(data):
    torch.manual_seed(0)
    chain = nn.Sequential(
        nn.Linear(5, 4, bias=False), nn.ReLU(), nn.Linear(4, 6, bias=False), nn.Linear(6, 3, bias=False)
    )
    product = chain[3].weight.abs() @ chain[2].weight.abs() @ chain[0].weight.abs()
    inputs = torch.randn(4, 5)
    expected = 3 * float(product.detach().sum())
    assert score("synflow", chain, (inputs, torch.zeros(4).long())) == pytest.approx(expected, rel=1e-5)


def naive_jacobian(network, data):
    """Return the gradient of each example's summed outputs, one by one."""
    rows = []
    for n in range(N):
        inputs = data[0].clone().requires_grad_(True)
        outputs = network(inputs).sum()  # normalisation ties the examples of a batch together
        rows.append(torch.autograd.grad(outputs, inputs)[0][n].reshape(-1).numpy())
    return np.array(rows)


def correlation(a, b):
    a, b = a - a.mean(), b - b.mean()
    return (a * b).sum() / math.sqrt((a * a).sum() * (b * b).sum())


def test_jacob_cov_is_the_spectrum_of_the_correlations(network, data):
    rows = naive_jacobian(network, data)
    matrix = np.array([[correlation(a, b) for b in rows] for a in rows])
    expected = -sum(math.log(v + 1e-5) + 1 / (v + 1e-5) for v in np.linalg.eigvalsh(matrix).clip(0))
    assert score("jacob_cov", network, data) == pytest.approx(expected, rel=1e-6)


def test_jacob_cov_is_best_for_unrelated_examples():
    from archcast.trainers.proxies import jacobian

    rows = np.random.default_rng(0).normal(size=(6, 5000))
    independent = _spectrum_score(jacobian, rows)
    related = _spectrum_score(jacobian, rows + 2 * rows[:1])
    assert independent == pytest.approx(-6, abs=0.1)  # all eigenvalues 1
    assert related < independent


def _spectrum_score(jacobian, rows):
    class Fixed(nn.Module):
        def forward(self, x):
            return x * torch.as_tensor(rows)

    return jacobian.jacob_cov(Fixed(), torch.ones(rows.shape, dtype=torch.float64), None, None)


def test_epe_nas_looks_within_classes(network, data):
    rows = naive_jacobian(network, data)
    expected = 0.0
    for label in range(CLASSES):
        members = [row for row, target in zip(rows, data[1].tolist(), strict=True) if target == label]
        expected += abs(sum(math.log(abs(correlation(a, b)) + 1e-5) for a in members for b in members))
    assert score("epe_nas", network, data) == pytest.approx(expected, rel=1e-6)


def test_epe_nas_compares_classes_where_there_are_many():
    rows = np.random.default_rng(0).normal(size=(303, 7))

    class Fixed(nn.Module):
        def forward(self, x):
            return x * torch.as_tensor(rows)

    labels = np.arange(303) % 101
    scores = []
    for label in range(101):
        members = rows[labels == label]
        scores.append(sum(math.log(abs(correlation(a, b)) + 1e-5) for a in members for b in members) / 3)
    expected = sum(abs(scores[i] - scores[j]) for i in range(101) for j in range(i + 1, 101)) / 101
    found = PROXIES.factory("epe_nas")(
        Fixed(), torch.ones(rows.shape, dtype=torch.float64), torch.as_tensor(labels), None
    )
    assert found == pytest.approx(expected, rel=1e-9)


def test_naswot_counts_rectifiers_that_agree(network, data):
    with torch.no_grad():
        first = network.relu(network.norm(network.first(data[0])))
        second = network.last(network.second(first))
    codes = [(*(first[n].reshape(-1) > 0).tolist(), *(second[n].reshape(-1) > 0).tolist()) for n in range(N)]
    kernel = [[sum(a == b for a, b in zip(codes[i], codes[j], strict=True)) for j in range(N)] for i in range(N)]
    assert kernel[0][0] == 4 * 6 + 4 * 3
    expected = math.log(abs(np.linalg.det(np.array(kernel, dtype=float))))
    assert score("naswot", network, data) == pytest.approx(expected, rel=1e-9)


def test_naswot_without_rectifiers_or_with_equal_examples_is_undefined(network, data):
    assert math.isnan(score("naswot", nn.Sequential(nn.Flatten(), nn.Linear(12, 3)).double(), data))
    assert math.isnan(score("naswot", network, (data[0][:1].repeat(N, 1, 1), data[1])))


def test_zen_follows_its_algorithm_step_by_step(network, data):
    torch.manual_seed(7)
    expected = []
    for _ in range(32):
        w1, w2, w3 = torch.randn_like(network.first.weight), None, None
        w2, w3 = torch.randn_like(network.second.weight), torch.randn_like(network.side.weight)
        torch.randn_like(network.head.weight)
        x = torch.randn_like(data[0])
        maps, scales = [], []
        for shift in (0, 0.01 * torch.randn_like(data[0])):
            hidden = nn.functional.conv1d(x + shift, w1, padding=1)
            mean = hidden.mean(dim=(0, 2), keepdim=True)
            variance = ((hidden - mean) ** 2).mean(dim=(0, 2))
            scales.append(math.log(math.sqrt(float(variance.mean()))))
            hidden = ((hidden - mean) / (variance[:, None] + 1e-5).sqrt()).clamp(min=0)
            # the last module with several positions is the branch at the side
            maps.append(nn.functional.conv1d(hidden, w3, stride=2))
        norms = [float(((maps[0][n] - maps[1][n]) ** 2).sum().sqrt()) for n in range(N)]
        expected.append(math.log(sum(norms) / N) + scales[0])
    assert w2.shape == (4, 2, 3)
    assert score("zen", network, data, seed=7) == pytest.approx(float(np.mean(expected)), rel=1e-9)


def test_zen_of_a_linear_map_is_the_norm_of_its_gaussian_weights():
    linear = nn.Linear(400, 300, bias=False)
    found = score("zen", linear, (torch.zeros(4, 400), torch.zeros(4).long()))
    assert found == pytest.approx(math.log(0.01 * math.sqrt(400 * 300)), abs=0.02)


def test_sizes_are_counted_by_hand(network, data):
    assert score("parameters", network, data) == (24 + 8 + 24 + 4 + 16 + 4 + 12 + 3)
    assert score("flops", network, data) == 6 * 24 + 3 * 4 * 2 * 3 + 3 * 16 + 12
    expected = sum(math.sqrt(float((weight.detach() ** 2).sum())) for weight in weights(network))
    assert score("l2_norm", network, data) == pytest.approx(expected, rel=1e-12)
    network.first.weight.requires_grad_(False)
    assert score("parameters", network, data) == 95 - 24


# ---- all of them -------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROXIES.names())
def test_a_proxy_leaves_the_network_alone_and_repeats(name, network, data):
    before = {key: value.clone() for key, value in network.state_dict().items()}
    network.eval()
    state = torch.get_rng_state()
    first = score(name, network, data)
    assert math.isfinite(first)
    assert torch.equal(torch.get_rng_state(), state)
    assert score(name, network, data) == first
    assert not network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("name", PROXIES.names())
def test_rectifiers_in_place_change_nothing(name, data):
    torch.manual_seed(0)
    network = Small().double()
    inplace = Small(inplace=True).double()
    inplace.load_state_dict(network.state_dict())
    assert score(name, inplace, data) == pytest.approx(score(name, network, data), rel=1e-12)


@pytest.mark.parametrize("name", PROXIES.names())
def test_two_dimensions_and_weights_without_use(name):
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
    )
    network.idle = nn.Identity()
    network.idle.extra = nn.Linear(2, 2)
    inputs = torch.randn(6, 3, 7, 7)
    assert math.isfinite(score(name, network, (inputs, torch.arange(6) % 5)))


def test_other_losses_and_tasks(network, data):
    def squared(outputs, targets):
        return ((outputs[:, 0] - targets) ** 2).mean()

    inputs, _ = data
    targets = torch.linspace(0, 1, N, dtype=torch.float64)
    network.zero_grad()
    squared(network(inputs), targets).backward()
    expected = sum(float((weight * weight.grad).abs().sum()) for weight in weights(network))
    network.zero_grad(set_to_none=True)
    assert score("snip", network, (inputs, targets), loss=squared) == pytest.approx(expected, rel=1e-9)


def test_architectures_are_scored_one_by_one(data):
    space = ac.get_space("nasbench201")
    batch = space.sample(4, seed=0)

    def build(architecture):
        width = 1 + sum(architecture.genotype)
        return nn.Sequential(nn.Flatten(), nn.Linear(12, width), nn.ReLU(), nn.Linear(width, CLASSES)).double()

    columns = score_architectures(batch, build, *data, ["parameters", "snip"], seed=3)
    widths = 1 + batch.genotypes.sum(axis=1)
    assert columns["parameters"].tolist() == (widths * 13 + (widths + 1) * CLASSES).tolist()
    torch.manual_seed(3)
    assert columns["snip"][2] == score("snip", build(batch[2]), data, seed=3)


def test_bad_input_is_named(network, data):
    with pytest.raises(UnknownNameError, match=r"unknown proxy 'synflaw'.*did you mean 'synflow'"):
        score("synflaw", network, data)
    with pytest.raises(InvalidDataError, match="at least two examples with one target each, got 1 and 1"):
        score("snip", network, (data[0][:1], data[1][:1]))
    with pytest.raises(InvalidDataError, match="got 8 and 3"):
        score("snip", network, (data[0], data[1][:3]))


def test_a_proxy_of_ones_own_joins_the_others(network, data):
    @register_proxy("test_depth")
    def depth(network, inputs, targets, loss):
        return float(len(list(network.children())))

    assert score_network(network, *data)["test_depth"] == 7.0
    assert "test_depth" in PROXIES.names()
    del PROXIES._registered["test_depth"]
