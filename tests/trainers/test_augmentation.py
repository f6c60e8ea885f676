import itertools

import numpy as np
import pytest
import torch
from archcast.trainers.augmentation import AUGMENTATIONS, mixup_share
from archcast.trainers.recipe import AUGMENTATIONS as NAMES

SHAPES = [(60, 2, 40), (60, 3, 32, 24), (60, 1, 8, 8), (60, 1, 5)]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(shape, dtype=torch.float32):
    """Numbers from 1 on, so that a zero is always one that moved in."""
    return torch.arange(1, 1 + int(np.prod(shape)), dtype=dtype).view(shape)


def test_recipes_name_what_there_is():
    assert set(NAMES) == {*AUGMENTATIONS, "mixup"}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_seed_decides_and_inputs_stay(name, shape):
    inputs = batch(shape)
    first, second, other = (AUGMENTATIONS[name](inputs, generator(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, second) and not torch.equal(first, other)
    assert first.shape == inputs.shape and first.dtype == inputs.dtype and first.isfinite().all()
    assert torch.equal(inputs, batch(shape))
    following = generator(3)
    assert torch.equal(AUGMENTATIONS[name](inputs, following), first)
    assert not torch.equal(AUGMENTATIONS[name](inputs, following), first)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_doubles_stay_doubles(name):
    assert AUGMENTATIONS[name](batch((8, 1, 16), torch.float64), generator()).dtype == torch.float64


@pytest.mark.parametrize("shape", SHAPES)
def test_flip(shape):
    inputs = batch(shape)
    flipped = AUGMENTATIONS["flip"](inputs, generator())
    mirrored = np.flip(inputs.numpy(), -1)
    same = [np.array_equal(a, b) for a, b in zip(flipped, inputs, strict=True)]
    mirror = [np.array_equal(a, b) for a, b in zip(flipped, mirrored, strict=True)]
    assert [not x for x in same] == mirror and 15 < sum(mirror) < 45


@pytest.mark.parametrize("shape", SHAPES)
def test_shift(shape):
    inputs = batch(shape)
    shifted = AUGMENTATIONS["shift"](inputs, generator()).numpy()
    axes = range(1, len(shape) - 1)
    most = [max(1, size // 8) for size in shape[2:]]
    seen = set()
    for before, after in zip(inputs.numpy(), shifted, strict=True):
        matches = []
        for moves in itertools.product(*[range(-m, m + 1) for m in most]):
            expected = before
            for axis, move in zip(axes, moves, strict=True):
                expected = moved(expected, axis, move)
            matches += [moves] * np.array_equal(after, expected)
        assert len(matches) == 1
        seen.add(matches[0])
    for axis, m in enumerate(most):
        assert {moves[axis] for moves in seen} == set(range(-m, m + 1))


def moved(values, axis, move):
    """Plain definition: moved along an axis, zeros in the places that become free."""
    result = np.zeros_like(values)
    size = values.shape[axis]
    for place in range(size):
        if 0 <= place - move < size:
            index = [slice(None)] * values.ndim
            index[axis] = place
            origin = list(index)
            origin[axis] = place - move
            result[tuple(index)] = values[tuple(origin)]
    return result


@pytest.mark.parametrize("shape", SHAPES)
def test_cutout(shape):
    inputs = batch(shape)
    cut = AUGMENTATIONS["cutout"](inputs, generator()).numpy()
    hidden = cut == 0
    np.testing.assert_array_equal(cut[~hidden], inputs.numpy()[~hidden])
    windows = set()
    for example in hidden:
        assert (example == example[0]).all()  # the same in all channels
        places = np.argwhere(example[0])
        first, last = places.min(axis=0), places.max(axis=0)
        assert (last - first + 1).tolist() == [max(1, size // 4) for size in shape[2:]]
        assert len(places) == np.prod(last - first + 1)
        windows.add(tuple(first.tolist()))
    assert len(windows) > 3


@pytest.mark.parametrize("shape", SHAPES)
def test_scale(shape):
    inputs = batch(shape)
    factors = (AUGMENTATIONS["scale"](inputs, generator()) / inputs).flatten(1)
    assert factors.std(dim=1).max() < 1e-6
    factors = factors.mean(dim=1)
    assert 0.8 <= factors.min() < 0.85 and 1.15 < factors.max() <= 1.2


def test_noise():
    inputs = 3 * torch.randn((200, 2, 40), generator=generator(1)) + 5
    added = AUGMENTATIONS["noise"](inputs, generator()) - inputs
    assert added.std().item() == pytest.approx(0.05 * 3, rel=0.05) and abs(added.mean().item()) < 0.01
    assert torch.unique(added[:20]).numel() > 1500


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_examples_are_treated_each_by_itself(name):
    """What is drawn for an example has nothing to do with the values of others; noise has one spread for the batch."""
    inputs = batch((10, 1, 16))
    changed = inputs.clone()
    changed[4] *= 3
    before, after = (AUGMENTATIONS[name](x, generator()) for x in (inputs, changed))
    others = [row for row in range(10) if row != 4]
    if name == "noise":
        before, after = before - inputs, after - changed
        np.testing.assert_allclose(after / changed.std(), before / inputs.std(), atol=1e-5)
    else:
        assert torch.equal(before[others], after[others])


def test_a_batch_of_one_number_stays_finite():
    for name, function in AUGMENTATIONS.items():
        assert function(torch.ones(1, 1, 1), generator()).isfinite().all(), name


def test_mixup_shares_are_from_the_published_distribution():
    shared = generator()
    shares = np.array([mixup_share(shared) for _ in range(4000)])
    drawn = np.random.default_rng(0).beta(0.2, 0.2, size=100_000)
    expected = np.maximum(drawn, 1 - drawn)
    assert shares.min() >= 0.5 and shares.max() <= 1
    np.testing.assert_allclose(
        np.quantile(shares, [0.1, 0.3, 0.5, 0.9]), np.quantile(expected, [0.1, 0.3, 0.5, 0.9]), atol=0.02
    )
    assert mixup_share(generator(5)) == mixup_share(generator(5)) != mixup_share(generator(6))
