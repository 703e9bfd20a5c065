"""One number a channel: added to images, or summed over their positions."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import DTypeLike

from .layout import Array, as_laid, divisors, ends_in_channels

# A vector of one number a channel is repeated to rows of at least so many numbers before it is multiplied with or added
# to images: NumPy takes some 60 ns to begin a row, the time of 500 numbers.
ROW_NUMBERS = 16384
# So many numbers of a channel are added up in float32; their sums in float64.
SUMMED = 64


def repeats(shape: tuple[int, ...], channels: int) -> int:
    """How many positions of images (n, c, h, w) make up a row of `ROW_NUMBERS` or little more, dividing an image's."""
    count = 1
    for size in reversed(shape[2:]):
        missing = ROW_NUMBERS / (count * channels)
        if missing > 1:
            # A whole axis may be many times too much, and a long vector leaves no room for the images in the cache.
            count *= next(part for part in divisors(size) if part >= missing or part == size)
    return count


def add_to_channels(x: Array, vector: Array) -> None:
    """x += vector, one number a channel, for x (n, c, *size)."""
    laid = as_laid(x)
    if ends_in_channels(x.ndim) and laid.flags.c_contiguous:
        vector = np.tile(vector, repeats(x.shape, len(vector)))
        rows = laid.reshape(-1, len(vector))
        np.add(rows, vector, out=rows)
    else:
        np.add(x, vector.reshape(-1, *[1] * (x.ndim - 2)), out=x)


def channel_sums(x: Array) -> Array:
    """Σx of each channel in float64, (..., c), for x (..., positions, c).

    A product with ones adds up columns many times faster than `sum`: so many positions at a time.
    """
    *others, positions, channels = x.shape
    whole, ones = positions // SUMMED * SUMMED, row_of_ones(x.dtype)
    runs = np.matmul(ones, x[..., :whole, :].reshape(*others, -1, SUMMED, channels))
    rest: Array = np.matmul(ones[0, : positions - whole], x[..., whole:, :])
    return np.asarray(runs.sum(axis=(-3, -2), dtype=np.float64) + rest)


@lru_cache
def row_of_ones(dtype: DTypeLike) -> Array:
    """(1, SUMMED) of ones."""
    return np.ones((1, SUMMED), dtype)
