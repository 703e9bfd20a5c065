"""Elementwise functions. Each `out` may be the first array: the layers work in place.

At infinity each has the limit's value and slope; a product of zero and infinity on the way would be NaN.
"""

from __future__ import annotations

import numpy as np

from .layout import Array

# Numbers out of range are NaN or infinity, without a word: some functions count on an exponential that overflows.
silent = np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore")


def relu_forward(x: Array, zeros: Array | float, out: Array) -> None:
    """y = max(x, 0); NaN stays NaN.

    Args:
        x: Any shape (n, ...).
        zeros: Zero, or zeros in the shape of one image: NumPy's maximum of two arrays takes half to a third of the
            time of that of an array and a number, and an image is a long run that yet stays in cache.
        out: Of x's shape.
    """
    np.maximum(x, zeros, out=out)


def relu_backward(y: Array, grad_y: Array, out: Array, mask: Array) -> None:
    """grad_x = grad_y where y ≠ 0, else 0; a NaN lets its gradient through. `mask` is scratch, bool."""
    np.not_equal(y, 0, out=mask)
    np.multiply(grad_y, mask, out=out)


@silent
def leaky_relu_forward(x: Array, negative_slope: float, out: Array, scaled: Array, side: Array | None = None) -> None:
    """y = x where x > 0, else slope · x. `scaled` is scratch; `side` takes x > 0, if there is one."""
    if side is not None:
        np.greater(x, 0, out=side)
    if negative_slope == 0:
        np.maximum(x, 0, out=out)
        return
    np.multiply(x, negative_slope, out=scaled)
    (np.maximum if negative_slope <= 1 else np.minimum)(x, scaled, out=out)


def leaky_relu_backward(side: Array, grad_y: Array, negative_slope: float, out: Array, factor: Array) -> None:
    """grad_x = grad_y where x > 0, else slope · grad_y. `side` is positive there alone; `factor` is scratch."""
    np.greater(side, 0, out=factor)
    if 0 <= negative_slope <= 1:
        np.maximum(factor, negative_slope, out=factor)
    else:
        np.multiply(factor, 1 - negative_slope, out=factor)
        np.add(factor, negative_slope, out=factor)
    np.multiply(grad_y, factor, out=out)


def tanh_forward(x: Array, out: Array) -> None:
    """y = tanh x."""
    np.tanh(x, out=out)


def tanh_backward(y: Array, grad_y: Array, out: Array, slope: Array) -> None:
    """grad_x = (1 − y²) grad_y. `slope` is scratch."""
    np.multiply(y, y, out=slope)
    np.subtract(1, slope, out=slope)
    np.multiply(grad_y, slope, out=out)


@silent
def sigmoid_forward(x: Array, out: Array) -> None:
    """y = 1 / (1 + exp(−x)); where the exponential overflows it is 0."""
    np.negative(x, out=out)
    np.exp(out, out=out)
    np.add(out, 1, out=out)
    np.divide(1, out, out=out)


def sigmoid_backward(y: Array, grad_y: Array, out: Array, slope: Array) -> None:
    """grad_x = y (1 − y) grad_y. `slope` is scratch."""
    np.subtract(1, y, out=slope)
    np.multiply(slope, y, out=slope)
    np.multiply(grad_y, slope, out=out)
