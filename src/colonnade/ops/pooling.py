"""Pooling: one number for all that a window sees of a channel. Written in docs/math/pooling.md.

No windows are laid out. A window of k_h × k_w has so many positions (s, t), and what position (s, t) of *all* windows
sees is one strided view of the image: pooling combines these views. Padding is never written down either; at the
borders a position is combined with those windows alone that have it inside the image.

Arrays are (n, c, *size): images, and sequences and volumes by the same functions, whatever their order in memory. `out`
is written and returned, and made, like scratch, if it is not given.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from .adaptive import bounds
from .columns import as_rows
from .layout import Array, channels_first, channels_last, empty_batch, write_back
from .resampling import resample_backward, resample_forward, resample_nd_backward, resample_nd_forward
from .window import Pair, Sizes, Window, values_inside

# Up to so many channels an average is faster as a product with a small matrix: NumPy's inner loops, one channel run
# each, would be too short to pay for their start.
FEW_CHANNELS = 16


def positions_bound(window: Window, size: Sizes, outputs: Sizes) -> int:
    """How many positions of the window there are at most that see anything of the image."""
    axes = zip(window.kernel, size, outputs, strict=True)
    return math.prod(min(kernel, length * count) for kernel, length, count in axes)


class Position(NamedTuple):
    """A position of the window: (s, t) of one over images.

    Attributes:
        windows: Which windows have it inside the image: an index into the output, (n, c, *outputs).
        pixels: What it sees in those: an index into the image, (n, c, *size).
        everywhere: Whether all windows have it inside.
    """

    windows: tuple[slice, ...]
    pixels: tuple[slice, ...]
    everywhere: bool


def pooled_size(window: Window, size: Sizes, ceil_mode: bool) -> Sizes:
    """How many windows there are along each axis: ⌊(padded − extent) / stride⌋ + 1.

    With `ceil_mode` it is rounded up, and the last window hangs over the end; it must start inside the image or the
    padding before it. Below one where the window is larger than the padded image.
    """
    if not ceil_mode:
        return window.output_size(size)
    axes = zip(window.padded_size(size), window.extent, window.stride, window.before, size, strict=True)
    counts = []
    for padded, extent, stride, before, length in axes:
        count = -(-(padded - extent) // stride) + 1
        counts.append(count - (1 if (count - 1) * stride >= length + before else 0))
    return tuple(counts)


@lru_cache(maxsize=256)
def positions(window: Window, size: Sizes, outputs: Sizes) -> tuple[Position, ...]:
    """The positions of a window over an image of `size` that has `outputs` windows, in row-major order."""
    axes = [_positions_along(window, axis, size[axis], outputs[axis]) for axis in range(len(size))]
    ahead = (slice(None), slice(None))  # all images, all channels
    return tuple(
        Position((*ahead, *windows), (*ahead, *pixels), all(everywhere))
        for windows, pixels, everywhere in (zip(*each, strict=True) for each in product(*axes))
    )


class _Along(NamedTuple):
    windows: slice
    pixels: slice
    all: bool


def _positions_along(window: Window, axis: int, size: int, outputs: int) -> list[_Along]:
    stride, dilation, before = window.stride[axis], window.dilation[axis], window.before[axis]
    found = []
    for s in values_inside(window.kernel[axis], stride, before, dilation, size, outputs):
        start = s * dilation - before  # what the first window sees: may be outside
        first = max(0, -(start // stride))
        stop = min(outputs, (size - 1 - start) // stride + 1)
        if first < stop:
            pixels = slice(start + first * stride, start + (stop - 1) * stride + 1, stride)
            found.append(_Along(slice(first, stop), pixels, stop - first == outputs))
    return found


class Seen(NamedTuple):
    """What the windows see: views of the image, one for each position.

    Attributes:
        whole: Of the positions that all windows have inside the image.
        parts: Of the others, each with the view of the output that has it inside.
    """

    whole: list[Array]
    parts: list[tuple[Array, Array]]


def seen(x: Array, window: Window, y: Array) -> Seen:
    """The views that a pool combines, for x (n, c, *size) and y (n, c, *outputs)."""
    found = positions(window, x.shape[2:], y.shape[2:])
    whole = [x[position.pixels] for position in found if position.everywhere]
    return Seen(whole, [(y[at.windows], x[at.pixels]) for at in found if not at.everywhere])


def pooled(x: Array, window: Window) -> Array:
    """Room for the output of a pool of x, whose windows fit."""
    return empty_batch((*x.shape[:2], *window.output_size(x.shape[2:])), x.dtype)


def unpooled(y: Array, window: Window, size: Sizes | None = None) -> Array:
    """Room for arrays of `size` of which y is a pool's output; by default of the smallest with so many windows."""
    return empty_batch((*y.shape[:2], *(size or window.input_size(y.shape[2:]))), y.dtype)


def _combine(combine: np.ufunc, views: Seen, start: float, y: Array) -> None:
    """y = start ∘ x⁽ˢᵗ⁾ ∘ …, over all positions; `start` is neutral."""
    if len(views.whole) > 1:
        combine(views.whole[0], views.whole[1], out=y)  # saves a pass that would only fill
    else:
        y.fill(start)
    for view in views.whole[2:] if len(views.whole) > 1 else views.whole:
        combine(y, view, out=y)
    for part, pixels in views.parts:
        combine(part, pixels, out=part)


def _apart(window: Window) -> bool:
    """Whether no two windows see the same pixel."""
    return all(stride >= extent for stride, extent in zip(window.stride, window.extent, strict=True))


def _covers(window: Window, size: Sizes, outputs: Sizes) -> bool:
    """Whether windows that are apart see every pixel."""
    axes = zip(outputs, window.stride, window.before, size, strict=True)
    return window.kernel == window.stride and all(
        count * stride - before >= length for count, stride, before, length in axes
    )


def _hand_back(part: Array, pixels: Array, apart: bool) -> None:
    """Give pixels their part of the gradient: where windows overlap it is added to what others gave."""
    if apart:
        np.copyto(pixels, part)
    else:
        np.add(pixels, part, out=pixels)


def max_pool_forward(x: Array, window: Window, out: Array | None = None) -> Array:
    """The maximum of each window of x (n, c, *size): (n, c, *outputs). Padding is −∞, a NaN the maximum."""
    out = pooled(x, window) if out is None else out
    _combine(np.maximum, seen(x, window, out), -math.inf, out)
    return out


def winner_dtype(window: Window) -> np.dtype[Any]:
    """The smallest type that can number a window's positions; those that see anything are fewer than four billion."""
    return np.min_scalar_type(min(math.prod(window.kernel), (1 << 32) - 1))


def max_pool_winners(x: Array, y: Array, window: Window, out: Array | None = None, mask: Array | None = None) -> Array:
    """Which position of each window holds its maximum; of equal ones the first in row-major order, of NaNs the last.

    Positions are numbered from the last, which is 1: the first that equals the maximum has the greatest number, and a
    window where none does has its maximum at the last, at no cost.

    Args:
        x: The input, (n, c, *size).
        y: The output, (n, c, *outputs).
        window: How the window moves.
        out: Written: the numbers, of y's shape, as :func:`winner_dtype` says.
        mask: Scratch, bools of y's shape.
    """
    out = empty_batch(y.shape, winner_dtype(window)) if out is None else out
    mask = empty_batch(y.shape, np.bool_) if mask is None else mask
    found = positions(window, x.shape[2:], y.shape[2:])
    out.fill(1)
    for number, at in zip(range(len(found), 1, -1), found, strict=False):
        equal, won = mask[at.windows], out[at.windows]
        np.equal(x[at.pixels], y[at.windows], out=equal)
        if out.itemsize == 1:
            numbered = equal.view(out.dtype)
            np.multiply(numbered, number, out=numbered)
            np.maximum(won, numbered, out=won)
        else:
            np.maximum(won, np.multiply(equal, number, dtype=won.dtype), out=won)
    if np.isnan(y, out=mask).any():  # equal to nothing
        for number, at in zip(range(len(found), 0, -1), found, strict=True):
            np.copyto(out[at.windows], number, where=np.isnan(x[at.pixels], out=mask[at.windows]))
    return out


def max_pool_backward(
    grad_y: Array,
    winners: Array,
    window: Window,
    out: Array | None = None,
    take: Array | None = None,
    mask: Array | None = None,
    *,
    size: Sizes | None = None,
) -> Array:
    """The gradient of each window goes to its winner.

    Args:
        grad_y: The gradient at the output, (n, c, *outputs).
        winners: From :func:`max_pool_winners`.
        window: How the window moves.
        out: Written: the gradient at the input, (n, c, *size).
        take: Scratch of grad_y's shape: a mask multiplies fast only where all arrays are contiguous.
        mask: Scratch, bools of that shape.
        size: Of the input if `out` is not given; by default that of the smallest with so many windows.
    """
    out = unpooled(grad_y, window, size) if out is None else out
    take = empty_batch(grad_y.shape, grad_y.dtype) if take is None else take
    mask = empty_batch(grad_y.shape, np.bool_) if mask is None else mask
    size, outputs = out.shape[2:], grad_y.shape[2:]
    found, apart = positions(window, size, outputs), _apart(window)
    if not (apart and _covers(window, size, outputs)):
        out.fill(0)
    for number, at in zip(range(len(found), 0, -1), found, strict=True):
        np.equal(winners, number, out=mask)
        np.multiply(grad_y, mask, out=take)
        _hand_back(take[at.windows], out[at.pixels], apart)
    return out


@lru_cache(maxsize=64)
def shares(
    window: Window,
    size: Sizes,
    outputs: Sizes,
    count_include_pad: bool,
    divisor_override: int | None,
    dtype: DTypeLike,
) -> Array | float:
    """What each value of a window counts in its average, 1 / d.

    d is the window's number of pixels; the padding counts or does not, and what hangs over the padding never does.
    One number where all windows are alike, of shape `outputs` where they are not.
    """
    if divisor_override is not None:
        return 1.0 / divisor_override
    divisors: Array = np.ones(())
    for axis, length in enumerate(size):
        before, after = window.before[axis], window.after[axis]
        start = np.arange(outputs[axis]) * window.stride[axis] - before
        stop = np.minimum(start + window.kernel[axis], length + (after if count_include_pad else 0))
        divisors = np.multiply.outer(divisors, stop - (start if count_include_pad else np.maximum(start, 0)))
    if (divisors == divisors.flat[0]).all():
        return 1.0 / float(divisors.flat[0])
    return (1.0 / divisors).astype(dtype)


def avg_pool_forward(x: Array, window: Window, out: Array | None = None, share: Array | float | None = None) -> Array:
    """The average of each window of x (n, c, *size): (n, c, *outputs); `share` is what :func:`shares` says."""
    out = pooled(x, window) if out is None else out
    _combine(np.add, seen(x, window, out), 0.0, out)
    return np.multiply(out, 1 / math.prod(window.kernel) if share is None else share, out=out)


def avg_pool_backward(
    grad_y: Array,
    window: Window,
    out: Array | None = None,
    share: Array | float | None = None,
    part: Array | None = None,
    *,
    size: Sizes | None = None,
) -> Array:
    """Every pixel of a window gets the same share of its gradient.

    Args:
        grad_y: The gradient at the output, (n, c, *outputs).
        window: How the window moves.
        out: Written: the gradient at the input, (n, c, *size).
        share: From :func:`shares`; one over the window's size if not given.
        part: Scratch of grad_y's shape.
        size: Of the input if `out` is not given; by default that of the smallest with so many windows.
    """
    out = unpooled(grad_y, window, size) if out is None else out
    part = empty_batch(grad_y.shape, grad_y.dtype) if part is None else part
    np.multiply(grad_y, 1 / math.prod(window.kernel) if share is None else share, out=part)
    apart = _apart(window)
    if not (apart and _covers(window, out.shape[2:], grad_y.shape[2:])):
        out.fill(0)
    for windows, pixels, _ in positions(window, out.shape[2:], grad_y.shape[2:]):
        _hand_back(part[windows], out[pixels], apart)
    return out


def tiles_exactly(window: Window, size: Sizes) -> bool:
    """Whether the windows cut the image up: without padding, overlap or remainder."""
    fits = all(length % kernel == 0 for length, kernel in zip(size, window.kernel, strict=True))
    return fits and window.kernel == window.stride and set(window.dilation) == {1} and not any(window.padding)


@lru_cache(maxsize=64)
def tile_matrix(columns: int, channels: int, share: float, dtype: np.dtype[Any]) -> Array:
    """The matrix (k_w · c, c) that averages over the columns of a tile: the identity k_w times, times `share`."""
    return np.tile(np.eye(channels, dtype=dtype) * share, (columns, 1)).astype(dtype)


@lru_cache(maxsize=64)
def turned_tile_matrix(columns: int, channels: int, share: float, dtype: np.dtype[Any]) -> Array:
    """The transposed matrix, written out: so small a product takes half as long then."""
    return np.ascontiguousarray(tile_matrix(columns, channels, share, dtype).T)


def avg_pool2d_tiles_forward(
    x: Array, window: Window, out: Array | None = None, share: float | None = None, rows: Array | None = None
) -> Array:
    """The average of each window, as :func:`avg_pool_forward`, for tiles of few channels, by a product.

    Rows are added, then columns averaged. `rows` is scratch, (n, h_out, w, c).
    """
    out = pooled(x, window) if out is None else out
    height, columns = window.kernel
    if rows is None:
        rows = np.empty((len(x), x.shape[2] // height, x.shape[3], x.shape[1]), x.dtype)
    tall = window._replace(kernel=(height, 1), stride=(height, 1))
    sums = channels_first(rows)
    _combine(np.add, seen(x, tall, sums), 0.0, sums)
    matrix = tile_matrix(columns, x.shape[1], 1 / (height * columns) if share is None else share, x.dtype)
    y = as_rows(out)
    np.matmul(rows.reshape(-1, matrix.shape[0]), matrix, out=y)
    write_back(y, channels_last(out))
    return out


def avg_pool2d_tiles_backward(
    grad_y: Array, window: Window, out: Array | None = None, share: float | None = None, rows: Array | None = None
) -> Array:
    """The gradient of :func:`avg_pool2d_tiles_forward`: the product turned round, and a copy for each row."""
    out = unpooled(grad_y, window) if out is None else out
    images, channels, height, width = grad_y.shape
    high, wide = window.kernel
    rows = np.empty((images, height, width * wide, channels), grad_y.dtype) if rows is None else rows
    turned = turned_tile_matrix(wide, channels, 1 / (high * wide) if share is None else share, grad_y.dtype)
    np.matmul(as_rows(grad_y), turned, out=rows.reshape(-1, turned.shape[1]))
    for row in range(high):
        np.copyto(channels_last(out)[:, row::high], rows)
    return out


@lru_cache(maxsize=64)
def adaptive_matrix(size: int, outputs: int, dtype: DTypeLike) -> Array:
    """The matrix (outputs, size) whose row i averages over ⌊i · size / outputs⌋ … ⌈(i + 1) · size / outputs⌉."""
    starts, stops = bounds(size, outputs)
    shares = (1.0 / (stops - starts)).astype(dtype)[:, None]
    places = np.arange(size)
    return np.where((places >= starts[:, None]) & (places < stops[:, None]), shares, np.zeros((), dtype))


def adaptive_avg_pool2d_forward(x: Array, size: Pair, out: Array | None = None, rows: Array | None = None) -> Array:
    """y = V x Hᵀ for each channel: averages over rows, then over columns, with the matrices of both directions.

    Args:
        x: (n, c, h, w).
        size: (h_out, w_out).
        out: (n, c, h_out, w_out).
        rows: Scratch, (n, h_out, w, c).
    """
    vertical, horizontal = (adaptive_matrix(x.shape[2 + axis], size[axis], x.dtype) for axis in (0, 1))
    return resample_forward(x, vertical, horizontal, out, rows)


def adaptive_avg_pool2d_backward(
    grad_y: Array, size: Pair, out: Array | None = None, rows: Array | None = None
) -> Array:
    """grad_x = Vᵀ grad_y H for each channel.

    Args:
        grad_y: The gradient at y, (n, c, h_out, w_out).
        size: (h, w), of the images that were averaged.
        out: (n, c, h, w).
        rows: Scratch, (n, h_out, w, c).
    """
    vertical, horizontal = (adaptive_matrix(size[axis], grad_y.shape[2 + axis], grad_y.dtype) for axis in (0, 1))
    return resample_backward(grad_y, vertical, horizontal, out, rows)


def adaptive_avg_pool_nd_forward(
    x: Array, size: Sizes, out: Array | None = None, between: Array | None = None
) -> Array:
    """Averages along one axis after the other, y = V x along each, for sequences and volumes.

    Args:
        x: (n, c, *size_in), which lies as it is written.
        size: (*size_out), that of the output.
        out: (n, c, *size_out).
        between: Scratch, of :func:`colonnade.ops.resampling.between_numbers`.
    """
    matrices = [adaptive_matrix(length, count, x.dtype) for length, count in zip(x.shape[2:], size, strict=True)]
    return resample_nd_forward(x, matrices, out, between)


def adaptive_avg_pool_nd_backward(
    grad_y: Array, size: Sizes, out: Array | None = None, between: Array | None = None
) -> Array:
    """grad_x = Vᵀ grad_y along each axis.

    Args:
        grad_y: The gradient at y, (n, c, *size_out).
        size: (*size_in), that of what was averaged.
        out: (n, c, *size_in).
        between: Scratch, as forward.
    """
    axes = zip(size, grad_y.shape[2:], strict=True)
    return resample_nd_backward(grad_y, [adaptive_matrix(*axis, grad_y.dtype) for axis in axes], out, between)
