"""Softmax and its logarithm, stable for numbers of any size. Written in docs/math/softmax_cross_entropy.md.

`out` is written and returned; it is made if it is not given.
"""

from __future__ import annotations

import numpy as np

from .layout import Array, made


def softmax_forward(x: Array, axis: int = 1, out: Array | None = None) -> Array:
    """p = exp(x − max x) / Σ exp(x − max x) along `axis`. `out` may be `x`."""
    (out,) = made(x, out)
    np.subtract(x, x.max(axis=axis, keepdims=True), out=out)
    np.exp(out, out=out)
    np.divide(out, out.sum(axis=axis, keepdims=True), out=out)
    return out


def softmax_backward(y: Array, grad_y: Array, axis: int = 1, out: Array | None = None) -> Array:
    """grad_x = y (grad_y − Σ y grad_y), with y the forward pass's output. `out` may be `grad_y`."""
    (out,) = made(grad_y, out)
    inner = np.vecdot(np.moveaxis(y, axis, -1), np.moveaxis(grad_y, axis, -1))
    np.subtract(grad_y, np.expand_dims(inner, axis), out=out)
    return np.multiply(out, y, out=out)


def log_softmax_forward(x: Array, axis: int = 1, out: Array | None = None) -> Array:
    """log p = (x − max x) − log Σ exp(x − max x) along `axis`. `out` must not be `x`.

    The difference is taken twice rather than kept, and the maximum is not added to the logarithm first: beside a
    large maximum that would round away what tells the classes apart.
    """
    (out,) = made(x, out)
    greatest = x.max(axis=axis, keepdims=True)
    np.subtract(x, greatest, out=out)
    np.exp(out, out=out)
    log_sum = np.log(out.sum(axis=axis, keepdims=True))
    np.subtract(x, greatest, out=out)
    np.subtract(out, log_sum, out=out)
    return out


def log_softmax_backward(y: Array, grad_y: Array, axis: int = 1, out: Array | None = None) -> Array:
    """grad_x = grad_y − exp(y) Σ grad_y, with y the forward pass's output. `out` must not be `grad_y`."""
    (out,) = made(y, out)
    np.exp(y, out=out)
    np.multiply(out, grad_y.sum(axis=axis, keepdims=True), out=out)
    return np.subtract(grad_y, out, out=out)
