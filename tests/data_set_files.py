"""Writes small data sets in the layouts of the official archives, byte by byte as their authors did."""

import gzip
import io
import pickle
import struct

import numpy as np


class _Python2(pickle._Pickler):
    """Spells text and bytes the way Python 2 did, whose `str` was both."""

    dispatch = pickle._Pickler.dispatch.copy()

    def _save_string(self, value):
        data = value.encode("latin-1") if isinstance(value, str) else value
        self.write(
            pickle.SHORT_BINSTRING + bytes([len(data)]) + data
            if len(data) < 256
            else pickle.BINSTRING + struct.pack("<i", len(data)) + data
        )
        self.memoize(value)

    dispatch[str] = _save_string
    dispatch[bytes] = _save_string


def python2_pickle(value):
    """Protocol 2 with `numpy.core`, as the archives of 2009 hold it."""
    file = io.BytesIO()
    _Python2(file, 2).dump(value)
    return file.getvalue().replace(b"cnumpy._core.", b"cnumpy.core.")


def drawn(n, classes, size, seed):
    """`n` images of `size` bytes and their classes, every class about equally often."""
    rng = np.random.default_rng(seed)
    return rng.integers(256, size=(n, size), dtype=np.uint8), (np.arange(n) % classes).tolist()


def write_cifar10(root, per_batch=20, version="python"):
    """Return training pixels, classes, test pixels and classes."""
    python = version == "python"
    folder = root / ("cifar-10-batches-py" if python else "cifar-10-batches-bin")
    folder.mkdir()
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    parts = []
    for number, name in enumerate(names):
        pixels, labels = drawn(per_batch, 10, 3072, number)
        parts.append((pixels, labels))
        if python:
            batch = {"batch_label": name, "labels": labels, "data": pixels, "filenames": ["a.png"] * per_batch}
            (folder / name).write_bytes(python2_pickle(batch))
        else:
            records = np.concatenate([np.array(labels, dtype=np.uint8)[:, None], pixels], axis=1)
            (folder / f"{name}.bin").write_bytes(records.tobytes())
    return (
        np.concatenate([pixels for pixels, _ in parts[:5]]),
        np.concatenate([labels for _, labels in parts[:5]]),
        parts[5][0],
        np.array(parts[5][1]),
    )


def write_cifar100(root, n=300, version="python"):
    """Return training pixels, classes, test pixels and classes."""
    python = version == "python"
    folder = root / ("cifar-100-python" if python else "cifar-100-binary")
    folder.mkdir()
    parts = []
    for name, count in (("train", n), ("test", n // 2)):
        pixels, fine = drawn(count, 100, 3072, count)
        coarse = [label // 5 for label in fine]
        parts += [pixels, np.array(fine)]
        if python:
            batch = {"data": pixels, "fine_labels": fine, "coarse_labels": coarse, "batch_label": name}
            (folder / name).write_bytes(python2_pickle(batch))
        else:
            records = np.concatenate([np.array([coarse, fine], dtype=np.uint8).T, pixels], axis=1)
            (folder / f"{name}.bin").write_bytes(records.tobytes())
    return parts


def write_imagenet16(root, per_batch=40):
    """Classes 1 to 1000; in every batch the first 120 are most frequent. Return what the task must hold."""
    folder = root / "ImageNet16"
    folder.mkdir()
    kept = []
    for number, name in enumerate([*(f"train_data_batch_{i}" for i in range(1, 11)), "val_data"]):
        count = per_batch if name != "val_data" else 6 * per_batch
        pixels, labels = drawn(count, 120, 768, number)
        labels = [(label + number * per_batch) % 120 + 1 for label in labels]
        others = range(number % 10, count, 10)
        for place in others:
            labels[place] = 121 + number
        labels[others[-1]] = 1000
        batch = {"data": pixels, "labels": labels, "mean": pixels.mean(axis=0)}
        (folder / name).write_bytes(python2_pickle(batch))
        chosen = np.array(labels) <= 120
        kept.append((pixels[chosen], np.array(labels)[chosen] - 1))
    return (
        np.concatenate([pixels for pixels, _ in kept[:10]]),
        np.concatenate([labels for _, labels in kept[:10]]),
        *kept[10],
    )


def idx(array):
    """The bytes of an IDX file of unsigned bytes."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(struct.pack(">I", size) for size in array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_mnist(folder, n=60, compressed=False, pattern="{}-{}-idx{}-ubyte"):
    """Return training images, classes, test images and classes."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for prefix, count in (("train", n), ("t10k", n // 2)):
        pixels, labels = drawn(count, 10, 784, count)
        for kind, array in (("images", pixels.reshape(-1, 28, 28)), ("labels", np.array(labels))):
            name = pattern.format(prefix, kind, array.ndim)
            content = idx(array)
            path = folder / (name + ".gz" if compressed else name)
            path.write_bytes(gzip.compress(content) if compressed else content)
            parts.append(array)
    return parts


def write_folder(root, classes=("cat", "dog"), per_class=10, parts=("train", "valid", "test"), size=(6, 4), mode="RGB"):
    """Write PNG images; return the pixels `(height, width[, 3])` by path."""
    from PIL import Image

    rng = np.random.default_rng(0)
    written = {}
    for part in parts:
        for name in classes:
            where = root / part / name
            where.mkdir(parents=True)
            for number in range(per_class):
                shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
                pixels = rng.integers(256, size=shape, dtype=np.uint8)
                Image.fromarray(pixels).save(where / f"{number}.png")
                written[where / f"{number}.png"] = pixels
    return written
