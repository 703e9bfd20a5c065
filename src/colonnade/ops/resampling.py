"""Where a resized image finds its pixels in the one it is made from, as indices or as a matrix a direction."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import DTypeLike

from .layout import Array, channels_last, constant


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


def nearest_forward(x: Array, vertical: Array, horizontal: Array, out: Array, rows: Array) -> None:
    """y[n, c, i, j] = x[n, c, vertical[i], horizontal[j]].

    The way back adds up what one pixel gave to several: :func:`resample_backward`, with :func:`nearest_matrix`.

    Args:
        x: (n, c, h, w).
        vertical: (h_out,), from :func:`nearest_index`.
        horizontal: (w_out,).
        out: (n, c, h_out, w_out).
        rows: Scratch, (n, h_out, w, c).
    """
    # Any other mode than "clip" would make a copy of the output first.
    np.take(channels_last(x), vertical, axis=1, out=rows, mode="clip")
    np.take(rows, horizontal, axis=2, out=channels_last(out), mode="clip")


def resample_forward(x: Array, vertical: Array, horizontal: Array, out: Array, rows: Array) -> None:
    """y = V x Hᵀ for each channel.

    Args:
        x: (n, c, h, w).
        vertical: V, (h_out, h).
        horizontal: H, (w_out, w).
        out: (n, c, h_out, w_out).
        rows: Scratch, (n, h_out, w, c).
    """
    np.matmul(vertical, _flat_rows(channels_last(x)), out=_flat_rows(rows))
    np.matmul(horizontal, rows, out=channels_last(out))


def resample_backward(grad_y: Array, vertical: Array, horizontal: Array, out: Array, rows: Array) -> None:
    """grad_x = Vᵀ grad_y H for each channel; arguments as in :func:`resample_forward`."""
    np.matmul(horizontal.T, channels_last(grad_y), out=rows)
    np.matmul(vertical.T, _flat_rows(rows), out=_flat_rows(channels_last(out)))


def _flat_rows(x: Array) -> Array:
    """(n, h, w, c) as (n, h, w · c), a view."""
    return x.reshape(*x.shape[:2], -1)


def shuffle_forward(x: Array, factor: int, out: Array) -> None:
    """y[n, c, h·r + i, w·r + j] = x[n, c·r² + i·r + j, h, w], r the factor: channels become pixels."""
    np.copyto(_by_offset(out, factor), _by_channel(x, factor))


def shuffle_backward(grad_y: Array, factor: int, out: Array) -> None:
    """grad_x: the same copy the other way."""
    np.copyto(_by_channel(out, factor), _by_offset(grad_y, factor))


def _by_channel(x: Array, factor: int) -> Array:
    """(n, c·r², h, w) as (n, h, w, c, r, r), a view."""
    last = channels_last(x)
    return last.reshape(*last.shape[:3], -1, factor, factor)


def _by_offset(y: Array, factor: int) -> Array:
    """(n, c, h·r, w·r) as (n, h, w, c, r, r), a view."""
    images, height, width, channels = channels_last(y).shape
    cut = channels_last(y).reshape(images, height // factor, factor, width // factor, factor, channels)
    return cut.transpose(0, 1, 3, 5, 2, 4)
