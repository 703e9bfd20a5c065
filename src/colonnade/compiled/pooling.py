"""Pools, compiled: images (n, h, w, c) to (n, h_out, w_out, c), sixteen channels at a time."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from .compilation import compiled
from .elementwise import where_beaten, where_equal
from .registers import WIDTH
from .tiles import filled, load_bytes, load_first, store_bytes, store_first, zeros

# A byte says which number of its window is the greatest.
LARGEST_WINDOW = 255


@compiled
def _require_windows(x, y, kernel, stride, padding):
    """Raise ValueError where images and what is pooled from them do not fit each other."""
    if x.shape[0] != y.shape[0] or x.shape[3] != y.shape[3]:
        raise ValueError("pool: as many images and channels in and out")
    if min(kernel) < 1 or min(stride) < 1 or min(padding) < 0 or kernel[0] * kernel[1] > LARGEST_WINDOW:
        raise ValueError("pool: sizes must be positive, and a window of 255 numbers at the most")


@lru_cache
def max_pool_forward(keeps: bool) -> Any:
    """y = the greatest number of each window, and which it was if `keeps`: the last NaN, or of equals the first.

    Args of the function that is returned:
        x: (n, h, w, c).
        y: (n, h_out, w_out, c), written.
        winners: (n, h_out, w_out, c) of uint8: the number in its window, row by row; written if `keeps`.
        kernel, stride, dilation: Pairs. padding: (top, left).
    """

    @compiled
    def forward(x, y, winners, kernel, stride, padding, dilation):
        _require_windows(x, y, kernel, stride, padding)
        images, x_height, x_width, channels = x.shape
        _, height, width, _ = y.shape
        if keeps and winners.size != y.size:
            raise ValueError("pool: a winner for each output")
        for n in range(images):
            for i in range(height):
                top = i * stride[0] - padding[0]
                for j in range(width):
                    left = j * stride[1] - padding[1]
                    to = ((n * height + i) * width + j) * channels
                    for c in range(0, channels, WIDTH):
                        rest = channels - c
                        most, winner = filled(1, 1, np.float32(-np.inf)), zeros(1, 1)
                        for s in range(kernel[0]):
                            row = top + s * dilation[0]
                            if row < 0 or row >= x_height:
                                continue
                            for t in range(kernel[1]):
                                column = left + t * dilation[1]
                                if column < 0 or column >= x_width:
                                    continue
                                at = ((n * x_height + row) * x_width + column) * channels + c
                                z = load_first(1, 1, x, at, 0, rest)
                                if keeps:
                                    # −∞ beats nobody: the first that is inside the image stands for such a window.
                                    number = np.float32(s * kernel[1] + t)
                                    winner = where_beaten(z, most, number, winner)
                                most = where_beaten(z, most, z, most)
                        store_first(most, y, to + c, 0, rest)
                        if keeps:
                            store_bytes(winner, winners, to + c, 0, rest)

    return forward


@compiled
def max_pool_backward(grad, winners, grad_x, kernel, stride, padding, dilation):
    """grad_x = the gradient of each window, at its greatest number; overwritten."""
    _require_windows(grad_x, grad, kernel, stride, padding)
    images, x_height, x_width, channels = grad_x.shape
    _, height, width, _ = grad.shape
    if winners.size != grad.size:
        raise ValueError("pool: a winner for each output")
    grad_x.reshape(-1)[:] = 0
    for n in range(images):
        for i in range(height):
            top = i * stride[0] - padding[0]
            for j in range(width):
                left = j * stride[1] - padding[1]
                to = ((n * height + i) * width + j) * channels
                for c in range(0, channels, WIDTH):
                    rest = channels - c
                    g = load_first(1, 1, grad, to + c, 0, rest)
                    winner = load_bytes(1, 1, winners, to + c, 0, rest)
                    for s in range(kernel[0]):
                        row = top + s * dilation[0]
                        if row < 0 or row >= x_height:
                            continue
                        for t in range(kernel[1]):
                            column = left + t * dilation[1]
                            if column < 0 or column >= x_width:
                                continue
                            at = ((n * x_height + row) * x_width + column) * channels + c
                            share = where_equal(winner, np.float32(s * kernel[1] + t), g, 0.0)
                            store_first(load_first(1, 1, grad_x, at, 0, rest) + share, grad_x, at, 0, rest)


@compiled
def _require_bounds(x, y, rows, columns, shares):
    if x.shape[0] != y.shape[0] or x.shape[3] != y.shape[3]:
        raise ValueError("pool: as many images and channels in and out")
    if rows.shape != (y.shape[1], 2) or columns.shape != (y.shape[2], 2) or shares.shape != (y.shape[1], y.shape[2]):
        raise ValueError("pool: bounds and a share for each window")
    for bounds, size in ((rows, x.shape[1]), (columns, x.shape[2])):
        for k in range(bounds.shape[0]):
            if bounds[k, 0] < 0 or bounds[k, 1] > size:
                raise ValueError("pool: a window must lie inside the image")


@compiled
def average_pool_forward(x, y, rows, columns, shares):
    """y[n, i, j] = shares[i, j] · Σ x over rows[i, 0] … rows[i, 1] − 1 and columns[j, 0] … columns[j, 1] − 1.

    The windows are cut to the image beforehand: so it serves AvgPool2d and AdaptiveAvgPool2d alike.
    """
    _require_bounds(x, y, rows, columns, shares)
    images, x_height, x_width, channels = x.shape
    _, height, width, _ = y.shape
    for n in range(images):
        for i in range(height):
            for j in range(width):
                to = ((n * height + i) * width + j) * channels
                for c in range(0, channels, WIDTH):
                    rest = channels - c
                    total = zeros(1, 1)
                    for row in range(rows[i, 0], rows[i, 1]):
                        at = ((n * x_height + row) * x_width + columns[j, 0]) * channels + c
                        for _ in range(columns[j, 0], columns[j, 1]):
                            total = total + load_first(1, 1, x, at, 0, rest)
                            at += channels
                    store_first(total * shares[i, j], y, to + c, 0, rest)


@compiled
def average_pool_backward(grad, grad_x, rows, columns, shares):
    """grad_x = each window's gradient times its share, added up at all that it sees; overwritten."""
    _require_bounds(grad_x, grad, rows, columns, shares)
    images, x_height, x_width, channels = grad_x.shape
    _, height, width, _ = grad.shape
    grad_x.reshape(-1)[:] = 0
    for n in range(images):
        for i in range(height):
            for j in range(width):
                to = ((n * height + i) * width + j) * channels
                for c in range(0, channels, WIDTH):
                    rest = channels - c
                    g = load_first(1, 1, grad, to + c, 0, rest) * shares[i, j]
                    for row in range(rows[i, 0], rows[i, 1]):
                        at = ((n * x_height + row) * x_width + columns[j, 0]) * channels + c
                        for _ in range(columns[j, 0], columns[j, 1]):
                            store_first(load_first(1, 1, grad_x, at, 0, rest) + g, grad_x, at, 0, rest)
                            at += channels


@compiled
def _require_squares(x, y, size):
    n, height, width, channels = y.shape
    if x.shape != (n, height * size, width * size, channels):
        raise ValueError("pool: squares must cover the image side by side")


@lru_cache
def average_squares_forward(size: int) -> Any:
    """y = the average of each square of size × size pixels, which lie side by side."""

    @compiled
    def forward(x, y):
        _require_squares(x, y, size)
        images, height, width, channels = y.shape
        row = x.shape[2] * channels
        for line in range(images * height):
            for c in range(0, channels, WIDTH):
                left = channels - c
                at, to = line * size * row + c, line * width * channels + c
                for _ in range(width):
                    total = load_first(1, 1, x, at, 0, left)
                    for k in range(1, size * size):
                        total = total + load_first(1, 1, x, at + k // size * row + k % size * channels, 0, left)
                    store_first(total * np.float32(1 / (size * size)), y, to, 0, left)
                    at += size * channels
                    to += channels

    return forward


@lru_cache
def average_squares_backward(size: int) -> Any:
    """grad_x = each square's gradient shared out evenly; overwritten."""

    @compiled
    def backward(grad, grad_x):
        _require_squares(grad_x, grad, size)
        images, height, width, channels = grad.shape
        row = grad_x.shape[2] * channels
        for line in range(images * height):
            for c in range(0, channels, WIDTH):
                left = channels - c
                at, to = line * size * row + c, line * width * channels + c
                for _ in range(width):
                    share = load_first(1, 1, grad, to, 0, left) * np.float32(1 / (size * size))
                    for k in range(size * size):
                        store_first(share, grad_x, at + k // size * row + k % size * channels, 0, left)
                    at += size * channels
                    to += channels

    return backward
