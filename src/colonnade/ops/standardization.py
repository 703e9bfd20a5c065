"""Layer, group and instance normalisation: each image by itself, its mean and variance taken along some axes."""

from __future__ import annotations

import numpy as np

from .layout import Array

Axes = tuple[int, ...]


def standardize(x: Array, axes: Axes, eps: float, out: Array, squares: Array) -> Array:
    """x̂ = (x − μ) / √(σ² + ε) along `axes`, in `out`; returns 1 / √(σ² + ε), its axes kept as ones.

    `squares` is scratch; `out` may be `x`.
    """
    np.subtract(x, x.mean(axis=axes, keepdims=True), out=out)
    np.multiply(out, out, out=squares)
    variance = squares.mean(axis=axes, keepdims=True)
    variance += eps
    inverse: Array = np.sqrt(variance, out=variance)
    np.divide(1, inverse, out=inverse)
    np.multiply(out, inverse, out=out)
    return inverse


def standardize_forward(
    x: Array, axes: Axes, eps: float, weight: Array | None, bias: Array | None, out: Array, squares: Array
) -> None:
    """y = γ · x̂ + β; γ and β broadcast to x, None for one and zero. `squares` is scratch; `out` may be `x`."""
    standardize(x, axes, eps, out, squares)
    if weight is not None:
        np.multiply(out, weight, out=out)
    if bias is not None:
        np.add(out, bias, out=out)


def standardize_backward(
    standard: Array, inverse: Array, grad_y: Array, axes: Axes, weight: Array | None, out: Array, products: Array
) -> None:
    """grad_x = (ĝ − mean ĝ − x̂ · mean(ĝ x̂)) / √(σ² + ε) with ĝ = γ · grad_y, the means along `axes`.

    Args:
        standard: x̂, from :func:`standardize`; overwritten.
        inverse: 1 / √(σ² + ε), from there too.
        grad_y: The gradient at the output.
        axes: As in forward.
        weight: γ, or None for one.
        out: Takes the gradient at the input; may be `grad_y`.
        products: Scratch.
    """
    if weight is None:
        np.copyto(out, grad_y)
    else:
        np.multiply(grad_y, weight, out=out)
    np.multiply(out, standard, out=products)
    np.multiply(standard, products.mean(axis=axes, keepdims=True), out=standard)
    np.subtract(out, out.mean(axis=axes, keepdims=True), out=out)
    np.subtract(out, standard, out=out)
    np.multiply(out, inverse, out=out)
