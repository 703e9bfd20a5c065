"""Layer, group and instance normalisation: each image by itself.

What is normalised together is a row of (rows, d), or a group of channels of (n, positions, c). Means are products
with ones, many times faster than `mean`; they come with axes of length one, so that they broadcast.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .layout import Array

Means = Callable[[Array], Array]


def row_means(x: Array, ones: Array) -> Array:
    """The mean of each row of x (rows, d), as (rows, 1); ones (d,)."""
    means: Array = np.matmul(x, ones)[:, None]
    means /= ones.size
    return means


def group_means(x: Array, ones: Array, groups: int) -> Array:
    """The mean of each group of channels of x (n, positions, c), for each of its channels, as (n, 1, c).

    `ones` is (positions,).
    """
    images, positions, channels = x.shape
    sums = np.matmul(ones, x).reshape(images, groups, -1)
    means = sums.sum(axis=2) / x.dtype.type(positions * (channels // groups))
    return np.repeat(means, channels // groups, axis=1)[:, None]


def standardize(x: Array, means: Means, eps: float, out: Array, squares: Array) -> Array:
    """x̂ = (x − μ) / √(σ² + ε) in `out`; returns 1 / √(σ² + ε), as it broadcasts.

    `squares` is scratch; `out` may be `x`.
    """
    np.subtract(x, means(x), out=out)
    np.multiply(out, out, out=squares)
    inverse = means(squares)
    inverse += eps
    np.sqrt(inverse, out=inverse)
    np.divide(1, inverse, out=inverse)
    np.multiply(out, inverse, out=out)
    return inverse


def standardize_forward(
    x: Array, means: Means, eps: float, weight: Array | None, bias: Array | None, out: Array, squares: Array
) -> None:
    """y = γ · x̂ + β; γ and β broadcast to x, None for one and zero. `squares` is scratch; `out` may be `x`."""
    standardize(x, means, eps, out, squares)
    if weight is not None:
        np.multiply(out, weight, out=out)
    if bias is not None:
        np.add(out, bias, out=out)


def standardize_backward(
    standard: Array, inverse: Array, grad_y: Array, means: Means, weight: Array | None, out: Array, products: Array
) -> None:
    """grad_x = (ĝ − mean ĝ − x̂ · mean(ĝ x̂)) / √(σ² + ε) with ĝ = γ · grad_y.

    Args:
        standard: x̂, from :func:`standardize`; overwritten.
        inverse: 1 / √(σ² + ε), from there too.
        grad_y: The gradient at the output.
        means: As in forward.
        weight: γ, or None for one.
        out: Takes the gradient at the input; may be `grad_y`.
        products: Scratch.
    """
    if weight is None:
        np.copyto(out, grad_y)
    else:
        np.multiply(grad_y, weight, out=out)
    np.multiply(out, standard, out=products)
    np.multiply(standard, means(products), out=standard)
    np.subtract(out, means(out), out=out)
    np.subtract(out, standard, out=out)
    np.multiply(out, inverse, out=out)
