"""What a model is trained on: images that are handed out by their positions, and what they show."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from .. import arguments
from ..errors import ArgumentError, DataError, ShapeError
from ..ops.layout import Array, channels_first, channels_last


class Examples(Protocol):
    """Images and their targets, wherever they lie. Whatever has these four can be trained on.

    Where it has a list of names `classes` as well, and the model has names, they are paired by them.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image as `take` returns it, (c, h, w)."""

    @property
    def targets(self) -> Array:
        """(n, ...), in memory; class numbers (n,), int64, for classification."""

    def __len__(self) -> int:
        """How many images there are."""

    def take(self, positions: Array) -> Array:
        """The images at these positions, (len(positions), *shape), bytes or numbers, in an array of their own.

        Several threads may call it at once.
        """


class Arrays:
    """Images and targets in two arrays, in memory or memory-mapped; `x, y = arrays` gives them back.

    Args:
        x: (n, c, h, w), or (n, ...), real numbers or bytes: an array, or anything with `__array__`. The path of an
            `.npy` file is memory-mapped, as is an array from `np.load(path, mmap_mode="r")`: only the images of a
            batch are read, when it is their turn.
        y: Targets (n, ...), likewise; whole numbers (n,) become int64. None where there are none, to predict.
        classes: The names of the class numbers, if they have any: a model that has names, too, is paired by them.

    Raises:
        ShapeError: No images, or targets of another number than the images.
        ArgumentError: Images that are no real numbers.
        DataError: A path that is no whole `.npy` file.
    """

    def __init__(
        self,
        x: ArrayLike | os.PathLike[str] | str,
        y: ArrayLike | os.PathLike[str] | str | None = None,
        classes: Sequence[str] | None = None,
    ) -> None:
        self.x = _array(x)
        if self.x.ndim < 2 or not len(self.x):
            raise ShapeError(f"Arrays: expected at least one image, (n, ...), got x of shape {self.x.shape}.")
        if self.x.dtype.kind not in "buif":
            raise ArgumentError(f"Arrays: expected images of real numbers, got {self.x.dtype}.")
        self.targets = np.empty((len(self.x), 0)) if y is None else _array(y)
        if not self.targets.ndim or len(self.targets) != len(self.x):
            raise ShapeError(
                f"Arrays: expected a target for each of {len(self.x)} images, got y of shape {self.targets.shape}."
            )
        if self.targets.ndim == 1 and self.targets.dtype.kind in "ui":
            self.targets = self.targets.astype(np.int64, copy=False)
        self.classes = None if classes is None else list(classes)
        self.in_memory = not _is_mapped(self.x)
        self._laid_last = self.x.ndim == 4 and not self.x.flags.c_contiguous

    @property
    def y(self) -> Array:
        """The targets."""
        return self.targets

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image."""
        return self.x.shape[1:]

    def __len__(self) -> int:
        return len(self.x)

    def __iter__(self) -> Iterator[Array]:
        return iter((self.x, self.targets))

    def take(self, positions: Array) -> Array:
        """The images at these positions, in memory, as they lie in `x`: channels first or last."""
        if self._laid_last:
            return channels_first(channels_last(self.x)[positions])
        return np.asarray(self.x[positions])

    def __repr__(self) -> str:
        place = "" if self.in_memory else ", memory-mapped"
        return f"Arrays({len(self)} images of {'×'.join(map(str, self.shape))}, {self.x.dtype}{place})"


class Joined:
    """Several examples as one, one after the other.

    Args:
        parts: At least one, of images of one shape, and of class numbers that mean the same.
        classes: The names of the class numbers, if they have any.

    Raises:
        ShapeError: Images of different shapes.
    """

    def __init__(self, parts: Sequence[Examples], classes: Sequence[str] | None = None) -> None:
        if len(shapes := {tuple(part.shape) for part in parts}) > 1:
            raise ShapeError(f"Joined: expected images of one shape, got {' and '.join(map(str, sorted(shapes)))}.")
        self.parts = list(parts)
        self.classes = None if classes is None else list(classes)
        self.targets = np.concatenate([np.asarray(part.targets) for part in parts])
        self._starts = np.cumsum([0, *map(len, parts)])

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image."""
        return tuple(self.parts[0].shape)

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, positions: Array) -> Array:
        """The images at these positions, each from its part."""
        positions = np.asarray(positions)
        part_of = np.searchsorted(self._starts, positions, side="right") - 1
        asked = [(part_of == number, number) for number in np.unique(part_of)]
        taken = [(here, self.parts[number].take(positions[here] - self._starts[number])) for here, number in asked]
        batch = np.empty((len(positions), *self.shape), np.result_type(*(images for _, images in taken)))
        for here, images in taken:
            batch[here] = images
        return batch


def _array(values: ArrayLike | os.PathLike[str] | str) -> Array:
    if not isinstance(values, str | os.PathLike):
        return np.asarray(values)
    try:
        # Not np.load, which takes other kinds of files, and advises to unpickle the rest.
        return np.lib.format.open_memmap(arguments.path("Arrays", "x or y", values), mode="r")
    except FileNotFoundError:
        raise DataError(f"{values}: there is no such file.") from None
    except (OSError, ValueError, EOFError) as error:  # what NumPy says of another kind of file, or a truncated one
        raise DataError(f"{values}: expected a whole .npy file of numbers ({' '.join(str(error).split())}).") from error


def _is_mapped(x: Array) -> bool:
    """Whether an array is a view of a file; `np.asarray` hides it."""
    part: object = x
    while part is not None:
        if isinstance(part, np.memmap):
            return True
        part = getattr(part, "base", None)
    return False
