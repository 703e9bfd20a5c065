"""Maxima over as many windows as are asked for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .layout import Array, channels_last


def bounds(size: int, outputs: int) -> list[tuple[int, int]]:
    """Where the windows begin and end: ⌊i · size / outputs⌋ and ⌈(i + 1) · size / outputs⌉."""
    return [(i * size // outputs, -((i + 1) * size // -outputs)) for i in range(outputs)]


def _cells(x: Array, y: Array) -> Iterator[tuple[Array, tuple[int, int]]]:
    """Each window of x, (n, rows, columns, c), and its place in y; both channels-last."""
    for i, (top, bottom) in enumerate(bounds(x.shape[1], y.shape[1])):
        for j, (left, right) in enumerate(bounds(x.shape[2], y.shape[2])):
            yield x[:, top:bottom, left:right], (i, j)


def adaptive_max_pool2d_forward(x: Array, out: Array) -> None:
    """The maximum of each window: x (n, c, h, w), out (n, c, h_out, w_out). A NaN is the maximum."""
    y = channels_last(out)
    for window, (i, j) in _cells(channels_last(x), y):
        np.max(window, axis=(1, 2), out=y[:, i, j])


def adaptive_max_pool2d_backward(x: Array, grad_y: Array, out: Array, space: Array) -> None:
    """The gradient of each window goes to its maximum, and of equal ones to the first in row-major order.

    `space` is flat scratch that holds the largest window of all images.
    """
    gradient, grad_x = channels_last(grad_y), channels_last(out)
    images, channels = np.ogrid[: len(x), : x.shape[1]]
    grad_x.fill(0)
    windows = zip(_cells(channels_last(x), gradient), _cells(grad_x, gradient), strict=True)
    for (window, (i, j)), (target, _) in windows:
        flat = space[: window.size].reshape(window.shape)
        np.copyto(flat, window)
        first = flat.reshape(len(x), -1, x.shape[1]).argmax(axis=1)  # (n, c)
        rows, columns = np.divmod(first, window.shape[2])
        # Windows may overlap, but each image and channel has one maximum in each.
        target[images, rows, columns, channels] += gradient[:, i, j]
