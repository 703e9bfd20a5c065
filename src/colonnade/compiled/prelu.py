"""PReLU: a leaky ReLU whose slope each channel learns. Channels last."""

from __future__ import annotations

import numpy as np

from .compilation import compiled
from .elementwise import greatest, least, multiply_add, where_greater
from .registers import WIDTH
from .runs import ROWS, TURNS, add_columns, load_rows, store_rows, together
from .tiles import zeros


@compiled
def prelu_forward(x, weight, y):
    """y = max(x, 0) + w · min(x, 0); x and y (positions, c), w (c,); y may be x."""
    positions, channels = x.shape
    if y.shape != x.shape or weight.size != channels:
        raise ValueError("prelu_forward: x and y must be (positions, c), weight (c,).")
    for c in range(0, channels, WIDTH):
        left = channels - c
        slope = load_rows(weight, c, 0, left)
        position = 0
        while position < positions:
            count, step, _ = together(positions - position, channels)
            i = position * channels + c
            tile = load_rows(x, i, step, left)
            store_rows(multiply_add(slope, least(tile, 0.0), greatest(tile, 0.0)), y, i, step, left)
            position += count


@compiled
def prelu_backward(x, grad_y, weight, grad_x, grad_weight):
    """grad_x = (1 where x > 0, else w) · grad_y; Σ min(x, 0) · grad_y is added to `grad_weight`.

    Args:
        x: (positions, c); grad_y and grad_x likewise, and grad_x may be grad_y.
        weight: (c,); grad_weight likewise.
    """
    positions, channels = x.shape
    if grad_y.shape != x.shape or grad_x.shape != x.shape:
        raise ValueError("prelu_backward: x, grad_y and grad_x must be of one shape (positions, c).")
    if weight.size != channels or grad_weight.size != channels:
        raise ValueError("prelu_backward: weight and grad_weight must be (c,).")
    part, sums = np.empty(WIDTH, np.float32), np.zeros(channels, np.float64)
    for c in range(0, channels, WIDTH):
        left = channels - c
        slope = load_rows(weight, c, 0, left)
        position = 0
        while position < positions:
            total = zeros(ROWS, 1)
            end = min(positions, position + TURNS * ROWS)
            while position < end:
                count, step, share = together(end - position, channels)
                i = position * channels + c
                tile, grad = load_rows(x, i, step, left), load_rows(grad_y, i, step, left)
                total = multiply_add(least(tile, 0.0) * share, grad, total)
                store_rows(grad * where_greater(tile, 0.0, 1.0, slope), grad_x, i, step, left)
                position += count
            add_columns(total, part, c, left, sums)
    for c in range(channels):
        grad_weight[c] += sums[c]
