"""The deep kernel: its likelihood and posterior against those of a Gaussian written out."""

import archcast as ac
import numpy as np
import pytest
from archcast.errors import InvalidDataError
from archcast.spaces import get_space
from scipy.stats import multivariate_normal

torch = pytest.importorskip("torch")

from archcast.predictors.neural.deep_kernel_model import NOISE_FLOOR, DeepKernel, climb  # noqa: E402

SPACE = get_space("nasbench201")
TINY = {"width": 8, "depth": 1, "steps": 5, "pretrain": False, "target_transform": "none"}
BATCH = SPACE.sample(30, seed=0)
Y = (BATCH.genotypes == 3).sum(axis=1) + 0.1 * BATCH.genotypes[:, 0]


def covariance(logs, left, right):
    linear, smooth, length = np.exp(np.asarray(logs, dtype=np.float64)[:3])
    squares = ((left[:, None] - right[None]) ** 2).sum(axis=2)
    width = left.shape[1]
    return linear * left @ right.T / width + smooth * np.exp(-squares / (2 * length * width))


def test_likelihood_is_that_of_a_gaussian():
    model = DeepKernel(None, 3, 8, torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.logs += torch.tensor([0.3, -0.2, 0.5, 1.0])
    x, z = np.random.default_rng(0).normal(size=(12, 8)), np.random.default_rng(1).normal(size=12)
    logs = model.logs.detach().numpy().astype(np.float64)
    K = covariance(logs, x, x) + (np.exp(logs[3]) + NOISE_FLOOR) * np.eye(12)
    prior = 0.5 * (0.3**2 + 0.2**2 + 0.5**2 + 1.0**2)
    wanted = -multivariate_normal(np.zeros(12), K).logpdf(z) - 6 * np.log(2 * np.pi) + prior
    assert model.negative_likelihood(torch.tensor(x), torch.tensor(z)).item() == pytest.approx(wanted, rel=1e-5)


def test_climbing_raises_the_likelihood():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3)).astype(np.float32)
    z = np.sin(2 * X[:, 0].astype(np.float64))
    z = (z - z.mean()) / z.std()
    model = DeepKernel(None, 3, 8, torch.Generator().manual_seed(0))

    def loss():
        return model.negative_likelihood(model(torch.from_numpy(X)), torch.from_numpy(z)).item()

    before = loss()
    climb(model, (X,), z, 60, 40, 1e-2, rng, torch.device("cpu"))
    assert loss() < before - 1


def test_forecast_is_the_posterior():
    predictor = ac.make_predictor("deep_kernel", **TINY).fit(BATCH, Y)
    mean, std = predictor.predict(BATCH[:5], return_std=True)
    logs = predictor._weights["logs"].astype(np.float64)
    noise = np.exp(logs[3]) + NOISE_FLOOR
    X = predictor._X
    K, cross = covariance(logs, X, X), covariance(logs, X[:5], X)
    solved = np.linalg.solve(K + noise * np.eye(30), np.column_stack([(Y - Y.mean()) / Y.std(), cross.T]))
    np.testing.assert_allclose(mean, Y.mean() + Y.std() * cross @ solved[:, 0], rtol=1e-6)
    variance = np.diag(K)[:5] - np.einsum("ij,ji->i", cross, solved[:, 1:]) + noise
    np.testing.assert_allclose(std, Y.std() * predictor._inflation * np.sqrt(variance), rtol=1e-5)


def test_deviation_grows_where_the_fit_explains_too_much():
    """Targets that no embedding can tell: the training ones may be explained, those held out cannot."""
    noise = np.random.default_rng(0).normal(size=30)
    parameters = {**TINY, "steps": 150, "learning_rate": 0.5}
    predictor = ac.make_predictor("deep_kernel", **parameters).fit(BATCH, noise)
    assert predictor._inflation > 1.2


def test_pretraining_is_where_it_starts():
    parameters = {**TINY, "pretrain": 24, "pretrain_steps": 3, "steps": 1, "learning_rate": 1e-9}
    predictor = ac.make_predictor("deep_kernel", **parameters).fit(BATCH, Y)
    encoder = ac.make_encoder("gnn", width=8, depth=1, n_architectures=24, steps=3).fit(BATCH)
    for name, value in encoder._weights.items():
        np.testing.assert_allclose(predictor._weights[f"trunk.{name}"], value, atol=1e-6)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"subset": 1}, "subset must be a whole number from 2, got 1"),
        ({"steps": 0}, "steps must be a whole number from 1, got 0"),
        ({"width": 30}, "width must be a multiple of 4, got 30"),
    ],
)
def test_bad_parameters(parameters, said):
    with pytest.raises(InvalidDataError, match=said):
        ac.make_predictor("deep_kernel", **{**TINY, **parameters}).fit(BATCH, Y)
