"""Images made of pixels of others: where each output pixel comes from, image by image, gathered in tiles.

A loop here is over tiles of a few images, over taps or over channels, never over images. A gather is by flat indices,
into arrays that stay in cache. No matrix products: their last bits may change with the number of images or threads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ...ops.layout import Array
from .arguments import Interpolation

TILE = 1 << 17  # numbers in a tile: with the indices and what is made on the way it stays in a second-level cache


def tiles(x: Array) -> Iterator[slice]:
    """The images of (n, h, w, c) cut into runs of about `TILE` numbers, at least one image each."""
    images = max(1, TILE // max(1, x[:1].size))
    for start in range(0, len(x), images):
        yield slice(start, min(start + images, len(x)))


def pixels(x: Array) -> Array:
    """Images (n, h, w, c) as (n, h, w), an element a whole pixel to be copied as one; a view, x being contiguous."""
    return x.view(np.dtype((np.void, x.shape[-1] * x.itemsize)))[..., 0]


def crop(x: Array, top: Array, left: Array, size: tuple[int, int]) -> Array:
    """A window of each image.

        y[n, i, j] = x[n, top_n + i, left_n + j]

    Args:
        x: (n, h, w, c), contiguous.
        top: (n,), whole numbers; the window must lie within the image.
        left: (n,), likewise.
        size: Height and width of the window.

    Returns:
        (n, *size, c), a new array.
    """
    images, height, width, channels = x.shape
    rows = x.reshape(images, height, width * channels)
    windows = np.lib.stride_tricks.sliding_window_view(rows, (size[0], size[1] * channels), axis=(1, 2))
    taken: Array = windows[np.arange(images), top, left * channels]
    return taken.reshape(images, *size, channels)


def linear_taps(start: Array, length: Array, pixels: int, outputs: int, antialias: bool) -> tuple[Array, Array]:
    """Which pixels each output along an axis is made of, when [start, start + length) is resized to `outputs`.

    The weight of a pixel falls linearly with its distance to the output's centre, to zero at one pixel, or, with
    `antialias`, at one output where outputs are larger. Pixels outside the interval count for nothing.

    Args:
        start: (n,), the first pixel, whole numbers.
        length: (n,), pixels, at least 1.
        pixels: The axis's length in the image; none of the lengths is greater.
        outputs: The axis's length in the result.
        antialias: Whether outputs of more than a pixel average over all of theirs.

    Returns:
        index: (taps, n, outputs), whole numbers.
        weights: (taps, n, outputs), float64, summing to 1 along the taps.
    """
    scale = length[:, None] / outputs
    centre = start[:, None] + (np.arange(outputs) + 0.5) * scale - 0.5  # (n, outputs)
    # The number of taps is that of the largest possible interval, so that it does not depend on the batch.
    support, most = (np.maximum(scale, 1), max(pixels / outputs, 1)) if antialias else (1, 1)
    taps = np.arange(math.ceil(2 * most))[:, None, None]
    index = np.floor(centre - support) + 1 + taps
    weights = np.maximum(0, 1 - np.abs(index - centre) / support)
    first, last = start[:, None], (start + length - 1)[:, None]
    weights[(index < first) | (index > last)] = 0
    weights /= weights.sum(axis=0)
    return np.clip(index, first, last).astype(np.intp), weights


def nearest_taps(start: Array, length: Array, outputs: int) -> tuple[Array, Array]:
    """As :func:`linear_taps`, but one pixel for each output: ⌊output · length / outputs⌋ from the first, as PyTorch."""
    index = start[:, None] + np.arange(outputs) * length[:, None] // outputs
    return index[None], np.ones((1, *index.shape))


def resize(x: Array, vertical: tuple[Array, Array], horizontal: tuple[Array, Array]) -> Array:
    """Each image's rows, then its columns, made of weighted sums of others.

        y[n, i, j] = Σ_k Σ_l v_kni · h_lnj · x[n, V_kni, H_lnj]

    Args:
        x: (n, h, w, c), contiguous.
        vertical: The rows V and their weights v, (taps, n, h_out), from :func:`linear_taps` or :func:`nearest_taps`.
        horizontal: The columns H and their weights h, (taps, n, w_out).

    Returns:
        (n, h_out, w_out, c), a new array.
    """
    images, h, w, channels = x.shape
    outputs = (vertical[0].shape[-1], horizontal[0].shape[-1])
    y = np.empty((images, *outputs, channels), x.dtype)
    row_weights = vertical[1].astype(x.dtype)[..., None]  # (taps, n, h_out, 1)
    # A column's weight stands once for each channel: multiplying is then one long run.
    column_weights = np.repeat(horizontal[1].astype(x.dtype)[:, :, None, :, None], channels, axis=-1)
    for tile in tiles(x):
        count = tile.stop - tile.start
        first_row = h * np.arange(count)[:, None]
        rows = np.empty((count, outputs[0], w * channels), x.dtype)
        _weighted_sum(x[tile].reshape(-1, w * channels), first_row + vertical[0][:, tile], row_weights[:, tile], rows)
        first_column = w * np.arange(count * outputs[0]).reshape(count, outputs[0], 1)
        columns = first_column + horizontal[0][:, tile, None]
        _weighted_sum(rows.reshape(-1, channels), columns, column_weights[:, tile], y[tile])
    return y


def _weighted_sum(source: Array, indices: Array, weights: Array, out: Array) -> None:
    """out = Σ over the taps of source[index] · weight; an index counts along source's first axis."""
    np.take(source, indices[0], axis=0, out=out, mode="clip")  # other modes take through a copy
    out *= weights[0]
    term = np.empty_like(out)
    for index, weight in zip(indices[1:], weights[1:], strict=True):
        np.take(source, index, axis=0, out=term, mode="clip")
        term *= weight
        out += term


def sample(x: Array, inverse: tuple[Array, ...], interpolation: Interpolation, fill: Array) -> Array:
    """Each image seen through an affine map of its own.

        y[n, i, j] = x[n] at row d·j + e·i + f, column a·j + b·i + c

    Places between pixels are interpolated, or rounded to the nearest; those outside are of the fill's colour.

    Args:
        x: (n, h, w, c), contiguous.
        inverse: a, b, c, d, e, f, each (n,), float64: from output pixels to places in x, pixels at whole numbers.
        interpolation: `"nearest"` or `"bilinear"`.
        fill: (c,), the pixel outside.

    Returns:
        (n, h, w, c), a new array.
    """
    _, h, w, channels = x.shape
    y = np.empty_like(x)
    a, b, c, d, e, f = (each[:, None, None] for each in inverse)
    i, j = np.arange(h)[:, None], np.arange(w)
    for tile in tiles(x):
        count = tile.stop - tile.start
        # A border of one pixel stands for all that is outside: a place further out is moved onto it.
        framed = np.empty((count, h + 2, w + 2, channels), x.dtype)
        framed[...] = fill
        framed[:, 1:-1, 1:-1] = x[tile]
        row = np.clip((e * i + f)[tile].astype(x.dtype) + (d * j)[tile].astype(x.dtype), -1, h)
        column = np.clip((b * i + c)[tile].astype(x.dtype) + (a * j)[tile].astype(x.dtype), -1, w)
        if interpolation == "nearest":
            upper, left = np.rint(row), np.rint(column)
        else:
            upper, left = np.minimum(np.floor(row), h - 1), np.minimum(np.floor(column), w - 1)
        index = upper.astype(np.intp)
        index *= w + 2
        index += left.astype(np.intp)
        index += ((h + 2) * np.arange(count) + 1)[:, None, None] * (w + 2) + 1  # where row 0 and column 0 lie
        if interpolation == "nearest":
            pixels(y)[tile] = pixels(framed).take(index, mode="clip")
            continue
        down, right = row - upper, column - left
        index *= channels
        for channel in range(channels):
            corner = framed.reshape(-1)[channel:]
            below = corner[(w + 2) * channels :]
            above = _between(corner, corner[channels:], index, right)
            change = _between(below, below[channels:], index, right)
            change -= above
            change *= down
            np.add(above, change, out=y[tile, ..., channel])
    return y


def _between(first: Array, second: Array, index: Array, share: Array) -> Array:
    """first[index] + share · (second[index] − first[index])."""
    start, change = first.take(index, mode="clip"), second.take(index, mode="clip")
    change -= start
    change *= share
    start += change
    return start
