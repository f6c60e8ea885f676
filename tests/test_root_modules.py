"""What stands beside the rooms: optional packages, devices, and components that are not what their kind promises."""

import sys

import pytest
from archcast import optional, registry
from archcast.designs import make_design
from archcast.errors import InvalidDataError, MissingDependencyError, UnknownNameError
from archcast.predictors import Predictor, make_predictor
from archcast.predictors.curves import make_extrapolator
from archcast.torch_runtime import torch_device

torch = pytest.importorskip("torch")


def test_a_missing_package_is_named_with_what_needs_it_and_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    said = r"^writing Parquet needs the package pyarrow: pip install 'archcast\[parquet\]'$"
    with pytest.raises(MissingDependencyError, match=said) as caught:
        optional.require("pyarrow.parquet", "writing Parquet", "parquet")
    assert isinstance(caught.value.__cause__, ImportError)
    with pytest.raises(MissingDependencyError, match=r"^this needs the package no_such: pip install no_such$"):
        optional.require("no_such", "this")
    assert optional.require("numpy.linalg", "this") is sys.modules["numpy.linalg"]


@pytest.mark.parametrize(
    ("gpus", "apple", "auto", "double", "there"),
    [
        (0, False, "cpu", "cpu", "cpu"),
        (0, True, "mps", "cpu", "cpu, mps"),
        (2, True, "cuda", "cuda", "cpu, mps, cuda, cuda:0, cuda:1"),
    ],
)
def test_devices(monkeypatch, gpus, apple, auto, double, there):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: apple)
    assert torch_device("auto") == torch.device(auto)
    assert torch_device("auto", double=True) == torch.device(double)
    for name in ("cuda:2", "tpu", ""):
        with pytest.raises(InvalidDataError, match=f"device must be auto or one of {there}, got '{name}'"):
            torch_device(name)


def test_components_of_another_kind_are_refused():
    things = registry.Registry("design", {"clock": registry.Entry(".registry:Entry", "no design", {"target": "x"})})
    with pytest.raises(InvalidDataError, match="design 'clock' is registered with an Entry, expected a Predictor"):
        things.make(Predictor, "clock", summary="y")


@pytest.mark.parametrize(
    ("make", "name"), [(make_predictor, "ridge"), (make_extrapolator, "feature_forest"), (make_design, "kmeans")]
)
def test_an_encoder_is_given_once(make, name):
    assert make(f"{name}@path").encoder == "path"
    assert make(name, encoder="path").encoder == "path"
    with pytest.raises(InvalidDataError, match=f"'{name}@path' names its encoder, got also 'operations'"):
        make(f"{name}@path", encoder="operations")
    with pytest.raises(UnknownNameError, match="unknown encoder 'pth'"):
        make(f"{name}@pth")
