"""Batch norm, and what follows it in the same pass: an addition, an activation, a max pool.

All arrays are channels-last: (positions, c), or images (n, h, w, c) where a pool needs to know rows from columns.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from .activation import KINDS, RELU, activate, activation_gradient
from .compilation import compiled, inlined
from .elementwise import multiply_add, where_beaten, where_equal, where_greater
from .reductions import column_sums
from .registers import WIDTH
from .tiles import load_bytes, load_first, spread, store_bytes, store_first, zeros

# So many positions are added up in float32 by each of four accumulators; their sums in float64.
SUMMED = 256
# So many numbers are gone through at once, sixteen channels after sixteen: meanwhile they stay in cache.
NUMBERS = 1 << 14
# The mean of so many first positions is near enough to that of all.
FEW = 64


@inlined
def _add(sums, row, c, channels, tile, numbers):
    """Add a tile of one row to sums[row, c:]; `numbers` is scratch for a vector."""
    store_first(tile, numbers, 0, 0, WIDTH)
    for i in range(min(WIDTH, channels - c)):
        sums[row, c + i] += np.float64(numbers[i])


@inlined
def _chunk(channels):
    """Positions that are gone through at once."""
    return min(4 * SUMMED, max(4, NUMBERS // channels // 4 * 4))


@inlined
def _require_shape(x, others):
    """Raise ValueError where arrays are not of the shape of x."""
    for other in others:
        if other.shape != x.shape:
            raise ValueError("batch norm: arrays must be of one shape")


@inlined
def _require_channels(channels, vectors):
    """Raise ValueError where vectors do not have a number for each channel."""
    for vector in vectors:
        if vector.size != channels:
            raise ValueError("batch norm: vectors must have a number for each channel")


@inlined
def _require_windows(x, y, winners, size, vectors):
    """Raise ValueError where windows of size × size do not cover x, (n, h, w, c), or y has none for each."""
    n, height, width, channels = y.shape
    if x.shape != (n, height * size, width * size, channels) or winners.shape != y.shape:
        raise ValueError("batch norm: a window of x and a winner for each number of y")
    _require_channels(channels, vectors)


@compiled
def batch_norm_moments(x, moments):
    """Join count, m, mean − m and Σ(x − mean)² of each channel of x (positions, c) to `moments`, (4, c) in float64.

    Sums are taken about the mean of the first positions: about zero they would lose every digit in float32 where the
    mean is thousands of deviations away. Sets of numbers are joined as in `ops.normalization.join_moments`.
    """
    positions, channels = x.shape
    if moments.shape != (4, channels):
        raise ValueError("batch_norm_moments: moments must be (4, c)")
    about, centre = np.zeros((2, channels)), np.empty(channels, np.float32)
    few = min(positions, FEW)
    for c in range(0, channels, WIDTH):
        left = channels - c
        first, moved = load_first(1, 1, x, c, 0, left), zeros(1, 1)
        for p in range(few):
            moved = moved + (load_first(1, 1, x, p * channels + c, 0, left) - first)
        store_first(first + moved * (1.0 / few), centre, c, 0, left)
    numbers = np.empty(WIDTH, np.float32)
    for start in range(0, positions, _chunk(channels)):
        stop = min(positions, start + _chunk(channels))
        whole = start + (stop - start) // 4 * 4
        for c in range(0, channels, WIDTH):
            left = channels - c
            origin = load_first(1, 1, centre, c, 0, left)
            origins = spread(4, origin)
            total, squares = zeros(4, 1), zeros(4, 1)
            for p in range(start, whole, 4):
                d = load_first(4, 1, x, p * channels + c, channels, left) - origins
                total = total + d
                squares = multiply_add(d, d, squares)
            rest, rest_squares = column_sums(total), column_sums(squares)
            for p in range(whole, stop):
                d = load_first(1, 1, x, p * channels + c, channels, left) - origin
                rest = rest + d
                rest_squares = multiply_add(d, d, rest_squares)
            _add(about, 0, c, channels, rest, numbers)
            _add(about, 1, c, channels, rest_squares, numbers)
    for c in range(channels):
        moved = about[0, c] / positions
        if moments[0, c] == 0:
            moments[1, c] = centre[c]
        count = moments[0, c] + positions
        part = positions / count
        distance = np.float64(centre[c]) - moments[1, c] + moved - moments[2, c]
        moments[3, c] += about[1, c] - about[0, c] * moved + distance * distance * (moments[0, c] * part)
        moments[2, c] += distance * part
        moments[0, c] = count


@lru_cache
def batch_norm_forward(kind: int, adds: bool) -> Any:
    """y = activation((x − centre) · scale + shift (+ other)); see activation.py for the kinds.

    Args of the function that is returned:
        x, other, y: (positions, c); `other` is not looked at unless `adds`.
        centre, scale, shift: (c,).
        a, b: The activation's parameters.
    """

    @inlined
    def write(rows, x, other, i, channels, left, centres, scales, shifts, y, a, b):
        """Some positions of 16 channels, or as many as are left."""
        centred = load_first(rows, 1, x, i, channels, left) - spread(rows, centres)
        z = multiply_add(centred, spread(rows, scales), spread(rows, shifts))
        if adds:
            z = z + load_first(rows, 1, other, i, channels, left)
        store_first(activate(kind, z, a, b), y, i, channels, left)

    @compiled
    def forward(x, other, centre, scale, shift, y, a, b):
        positions, channels = x.shape
        _require_shape(x, (other, y))
        _require_channels(channels, (centre, scale, shift))
        for start in range(0, positions, _chunk(channels)):
            stop = min(positions, start + _chunk(channels))
            whole = start + (stop - start) // 4 * 4
            for c in range(0, channels, WIDTH):
                left = channels - c
                centres = load_first(1, 1, centre, c, 0, left)
                scales = load_first(1, 1, scale, c, 0, left)
                shifts = load_first(1, 1, shift, c, 0, left)
                for p in range(start, whole, 4):
                    write(4, x, other, p * channels + c, channels, left, centres, scales, shifts, y, a, b)
                for p in range(whole, stop):
                    write(1, x, other, p * channels + c, channels, left, centres, scales, shifts, y, a, b)

    return forward


# No number of a window is the greatest, because the activation behind the pool sends nothing back.
NOBODY = 255


@lru_cache
def batch_norm_pool_forward(kind: int, size: int) -> Any:
    """y = activation(maximum of size × size numbers of (x − centre) · scale + shift), and which of them it was."""

    @compiled
    def forward(x, centre, scale, shift, y, winners, a, b):
        _require_windows(x, y, winners, size, (centre, scale, shift))
        images, height, width, channels = y.shape
        row, image = x.shape[2] * channels, x.shape[1] * x.shape[2] * channels
        for n in range(images):
            for i in range(height):
                for c in range(0, channels, WIDTH):
                    left = channels - c
                    centres = load_first(1, 1, centre, c, 0, left)
                    scales = load_first(1, 1, scale, c, 0, left)
                    shifts = load_first(1, 1, shift, c, 0, left)
                    at = n * image + i * size * row + c
                    to = (n * height + i) * width * channels + c
                    for _ in range(width):
                        most = multiply_add(load_first(1, 1, x, at, 0, left) - centres, scales, shifts)
                        winner = zeros(1, 1)
                        for k in range(1, size * size):
                            place = at + k // size * row + k % size * channels
                            z = multiply_add(load_first(1, 1, x, place, 0, left) - centres, scales, shifts)
                            # The first of equals stays; NaN wins and is not beaten.
                            winner = where_beaten(z, most, np.float32(k), winner)
                            most = where_beaten(z, most, z, most)
                        if kind == RELU:
                            winner = where_greater(most, 0.0, winner, np.float32(NOBODY))
                        store_first(activate(kind, most, a, b), y, to, 0, left)
                        store_bytes(winner, winners, to, 0, left)
                        at += size * channels
                        to += channels

    return forward


@lru_cache
def batch_norm_pool_backward_sums(size: int) -> Any:
    """Σ g and Σ g · (x − μ) of each channel, g being the gradient that reaches the greatest of each window."""

    @compiled
    def sums_of(grad, x, winners, mean, sums):
        _require_windows(x, grad, winners, size, (mean,))
        images, height, width, channels = grad.shape
        if sums.shape[0] < 2 or sums.shape[1] != channels:
            raise ValueError("batch norm: sums must have two rows or more, of c")
        row, image = x.shape[2] * channels, x.shape[1] * x.shape[2] * channels
        numbers = np.empty(WIDTH, np.float32)
        for n in range(images):
            for c in range(0, channels, WIDTH):
                left = channels - c
                m = load_first(1, 1, mean, c, 0, left)
                total, product = zeros(1, 1), zeros(1, 1)
                for i in range(height):
                    at = n * image + i * size * row + c
                    to = (n * height + i) * width * channels + c
                    for _ in range(width):
                        winner = load_bytes(1, 1, winners, to, 0, left)
                        g = where_equal(winner, 255.0, 0.0, load_first(1, 1, grad, to, 0, left))
                        v = load_first(1, 1, x, at, 0, left)
                        for k in range(1, size * size):
                            place = at + k // size * row + k % size * channels
                            v = where_equal(winner, np.float32(k), load_first(1, 1, x, place, 0, left), v)
                        total = total + g
                        product = multiply_add(g, v - m, product)
                        at += size * channels
                        to += channels
                _add(sums, 0, c, channels, total, numbers)
                _add(sums, 1, c, channels, product, numbers)

    return sums_of


@lru_cache
def batch_norm_pool_backward(size: int) -> Any:
    """grad_x = of_grad · g + of_x · (x − centre) + constant."""

    @compiled
    def backward(grad, x, winners, centre, of_grad, of_x, constant, grad_x):
        _require_windows(x, grad, winners, size, (centre, of_grad, of_x, constant))
        _require_shape(x, (grad_x,))
        images, height, width, channels = grad.shape
        row, image = x.shape[2] * channels, x.shape[1] * x.shape[2] * channels
        for n in range(images):
            for i in range(height):
                for c in range(0, channels, WIDTH):
                    left = channels - c
                    centres = load_first(1, 1, centre, c, 0, left)
                    u = load_first(1, 1, of_grad, c, 0, left)
                    v = load_first(1, 1, of_x, c, 0, left)
                    w = load_first(1, 1, constant, c, 0, left)
                    at = n * image + i * size * row + c
                    to = (n * height + i) * width * channels + c
                    for _ in range(width):
                        winner = load_bytes(1, 1, winners, to, 0, left)
                        g = load_first(1, 1, grad, to, 0, left) * u
                        for k in range(size * size):
                            place = at + k // size * row + k % size * channels
                            z = multiply_add(load_first(1, 1, x, place, 0, left) - centres, v, w)
                            z = z + where_equal(winner, np.float32(k), g, 0.0)
                            store_first(z, grad_x, place, 0, left)
                        at += size * channels
                        to += channels

    return backward


@lru_cache
def batch_norm_backward_sums(kind: int, adds: bool) -> Any:
    """Σ g and Σ g · (x − centre), with g the gradient at the output times the activation's.

    See :func:`batch_norm_forward` for the arguments.
    """
    gradient = _gradient(kind, adds)

    @compiled
    def sums_of(grad, x, other, centre, scale, shift, sums, a, b):
        positions, channels = x.shape
        _require_shape(x, (grad, other))
        _require_channels(channels, (centre, scale, shift))
        if sums.shape[0] < 2 or sums.shape[1] != channels:
            raise ValueError("batch norm: sums must have two rows or more, of c")
        numbers = np.empty(WIDTH, np.float32)
        for start in range(0, positions, _chunk(channels)):
            stop = min(positions, start + _chunk(channels))
            whole = start + (stop - start) // 4 * 4
            for c in range(0, channels, WIDTH):
                left = channels - c
                centres = load_first(1, 1, centre, c, 0, left)
                scales = load_first(1, 1, scale, c, 0, left)
                shifts = load_first(1, 1, shift, c, 0, left)
                totals, products = zeros(4, 1), zeros(4, 1)
                for p in range(start, whole, 4):
                    i = p * channels + c
                    d, g = gradient(4, grad, x, other, i, channels, left, centres, scales, shifts, a, b)
                    totals = totals + g
                    products = multiply_add(g, d, products)
                total, product = column_sums(totals), column_sums(products)
                for p in range(whole, stop):
                    i = p * channels + c
                    d, g = gradient(1, grad, x, other, i, channels, left, centres, scales, shifts, a, b)
                    total = total + g
                    product = multiply_add(g, d, product)
                _add(sums, 0, c, channels, total, numbers)
                _add(sums, 1, c, channels, product, numbers)

    return sums_of


@lru_cache
def batch_norm_backward(kind: int, adds: bool) -> Any:
    """grad_x = of_grad · g + of_x · (x − centre) + constant, and if `adds` grad_other = g."""
    gradient = _gradient(kind, adds)

    @inlined
    def write(rows, g, d, i, channels, left, of_grad, of_x, constant, grad_x, grad_other):
        if adds:
            store_first(g, grad_other, i, channels, left)
        z = multiply_add(g, spread(rows, of_grad), multiply_add(d, spread(rows, of_x), spread(rows, constant)))
        store_first(z, grad_x, i, channels, left)

    @compiled
    def backward(grad, x, other, centre, scale, shift, of_grad, of_x, constant, grad_x, grad_other, a, b):
        positions, channels = x.shape
        _require_shape(x, (grad, other, grad_x, grad_other))
        _require_channels(channels, (centre, scale, shift, of_grad, of_x, constant))
        for start in range(0, positions, _chunk(channels)):
            stop = min(positions, start + _chunk(channels))
            whole = start + (stop - start) // 4 * 4
            for c in range(0, channels, WIDTH):
                left = channels - c
                centres = load_first(1, 1, centre, c, 0, left)
                scales = load_first(1, 1, scale, c, 0, left)
                shifts = load_first(1, 1, shift, c, 0, left)
                u = load_first(1, 1, of_grad, c, 0, left)
                v = load_first(1, 1, of_x, c, 0, left)
                w = load_first(1, 1, constant, c, 0, left)
                for p in range(start, whole, 4):
                    i = p * channels + c
                    d, g = gradient(4, grad, x, other, i, channels, left, centres, scales, shifts, a, b)
                    write(4, g, d, i, channels, left, u, v, w, grad_x, grad_other)
                for p in range(whole, stop):
                    i = p * channels + c
                    d, g = gradient(1, grad, x, other, i, channels, left, centres, scales, shifts, a, b)
                    write(1, g, d, i, channels, left, u, v, w, grad_x, grad_other)

    return backward


def _gradient(kind: int, adds: bool) -> Any:
    """Of some positions x − centre, and the gradient at the output times the activation's.

    What that reads is computed from x once more.
    """
    reads_output = KINDS[kind].reads == "output"

    @inlined
    def gradient(rows, grad, x, other, i, channels, left, centres, scales, shifts, a, b):
        d = load_first(rows, 1, x, i, channels, left) - spread(rows, centres)
        g = load_first(rows, 1, grad, i, channels, left)
        if kind:
            z = multiply_add(d, spread(rows, scales), spread(rows, shifts))
            if adds:
                z = z + load_first(rows, 1, other, i, channels, left)
            if reads_output:
                z = activate(kind, z, a, b)
            g = activation_gradient(kind, z, g, a, b)
        return d, g

    return gradient
