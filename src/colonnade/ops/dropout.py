"""Dropout: some numbers, or whole channels, are left out at random while training. See docs/math/dropout.md.

`out` is written and returned, and may be the first array; it is made if it is not given.
"""

from __future__ import annotations

import numpy as np

from .layout import Array, made


def dropout_kept(random: Array, p: float = 0.5, out: Array | None = None) -> Array:
    """m = [random ≥ p]: 0 with probability p and else 1, of numbers that are uniform in [0, 1). `out` is of bools."""
    (out,) = made(random, out, dtype=np.bool_)
    return np.greater_equal(random, p, out=out)


def dropout_scale(p: float = 0.5) -> float:
    """1 / (1 − p), which keeps the mean; zero where nothing is kept."""
    return 1 / (1 - p) if p < 1 else 0.0


def dropout_forward(x: Array, kept: Array, p: float = 0.5, out: Array | None = None) -> Array:
    """y = x · m / (1 − p).

    Args:
        x: Any shape.
        kept: m, bools of x's shape, from :func:`dropout_kept`.
        p: The probability that a number is left out.
        out: Of x's shape.
    """
    (out,) = made(x, out)
    np.multiply(x, kept, out=out)
    return np.multiply(out, dropout_scale(p), out=out)


def dropout_backward(grad_y: Array, kept: Array, p: float = 0.5, out: Array | None = None) -> Array:
    """grad_x = grad_y · m / (1 − p), with the forward pass's m."""
    return dropout_forward(grad_y, kept, p, out)


def channel_dropout_forward(x: Array, kept: Array, p: float = 0.5, out: Array | None = None) -> Array:
    """y = x · m / (1 − p), with one m for each channel of each image: x (n, c, ...), m (n, c)."""
    (out,) = made(x, out)
    factor = np.multiply(kept, dropout_scale(p), dtype=x.dtype)
    return np.multiply(x, factor.reshape(*kept.shape, *[1] * (x.ndim - 2)), out=out)


def channel_dropout_backward(grad_y: Array, kept: Array, p: float = 0.5, out: Array | None = None) -> Array:
    """grad_x = grad_y · m / (1 − p), with the forward pass's m."""
    return channel_dropout_forward(grad_y, kept, p, out)
