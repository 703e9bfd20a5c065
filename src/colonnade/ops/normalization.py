"""Batch normalisation, its sums apart from its passes. Written in docs/math/batch_norm.md.

The sums read (positions, c), what is normalised together along the first axis, or sequences (n, c, l). The passes
are elementwise: their vectors, one number a channel, need only broadcast. They come repeated to rows of some whole
number of positions, since NumPy's inner loop is as long as the row and one of 16 numbers would cost twice the time.
"""

from __future__ import annotations

import numpy as np

from .layout import Array

# So many numbers of a channel are added up in float32; their sums in float64.
SUMMED = 64


def channel_sums(x: Array, ones: Array) -> Array:
    """Σx of each channel in float64, (..., c), for x (..., positions, c).

    A product with `ones`, (1, SUMMED), adds up columns many times faster than `sum`: so many positions at a time.
    """
    *others, positions, channels = x.shape
    whole = positions // SUMMED * SUMMED
    runs = np.matmul(ones, x[..., :whole, :].reshape(*others, -1, SUMMED, channels))
    rest: Array = np.matmul(ones[0, : positions - whole], x[..., whole:, :])
    return np.asarray(runs.sum(axis=(-3, -2), dtype=np.float64) + rest)


def batch_sums(x: Array, ones: Array) -> Array:
    """Σx of each channel in float64, (c,), for x (positions, c) or (n, c, l)."""
    return channel_sums(x, ones) if x.ndim == 2 else np.asarray(x.sum(axis=2).sum(axis=0, dtype=np.float64))


def batch_norm_moments(x: Array, rows: Array, ones: Array, row: Array, squares: Array, moments: Array) -> None:
    """Join this block's count, mean and Σ(x − mean)² of each channel to `moments`, (3, c) in float64.

    E[x²] − E[x]² loses digits, in float64 too: every one when the mean is 10⁸ deviations away, in float32 at some
    thousand. So all is taken about m, the block's own mean as far as x's type tells it: D = Σ(x − m), M = Σ(x − m)².

    Args:
        x: (positions, c) or (n, c, l).
        rows: The same numbers as rows of r whole positions, (positions / r, r · c); or (n, c, l).
        ones: (1, SUMMED) of ones.
        row: Scratch of one row, (r, c); or (c, 1).
        squares: Scratch of x's shape.
        moments: What was joined before.
    """
    count = x.size // moments.shape[1]
    mean = (batch_sums(x, ones) / count).astype(x.dtype)
    np.copyto(row, mean[:, None] if x.ndim == 3 else mean)
    np.subtract(rows, row if x.ndim == 3 else row.reshape(-1), out=squares.reshape(rows.shape))
    difference = batch_sums(squares, ones)
    np.square(squares, out=squares)
    missed = difference / count
    join_moments(moments, count, mean + missed, batch_sums(squares, ones) - difference * missed)


def join_moments(moments: Array, count: Array | float, mean: Array, squares: Array) -> None:
    """Of two sets of numbers together: count, mean and Σ(x − mean)² of each channel, (3, c). Chan et al. 1979."""
    total = moments[0] + count
    part = count / np.maximum(total, 1)
    distance = mean - moments[1]
    moments[2] += squares + distance * distance * (moments[0] * part)
    moments[1] += distance * part
    moments[0] = total


def batch_norm_forward(x: Array, centre: Array | None, scale: Array, shift: Array, y: Array) -> None:
    """y = (x − centre) · scale + shift, with scale = γ / √(σ² + ε) and shift = β − (μ − centre) · scale. y may be x.

    Args:
        x: Rows of whole positions, or (n, c, l), as are the others; the vectors repeated to a row.
        centre: μ as float32 tells it, so that nothing is rounded that is far larger than the result; None for zero,
            where μ is near it.
        scale: What x is multiplied by.
        shift: What is added then.
        y: Takes the result.
    """
    if centre is not None:
        x = np.subtract(x, centre, out=y)
    np.multiply(x, scale, out=y)
    np.add(y, shift, out=y)


def batch_norm_backward_sums(
    grad_y: Array, rows: Array, ones: Array, mean: Array, products: Array, sums: Array
) -> None:
    """Add this block's share of Σ grad_y and Σ grad_y · (x − m) to `sums`, (2, c) in float64.

    With m = μ they are, the second times 1 / √(σ² + ε), the gradients at β and γ, and what the backward pass subtracts.

    Args:
        grad_y: (positions, c) or (n, c, l).
        rows: x as rows of whole positions, (positions / r, r · c); or (n, c, l).
        ones: (1, SUMMED) of ones.
        mean: m, μ as float32 tells it, repeated to a row.
        products: Scratch of grad_y's shape.
        sums: Added to.
    """
    np.subtract(rows, mean, out=products.reshape(rows.shape))
    np.multiply(products, grad_y, out=products)
    sums[0] += batch_sums(grad_y, ones)
    sums[1] += batch_sums(products, ones)


def batch_norm_backward(
    grad_y: Array,
    x: Array,
    centre: Array | None,
    of_grad: Array,
    of_x: Array,
    constant: Array,
    scaled: Array,
    grad_x: Array,
) -> None:
    """grad_x = of_grad · grad_y + of_x · (x − centre) + constant: the three terms of the derivation, a vector each.

    `centre` is as in the forward pass; `scaled` is scratch of x's shape; grad_x may be grad_y.
    """
    if centre is not None:
        x = np.subtract(x, centre, out=scaled)
    np.multiply(x, of_x, out=scaled)
    np.add(scaled, constant, out=scaled)
    np.multiply(grad_y, of_grad, out=grad_x)
    np.add(grad_x, scaled, out=grad_x)
