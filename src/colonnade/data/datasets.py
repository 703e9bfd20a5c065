"""The data sets known by name."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import DataError
from ..ops.layout import Array
from . import cifar10, digits, idx

# Counting 1,024 images at a time keeps the integers that numpy makes of their bytes to a few megabytes.
COUNTED_AT_ONCE = 1024


class Examples(NamedTuple):
    """Images and their labels: `x, y = dataset.train`.

    Attributes:
        x: (n, c, h, w), bytes.
        y: (n,), class numbers, int64.
    """

    x: Array
    y: Array


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images to train on, images to test on, and what their labels mean.

    The images stay bytes: as float32 Fashion-MNIST alone would be 188 MB. A batch becomes floating point when it is
    its turn.

    Attributes:
        name: As `load` knows it.
        train: The images to learn from.
        test: Those held out.
        classes: The name of each class number.
    """

    name: str
    train: Examples
    test: Examples
    classes: list[str]

    def __post_init__(self) -> None:
        for part, (x, y) in (("training", self.train), ("test", self.test)):
            if len(x) != len(y):
                raise DataError(f"{self.name}: expected a label for each image, got {len(x)} {part} images, {len(y)}.")
            if not len(x):
                raise DataError(f"{self.name}: expected at least one image in the {part} part, got none.")
            if y.max() >= len(self.classes):
                raise DataError(f"{self.name}: labels must be under {len(self.classes)}, got {y.max()} in {part}.")
        if self.train.x.shape[1:] != self.test.x.shape[1:]:
            shapes = f"{self.train.x.shape[1:]} and {self.test.x.shape[1:]}"
            raise DataError(f"{self.name}: training and test images must have one shape, got {shapes}.")

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(c, h, w) of one image."""
        _, c, h, w = self.train.x.shape
        return c, h, w

    @cached_property
    def normalization(self) -> dict[str, list[float]]:
        """Mean and standard deviation of each channel of the training part, pixels as numbers in [0, 1]."""
        x = self.train.x
        counts = np.zeros((x.shape[1], 256), np.int64)
        for start in range(0, len(x), COUNTED_AT_ONCE):
            for channel, count in enumerate(counts):
                pixels = x[start : start + COUNTED_AT_ONCE, channel]
                count += np.bincount(pixels.ravel(), minlength=256)
        share = counts / counts.sum(axis=1, keepdims=True)
        values = np.arange(256) / 255
        mean = share @ values
        variance = share @ values**2 - mean**2  # float64 of exact counts: nothing to lose
        # A channel that never changes tells nothing; a deviation of 1 leaves it at zero.
        std = np.where(variance > 0, np.sqrt(np.maximum(variance, 0)), 1)
        return {"mean": mean.tolist(), "std": std.tolist()}

    def __repr__(self) -> str:
        c, h, w = self.input_shape
        images = f"{len(self.train.x)} + {len(self.test.x)} images of {c}×{h}×{w}"
        return f"Dataset({self.name!r}, {images}, {len(self.classes)} classes)"


TEN_DIGITS = [str(digit) for digit in range(10)]
GARMENTS = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]


def _digits(folder: Path | None) -> Dataset:
    train, test = digits.read()
    return Dataset("digits", Examples(*train), Examples(*test), TEN_DIGITS)


def _idx(name: str, classes: list[str]) -> Callable[[Path | None], Dataset]:
    def read(folder: Path | None) -> Dataset:
        places = _places(name, folder)

        def read_idx(file: str, dimensions: int) -> Array:
            return idx.read(_find(name, places, file, f"{file}.gz"), dimensions)

        train, test = (
            Examples(
                read_idx(f"{part}-images-idx3-ubyte", dimensions=3)[:, np.newaxis],
                read_idx(f"{part}-labels-idx1-ubyte", dimensions=1).astype(np.int64),
            )
            for part in ("train", "t10k")
        )
        return Dataset(name, train, test, classes)

    return read


def _cifar10(folder: Path | None) -> Dataset:
    places = _places("cifar10", folder)
    places += [place / "cifar-10-batches-bin" for place in places]
    train = cifar10.read([_find("cifar10", places, f"data_batch_{number}.bin") for number in range(1, 6)])
    test = cifar10.read([_find("cifar10", places, "test_batch.bin")])
    return Dataset("cifar10", Examples(*train), Examples(*test), cifar10.CLASSES)


READERS: dict[str, Callable[[Path | None], Dataset]] = {
    "digits": _digits,
    "mnist": _idx("mnist", TEN_DIGITS),
    "fashion-mnist": _idx("fashion-mnist", GARMENTS),
    "cifar10": _cifar10,
}
NAMES = tuple(READERS)


def load(name: str, data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """The data set of that name, in memory.

    Args:
        name: `digits` comes with the package (1,442 + 355 images of 1×8×8). `mnist` and `fashion-mnist` are read
            from their four official idx files, gzipped or not, `cifar10` from its official binary batches.
        data_dir: The folder the files lie in, themselves or in a sub-folder of the data set's name; by default the
            one that the environment variable COLONNADE_DATA names.

    Raises:
        DataError: An unknown name, or files that are missing, truncated or not what they claim to be.
    """
    if name in READERS:
        return READERS[name](None if data_dir is None else Path(data_dir))
    if Path(name).is_dir():
        raise DataError(f"A folder of photographs is not supported yet: expected {_either(NAMES)}, got {name!r}.")
    import difflib  # few mistype a name

    near = difflib.get_close_matches(str(name).lower(), NAMES, n=1)
    hint = f"did you mean {near[0]}?" if near else f"expected {_either(NAMES)}."
    raise DataError(f"There is no data set {name!r}: {hint}")


def _either(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _places(name: str, folder: Path | None) -> list[Path]:
    """Where the files of a data set may lie. Its own sub-folder comes first: MNIST's files share their names."""
    if folder is None:
        if not os.environ.get("COLONNADE_DATA"):
            raise DataError(f"{name}: name the folder of its files by data_dir (--data-dir) or in COLONNADE_DATA.")
        folder = Path(os.environ["COLONNADE_DATA"])
    if not folder.is_dir():
        raise DataError(f"{name}: expected a folder with its files, got {str(folder)!r}, which is none.")
    return [folder / name, folder]


def _find(name: str, places: list[Path], *files: str) -> Path:
    """The first of `files` that is there."""
    for place in places:
        for file in files:
            if (place / file).is_file():
                return place / file
    raise DataError(f"{name}: put the official {' or '.join(files)} into {places[0]}; it is not there.")
