"""What an augmentation is: a callable on a batch, with a configuration that makes it again."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import arguments
from ...errors import ArgumentError, ShapeError
from ...ops.layout import Array, channels_first, channels_last

if TYPE_CHECKING:
    from ..draws import Draws

OUTSIDE = -100  # the class of a pixel that came in from outside: by default losses leave it out
MOVING = {"interpolation": "nearest", "fill": 0}  # of those arguments that there are


class Augmentation:
    """A random change of the images of a training batch: `x, targets = augmentation(x, targets, draws)`.

    What happens to an image is given by the numbers drawn for it alone, which come from the seed, the epoch and its
    position in the data set: neither the other images of its batch nor the number of workers change a bit of it.
    (:class:`MixUp` and :class:`CutMix` blend an image with another of its batch, and say so.)

    A subclass keeps its constructor's arguments as attributes of the same names, and writes :meth:`images`; one that
    changes targets too writes `__call__` instead. It draws the same number of times whatever the images are.

    Class attributes:
        moves: Whether pixels change places. Targets of each pixel then move along.
    """

    moves = False

    def __call__(self, x: Array, targets: Array, draws: Draws) -> tuple[Array, Array]:
        """The changed batch. The arrays handed in are only read; what is unchanged may be handed back as it is.

        Args:
            x: (n, c, h, w), float32 or float64, pixels in [0, 1].
            targets: Class numbers (n,), or distributions (n, classes). Where pixels change places also
                targets of each pixel (n, ..., h, w), which move along: classes are those of the nearest pixel, and −100
                of what came in from outside; numbers that are no whole ones are treated as the image is.
            draws: The random numbers of these n images.

        Raises:
            ShapeError: No batch of images, or images of a size or channel count that can't be changed so.
            ArgumentError: Pixels that are not floating point.
        """
        pixels, drawn = self.laid_out(x), copy(draws)
        y = channels_first(self.images(pixels, draws))
        size = x.shape[2:]
        if not self.moves or targets.ndim < 3 or targets.shape[-2:] != size:
            return y, targets
        planes = self._moved(np.asarray(targets).reshape(len(x), -1, *size), x.dtype, drawn)
        return y, planes.reshape(*targets.shape[:-2], *planes.shape[2:])

    def _moved(self, planes: Array, dtype: np.dtype[Any], draws: Draws) -> Array:
        """What goes with the pixels, (n, planes, h, w), where they are now: whole numbers name classes."""
        if planes.dtype.kind == "f":
            moved = self.images(self.laid_out(planes.astype(dtype, copy=False)), draws)
            return channels_first(moved).astype(planes.dtype, copy=False)
        least = int(planes.min())
        marks = (planes.astype(np.int64) - (least - 1)).astype(dtype)  # 0 is outside
        moved = channels_first(self.mover().images(self.laid_out(marks), draws)).astype(np.int64)
        return np.where(moved == 0, OUTSIDE, moved + (least - 1))

    def mover(self) -> Augmentation:
        """The same change of places and nothing else: pixels go from place to place as they are, or are 0 outside."""
        twin = copy(self)
        vars(twin).update({name: value for name, value in MOVING.items() if hasattr(twin, name)})
        return twin

    def images(self, x: Array, draws: Draws) -> Array:
        """The changed images.

        Args:
            x: (n, h, w, c), contiguous; not to be written to.
            draws: The random numbers of these n images.

        Returns:
            (n, h_out, w_out, c), contiguous, of x's type.
        """
        raise NotImplementedError

    def laid_out(self, x: Array) -> Array:
        """The batch (n, c, h, w) as it lies in memory, (n, h, w, c); a copy only if it lies otherwise.

        Raises:
            ShapeError: No batch of images.
            ArgumentError: Pixels that are not floating point.
        """
        if x.ndim != 4:
            raise ShapeError(f"{type(self).__name__}: expected images of shape (n, c, h, w), got shape {x.shape}.")
        if x.dtype.kind != "f":
            raise ArgumentError(f"{type(self).__name__}: expected floating point pixels in [0, 1], got {x.dtype}.")
        return np.ascontiguousarray(channels_last(x))

    def config(self) -> dict[str, Any]:
        """The name of the class under `type`, and the arguments, as text, numbers and lists; None is left out.

        :func:`from_config` makes the augmentation again.
        """
        given = {name: _plain(value) for name, value in self._arguments().items() if value is not None}
        return {"type": type(self).__name__, **given}

    def _arguments(self) -> dict[str, Any]:
        """The constructor's arguments, from the attributes of the same names."""
        if type(self).__init__ is object.__init__:
            return {}
        names = list(inspect.signature(type(self).__init__).parameters)[1:]
        return {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self._arguments().items())
        return f"{type(self).__name__}({given})"


def _plain(value: Any) -> Any:
    if isinstance(value, Augmentation):
        return value.config()
    return [_plain(each) for each in value] if arguments.is_sequence(value) else arguments.plain(value)


class Compose(Augmentation):
    """One augmentation after the other.

    Args:
        transforms: In the order in which they are applied; none at all leaves a batch as it is.

    Raises:
        ArgumentError: Something that is no augmentation.
    """

    def __init__(self, transforms: Iterable[Augmentation]) -> None:
        if isinstance(transforms, type) or not isinstance(transforms, Iterable):
            raise ArgumentError(f"Compose: expected augmentations, got {arguments.shown(transforms)}.")
        self.transforms = list(transforms)
        for transform in self.transforms:
            if not isinstance(transform, Augmentation):
                got = arguments.shown(transform) + arguments.hint(transform)
                raise ArgumentError(f"Compose: expected augmentations, got {got}.")

    def __call__(self, x: Array, targets: Array, draws: Draws) -> tuple[Array, Array]:
        """As :meth:`Augmentation.__call__`."""
        for transform in self.transforms:
            x, targets = transform(x, targets, draws)
        return x, targets
