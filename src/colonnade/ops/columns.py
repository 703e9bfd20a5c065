"""The column matrix of a convolution: each window a row, some of the rows at a time.

X_col is (n · h_out · w_out, k_h · k_w · c). Its columns are ordered (s, t, r) where the paper has (r, s, t): images lie
channels-last in memory, so that a row of a window then is one run of numbers, which NumPy copies at once. It is made in
scratch memory that stays in the cache until the product has read it. Written in docs/math/convolution.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .layout import ALIGNMENT, Array, channels_first, channels_last, divisors, empty, write_back
from .window import Pair, Window

# How many numbers the columns of a block have: they fit the second-level cache. A block has so many rows at least, so
# that reading the kernel, and adding up its gradient, costs little beside the product.
BLOCK_NUMBERS, BLOCK_ROWS = 1 << 18, 256
# With fewer channels than this a row of a window is a short run. The matrix then lies column by column, in which the
# runs are rows of outputs.
FEW_CHANNELS = 4
# OpenBLAS copies matrices before it multiplies them, but not those of up to so many multiplications: products are done
# in parts of so many rows, unless that leaves few.
SMALL, FEW_ROWS = 1_000_000, 16
# The parts of a transposed product are as large as its result, and are added up: more of them, or of fewer rows, cost
# more than they save.
PARTS, PART_ROWS = 8, 64


def windows(x: Array, window: Window) -> Array:
    """The windows of images (n, c, h, w) that have their border, as (n, c, h_out, w_out, k_h, k_w): a view."""
    (down, across), (gap_down, gap_across) = window.stride, window.dilation
    seen = sliding_window_view(x, window.extent, axis=(2, 3), writeable=True)
    return seen[:, :, ::down, ::across, ::gap_down, ::gap_across]


def windows_by_block(
    x: Array, window: Window, outputs: Pair, together: int, space: Array
) -> Iterator[tuple[slice, Array]]:
    """The windows of images (n, c, h, w) with zeros around them, so many images at a time: which, and their windows.

    They are copied to `space`, channels-last and with their border, unless they lie so. Of the windows that fit the
    first `outputs` of each axis are taken.
    """
    height, width = outputs
    blocks = [slice(start, start + together) for start in range(0, len(x), together)]
    if not any(window.padding) and channels_last(x).flags.c_contiguous:
        seen = windows(x, window)[:, :, :height, :width]
        yield from ((block, seen[block]) for block in blocks)
        return
    padded = zeros((together, *x.shape[1:]), window, space)  # the border stays as it is
    inside = crop(padded, window, (x.shape[2], x.shape[3]))
    seen = windows(padded, window)[:, :, :height, :width]
    for block in blocks:
        images = x[block]
        inside[: len(images)] = images
        yield block, seen[: len(images)]


def zeros(shape: Sequence[int], window: Window, space: Array) -> Array:
    """Images (n, c, h, w) of zeros, and their border, channels-last in `space`."""
    shape = padded_shape(window, shape)
    padded = space[: math.prod(shape)].reshape(shape)
    padded.fill(0)
    return channels_first(padded)


def padded_shape(window: Window, shape: Sequence[int]) -> tuple[int, ...]:
    """Images (n, c, h, w) with their border as they lie in memory, (n, h, w, c)."""
    return (shape[0], *window.padded_size((shape[2], shape[3])), shape[1])


def crop(padded: Array, window: Window, size: Pair) -> Array:
    """The images of `size` in their border: a view."""
    top, _, left, _ = window.padding
    return padded[:, :, top : top + size[0], left : left + size[1]]


def column_matrix(shape: Sequence[int], space: Array) -> tuple[Array, Array]:
    """Room for the column matrix of windows (n, c, h_out, w_out, k_h, k_w): as a matrix, and as windows."""
    images, channels, height, width, kernel_height, kernel_width = shape
    space = space[: math.prod(shape)]
    if channels < FEW_CHANNELS:
        laid = space.reshape(kernel_height, kernel_width, channels, images, height, width)
        return space.reshape(-1, images * height * width).T, laid.transpose(3, 2, 4, 5, 0, 1)
    laid = space.reshape(images, height, width, kernel_height, kernel_width, channels)
    return space.reshape(images * height * width, -1), laid.transpose(0, 5, 1, 2, 3, 4)


def column_matrices(
    x: Array, window: Window, outputs: Pair, space: Array | None = None
) -> Iterator[tuple[Array, slice, slice]]:
    """X_col of images (n, c, h, w), some rows at a time: the rows, and which images and rows of outputs they are of."""
    if window.pointwise:  # the images already are their own column matrix
        yield as_rows(x[:, :, : outputs[0], : outputs[1]]), slice(None), slice(None)
        return
    columns, border = room(space, x.dtype, *sizes(window, x.shape))
    together, step = block_size(window, x.shape)
    for images, seen in windows_by_block(x, window, outputs, together, border):
        for row in range(0, seen.shape[2], step):
            rows = slice(row, row + step)
            matrix, laid = column_matrix(seen[:, :, rows].shape, columns)
            np.copyto(laid, seen[:, :, rows])
            yield matrix, images, rows


def blocks(window: Window, shape: Sequence[int]) -> Iterator[tuple[slice, slice]]:
    """The runs of images (n, c, h, w), and of rows of their outputs, whose windows are laid out together."""
    height, _ = window.output_size((shape[2], shape[3]))
    images, rows = block_size(window, shape)
    for image in range(0, shape[0], images):
        for row in range(0, height, rows):
            yield slice(image, image + images), slice(row, row + rows)


def block_size(window: Window, shape: Sequence[int]) -> Pair:
    """How many images, and of how many rows of outputs, a block holds: whole images, or rows of one."""
    height, width = window.output_size((shape[2], shape[3]))
    row_numbers = width * math.prod(window.kernel) * shape[1]
    rows = max(BLOCK_NUMBERS // row_numbers, -(-BLOCK_ROWS // width))
    return (1, rows) if rows < height else (min(shape[0], rows // height), height)


def sizes(window: Window, shape: Sequence[int]) -> Pair:
    """How many numbers the columns of a block have, and how many its images with their border."""
    if window.pointwise:
        return 0, 0
    images, rows = block_size(window, shape)
    _, width = window.output_size((shape[2], shape[3]))
    columns = images * rows * width * math.prod(window.kernel) * shape[1]
    return columns, math.prod(padded_shape(window, (images, *shape[1:])))


def room(space: Array | None, dtype: Any, *numbers: int) -> list[Array]:
    """So many numbers each, one behind the other in `space`; new memory for what it has no room for."""
    space = np.empty(0, dtype) if space is None else space.reshape(-1)
    parts, start = [], 0
    for count in numbers:
        part = space[start : start + count]
        parts.append(part if len(part) == count else empty(count, dtype))
        start += in_lines(count)
    return parts


def in_lines(*numbers: int) -> int:
    """What :func:`room` takes for so many numbers each, of which each begins at a cache line, whatever their type."""
    step = ALIGNMENT // 4
    return sum(-(-count // step) * step for count in numbers)


def as_rows(y: Array) -> Array:
    """Images (n, c, h, w) as the matrix (n · h · w, c): a view of images that lie channels-last, else a copy."""
    return channels_last(y).reshape(-1, y.shape[1])


def multiply(left: Array, right: Array, y: Array) -> None:
    """Y = left · right, where the rows of the product are the pixels of images y (n, c, h, w)."""
    rows = as_rows(y)
    shape = (-1, part_rows(len(left), right.size))
    np.matmul(left.reshape(*shape, left.shape[1]), right, out=rows.reshape(*shape, rows.shape[1]))
    write_back(rows, channels_last(y))  # images that do not lie channels-last


def multiply_transposed(left: Array, right: Array, space: Array) -> Array:
    """leftᵀ · right, for matrices of as many rows; in `space`, of `transposed_numbers`."""
    rows, numbers = len(left), left.shape[1] * right.shape[1]
    step = part_rows(rows, numbers)
    step = step if step >= PART_ROWS and rows <= PARTS * step else rows
    parts = space[: rows // step * numbers].reshape(-1, left.shape[1], right.shape[1])
    turned = left.T.reshape(left.shape[1], -1, step).transpose(1, 0, 2)
    np.matmul(turned, right.reshape(-1, step, right.shape[1]), out=parts)
    total: Array = parts[0]
    for part in parts[1:]:
        np.add(total, part, out=total)
    return total


def transposed_numbers(numbers: int) -> int:
    """The room that a transposed product of so many numbers takes, whatever the rows."""
    return numbers * (PARTS if numbers * PART_ROWS <= SMALL else 1)


@lru_cache(maxsize=4096)
def part_rows(rows: int, numbers: int) -> int:
    """How many rows are multiplied at a time with a matrix of so many numbers: a divisor of all."""
    fitting = [part for part in divisors(rows) if FEW_ROWS <= part <= SMALL // numbers]
    return fitting[-1] if fitting else rows


def kernel_columns(weight: Array) -> Array:
    """Kᵀ, kernels (c_out, c_in, k_h, k_w) as the matrix (k_h · k_w · c_in, c_out): a view of those that lie so."""
    return weight.transpose(2, 3, 1, 0).reshape(-1, len(weight))
