"""Where a resized image finds its pixels in the one it is made from, as indices or as a matrix a direction.

Derived in docs/math/rearrangement.md. `out` is written and returned; it is made, like scratch, if it is not given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import DTypeLike

from .columns import in_lines, room
from .layout import Array, channels_last, constant, empty_batch, made, write_back


@lru_cache(maxsize=16)
def nearest_index(size: int, outputs: int, scale: float) -> Array:
    """⌊i · scale⌋ for i = 0 … outputs − 1, at most size − 1; computed in float32, to round as PyTorch does."""
    positions = np.arange(outputs, dtype=np.float32) * np.float32(scale)
    index: Array = np.minimum(np.floor(positions).astype(np.intp), size - 1)
    return constant(index)


@lru_cache(maxsize=16)
def nearest_matrix(size: int, outputs: int, scale: float, dtype: DTypeLike) -> Array:
    """The matrix (outputs, size) that picks the pixels of :func:`nearest_index`."""
    return constant(index_matrix(nearest_index(size, outputs, scale), size, dtype))


def index_matrix(index: Array, size: int, dtype: DTypeLike) -> Array:
    """The matrix (outputs, size) that picks the pixels of `index`."""
    matrix = np.zeros((len(index), size), dtype)
    matrix[np.arange(len(index)), index] = 1
    return matrix


@lru_cache(maxsize=16)
def linear_matrix(size: int, outputs: int, scale: float, align_corners: bool, dtype: DTypeLike) -> Array:
    """The matrix (outputs, size) whose row i interpolates between the two pixels beside its position.

    The position is scale · (i + ½) − ½, pixels being squares; with `align_corners`, where they are points and the
    first and last stay where they are, it is i · (size − 1) / (outputs − 1).
    """
    steps = np.arange(outputs)
    if align_corners:
        positions = steps * ((size - 1) / (outputs - 1) if outputs > 1 else 0.0)
    else:
        positions = np.maximum(scale * (steps + 0.5) - 0.5, 0)
    lower = np.minimum(positions.astype(np.intp), size - 1)
    share = (positions - lower)[:, None]
    upper = np.minimum(lower + 1, size - 1)
    exact = (1 - share) * index_matrix(lower, size, np.float64) + share * index_matrix(upper, size, np.float64)
    return constant(exact.astype(dtype))


def nearest_forward(
    x: Array, vertical: Array, horizontal: Array, out: Array | None = None, rows: Array | None = None
) -> Array:
    """y[n, c, i, j] = x[n, c, vertical[i], horizontal[j]].

    The way back adds up what one pixel gave to several: :func:`resample_backward`, with :func:`nearest_matrix`.

    Args:
        x: (n, c, h, w).
        vertical: (h_out,), from :func:`nearest_index`.
        horizontal: (w_out,).
        out: (n, c, h_out, w_out).
        rows: Scratch, (n, h_out, w, c).
    """
    out = empty_batch((*x.shape[:2], len(vertical), len(horizontal)), x.dtype) if out is None else out
    # Any other mode than "clip" would make a copy of the output first.
    rows = np.take(channels_last(x), vertical, axis=1, out=rows, mode="clip")
    np.take(rows, horizontal, axis=2, out=channels_last(out), mode="clip")
    return out


def resample_forward(
    x: Array, vertical: Array, horizontal: Array, out: Array | None = None, rows: Array | None = None
) -> Array:
    """y = V x Hᵀ for each channel.

    Args:
        x: (n, c, h, w).
        vertical: V, (h_out, h).
        horizontal: H, (w_out, w).
        out: (n, c, h_out, w_out).
        rows: Scratch, (n, h_out, w, c).
    """
    images, channels, _, width = x.shape
    out = empty_batch((images, channels, len(vertical), len(horizontal)), x.dtype) if out is None else out
    rows = np.empty((images, len(vertical), width, channels), x.dtype) if rows is None else rows
    np.matmul(vertical, _flat_rows(channels_last(x)), out=_flat_rows(rows))
    np.matmul(horizontal, rows, out=channels_last(out))
    return out


def resample_backward(
    grad_y: Array, vertical: Array, horizontal: Array, out: Array | None = None, rows: Array | None = None
) -> Array:
    """grad_x = Vᵀ grad_y H for each channel; arguments as in :func:`resample_forward`."""
    images, channels, height, width = grad_y.shape
    size = vertical.shape[1], horizontal.shape[1]
    out = empty_batch((images, channels, *size), grad_y.dtype) if out is None else out
    rows = np.empty((images, height, size[1], channels), grad_y.dtype) if rows is None else rows
    gradient, grad_x = channels_last(grad_y), channels_last(out)
    if (height, width) == (1, 1) and _is_mean(vertical) and _is_mean(horizontal):
        # A product whose inner length is one takes six times as long as the copy that it is.
        np.multiply(gradient, vertical[0, 0] * horizontal[0, 0], out=rows)
        np.copyto(grad_x, rows)
        return out
    np.matmul(horizontal.T, gradient, out=rows)
    flat = _flat_rows(grad_x)
    np.matmul(vertical.T, _flat_rows(rows), out=flat)
    write_back(flat, grad_x)
    return out


def _is_mean(matrix: Array) -> bool:
    """Whether a row gives all places the same weight."""
    return bool((matrix == matrix[0, 0]).all())


def _flat_rows(x: Array) -> Array:
    """(n, h, w, c) as (n, h, w · c), a view."""
    return x.reshape(*x.shape[:2], -1)


def resample_nd_forward(
    x: Array, matrices: Sequence[Array], out: Array | None = None, between: Array | None = None
) -> Array:
    """y = V x along each axis, V being the matrix of that axis: of sequences, of volumes, or of arrays of more axes.

    Args:
        x: (n, c, *size), which lies as it is written.
        matrices: For each axis of pixels V, (outputs, size).
        out: (n, c, *outputs).
        between: Scratch, of :func:`between_numbers`.
    """
    shapes = _shapes_between(x.shape, [len(matrix) for matrix in matrices])
    out = np.empty(shapes[-1], x.dtype) if out is None else out
    spaces = room(between, x.dtype, *map(math.prod, shapes[:-1]))
    for axis, (matrix, shape) in enumerate(zip(matrices, shapes, strict=True), 2):
        y = out if axis == out.ndim - 1 else spaces[axis - 2].reshape(shape)
        if axis == out.ndim - 1:  # the rows of a matrix for each image
            rows = y.reshape(len(y), -1, len(matrix))
            np.matmul(x.reshape(len(x), -1, matrix.shape[1]), matrix.T, out=rows)
        else:
            rows = y.reshape(math.prod(shape[:axis]), len(matrix), -1)
            np.matmul(matrix, x.reshape(len(rows), matrix.shape[1], -1), out=rows)
        x = write_back(rows, y)
    return x


def resample_nd_backward(
    grad_y: Array, matrices: Sequence[Array], out: Array | None = None, between: Array | None = None
) -> Array:
    """grad_x = Vᵀ grad_y along each axis; arguments as in :func:`resample_nd_forward`."""
    return resample_nd_forward(grad_y, [matrix.T for matrix in matrices], out, between)


def between_numbers(shape: Sequence[int], outputs: Sequence[int]) -> int:
    """The scratch of :func:`resample_nd_forward`, for an input of `shape` (n, c, *size) and outputs of that size."""
    return in_lines(*map(math.prod, _shapes_between(shape, outputs)[:-1]))


def _shapes_between(shape: Sequence[int], outputs: Sequence[int]) -> list[tuple[int, ...]]:
    """The shapes after each axis: the first axes of pixels have their new size, the others the old."""
    return [(*shape[:2], *outputs[:axis], *shape[2 + axis :]) for axis in range(1, len(outputs) + 1)]


def shuffle_forward(x: Array, factor: int, out: Array | None = None) -> Array:
    """y[n, c, h·r + i, w·r + j] = x[n, c·r² + i·r + j, h, w], r the factor: channels become pixels."""
    if out is None:
        images, channels, height, width = x.shape
        out = empty_batch((images, channels // factor**2, height * factor, width * factor), x.dtype)
    np.copyto(_by_offset(out, factor), _by_channel(x, factor))
    return out


def shuffle_backward(grad_y: Array, factor: int, out: Array | None = None) -> Array:
    """grad_x[n, c·r² + i·r + j, h, w] = grad_y[n, c, h·r + i, w·r + j]: the same copy the other way."""
    if out is None:
        images, channels, height, width = grad_y.shape
        out = empty_batch((images, channels * factor**2, height // factor, width // factor), grad_y.dtype)
    np.copyto(_by_channel(out, factor), _by_offset(grad_y, factor))
    return out


def channel_shuffle_forward(x: Array, groups: int, out: Array | None = None) -> Array:
    """y[n, j·g + i] = x[n, i·k + j], with g groups of k channels: one channel of each group after the other."""
    (out,) = made(x, out)
    size = x.shape[1] // groups
    for group in range(groups):
        np.copyto(out[:, group::groups], x[:, group * size : (group + 1) * size])
    return out


def channel_shuffle_backward(grad_y: Array, groups: int, out: Array | None = None) -> Array:
    """grad_x[n, i·k + j] = grad_y[n, j·g + i]: a shuffle of k groups of g channels."""
    return channel_shuffle_forward(grad_y, grad_y.shape[1] // groups, out)


def _by_channel(x: Array, factor: int) -> Array:
    """(n, c·r², h, w) as (n, h, w, c, r, r), a view."""
    last = channels_last(x)
    return last.reshape(*last.shape[:3], -1, factor, factor)


def _by_offset(y: Array, factor: int) -> Array:
    """(n, c, h·r, w·r) as (n, h, w, c, r, r), a view."""
    images, height, width, channels = channels_last(y).shape
    cut = channels_last(y).reshape(images, height // factor, factor, width // factor, factor, channels)
    return cut.transpose(0, 1, 3, 5, 2, 4)
