"""What every registered predictor must do: scikit-learn's own checks on matrices, and ours on architectures."""

import json
import os
import pickle
import subprocess
import sys
import warnings
import zipfile

import archcast
import numpy as np
import pytest
from archcast.encoders import make_encoder
from archcast.errors import ArchcastError, InvalidDataError, ModelFormatError
from archcast.predictors import PREDICTORS, base, make_predictor
from archcast.spaces import get_space
from scipy.stats import kendalltau
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

# Ensembles small enough to fit hundreds of times; all else stays at its default.
QUICK = {
    "random_forest": {"n_estimators": 16},
    "random_forest_ij": {"n_estimators": 30},
    "gradient_boosting": {"n_estimators": 40, "n_members": 2, "learning_rate": 0.2},
    "xgboost": {"n_estimators": 40, "n_members": 2, "learning_rate": 0.2},
    "auto": {"candidates": ("gp", "ridge")},
    "xgboost_quantile": {"n_estimators": 40, "n_members": 2, "learning_rate": 0.2},
    "gin": {"width": 16, "depth": 2, "n_members": 3, "steps": 60, "pretrain": False},
    "graph_transformer": {"width": 16, "depth": 2, "n_members": 3, "steps": 60, "pretrain": False},
    "deep_kernel": {"width": 16, "depth": 2, "steps": 30, "pretrain": False},
    "mlp": {"width": 32, "n_members": 3, "steps": 60},
    "bananas": {"width": 32, "steps": 200},
}
# Names whose encoder belongs to the method; all others are shown the same plain encoding.
OWN_ENCODER = {name for name, entry in PREDICTORS._builtin.items() if "encoder" in entry.defaults}
NAMES = PREDICTORS.names()
SPACE = get_space("nasbench201")


def build(name, **parameters):
    encoder = {} if name in OWN_ENCODER else {"encoder": "adjacency"}
    return make_predictor(name, **{**QUICK.get(name, {}), **encoder, **parameters})


def accuracy(architectures, seed=0):
    """An accuracy in percent: good and bad operations, a bonus for a path, a long lower tail, and noise."""
    genotypes = architectures.genotypes
    worth = np.array([-0.8, 0.1, 0.5, 1.0, -0.3])[genotypes] @ np.array([0.6, 0.8, 0.5, 1.2, 0.7, 0.6])
    worth += 0.6 * (genotypes[:, 3] > 0) - 0.5 * (genotypes == 0).sum(axis=1).clip(2)
    noise = np.random.default_rng(seed).normal(0, 0.25, len(genotypes))
    return 94 - 6 * np.exp(-0.7 * (worth + noise))


def sample(n, seed):
    architectures = SPACE.sample(n, seed=seed)
    return architectures, accuracy(architectures, seed)


TRAIN, Y = sample(60, 1)
TEST, Y_TEST = sample(80, 2)
INFO = {"early": np.where(np.arange(60) % 7 == 0, np.nan, Y + np.sin(np.arange(60))), "costs": np.ones((60, 2))}
INFO_TEST = {"early": Y_TEST, "costs": np.full((80, 2), np.nan)}


@pytest.fixture(scope="module", params=NAMES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def fitted(name):
    return build(name).fit(TRAIN, Y)


# ---- scikit-learn's checks on feature matrices -------------------------------------------------------------------


@parametrize_with_checks([make_predictor(name, **QUICK.get(name, {})) for name in NAMES])
def test_scikit_learn(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)


# ---- fit and predict ---------------------------------------------------------------------------------------------


def test_forecast_has_a_mean_and_a_deviation_for_each(fitted):
    mean, std = fitted.predict(TEST, return_std=True)
    assert mean.shape == std.shape == (80,)
    assert mean.dtype == std.dtype == np.float64
    assert np.isfinite(mean).all()
    assert np.isfinite(std).all()
    assert (std > 0).all()


def test_mean_is_the_same_without_the_deviation(fitted):
    np.testing.assert_allclose(fitted.predict(TEST), fitted.predict(TEST, return_std=True)[0], rtol=1e-9)


def test_ranks_better_than_chance(name, fitted):
    tau = kendalltau(fitted.predict(TEST), Y_TEST)[0]
    if fitted.__sklearn_tags__().regressor_tags.poor_score:
        assert np.isnan(tau)
    else:
        assert tau > 0.3


def test_deviation_covers_what_it_should(fitted):
    architectures, y = sample(600, 5)
    low, high = fitted.predict_quantiles(architectures, [0.1, 0.9]).T
    assert 0.65 < ((low <= y) & (y <= high)).mean() < 0.95


def test_quantiles_rise_and_enclose_the_mean(fitted):
    levels = [0.01, 0.1, 0.5, 0.9, 0.99]
    quantiles = fitted.predict_quantiles(TEST, levels)
    assert quantiles.shape == (80, 5)
    assert (np.diff(quantiles, axis=1) > 0).all()
    np.testing.assert_allclose(quantiles[:, 2], fitted.predict(TEST), rtol=1e-9)


def test_the_distribution_is_mean_deviation_and_quantiles_at_once(fitted):
    levels = [0.05, 0.5, 0.95]
    mean, std, quantiles = fitted.predict_distribution(TEST, levels)
    alone = fitted.predict(TEST, return_std=True)
    np.testing.assert_allclose(mean, alone[0], rtol=1e-9)
    np.testing.assert_allclose(std, alone[1], rtol=1e-9)
    np.testing.assert_allclose(quantiles, fitted.predict_quantiles(TEST, levels), rtol=1e-9)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.2, np.nan])
def test_quantiles_outside_are_refused(level):
    with pytest.raises(InvalidDataError, match="strictly between 0 and 1"):
        build("constant").fit(TRAIN, Y).predict_quantiles(TEST, [0.5, level])


def test_scale_of_the_target_passes_through(name):
    plain = build(name, target_transform="standardize").fit(TRAIN, Y).predict(TEST, return_std=True)
    scaled = build(name, target_transform="standardize").fit(TRAIN, 8 * Y).predict(TEST, return_std=True)
    np.testing.assert_allclose(scaled[0], 8 * plain[0], rtol=1e-9)
    np.testing.assert_allclose(scaled[1], 8 * plain[1], rtol=1e-9)


def test_single_architectures_and_sequences_are_batches(fitted):
    together = fitted.predict(TEST[:3])
    np.testing.assert_allclose(fitted.predict(list(TEST[:3])), together, rtol=1e-9)
    np.testing.assert_allclose(fitted.predict(TEST[0]), together[:1], rtol=1e-9)
    assert fitted.predict(TEST[:0]).shape == (0,)
    assert fitted.predict(TEST[:0], return_std=True)[1].shape == (0,)


def test_chunks_forecast_what_the_whole_does(fitted, monkeypatch):
    mean, std = fitted.predict(TEST, return_std=True)
    monkeypatch.setattr(base, "CHUNK", 7)
    chunked_mean, chunked_std = fitted.predict(TEST, return_std=True)
    np.testing.assert_allclose(chunked_mean, mean, rtol=1e-7)
    np.testing.assert_allclose(chunked_std, std, rtol=1e-6)
    np.testing.assert_allclose(fitted.predict(TEST), mean, rtol=1e-7)


def test_two_observations_are_enough(name):
    mean, std = build(name).fit(TRAIN[:2], Y[:2]).predict(TEST, return_std=True)
    assert np.isfinite(mean).all()
    assert np.isfinite(std).all()
    assert (std > 0).all()


def test_repeated_architectures_are_noisy_repetitions(name):
    rows = np.arange(20) % 4
    targets = Y[rows] + np.linspace(-0.5, 0.5, 20)
    mean, std = build(name).fit(TRAIN[rows], targets).predict(TRAIN[:4], return_std=True)
    assert ((mean > targets.min() - 5) & (mean < targets.max() + 5)).all()
    assert (std > 0.01).all()


def test_several_outputs_where_declared(name):
    both = np.stack([Y, -2 * Y], axis=1)
    predictor = build(name)
    if not predictor.multi_output:
        with pytest.raises(InvalidDataError, match="predicts one target, got 2 columns"):
            predictor.fit(TRAIN, both)
        return
    mean, std = predictor.fit(TRAIN, both).predict(TEST, return_std=True)
    assert mean.shape == std.shape == (80, 2)
    single, single_std = build(name).fit(TRAIN, Y).predict(TEST, return_std=True)
    assert np.abs(mean[:, 0] - single).max() < 0.1 * Y.std()
    assert np.abs(np.log(std[:, 0] / single_std)).max() < 0.2
    assert predictor.predict_quantiles(TEST, [0.1, 0.5, 0.9]).shape == (80, 2, 3)


# ---- seeds -------------------------------------------------------------------------------------------------------


def test_same_seed_same_forecast(name, fitted):
    again = build(name).fit(TRAIN, Y)
    for first, second in zip(fitted.predict(TEST, return_std=True), again.predict(TEST, return_std=True), strict=True):
        np.testing.assert_array_equal(first, second)


OTHER_PROCESS = """
import json
import sys
import numpy as np
from archcast.predictors import make_predictor
from archcast.spaces import get_space
data, cases, out = np.load(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]
space = get_space("nasbench201")
train, test = space.parse(data["train"]), space.parse(data["test"])
forecasts = {
    name: make_predictor(name, **parameters).fit(train, data["y"]).predict(test, return_std=True)
    for name, parameters in cases.items()
}
np.savez(out, **forecasts)
"""


def test_same_forecast_in_another_process(tmp_path):
    names = ("random_forest", "gradient_boosting", "xgboost", "ridge", "knn", "mlp")
    cases = {name: {**QUICK.get(name, {}), "encoder": "adjacency"} for name in names}
    cases["gin"] = {**QUICK["gin"], "pretrain": 20, "pretrain_steps": 3, "encoder": "graph"}
    np.savez(tmp_path / "data.npz", train=TRAIN.genotypes, test=TEST.genotypes, y=Y)
    paths = [str(tmp_path / "data.npz"), json.dumps(cases), str(tmp_path / "out.npz")]
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", OTHER_PROCESS, *paths], check=True, env=environment)
    elsewhere = np.load(tmp_path / "out.npz")
    for name, parameters in cases.items():
        here = make_predictor(name, **parameters).fit(TRAIN, Y).predict(TEST, return_std=True)
        np.testing.assert_array_equal(elsewhere[name], here)


# ---- the scikit-learn protocol on architectures --------------------------------------------------------------------


def test_clones_and_parameters(name, fitted):
    copy = clone(fitted)
    assert copy.get_params() == fitted.get_params()
    with pytest.raises(NotFittedError):
        copy.predict(TEST)
    copy.set_params(seed=5, target_transform="none")
    assert (copy.seed, copy.target_transform) == (5, "none")
    copy.fit(TRAIN, Y)
    assert np.isfinite(copy.predict(TEST)).all()


def test_cross_validation(name):
    predictor = build(name)
    assert np.isfinite(cross_val_score(predictor, TRAIN, Y, cv=2)).all()
    if not predictor.__sklearn_tags__().regressor_tags.poor_score:
        assert kendalltau(cross_val_predict(predictor, TRAIN, Y, cv=3), Y)[0] > 0


def test_pipeline_with_an_encoder(name):
    encoder = "adjacency" if name not in OWN_ENCODER else PREDICTORS._builtin[name].defaults["encoder"]
    pipeline = make_pipeline(make_encoder(encoder), make_predictor(name, **QUICK.get(name, {}))).fit(TRAIN, Y)
    assert np.isfinite(pipeline.predict(TEST)).all()
    mean, std = pipeline.predict(TEST, return_std=True)
    assert mean.shape == std.shape == (80,)


def test_pickles(fitted):
    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.predict(TEST), fitted.predict(TEST))


# ---- extras ------------------------------------------------------------------------------------------------------


def test_info_is_used_and_checked(name):
    predictor = build(name).fit(TRAIN, Y, info=INFO)
    mean = predictor.predict(TEST, info=INFO_TEST)
    assert np.isfinite(mean).all()
    labels = [column for column in predictor.columns_.names if column.startswith("info ")]
    assert labels[0] == "info costs[0]"
    assert labels[-1] == "info early[0] missing"
    with pytest.raises(InvalidDataError, match=r"expected info \['costs', 'early'\] as in fit, got none"):
        predictor.predict(TEST)
    with pytest.raises(InvalidDataError, match="'early' must have 80 rows"):
        predictor.predict(TEST, info={**INFO_TEST, "early": Y})
    with pytest.raises(InvalidDataError, match="'costs' must have 2 columns, got 1"):
        predictor.predict(TEST, info={**INFO_TEST, "costs": Y_TEST})
    with pytest.raises(InvalidDataError, match="'early' must be finite or NaN, got inf for architecture 3"):
        predictor.predict(TEST, info={**INFO_TEST, "early": np.where(np.arange(80) == 3, np.inf, Y_TEST)})


def test_noise_of_the_labels_is_used_or_refused(name, fitted):
    errors = np.where(np.arange(60) % 3 == 0, np.nan, np.linspace(0.05, 2.0, 60))
    predictor = build(name)
    if not predictor.takes_noise:
        with pytest.raises(InvalidDataError, match=f"{type(predictor).__name__} makes no use of noise_std"):
            predictor.fit(TRAIN, Y, noise_std=errors)
        return
    mean, std = predictor.fit(TRAIN, Y, noise_std=errors).predict(TEST, return_std=True)
    assert np.isfinite(std).all()
    assert (std > 0).all()
    assert np.abs(mean - fitted.predict(TEST)).max() > 1e-6
    with pytest.raises(InvalidDataError, match=r"noise_std must have the shape of the targets, \(60,\)"):
        predictor.fit(TRAIN, Y, noise_std=errors[1:])


# ---- bad input ---------------------------------------------------------------------------------------------------


def with_value(position, value):
    targets = Y.copy()
    targets[position] = value
    return targets


@pytest.mark.parametrize(
    ("architectures", "targets", "said"),
    [
        (TRAIN, with_value(4, np.nan), "targets must be finite, got nan for architecture 4"),
        (TRAIN, with_value(7, -np.inf), "targets must be finite, got -inf for architecture 7"),
        (TRAIN, np.full(60, 91.5), "targets must not all be equal, got 91.5 for all 60"),
        (TRAIN[:1], Y[:1], "at least 2 observations to fit, got 1"),
        (TRAIN[:0], Y[:0], "at least 2 observations to fit, got 0"),
        (TRAIN, Y[:-1], r"one target for each of 60 architectures, got shape \(59,\)"),
        (TRAIN, ["good"] * 60, "targets must be numbers"),
        (TRAIN.strings(), Y, "space.parse turns them into architectures"),
    ],
)
def test_bad_training_data(name, architectures, targets, said):
    with pytest.raises(InvalidDataError, match=said):
        build(name).fit(architectures, targets)


def test_bad_queries(name, fitted):
    other = get_space("cell", operations_on="edges", nodes=3, operations=["none", "conv"]).sample(3, seed=0)
    with pytest.raises(InvalidDataError, match="fitted on space 'nasbench201', got architectures of 'cell'"):
        fitted.predict(other)
    with pytest.raises(InvalidDataError, match="fitted on architectures of space 'nasbench201', got ndarray"):
        fitted.predict(np.zeros((3, 30)))
    with pytest.raises(InvalidDataError, match="expected info none as in fit, got \\['early'\\]"):
        fitted.predict(TEST, info={"early": Y_TEST})
    with pytest.raises(InvalidDataError, match=r"space\.parse"):
        fitted.predict(TEST.strings())
    on_matrix = make_predictor(name, **QUICK.get(name, {})).fit(make_encoder("adjacency").transform(TRAIN), Y)
    with pytest.raises(InvalidDataError, match="fitted on a feature matrix, got architectures"):
        on_matrix.predict(TEST)


@pytest.mark.parametrize(
    "parameters", [{"seed": -1}, {"seed": 0.5}, {"target_transform": "log"}, {"encoder": 3}, {"encoder": "nosuch"}]
)
def test_bad_parameters(name, parameters):
    with pytest.raises(ArchcastError):
        build(name, **parameters).fit(TRAIN, Y)


def test_unknown_parameter(name):
    with pytest.raises(InvalidDataError, match="has no parameter 'colour'"):
        make_predictor(name, colour=1)


# ---- saving ------------------------------------------------------------------------------------------------------


def assert_same_forecasts(first, second, architectures, info=None):
    for a, b in zip(
        first.predict(architectures, return_std=True, info=info),
        second.predict(architectures, return_std=True, info=info),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(first.predict(architectures, info=info), second.predict(architectures, info=info))


def test_round_trip_is_exact(name, fitted, tmp_path):
    fitted.save(tmp_path / "model.archcast")
    loaded = archcast.load_predictor(tmp_path / "model.archcast")
    assert type(loaded) is type(fitted)
    assert loaded.get_params() == fitted.get_params()
    assert loaded.space_ == SPACE
    assert loaded.columns_.names == fitted.columns_.names
    assert_same_forecasts(fitted, loaded, TEST)
    levels = [0.05, 0.5, 0.95]
    np.testing.assert_array_equal(loaded.predict_quantiles(TEST, levels), fitted.predict_quantiles(TEST, levels))
    loaded.save(tmp_path / "again.archcast")
    assert (tmp_path / "again.archcast").read_bytes() == (tmp_path / "model.archcast").read_bytes()


def test_round_trip_with_info_and_other_parameters(name, tmp_path):
    parameters = {} if name in OWN_ENCODER else {"encoder": make_encoder("adjacency+adjacency_continuous")}
    predictor = build(name, target_transform="standardize", seed=3, **parameters).fit(TRAIN, Y, info=INFO)
    predictor.save(tmp_path / "m")
    loaded = archcast.load_predictor(tmp_path / "m")
    assert_same_forecasts(predictor, loaded, TEST, INFO_TEST)
    assert (loaded.seed, loaded.target_transform) == (3, "standardize")
    assert_same_forecasts(loaded.fit(TRAIN, Y, info=INFO), predictor, TEST, INFO_TEST)


def test_round_trip_of_a_matrix_model(name, tmp_path):
    features = make_encoder("adjacency").transform(TRAIN)
    predictor = make_predictor(name, **QUICK.get(name, {})).fit(features, Y)
    predictor.save(tmp_path / "m")
    assert_same_forecasts(predictor, archcast.load_predictor(tmp_path / "m"), make_encoder("adjacency").transform(TEST))


def test_round_trip_of_several_outputs(name, tmp_path):
    predictor = build(name)
    targets = np.stack([Y, Y**2], axis=1) if predictor.multi_output else Y[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predictor.fit(TRAIN, targets)
    predictor.save(tmp_path / "m")
    assert_same_forecasts(predictor, archcast.load_predictor(tmp_path / "m"), TEST)


def test_files_hold_no_pickle(fitted, tmp_path):
    fitted.save(tmp_path / "m")
    with zipfile.ZipFile(tmp_path / "m") as archive:
        names = archive.namelist()
        assert json.loads(archive.read("manifest.json"))["format_version"] == 1
    assert all(n in {"manifest.json", "manifest.sha256", "arrays.safetensors"} or n.endswith(".ubj") for n in names)


def test_a_state_that_lacks_something_is_refused(name, fitted, tmp_path):
    copy = pickle.loads(pickle.dumps(fitted))
    state = dict(fitted._get_state())
    dropped = sorted(state)[0]
    copy._get_state = lambda: {key: value for key, value in state.items() if key != dropped}
    copy.save(tmp_path / "m")
    with pytest.raises(ModelFormatError):
        archcast.load_predictor(tmp_path / "m")


def test_an_unfitted_predictor_is_not_saved(name, tmp_path):
    with pytest.raises(NotFittedError):
        build(name).save(tmp_path / "m")
    assert not list(tmp_path.iterdir())
