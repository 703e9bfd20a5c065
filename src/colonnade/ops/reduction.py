"""Many numbers become one: sums, means, products and extrema over axes. Derived in docs/math/rearrangement.md.

`y` and `grad_y` have axes of length 1 where the input's were reduced, so that they broadcast to `x`. `out` is written
and returned; it is made, like scratch, if it is not given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .layout import Array, made

Axes = tuple[int, ...]


def sum_to(x: Array, out: Array) -> Array:
    """y = Σ x over the axes along which `out` has length 1 and x has not: back from a stretched array."""
    axes = tuple(axis for axis in range(out.ndim) if out.shape[axis] < x.shape[axis])
    if axes:
        np.add.reduce(x, axis=axes, keepdims=True, out=out)
    else:
        np.copyto(out, x)
    return out


def sum_forward(x: Array, axes: Axes, out: Array | None = None) -> Array:
    """y = Σ x over the axes."""
    return np.asarray(np.add.reduce(x, axis=axes, keepdims=True, out=out))


def sum_backward(grad_y: Array, shape: Sequence[int], out: Array | None = None) -> Array:
    """grad_x = grad_y for every number that was summed; `shape` is x's."""
    out = np.empty(shape, grad_y.dtype) if out is None else out
    np.copyto(out, grad_y)
    return out


def mean_forward(x: Array, axes: Axes, out: Array | None = None) -> Array:
    """y = Σ x / m over the axes, of m numbers."""
    out = sum_forward(x, axes, out)
    return np.divide(out, x.size // out.size, out=out)


def mean_backward(grad_y: Array, shape: Sequence[int], out: Array | None = None) -> Array:
    """grad_x = grad_y / m for every number of a mean; `shape` is x's."""
    out = np.empty(shape, grad_y.dtype) if out is None else out
    return np.divide(grad_y, out.size // grad_y.size, out=out)


def extremum_forward(x: Array, axes: Axes, choose: np.ufunc = np.maximum, out: Array | None = None) -> Array:
    """y = max x over the axes, or min x with np.minimum."""
    return np.asarray(choose.reduce(x, axis=axes, keepdims=True, out=out))


def extremum_backward(
    x: Array, y: Array, grad_y: Array, axes: Axes, out: Array | None = None, chosen: Array | None = None
) -> Array:
    """grad_x = grad_y where x = y, in equal parts to equal ones. `chosen` is scratch of x's shape."""
    out, chosen = made(x, out, chosen)
    np.equal(x, y, out=chosen)
    count = chosen.sum(axis=axes, keepdims=True)
    np.multiply(chosen, grad_y / np.maximum(count, 1), out=out)
    return out


def product_forward(x: Array, axes: Axes, out: Array | None = None) -> Array:
    """y = Π x over the axes."""
    return np.asarray(np.multiply.reduce(x, axis=axes, keepdims=True, out=out))


def product_backward(
    x: Array,
    grad_y: Array,
    axes: Axes,
    out: Array | None = None,
    values: Array | None = None,
    others: Array | None = None,
) -> Array:
    """grad_x = grad_y · the product of all others, also where some are zero.

    That is the product of those before a number, times that of those after it. `values` and `others` are scratch of
    x's size, as (rows, numbers that are multiplied).
    """
    rows = _reduced_last(x, axes)
    count = math.prod(x.shape[axis] for axis in axes)
    (out,) = made(x, out)
    values, others = made(np.broadcast_to(x.dtype.type(0), (x.size // count, count)), values, others)
    np.copyto(values.reshape(rows.shape), rows)
    others[:, 0] = 1
    for place in range(1, count):
        np.multiply(others[:, place - 1], values[:, place - 1], out=others[:, place])
    after = np.ones(len(values), x.dtype)
    for place in reversed(range(count)):
        np.multiply(others[:, place], after, out=others[:, place])
        np.multiply(after, values[:, place], out=after)
    np.multiply(others.reshape(rows.shape), _reduced_last(grad_y, axes), out=_reduced_last(out, axes))
    return out


def log_sum_exp_forward(x: Array, axes: Axes, out: Array | None = None, terms: Array | None = None) -> Array:
    """y = m + log Σ exp(x − m), with m the greatest. `terms` is scratch of x's shape."""
    greatest = x.max(axis=axes, keepdims=True)
    finite = np.where(np.isfinite(greatest), greatest, 0)
    (terms,) = made(x, terms)
    np.subtract(x, finite, out=terms)
    np.exp(terms, out=terms)
    out = np.asarray(np.add.reduce(terms, axis=axes, keepdims=True, out=out))
    with np.errstate(divide="ignore"):
        np.log(out, out=out)
    return np.add(out, finite, out=out)


def log_sum_exp_backward(x: Array, y: Array, grad_y: Array, out: Array | None = None) -> Array:
    """grad_x = exp(x − y) grad_y, the softmax of x."""
    (out,) = made(x, out)
    np.subtract(x, y, out=out)
    np.exp(out, out=out)
    return np.multiply(out, grad_y, out=out)


def _reduced_last(array: Array, axes: Axes) -> Array:
    """The array with the reduced axes last, a view."""
    kept = [axis for axis in range(array.ndim) if axis not in axes]
    return array.transpose(*kept, *axes)
