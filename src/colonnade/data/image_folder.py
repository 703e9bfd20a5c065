"""Photographs in folders, a folder a class, decoded when it is their turn."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from .. import arguments
from ..errors import ArgumentError, DataError
from ..ops.layout import Array, channels_first
from ..places import cache_folder
from . import cache as disk
from .folders import listed, parts, scan
from .images import MODES, decode, known_formats
from .prefetch import default_workers, prefetch

ON_ERROR = ("raise", "skip")
HELD_OUT = 0.2  # of the images of each class, where a folder has no held-out part of its own


class ImageFolder:
    """The images in the sub-folders of a folder, which name their classes.

        flowers/daisy/5547758_eea9edfd54_n.jpg
        flowers/roses/12240303_80d87f77a3_n.jpg

    JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF and others (`colonnade.data.images.FORMATS`), of any size and mode: each is
    turned as its EXIF says, brought to 8 bits, laid on white where it is transparent, made grey or coloured, and
    resized. They are decoded by the threads of a `Loader` ahead of the training, and never all in memory. Files of
    other kinds are left out, and a warning says how many; what is hidden, or a system's own, is passed over.

    Args:
        path: The folder. Sub-folders of the classes' folders are looked into, too.
        size: To which the images are resized: a number of pixels for both sides, or (h, w).
        channels: 3 (red, green, blue) or 1 (grey).
        classes: The classes it must have, in their order; by default the ones it has.
        on_error: What is done about an image that can't be read. `raise`: a DataError names it when it is its turn.
            `skip`: all are decoded once to begin with, those that can't be are left out and warned of, and `broken`
            names them.
        cache: True to keep the decoded images in a file in the user's cache folder (COLONNADE_CACHE), or a folder to
            keep it in. It is memory-mapped, and made again when an image has changed.

    Attributes:
        classes: Their names.
        paths: The files, class by class.
        targets: (n,) the class number of each, int64.
        shape: (c, h, w).
        broken: Why an image was left out, by its path.
        left_out: How many files were that are no images, by their suffix.

    Raises:
        ArgumentError: Sizes that are not positive, or other channels than 1 or 3.
        DataError: No such folder, no class or only one, a class without images or of other names than `classes`, two
            images of one name, an image that can't be read, or a cache that can't be written.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        size: int | tuple[int, int] = 64,
        *,
        channels: int = 3,
        classes: Sequence[str] | None = None,
        on_error: str = "raise",
        cache: bool | str | os.PathLike[str] = False,
    ) -> None:
        sides = arguments.pair("ImageFolder", "size", size, 1)
        if arguments.whole("ImageFolder", "channels", channels) not in MODES:
            raise ArgumentError(f"ImageFolder: channels must be 1 or 3, got {channels!r}.")
        arguments.choice("ImageFolder", "on_error", on_error, ON_ERROR)
        if not isinstance(cache, bool):
            arguments.path("ImageFolder", "cache", cache)
        if classes is not None and not arguments.is_sequence(classes):
            raise ArgumentError(f"ImageFolder: classes must be a list of names, got {arguments.shown(classes)}.")
        self.path = Path(arguments.path("ImageFolder", "path", path))
        self.shape: tuple[int, int, int] = (int(channels), *sides)
        self.classes, self.paths, targets, self.left_out = scan(self.path, classes)
        if self.left_out:
            warnings.warn(f"{self.path}: left out {listed(self.left_out)}.", stacklevel=2)
        self.targets: Array = np.array(targets, np.int64)
        self.broken: dict[Path, str] = {}
        self._decoded: Array | None = None  # (files, h, w, c), memory-mapped
        self._rows: Array = np.arange(len(self.paths))  # where the images lie in it
        known_formats()  # before threads ask for them
        if cache:
            self._open_cache(cache_folder() if cache is True else Path(cache))
        elif on_error == "skip":
            for _ in self._decode_all():
                pass
        # In the order of the images, not in that in which threads came upon them.
        self.broken = {path: self.broken[path] for path in self.paths if path in self.broken}
        if self.broken and on_error == "raise":
            raise DataError(next(iter(self.broken.values())))
        if self.broken:
            self._leave_out_broken()

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        size: int | tuple[int, int] = 64,
        *,
        held_out: float = HELD_OUT,
        seed: int = 0,
        channels: int = 3,
        on_error: str = "raise",
        cache: bool | str | os.PathLike[str] = False,
    ) -> tuple[ImageFolder, ImageFolder]:
        """The images to learn from and those held out.

        They are the sub-folders `train` (or `training`) and `val` (or `valid`, `validation`, `test`, `testing`: the
        first that is there), each with a folder a class. Where there are none, the images are split.

        Args:
            path: The folder.
            size: As the constructor has it, like `channels`, `on_error` and `cache`.
            held_out: The share of each class that is held out by a split.
            seed: Of the split.

        Raises:
            ArgumentError: As the constructor and `split` raise it.
            DataError: As they raise it, or a class that only one of the parts has.
        """
        if not Path(path).is_dir():
            raise DataError(
                f"{path}: expected a folder of images, got {'a file' if Path(path).exists() else 'nothing'}."
            )
        train, test = parts(Path(path))
        whole = cls(train, size, channels=channels, on_error=on_error, cache=cache)
        if test is None:
            return whole.split(held_out, seed)
        return whole, cls(test, size, channels=channels, classes=whole.classes, on_error=on_error, cache=cache)

    def split(self, held_out: float = HELD_OUT, seed: int = 0) -> tuple[ImageFolder, ImageFolder]:
        """Two parts, every class in both: the images to learn from, and those held out.

        Args:
            held_out: The share of each class that is held out, rounded, at least one image and never all.
            seed: Which they are.

        Raises:
            ArgumentError: A share that is not between 0 and 1.
            DataError: A class with a single image.
        """
        held_out = arguments.number("ImageFolder", "held_out", held_out, above=0, below=1)
        seed = arguments.whole("ImageFolder", "seed", seed, 0, long=True)
        chosen = np.zeros(len(self), np.bool_)
        for number, name in enumerate(self.classes):
            of_class = np.flatnonzero(self.targets == number)
            if len(of_class) < 2:
                raise DataError(f"{self.path / name}: expected two images at least, to hold one out, got one.")
            count = min(max(round(held_out * len(of_class)), 1), len(of_class) - 1)
            chosen[np.random.default_rng([seed, number]).permutation(of_class)[:count]] = True
        return self._part(np.flatnonzero(~chosen)), self._part(np.flatnonzero(chosen))

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, positions: Array) -> Array:
        """The images at these positions, (len(positions), c, h, w), bytes, channels-last in memory.

        Raises:
            DataError: An image that can't be read; the message names its path.
        """
        if self._decoded is not None:
            return channels_first(self._decoded[self._rows[positions]])
        channels, height, width = self.shape
        batch = np.empty((len(positions), height, width, channels), np.uint8)
        for image, position in zip(batch, positions, strict=True):
            image[...] = decode(self.paths[position], height, width, channels)
        return channels_first(batch)

    def __repr__(self) -> str:
        images = f"{len(self)} images of {'×'.join(map(str, self.shape))}, {len(self.classes)} classes"
        broken = f", {len(self.broken)} broken" if self.broken else ""
        left_out = f", left out {listed(self.left_out)}" if self.left_out else ""
        return f"ImageFolder({str(self.path)!r}, {images}{broken}{left_out})"

    def _open_cache(self, folder: Path) -> None:
        """Map the decoded images, having written them where they are not there, or no longer the same."""
        channels, height, width = self.shape
        shape = (height, width, channels)
        path = folder / disk.file_name(self.path, shape)
        made_of = disk.fingerprint(self.path, self.paths)
        found = disk.read(path, made_of, len(self.paths), shape)
        if found is not None:
            # Again, for the reasons; what can be read by now has only zeros in the cache.
            readable = [
                position for position in np.flatnonzero(found[1]).tolist() if self._decode(position) is not None
            ]
            found = None if readable else found
        if found is None:
            self.broken.clear()
            with closing(self._decode_all()) as decoded:  # also where the disk is full halfway
                disk.write(path, made_of, shape, len(self.paths), decoded)
            found = disk.read(path, made_of, len(self.paths), shape)
            if found is None:
                raise DataError(f"{path}: the cache of decoded images was changed by another program; try again.")
        self._decoded = found[0]

    def _decode_all(self) -> Generator[Array | None, None, None]:
        """Each image, (h, w, c), or None where it is broken."""
        return prefetch(self._decode, range(len(self.paths)), default_workers(), ahead=64)

    def _decode(self, position: int) -> Array | None:
        channels, height, width = self.shape
        try:
            return decode(self.paths[position], height, width, channels)
        except DataError as error:
            self.broken[self.paths[position]] = str(error)
            return None

    def _leave_out_broken(self) -> None:
        """Go on without the images that can't be read, and say so."""
        self._keep(np.array([n for n, path in enumerate(self.paths) if path not in self.broken], np.int64))
        for number, name in enumerate(self.classes):
            if number not in self.targets:
                raise DataError(f"{self.path / name}: none of the images of this class can be read.")
        first, *others = self.broken.values()
        rest = f" So are {len(others)} others: see `broken`." if others else ""
        warnings.warn(f"ImageFolder: an image is left out. {first}{rest}", stacklevel=3)

    def _part(self, positions: Array) -> ImageFolder:
        """The same folder with the images at these positions alone."""
        part = copy.copy(self)
        part._keep(positions)
        return part

    def _keep(self, positions: Array) -> None:
        self.paths = [self.paths[position] for position in positions]
        self.targets = self.targets[positions]
        self._rows = self._rows[positions]
