"""Sums and products of two arrays, and of channels with one number each, forward and backward."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from .activation import activate, activation_gradient
from .compilation import compiled
from .elementwise import multiply_add
from .registers import WIDTH
from .runs import ROWS, RUN, TURNS, add_columns, load_rows, load_run, store_rows, store_run, together
from .tiles import zeros


@lru_cache
def addition_forward(kind: int) -> Callable[..., None]:
    """The function that writes y = activation(x + other), for arrays of one size; y may be one of them."""

    @compiled
    def forward(x, other, a, b, y):
        if x.size != y.size or other.size != y.size:
            raise ValueError("addition_forward: x, other and y must be of one size.")
        for i in range(0, y.size, RUN):
            store_run(activate(kind, load_run(x, i) + load_run(other, i), a, b), y, i)

    return forward


@lru_cache
def addition_backward(kind: int) -> Callable[..., None]:
    """The function that writes the gradient at x, which is that at the other too; grad_x may be grad_y.

    For kinds that read their input, which is added up anew. Of those that read the output, the gradient is that of the
    activation by itself.
    """

    @compiled
    def backward(x, other, grad_y, a, b, grad_x):
        if x.size != grad_x.size or other.size != grad_x.size or grad_y.size != grad_x.size:
            raise ValueError("addition_backward: x, other, grad_y and grad_x must be of one size.")
        for i in range(0, grad_x.size, RUN):
            total = load_run(x, i) + load_run(other, i)
            store_run(activation_gradient(kind, total, load_run(grad_y, i), a, b), grad_x, i)

    return backward


@compiled
def multiplication_forward(x, other, y):
    """y = x · other, number by number; y may be one of them."""
    if x.size != y.size or other.size != y.size:
        raise ValueError("multiplication_forward: x, other and y must be of one size.")
    for i in range(0, y.size, RUN):
        store_run(load_run(x, i) * load_run(other, i), y, i)


@compiled
def multiplication_backward(x, other, grad_y, grad_x, grad_other):
    """grad_x = grad_y · other and grad_other = grad_y · x; one of them may be grad_y."""
    if x.size != grad_y.size or other.size != grad_y.size:
        raise ValueError("multiplication_backward: x, other and grad_y must be of one size.")
    if grad_x.size != grad_y.size or grad_other.size != grad_y.size:
        raise ValueError("multiplication_backward: grad_x and grad_other must be of grad_y's size.")
    for i in range(0, grad_y.size, RUN):
        left, right, grad = load_run(x, i), load_run(other, i), load_run(grad_y, i)
        store_run(grad * right, grad_x, i)
        store_run(grad * left, grad_other, i)


@compiled
def channel_scaling_forward(x, factor, y):
    """y[n, p, c] = x[n, p, c] · factor[n, c]; y may be x."""
    images, positions, channels = x.shape
    if y.shape != x.shape or factor.shape != (images, channels):
        raise ValueError("channel_scaling_forward: x and y must be (n, positions, c), factor (n, c).")
    for image in range(images):
        for c in range(0, channels, WIDTH):
            left = channels - c
            factors = load_rows(factor, image * channels + c, 0, left)
            position = 0
            while position < positions:
                count, step, _ = together(positions - position, channels)
                i = (image * positions + position) * channels + c
                store_rows(load_rows(x, i, step, left) * factors, y, i, step, left)
                position += count


@compiled
def channel_scaling_backward(x, factor, grad_y, grad_x, grad_factor):
    """grad_x = grad_y · factor, and grad_factor[n, c] = Σ over positions of grad_y · x; grad_x may be grad_y."""
    images, positions, channels = x.shape
    if grad_y.shape != x.shape or grad_x.shape != x.shape:
        raise ValueError("channel_scaling_backward: x, grad_y and grad_x must be of one shape (n, positions, c).")
    if factor.shape != (images, channels) or grad_factor.shape != (images, channels):
        raise ValueError("channel_scaling_backward: factor and grad_factor must be (n, c).")
    part, sums = np.empty(WIDTH, np.float32), np.empty(channels, np.float64)
    for image in range(images):
        sums[:] = 0.0
        for c in range(0, channels, WIDTH):
            left = channels - c
            factors = load_rows(factor, image * channels + c, 0, left)
            position = 0
            while position < positions:
                total = zeros(ROWS, 1)
                end = min(positions, position + TURNS * ROWS)
                while position < end:
                    count, step, share = together(end - position, channels)
                    i = (image * positions + position) * channels + c
                    grad = load_rows(grad_y, i, step, left)
                    total = multiply_add(grad * share, load_rows(x, i, step, left), total)
                    store_rows(grad * factors, grad_x, i, step, left)
                    position += count
                add_columns(total, part, c, left, sums)
        for c in range(channels):
            grad_factor[image, c] = sums[c]
