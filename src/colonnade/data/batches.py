"""The batches of an epoch: which images, in which order, as numbers that a model takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from ..errors import ArgumentError, DivergenceError, ShapeError
from ..ops.layout import Array, channels_first, channels_last

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


class Batches:
    """The images of a data set as a model takes them: gathered, converted and normalised into reused arrays.

        batch = (pixels − mean) / std        pixels = x / 255 where x holds bytes, else x

    Args:
        x: (n, c, h, w) or (n, ...), of any type; anything with `__array__`.
        dtype: The model's type.
        normalization: `mean` and `std` of each channel; None leaves the pixels as they are.

    Raises:
        ShapeError: No images.
        ArgumentError: Numbers that are not real, or a normalization of wrong length or without spread.
    """

    def __init__(self, x: ArrayLike, dtype: DTypeLike, normalization: Normalization | None = None) -> None:
        x = np.asarray(x)
        if x.ndim < 2 or not len(x):
            raise ShapeError(f"Batches: expected images of shape (n, ...), got shape {x.shape}.")
        if x.dtype.kind not in "buif":
            raise ArgumentError(f"Batches: expected images of real numbers, got {x.dtype}.")
        # Images are taken, converted and scaled in the order in which they lie in memory: every pass is one long run.
        self._laid_last = x.ndim == 4 and not x.flags.c_contiguous and channels_last(x).flags.c_contiguous
        self._source = channels_last(x) if self._laid_last else x
        self._pixels = x.dtype == np.uint8
        self.dtype = np.dtype(dtype)
        self._affine = self._scale_and_offset(x.shape[1:], normalization)
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
            converts = self._affine is not None or self._source.dtype != self.dtype
            self._batch = np.empty(shape, self.dtype) if converts else self._taken
        taken, batch = self._taken[: len(positions)], self._batch[: len(positions)]
        if self._source.flags.c_contiguous:
            np.take(self._source, positions, axis=0, out=taken, mode="clip")  # other modes take through a copy
        else:
            taken[...] = self._source[positions]  # np.take would copy the whole source first
        self._require_finite(taken, positions)
        if self._affine is not None:
            scale, offset = self._affine
            np.multiply(taken, scale, out=batch, dtype=self.dtype, casting="unsafe")
            np.add(batch, offset, out=batch)
        elif batch.dtype != taken.dtype:
            batch[...] = taken
        return channels_first(batch) if self._laid_last else batch

    def _scale_and_offset(
        self, shape: tuple[int, ...], normalization: Normalization | None
    ) -> tuple[Array, Array] | None:
        """Scale and offset of an image, laid out as the source; None where there is nothing to do."""
        if normalization is None and not self._pixels:
            return None
        channels = shape[0]
        mean, std = np.zeros(channels), np.ones(channels)
        if normalization is not None:
            mean, std = (np.asarray(normalization[name], np.float64).reshape(-1) for name in ("mean", "std"))
        if len(mean) != channels or len(std) != channels:
            lengths = f"{len(mean)} and {len(std)}"
            raise ArgumentError(f"normalization: expected a mean and a std for each of {channels}, got {lengths}.")
        if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
            raise ArgumentError(f"normalization: expected finite means, and stds above 0, got {normalization}.")
        unit = 255 if self._pixels else 1
        # As large as an image rather than a number a channel: the inner loop is as long as the image.
        vectors = []
        for values in (1 / (unit * std), -mean / std):
            tiled = np.broadcast_to(values.reshape(channels, *[1] * (len(shape) - 1)), shape)
            vectors.append((tiled.transpose(1, 2, 0) if self._laid_last else tiled).astype(self.dtype, order="C"))
        return vectors[0], vectors[1]

    def require_finite(self) -> None:
        """Raise now what `take` would raise at any of the images.

        Raises:
            DivergenceError: An image that holds NaN or infinity; the message names its position.
        """
        for start in range(0, len(self), LOOKED_AT_ONCE):
            positions = np.arange(start, min(start + LOOKED_AT_ONCE, len(self)))
            self._require_finite(self._source[start : start + LOOKED_AT_ONCE], positions)

    @staticmethod
    def _require_finite(taken: Array, positions: Array) -> None:
        if taken.dtype.kind != "f":
            return
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(taken.sum()):  # one pass; only a sum that is not finite is worth a second look
                return
        wrong = ~np.isfinite(taken).reshape(len(taken), -1).all(axis=1)
        if wrong.any():
            raise DivergenceError(f"image {positions[wrong][0]} holds NaN or infinity.")
