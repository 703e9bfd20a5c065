"""Pooling: one number for all that a window sees of a channel. Written in docs/math/pooling.md.

No windows are laid out. A window of k_h × k_w has so many positions (s, t), and what position (s, t) of *all* windows
sees is one strided view of the image: pooling combines these views. Padding is never written down either; at the
borders a position is combined with those windows alone that have it inside the image.

Scratch arrays lie in memory order, (n, h_out, w_out, c).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from .adaptive import bounds
from .layout import Array, channels_last
from .window import Pair, Window, values_inside

# Up to so many channels an average is faster as a product with a small matrix: NumPy's inner loops, one channel run
# each, would be too short to pay for their start.
FEW_CHANNELS = 16


def positions_bound(window: Window, size: Pair, outputs: Pair) -> int:
    """How many positions of the window there are at most that see anything of the image."""
    return math.prod(min(window.kernel[axis], size[axis] * outputs[axis]) for axis in (0, 1))


class Position(NamedTuple):
    """A position (s, t) of the window.

    Attributes:
        windows: Which windows have it inside the image: an index into the output, (n, h_out, w_out, c).
        pixels: What it sees in those: an index into the image, (n, h, w, c).
        everywhere: Whether all windows have it inside.
    """

    windows: tuple[slice, slice, slice]
    pixels: tuple[slice, slice, slice]
    everywhere: bool


def pooled_size(window: Window, size: Pair, ceil_mode: bool) -> Pair:
    """How many windows there are, each way: ⌊(padded − extent) / stride⌋ + 1.

    With `ceil_mode` it is rounded up, and the last window hangs over the end; it must start inside the image or the
    padding before it. Below one where the window is larger than the padded image.
    """
    if not ceil_mode:
        return window.output_size(size)
    counts = []
    for axis in (0, 1):
        before = window.padding[2 * axis]
        last_start = window.padded_size(size)[axis] - window.extent[axis]
        count = -(-last_start // window.stride[axis]) + 1
        counts.append(count - (1 if (count - 1) * window.stride[axis] >= size[axis] + before else 0))
    return counts[0], counts[1]


@lru_cache(maxsize=256)
def positions(window: Window, size: Pair, outputs: Pair) -> tuple[Position, ...]:
    """The positions of a window over an image of `size` that has `outputs` windows, in row-major order."""
    rows, columns = (_positions_along(window, axis, size[axis], outputs[axis]) for axis in (0, 1))
    images = slice(None)
    return tuple(
        Position((images, row.windows, column.windows), (images, row.pixels, column.pixels), row.all and column.all)
        for row in rows
        for column in columns
    )


class _Along(NamedTuple):
    windows: slice
    pixels: slice
    all: bool


def _positions_along(window: Window, axis: int, size: int, outputs: int) -> list[_Along]:
    stride, dilation, before = window.stride[axis], window.dilation[axis], window.padding[2 * axis]
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


def seen(x: Array, size: Pair, window: Window, y: Array) -> Seen:
    """The views that a pool combines.

    Args:
        x: Images of `size`, (n, h, w, c), or their columns sorted; see :func:`sort_columns`.
        size: (h, w).
        window: How the window moves.
        y: (n, h_out, w_out, c).
    """
    found = positions(window, size, (y.shape[1], y.shape[2]))
    whole = [_pixels(x, position) for position in found if position.everywhere]
    return Seen(whole, [(y[at.windows], _pixels(x, at)) for at in found if not at.everywhere])


def _pixels(image: Array, position: Position) -> Array:
    """What a position sees, of images or of images whose columns are sorted."""
    if image.ndim == 4:
        return image[position.pixels]
    images, rows, columns = position.pixels
    start, phase = divmod(columns.start, columns.step)
    return image[images, rows, phase, start : start + len(range(columns.start, columns.stop, columns.step))]


def sorts_columns(window: Window, width: int) -> bool:
    """Whether it pays to sort columns first: several windows see a pixel, and of no two neighbours the same."""
    return 1 < window.stride[1] < width and math.prod(window.kernel) > math.prod(window.stride)


def sorted_shape(window: Window, shape: Sequence[int]) -> tuple[int, ...]:
    """The shape of images (n, c, h, w) with their columns sorted."""
    images, channels, height, width = shape
    return images, height, window.stride[1], -(-width // window.stride[1]), channels


def sort_columns(x: Array, out: Array) -> None:
    """Put the columns that are equal modulo the stride side by side: what a position sees is then one long run.

    Args:
        x: (n, h, w, c).
        out: Written: (n, h, phases, columns of a phase, c); of the last column of a phase that has one less, nothing.
    """
    for phase in range(out.shape[2]):
        columns = x[:, :, phase :: out.shape[2]]
        np.copyto(out[:, :, phase, : columns.shape[2]], columns)


def unsort_columns(x: Array, out: Array) -> None:
    """The way back from :func:`sort_columns`: x (n, h, phases, columns of a phase, c), out (n, h, w, c)."""
    for phase in range(x.shape[2]):
        columns = out[:, :, phase :: x.shape[2]]
        np.copyto(columns, x[:, :, phase, : columns.shape[2]])


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


def _covers(window: Window, size: Pair, outputs: Pair) -> bool:
    """Whether windows that are apart see every pixel."""
    reach = [outputs[axis] * window.stride[axis] - window.padding[2 * axis] for axis in (0, 1)]
    return window.kernel == window.stride and reach[0] >= size[0] and reach[1] >= size[1]


def _hand_back(part: Array, pixels: Array, apart: bool) -> None:
    """Give pixels their part of the gradient: where windows overlap it is added to what others gave."""
    if apart:
        np.copyto(pixels, part)
    else:
        np.add(pixels, part, out=pixels)


def max_pool2d_forward(views: Seen, out: Array) -> None:
    """The maximum of each window: out (n, h_out, w_out, c), from what :func:`seen` says. Padding is −∞.

    A NaN is the maximum of its window.
    """
    _combine(np.maximum, views, -math.inf, out)


def winner_dtype(window: Window) -> np.dtype[Any]:
    """The smallest type that can number a window's positions; those that see anything are fewer than four billion."""
    return np.min_scalar_type(min(math.prod(window.kernel), (1 << 32) - 1))


def max_pool2d_winners(x: Array, size: Pair, y: Array, window: Window, winners: Array, mask: Array) -> None:
    """Which position of each window holds its maximum; of equal ones the first in row-major order.

    Positions are numbered from the last, which is 1: the first that equals the maximum has the greatest number, and a
    window where none does has its maximum at the last (or a NaN), at no cost.

    Args:
        x: The input as :func:`seen` takes it.
        size: (h, w).
        y: The output, (n, h_out, w_out, c).
        window: How the window moves.
        winners: Written: the numbers, of y's shape.
        mask: Scratch, bools of that shape.
    """
    found = positions(window, size, (y.shape[1], y.shape[2]))
    winners.fill(1)
    for number, at in zip(range(len(found), 1, -1), found, strict=False):
        equal, won = mask[at.windows], winners[at.windows]
        np.equal(_pixels(x, at), y[at.windows], out=equal)
        if winners.itemsize == 1:
            numbered = equal.view(winners.dtype)
            np.multiply(numbered, number, out=numbered)
            np.maximum(won, numbered, out=won)
        else:
            np.maximum(won, np.multiply(equal, number, dtype=won.dtype), out=won)


class Route(NamedTuple):
    """How the gradient travels back to one position of the windows; all are views.

    Attributes:
        number: The position's, as :func:`max_pool2d_winners` counts.
        part: What `take` holds of those windows that have the position inside the image.
        pixels: Where it goes.
    """

    number: int
    part: Array
    pixels: Array


def max_pool2d_routes(window: Window, size: Pair, out: Array, take: Array) -> list[Route]:
    """The ways back of :func:`max_pool2d_backward`, of which see the arguments; `out` is of images of `size`."""
    found = positions(window, size, (take.shape[1], take.shape[2]))
    numbers = range(len(found), 0, -1)
    return [Route(number, take[at.windows], _pixels(out, at)) for number, at in zip(numbers, found, strict=True)]


def max_pool2d_backward(
    grad_y: Array, winners: Array, routes: list[Route], window: Window, size: Pair, out: Array, take: Array, mask: Array
) -> None:
    """The gradient of each window goes to its winner.

    Args:
        grad_y: The gradient at the output, (n, h_out, w_out, c).
        winners: From :func:`max_pool2d_winners`.
        routes: From :func:`max_pool2d_routes`.
        window: How the window moves.
        size: (h, w).
        out: Takes the gradient at the input, in the order of :func:`seen`.
        take: Scratch of grad_y's shape: a mask multiplies fast only where all arrays are contiguous.
        mask: Scratch, bools of that shape.
    """
    apart = _apart(window)
    if not (apart and _covers(window, size, (grad_y.shape[1], grad_y.shape[2]))):
        out.fill(0)
    for number, part, pixels in routes:
        np.equal(winners, number, out=mask)
        np.multiply(grad_y, mask, out=take)
        _hand_back(part, pixels, apart)


def shares(
    window: Window, size: Pair, outputs: Pair, count_include_pad: bool, divisor_override: int | None, dtype: DTypeLike
) -> Array | float:
    """What each value of a window counts in its average, 1 / d.

    d is the window's number of pixels; the padding counts or does not, and what hangs over the padding never does.
    One number where all windows are alike, (h_out, w_out, 1) where they are not.
    """
    if divisor_override is not None:
        return 1.0 / divisor_override
    counts = []
    for axis in (0, 1):
        before, after = window.padding[2 * axis : 2 * axis + 2]
        start = np.arange(outputs[axis]) * window.stride[axis] - before
        stop = np.minimum(start + window.kernel[axis], size[axis] + (after if count_include_pad else 0))
        counts.append(stop - (start if count_include_pad else np.maximum(start, 0)))
    divisors: Array = np.multiply.outer(*counts)[:, :, None]
    if (divisors == divisors[0, 0]).all():
        return 1.0 / float(divisors[0, 0, 0])
    return (1.0 / divisors).astype(dtype)


def avg_pool2d_forward(views: Seen, share: Array | float, out: Array) -> None:
    """The average of each window: out (n, h_out, w_out, c), from what :func:`seen` says and :func:`shares`."""
    _combine(np.add, views, 0.0, out)
    np.multiply(out, share, out=out)


def avg_pool2d_backward(grad_y: Array, window: Window, share: Array | float, out: Array, part: Array) -> None:
    """Every pixel of a window gets the same share of its gradient; `part` is scratch."""
    grad_x = channels_last(out)
    size, outputs = (grad_x.shape[1], grad_x.shape[2]), (grad_y.shape[2], grad_y.shape[3])
    np.multiply(channels_last(grad_y), share, out=part)
    apart = _apart(window)
    if not (apart and _covers(window, size, outputs)):
        grad_x.fill(0)
    for windows, pixels, _ in positions(window, size, outputs):
        _hand_back(part[windows], grad_x[pixels], apart)


def tiles_exactly(window: Window, size: Pair) -> bool:
    """Whether the windows cut the image up: without padding, overlap or remainder."""
    fits = all(size[axis] % window.kernel[axis] == 0 for axis in (0, 1))
    return fits and window.kernel == window.stride and window.dilation == (1, 1) and not any(window.padding)


def tile_matrix(window: Window, channels: int, share: float, dtype: DTypeLike) -> Array:
    """The matrix (k_w · c, c) that averages over the columns of a tile: the identity k_w times, times `share`."""
    return np.tile(np.eye(channels, dtype=dtype) * share, (window.kernel[1], 1)).astype(dtype)


def seen_tall(x: Array, window: Window, rows: Array) -> Seen:
    """What :func:`avg_pool2d_tiles_forward` adds up: x (n, h, w, c) by rows of windows, into rows (n, h_out, w, c)."""
    height = (window.kernel[0], 1)
    return seen(x, (x.shape[1], x.shape[2]), window._replace(kernel=height, stride=height), rows)


def avg_pool2d_tiles_forward(views: Seen, matrix: Array, out: Array, rows: Array) -> None:
    """`avg_pool2d_forward` for tiles of few channels: rows are added, then columns averaged by a product.

    Args:
        views: From :func:`seen_tall`.
        matrix: (k_w · c, c), from :func:`tile_matrix`.
        out: (n · h_out · w_out, c).
        rows: Scratch, (n, h_out, w, c).
    """
    _combine(np.add, views, 0.0, rows)
    np.matmul(rows.reshape(-1, matrix.shape[0]), matrix, out=out)


def avg_pool2d_tiles_backward(grad_y: Array, turned: Array, out: Array, rows: Array) -> None:
    """The gradient of :func:`avg_pool2d_tiles_forward`: the product turned round, and a copy for each row.

    `turned` is the transposed matrix, (c, k_w · c), written out: so small a product takes half as long then.
    """
    images, height, width, channels = rows.shape
    np.matmul(channels_last(grad_y).reshape(-1, channels), turned, out=rows.reshape(-1, turned.shape[1]))
    np.copyto(channels_last(out).reshape(images, height, -1, width, channels), rows[:, :, None])


def adaptive_matrix(size: int, outputs: int, dtype: DTypeLike) -> Array:
    """The matrix (outputs, size) whose row i averages over ⌊i · size / outputs⌋ … ⌈(i + 1) · size / outputs⌉."""
    starts, stops = bounds(size, outputs)
    shares = (1.0 / (stops - starts)).astype(dtype)[:, None]
    places = np.arange(size)
    return np.where((places >= starts[:, None]) & (places < stops[:, None]), shares, np.zeros((), dtype))


def adaptive_avg_pool2d_forward(x: Array, vertical: Array, horizontal: Array, out: Array, rows: Array) -> None:
    """y = V x Hᵀ for each channel: averages over rows, then over columns.

    Args:
        x: (n, c, h, w).
        vertical: V, (h_out, h), from :func:`adaptive_matrix`.
        horizontal: H, (w_out, w).
        out: (n, c, h_out, w_out).
        rows: Scratch, (n, h_out, w, c).
    """
    x, y = channels_last(x), channels_last(out)
    np.matmul(vertical, _flat_rows(x), out=_flat_rows(rows))
    np.matmul(horizontal, rows, out=y)


def adaptive_avg_pool2d_backward(grad_y: Array, vertical: Array, horizontal: Array, out: Array, rows: Array) -> None:
    """grad_x = Vᵀ grad_y H for each channel; arguments as in :func:`adaptive_avg_pool2d_forward`."""
    gradient, grad_x = channels_last(grad_y), channels_last(out)
    if gradient.shape[1:3] == (1, 1):
        # A product whose inner length is one takes six times as long as the copy that it is.
        np.multiply(gradient, vertical[0, 0] * horizontal[0, 0], out=rows)
        np.copyto(grad_x, rows)
    else:
        np.matmul(horizontal.T, gradient, out=rows)
        np.matmul(vertical.T, _flat_rows(rows), out=_flat_rows(grad_x))


def _flat_rows(x: Array) -> Array:
    """(n, h, w, c) as (n, h, w · c), a view."""
    return x.reshape(*x.shape[:2], -1)
