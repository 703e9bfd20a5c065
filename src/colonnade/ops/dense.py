"""A dense layer: one matrix product. Written in docs/math/dense.md."""

from __future__ import annotations

import numpy as np

from .layout import Array


def dense_forward(x: Array, weight: Array, bias: Array | None, y: Array) -> None:
    """y = x Wᵀ + b, with x (n, in), W (out, in), b (out,) and y (n, out)."""
    np.matmul(x, weight.T, out=y)
    if bias is not None:
        y += bias


def dense_backward(grad_y: Array, weight: Array, grad_x: Array) -> None:
    """grad_x = grad_y W. The gradient at W, grad_yᵀ x, is a product that the caller adds to what is there."""
    np.matmul(grad_y, weight, out=grad_x)
