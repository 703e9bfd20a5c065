"""Many numbers become one: backward passes of sums, products and extrema over axes.

`y` and `grad_y` come with axes of length 1 where the input's were summed, so that they broadcast to `x`.
"""

from __future__ import annotations

import numpy as np

from .layout import Array

Axes = tuple[int, ...]


def sum_to(x: Array, out: Array) -> Array:
    """y = Σ x over the axes along which `out` has length 1 and x has not: back from a stretched array."""
    axes = tuple(axis for axis in range(out.ndim) if out.shape[axis] < x.shape[axis])
    if axes:
        np.add.reduce(x, axis=axes, keepdims=True, out=out)
    else:
        np.copyto(out, x)
    return out


def extremum_backward(x: Array, y: Array, grad_y: Array, axes: Axes, out: Array, chosen: Array) -> None:
    """grad_x = grad_y where x = y, in equal parts to equal ones. `chosen` is scratch of x's size."""
    np.equal(x, y, out=chosen)
    count = chosen.sum(axis=axes, keepdims=True)
    np.multiply(chosen, grad_y / np.maximum(count, 1), out=out)


def product_backward(x: Array, grad_y: Array, axes: Axes, out: Array, values: Array, others: Array) -> None:
    """grad_x = grad_y · the product of all others, also where some are zero.

    That is the product of those before a number, times that of those after it. `values` and `others` are scratch of
    x's size, as (rows, numbers that are multiplied).
    """
    rows = _reduced_last(x, axes)
    np.copyto(values.reshape(rows.shape), rows)
    count = values.shape[1]
    others[:, 0] = 1
    for place in range(1, count):
        np.multiply(others[:, place - 1], values[:, place - 1], out=others[:, place])
    after = np.ones(len(values), x.dtype)
    for place in reversed(range(count)):
        np.multiply(others[:, place], after, out=others[:, place])
        np.multiply(after, values[:, place], out=after)
    np.multiply(others.reshape(rows.shape), _reduced_last(grad_y, axes), out=_reduced_last(out, axes))


def _reduced_last(array: Array, axes: Axes) -> Array:
    """The array with the reduced axes last, a view."""
    kept = [axis for axis in range(array.ndim) if axis not in axes]
    return array.transpose(*kept, *axes)


def log_sum_exp_forward(x: Array, axes: Axes, out: Array, terms: Array) -> None:
    """y = m + log Σ exp(x − m), with m the greatest. `out` keeps the axes; `terms` is scratch of x's shape."""
    greatest = x.max(axis=axes, keepdims=True)
    finite = np.where(np.isfinite(greatest), greatest, 0)
    np.subtract(x, finite, out=terms)
    np.exp(terms, out=terms)
    np.add.reduce(terms, axis=axes, keepdims=True, out=out)
    with np.errstate(divide="ignore"):
        np.log(out, out=out)
    np.add(out, finite, out=out)


def log_sum_exp_backward(x: Array, y: Array, grad_y: Array, out: Array) -> None:
    """grad_x = exp(x − y) grad_y, the softmax of x."""
    np.subtract(x, y, out=out)
    np.exp(out, out=out)
    np.multiply(out, grad_y, out=out)
