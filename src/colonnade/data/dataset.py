"""A data set: images to train on, images to test on, and what their labels mean."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import DataError
from ..ops.layout import Array
from .examples import Arrays, Examples
from .prefetch import default_workers, prefetch

# Counting a few images at a time keeps the integers that NumPy makes of their bytes to a few megabytes.
PIXELS_COUNTED_AT_ONCE = 1 << 20
# Of images that must be read first, so many tell mean and deviation well enough.
IMAGES_READ = 2048


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images to train on, images to test on, and what their labels mean.

    The images stay bytes: as float32 Fashion-MNIST alone would be 188 MB. A batch becomes floating point when it is
    its turn.

    Attributes:
        name: As `load` knows it.
        train: The images to learn from: `Arrays`, or an `ImageFolder`.
        test: Those held out.
        classes: The name of each class number.

    Raises:
        DataError: Labels that are no class, or parts with images of different shapes.
    """

    name: str
    train: Examples
    test: Examples
    classes: list[str]

    def __post_init__(self) -> None:
        for part, examples in (("training", self.train), ("test", self.test)):
            if examples.targets.max() >= len(self.classes):
                found = examples.targets.max()
                raise DataError(f"{self.name}: labels must be under {len(self.classes)}, got {found} in {part}.")
        if self.train.shape != self.test.shape:
            shapes = f"{self.train.shape} and {self.test.shape}"
            raise DataError(f"{self.name}: training and test images must have one shape, got {shapes}.")

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(c, h, w) of one image."""
        c, h, w = self.train.shape
        return c, h, w

    @cached_property
    def normalization(self) -> dict[str, list[float]]:
        """Mean and standard deviation of each channel of the training part, pixels as numbers in [0, 1].

        Of images on disk, at most 2,048 are read for it, evenly spaced.
        """
        train = self.train
        in_memory = isinstance(train, Arrays) and train.in_memory
        looked_at = np.linspace(0, len(train) - 1, len(train) if in_memory else min(len(train), IMAGES_READ))
        positions = np.rint(looked_at).astype(np.int64)
        at_once = max(PIXELS_COUNTED_AT_ONCE // int(np.prod(train.shape)), 1)
        chunks = [positions[start : start + at_once] for start in range(0, len(positions), at_once)]
        counts = np.zeros((self.input_shape[0], 256), np.int64)
        for x in prefetch(train.take, chunks, 0 if in_memory else default_workers()):
            for channel, count in enumerate(counts):
                count += np.bincount(x[:, channel].ravel(), minlength=256)
        return _mean_and_deviation(counts)

    def __repr__(self) -> str:
        images = f"{len(self.train)} + {len(self.test)} images of {'×'.join(map(str, self.input_shape))}"
        return f"Dataset({self.name!r}, {images}, {len(self.classes)} classes)"


def arrays(name: str, part: str, x: Array, y: Array) -> Arrays:
    """A part of a data set, from what its files hold.

    Raises:
        DataError: No images, or labels of another number.
    """
    if not len(x):
        raise DataError(f"{name}: expected at least one image in the {part} part, got none.")
    if len(x) != len(y):
        raise DataError(f"{name}: expected a label for each image, got {len(x)} {part} images, {len(y)}.")
    return Arrays(x, y)


def _mean_and_deviation(counts: Array) -> dict[str, list[float]]:
    """Of each channel, from how often each value of a byte was seen, (channels, 256)."""
    share = counts / counts.sum(axis=1, keepdims=True)
    values = np.arange(256) / 255
    mean = share @ values
    variance = share @ values**2 - mean**2  # float64 of exact counts: nothing to lose
    # A channel that never changes tells nothing; a deviation of 1 leaves it at zero.
    std = np.where(variance > 0, np.sqrt(np.maximum(variance, 0)), 1)
    return {"mean": mean.tolist(), "std": std.tolist()}
