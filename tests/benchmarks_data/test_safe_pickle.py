from __future__ import annotations

import os
import pickle
import pickletools
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from archcast.benchmarks_data.safe_pickle import safe_load
from archcast.errors import TableFormatError, UnsafeFileError
from hypothesis import given, settings
from hypothesis import strategies as st

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Runs:
    """Pickles into a call of `function(*arguments)`."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner), st.tuples(inner, inner)),
    max_leaves=8,
)


@given(plain, st.sampled_from(PROTOCOLS))
@settings(max_examples=60, deadline=None)
def test_plain_data_round_trips(value, protocol):
    assert safe_load(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_numbers_of_numpy_and_odd_containers(protocol):
    value = {
        10000: {"perf": np.float64(0.797), "count": np.int32(3), "flag": np.bool_(True), "name": np.str_("gat")},
        "set": {1, 2},
        "frozen": frozenset([3]),
        "ordered": OrderedDict([("b", 1), ("a", 2)]),
        "complex": 1 + 2j,
    }
    loaded = safe_load(pickle.dumps(value, protocol))
    assert loaded == value and isinstance(loaded["ordered"], OrderedDict)
    assert [type(x) for x in loaded[10000].values()] == [np.float64, np.int32, np.bool_, np.str_]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
        np.array([1.5, -2], dtype=">f8"),
        np.array(["a", "bcd"]),
        np.zeros((0, 4), dtype=np.float32),
        np.array(3.0),
    ],
)
def test_arrays(array, protocol):
    loaded = safe_load(pickle.dumps({"x": [array, array]}, protocol))["x"]
    np.testing.assert_array_equal(loaded[0], array)
    assert loaded[0].dtype == array.dtype and loaded[0].shape == array.shape


def test_names_of_old_and_new_numpy():
    for core in (b"numpy.core.multiarray", b"numpy._core.multiarray"):
        data = b"c" + core + b"\nscalar\n(cnumpy\ndtype\n(S'f8'\nI00\nI01\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"
        data += b"U\x08" + np.float64(1.5).tobytes() + b"tR."  # the way Python 2 wrote it
        assert safe_load(data) == 1.5


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("function", "arguments", "named"),
    [
        (os.system, ("touch {path}",), f"{os.system.__module__}.system"),
        (eval, ("__import__('pathlib').Path('{path}').touch()",), r"(builtins|__builtin__)\.eval"),
        (exec, ("open('{path}', 'w')",), r"(builtins|__builtin__)\.exec"),
        (getattr, ({}, "keys"), r"(builtins|__builtin__)\.getattr"),
        (Path, ("{path}",), "pathlib"),
        (np.load, ("{path}",), "numpy.*load"),
        (bytearray, (10**12,), "bytearray"),
    ],
)
def test_code_is_refused_by_name_and_not_run(tmp_path, function, arguments, named, protocol):
    path = tmp_path / "was_here"
    filled = [a.format(path=path) if isinstance(a, str) else a for a in arguments]
    data = pickle.dumps({"harmless": 1, "x": Runs(function, *filled)}, protocol)
    with pytest.raises(UnsafeFileError, match=named):
        safe_load(data)
    assert not path.exists()


def test_what_is_allowed_cannot_be_changed_or_kept():
    for stream in (
        b"cnumpy.core.multiarray\nscalar\n(N(dS'__defaults__'\nI1\nst" + b"b.",
        b"ccollections\nOrderedDict\n(dS'x'\nI1\nsb.",
        b"cnumpy\ndtype\n(dS'x'\nI1\nsb.",
    ):
        with pytest.raises(UnsafeFileError, match="change a function"):
            safe_load(stream)
    with pytest.raises(UnsafeFileError, match="only data are read"):
        safe_load(b"(lcnumpy\ndtype\na.")
    with pytest.raises(UnsafeFileError, match="outside itself"):
        safe_load(b"Pname\n.")
    with pytest.raises(UnsafeFileError, match="registry of code"):
        safe_load(b"\x82\x01.")


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04\x95" + b"\xff" * 7 + b"\x7f" + b"N.",  # a frame of 2 ** 63 bytes
        b"Nr\xff\xff\xff\x7f.",  # entry 2 ** 31 of the memo
        b"\x96" + b"\x00" * 7 + b"\x01",  # 2 ** 56 bytes
        b"\x8e" + b"\x00" * 7 + b"\x01x.",
    ],
)
def test_claims_of_memory_are_refused_beforehand(data):
    with pytest.raises((TableFormatError, UnsafeFileError)):
        safe_load(data)


@pytest.mark.parametrize("dtype", ["O8", "V8", "i4,f4", "M8[s]", "f8" * 50])
def test_dtypes_of_objects_are_refused(dtype):
    with pytest.raises(UnsafeFileError, match="numpy dtype"):
        safe_load(f"cnumpy\ndtype\n(S'{dtype}'\nI00\nI01\ntR.".encode())


def test_object_arrays_are_refused():
    with pytest.raises(UnsafeFileError):
        safe_load(pickle.dumps(np.array([1, "a", None], dtype=object)))


def test_array_whose_size_lies():
    data = pickle.dumps(np.zeros(4), 2)
    assert safe_load(data).shape == (4,)
    with pytest.raises(TableFormatError, match="data do not fit"):
        safe_load(data.replace(b"K\x04\x85", b"K\x05\x85"))


@given(st.integers(1, 200))
@settings(max_examples=30, deadline=None)
def test_truncated_pickles(length):
    data = pickle.dumps({i: {"perf": np.float64(i)} for i in range(10)})
    with pytest.raises((TableFormatError, UnsafeFileError)):
        safe_load(data[: min(length, len(data) - 1)])


@given(st.binary(max_size=60))
@settings(max_examples=60, deadline=None)
def test_noise_never_raises_anything_else(data):
    try:
        safe_load(data)
    except (TableFormatError, UnsafeFileError) as error:
        assert str(error)


def test_shared_structures_stay_small():
    value: list = [1]
    for _ in range(60):
        value = [value, value]  # 2 ** 60 leaves if written out
    loaded = safe_load(pickle.dumps(value))
    assert loaded[0] is loaded[1]
    cycle: list = []
    cycle.append(cycle)
    with pytest.raises(TableFormatError):
        safe_load(pickle.dumps(cycle))


def test_the_tests_do_pickle_globals():
    names = {arg for op, arg, _ in pickletools.genops(pickle.dumps(Runs(os.system, "x"), 0)) if op.name == "GLOBAL"}
    assert names == {f"{os.system.__module__} system"}
