"""The order of an image batch in memory."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]

# A vector of one number a channel is repeated to rows of about so many numbers before it is multiplied with or added
# to images: NumPy takes some 60 ns to begin a row, the time of 500 numbers.
ROW_NUMBERS = 4096


def channels_last(x: Array) -> Array:
    """The contiguous (n, h, w, c) array behind an image batch (n, c, h, w); a view.

    Batches lie channels-last because the runs that are copied when windows are laid out are then k_w · c long, and
    the column matrix needs no transpose before the product.
    """
    return x.transpose(0, 2, 3, 1)


def channels_first(x: Array) -> Array:
    """The image batch (n, c, h, w) that lies in memory as `x`, (n, h, w, c); a view."""
    return x.transpose(0, 3, 1, 2)


def repeats(shape: tuple[int, ...], channels: int) -> int:
    """How many positions of images (n, c, h, w) make up a row of about `ROW_NUMBERS` numbers, dividing an image's."""
    count = 1
    for size in reversed(shape[2:]):
        if count * channels < ROW_NUMBERS:
            count *= size
    return count


def laid_like(x: Array, numbers: Array) -> Array:
    """Scratch memory as images of x's shape and order in memory, however many it holds; a view."""
    if x.ndim == 4:
        channels, height, width = x.shape[1:]
        return channels_first(numbers.reshape(-1, height, width, channels))
    return numbers.reshape(-1, *x.shape[1:])
