from __future__ import annotations

import json
import shutil

import archcast as ac
import h5py
import numpy as np
import pytest
from archcast.benchmarks_data import Column, MetricInfo, Table, load_table, write_table
from archcast.benchmarks_data import schema as layout
from archcast.errors import InvalidArchitectureError, InvalidDataError, TableFormatError, UnknownNameError
from hypothesis import given, settings
from hypothesis import strategies as st

ROWS = [[0] * 6, [1] * 6, [2] * 6]


@pytest.fixture(scope="module")
def space():
    return ac.get_space("nasbench201")


def make(path, space, rows=ROWS, values=(1.0, 2.0, 3.0), **info):
    column = Column(MetricInfo(info.pop("name", "toy/score"), **info), np.array(values))
    return write_table(path, space, rows, [column])


def tamper(path, change):
    with h5py.File(path, "r+") as file:
        change(file)
    return path


# ---- files that are no tables ---------------------------------------------------------------------------------------


def test_missing_empty_and_foreign_files(tmp_path):
    with pytest.raises(TableFormatError, match="there is no table file"):
        Table(tmp_path / "none.h5")
    with pytest.raises(TableFormatError, match="there is no table file"):
        Table(tmp_path)
    (tmp_path / "empty.h5").touch()
    with pytest.raises(TableFormatError, match=r"empty\.h5' is empty"):
        Table(tmp_path / "empty.h5")
    (tmp_path / "text.h5").write_text("architecture,accuracy\n")
    with pytest.raises(TableFormatError, match="is not an HDF5 file"):
        Table(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = [1, 2]
    with pytest.raises(TableFormatError, match="not an archcast table"):
        Table(tmp_path / "other.h5")


@pytest.mark.parametrize("share", [0.002, 0.1, 0.5, 0.9, 0.999])
def test_truncated_files(tmp_path, share):
    whole = load_table("nasbench201").path.read_bytes()
    path = tmp_path / "cut.h5"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(TableFormatError, match=r"truncated|damaged|not an HDF5"):
        Table(path)


def test_damaged_column_is_named_when_it_is_read(tmp_path):
    path = tmp_path / "hurt.h5"
    shutil.copy(load_table("nasbench201").path, path)
    with h5py.File(path) as file:
        chunk = file["metrics/cifar100/test_accuracy"].id.get_chunk_info(0)
    with path.open("r+b") as raw:
        raw.seek(chunk.byte_offset)
        raw.write(b"\xff" * 200)
    table = Table(path)
    assert table.values("cifar10/test_accuracy").max() == 94.3733
    with pytest.raises(TableFormatError, match=r"hurt\.h5' is a damaged archcast table"):
        table.values("cifar100/test_accuracy")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.attrs.__setitem__("format_version", 2), "format version 2, this archcast reads up to 1"),
        (lambda f: f.attrs.__setitem__("format_version", 0), "format version 0"),
        (lambda f: f.attrs.__setitem__("space", '{"space": "moon", "parameters": {}}'), "unknown space 'moon'"),
        (lambda f: f.attrs.__setitem__("space", "{"), "no search space known"),
        (lambda f: f.attrs.__setitem__("space", '{"space": "nasbench_macro"}'), r"expected \(n, 8\) integers"),
        (lambda f: f.attrs.__setitem__("cost_metric", "toy/time"), "counts costs by 'toy/time'"),
        (lambda f: f.__delitem__("genotypes"), "without 'genotypes'"),
        (lambda f: f.__delitem__("metrics"), "without metrics"),
        (lambda f: f["metrics/toy/score"].attrs.__setitem__("direction", "up"), "direction 'up'"),
        (lambda f: f["metrics/toy/score"].attrs.__setitem__("seeds", [1, 1]), "damaged .* distinct seed labels"),
        (lambda f: f["metrics/toy/score"].attrs.__setitem__("epochs", [3, 7]), r"must hold \(3, 1, 2\) floats"),
        (lambda f: f.create_dataset("metrics/toy/flat", data=np.zeros(3)), "direction ''"),
    ],
)
def test_headers_that_contradict(tmp_path, space, change, said):
    path = tamper(make(tmp_path / "t.h5", space), change)
    with pytest.raises(TableFormatError, match=said):
        Table(path)


def test_genotypes_are_checked_when_they_are_used(tmp_path, space):
    path = make(tmp_path / "t.h5", space)
    tamper(path, lambda f: f["genotypes"].write_direct(np.array([[0] * 6, [1] * 6, [7] * 6], dtype=np.int8)))
    with pytest.raises(TableFormatError, match=r"row 2 of .* gene '0->1' must be in 0..4, got 7"):
        _ = Table(path).architectures
    tamper(path, lambda f: f["genotypes"].write_direct(np.array([[0] * 6, [1] * 6, [0] * 6], dtype=np.int8)))
    with pytest.raises(TableFormatError, match="same architecture in rows 0 and 2"):
        Table(path).rows(space.parse([[0] * 6]))


# ---- writing --------------------------------------------------------------------------------------------------------


def test_same_content_same_bytes(tmp_path, space):
    first = make(tmp_path / "a.h5", space, note="ä note", unit="%").read_bytes()
    second = make(tmp_path / "b.h5", space, note="ä note", unit="%").read_bytes()
    assert first == second
    info = Table(tmp_path / "a.h5").info("toy/score")
    assert (info.note, info.unit, info.direction, info.epochs, info.seeds) == ("ä note", "%", "higher", (), (0,))


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"rows": [[0] * 6, [1] * 6, [0] * 6]}, InvalidDataError, r"rows 0 and 2 are the same architecture \|none~0\|"),
        ({"rows": [[0] * 6, [1] * 6, [9] * 6]}, InvalidArchitectureError, "architecture 2"),
        ({"rows": [], "values": ()}, InvalidDataError, "at least one architecture"),
        ({"values": (1.0, 2.0)}, InvalidDataError, r"shape \(3, 1, 1\), got \(2, 1, 1\)"),
        ({"values": (1.0, np.inf, 2.0)}, InvalidDataError, "'toy/score' is infinite in row 1"),
        ({"name": "score"}, InvalidDataError, "a metric needs a name like"),
        ({"name": "a/b/c"}, InvalidDataError, "a metric needs a name like"),
        ({"direction": "up"}, InvalidDataError, "'higher' or 'lower', got 'up'"),
        ({"epochs": (3, 3)}, InvalidDataError, "must increase"),
        ({"seeds": ()}, InvalidDataError, "distinct seed labels"),
    ],
)
def test_bad_content_leaves_the_old_file(tmp_path, space, arguments, error, said):
    path = make(tmp_path / "t.h5", space)
    before = path.read_bytes()
    with pytest.raises(error, match=said):
        make(path, space, **arguments)
    assert path.read_bytes() == before and [item.name for item in tmp_path.iterdir()] == ["t.h5"]


def test_a_failure_half_way_leaves_nothing(tmp_path, space, monkeypatch):
    monkeypatch.setattr("archcast.benchmarks_data.writing._write_text", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        make(tmp_path / "t.h5", space)
    assert not list(tmp_path.iterdir())


def test_missing_folder_and_repeated_columns(tmp_path, space):
    with pytest.raises(InvalidDataError, match="its folder does not exist"):
        make(tmp_path / "none" / "t.h5", space)
    with pytest.raises(InvalidDataError, match="it is a folder"):
        make(tmp_path, space)
    column = Column(MetricInfo("a/b"), np.zeros(3))
    for columns in ([], [column, column]):
        with pytest.raises(InvalidDataError, match="at least one metric, and distinct ones"):
            write_table(tmp_path / "t.h5", space, ROWS, columns)
    with pytest.raises(InvalidDataError, match="'x/y' is none of the metrics"):
        write_table(tmp_path / "t.h5", space, ROWS, [column], about={"cost_metric": "x/y"})
    with pytest.raises(InvalidDataError, match="is described by"):
        write_table(tmp_path / "t.h5", space, ROWS, [column], about={"licence": "MIT", "author": "me"})


@given(st.lists(st.one_of(st.floats(allow_infinity=False), st.decimals(0, 100, places=4)), min_size=3, max_size=3))
@settings(max_examples=30, deadline=None)
def test_values_come_back_exactly(tmp_path_factory, values):
    space = ac.get_space("nasbench201")
    given_values = np.array([float(value) for value in values])
    path = make(tmp_path_factory.mktemp("x") / "t.h5", space, values=given_values)
    np.testing.assert_array_equal(Table(path).values("toy/score"), given_values)


def test_published_digits_need_four_bytes_only():
    info = MetricInfo("a/b")
    stored, decimals = Column(info, np.array([94.3733, 10.0, np.nan])).stored(3)
    assert (stored.dtype, decimals) == (np.float32, 4)
    stored, decimals = Column(info, np.array([1 / 3, 1e-9, 2.0])).stored(3)
    assert (stored.dtype, decimals) == (np.float64, -1)
    stored, decimals = Column(info, np.array([1 / 3, 1e-9, 2.0]), single=True).stored(3)
    assert (stored.dtype, decimals) == (np.float32, -1)
    stored, _ = Column(info, np.array([16_777_217.0])).stored(1)
    assert stored.dtype == np.float64 and stored[0] == 16_777_217


def test_large_tables_answer_from_their_stored_index(tmp_path, monkeypatch):
    space = ac.get_space("cell", operations_on="edges", nodes=4, operations=list("abcdefgh"))
    n = layout.LARGE + 1000
    archs = space.sample(n, seed=0)
    curve = np.arange(2.0 * n).reshape(n, 1, 2)
    path = write_table(tmp_path / "big.h5", space, archs, [Column(MetricInfo("a/b", epochs=(1, 2)), curve)])
    table = Table(path)
    rows = np.random.default_rng(0).integers(0, n, 5000)
    monkeypatch.setattr("archcast.benchmarks_data.lookup.RowIndex.build", None)  # must not be needed
    assert table.rows(archs[rows]).tolist() == rows.tolist()
    np.testing.assert_array_equal(table.query(archs[rows], "a/b", epoch=1), 2.0 * rows)
    outside = space.parse(np.array([[7, 7, 7, 7, 7, 7]]))
    expected = np.flatnonzero((archs.genotypes == 7).all(axis=1))
    assert table.rows(outside, missing="-1").tolist() == (expected.tolist() or [-1])
    monkeypatch.undo()
    view = table.select(np.arange(100))
    assert view.rows(archs[[42]]).tolist() == [42] and view.rows(archs[[200]], missing="-1").tolist() == [-1]


def test_large_table_with_a_foreign_index_is_refused(tmp_path):
    space = ac.get_space("cell", operations_on="edges", nodes=4, operations=list("abcdefgh"))
    archs = space.sample(layout.LARGE + 1, seed=0)
    path = write_table(tmp_path / "big.h5", space, archs, [Column(MetricInfo("a/b"), np.zeros(len(archs)))])

    def shorten(file):
        del file["index/keys"]
        file["index/keys"] = np.zeros(5, dtype=np.uint64)

    with pytest.raises(TableFormatError, match="do not fit its genotypes"):
        Table(tamper(path, shorten)).rows(archs[:1])


# ---- opening by name ------------------------------------------------------------------------------------------------


def test_load_table_by_path_and_name(tmp_path, space, monkeypatch):
    path = make(tmp_path / "mine.h5", space)
    assert len(load_table(path)) == len(load_table(str(path))) == 3
    monkeypatch.chdir(tmp_path)
    assert load_table("mine.h5").path == path
    shutil.copy(path, tmp_path / "bare")
    assert len(load_table("bare")) == 3
    with pytest.raises(UnknownNameError, match="did you mean 'nasbench201'"):
        load_table("nasbench21")
    with pytest.raises(TableFormatError, match="there is no table file"):
        load_table("absent.h5")


def test_registered_tables_open_by_name(tmp_path, space):
    from archcast.benchmarks_data import TABLES, register_table

    path = make(tmp_path / "mine.h5", space)
    register_table("my_table_for_a_test")(lambda: Table(path))
    register_table("no_table_for_a_test")(lambda: 3)
    try:
        assert len(load_table("my_table_for_a_test")) == 3
        with pytest.raises(InvalidDataError, match="registered with an int, expected a Table"):
            load_table("no_table_for_a_test")
    finally:
        for name in ("my_table_for_a_test", "no_table_for_a_test"):
            del TABLES._registered[name]


def test_layout_is_what_the_documentation_says(tmp_path, space):
    with h5py.File(make(tmp_path / "t.h5", space, unit="%")) as file:
        assert file["genotypes"].shape == (3, 6) and file["genotypes"].dtype == np.int8
        assert json.loads(file.attrs["space"]) == {"space": "nasbench201", "parameters": {}}
        assert file.attrs["format_version"] == layout.FORMAT_VERSION
        node = file["metrics/toy/score"]
        assert node.shape == (3, 1, 1) and node.compression == "gzip" and node.shuffle
        assert set(node.attrs) == {"unit", "direction", "note", "epochs", "seeds", "decimals"}
