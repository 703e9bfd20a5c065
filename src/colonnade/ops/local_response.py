"""Local response normalisation: each number is divided by what its neighbours in the other channels are like."""

from __future__ import annotations

import numpy as np

from .layout import Array


def window_sums(x: Array, before: int, after: int, out: Array) -> None:
    """out[:, c] = Σ x[:, c − before … c + after], within the channels: axis 1 of x. `out` is not `x`."""
    np.copyto(out, x)
    others = x.shape[1] - 1  # a window may be wider than there are channels
    for offset in (*range(-min(before, others), 0), *range(1, min(after, others) + 1)):
        size = x.shape[1] - abs(offset)
        target, source = (out[:, :size], x[:, offset:]) if offset > 0 else (out[:, -offset:], x[:, :size])
        np.add(target, source, out=target)


def divisor(x: Array, size: int, alpha: float, k: float, out: Array, squares: Array) -> None:
    """d = k + α / size · Σ x² over the window of each channel. `squares` is scratch."""
    np.multiply(x, x, out=squares)
    window_sums(squares, size // 2, (size - 1) // 2, out)
    np.multiply(out, alpha / size, out=out)
    np.add(out, k, out=out)


def local_response_forward(
    x: Array, size: int, alpha: float, beta: float, k: float, out: Array, squares: Array, scale: Array
) -> None:
    """y = x d^−β. `squares` and `scale` are scratch."""
    divisor(x, size, alpha, k, scale, squares)
    np.power(scale, -beta, out=scale)
    np.multiply(x, scale, out=out)


def local_response_backward(
    x: Array, grad_y: Array, size: int, alpha: float, beta: float, k: float, out: Array, *scratch: Array
) -> None:
    """grad_x = grad_y d^−β − 2αβ / size · x · Σ x grad_y d^(−β − 1), the sum over the channels whose window x is in.

    There are three scratch arrays.
    """
    squares, scale, terms = scratch
    divisor(x, size, alpha, k, scale, squares)
    np.power(scale, -beta - 1, out=terms)
    np.multiply(scale, terms, out=scale)  # d^−β
    np.multiply(terms, x, out=terms)
    np.multiply(terms, grad_y, out=terms)
    window_sums(terms, (size - 1) // 2, size // 2, squares)
    np.multiply(squares, x, out=squares)
    np.multiply(squares, -2 * alpha * beta / size, out=squares)
    np.multiply(grad_y, scale, out=out)
    np.add(out, squares, out=out)
