"""A dense layer: one matrix product over the last axis. Written in docs/math/dense.md.

`out` is written and returned; it is made if it is not given.
"""

from __future__ import annotations

import numpy as np

from .layout import Array, channels_last, in_order, write_back


def dense_forward(x: Array, weight: Array, bias: Array | None = None, out: Array | None = None) -> Array:
    """y = x Wᵀ + b, with x (n, ..., in), W (out, in), b (out,) and y (n, ..., out)."""
    out = np.empty((*x.shape[:-1], len(weight)), x.dtype) if out is None else out
    if x.ndim == 4:  # images lie channels-last: each of their rows as a matrix (in, c) that W is multiplied with
        np.matmul(weight, channels_last(x), out=channels_last(out))
    else:
        y = rows(out)
        np.matmul(rows(x), weight.T, out=y)
        write_back(y, out)
    if bias is not None:
        out += bias
    return out


def dense_backward_input(grad_y: Array, weight: Array, out: Array | None = None) -> Array:
    """grad_x = grad_y W."""
    out = np.empty((*grad_y.shape[:-1], weight.shape[1]), grad_y.dtype) if out is None else out
    if grad_y.ndim == 4:
        np.matmul(weight.T, channels_last(grad_y), out=channels_last(out))
        return out
    grad_x = rows(out)
    np.matmul(rows(grad_y), weight, out=grad_x)
    return write_back(grad_x, out)


def dense_backward_weight(x: Array, grad_y: Array, out: Array | None = None, plain: Array | None = None) -> Array:
    """grad_W = grad_yᵀ x.

    Args:
        x: (n, ..., in).
        grad_y: (n, ..., out).
        out: (out, in).
        plain: Flat scratch of as many numbers as both, used for images, which lie channels-last.
    """
    if x.ndim == 4:
        plain = np.empty(x.size + grad_y.size, x.dtype) if plain is None else plain
        x, grad_y = in_order(x, plain[: x.size]), in_order(grad_y, plain[x.size :])
    return np.matmul(rows(grad_y).T, rows(x), out=out)


def dense_backward_bias(grad_y: Array) -> Array:
    """grad_b = Σ grad_y, over all but the last axis."""
    return np.asarray(grad_y.sum(axis=tuple(range(grad_y.ndim - 1))))


def rows(array: Array) -> Array:
    """(n, ..., d) as a matrix of rows (n · ..., d)."""
    return array.reshape(-1, array.shape[-1])
