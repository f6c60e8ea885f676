import numpy as np
import pytest
import torch
from archcast.trainers.measures import LOSSES, METRICS, cross_entropy

RNG = np.random.default_rng(0)
NETWORKS, EXAMPLES, OUTPUTS = 3, 40, 7
LOGITS = RNG.normal(size=(NETWORKS, EXAMPLES, OUTPUTS))
CLASSES = RNG.integers(OUTPUTS, size=(NETWORKS, EXAMPLES))
NUMBERS = RNG.normal(size=(NETWORKS, EXAMPLES, OUTPUTS))
PROBABILITIES = RNG.integers(2, size=(NETWORKS, EXAMPLES, OUTPUTS)).astype(float)


def measured(measure, outputs, targets, *more):
    return measure(torch.from_numpy(outputs), torch.from_numpy(targets), *more).numpy()


def each(function, outputs, targets):
    """A plain definition, example by example."""
    return [[function(*pair) for pair in zip(*network, strict=True)] for network in zip(outputs, targets, strict=True)]


def log_probabilities(logits):
    return logits - np.log(np.exp(logits).sum())


@pytest.mark.parametrize(
    ("name", "targets", "definition"),
    [
        ("cross_entropy", CLASSES, lambda z, k: -log_probabilities(z)[k]),
        (
            "binary_cross_entropy",
            PROBABILITIES,
            lambda z, y: np.mean(-y * np.log(1 / (1 + np.exp(-z))) - (1 - y) * np.log(1 - 1 / (1 + np.exp(-z)))),
        ),
        ("mse", NUMBERS, lambda z, y: np.mean((z - y) ** 2)),
        ("mae", NUMBERS, lambda z, y: np.mean(np.abs(z - y))),
    ],
)
def test_losses(name, targets, definition):
    losses = measured(LOSSES[name].function, LOGITS, targets)
    assert losses.shape == (NETWORKS, EXAMPLES)
    np.testing.assert_allclose(losses, each(definition, LOGITS, targets), rtol=1e-10)
    assert LOSSES[name].direction == "lower" and LOSSES[name].classes == (targets is CLASSES)


@pytest.mark.parametrize(
    ("name", "targets", "definition"),
    [
        ("accuracy", CLASSES, lambda z, k: float(max(range(OUTPUTS), key=z.__getitem__) == k)),
        ("top5_accuracy", CLASSES, lambda z, k: float(sum(z > z[k]) < 5)),
        (
            "binary_accuracy",
            PROBABILITIES,
            lambda z, y: np.mean([(a > 0) == (b == 1) for a, b in zip(z, y, strict=True)]),
        ),
        ("mse", NUMBERS, lambda z, y: np.mean((z - y) ** 2)),
        ("mae", NUMBERS, lambda z, y: np.mean(np.abs(z - y))),
    ],
)
def test_metrics(name, targets, definition):
    values = measured(METRICS[name].function, LOGITS, targets)
    assert values.shape == (NETWORKS, EXAMPLES)
    np.testing.assert_allclose(values, each(definition, LOGITS, targets), rtol=1e-10)
    assert METRICS[name].direction == ("higher" if "accuracy" in name else "lower")
    assert METRICS[name].classes == (targets is CLASSES)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_label_smoothing(smoothing):
    def definition(logits, label):
        wanted = np.full(OUTPUTS, smoothing / OUTPUTS)
        wanted[label] += 1 - smoothing
        return -(wanted * log_probabilities(logits)).sum()

    losses = measured(cross_entropy, LOGITS, CLASSES, smoothing)
    np.testing.assert_allclose(losses, each(definition, LOGITS, CLASSES), rtol=1e-10)


def test_five_of_fewer_classes_are_all():
    values = measured(METRICS["top5_accuracy"].function, LOGITS[..., :3], CLASSES % 3)
    assert (values == 1).all()


def test_losses_are_stable_far_out_and_have_gradients():
    logits = torch.tensor([[[1000.0, -1000.0]]], requires_grad=True)
    for name, targets, expected in (
        ("cross_entropy", torch.tensor([[1]]), 2000.0),
        ("binary_cross_entropy", torch.tensor([[[0.0, 1.0]]]), 1000.0),
        ("mse", torch.zeros(1, 1, 2), 1e6),
        ("mae", torch.zeros(1, 1, 2), 1e3),
    ):
        loss = LOSSES[name].function(logits, targets)
        assert loss.item() == expected
        (gradient,) = torch.autograd.grad(loss.sum(), logits)
        assert gradient.isfinite().all() and gradient.any()


def test_parts_add_up_to_the_whole():
    for measures, targets in ((LOSSES, NUMBERS), (METRICS, NUMBERS)):
        function = measures["mae"].function
        whole = measured(function, LOGITS, targets)
        parts = [measured(function, LOGITS[:, rows], targets[:, rows]) for rows in (slice(0, 15), slice(15, None))]
        np.testing.assert_array_equal(whole, np.concatenate(parts, axis=1))
