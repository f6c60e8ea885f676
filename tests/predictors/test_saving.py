"""Damaged, foreign and newer model files are refused in one sentence; a failed save leaves nothing behind."""

import hashlib
import json
import os
import zipfile

import archcast
import numpy as np
import pytest
from archcast.encoders import Columns, Encoder, make_encoder
from archcast.errors import InvalidDataError, ModelFormatError
from archcast.predictors import Predictor, make_predictor, register_predictor, saving

SPACE = archcast.get_space("nasbench201")
TRAIN = SPACE.sample(30, seed=0)
Y = np.random.default_rng(0).normal(size=30)


@pytest.fixture
def path(tmp_path):
    make_predictor("random_forest@adjacency", n_estimators=5).fit(TRAIN, Y).save(tmp_path / "forest.archcast")
    return tmp_path / "forest.archcast"


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path, contents):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


def signed(contents, **changes):
    """Change the manifest as somebody would who also corrects the hashes."""
    manifest = {**json.loads(contents["manifest.json"]), **changes}
    for name in manifest["members"]:
        if name in contents:
            digest = hashlib.sha256(contents[name]).hexdigest()
            manifest["members"][name] = {"bytes": len(contents[name]), "sha256": digest}
    text = json.dumps(manifest).encode()
    return {**contents, "manifest.json": text, "manifest.sha256": hashlib.sha256(text).hexdigest().encode()}


def refused(path, said):
    with pytest.raises(ModelFormatError, match=said) as caught:
        archcast.load_predictor(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_missing_file_and_folder(tmp_path):
    refused(tmp_path / "nowhere", "No such file")
    refused(tmp_path, "Is a directory")


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip file", b"\x80\x04\x95pickle"])
def test_not_a_zip(path, content):
    path.write_bytes(content)
    refused(path, "not a saved predictor")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_truncated(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    refused(path, "not a saved predictor")


def test_every_flipped_byte_is_noticed_or_harmless(path):
    forecast = archcast.load_predictor(path).predict(TRAIN)
    content = path.read_bytes()
    for position in np.linspace(0, len(content) - 1, 60).astype(int):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0x20]) + content[position + 1 :])
        try:  # a byte of the zip's own bookkeeping may change without changing what is read
            loaded = archcast.load_predictor(path)
        except ModelFormatError as error:
            assert "\n" not in str(error)
        else:
            np.testing.assert_array_equal(loaded.predict(TRAIN), forecast)


def test_tampered_member(path):
    contents = members(path)
    arrays = bytearray(contents["arrays.safetensors"])
    arrays[-1] ^= 1
    write(path, {**contents, "arrays.safetensors": bytes(arrays)})
    refused(path, "was changed after it was saved: 'arrays.safetensors'")


def test_tampered_manifest(path):
    contents = members(path)
    write(path, {**contents, "manifest.json": contents["manifest.json"].replace(b"random_forest", b"random_fxrest")})
    refused(path, "was changed after it was saved: 'manifest.json'")


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sha256", "arrays.safetensors"])
def test_missing_member(path, name):
    contents = members(path)
    del contents[name]
    write(path, contents)
    refused(path, f"has no member '{name}'")


def test_more_than_was_declared_is_not_unpacked(path):
    contents = members(path)
    write(path, {**contents, "arrays.safetensors": contents["arrays.safetensors"] + bytes(1000)})
    refused(path, "'arrays.safetensors' is longer than")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format_version": 2, "archcast_version": "9.9"}, "format version 2, written by archcast 9.9"),
        ({"format_version": "new"}, "format version 'new'"),
        ({"format": "something else"}, "not a saved predictor"),
        ({"predictor": "nosuch"}, "unknown predictor 'nosuch'"),
        ({"predictor": "os:system"}, "unknown predictor 'os:system'"),
        ({"predictor": "ridge"}, "has no parameter"),
        ({"predictor": "constant", "parameters": {}}, "do not fit together"),
        ({"parameters": {"colour": 1}}, "has no parameter 'colour'"),
        ({"parameters": {"target_transform": "log"}}, "target_transform must be one of"),
        ({"space": {"space": "nosuch"}}, "unknown space 'nosuch'"),
        ({"space": None}, "both a space and an encoder"),
        ({"encoder": {"encoder": "nosuch", "parameters": {}}}, "unknown encoder 'nosuch'"),
        ({"columns": {"names": ["x"], "groups": ["x"], "indicator": [True]}}, "reads a feature outside"),
        ({"n_features": "many"}, "do not fit together"),
        ({"members": {}}, "do not fit together"),
    ],
)
def test_contents_that_do_not_fit(path, changes, said):
    write(path, signed(members(path), **changes))
    refused(path, said)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("left", 10**6, "leads backwards or outside"), ("right", -1, "leads backwards"), ("feature", 99, "outside 0..29")],
)
def test_tree_indices_are_checked(path, name, value, said):
    from safetensors.numpy import load, save

    contents = members(path)
    arrays = load(contents["arrays.safetensors"])
    inner = int(np.flatnonzero(arrays["state/left"] != np.arange(len(arrays["state/left"])))[0])
    arrays[f"state/{name}"] = arrays[f"state/{name}"].copy()
    arrays[f"state/{name}"][inner] = value
    write(path, signed({**contents, "arrays.safetensors": save(arrays)}))
    refused(path, said)


def test_a_failed_save_keeps_the_old_file(path, monkeypatch):
    before = path.read_bytes()

    def fail(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        make_predictor("ridge@adjacency").fit(TRAIN, Y).save(path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_only_registered_classes_and_plain_parameters(tmp_path):
    class Private(type(make_predictor("constant"))):
        pass

    with pytest.raises(InvalidDataError, match="cannot save a Private: its class is not registered"):
        Private("adjacency").fit(TRAIN, Y).save(tmp_path / "m")
    with pytest.raises(InvalidDataError, match="expected a Predictor to save, got int"):
        saving.save(3, tmp_path / "m")
    odd = make_predictor("constant@adjacency").fit(TRAIN, Y)
    odd.seed = object()
    with pytest.raises(InvalidDataError, match="cannot save parameter 'seed': a object"):
        odd.save(tmp_path / "m")
    assert not list(tmp_path.iterdir())


class SeenChoices(Encoder):
    """An encoder that learns its columns: one for each choice of the first gene that it has seen."""

    stateless = False

    def _fit(self, architectures):
        self.seen_ = np.unique(architectures.genotypes[:, 0])

    def columns(self, space):
        return Columns.of([f"first = {choice}" for choice in self.seen_], "seen", indicator=True)

    def _transform(self, architectures):
        return architectures.genotypes[:, :1] == self.seen_

    def _get_state(self):
        return {"seen": self.seen_}

    def _set_state(self, state):
        self.seen_ = state["seen"]


@pytest.fixture
def seen_choices():
    archcast.register_encoder("seen_choices")(SeenChoices)


@pytest.mark.parametrize("encoder", ["seen_choices", "adjacency+seen_choices"])
@pytest.mark.usefixtures("seen_choices")
def test_learned_columns_come_back(tmp_path, encoder):
    architectures = SPACE.parse(TRAIN.genotypes[TRAIN.genotypes[:, 0] != 2])
    y = Y[: len(architectures)]
    predictor = make_predictor("ridge", encoder=make_encoder(encoder)).fit(architectures, y)
    predictor.save(tmp_path / "m")
    loaded = archcast.load_predictor(tmp_path / "m")
    np.testing.assert_array_equal(loaded.predict(TRAIN), predictor.predict(TRAIN))
    assert loaded.encoder_.get_feature_names_out().tolist() == predictor.encoder_.get_feature_names_out().tolist()


class Tagged(Predictor):
    """A predictor whose parameters need more than JSON."""

    def __init__(self, encoder=None, *, pair=(1, 2), table=None, target_transform="none", seed=0):
        super().__init__(encoder, target_transform=target_transform, seed=seed)
        self.pair = pair
        self.table = table

    def _fit(self, features, z):
        self.value_ = z.mean(axis=0, keepdims=True)

    def _predict(self, features):
        mean = np.repeat(self.value_, len(features), axis=0)
        return mean, np.ones_like(mean)

    def _get_state(self):
        return {"value": self.value_}

    def _set_state(self, state):
        self.value_ = state["value"]


def test_tuples_and_mappings_keep_their_kind(tmp_path):
    register_predictor("tagged")(Tagged)
    table = {"tuple": [1.5, None], "deep": {"encoder": (True, "x")}}
    predictor = make_predictor("tagged@adjacency", pair=(np.int64(3), (4.5,)), table=table).fit(TRAIN, Y)
    predictor.save(tmp_path / "m")
    loaded = archcast.load_predictor(tmp_path / "m")
    assert loaded.pair == (3, (4.5,))
    assert loaded.table == table


def test_metadata_is_kept_and_forgotten_by_the_next_fit(path):
    predictor = archcast.load_predictor(path)
    assert predictor.metadata_ == {}
    predictor.metadata_ = {"metric": "cifar10/test_accuracy", "epoch": 200, "direction": "higher"}
    predictor.save(path)
    assert archcast.load_predictor(path).metadata_ == predictor.metadata_
    assert predictor.fit(TRAIN, Y).metadata_ == {}


@pytest.mark.parametrize("metadata", [[], {"x": float("nan")}, {1: "x"}, {"x": object()}, {"x": (1, 2)}])
def test_metadata_that_json_does_not_give_back_is_refused(path, metadata):
    predictor = archcast.load_predictor(path)
    predictor.metadata_ = metadata
    before = path.read_bytes()
    with pytest.raises(InvalidDataError, match="metadata_ must be a dict"):
        predictor.save(path)
    assert path.read_bytes() == before


def test_files_without_metadata_can_still_be_read(path):
    contents = members(path)
    manifest = json.loads(contents["manifest.json"])
    del manifest["metadata"]
    write(path, signed({**contents, "manifest.json": json.dumps(manifest).encode()}))
    assert archcast.load_predictor(path).metadata_ == {}
