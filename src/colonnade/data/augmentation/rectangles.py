"""Rectangles within images, drawn at random: what is cropped, erased or replaced."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ...ops.layout import Array
from .arguments import Interval
from .sampling import pixels

if TYPE_CHECKING:
    from ..draws import Draws

TRIES = 10  # as many sizes are drawn for an image before one gives up finding one that fits, as in torchvision


def draw_sizes(draws: Draws, image: tuple[int, int], scale: Interval, ratio: Interval) -> tuple[Array, Array, Array]:
    """A rectangle's height and width for each image: the first of `TRIES` that is no larger than the image.

        width = √(area · ratio)        height = √(area / ratio)        area = h · w · U(scale)

    Args:
        draws: The random numbers of the images.
        image: Height and width of the images, h and w.
        scale: Bounds of the rectangle's share of the image's area, drawn uniformly.
        ratio: Bounds of width / height, whose logarithm is drawn uniformly.

    Returns:
        height: (n,), whole numbers.
        width: (n,), likewise.
        found: (n,), whether any of them fits; where none does, height and width are to be ignored.
    """
    area = image[0] * image[1] * draws.uniform(*scale, size=(TRIES,))
    root = np.exp(draws.uniform(math.log(ratio[0]), math.log(ratio[1]), size=(TRIES,)) / 2)
    side = np.sqrt(area)
    heights, widths = np.rint(side / root), np.rint(side * root)  # (n, TRIES)
    fits = (heights >= 1) & (heights <= image[0]) & (widths >= 1) & (widths <= image[1])
    first = fits.argmax(axis=1)
    each = np.arange(len(fits))
    return heights[each, first].astype(np.intp), widths[each, first].astype(np.intp), fits[each, first]


def inside(top: Array, bottom: Array, left: Array, right: Array, image: tuple[int, int]) -> Array:
    """Which pixels lie in the rectangle [top, bottom) × [left, right) of their image: (n, h, w), booleans.

    Args:
        top: (n,), as are the others; what is outside the image is left out.
        image: Height and width of the images.
    """
    row, column = np.arange(image[0]), np.arange(image[1])
    rows = (row >= top[:, None]) & (row < bottom[:, None])
    columns = (column >= left[:, None]) & (column < right[:, None])
    return np.asarray(rows[:, :, None] & columns[:, None, :])


def overwritten(x: Array, where: Array, value: Array) -> Array:
    """A copy of x, with other pixels in some places.

    Args:
        x: (n, h, w, c), contiguous.
        where: (n, h, w), booleans.
        value: What is written there: one pixel (c,), or images (n, h, w, c).
    """
    y = x.copy()
    np.copyto(pixels(y), pixels(np.ascontiguousarray(value)), where=where)
    return y
