import io
import zipfile

import numpy as np
import pytest
import torch
from archcast.errors import InvalidDataError
from archcast.trainers import make_task, task_from_arrays, task_from_dataset, task_from_npz
from archcast.trainers.tasks.task import SPLITS, Split, Task
from torch.utils.data import Dataset, IterableDataset, TensorDataset

RNG = np.random.default_rng(0)
SIGNALS = RNG.normal(size=(20, 8))
CLASSES = np.arange(20) % 3
NUMBERS = RNG.normal(size=20)


def fails(match, function, *arguments, **parameters):
    with pytest.raises(InvalidDataError, match=match) as caught:
        function(*arguments, **parameters)
    assert "\n" not in str(caught.value)


# ---- tasks ----------------------------------------------------------------------------------------------------------


def split(n=4, inputs=(1, 8), targets=None):
    return Split(np.zeros((n, *inputs), np.float32), np.zeros(n, np.int64) if targets is None else targets)


def test_a_task_describes_itself():
    task = Task("t", split(1200), split(3), split(4), 2, metrics=["accuracy", "top5_accuracy"])
    assert repr(task) == "<Task 't': inputs (1, 8), 2 outputs; 1,200 train, 3 valid, 4 test>"
    assert task.metrics == ("accuracy", "top5_accuracy")
    assert task.curves() == {
        f"{part}/{name}": "lower" if name == "loss" else "higher"
        for part in SPLITS
        for name in ("loss", "accuracy", "top5_accuracy")
    }
    assert not any(name.startswith("test/") for name in task.curves(test=False))
    other = Task("u", split(1200), split(3), split(4, targets=np.array([0, 0, 0, 1])), 2)
    assert task.digest == Task("v", split(1200), split(3), split(4), 2).digest != other.digest


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"name": ""}, "the name of a task must not hold blanks"),
        ({"name": "a b"}, "must not hold blanks, '/', '@' or ',', got 'a b'"),
        ({"name": "a/b"}, "got 'a/b'"),
        ({"loss": "hinge"}, "unknown loss 'hinge' of task 't', expected cross_entropy, binary_cross_entropy, mse, mae"),
        ({"metrics": ("f1",)}, "unknown metric 'f1' of task 't', expected accuracy, top5_accuracy"),
        ({"metrics": "accuracy"}, "the metrics of task 't' must be a list of names, got 'accuracy'"),
        ({"metrics": ("mse",)}, "metric 'mse' of task 't' does not go with loss 'cross_entropy'"),
        ({"valid": split(0)}, "expected at least one example in the valid inputs of task 't', got none"),
        ({"test": split(2, (1, 9))}, r"test inputs of task 't' must have shape .*, got \(2, 1, 9\) beside \(4, 1, 8\)"),
        ({"train": split(4, (8,))}, r"train inputs of task 't' must have shape .*, got \(4, 8\)"),
        ({"valid": split(4, targets=np.zeros((4, 1), int))}, r"valid targets .* must have shape \(4,\), got \(4, 1\)"),
        ({"valid": split(4, targets=np.zeros(4))}, "must be classes, integers from 0 on, got float64"),
        ({"test": split(4, targets=np.array([0, 1, 2, 3]))}, "must be classes in 0..1, got 2 at position 2"),
        ({"test": split(4, targets=np.array([0, -1, 0, 0]))}, "must be classes in 0..1, got -1 at position 1"),
    ],
)
def test_what_is_no_task(changes, match):
    values = {"name": "t", "train": split(), "valid": split(), "test": split(), "outputs": 2, **changes}
    fails(match, Task, **values)


def test_numbers_must_be_finite_and_probabilities_in_range():
    inputs = np.zeros((4, 1, 8), np.float32)
    inputs[2, 0, 5] = np.nan
    fails(
        "valid inputs of task 't' must be finite numbers, got nan in example 2",
        Task,
        "t",
        split(),
        Split(inputs, np.zeros(4, int)),
        split(),
        2,
    )
    targets = np.zeros((4, 2), np.float32)
    good = Split(inputs[:2], targets[:2])
    for value, loss, match in (
        (np.inf, "mse", "test targets of task 't' must be finite numbers, got inf in example 3"),
        (1.5, "binary_cross_entropy", r"must be in \[0, 1\] for loss 'binary_cross_entropy', got .* at position 3"),
    ):
        targets = np.zeros((4, 2), np.float32)
        targets[3, 1] = value
        bad = Split(np.zeros((4, 1, 8), np.float32), targets)
        fails(match, Task, "t", good, good, bad, 2, loss=loss, metrics=())


# ---- arrays ---------------------------------------------------------------------------------------------------------


def test_parts_that_are_given_stay_as_they_are():
    parts = [(SIGNALS[a:b], CLASSES[a:b]) for a, b in ((0, 10), (10, 15), (15, 20))]
    task = task_from_arrays("mine", *parts)
    for name, (inputs, classes) in zip(SPLITS, parts, strict=True):
        np.testing.assert_array_equal(getattr(task, name).inputs, inputs[:, None].astype(np.float32))
        np.testing.assert_array_equal(getattr(task, name).targets, classes)
    assert (task.outputs, task.metrics, task.name) == (3, ("accuracy",), f"mine-{task.digest}")


@pytest.mark.parametrize("given", [(), ("valid",), ("test",)])
def test_missing_parts_are_drawn_from_training(given):
    more = dict.fromkeys(given, (SIGNALS[:3] + 9, CLASSES[:3]))
    task = task_from_arrays("mine", (SIGNALS, CLASSES), **more)
    drawn = [part for part in SPLITS if part not in given]
    rows = np.concatenate([getattr(task, part).inputs[:, 0] for part in drawn])
    order = [int(np.abs(SIGNALS - row).sum(axis=1).argmin()) for row in rows]
    assert sorted(order) == list(range(20))
    np.testing.assert_array_equal(np.concatenate([getattr(task, part).targets for part in drawn]), CLASSES[order])
    assert [len(getattr(task, part)) for part in drawn if part != "train"] == [4] * (2 - len(given))
    assert task_from_arrays("mine", (SIGNALS, CLASSES), **more).name == task.name
    assert task_from_arrays("mine", (SIGNALS, CLASSES), **more, seed=1).name != task.name


@pytest.mark.parametrize(
    ("inputs", "shape"),
    [
        (SIGNALS, (1, 8)),
        (SIGNALS.tolist(), (1, 8)),
        (SIGNALS.reshape(20, 2, 4), (2, 4)),
        (SIGNALS.reshape(20, 2, 2, 2).astype(np.float16), (2, 2, 2)),
        ((100 * SIGNALS).astype(np.uint8), (1, 8)),
        (SIGNALS > 0, (1, 8)),
        (torch.from_numpy(SIGNALS), (1, 8)),
    ],
)
def test_inputs(inputs, shape):
    task = task_from_arrays("mine", (inputs, CLASSES))
    assert task.inputs == shape and task.train.inputs.dtype == np.float32


@pytest.mark.parametrize("classes", [CLASSES.tolist(), CLASSES.astype(np.uint8), CLASSES.astype(float), CLASSES > 0])
def test_classes(classes):
    task = task_from_arrays("mine", (SIGNALS, classes))
    assert task.train.targets.dtype == np.int64 and task.outputs == int(np.max(classes)) + 1


@pytest.mark.parametrize(("targets", "outputs"), [(NUMBERS, 1), (SIGNALS[:, :3], 3), (CLASSES, 1)])
def test_numbers_to_predict(targets, outputs):
    task = task_from_arrays("mine", (SIGNALS, targets), loss="mse", metrics=("mae",))
    assert (task.outputs, task.metrics) == (outputs, ("mae",))
    assert task.train.targets.dtype == np.float32 and task.train.targets.shape == (12, outputs)
    assert task_from_arrays("mine", (SIGNALS, targets), loss="mae").metrics == ()


@pytest.mark.parametrize(
    ("train", "parameters", "match"),
    [
        (None, {}, "the train data of 'mine' must be a pair of inputs and targets, got None"),
        (3, {}, "the train data of 'mine' must be a pair of inputs and targets, got int"),
        ((SIGNALS,), {}, "must be a pair of inputs and targets, got tuple"),
        ((SIGNALS, CLASSES[:-1]), {}, r"as many inputs .* as targets, got shapes \(20, 8\) and \(19,\)"),
        ((SIGNALS[:, 0], CLASSES), {}, r"got shapes \(20,\) and \(20,\)"),
        ((1.0, 1), {}, r"got shapes \(\) and \(\)"),
        ((SIGNALS, 1), {}, r"got shapes \(20, 8\) and \(\)"),
        ((SIGNALS.reshape(20, 2, 2, 2, 1), CLASSES), {}, r"must have shape .*, got \(12, 2, 2, 2, 1\)"),
        ((SIGNALS.astype(str), CLASSES), {}, "inputs of the train data of 'mine' must be numbers, got <U"),
        ((SIGNALS, CLASSES.astype(object)), {}, "targets of the train data of 'mine' must be numbers, got object"),
        (([[1, 2], [3]], [0, 1]), {}, "inputs of the train data of 'mine' must have one shape, got rows of different"),
        ((SIGNALS * 1j, CLASSES), {}, "must be numbers, got complex128"),
        (
            (SIGNALS, np.full(20, 0.5)),
            {},
            "must be classes, integers from 0 on, got 0.5 at position 0",
        ),
        ((SIGNALS, CLASSES - 1), {}, r"must be classes in 0..1, got -1 at position \d"),
        ((SIGNALS, np.full(20, np.inf)), {}, "must be classes, integers from 0 on, got inf at position 0"),
        ((SIGNALS, np.where(NUMBERS > 9, 0, np.nan)), {}, "must be classes, integers from 0 on, got nan at position 0"),
        ((SIGNALS * np.nan, CLASSES), {}, "train inputs of task .* must be finite numbers, got nan in example 0"),
        ((SIGNALS * 1e300, CLASSES), {}, "must be finite numbers, got -?inf in example"),
        ((SIGNALS, NUMBERS * 1e300), {"loss": "mse"}, "must be finite numbers, got -?inf in example"),
        ((SIGNALS[:2], CLASSES[:2]), {}, "expected at least one example in the train inputs of task .*, got none"),
        ((SIGNALS[:0], CLASSES[:0]), {}, "expected at least one example"),
        ((SIGNALS, CLASSES), {"loss": "hinge"}, "unknown loss 'hinge', expected cross_entropy"),
        ((SIGNALS, CLASSES), {"metrics": ("mse",)}, "metric 'mse' of task .* does not go with loss 'cross_entropy'"),
        ((SIGNALS, CLASSES), {"seed": -1}, "the seed of a split must be an integer from 0 on, got -1"),
        ((SIGNALS, CLASSES), {"seed": 1.5}, "the seed of a split must be an integer from 0 on, got 1.5"),
        ((SIGNALS, CLASSES), {"valid": (SIGNALS[:, :4], CLASSES)}, r"valid inputs of task .*got \(20, 1, 4\)"),
        ((SIGNALS, CLASSES), {"test": 5}, "the test data of 'mine' must be a pair"),
        ((SIGNALS, SIGNALS[:, :, None]), {"loss": "mse"}, "must have shape"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_arrays_that_do_not_fit(train, parameters, match):
    fails(match, task_from_arrays, "mine", train, **parameters)


# ---- files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_npz(tmp_path, write):
    path = tmp_path / "my data@home.npz"
    write(path, x_train=SIGNALS, y_train=CLASSES, x_test=SIGNALS[:5], y_test=CLASSES[:5])
    task = task_from_npz(path)
    expected = task_from_arrays("my_data_home", (SIGNALS, CLASSES), test=(SIGNALS[:5], CLASSES[:5]))
    assert task.name == expected.name and task.digest == expected.digest
    assert make_task("npz", path=str(path)).name == task.name
    assert make_task("npz", path=path, seed=1).name != task.name
    write(path, x_train=SIGNALS, y_train=NUMBERS)
    assert make_task("npz", path=path, loss="mse").outputs == 1


def test_npz_that_lack_something(tmp_path):
    path = tmp_path / "data.npz"
    for arrays, match in (
        ({"y_train": CLASSES}, "data.npz' has no array 'x_train', it has y_train"),
        ({"x_train": SIGNALS, "y_train": CLASSES, "y_test": CLASSES}, "has no array 'x_test', it has x_train, y_train"),
        ({"x_train": SIGNALS, "y_train": CLASSES, "x_valid": SIGNALS}, "has no array 'y_valid'"),
        ({}, "has no array 'x_train', it has none"),
        ({"x_train": SIGNALS, "y_train": CLASSES.astype(object)}, "cannot read arrays from .*allow_pickle"),
    ):
        np.savez(path, **arrays)
        fails(match, task_from_npz, path)


def test_files_that_are_no_npz(tmp_path):
    fails("cannot read arrays from '/nowhere.npz': No such file", task_from_npz, "/nowhere.npz")
    fails("cannot read arrays from .*: Is a directory", task_from_npz, tmp_path)
    path = tmp_path / "data.npz"
    array = io.BytesIO()
    np.save(array, SIGNALS)
    for content in (b"", b"text", array.getvalue()):
        path.write_bytes(content)
        fails("data.npz' is no .npz file, which is an archive of arrays", task_from_npz, path)
    np.savez_compressed(path, x_train=SIGNALS, y_train=CLASSES)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:200] + bytes(300) + whole[500:], b"PK" + bytes(50)):
        path.write_bytes(content)
        fails("cannot read arrays from '.*data.npz': ", task_from_npz, path)


def test_npz_whose_header_lies(tmp_path):
    path = tmp_path / "data.npz"
    header = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little")
    header += b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 1000), }".ljust(117) + b"\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x_train.npy", header + bytes(64))
        archive.writestr("y_train.npy", header + bytes(64))
    fails("cannot read arrays from '.*data.npz': ", task_from_npz, path)


def test_damaged_npz_never_raise_anything_else(tmp_path):
    path = tmp_path / "data.npz"
    np.savez_compressed(path, x_train=SIGNALS, y_train=CLASSES)
    whole = path.read_bytes()
    refused = 0
    for place in np.random.default_rng(0).integers(len(whole), size=200):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            task_from_npz(path)
        except InvalidDataError as error:
            refused += 1
            assert "data" in str(error)
    assert refused > 100


# ---- data sets of PyTorch -------------------------------------------------------------------------------------------


class Items(Dataset):
    def __init__(self, items):
        self.items, self.read = items, []

    def __len__(self):
        return len(self.items)

    def __getitem__(self, row):
        self.read.append(row)
        return self.items[row]


def test_data_sets():
    inputs, classes = torch.from_numpy(SIGNALS.astype(np.float32))[:, None], torch.from_numpy(CLASSES)
    task = task_from_dataset("mine", TensorDataset(inputs, classes))
    assert task.name == task_from_arrays("mine", (inputs, classes)).name
    data = TensorDataset(inputs, classes)
    given = task_from_dataset("mine", data, test=torch.utils.data.Subset(data, [3, 4]))
    np.testing.assert_array_equal(given.test.inputs, inputs[3:5].numpy())
    assert [len(given.train), len(given.valid), len(given.test)] == [16, 4, 2]
    numbers = TensorDataset(inputs, torch.from_numpy(NUMBERS))
    assert task_from_dataset("mine", numbers, loss="mse", metrics=("mae",)).outputs == 1


def test_items_of_many_kinds():
    arrays = Items([(row, int(label)) for row, label in zip(SIGNALS.tolist(), CLASSES, strict=True)])
    task = task_from_dataset("mine", arrays)
    assert task.digest == task_from_arrays("mine", (SIGNALS, CLASSES)).digest
    assert arrays.read == list(range(20))
    mixed = Items([(np.zeros(4, np.uint8), 0), (torch.full((4,), 0.5, requires_grad=True), torch.tensor(1))] * 5)
    task = task_from_dataset("mine", mixed, mixed, mixed)
    np.testing.assert_array_equal(task.train.inputs[:, 0, 0], [0, 0.5] * 5)
    whole = Items([([0.0, 1.0], 1), ([0.0, 1.0], 0.5)] * 5)
    assert sorted(set(task_from_dataset("mine", whole, loss="mse").train.targets.ravel())) == [0.5, 1]


def test_limit_reads_no_more():
    data = Items([(row, int(label)) for row, label in zip(SIGNALS, CLASSES, strict=True)])
    task = task_from_dataset("mine", data, data, data, limit=6)
    assert [len(getattr(task, part)) for part in SPLITS] == [6, 6, 6] and len(data.read) == 18
    assert data.read[:6] != data.read[6:12]
    assert task_from_dataset("mine", data, data, data, limit=6).name == task.name
    assert task_from_dataset("mine", data, data, data, limit=6, seed=1).name != task.name
    assert len(task_from_dataset("mine", data, data, data, limit=99).train) == 20


class Stream(IterableDataset):
    def __iter__(self):
        yield from zip(SIGNALS, CLASSES, strict=True)


class Broken(Items):
    def __getitem__(self, row):
        if row == 2:
            raise OSError("disk is gone")
        return super().__getitem__(row)


GOOD = [(np.zeros(4), 0), (np.ones(4), 1)] * 5


@pytest.mark.parametrize(
    ("data", "parameters", "match"),
    [
        (None, {}, "the train data of 'mine' must be a data set with a length and items, got NoneType"),
        (Stream(), {}, "the train data of 'mine' must be a data set with a length and items, got Stream"),
        (Items([]), {}, "expected at least one item in the train data of 'mine', got none"),
        (Broken(GOOD), {}, "item 2 of the train data of 'mine' cannot be read: OSError: disk is gone"),
        (Items([np.zeros(4)]), {}, "item 0 of the train data of 'mine' must be a pair of an input and a target"),
        (
            Items([*GOOD, (np.zeros(5), 0)]),
            {},
            r"input of item 10 .* must have shape \(4,\) like the first, got \(5,\)",
        ),
        (Items([*GOOD, (np.zeros(4), [0])]), {}, r"the target of item 10 .* must have shape \(\) like the first"),
        (Items([*GOOD, ("text", 0)]), {}, "the input of item 10 .* must be a tensor, an array or a number, got str"),
        (Items([(np.zeros(4), None)]), {}, "the target of item 0 .* must be a tensor, an array or a number, got None"),
        (Items([(torch.zeros(4, dtype=torch.bfloat16), 0)]), {}, "got Tensor of torch.bfloat16"),
        (Items(GOOD), {"limit": 0}, "the limit of items must be an integer of at least 1, got 0"),
        (Items(GOOD), {"seed": -1}, "the seed of a split must be an integer from 0 on, got -1"),
        (Items(GOOD), {"valid": 7}, "the valid data of 'mine' must be a data set with a length and items, got int"),
    ],
)
def test_data_sets_that_cannot_be_read(data, parameters, match):
    fails(match, task_from_dataset, "mine", data, **parameters)


def test_images_of_pillow_are_refused_by_name():
    from PIL import Image

    fails("the input of item 0 .* got Image", task_from_dataset, "mine", Items([(Image.new("RGB", (4, 4)), 0)]))
