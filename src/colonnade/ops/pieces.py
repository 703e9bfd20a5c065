"""Activations made of pieces: a line on one side, a bend or an end on the other. See docs/math/activations.md.

`out` is written and returned, and may be the first array, or grad_y; it is made, like scratch, if it is not given.
"""

from __future__ import annotations

import numpy as np

from .activation import silent
from .layout import Array, made


@silent
def elu_forward(
    x: Array, alpha: float = 1.0, scale: float = 1.0, out: Array | None = None, negative: Array | None = None
) -> Array:
    """y = scale · (max(x, 0) + α (exp(min(x, 0)) − 1)). `negative` is scratch."""
    out, negative = made(x, out, negative)
    np.minimum(x, 0, out=negative)
    np.expm1(negative, out=negative)
    np.multiply(negative, alpha * scale, out=negative)
    np.maximum(x, 0, out=out)
    if scale != 1:
        np.multiply(out, scale, out=out)
    return np.add(out, negative, out=out)


def elu_backward(
    x: Array,
    grad_y: Array,
    alpha: float = 1.0,
    scale: float = 1.0,
    out: Array | None = None,
    slope: Array | None = None,
    side: Array | None = None,
) -> Array:
    """grad_x = scale · (1 where x > 0, else α eˣ) · grad_y. `slope` and `side` are scratch."""
    out, slope, side = made(x, out, slope, side)
    np.minimum(x, 0, out=slope)
    np.exp(slope, out=slope)
    np.multiply(slope, alpha * scale, out=slope)
    if alpha != 1:  # where x > 0 the slope is now α · scale
        np.greater(x, 0, out=side)
        np.multiply(side, scale - alpha * scale, out=side)
        np.add(slope, side, out=slope)
    return np.multiply(grad_y, slope, out=out)


@silent
def softplus_forward(
    x: Array,
    beta: float = 1.0,
    threshold: float = 20.0,
    out: Array | None = None,
    term: Array | None = None,
    mask: Array | None = None,
) -> Array:
    """y = max(x, 0) + log(1 + exp(−|β x|)) / β while β x ≤ threshold, else x.

    `term` and `mask`, of bools, are scratch.
    """
    out, term = made(x, out, term)
    (mask,) = made(x, mask, dtype=np.bool_)
    np.abs(x, out=term)
    np.multiply(term, -beta, out=term)
    np.exp(term, out=term)
    np.log1p(term, out=term)
    np.multiply(term, 1 / beta, out=term)
    np.less_equal(x, threshold / beta, out=mask)
    if threshold < 0:  # a negative number may then stay as it is
        np.copyto(out, x)
        np.copyto(out, term, where=mask)
        return out
    np.multiply(term, mask, out=term)
    np.maximum(x, 0, out=out)
    return np.add(out, term, out=out)


@silent
def softplus_backward(
    x: Array,
    grad_y: Array,
    beta: float = 1.0,
    threshold: float = 20.0,
    out: Array | None = None,
    slope: Array | None = None,
    side: Array | None = None,
) -> Array:
    """grad_x = σ(β x) grad_y while β x ≤ threshold, else grad_y. `slope` and `side` are scratch."""
    out, slope, side = made(x, out, slope, side)
    np.multiply(x, -beta, out=slope)
    np.exp(slope, out=slope)
    np.add(slope, 1, out=slope)
    np.divide(1, slope, out=slope)
    np.greater(x, threshold / beta, out=side)
    np.maximum(slope, side, out=slope)
    return np.multiply(grad_y, slope, out=out)


def clip_forward(x: Array, least: float, most: float, out: Array | None = None) -> Array:
    """y = min(max(x, least), most)."""
    (out,) = made(x, out)
    np.maximum(x, least, out=out)
    return np.minimum(out, most, out=out)


def clip_backward(
    y: Array,
    grad_y: Array,
    least: float,
    most: float,
    slope: float = 1.0,
    out: Array | None = None,
    mask: Array | None = None,
    other: Array | None = None,
) -> Array:
    """grad_x = slope · grad_y where least < y < most, else 0. `mask` and `other` are scratch, bools."""
    (out,) = made(y, out)
    mask, other = made(y, mask, other, dtype=np.bool_)
    np.greater(y, least, out=mask)
    np.less(y, most, out=other)
    np.logical_and(mask, other, out=mask)
    np.multiply(grad_y, mask, out=out)
    if slope != 1:
        np.multiply(out, slope, out=out)
    return out


def prelu_forward(x: Array, weight: Array, out: Array | None = None, negative: Array | None = None) -> Array:
    """y = max(x, 0) + w · min(x, 0).

    Args:
        x: (n, c, ...).
        weight: w, (c,), or (1,) for all channels.
        out: Of x's shape.
        negative: Scratch.
    """
    out, negative = made(x, out, negative)
    np.minimum(x, 0, out=negative)
    np.multiply(negative, _along_channels(weight, x), out=negative)
    np.maximum(x, 0, out=out)
    return np.add(out, negative, out=out)


def prelu_backward_input(
    x: Array,
    grad_y: Array,
    weight: Array,
    out: Array | None = None,
    slope: Array | None = None,
    side: Array | None = None,
) -> Array:
    """grad_x = (1 where x > 0, else w) · grad_y. `slope` and `side` are scratch."""
    out, slope, side = made(x, out, slope, side)
    np.greater(x, 0, out=side)
    np.subtract(1, side, out=slope)
    np.multiply(slope, _along_channels(weight, x), out=slope)
    np.add(slope, side, out=slope)
    return np.multiply(grad_y, slope, out=out)


def prelu_backward_weight(x: Array, grad_y: Array, product: Array | None = None) -> Array:
    """The gradient at w, (c,): Σ min(x, 0) · grad_y of each channel, to be summed again where w is one for all.

    `product` is scratch.
    """
    (product,) = made(x, product)
    np.minimum(x, 0, out=product)
    np.multiply(product, grad_y, out=product)
    return np.asarray(product.sum(axis=(0, *range(2, x.ndim))))


def _along_channels(weight: Array, x: Array) -> Array:
    """One number a channel, or one for all, so that it broadcasts to x (n, c, ...)."""
    return weight.reshape(-1, *[1] * max(x.ndim - 2, 0))
