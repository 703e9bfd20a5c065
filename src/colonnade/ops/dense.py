"""A dense layer: one matrix product over the last axis. Written in docs/math/dense.md.

`out` is written and returned; it is made if it is not given.
"""

from __future__ import annotations

import numpy as np

from .layout import Array, write_back


def dense_forward(x: Array, weight: Array, bias: Array | None = None, out: Array | None = None) -> Array:
    """y = x Wᵀ + b, with x (n, ..., in), W (out, in), b (out,) and y (n, ..., out)."""
    out = np.empty((*x.shape[:-1], len(weight)), x.dtype) if out is None else out
    y = rows(out)
    np.matmul(rows(x), weight.T, out=y)
    if bias is not None:
        y += bias
    return write_back(y, out)


def dense_backward_input(grad_y: Array, weight: Array, out: Array | None = None) -> Array:
    """grad_x = grad_y W."""
    out = np.empty((*grad_y.shape[:-1], weight.shape[1]), grad_y.dtype) if out is None else out
    grad_x = rows(out)
    np.matmul(rows(grad_y), weight, out=grad_x)
    return write_back(grad_x, out)


def dense_backward_weight(x: Array, grad_y: Array, out: Array | None = None) -> Array:
    """grad_W = grad_yᵀ x."""
    return np.matmul(rows(grad_y).T, rows(x), out=out)


def dense_backward_bias(grad_y: Array) -> Array:
    """grad_b = Σ grad_y, over all but the last axis."""
    return np.asarray(rows(grad_y).sum(axis=0))


def rows(array: Array) -> Array:
    """(n, ..., d) as a matrix of rows (n · ..., d)."""
    return array.reshape(-1, array.shape[-1])
