"""The batches of an epoch: which images, in which order, as numbers that a model takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from .. import arguments
from ..errors import ArgumentError, DivergenceError, ShapeError
from ..ops.layout import Array, channels_first, channels_last
from .pixels import WHITE

Normalization = Mapping[str, Sequence[float]]
LOOKED_AT_ONCE = 1024  # images that are searched for NaN together


def order(images: int, seed: int, epoch: int) -> Array:
    """The order in which an epoch sees the images: from (seed, epoch) alone, whatever came before."""
    return np.random.default_rng([seed, epoch]).permutation(images)


def cut(images: int, batch_size: int) -> list[slice]:
    """The batches of an epoch, all of `batch_size` but the last.

    No image is left out. A last batch of one image goes with the batch before: batch norm can't tell the spread of a
    single value.
    """
    starts = list(range(0, images, batch_size))
    if len(starts) > 1 and images - starts[-1] == 1:
        starts.pop()
    return [slice(start, stop) for start, stop in zip(starts, [*starts[1:], images], strict=True)]


def means_and_stds(normalization: Normalization) -> tuple[Array, Array]:
    """The mean and the standard deviation of each channel, (c,) each.

    Raises:
        ArgumentError: Anything but finite means and as many stds above 0.
    """
    try:
        mean, std = (np.asarray(normalization[name], np.float64).reshape(-1) for name in ("mean", "std"))
    except (LookupError, TypeError, ValueError, OverflowError):
        got = arguments.shown(normalization)
        raise ArgumentError(
            f"normalization: expected {{'mean': [...], 'std': [...]}}, numbers by channel, got {got}."
        ) from None
    if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
        raise ArgumentError(
            f"normalization: expected finite means, and stds above 0, got {arguments.shown(normalization)}."
        )
    return mean, std


def are_alike(one: Normalization, other: Normalization | None) -> bool:
    """Whether two normalisations do the same; nonsense is like nothing."""
    if other is None:
        return False
    try:
        return all(np.array_equal(*both) for both in zip(means_and_stds(one), means_and_stds(other), strict=True))
    except ArgumentError:
        return False


class Conversion:
    """Images of any type made the numbers that a model takes.

        y = (pixels − mean) / std        pixels = x / unit

    Args:
        shape: Of one image, the channels first.
        source: The type of what is converted.
        dtype: The model's type.
        normalization: `mean` and `std` of each channel; None leaves the pixels as they are.
        laid_last: The arrays that are handed in are (n, h, w, c), rather than (n, c, h, w) or (n, ...).
        unit: What of x stands for 1; by default 255 of bytes, and 1 of all else.

    Raises:
        ArgumentError: A normalization of wrong length or without spread.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        source: DTypeLike,
        dtype: DTypeLike,
        normalization: Normalization | None = None,
        laid_last: bool = False,
        unit: float | None = None,
    ) -> None:
        source, self.dtype = np.dtype(source), np.dtype(dtype)
        if unit is None:
            unit = WHITE if source == np.uint8 else 1.0
        self._affine: tuple[Array, Array] | None = None  # scale and offset of an image, laid out as the images are
        self.changes = unit != 1 or normalization is not None or source != self.dtype
        if normalization is None and unit == 1:
            return
        channels = shape[0]
        mean, std = np.zeros(channels), np.ones(channels)
        if normalization is not None:
            mean, std = means_and_stds(normalization)
        if len(mean) != channels or len(std) != channels:
            lengths = f"{len(mean)} and {len(std)}"
            raise ArgumentError(f"normalization: expected a mean and a std for each of {channels}, got {lengths}.")
        # As large as an image rather than a number a channel: the inner loop is as long as the image.
        vectors = []
        for values in (1 / (unit * std), -mean / std):
            tiled = np.broadcast_to(values.reshape(channels, *[1] * (len(shape) - 1)), shape)
            vectors.append((tiled.transpose(1, 2, 0) if laid_last else tiled).astype(self.dtype, order="C"))
        self._affine = vectors[0], vectors[1]

    def __call__(self, x: Array, out: Array) -> None:
        """Write the numbers of `x` to `out`, of the model's type; they may be the same array."""
        if self._affine is not None:
            scale, offset = self._affine
            np.multiply(x, scale, out=out, dtype=self.dtype, casting="unsafe")
            np.add(out, offset, out=out)
        elif out is not x:
            out[...] = x


class Batches:
    """The images of an array as a model takes them: gathered and converted into reused memory.

    Args:
        x: (n, c, h, w) or (n, ...), of any type; anything with `__array__`.
        dtype: The model's type.
        normalization: `mean` and `std` of each channel; None leaves the pixels as they are.
        unit: What of x stands for 1; by default 255 of bytes, and 1 of all else.

    Raises:
        ShapeError: No images.
        ArgumentError: Numbers that are not real, or a normalization of wrong length or without spread.
    """

    def __init__(
        self,
        x: ArrayLike,
        dtype: DTypeLike,
        normalization: Normalization | None = None,
        unit: float | None = None,
    ) -> None:
        x = np.asarray(x)
        if x.ndim < 2 or not len(x):
            raise ShapeError(f"Batches: expected images of shape (n, ...), got shape {x.shape}.")
        if x.dtype.kind not in "buif":
            raise ArgumentError(f"Batches: expected images of real numbers, got {x.dtype}.")
        # Images are taken, converted and scaled in the order in which they lie in memory: every pass is one long run.
        self._laid_last = x.ndim == 4 and not x.flags.c_contiguous and channels_last(x).flags.c_contiguous
        self._source = channels_last(x) if self._laid_last else x
        self._convert = Conversion(x.shape[1:], x.dtype, dtype, normalization, self._laid_last, unit)
        self._taken: Array = np.empty(0)  # (images, ...), of the source's type
        self._batch: Array = np.empty(0)  # (images, ...), of the model's type

    def __len__(self) -> int:
        return len(self._source)

    def take(self, positions: Array) -> Array:
        """The images at these positions, (len(positions), ...): valid until the next call.

        Raises:
            DivergenceError: An image that holds NaN or infinity; the message names its position.
        """
        if len(self._taken) < len(positions):
            shape = (len(positions), *self._source.shape[1:])
            self._taken = np.empty(shape, self._source.dtype)
            self._batch = np.empty(shape, self._convert.dtype) if self._convert.changes else self._taken
        taken = self._taken[: len(positions)]
        batch = self._batch[: len(positions)] if self._convert.changes else taken
        if self._source.flags.c_contiguous:
            np.take(self._source, positions, axis=0, out=taken, mode="clip")  # other modes take through a copy
        else:
            taken[...] = self._source[positions]  # np.take would copy the whole source first
        require_finite(taken, positions)
        self._convert(taken, batch)
        return channels_first(batch) if self._laid_last else batch

    def require_finite(self) -> None:
        """Raise now what `take` would raise at any of the images.

        Raises:
            DivergenceError: An image that holds NaN or infinity; the message names its position.
        """
        for start in range(0, len(self), LOOKED_AT_ONCE):
            positions = np.arange(start, min(start + LOOKED_AT_ONCE, len(self)))
            require_finite(self._source[start : start + LOOKED_AT_ONCE], positions)


def require_finite(x: Array, positions: Array) -> None:
    """Look for NaN and infinity in images (n, ...) that come from these positions.

    Raises:
        DivergenceError: An image that holds NaN or infinity; the message names its position.
    """
    if x.dtype.kind != "f":
        return
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(x.sum()):  # one pass; only a sum that is not finite is worth a second look
            return
    wrong = ~np.isfinite(x).reshape(len(x), -1).all(axis=1)
    if wrong.any():
        raise DivergenceError(f"image {positions[wrong][0]} holds NaN or infinity.")
