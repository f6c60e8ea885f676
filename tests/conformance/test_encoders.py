"""What every registered encoder promises, on every registered space."""

import json

import archcast as ac
import numpy as np
import pytest
from archcast.encoders import ENCODERS, Encoder, make_encoder
from archcast.errors import InvalidDataError
from archcast.spaces import SPACES, space_from_spec
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

PARAMETERS = {
    "cell": [
        {"nodes": 4, "operations": ["none", "skip_connect", "nor_conv_3x3"]},
    ],
    "chain": [{"blocks": [{"kernel": [3, 5], "expansion": [1, 3, 6]}] * 3}],
}
"""Arguments of the spaces that users configure, where the default is not enough."""


def _spaces():
    found = {}
    for name in SPACES.names():
        try:
            found[name] = ac.get_space(name)
        except InvalidDataError:
            for number, parameters in enumerate(PARAMETERS[name]):
                found[f"{name}-{number}"] = ac.get_space(name, **parameters)
    return found


SPACES_BY_NAME = _spaces()
QUICK = {"gnn": {"width": 8, "n_architectures": 24, "steps": 2}}
"""Encoders that learn, made quick enough to be fitted to every space; all else stays at its default."""
TOLERANCE = {"spectral": 1e-5}  # eigenvectors are exact to rounding, all others are counts

PAIRS = [pytest.param(e, s, id=f"{e}-{s}") for e in ENCODERS.names() for s in SPACES_BY_NAME]


def _known(encoder_name, space):
    """Whether the encoder applies to the space; where it does not, it must say so in one sentence."""
    if encoder_name != "complexity" or space.complexity(space.sample(1, seed=0)) is not None:
        return True
    with pytest.raises(InvalidDataError, match=repr(space.name)):
        make_encoder(encoder_name).columns(space)
    return False


@pytest.mark.parametrize(("encoder_name", "space_name"), PAIRS)
def test_contract(encoder_name, space_name):
    space = SPACES_BY_NAME[space_name]
    if not _known(encoder_name, space):
        return
    close = {"rtol": 1e-6, "atol": TOLERANCE.get(encoder_name, 1e-6)}
    batch = space.sample(12, seed=3)
    encoder = make_encoder(encoder_name, **QUICK.get(encoder_name, {}))
    fitted = encoder.fit(batch)
    assert fitted is encoder
    X = encoder.transform(batch)
    columns = encoder.columns(space)

    # One float32 row an architecture, one distinct readable name a column.
    assert X.dtype == np.float32
    assert X.shape == (len(batch), len(columns))
    assert np.isfinite(X).all()
    assert len(columns) >= 1
    assert len(set(columns.names)) == len(columns.names)
    assert all(isinstance(name, str) and name.strip() for name in (*columns.names, *columns.groups))
    assert encoder.get_feature_names_out().tolist() == list(columns.names) == encoder.feature_names_out(space)
    as_they_are = X[:, columns.indicator]  # flags, and small counts of them
    assert ((as_they_are >= 0) & (as_they_are <= 16)).all()

    # A row depends on its architecture alone.
    rows = np.concatenate([encoder.transform(batch[i : i + 1]) for i in range(len(batch))])
    np.testing.assert_allclose(rows, X, **close)
    order = np.random.default_rng(0).permutation(len(batch))
    np.testing.assert_allclose(encoder.transform(batch[order]), X[order], **close)
    assert encoder.transform(batch[:0]).shape == (0, len(columns))
    np.testing.assert_allclose(encoder.transform(list(batch)), X, **close)

    # The same again from an unfitted copy, from an equal space, and from the saved state.
    copy = clone(encoder)
    assert not hasattr(copy, "space_")
    assert copy.get_params(deep=False).keys() == encoder.get_params(deep=False).keys()
    np.testing.assert_array_equal(copy.fit(batch).transform(batch), X)
    again = space_from_spec(json.loads(json.dumps(space.spec)))
    np.testing.assert_array_equal(encoder.transform(again.architectures(batch.genotypes)), X)
    restored = clone(encoder)
    restored.space_ = space
    restored._set_state(encoder._get_state())
    np.testing.assert_array_equal(restored.transform(batch), X)
    assert restored.columns(space).names == columns.names

    if encoder.stateless:
        np.testing.assert_array_equal(clone(encoder).transform(batch), X)
        other = clone(encoder).fit(space.sample(3, seed=9))
        assert other.columns(space).names == columns.names
    else:
        with pytest.raises(NotFittedError):
            clone(encoder).transform(batch)


@pytest.mark.parametrize(("encoder_name", "space_name"), PAIRS)
def test_pipeline_and_selection(encoder_name, space_name):
    space = SPACES_BY_NAME[space_name]
    if not _known(encoder_name, space):
        return
    batch = space.sample(10, seed=1)
    y = np.arange(10.0)
    encoder = make_encoder(encoder_name, **QUICK.get(encoder_name, {}))
    model = make_pipeline(encoder, StandardScaler(), Ridge()).fit(batch[:8], y[:8])
    assert model.predict(batch[8:]).shape == (2,)
    assert isinstance(model[:-1].get_feature_names_out()[0], str)


@pytest.mark.parametrize("encoder_name", ENCODERS.names())
def test_architectures_of_another_space_are_refused(encoder_name):
    first, second = SPACES_BY_NAME["nasbench201"], SPACES_BY_NAME["nasbench101"]
    encoder = make_encoder(encoder_name, **QUICK.get(encoder_name, {})).fit(first.sample(5, seed=0))
    with pytest.raises(InvalidDataError, match=r"fitted on space 'nasbench201', got .* 'nasbench101'"):
        encoder.transform(second.sample(2, seed=0))
    with pytest.raises(InvalidDataError, match="expected Architectures"):
        encoder.transform(["|none~0|"])


@pytest.mark.parametrize("encoder_name", ENCODERS.names())
def test_has_a_summary_and_names_itself(encoder_name):
    encoder = make_encoder(encoder_name)
    assert isinstance(encoder, Encoder)
    assert 10 < len(ENCODERS.summary(encoder_name)) < 100
    assert repr(encoder).startswith(type(encoder).__name__)


@pytest.mark.parametrize("names", ["path+statistics", "wl+adjacency", "operations+wl_hashed+spectral"])
def test_encodings_stand_side_by_side(names):
    space = SPACES_BY_NAME["nasbench101"]
    batch = space.sample(10, seed=0)
    joined = make_encoder(names).fit(batch)
    parts = [make_encoder(name).fit(batch) for name in names.split("+")]
    X = np.concatenate([part.transform(batch) for part in parts], axis=1)
    np.testing.assert_allclose(joined.transform(batch), X, atol=1e-5)
    columns = joined.columns(space)
    assert len(set(columns.names)) == len(columns) == X.shape[1]
    assert clone(joined).fit(batch).transform(batch).shape == X.shape
    restored = make_encoder(names)
    restored.space_ = space
    restored._set_state(joined._get_state())
    np.testing.assert_allclose(restored.transform(batch), X, atol=1e-5)
