"""Local response normalisation: each number is divided by what its neighbours in the other channels are like.

Derived in docs/math/layer_norm.md. `out` is written and returned; it is made, like scratch, if it is not given.
"""

from __future__ import annotations

import numpy as np

from .layout import Array, made


def window_sums(x: Array, before: int, after: int, out: Array | None = None) -> Array:
    """out[:, c] = Σ x[:, c − before … c + after], within the channels: axis 1 of x. `out` is not `x`."""
    (out,) = made(x, out)
    np.copyto(out, x)
    others = x.shape[1] - 1  # a window may be wider than there are channels
    for offset in (*range(-min(before, others), 0), *range(1, min(after, others) + 1)):
        size = x.shape[1] - abs(offset)
        target, source = (out[:, :size], x[:, offset:]) if offset > 0 else (out[:, -offset:], x[:, :size])
        np.add(target, source, out=target)
    return out


def divisor(
    x: Array, size: int, alpha: float = 1e-4, k: float = 1.0, out: Array | None = None, squares: Array | None = None
) -> Array:
    """d = k + α / size · Σ x² over the window of each channel. `squares` is scratch."""
    out, squares = made(x, out, squares)
    np.multiply(x, x, out=squares)
    window_sums(squares, size // 2, (size - 1) // 2, out)
    np.multiply(out, alpha / size, out=out)
    return np.add(out, k, out=out)


def local_response_forward(
    x: Array,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    out: Array | None = None,
    squares: Array | None = None,
    scale: Array | None = None,
) -> Array:
    """y = x d^−β, with d = k + α / size · Σ x² over `size` channels around each; x (n, c, ...).

    `squares` and `scale` are scratch.
    """
    out, squares, scale = made(x, out, squares, scale)
    divisor(x, size, alpha, k, scale, squares)
    np.power(scale, -beta, out=scale)
    return np.multiply(x, scale, out=out)


def local_response_backward(
    x: Array,
    grad_y: Array,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 1.0,
    out: Array | None = None,
    squares: Array | None = None,
    scale: Array | None = None,
    terms: Array | None = None,
) -> Array:
    """grad_x = grad_y d^−β − 2αβ / size · x · Σ x grad_y d^(−β − 1), the sum over the channels whose window x is in.

    The last three are scratch.
    """
    out, squares, scale, terms = made(x, out, squares, scale, terms)
    divisor(x, size, alpha, k, scale, squares)
    np.power(scale, -beta - 1, out=terms)
    np.multiply(scale, terms, out=scale)  # d^−β
    np.multiply(terms, x, out=terms)
    np.multiply(terms, grad_y, out=terms)
    window_sums(terms, (size - 1) // 2, size // 2, squares)
    np.multiply(squares, x, out=squares)
    np.multiply(squares, -2 * alpha * beta / size, out=squares)
    np.multiply(grad_y, scale, out=out)
    return np.add(out, squares, out=out)
