"""Tasks from folders of images: `train/<class>/*.png`, and perhaps `valid` and `test` likewise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidDataError
from .arrays import VALID_AND_TEST_SHARE, speakable
from .images import Images, check_limit_for, check_seed_and_limit, evenly_drawn, image_task
from .reading import existing_folder
from .task import SPLITS, Task

_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
_ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
_GREY, _COLOUR = ("1", "L", "LA"), ("P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")


def folder(root: str | Path, size: int | None = None, seed: int = 0, limit: int | None = None) -> Task:
    """Return a task from a folder of images.

    Parameters
    ----------
    root : path
        Has a folder `train`, in it one folder a class, in those images of at most 8 bits a channel; `valid` and `test`
        likewise, with the same classes. Where one of the two is missing, a fifth of the training images, drawn with
        `seed` in equal shares of the classes, is set apart for it. Hidden files and files without the ending of an
        image are passed over. Grey images have one channel, others, or grey ones among them, three.
    size : int, optional
        Side to which images are resized; without it all must have one size.
    seed : int
    limit : int, optional
        At most so many images of each part, for quick experiments; the others are not read.

    Raises
    ------
    InvalidDataError
        If a folder is missing or empty, classes differ between the parts, an image cannot be read or has another size
        than the first, or a parameter is out of range; the message names the file.
    """
    check_seed_and_limit("folder", seed, limit)
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
        raise InvalidDataError(f"'size' of task 'folder' must be an integer of at least 1, got {size!r}")
    top = existing_folder(root, "folder")
    listed = {part: _listed(top / part) for part in SPLITS if part == "train" or (top / part).is_dir()}
    names = list(listed["train"])
    for part, classes in listed.items():
        if list(classes) != names:
            odd = sorted(set(classes) ^ set(names))[0]
            where, other = (part, "train") if odd in classes else ("train", part)
            raise InvalidDataError(
                f"class {odd!r} is a folder of {str(top / where)!r} and not of {str(top / other)!r}, expected the same"
            )
    files = {part: _flat(classes) for part, classes in listed.items()}
    _fill(files, seed)
    without = np.bincount(files["train"][1], minlength=len(names)) == 0
    if without.any():
        raise InvalidDataError(
            f"{str(top / 'train' / names[int(np.argmax(without))])!r} has too few images to set some apart for training"
        )
    if limit is not None:
        check_limit_for("folder", limit, len(names))
        for stream, part in enumerate(SPLITS, start=1):
            paths, labels = files[part]
            chosen = np.sort(evenly_drawn(labels, seed, stream)[:limit])
            files[part] = ([paths[row] for row in chosen], labels[chosen])
    return image_task(speakable(top.resolve().name), _read(files, size), len(names), official=False)


def _listed(part: Path) -> dict[str, list[Path]]:
    """Return the images of each class, in the order of their names."""
    if not part.is_dir():
        raise InvalidDataError(f"expected a folder {str(part)!r} with one folder a class, there is none")
    classes = sorted(path for path in part.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not classes:
        raise InvalidDataError(f"expected one folder a class in {str(part)!r}, there is none")
    listed = {}
    for where in classes:
        images = [path for path in sorted(where.iterdir()) if path.suffix.lower() in _ENDINGS and path.is_file()]
        listed[where.name] = [path for path in images if not path.name.startswith(".")]
        if not listed[where.name]:
            raise InvalidDataError(f"expected images in {str(where)!r}, there is none ({', '.join(sorted(_ENDINGS))})")
    return listed


def _flat(classes: dict[str, list[Path]]) -> tuple[list[Path], NDArray[np.int64]]:
    paths = [path for group in classes.values() for path in group]
    return paths, np.repeat(np.arange(len(classes)), [len(group) for group in classes.values()])


def _fill(files: dict[str, tuple[list[Path], NDArray[np.int64]]], seed: int) -> None:
    """Set training images apart for the parts that are missing."""
    missing = [part for part in ("valid", "test") if part not in files]
    if not missing:
        return
    paths, labels = files["train"]
    order = evenly_drawn(labels, seed, 0)
    count = max(1, round(VALID_AND_TEST_SHARE * len(order)))
    for number, part in enumerate((*missing, "train")):
        rows = order[number * count : (number + 1) * count] if part != "train" else order[number * count :]
        files[part] = ([paths[row] for row in np.sort(rows)], labels[np.sort(rows)])


def _read(files: dict[str, tuple[list[Path], NDArray[np.int64]]], size: int | None) -> dict[str, Images]:
    pixels = {part: [_pixels(path, size) for path in files[part][0]] for part in SPLITS}
    first_path, first = files["train"][0][0], pixels["train"][0]
    for part in SPLITS:
        for path, image in zip(files[part][0], pixels[part], strict=True):
            if image.shape[1:] != first.shape[1:]:
                raise InvalidDataError(
                    f"{str(path)!r} has {_size(image)} pixels and {str(first_path)!r} {_size(first)}, expected one "
                    "size, or the parameter 'size' to which all are resized"
                )
    channels = max(len(image) for images in pixels.values() for image in images)
    return {part: Images(_stacked(pixels[part], channels), files[part][1]) for part in SPLITS}


def _stacked(images: Sequence[NDArray[np.uint8]], channels: int) -> NDArray[np.uint8]:
    return np.stack([np.broadcast_to(image, (channels, *image.shape[1:])) for image in images])


def _size(image: NDArray[Any]) -> str:
    return f"{image.shape[2]}x{image.shape[1]}"


def _pixels(path: Path, size: int | None) -> NDArray[np.uint8]:
    """Return an image as bytes `(1 or 3, height, width)`."""
    from PIL import Image

    try:
        with Image.open(path, formats=_FORMATS) as image:
            if image.mode not in (*_GREY, *_COLOUR):
                raise InvalidDataError(f"{str(path)!r} must have at most 8 bits a channel, got mode {image.mode!r}")
            plain = image.convert("L" if image.mode in _GREY else "RGB")
            if size is not None and plain.size != (size, size):
                plain = plain.resize((size, size), Image.Resampling.BICUBIC)
            values = np.asarray(plain, dtype=np.uint8)
    except InvalidDataError:
        raise
    except Exception as error:  # decoders raise whatever a malformed file leads them to
        raise InvalidDataError(f"{str(path)!r} is no readable image: {_reason(error, path)}") from None
    return values[None] if values.ndim == 2 else np.ascontiguousarray(values.transpose(2, 0, 1))


def _reason(error: Exception, path: Path) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return f"expected {', '.join(_FORMATS)}"
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
