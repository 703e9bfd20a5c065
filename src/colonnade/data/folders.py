"""Which image files a folder holds, and of which classes: a folder a class."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")
TRAIN = ("train", "training")
HELD_OUT = ("val", "valid", "validation", "test", "testing")


class Found(NamedTuple):
    """The image files of a folder, class by class, in the order of their names.

    Attributes:
        classes: The names of the sub-folders, sorted.
        paths: The files.
        targets: The class number of each.
    """

    classes: list[str]
    paths: list[Path]
    targets: list[int]


def scan(folder: Path, classes: Sequence[str] | None = None) -> Found:
    """The images in the sub-folders of a folder, at any depth.

    Files of other kinds than JPEG, PNG, WebP, GIF and BMP are not images, nor is what begins with a point.

    Args:
        folder: Holds a folder a class.
        classes: The classes it must have, those and no others; by default the ones it has, at least two.

    Raises:
        DataError: No such folder, no class or only one, classes that are missing or too many, a class without images,
            or two files (or classes) of one name.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder of images, got {'a file' if folder.exists() else 'nothing'}.")
    found = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    if not found:
        inside = f"{len(_images(folder))} images that lie in none" if _images(folder) else "an empty one"
        raise DataError(f"{folder}: expected a folder with a sub-folder for each class, got {inside}.")
    _require_distinct(folder, found, found)
    if classes is None and len(found) == 1:
        raise DataError(f"{folder}: expected at least two classes, a sub-folder each, got one: {found[0]!r}.")
    if classes is not None:
        if missing := sorted(set(classes) - set(found)):
            raise DataError(f"{folder}: expected the classes of the training part, {missing[0]!r} is missing.")
        if unknown := sorted(set(found) - set(classes)):
            raise DataError(f"{folder}: expected the classes of the training part, {unknown[0]!r} is none of them.")
    classes = found if classes is None else list(classes)
    paths: list[Path] = []
    targets: list[int] = []
    for number, name in enumerate(classes):
        images = _images(folder / name)
        if not images:
            raise DataError(f"{folder / name}: expected images ({', '.join(SUFFIXES)}) of this class, got none.")
        names = [str(path.relative_to(folder)) for path in images]
        _require_distinct(folder, names, (str(path.with_suffix("")) for path in images))
        paths += images
        targets += [number] * len(images)
    return Found(list(classes), paths, targets)


def parts(folder: Path) -> tuple[Path, Path | None]:
    """The training part of a folder, and the held-out part, where it has a sub-folder of such a name; else itself."""
    inside = {entry.name.lower(): Path(entry.path) for entry in os.scandir(folder) if entry.is_dir()}
    train = [inside[name] for name in TRAIN if name in inside]
    held_out = [inside[name] for name in HELD_OUT if name in inside]
    if not train:
        return folder, None
    return train[0], held_out[0] if held_out else None


def _images(folder: Path) -> list[Path]:
    """Image files at any depth, sorted by their parts: the same order on every system."""
    images = []
    for place, folders, files in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        images += [Path(place, name) for name in files if name.lower().endswith(SUFFIXES) and name[0] != "."]
    return sorted(images, key=lambda path: path.parts)


def _raise(error: OSError) -> None:
    """A folder that can't be opened is not an empty one."""
    raise error


def _require_distinct(folder: Path, names: Sequence[str], keys: Iterable[str]) -> None:
    """Refuse what some disk would take for one: a photograph and its copy, one of them in training, one held out."""
    seen: dict[str, str] = {}
    for name, key in zip(names, keys, strict=True):
        other = seen.setdefault(key.casefold(), name)
        if other is not name:
            raise DataError(f"{folder}: expected names that differ in more than case and kind, got {other}, {name}.")
