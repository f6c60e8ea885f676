import gzip
import os
import pickle
import re

import data_set_files as files
import numpy as np
import pytest
from archcast.errors import InvalidDataError, UnsafeFileError
from archcast.trainers import make_task


class Runs:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def fails(match, name, root, error=InvalidDataError, **parameters):
    with pytest.raises(error, match=match) as caught:
        make_task(name, root=root, **parameters)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def standardised(pixels, training):
    """Plain definition: minus the mean, divided by the standard deviation, channel by channel."""
    axes = (0, 2, 3)
    values = training.astype(np.float64)
    mean, spread = values.mean(axis=axes, keepdims=True), values.std(axis=axes, keepdims=True)
    return (pixels - mean) / spread


def places(values, images):
    """Which image each example is: standardising keeps the order of the pixels of an image."""

    def orders(array):
        return [np.argsort(image.ravel(), kind="stable").tobytes() for image in array[:, 0]]

    known = {order: number for number, order in enumerate(orders(images))}
    return [known[order] for order in orders(values)]


def check_examples(part, images, classes, scale):
    """Return which images the examples are, each once, with its class and its pixels in the scale of others."""
    rows = places(part.inputs, images)
    np.testing.assert_allclose(part.inputs, standardised(images[rows], scale), atol=1e-5)
    np.testing.assert_array_equal(part.targets, np.asarray(classes)[rows])
    assert len(set(rows)) == len(rows)
    return set(rows)


def check_parts(task, train, classes, test, test_classes, shape):
    """Training and validation divide the training images, test holds all others, in the scale of the training part."""
    train, test = train.reshape(-1, *shape), test.reshape(-1, *shape)
    scale = train[places(task.train.inputs, train)]
    learning = check_examples(task.train, train, classes, scale)
    kept = check_examples(task.valid, train, classes, scale)
    assert not learning & kept and len(learning | kept) == len(train)
    assert check_examples(task.test, test, test_classes, scale) == set(range(len(test)))
    np.testing.assert_allclose(task.train.inputs.mean(axis=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(task.train.inputs.std(axis=(0, 2, 3)), 1, atol=1e-5)


@pytest.mark.parametrize("version", ["python", "binary"])
def test_cifar10(tmp_path, version):
    written = files.write_cifar10(tmp_path, version=version)
    task = make_task("cifar10", root=tmp_path, valid=30)
    assert (len(task.train), len(task.valid), len(task.test), task.outputs) == (70, 30, 20, 10)
    assert re.fullmatch(r"cifar10-valid30-[0-9a-f]{8}", task.name)
    check_parts(task, *written, (3, 32, 32))
    assert np.bincount(task.valid.targets).tolist() == [3] * 10
    (inner,) = tmp_path.iterdir()
    assert make_task("cifar10", root=str(inner), valid=30).digest == task.digest


def test_both_versions_hold_the_same(tmp_path):
    tasks = []
    for version in ("python", "binary"):
        (tmp_path / version).mkdir()
        files.write_cifar10(tmp_path / version, version=version)
        files.write_cifar100(tmp_path / version, version=version)
        tasks.append([make_task(f"cifar{n}", root=tmp_path / version, valid=20) for n in (10, 100)])
    assert [task.name for task in tasks[0]] == [task.name for task in tasks[1]]
    assert [task.digest for task in tasks[0]] == [task.digest for task in tasks[1]]


@pytest.mark.parametrize("version", ["python", "binary"])
def test_cifar100_has_the_fine_classes(tmp_path, version):
    written = files.write_cifar100(tmp_path, version=version)
    task = make_task("cifar100", root=tmp_path, valid=100)
    assert (len(task.train), len(task.valid), len(task.test), task.outputs) == (200, 100, 150, 100)
    assert task.metrics == ("accuracy", "top5_accuracy")
    check_parts(task, *written, (3, 32, 32))
    assert np.bincount(task.train.targets).tolist() == [2] * 100


def test_sizes_of_nasbench201(tmp_path):
    files.write_cifar10(tmp_path)
    files.write_cifar100(tmp_path, n=200)
    task = make_task("cifar10", root=tmp_path, valid="nasbench201")
    assert (len(task.train), len(task.valid), len(task.test)) == (50, 50, 20)
    assert task.name == make_task("cifar10", root=tmp_path, valid=50).name
    task = make_task("cifar100", root=tmp_path, valid="nasbench201")
    assert (len(task.train), len(task.valid), len(task.test)) == (200, 50, 50)
    assert task.name.startswith("cifar100-nasbench201-")


def test_python3_pickles_with_keys_of_bytes(tmp_path):
    pixels, classes, *_ = files.write_cifar100(tmp_path)
    path = tmp_path / "cifar-100-python" / "train"
    before = make_task("cifar100", root=tmp_path, valid=100)
    path.write_bytes(pickle.dumps({b"data": pixels, b"fine_labels": classes.tolist()}))
    assert make_task("cifar100", root=tmp_path, valid=100).digest == before.digest


def test_seeds_and_limits_change_the_name_and_the_data(tmp_path):
    files.write_cifar10(tmp_path)
    options = [{}, {"seed": 1}, {"limit": 20}, {"limit": 20, "seed": 1}, {"valid": 40}]
    tasks = [make_task("cifar10", root=tmp_path, **{"valid": 30, **more}) for more in options]
    assert len({task.name for task in tasks}) == len({task.digest for task in tasks}) == len(options)
    assert "-seed1-limit20-" in tasks[3].name
    assert [len(tasks[2].train), len(tasks[2].valid), len(tasks[2].test)] == [20, 20, 20]
    assert np.bincount(tasks[2].train.targets).tolist() == [2] * 10
    assert make_task("cifar10", root=tmp_path, valid=30).digest == tasks[0].digest


def test_imagenet16_keeps_the_first_120_classes(tmp_path):
    train, classes, others, other_classes = files.write_imagenet16(tmp_path)
    task = make_task("imagenet16_120", root=tmp_path)
    assert (task.inputs, task.outputs) == ((3, 16, 16), 120)
    assert len(task.train) == len(train) and len(task.valid) == len(others) // 2
    train, others = train.reshape(-1, 3, 16, 16), others.reshape(-1, 3, 16, 16)
    assert check_examples(task.train, train, classes, train) == set(range(len(train)))
    halves = [check_examples(part, others, other_classes, train) for part in (task.valid, task.test)]
    assert not halves[0] & halves[1] and len(halves[0] | halves[1]) == len(others)
    assert make_task("imagenet16_120", root=tmp_path / "ImageNet16", seed=1).name.startswith("imagenet16_120-seed1-")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize(
    ("inner", "compressed", "pattern"),
    [("", True, "{}-{}-idx{}-ubyte"), ("raw", False, "{}-{}-idx{}-ubyte"), ("", False, "{}-{}.idx{}-ubyte")],
)
def test_mnist(tmp_path, name, inner, compressed, pattern):
    images, labels, test_images, test_labels = files.write_mnist(
        tmp_path / inner, compressed=compressed, pattern=pattern
    )
    task = make_task(name, root=tmp_path, valid=20)
    assert (task.inputs, task.outputs, len(task.train)) == ((1, 28, 28), 10, 40)
    check_parts(task, images, labels, test_images, test_labels, (1, 28, 28))
    assert re.fullmatch(name + r"-valid20-[0-9a-f]{8}", task.name)


def test_mnist_in_the_folders_of_torchvision(tmp_path):
    for name, folder in (("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")):
        files.write_mnist(tmp_path / folder / "raw", compressed=True)
        assert len(make_task(name, root=tmp_path, valid=20).train) == 40


def test_official_numbers_of_images_have_the_plain_name(tmp_path, monkeypatch):
    files.write_cifar10(tmp_path)
    files.write_mnist(tmp_path / "mnist")
    train, _, others, _ = files.write_imagenet16(tmp_path)
    tasks = "archcast.trainers.tasks"
    monkeypatch.setattr(f"{tasks}.cifar._OFFICIAL", (100, 20))
    monkeypatch.setattr(f"{tasks}.idx._OFFICIAL", ((60, 1, 28, 28), (30, 1, 28, 28)))
    monkeypatch.setattr(f"{tasks}.imagenet16._OFFICIAL", (len(train), len(others)))
    assert make_task("cifar10", root=tmp_path, valid=25, seed=3).name == "cifar10-valid25-seed3"
    assert make_task("mnist", root=tmp_path / "mnist", valid=20, limit=10).name == "mnist-valid20-limit10"
    assert make_task("imagenet16_120", root=tmp_path).name == "imagenet16_120"


# ---- faults ---------------------------------------------------------------------------------------------------------


def test_roots_that_are_none(tmp_path):
    (tmp_path / "file").write_text("")
    for name in ("cifar10", "cifar100", "mnist", "fashion_mnist", "imagenet16_120", "folder"):
        fails("must be a folder, and '/nowhere' does not exist", name, "/nowhere")
        fails("file' is a file", name, tmp_path / "file")
        fails("must be a folder, got 3", name, 3)
        with pytest.raises(InvalidDataError, match=f"'{name}' needs the parameter 'root'"):
            make_task(name)
    message = fails("no files of task 'cifar10'", "cifar10", tmp_path)
    assert "'data_batch_1'" in message and "'data_batch_1.bin'" in message and "'cifar-10-batches-py'" in message
    assert "'train_data_batch_1'" in fails("no files of task", "imagenet16_120", tmp_path)
    assert "'train-images-idx3-ubyte.gz'" in fails("no file 'train-images-idx3-ubyte'", "mnist", tmp_path)


def test_missing_file(tmp_path):
    files.write_cifar10(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "data_batch_4").unlink()
    fails("data_batch_4' of task 'cifar10' does not exist, expected all of data_batch_1", "cifar10", tmp_path)
    files.write_mnist(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    fails("no file 't10k-labels-idx1-ubyte' of task 'mnist'", "mnist", tmp_path, valid=20)
    files.write_imagenet16(tmp_path)
    (tmp_path / "ImageNet16" / "val_data").unlink()
    fails("val_data' of task 'imagenet16_120' does not exist", "imagenet16_120", tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_truncated_pickles(tmp_path, share):
    files.write_cifar10(tmp_path)
    path = tmp_path / "cifar-10-batches-py" / "data_batch_2"
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    fails("data_batch_2' is (empty|truncated or corrupt)", "cifar10", tmp_path, valid=30)


def test_truncated_records(tmp_path):
    files.write_cifar10(tmp_path, version="binary")
    path = tmp_path / "cifar-10-batches-bin" / "test_batch.bin"
    path.write_bytes(path.read_bytes()[:-5])
    fails(r"test_batch.bin' must hold records of 3073 bytes, got 61455 bytes", "cifar10", tmp_path, valid=30)


@pytest.mark.parametrize("task", ["cifar10", "imagenet16_120"])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_pickles_that_run_code(tmp_path, task, protocol):
    files.write_cifar10(tmp_path)
    files.write_imagenet16(tmp_path)
    inner, name = ("cifar-10-batches-py", "data_batch_3") if task == "cifar10" else ("ImageNet16", "val_data")
    path = tmp_path / inner / name
    path.write_bytes(pickle.dumps({"data": Runs(tmp_path / "ran"), "labels": []}, protocol))
    message = fails(f"{name}' is refused: .*system", task, tmp_path, error=UnsafeFileError)
    assert "nothing of it was executed" in message and not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("batch", "match"),
    [
        ([1, 2], "data_batch_1' must hold a dictionary, got list"),
        ({"labels": [0]}, "data_batch_1' has no entry 'data', it has labels"),
        ({"data": np.zeros((2, 3072), np.uint8)}, "data_batch_1' has no entry 'labels', it has data"),
        ({"data": np.zeros((2, 768), np.uint8), "labels": [0, 1]}, r"must be uint8 \(n, 3072\), got uint8 \(2, 768\)"),
        ({"data": np.zeros((2, 3072)), "labels": [0, 1]}, r"must be uint8 \(n, 3072\), got float64"),
        ({"data": [1], "labels": [0]}, r"must be uint8 \(n, 3072\), got list"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [0]}, "data_batch_1' holds 2 images and 1 classes"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [0, 10]}, "must be in 0..9, got 10 at position 1"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [-1, 0]}, "must be in 0..9, got -1 at position 0"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": "ab"}, "must be a list of integers, got 'ab'"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [0, 0.5]}, "must be a list of integers"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [0, 2**70]}, "must be a list of integers"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": np.zeros((2, 1), int)}, "must be a list of integers"),
    ],
)
def test_batches_of_other_content(tmp_path, batch, match):
    files.write_cifar10(tmp_path)
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(pickle.dumps(batch, 2))
    assert "data_batch_1" in fails(match, "cifar10", tmp_path, valid=30)


def test_classes_of_imagenet16_start_at_one(tmp_path):
    files.write_imagenet16(tmp_path)
    path = tmp_path / "ImageNet16" / "train_data_batch_1"
    for label in (0, 1001):
        path.write_bytes(pickle.dumps({"data": np.zeros((1, 768), np.uint8), "labels": [label]}))
        fails(f"must be in 1..1000, got {label} at position 0", "imagenet16_120", tmp_path)


def test_missing_classes(tmp_path):
    files.write_cifar100(tmp_path, n=90)
    fails("has 100 classes, and no training image of class 90", "cifar100", tmp_path, valid="nasbench201")


def test_damaged_idx_files(tmp_path):
    files.write_mnist(tmp_path, compressed=True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    content = path.read_bytes()

    path.write_bytes(content[:-20])
    fails("train-images-idx3-ubyte.gz' is truncated or corrupt", "mnist", tmp_path)
    path.write_bytes(content[:100] + bytes(20) + content[120:])
    fails("train-images-idx3-ubyte.gz' (is truncated or corrupt|must)", "mnist", tmp_path)
    plain = gzip.decompress(content)
    path.write_bytes(plain[:-1])
    fails(r"must hold 47056 bytes for an array of shape \(60, 28, 28\), got 47055", "mnist", tmp_path)
    path.write_bytes(plain + b"x")
    fails("got 47057", "mnist", tmp_path)
    path.write_bytes(plain[:10])
    fails("must hold .* bytes for an array", "mnist", tmp_path)
    path.write_bytes(gzip.compress(files.idx(np.zeros((60, 28)))))
    fails("must start with 00000803, the mark of IDX files of bytes with 3 axes, got 00000802", "mnist", tmp_path)
    path.write_bytes(b"<html>not found</html>")
    fails("must start with 00000803.*got 3c68746d", "mnist", tmp_path)
    path.write_bytes(files.idx(np.zeros((59, 28, 28))))
    fails("holds 59 images, and .*train-labels-idx1-ubyte.gz' 60 classes", "mnist", tmp_path)
    path.write_bytes(files.idx(np.zeros((0, 28, 28))))
    fails("must hold", "mnist", tmp_path)
    path.write_bytes(content)
    labels = tmp_path / "train-labels-idx1-ubyte.gz"
    labels.write_bytes(files.idx(np.full(60, 10)))
    fails("train-labels-idx1-ubyte.gz' must be in 0..9, got 10 at position 0", "mnist", tmp_path)


def test_different_sizes_of_training_and_test_images(tmp_path):
    files.write_mnist(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(files.idx(np.zeros((30, 14, 14))))
    fails(r"test inputs of task 'mnist.*got \(30, 1, 14, 14\) beside \(40, 1, 28, 28\)", "mnist", tmp_path, valid=20)


def test_unreadable_file(tmp_path, monkeypatch):
    files.write_mnist(tmp_path)
    path = tmp_path / "train-images-idx3-ubyte"
    opened = type(path).open

    def refuse(self, *arguments, **options):
        if self == path:
            raise PermissionError(13, "Permission denied")
        return opened(self, *arguments, **options)

    monkeypatch.setattr(type(path), "open", refuse)
    fails("train-images-idx3-ubyte' cannot be read: Permission denied", "mnist", tmp_path)


def test_files_larger_than_any_published_one(tmp_path, monkeypatch):
    files.write_mnist(tmp_path, compressed=True)
    monkeypatch.setattr("archcast.trainers.tasks.reading.SIZE_LIMIT", 1000)
    fails("train-images-idx3-ubyte.gz' holds more than 1,000 bytes", "mnist", tmp_path)


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"valid": 0}, "'valid' of task 'cifar10' must be an integer from 1 to 99, got 0"),
        ({"valid": 100}, "from 1 to 99, got 100"),
        ({"valid": 2.5}, "from 1 to 99, got 2.5"),
        ({"valid": True}, "from 1 to 99, got True"),
        ({"valid": "half"}, "a number of images or 'nasbench201', got 'half'"),
        ({"seed": -1}, "'seed' of task 'cifar10' must be an integer of at least 0, got -1"),
        ({"seed": "1"}, "'seed' of task 'cifar10' must be an integer of at least 0, got '1'"),
        ({"limit": 0}, "'limit' of task 'cifar10' must be an integer of at least 1, got 0"),
        ({"limit": 9}, "'limit' of task 'cifar10.*' must be at least 10, one image of each class, got 9"),
        ({"valid": 95}, "no training image of class"),
        ({"colour": 1}, "has no parameter 'colour'"),
    ],
)
def test_parameters(tmp_path, parameters, match):
    files.write_cifar10(tmp_path)
    fails(match, "cifar10", tmp_path, **{"valid": 30, **parameters})
