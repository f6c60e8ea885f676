import re

import archcast as ac
import data_set_files as files
import numpy as np
import pytest
from archcast.errors import InvalidDataError
from archcast.trainers import Recipe, Status, make_task, train
from archcast.trainers.tasks.images import Images, evenly_drawn, image_task
from archcast.trainers.tasks.task import SPLITS
from PIL import Image


def fails(match, root, **parameters):
    with pytest.raises(InvalidDataError, match=match) as caught:
        make_task("folder", root=root, **parameters)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---- drawing and standardising --------------------------------------------------------------------------------------


def test_beginnings_have_the_shares_of_the_whole():
    classes = np.random.default_rng(0).permutation(np.repeat(np.arange(3), [600, 300, 3]))
    order = evenly_drawn(classes, seed=0, stream=0)
    assert sorted(order.tolist()) == list(range(len(classes)))
    assert set(classes[order[:3]].tolist()) == {0, 1, 2}
    for size in (3, 10, 100, 500):
        counts = np.bincount(classes[order[:size]], minlength=3)
        assert np.abs(counts - size * np.bincount(classes) / len(classes)).max() <= 2
    assert (order != evenly_drawn(classes, seed=1, stream=0)).any()
    assert (order != evenly_drawn(classes, seed=0, stream=1)).any()
    np.testing.assert_array_equal(order, evenly_drawn(classes, seed=0, stream=0))


def test_every_image_of_a_class_may_come_early():
    classes = np.arange(100) % 2
    first = {int(evenly_drawn(classes, seed, 0)[0]) for seed in range(60)}
    assert len(first) > 30


def test_channels_are_standardised_each_by_itself_and_constant_ones_are_zero():
    rng = np.random.default_rng(0)
    pixels = rng.integers(256, size=(9000, 3, 2, 2), dtype=np.uint8)
    pixels[:, 1] //= 16
    pixels[:, 2] = 77
    parts = {part: Images(pixels[rows], np.arange(len(pixels))[rows] % 2) for part, rows in _thirds(9000)}
    task = image_task("mine", parts, 2)
    training = parts["train"].pixels.astype(float)
    mean, spread = training.mean(axis=(0, 2, 3), keepdims=True), training.std(axis=(0, 2, 3), keepdims=True)
    spread[:, 2] = 1
    for part in SPLITS:
        expected = (parts[part].pixels - mean) / spread
        np.testing.assert_allclose(getattr(task, part).inputs, expected, atol=1e-6)
    assert (task.train.inputs[:, 2] == 0).all()


def _thirds(n):
    return [("train", slice(0, n - 40)), ("valid", slice(n - 40, n - 20)), ("test", slice(n - 20, n))]


# ---- digits ---------------------------------------------------------------------------------------------------------


def test_digits():
    from sklearn.datasets import load_digits

    task = make_task("digits")
    assert (task.name, task.inputs, task.outputs) == ("digits", (1, 8, 8), 10)
    assert [len(getattr(task, part)) for part in SPLITS] == [1000, 297, 500]
    assert task.train.inputs.mean() == pytest.approx(0, abs=1e-5) and task.train.inputs.std() == pytest.approx(1)
    data = load_digits()
    order = {image.tobytes(): label for image, label in zip(data.images.astype(np.uint8), data.target, strict=True)}
    step = np.diff(np.unique(task.train.inputs)).min()
    lowest = task.train.inputs.min()
    seen = set()
    for part in SPLITS:
        split = getattr(task, part)
        pixels = np.rint((split.inputs[:, 0] - lowest) / step).astype(np.uint8)
        assert [order[image.tobytes()] for image in pixels] == split.targets.tolist()
        seen |= {image.tobytes() for image in pixels}
        assert np.bincount(split.targets).min() >= 0.09 * len(split)
    assert len(seen) == len(order) == 1797


def test_digits_of_other_sizes_and_seeds():
    tasks = [make_task("digits", seed=1), make_task("digits", train=100, valid=50, test=1647), make_task("digits")]
    assert [task.name for task in tasks] == ["digits-seed1", "digits-train100-valid50-test1647", "digits"]
    assert len({task.digest for task in tasks}) == 3 and make_task("digits").digest == tasks[2].digest
    for parameters, match in (
        ({"train": 1001}, "there are 1797 digits, got 1001 [+] 297 [+] 500 = 1798"),
        ({"valid": 0}, "'valid' of digits must be an integer of at least 1, got 0"),
        ({"test": 1.0}, "'test' of digits must be an integer of at least 1, got 1.0"),
        ({"seed": True}, "'seed' of digits must be an integer of at least 0, got True"),
    ):
        with pytest.raises(InvalidDataError, match=match):
            make_task("digits", **parameters)


def test_networks_train_on_images():
    recipe = Recipe(
        "adamw", 0.01, epochs=2, batch_size=10, channels=4, stages=1, cells=1, augmentation=("flip", "shift", "cutout")
    )
    task = make_task("digits", train=40, valid=20, test=20)
    record = train(ac.get_space("nasbench201").sample(1, seed=3), task, recipe, device="cpu")
    assert record.status == Status.FINISHED and record.task == task.name
    assert {name.split("/")[0] for name in record.curves} == set(SPLITS)


# ---- folders --------------------------------------------------------------------------------------------------------


def restored(task, written, part):
    """The pixels of a part, undoing the scale by what is known of the training images."""
    training = np.stack([p for path, p in written.items() if path.parts[-3] == "train"]).astype(float)
    axes = (0, 1, 2)
    mean, spread = training.mean(axis=axes), training.std(axis=axes)
    values = getattr(task, part).inputs
    return np.rint(values * np.reshape(spread, (1, -1, 1, 1)) + np.reshape(mean, (1, -1, 1, 1))).astype(int)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_folder(tmp_path, mode):
    written = files.write_folder(tmp_path, classes=("dog", "cat", "ant"), mode=mode)
    (tmp_path / "train" / "cat" / ".hidden.png").write_bytes(b"not an image")
    (tmp_path / "train" / "cat" / "notes.txt").write_text("passed over")
    (tmp_path / "train" / ".cache").mkdir()
    task = make_task("folder", root=tmp_path)
    assert task.inputs == ((3, 4, 6) if mode == "RGB" else (1, 4, 6)) and task.outputs == 3
    for part in SPLITS:
        split = getattr(task, part)
        assert split.targets.tolist() == [0] * 10 + [1] * 10 + [2] * 10  # ant, cat, dog
        if mode == "RGB":
            paths = [tmp_path / part / name / f"{i}.png" for name in ("ant", "cat", "dog") for i in range(10)]
            expected = np.stack([written[path].transpose(2, 0, 1) for path in paths])
            np.testing.assert_array_equal(restored(task, written, part), expected)
    assert re.fullmatch(re.escape(tmp_path.name) + "-[0-9a-f]{8}", task.name)


def test_folder_names_follow_the_content(tmp_path):
    root = tmp_path / "my images, v2"
    written = files.write_folder(root)
    task = make_task("folder", root=root)
    assert task.name.startswith("my_images__v2-")
    path = next(iter(written))
    Image.fromarray(255 - written[path]).save(path)
    assert make_task("folder", root=root).name != task.name
    Image.fromarray(written[path]).save(path)
    assert make_task("folder", root=root).name == task.name


@pytest.mark.parametrize("parts", [("train",), ("train", "valid"), ("train", "test")])
def test_missing_parts_come_from_training(tmp_path, parts):
    files.write_folder(tmp_path, parts=parts)
    task = make_task("folder", root=tmp_path)
    sizes = [len(getattr(task, part)) for part in SPLITS]
    assert sizes == [20 - 4 * (3 - len(parts)), *[20 if part in parts else 4 for part in ("valid", "test")]]
    for part in set(SPLITS) - set(parts):
        assert np.bincount(getattr(task, part).targets).tolist() == [2, 2]
    everything = np.concatenate([getattr(task, part).inputs for part in SPLITS if part not in parts or part == "train"])
    assert len(np.unique(everything.reshape(20, -1), axis=0)) == 20
    assert make_task("folder", root=tmp_path, seed=1).name != task.name


def test_limit_of_a_folder_reads_no_more(tmp_path):
    files.write_folder(tmp_path)
    task = make_task("folder", root=tmp_path, limit=4)
    assert [np.bincount(getattr(task, part).targets).tolist() for part in SPLITS] == [[2, 2]] * 3
    fails("'limit' of task 'folder' must be at least 2, one image of each class, got 1", tmp_path, limit=1)


def test_formats_and_modes(tmp_path):
    colours = np.zeros((5, 5, 3), np.uint8)
    colours[..., 0] = np.arange(5) * 50
    image = Image.fromarray(colours)
    grey = Image.fromarray(colours[..., 0])
    for name in ("a", "b"):
        (tmp_path / "train" / name).mkdir(parents=True)
        image.save(tmp_path / "train" / name / "0.PNG")
        image.save(tmp_path / "train" / name / "1.bmp")
        image.save(tmp_path / "train" / name / "2.ppm")
        image.convert("RGBA").save(tmp_path / "train" / name / "3.png")
        image.quantize(16).save(tmp_path / "train" / name / "4.gif")
        image.save(tmp_path / "train" / name / "5.jpg", quality=95)
        grey.save(tmp_path / "train" / name / "6.png")
        grey.convert("LA").save(tmp_path / "train" / name / "7.png")
        image.save(tmp_path / "train" / name / "8.webp", lossless=True)
        image.save(tmp_path / "train" / name / "9.tiff")
    task = make_task("folder", root=tmp_path)
    assert task.inputs == (3, 5, 5)
    assert sum(len(getattr(task, part)) for part in SPLITS) == 20


def test_sizes(tmp_path):
    written = files.write_folder(tmp_path)
    odd = tmp_path / "valid" / "dog" / "3.png"
    Image.fromarray(np.zeros((9, 7, 3), np.uint8)).save(odd)
    message = fails(re.escape(f"{str(odd)!r} has 7x9 pixels and"), tmp_path)
    assert "0.png' 6x4, expected one size, or the parameter 'size'" in message
    assert make_task("folder", root=tmp_path, size=5).inputs == (3, 5, 5)
    for size in (0, 2.0, True):
        fails(f"'size' of task 'folder' must be an integer of at least 1, got {size}", tmp_path, size=size)
    assert len(written) == 60


def test_faults_of_folders(tmp_path):
    fails("expected a folder '.*train' with one folder a class, there is none", tmp_path)
    (tmp_path / "train").mkdir()
    fails("expected one folder a class in '.*train', there is none", tmp_path)
    (tmp_path / "train" / "cat").mkdir()
    fails("expected images in '.*train/cat', there is none .*.png", tmp_path)
    (tmp_path / "train" / "cat" / "a.txt").write_text("x")
    fails("expected images in '.*train/cat', there is none", tmp_path)


def test_classes_that_differ_between_parts(tmp_path):
    files.write_folder(tmp_path)
    files.write_folder(tmp_path, classes=("eel",), parts=("test",))
    fails("class 'eel' is a folder of '.*test' and not of '.*train', expected the same", tmp_path)
    files.write_folder(tmp_path, classes=("eel",), parts=("train",))
    fails("class 'eel' is a folder of '.*train' and not of '.*valid', expected the same", tmp_path)
    (tmp_path / "valid" / "eel").mkdir()
    fails("expected images in '.*valid/eel', there is none", tmp_path)


def test_too_few_images_to_set_apart(tmp_path):
    files.write_folder(tmp_path, parts=("train",))
    files.write_folder(tmp_path, classes=("owl",), per_class=1, parts=("train",))
    fails("train/owl' has too few images to set some apart for training", tmp_path)


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda content: content[: len(content) // 2], "is no readable image: .*truncated|is no readable image"),
        (lambda content: b"", "is no readable image: expected PNG, JPEG"),
        (lambda content: b"<svg></svg>", "is no readable image: expected PNG, JPEG"),
        (lambda content: content[:20] + b"\xff" * 10 + content[30:], "is no readable image"),
    ],
)
def test_unreadable_images(tmp_path, damage, match):
    files.write_folder(tmp_path, size=(40, 40))
    path = tmp_path / "test" / "cat" / "7.png"
    path.write_bytes(damage(path.read_bytes()))
    assert repr(str(path)) in fails(match, tmp_path)


def test_images_of_many_bits_are_refused(tmp_path):
    files.write_folder(tmp_path)
    path = tmp_path / "train" / "dog" / "2.png"
    Image.fromarray(np.full((4, 6), 3000, np.uint16)).save(path)
    assert repr(str(path)) in fails("must have at most 8 bits a channel, got mode 'I;16'", tmp_path)


def test_damaged_images_never_raise_anything_else(tmp_path):
    files.write_folder(tmp_path, classes=("a",), per_class=5, parts=("train",))
    path = tmp_path / "train" / "a" / "0.png"
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        damaged = bytearray(content)
        for place in rng.integers(len(content), size=3):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            make_task("folder", root=tmp_path)
        except InvalidDataError:
            refused += 1
    assert refused > 50
