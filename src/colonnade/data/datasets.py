"""The data sets by name, and those in a folder of one's own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ..errors import DataError
from . import official
from .dataset import Dataset
from .image_folder import ImageFolder
from .places import DATA

READERS: dict[str, Callable[..., Dataset]] = {
    "mnist": official.mnist,
    "fashion-mnist": official.fashion_mnist,
    "kmnist": official.kmnist,
    "cifar10": official.cifar10,
    "cifar100": official.cifar100,
}
NAMES = ("digits", *READERS)


def load(
    name: str | os.PathLike[str],
    data_dir: str | os.PathLike[str] | None = None,
    *,
    download: bool = True,
    size: int | tuple[int, int] = 64,
    channels: int = 3,
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
    for place in (None, data_dir, os.environ.get(DATA) or None):
        path = Path(known) if place is None else Path(place, known)
        if known and path.is_dir():
            return folder(path, size, channels=channels)
    import difflib  # few mistype a name

    near = difflib.get_close_matches(known.lower(), NAMES, n=1)
    hint = f"did you mean {near[0]}?" if near else f"expected {', '.join(NAMES)} or a folder."
    raise DataError(f"There is no data set {known!r}: {hint}")


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
