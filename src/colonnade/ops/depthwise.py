"""Depthwise convolution: each channel by itself, a sum over the values of its kernel.

Arrays are as in :mod:`colonnade.ops.convolution`, whose functions call these where each group has one channel in and
one out: a column matrix of such a group would be multiplied with a single column. See
docs/math/convolution.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .columns import BLOCK_NUMBERS, crop, padded_shape, room, windows, windows_by_block, zeros
from .layout import Array, channels_first, empty_batch
from .window import Pair, Sizes, Window


def depthwise_forward(
    x: Array, weight: Array, window: Window, out: Array | None = None, columns: Array | None = None
) -> Array:
    """y[n, c, i, j] = Σ_{s, t} X_windows[n, c, i, j, s, t] · K[c, 0, s, t].

    Args:
        x: (n, c, h, w).
        weight: K, (c, 1, k_h, k_w).
        window: How the kernel moves over the images.
        out: Written: (n, c, h_out, w_out).
        columns: Scratch, see :func:`depthwise_sizes`.
    """
    if out is None:
        out = empty_batch((*x.shape[:2], *window.output_size((x.shape[2], x.shape[3]))), x.dtype)
    outputs = (out.shape[2], out.shape[3])
    border, _ = room(columns, x.dtype, *depthwise_sizes(window, x.shape, outputs))
    for images, seen in windows_by_block(x, window, outputs, _together(window, x.shape), border):
        np.einsum("ncijst,cst->ncij", seen, weight[:, 0], out=out[images])
    return out


def depthwise_backward_input(
    grad_y: Array,
    weight: Array,
    window: Window,
    out: Array | None = None,
    columns: Array | None = None,
    *,
    size: Sizes | None = None,
) -> Array:
    """The gradient at X: each output's, times the kernel, is added to the window that the output saw.

    Args:
        grad_y: The gradient at Y, (n, c, h_out, w_out).
        weight: K, (c, 1, k_h, k_w).
        window: How the kernel moves over the images.
        out: Written: the gradient at X, (n, c, h, w).
        columns: Scratch.
        size: (h, w) if `out` is not given; by default that of the smallest images with so many windows.
    """
    if out is None:
        size = size or window.input_size((grad_y.shape[2], grad_y.shape[3]))
        out = empty_batch((*grad_y.shape[:2], *size), grad_y.dtype)
    size, outputs = (out.shape[2], out.shape[3]), (grad_y.shape[2], grad_y.shape[3])
    turned = window.turned(size, outputs)
    if turned is not None:
        return depthwise_forward(grad_y, weight[:, :, ::-1, ::-1], turned, out, columns)
    border, product = room(columns, out.dtype, *depthwise_sizes(window, out.shape, outputs))
    step = _together(window, out.shape)
    for start in range(0, len(out), step):
        images = slice(start, start + step)
        gradient, grad_x = grad_y[images], out[images]
        padded = zeros(grad_x.shape, window, border)
        seen = windows(padded, window)[:, :, : outputs[0], : outputs[1]]
        part = channels_first(product[: gradient.size].reshape(len(gradient), *outputs, -1))
        for s, t in np.ndindex(window.kernel):  # windows overlap, but what one value of the kernel sees does not
            np.multiply(gradient, weight[:, 0, s, t, None, None], out=part)
            seen[..., s, t] += part
        grad_x[...] = crop(padded, window, size)
    return out


def depthwise_backward_weight(
    x: Array, grad_y: Array, window: Window, out: Array | None = None, columns: Array | None = None
) -> Array:
    """grad_K[c, 0, s, t] = Σ_{n, i, j} X_windows[n, c, i, j, s, t] · grad_y[n, c, i, j]: (c, 1, k_h, k_w)."""
    out = np.empty((x.shape[1], 1, *window.kernel), x.dtype) if out is None else out
    out.fill(0)
    outputs = (grad_y.shape[2], grad_y.shape[3])
    border, _ = room(columns, x.dtype, *depthwise_sizes(window, x.shape, outputs))
    for images, seen in windows_by_block(x, window, outputs, _together(window, x.shape), border):
        out[:, 0] += np.einsum("ncijst,ncij->cst", seen, grad_y[images])
    return out


def depthwise_sizes(window: Window, shape: Sequence[int], outputs: Sizes) -> Pair:
    """How many numbers of scratch it takes: for images (n, c, h, w) with their border, and for outputs of that size."""
    images = _together(window, shape)
    return math.prod(padded_shape(window, (images, *shape[1:]))), images * shape[1] * math.prod(outputs)


def _together(window: Window, shape: Sequence[int]) -> int:
    """How many images, with their border, fit the cache."""
    return min(shape[0], max(1, BLOCK_NUMBERS // math.prod(padded_shape(window, shape)[1:])))
