"""Which image files a folder holds, and of which classes: a folder a class."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError
from ..printable import printable
from .images import SUFFIXES
from .pairing import composed

TRAIN = ("train", "training")
HELD_OUT = ("val", "valid", "validation", "test", "testing")

# What systems, cameras' programs and network disks put beside a person's files: previews of the images, some of them,
# which would be learned from as if they were images of their own. Compared in small letters.
SYSTEM_FOLDERS = frozenset(
    (
        *("__macosx", "network trash folder", "temporary items", "thevolumesettingsfolder"),  # macOS
        *("$recycle.bin", "recycler", "recycled", "system volume information", "config.msi"),  # Windows
        *("@eadir", "#recycle", "#snapshot", "@tmp", "@sharebin", "@database"),  # Synology
        *("@recycle", "@recently-snapshot", "@trashcan", "~snapshot"),  # QNAP, NetApp
        *("lost+found", "found.000", "thumbs", "thumbnails", "_thumbs", "_thumbnails", "thmbnl", "ipod photo cache"),
        *("__pycache__", "_gsdata_"),
    )
)
SYSTEM_FILES = frozenset(
    ("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "albumartsmall.jpg", "icon\r", "picasa.ini")
)
SYSTEM_BEGINNINGS = (".", "~$", "albumart_{", "synophoto_", "synophoto:", "synovideo_", "synoindex_")
KINDS = ".jpg, .png, .webp, .gif, .bmp, .tif and others"  # in errors
SHOWN = 8  # suffixes of what was left out
LONGEST = 16  # signs of one


class Found(NamedTuple):
    """The image files of a folder, class by class, in the order of their names.

    Attributes:
        classes: The names of the sub-folders, sorted, in Unicode's composed form (NFC).
        paths: The files.
        targets: The class number of each.
        left_out: How many files there were that are not read, by their suffix or by what is wrong with them.
    """

    classes: list[str]
    paths: list[Path]
    targets: list[int]
    left_out: dict[str, int]


def scan(folder: Path, classes: Sequence[str] | None = None) -> Found:
    """The images in the sub-folders of a folder, at any depth.

    A link to a folder is that folder, unless it leads to one that it lies in, or one that was seen before. Hidden
    files and folders, and those that systems put there, are passed over.

    Args:
        folder: Holds a folder a class.
        classes: The classes it must have, those and no others; by default the ones it has, at least two.

    Raises:
        DataError: No such folder, no class or only one, classes that are missing or too many, a class without images,
            or two files (or classes) of one name.
    """
    places = class_folders(folder)
    found = list(places)
    if not found:
        count = len([path for path in _files(folder) if is_image(path)])
        inside = f"{count} images that lie in none" if count else "an empty one"
        raise DataError(f"{folder}: expected a folder with a sub-folder for each class, got {inside}.")
    if classes is None and len(found) == 1:
        raise DataError(f"{folder}: expected at least two classes, a sub-folder each, got one: {found[0]!r}.")
    if classes is not None:
        classes = [composed(name) for name in classes]
        if missing := sorted(set(classes) - set(found)):
            raise DataError(f"{folder}: expected the classes of the training part, {missing[0]!r} is missing.")
        if unknown := sorted(set(found) - set(classes)):
            raise DataError(f"{folder}: expected the classes of the training part, {unknown[0]!r} is none of them.")
    classes = found if classes is None else classes
    paths: list[Path] = []
    targets: list[int] = []
    left_out = _beside(folder)
    for number, name in enumerate(classes):
        files = list(_files(places[name]))
        images = sorted(filter(is_image, files), key=lambda path: path.parts)  # the same order on every system
        others = Counter(path.suffix.lower() for path in files if not is_image(path))
        if not images:
            got = f"none, but {listed(others)}" if others else "none"
            raise DataError(f"{places[name]}: expected images ({KINDS}) of this class, got {got}.")
        names = [str(path.relative_to(folder)) for path in images]
        _require_distinct(folder, names, (str(path.with_suffix("")) for path in images))
        paths += images
        targets += [number] * len(images)
        left_out += others
    return Found(list(classes), paths, targets, dict(left_out))


def class_folders(folder: Path) -> dict[str, Path]:
    """The sub-folders that stand for classes, by the classes' names, sorted.

    Raises:
        DataError: No such folder, or two classes of one name.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder of images, got {'a file' if folder.exists() else 'nothing'}.")
    above = _above(folder)
    inside = [
        entry.name
        for entry in _entries(folder)
        if _is(entry.is_dir) and not is_system_folder(entry.name) and _identity(entry) not in above
    ]
    _require_distinct(folder, inside, inside)
    return {name: folder / place for name, place in sorted((composed(place), place) for place in inside)}


def divided(folder: Path) -> dict[str, Path]:
    """The parts that a folder is divided into, by their names in small letters; none where it holds classes.

    Parts are sub-folders called as `TRAIN` and `HELD_OUT` say, if there is nothing else, or if the one to learn from
    has sub-folders of its own: `val` may be a class beside others, and so may `train`, among vehicles.

    Raises:
        DataError: No such folder, or one that may be either.
    """
    inside = class_folders(folder)
    named = {name.lower(): place for name, place in inside.items() if name.lower() in TRAIN + HELD_OUT}
    others = [name for name in inside if name.lower() not in named]
    train = first(named, TRAIN)
    if others and not (train and class_folders(train)):
        return {}
    if classes := [] if first(named, HELD_OUT) else [name for name in others if _has_images(inside[name])]:
        raise DataError(
            f"{folder}: expected parts or classes, got {classes[0]!r}, like a class, beside {train}, like a part: name "
            f"the part itself, or rename it."
        )
    return named


def _has_images(folder: Path) -> bool:
    return any(_is(entry.is_file) and is_image(Path(entry)) for entry in _entries(folder))


def parts(folder: Path) -> tuple[Path, Path | None]:
    """The part of a folder to learn from, and the one held out, if there is one; the folder itself without parts.

    Raises:
        DataError: No such folder, or parts that are all held out.
    """
    found = divided(folder)
    train = first(found, TRAIN)
    if found and train is None:
        raise DataError(f"{folder}: expected a part to learn from ({' or '.join(TRAIN)}), got {', '.join(found)}.")
    return train or folder, first(found, HELD_OUT)


def first(found: Mapping[str, Path], names: Iterable[str]) -> Path | None:
    """The part that has the first of these names that there is."""
    return next((found[name] for name in names if name in found), None)


def images_in(folder: Path) -> list[Path]:
    """The images in a folder at any depth, whatever they show, in an order that is the same on every system.

    What is hidden, or a system's own, is passed over, and so are files of other kinds.

    Raises:
        DataError: There are none.
    """
    found = sorted(filter(is_image, _files(folder)), key=lambda path: path.parts)
    if not found:
        raise DataError(f"{folder}: expected images ({KINDS}) in this folder, got none.")
    return found


def is_image(path: Path) -> bool:
    """Whether a file's name ends as those of images do."""
    return path.name.lower().endswith(SUFFIXES)


def is_system_folder(name: str) -> bool:
    """Whether a folder of this name is hidden, or a system's own."""
    return name.startswith(".") or name.casefold() in SYSTEM_FOLDERS


def is_system_file(name: str) -> bool:
    """Whether a file of this name is hidden, or a system's own."""
    lower = name.casefold()
    return lower.startswith(SYSTEM_BEGINNINGS) or lower in SYSTEM_FILES


def listed(left_out: Mapping[str, int]) -> str:
    """How many files there are, and of which suffixes: `3 files: .heic 2, .txt 1`."""
    ranked = sorted(left_out.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{printable(suffix, LONGEST) or 'without a suffix'} {count:,}" for suffix, count in ranked[:SHOWN]]
    shown += [f"and {len(ranked) - SHOWN} other kinds"] if len(ranked) > SHOWN else []
    total = sum(left_out.values())
    return f"{total:,} {'file' if total == 1 else 'files'}: {', '.join(shown)}"


def _beside(folder: Path) -> Counter[str]:
    """The images that lie beside the classes, in none of them, and links that may have been classes."""
    found: Counter[str] = Counter()
    for entry in _entries(folder):
        if is_system_file(entry.name):
            continue
        if entry.is_symlink() and not _is(entry.is_dir) and not _is(entry.is_file):
            found["dead link"] += 1
        elif _is(entry.is_file) and is_image(Path(entry)):
            found[f"{Path(entry).suffix.lower()} in no class"] += 1
    return found


def _files(folder: Path) -> Iterator[Path]:
    """Files at any depth, and links that lead to none: those are found broken when they are read."""
    seen = _above(folder)
    ahead = [folder]
    while ahead:
        deeper = []
        for entry in _entries(ahead.pop()):
            if _is(entry.is_dir):
                if not is_system_folder(entry.name) and (identity := _identity(entry)) not in seen:
                    seen.add(identity)
                    deeper.append(Path(entry))
            elif (entry.is_symlink() or _is(entry.is_file)) and not is_system_file(entry.name):
                yield Path(entry)
        ahead += reversed(deeper)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, by name; a folder that can't be opened is not an empty one."""
    with os.scandir(folder) as inside:
        return sorted(inside, key=lambda entry: entry.name)


def _is(question: Callable[[], bool]) -> bool:
    """Whether an entry is a file, or a folder: a link in a circle, or to where nobody may look, is none."""
    try:
        return question()
    except OSError:
        return False


def _above(folder: Path) -> set[tuple[int, int]]:
    """A folder and all that it lies in, also by the links that lead to it: what a link to them would go round in."""
    places = [folder, *folder.absolute().parents, *folder.resolve().parents]
    return {_identity(place) for place in places}


def _identity(place: os.DirEntry[str] | Path) -> tuple[int, int]:
    """What all ways to one folder have in common."""
    stat = Path(place).stat()
    return stat.st_dev, stat.st_ino


def _require_distinct(folder: Path, names: Sequence[str], keys: Iterable[str]) -> None:
    """Refuse what some disk would take for one: a photograph and its copy, one of them in training, one held out."""
    seen: dict[str, str] = {}
    for name, key in zip(names, keys, strict=True):
        other = seen.setdefault(composed(composed(key).casefold()), name)
        if other is not name:
            alike = composed(other) == composed(name)
            got = f"{other!a} and {name!a} in two forms of Unicode" if alike else f"{other}, {name}"
            raise DataError(f"{folder}: expected names that differ in more than case and kind, got {got}.")
