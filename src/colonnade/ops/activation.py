"""Elementwise functions: ReLU, LeakyReLU, tanh, sigmoid. Written in docs/math/activations.md.

`out` is written and returned, and may be the first array, or grad_y; it is made, like scratch, if it is not given.
At infinity each has the limit's value and slope; a product of zero and infinity on the way would be NaN.
"""

from __future__ import annotations

import numpy as np

from .layout import Array, made

# Numbers out of range are NaN or infinity, without a word: some functions count on an exponential that overflows.
silent = np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore")


def relu_forward(x: Array, out: Array | None = None, zeros: Array | float = 0.0) -> Array:
    """y = max(x, 0); NaN stays NaN.

    Args:
        x: Any shape (n, ...).
        out: Of x's shape.
        zeros: Zero, or zeros in the shape of one image: NumPy's maximum of two arrays takes half the time of that of
            an array and a number, and an image is a long run that yet stays in cache.
    """
    (out,) = made(x, out)
    return np.maximum(x, zeros, out=out)


def relu_backward(y: Array, grad_y: Array, out: Array | None = None, mask: Array | None = None) -> Array:
    """grad_x = grad_y where y ≠ 0, else 0; a NaN lets its gradient through. `mask` is scratch, of bools."""
    (out,), (mask,) = made(grad_y, out), made(y, mask, dtype=np.bool_)
    np.not_equal(y, 0, out=mask)
    return np.multiply(grad_y, mask, out=out)


@silent
def leaky_relu_forward(
    x: Array,
    negative_slope: float = 0.01,
    out: Array | None = None,
    scaled: Array | None = None,
    side: Array | None = None,
) -> Array:
    """y = x where x > 0, else slope · x.

    Args:
        x: Any shape.
        negative_slope: The slope, finite.
        out: Of x's shape.
        scaled: Scratch.
        side: Written if it is given: x > 0, bools of x's shape.
    """
    out, scaled = made(x, out, scaled)
    if side is not None:
        np.greater(x, 0, out=side)
    if negative_slope == 0:
        return np.maximum(x, 0, out=out)
    np.multiply(x, negative_slope, out=scaled)
    return (np.maximum if negative_slope <= 1 else np.minimum)(x, scaled, out=out)


def leaky_relu_backward(
    side: Array, grad_y: Array, negative_slope: float = 0.01, out: Array | None = None, factor: Array | None = None
) -> Array:
    """grad_x = grad_y where x > 0, else slope · grad_y.

    Args:
        side: What is positive where x is, and nowhere else: x, x > 0, or y if the slope is not negative.
        grad_y: The gradient at y.
        negative_slope: The slope.
        out: Of grad_y's shape.
        factor: Scratch.
    """
    out, factor = made(grad_y, out, factor)
    np.greater(side, 0, out=factor)
    if 0 <= negative_slope <= 1:
        np.maximum(factor, negative_slope, out=factor)
    else:
        np.multiply(factor, 1 - negative_slope, out=factor)
        np.add(factor, negative_slope, out=factor)
    return np.multiply(grad_y, factor, out=out)


def tanh_forward(x: Array, out: Array | None = None) -> Array:
    """y = tanh x."""
    (out,) = made(x, out)
    return np.tanh(x, out=out)


def tanh_backward(y: Array, grad_y: Array, out: Array | None = None, slope: Array | None = None) -> Array:
    """grad_x = (1 − y²) grad_y. `slope` is scratch."""
    out, slope = made(y, out, slope)
    np.multiply(y, y, out=slope)
    np.subtract(1, slope, out=slope)
    return np.multiply(grad_y, slope, out=out)


@silent
def sigmoid_forward(x: Array, out: Array | None = None) -> Array:
    """y = 1 / (1 + exp(−x)); where the exponential overflows it is 0."""
    (out,) = made(x, out)
    np.negative(x, out=out)
    np.exp(out, out=out)
    np.add(out, 1, out=out)
    return np.divide(1, out, out=out)


def sigmoid_backward(y: Array, grad_y: Array, out: Array | None = None, slope: Array | None = None) -> Array:
    """grad_x = y (1 − y) grad_y. `slope` is scratch."""
    out, slope = made(y, out, slope)
    np.subtract(1, y, out=slope)
    np.multiply(slope, y, out=slope)
    return np.multiply(grad_y, slope, out=out)
