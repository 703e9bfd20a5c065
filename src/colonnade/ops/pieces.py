"""Activations made of pieces: a line on one side, a bend or an end on the other. `out` may be the first array."""

from __future__ import annotations

import numpy as np

from .activation import silent
from .layout import Array


@silent
def elu_forward(x: Array, alpha: float, scale: float, out: Array, negative: Array) -> None:
    """y = scale · (max(x, 0) + α (exp(min(x, 0)) − 1)). `negative` is scratch."""
    np.minimum(x, 0, out=negative)
    np.expm1(negative, out=negative)
    np.multiply(negative, alpha * scale, out=negative)
    np.maximum(x, 0, out=out)
    if scale != 1:
        np.multiply(out, scale, out=out)
    np.add(out, negative, out=out)


def elu_backward(x: Array, grad_y: Array, alpha: float, scale: float, out: Array, slope: Array, side: Array) -> None:
    """grad_x = scale · (1 where x > 0, else α eˣ) · grad_y. `slope` and `side` are scratch."""
    np.minimum(x, 0, out=slope)
    np.exp(slope, out=slope)
    np.multiply(slope, alpha * scale, out=slope)
    if alpha != 1:  # where x > 0 the slope is now α · scale
        np.greater(x, 0, out=side)
        np.multiply(side, scale - alpha * scale, out=side)
        np.add(slope, side, out=slope)
    np.multiply(grad_y, slope, out=out)


@silent
def softplus_forward(x: Array, beta: float, threshold: float, out: Array, term: Array, mask: Array) -> None:
    """y = max(x, 0) + log(1 + exp(−|β x|)) / β while β x ≤ threshold, else x.

    `term` and `mask`, of bools, are scratch.
    """
    np.abs(x, out=term)
    np.multiply(term, -beta, out=term)
    np.exp(term, out=term)
    np.log1p(term, out=term)
    np.multiply(term, 1 / beta, out=term)
    np.less_equal(x, threshold / beta, out=mask)
    if threshold < 0:  # a negative number may then stay as it is
        np.copyto(out, x)
        np.copyto(out, term, where=mask)
        return
    np.multiply(term, mask, out=term)
    np.maximum(x, 0, out=out)
    np.add(out, term, out=out)


@silent
def softplus_backward(
    x: Array, grad_y: Array, beta: float, threshold: float, out: Array, slope: Array, side: Array
) -> None:
    """grad_x = σ(β x) grad_y while β x ≤ threshold, else grad_y. `slope` and `side` are scratch."""
    np.multiply(x, -beta, out=slope)
    np.exp(slope, out=slope)
    np.add(slope, 1, out=slope)
    np.divide(1, slope, out=slope)
    np.greater(x, threshold / beta, out=side)
    np.maximum(slope, side, out=slope)
    np.multiply(grad_y, slope, out=out)


def clip_forward(x: Array, least: float, most: float, out: Array) -> None:
    """y = min(max(x, least), most)."""
    np.maximum(x, least, out=out)
    np.minimum(out, most, out=out)


def clip_backward(
    y: Array, grad_y: Array, least: float, most: float, slope: float, out: Array, mask: Array, other: Array
) -> None:
    """grad_x = slope · grad_y where least < y < most, else 0. `mask` and `other` are scratch, bools."""
    np.greater(y, least, out=mask)
    np.less(y, most, out=other)
    np.logical_and(mask, other, out=mask)
    np.multiply(grad_y, mask, out=out)
    if slope != 1:
        np.multiply(out, slope, out=out)


def prelu_forward(x: Array, weight: Array, out: Array, negative: Array) -> None:
    """y = max(x, 0) + w · min(x, 0), with w broadcast to x. `negative` is scratch."""
    np.minimum(x, 0, out=negative)
    np.multiply(negative, weight, out=negative)
    np.maximum(x, 0, out=out)
    np.add(out, negative, out=out)


def prelu_backward(x: Array, grad_y: Array, weight: Array, out: Array, slope: Array, side: Array) -> None:
    """grad_x = (1 where x > 0, else w) · grad_y. `slope` and `side` are scratch."""
    np.greater(x, 0, out=side)
    np.subtract(1, side, out=slope)
    np.multiply(slope, weight, out=slope)
    np.add(slope, side, out=slope)
    np.multiply(grad_y, slope, out=out)
