"""Products of two inputs with a weight between them. Written in docs/math/dense.md.

Inputs are x₁ (n, ..., a) and x₂ (n, ..., b), the weight W (k, a, b), one matrix for each output. `out` is written and
returned; it is made, like scratch, if it is not given.
"""

from __future__ import annotations

import numpy as np

from .dense import rows
from .layout import Array, write_back


def bilinear_forward(
    x1: Array,
    x2: Array,
    weight: Array,
    bias: Array | None = None,
    out: Array | None = None,
    scratch: Array | None = None,
) -> Array:
    """y_o = x₁ᵀ W_o x₂ + b_o, (n, ..., k)."""
    out = np.empty((*x1.shape[:-1], len(weight)), x1.dtype) if out is None else out
    left, right, y = rows(x1), rows(x2), rows(out)
    product = _space(scratch, right)
    for output, matrix in enumerate(weight):
        np.matmul(left, matrix, out=product)
        np.multiply(product, right, out=product)
        np.sum(product, axis=1, out=y[:, output])
    if bias is not None:
        y += bias
    return write_back(y, out)


def bilinear_backward_left(
    grad_y: Array, x2: Array, weight: Array, out: Array | None = None, scratch: Array | None = None
) -> Array:
    """grad_x₁ = Σ_o grad_y_o · W_o x₂, (n, ..., a)."""
    out = np.empty((*x2.shape[:-1], weight.shape[1]), x2.dtype) if out is None else out
    gradient, right, made = rows(grad_y), rows(x2), rows(out)
    made.fill(0)
    product = _space(scratch, made)
    for output, matrix in enumerate(weight):
        np.matmul(right, matrix.T, out=product)
        made += np.multiply(product, gradient[:, output, None], out=product)
    return write_back(made, out)


def bilinear_backward_right(
    x1: Array, grad_y: Array, weight: Array, out: Array | None = None, scratch: Array | None = None
) -> Array:
    """grad_x₂ = Σ_o grad_y_o · W_oᵀ x₁, (n, ..., b)."""
    return bilinear_backward_left(grad_y, x1, weight.transpose(0, 2, 1), out, scratch)


def bilinear_backward_weight(
    x1: Array, x2: Array, grad_y: Array, out: Array | None = None, scratch: Array | None = None
) -> Array:
    """grad_W_o = Σ grad_y_o · x₁ x₂ᵀ, (k, a, b)."""
    left, right, gradient = rows(x1), rows(x2), rows(grad_y)
    out = np.empty((gradient.shape[1], left.shape[1], right.shape[1]), x1.dtype) if out is None else out
    product = _space(scratch, left)
    for output, matrix in enumerate(out):
        np.multiply(left, gradient[:, output, None], out=product)
        np.matmul(product.T, right, out=matrix)
    return out


def _space(scratch: Array | None, like: Array) -> Array:
    """Scratch of the shape of some rows."""
    return np.empty_like(like) if scratch is None else scratch[: like.size].reshape(like.shape)
