"""Windows laid out as columns, and columns added up to images. Written in docs/math/rearrangement.md.

Images are (n, c, h, w), columns (n, c · k_h · k_w, l): one for each of the l windows, from left to right and then down.
`out` is written and returned; it is made if it is not given.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .layout import Array, write_back
from .window import Pair, Window, values_inside


def unfold_forward(x: Array, window: Window, out: Array | None = None) -> Array:
    """y[n, (c, s, t), (p, q)] = x[n, c, p · stride − top + s · dilation, q · stride − left + t · dilation], or zero."""
    images, channels, *size = x.shape
    outputs = window.output_size((size[0], size[1]))
    if out is None:
        out = np.empty((images, channels * window.kernel[0] * window.kernel[1], outputs[0] * outputs[1]), x.dtype)
    columns = out.reshape(images, channels, *window.kernel, *outputs)
    columns.fill(0)
    for s, rows, seen_rows in _seen(window, 0, size[0], outputs[0]):
        for t, places, seen_places in _seen(window, 1, size[1], outputs[1]):
            columns[:, :, s, t, rows, places] = x[:, :, seen_rows, seen_places]
    return write_back(columns, out)


def unfold_backward(grad_y: Array, window: Window, size: Pair, out: Array | None = None) -> Array:
    """grad_x[n, c, u, v] = Σ grad_y over all columns that have a copy of the pixel; `size` is (h, w)."""
    return fold_forward(grad_y, window, size, out)


def fold_forward(x: Array, window: Window, size: Pair, out: Array | None = None) -> Array:
    """y[n, c, u, v] = Σ x[n, (c, s, t), (p, q)], over all windows (p, q) that have the pixel as their (s, t)."""
    outputs = window.output_size(size)
    columns = x.reshape(len(x), -1, *window.kernel, *outputs)
    out = np.empty((len(x), columns.shape[1], *size), x.dtype) if out is None else out
    out.fill(0)
    for s, rows, seen_rows in _seen(window, 0, size[0], outputs[0]):
        for t, places, seen_places in _seen(window, 1, size[1], outputs[1]):
            out[:, :, seen_rows, seen_places] += columns[:, :, s, t, rows, places]
    return out


def fold_backward(grad_y: Array, window: Window, out: Array | None = None) -> Array:
    """grad_x[n, (c, s, t), (p, q)] = grad_y of the pixel that it was added to; zero outside the image."""
    return unfold_forward(grad_y, window, out)


def _seen(window: Window, axis: int, size: int, outputs: int) -> Iterator[tuple[int, slice, slice]]:
    """Each place in a window along an axis, which windows have a pixel there, and which pixels these are."""
    stride, before, dilation = window.stride[axis], window.padding[2 * axis], window.dilation[axis]
    for place in values_inside(window.kernel[axis], stride, before, dilation, size, outputs):
        offset = place * dilation - before
        first, last = max(0, -(offset // stride)), min(outputs - 1, (size - 1 - offset) // stride)
        if first <= last:
            start, end = first * stride + offset, last * stride + offset
            yield place, slice(first, last + 1), slice(start, end + 1, stride)
