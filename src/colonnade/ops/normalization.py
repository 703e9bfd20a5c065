"""Batch normalisation, its sums apart from its passes. Written in docs/math/batch_norm.md.

The sums read (positions, c), what is normalised together along the first axis, or sequences (n, c, l). The passes
are elementwise: their vectors, one number a channel, need only broadcast. They come repeated to rows of some whole
number of positions, since NumPy's inner loop is as long as the row and one of 16 numbers would cost twice the time.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from .layout import Array
from .multiplication import divisors

# So many numbers of a channel are added up in float32; their sums in float64.
SUMMED = 1024


@lru_cache(maxsize=1024)
def run_length(positions: int) -> int:
    """Positions that are added up in one run: a divisor of all, near `SUMMED`."""
    return min(divisors(positions), key=lambda length: abs(math.log(length / SUMMED)))


def channel_sums(x: Array, ones: Array) -> Array:
    """Σx of each channel in float64, for x (positions, c) or (n, c, l).

    A product with `ones`, (1, r), adds up columns many times faster than `x.sum(0)`: r positions at a time.
    """
    if x.ndim == 3:
        return np.asarray(x.sum(axis=(0, 2)), np.float64)
    runs = np.matmul(ones, x.reshape(-1, ones.size, x.shape[1]))
    return np.asarray(runs.sum(axis=(0, 1), dtype=np.float64))


def batch_norm_sums(x: Array, rows: Array, ones: Array, row: Array, squares: Array, sums: Array) -> None:
    """Add this block's share of Σx and Σx² to `sums`, (2, c) in float64.

    E[x²] − E[x]² in float32 loses every digit when the mean is some thousand deviations away. So the squares are
    taken about the block's own mean m, M = Σ(x − m)², and only Σx² = M + 2m·Σx − n·m² needs float64.

    Args:
        x: (positions, c) or (n, c, l).
        rows: The same numbers as rows of r whole positions, (positions / r, r · c); or (n, c, l).
        ones: (1, :func:`run_length`) of ones.
        row: Scratch of one row, (r, c); or (c, 1).
        squares: Scratch of x's shape.
        sums: Added to.
    """
    count = x.size // sums.shape[1]
    total = channel_sums(x, ones)
    mean = (total / count).astype(x.dtype)
    np.copyto(row, mean[:, None] if x.ndim == 3 else mean)
    np.subtract(rows, row if x.ndim == 3 else row.reshape(-1), out=squares.reshape(rows.shape))
    np.square(squares, out=squares)
    exact_mean = mean.astype(np.float64)
    sums[0] += total
    sums[1] += channel_sums(squares, ones) + exact_mean * (2.0 * total - count * exact_mean)


def batch_norm_forward(x: Array, scale: Array, shift: Array, y: Array) -> None:
    """y = x · scale + shift, with scale = γ / √(σ² + ε) and shift = β − μ · scale. y may be x."""
    np.multiply(x, scale, out=y)
    np.add(y, shift, out=y)


def batch_norm_backward_sums(
    grad_y: Array, rows: Array, ones: Array, mean: Array, inverse_deviation: Array, products: Array, sums: Array
) -> None:
    """Add this block's share of Σ grad_y and Σ grad_y · x̂ to `sums`, (2, c) in float64.

    They are the gradients at β and γ, and what the backward pass subtracts.

    Args:
        grad_y: (positions, c) or (n, c, l).
        rows: x as rows of whole positions, (positions / r, r · c); or (n, c, l).
        ones: (1, :func:`run_length`) of ones.
        mean: μ, repeated to a row.
        inverse_deviation: 1 / √(σ² + ε), (c,).
        products: Scratch of grad_y's shape.
        sums: Added to.
    """
    np.subtract(rows, mean, out=products.reshape(rows.shape))
    np.multiply(products, grad_y, out=products)
    sums[0] += channel_sums(grad_y, ones)
    sums[1] += channel_sums(products, ones) * inverse_deviation


def batch_norm_backward(
    grad_y: Array, x: Array, of_grad: Array, of_x: Array, constant: Array, scaled: Array, grad_x: Array
) -> None:
    """grad_x = of_grad · grad_y + of_x · x + constant: the three terms of the derivation, a vector each.

    `scaled` is scratch of x's shape; grad_x may be grad_y.
    """
    np.multiply(x, of_x, out=scaled)
    np.add(scaled, constant, out=scaled)
    np.multiply(grad_y, of_grad, out=grad_x)
    np.add(grad_x, scaled, out=grad_x)
