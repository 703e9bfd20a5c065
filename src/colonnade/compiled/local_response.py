"""Local response norm: each number divided by a power of the squares of the channels beside it. Channels last."""

from __future__ import annotations

import numpy as np

from .compilation import compiled, inlined
from .elementwise import multiply_add
from .functions import exp, log
from .registers import WIDTH
from .tiles import load, load_first, store, store_first, zeros


@inlined
def _load(x, i, left):
    """Up to 16 numbers; zeros behind them."""
    if left >= WIDTH:
        return load(1, 1, x, i, 0)
    return load_first(1, 1, x, i, 0, left)


@inlined
def _store(tile, x, i, left):
    """What `_load` loads, stored."""
    if left >= WIDTH:
        store(tile, x, i, 0)
    else:
        store_first(tile, x, i, 0, left)


@inlined
def _window_sums(bordered, c, size):
    """Σ bordered[c + t] for t below `size`, for 16 neighbouring c."""
    total = zeros(1, 1)
    for t in range(size):
        total = total + load(1, 1, bordered, c + t, 0)
    return total


@inlined
def _bordered(channels, size):
    """Zeros for a row of channels with its border of size − 1, and a vector more."""
    return np.zeros(channels + size + WIDTH, np.float32)


@compiled
def local_response_forward(x, size, alpha, beta, k, y):
    """y = x d^−β, with d = k + α / size · Σ x² over the `size` channels around each; x and y (positions, c).

    Args:
        x: (positions, c).
        size: size // 2 channels before, (size − 1) // 2 after.
        alpha, beta, k: float32; d must be positive.
        y: (positions, c); it may be x.
    """
    positions, channels = x.shape
    if y.shape != x.shape or size < 1:
        raise ValueError("local_response_forward: x and y must be (positions, c), size positive.")
    squares, before = _bordered(channels, size), size // 2
    for position in range(positions):
        at = position * channels
        for c in range(0, channels, WIDTH):
            values = _load(x, at + c, channels - c)
            _store(values * values, squares, before + c, channels - c)
        for c in range(0, channels, WIDTH):
            d = _window_sums(squares, c, size) * (alpha / size) + k
            _store(_load(x, at + c, channels - c) * exp(log(d) * -beta), y, at + c, channels - c)


@compiled
def local_response_backward(x, grad_y, size, alpha, beta, k, grad_x):
    """grad_x = grad_y d^−β − 2αβ / size · x · Σ x grad_y d^(−β − 1) over the channels whose window x is in.

    Arguments as of :func:`local_response_forward`; grad_x may be grad_y.
    """
    positions, channels = x.shape
    if grad_y.shape != x.shape or grad_x.shape != x.shape or size < 1:
        raise ValueError("local_response_backward: x, grad_y and grad_x must be (positions, c), size positive.")
    squares, before = _bordered(channels, size), size // 2
    terms, behind = _bordered(channels, size), (size - 1) // 2
    for position in range(positions):
        at = position * channels
        for c in range(0, channels, WIDTH):
            values = _load(x, at + c, channels - c)
            _store(values * values, squares, before + c, channels - c)
        for c in range(0, channels, WIDTH):
            left = channels - c
            d = _window_sums(squares, c, size) * (alpha / size) + k
            share = _load(grad_y, at + c, left) * exp(log(d) * -beta)
            _store(share / d * _load(x, at + c, left), terms, behind + c, left)
            _store(share, grad_x, at + c, left)
        for c in range(0, channels, WIDTH):
            left = channels - c
            sums = _window_sums(terms, c, size) * _load(x, at + c, left)
            _store(multiply_add(sums, -2.0 * alpha * beta / size, _load(grad_x, at + c, left)), grad_x, at + c, left)
