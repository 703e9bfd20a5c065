"""The data sets by name, and those in a folder of one's own."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..documents import is_folder
from ..errors import ArgumentError, DataError
from . import official
from .dataset import Dataset
from .examples import Examples, Joined
from .folders import HELD_OUT, TRAIN, class_folders, divided, first
from .image_folder import ImageFolder
from .pairing import pair, renumbered
from .places import DATA

READERS: dict[str, Callable[..., Dataset]] = {
    "mnist": official.mnist,
    "fashion-mnist": official.fashion_mnist,
    "kmnist": official.kmnist,
    "cifar10": official.cifar10,
    "cifar100": official.cifar100,
}
NAMES = ("digits", *READERS)
PARTS = {"val": "held out", "train": "to learn from", "all": ""}


def load(
    name: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None = None,
    *,
    download: bool = True,
    size: int | tuple[int, int] = 64,
    channels: int = 3,
    on_error: str = "raise",
) -> Dataset:
    """The data set of that name, in memory, or the images in a folder, on disk.

    Args:
        name: `digits` comes with the package (1,442 + 355 images of 1×8×8). `mnist`, `fashion-mnist`, `kmnist`,
            `cifar10` and `cifar100` are read from their official files, see `mnist`. Else a folder: itself, or a
            sub-folder of `data_dir` or COLONNADE_DATA; see `folder`.
        data_dir: The folder that the files of a named data set lie in, themselves or in a sub-folder of its name; by
            default the one that the environment variable COLONNADE_DATA names.
        download: Fetch official files that are not there.
        size: Of the images of a folder.
        channels: Theirs, too.
        on_error: What is done about an image of a folder that can't be read: `raise` or `skip`.

    Raises:
        DataError: An unknown name; files that are missing, truncated or not what they claim to be; a download that
            failed; a folder that is not a class a sub-folder.
        ArgumentError: A size or a number of channels that images can't have.
        MissingExtraError: A download without its library.
    """
    known = os.fspath(name)
    if known == "digits":
        return official.digits()
    if known in READERS:
        return READERS[known](data_dir, download)
    return folder(find(known, data_dir), size, channels=channels, on_error=on_error)


class Part(NamedTuple):
    """Images to test on, and what they are.

    Attributes:
        title: For a person.
        part: `val`, `train` or `all`.
        examples: The images.
        classes: The names of their class numbers.
    """

    title: str
    part: str
    examples: Examples
    classes: list[str]


def load_part(
    name: str | os.PathLike[str],
    part: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    download: bool = True,
    size: int | tuple[int, int] = 64,
    channels: int = 3,
    on_error: str = "raise",
) -> Part:
    """One part of a data set, to test on.

    Args:
        name: As `load` takes it, like `data_dir`, `download`, `size`, `channels` and `on_error`.
        part: `val`, what is held out; `train`, what is learned from; or `all`. By default what is held out, and all
            of a folder that is not divided into parts. Of such a folder `val` is the share that training holds out.

    Raises:
        ArgumentError: Another part.
        DataError: As `load` raises it, or a part that is not there.
    """
    if part not in (None, *PARTS):
        raise ArgumentError(f"part: expected one of {', '.join(PARTS)}, got {part!r}.")
    if os.fspath(name) in NAMES:
        dataset = load(name, data_dir, download=download)
        part = part or "val"
        examples = {"val": [dataset.test], "train": [dataset.train], "all": [dataset.train, dataset.test]}[part]
        title = "all that is there" if part == "all" else f"the part {PARTS[part]}"
        return Part(f"{dataset.name}: {title}", part, _joined(examples, dataset.classes), dataset.classes)
    reading = {"size": size, "channels": channels, "on_error": on_error, "cache": True}
    return _part_of_folder(find(os.fspath(name), data_dir), part, reading)


def _part_of_folder(path: Path, part: str | None, reading: dict[str, Any]) -> Part:
    found = divided(path)
    train, held_out = first(found, TRAIN), first(found, HELD_OUT)
    part = part or ("val" if held_out else "all")

    def whole(place: Path) -> ImageFolder:  # however few classes it has
        return ImageFolder(place, classes=list(class_folders(place)), **reading)

    if part == "all":
        opened = [whole(place) for place in found.values()] or [whole(path)]
        classes = sorted({name for each in opened for name in each.classes})
        numbered = [renumbered(each, pair(str(path), each.classes, classes), classes) for each in opened]
        title = f"{path}: all that is in {' and '.join(found)}" if found else f"{path}: all that is there"
        return Part(title, part, _joined(numbered, classes), classes)
    if place := held_out if part == "val" else held_out and train:
        images = whole(place)
        return Part(f"{place}: the part {PARTS[part]}", part, images, images.classes)
    learned, tested = ImageFolder.load(path, **reading)
    images = tested if part == "val" else learned
    return Part(f"{path}: the share {PARTS[part]} when it is split", part, images, images.classes)


def _joined(parts: Sequence[Examples], classes: list[str]) -> Examples:
    return parts[0] if len(parts) == 1 else Joined(parts, classes)


def find(name: str, data_dir: str | os.PathLike[str] | None) -> Path:
    """The folder of a data set that is none of those by name.

    Raises:
        DataError: There is none.
    """
    for place in (None, data_dir, os.environ.get(DATA) or None):
        path = Path(name) if place is None else Path(place, name)
        if name and is_folder(path):
            return path
    import difflib  # few mistype a name

    near = difflib.get_close_matches(name.lower(), NAMES, n=1)
    hint = f"did you mean {near[0]}?" if near else f"expected {', '.join(NAMES)} or a folder."
    raise DataError(f"There is no data set {name!r}: {hint}")


def folder(
    path: str | os.PathLike[str],
    size: int | tuple[int, int] = 64,
    *,
    channels: int = 3,
    held_out: float = 0.2,
    seed: int = 0,
    on_error: str = "raise",
    cache: bool | str | os.PathLike[str] = True,
) -> Dataset:
    """The images in a folder, a sub-folder a class: those to learn from, and those held out.

    Args:
        path: The folder, which may hold the two parts as sub-folders; see `ImageFolder.load`.
        size: To which the images are resized: a number of pixels for both sides, or (h, w).
        channels: 3 (red, green, blue) or 1 (grey).
        held_out: The share of each class that is held out where the folder does not say.
        seed: Of that choice.
        on_error: What is done about an image that can't be read: `raise` or `skip`.
        cache: Keep the decoded images on disk: in the user's cache folder, or in the one that is given.

    Raises:
        ArgumentError: As `ImageFolder.load` raises it.
        DataError: Likewise.
    """
    train, test = ImageFolder.load(
        path, size, held_out=held_out, seed=seed, channels=channels, on_error=on_error, cache=cache
    )
    return Dataset(os.fspath(path), train, test, train.classes)
